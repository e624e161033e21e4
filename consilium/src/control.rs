//! How commands reach a coordinator in service: a Unix socket in its folder, one line of JSON there and one back. The
//! file system says who may use it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::local::{self, Local, LocalError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Bytes of a line: a status with the histories of several key epochs has up to two megabytes.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Commands at a time; the next waits in the socket's own queue.
const CONNECTIONS_MAX: usize = 16;
/// A command that does not send its line holds a place no longer than this.
const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// A command waits no longer for its answer, which takes a look into the books.
const PATIENCE: Duration = Duration::from_secs(60);
/// The socket in its folder.
const SOCKET: &str = "control.sock";

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
    /// The socket.
    #[error(transparent)]
    Socket(#[from] LocalError),
    /// The answer cannot be read.
    #[error("{}: the answer cannot be read ({found})", path.display())]
    Malformed {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// Refused.
    #[error("{0}")]
    Refused(String),
}

fn folder_of(folder: &Path) -> PathBuf {
    folder.join("control")
}

/// Asks the process that serves a folder.
///
/// # Errors
/// [`ControlError`].
pub fn ask(folder: &Path, request: &Request) -> Result<Value, ControlError> {
    let path = folder_of(folder).join(SOCKET);
    let malformed = |error: serde_json::Error| ControlError::Malformed { path: path.clone(), found: error.to_string() };
    let mut bytes = serde_json::to_vec(request).map_err(malformed)?;
    bytes.push(b'\n');
    match serde_json::from_str(&local::ask(&path, &bytes, LINE_BYTES_MAX, PATIENCE)?).map_err(malformed)? {
        Reply::Done(value) => Ok(value),
        Reply::Refused(why) => Err(ControlError::Refused(why)),
    }
}

/// The open socket of a process in service; removed when dropped.
pub struct Control {
    socket: Local,
}

impl Control {
    /// Opens it.
    ///
    /// # Errors
    /// [`ControlError::Socket`] where another process has it open, or it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, ControlError> {
        Ok(Self { socket: Local::open(&folder_of(folder), SOCKET)? })
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
            let Ok(mut line) = self.socket.accept().await else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_is_answered_and_a_second_process_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(ask(folder.path(), &Request::Status), Err(ControlError::Socket(LocalError::Closed { .. }))));
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
        assert!(matches!(Control::open(folder.path()), Err(ControlError::Socket(LocalError::Busy { .. }))));
        running.abort();
        assert!(running.await.is_err(), "ended");
        assert!(Control::open(folder.path()).is_ok(), "a process that ended leaves the place free");
    }
}
