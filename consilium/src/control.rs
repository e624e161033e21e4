//! How commands reach a coordinator in service: a Unix socket in its folder, one line of JSON there and one back. The
//! file system says who may use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Commands at a time; the next waits in the socket's own queue.
const CONNECTIONS_MAX: usize = 16;
/// A command that does not send its line holds a place no longer than this.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How everything stands.
    Status,
    /// Begin nothing new until resumed.
    Stop {
        /// The key epoch.
        epoch: u32,
    },
    /// Go on.
    Resume {
        /// The key epoch.
        epoch: u32,
    },
    /// Publish what is trained so far.
    Publish {
        /// The key epoch.
        epoch: u32,
    },
    /// End it for all its members, for ever.
    End {
        /// The key epoch.
        epoch: u32,
        /// One sentence for the members.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Done(Value),
    Refused(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody serves.
    #[error("{}: nobody serves this folder: {source}", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody else serves.
    #[error("{}: another process serves this folder", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("{}: {source}", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The answer broke off or cannot be read.
    #[error("{}: {found}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// Refused.
    #[error("{0}")]
    Refused(String),
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("control").join("control.sock")
}

/// Asks the process that serves a folder.
///
/// # Errors
/// [`ControlError`].
pub fn ask(folder: &Path, request: &Request) -> Result<Value, ControlError> {
    let path = socket(folder);
    let mut line = UnixStream::connect(&path).map_err(|source| ControlError::Closed { path: path.clone(), source })?;
    let broken = |found: String| ControlError::Broken { path: path.clone(), found };
    let mut bytes = serde_json::to_vec(request).map_err(|error| broken(error.to_string()))?;
    bytes.push(b'\n');
    line.write_all(&bytes).map_err(|error| broken(error.to_string()))?;
    let mut reply = String::new();
    BufReader::new(line.take(LINE_BYTES_MAX)).read_line(&mut reply).map_err(|error| broken(error.to_string()))?;
    match serde_json::from_str(&reply).map_err(|error| broken(error.to_string()))? {
        Reply::Done(value) => Ok(value),
        Reply::Refused(why) => Err(ControlError::Refused(why)),
    }
}

/// The open socket of a process in service; removed when dropped.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens it.
    ///
    /// # Errors
    /// [`ControlError::Busy`] where another process has it open, [`ControlError::Open`].
    pub fn open(folder: &Path) -> Result<Self, ControlError> {
        let path = socket(folder);
        let failed = |source| ControlError::Open { path: path.clone(), source };
        let parent = folder.join("control");
        if !parent.exists() {
            // Nobody else may enter, so there is no moment at which another user could connect.
            std::fs::DirBuilder::new().mode(0o700).create(&parent).map_err(failed)?;
        }
        if path.exists() {
            if UnixStream::connect(&path).is_ok() {
                return Err(ControlError::Busy { path });
            }
            // Left behind by a process that was killed.
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        Ok(Self { listener, path })
    }

    /// Answers until dropped.
    pub async fn run<F, A>(&self, answer: F)
    where
        F: Fn(Request) -> A + Clone + Send + 'static,
        A: Future<Output = Result<Value, String>> + Send,
    {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((mut line, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let answer = answer.clone();
            tokio::spawn(async move {
                let _place = place;
                let mut text = String::new();
                let mut reader = tokio::io::BufReader::new(&mut line).take(LINE_BYTES_MAX);
                let read = tokio::time::timeout(REQUEST_WAIT, reader.read_line(&mut text)).await;
                let reply = match (read, serde_json::from_str(&text)) {
                    (Ok(Ok(_)), Ok(request)) => match answer(request).await {
                        Ok(value) => Reply::Done(value),
                        Err(why) => Reply::Refused(why),
                    },
                    (Ok(Ok(_)), Err(error)) => Reply::Refused(format!("not a request: {error}")),
                    _ => return,
                };
                let Ok(mut bytes) = serde_json::to_vec(&reply) else { return };
                bytes.push(b'\n');
                // Whoever asked may be gone.
                let _ = line.write_all(&bytes).await;
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A socket that stays behind is recognised as such by the next process.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_is_answered_and_a_second_process_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(ask(folder.path(), &Request::Status), Err(ControlError::Closed { .. })));
        let control = Control::open(folder.path()).expect("open");
        let running = tokio::spawn(async move {
            let answer = |request| async move {
                match request {
                    Request::Resume { epoch } => Ok(serde_json::json!({"epoch": epoch})),
                    other => Err(format!("{other:?}")),
                }
            };
            control.run(answer).await;
        });
        let asked = |request: Request| {
            let folder = folder.path().to_path_buf();
            tokio::task::spawn_blocking(move || ask(&folder, &request))
        };
        assert_eq!(asked(Request::Resume { epoch: 3 }).await.expect("ran").expect("answered")["epoch"], 3);
        assert!(matches!(asked(Request::Status).await.expect("ran"), Err(ControlError::Refused(_))));
        assert!(matches!(Control::open(folder.path()), Err(ControlError::Busy { .. })));
        running.abort();
        assert!(running.await.is_err(), "ended");
        assert!(Control::open(folder.path()).is_ok(), "a process that ended leaves the place free");
    }
}
