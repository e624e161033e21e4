//! A Unix socket in the folder of a service, by which programs of the same machine reach it. The file system says who
//! may: only its owner enters the socket's folder.

use std::fs::{DirBuilder, File, Permissions, TryLockError, symlink_metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as Caller;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// Why nobody can be reached, or the socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// Nobody serves.
    #[error("{}: nobody serves here: {source}", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Somebody serves already.
    #[error("{}: another process serves here", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// Others than the owner may enter the socket's folder, and that cannot be changed.
    #[error("{}: {found}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The socket cannot be made.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The line broke.
    #[error("{}: the service ended while it was asked: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Somebody serves, and does not answer.
    #[error("{}: the service took nothing and said nothing for {} s", path.display(), waited.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long.
        waited: Duration,
    },
}

/// The open socket of a process in service; removed when dropped.
pub struct Local {
    listener: UnixListener,
    path: PathBuf,
    /// Held until the socket is removed: whoever opens it next finds none, or one that was left behind.
    _lock: File,
}

impl Local {
    /// Opens the socket in a folder that only its owner may enter; makes the folder, or corrects it.
    ///
    /// # Errors
    /// [`LocalError::Busy`] where another process has it open or is opening it, [`LocalError::Folder`],
    /// [`LocalError::Open`].
    pub fn open(folder: &Path, name: &str) -> Result<Self, LocalError> {
        let path = folder.join(name);
        own(folder)?;
        let failed = |source| LocalError::Open { path: path.clone(), source };
        // One process at a time looks, removes and binds. The file stays: one that is removed could be locked by a
        // process and made again by the next.
        let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LocalError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        if symlink_metadata(&path).is_ok() {
            // A release that knew no lock may serve.
            if Caller::connect(&path).is_ok() {
                return Err(LocalError::Busy { path });
            }
            // Left behind by a process that was killed.
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        Ok(Self { listener, path, _lock: lock })
    }

    /// The next caller.
    ///
    /// # Errors
    /// What the system says; the socket stays open.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // A socket that stays behind is recognised as such by the next process.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the folder for its owner alone, or sees to it that it is.
fn own(folder: &Path) -> Result<(), LocalError> {
    let wrong = |found: String| LocalError::Folder { folder: folder.to_path_buf(), found };
    // Made closed, so that there is no moment at which another user could connect.
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map_err(|error| wrong(format!("cannot be made: {error}"))),
    }
    let found = symlink_metadata(folder).map_err(|error| wrong(error.to_string()))?;
    if !found.is_dir() {
        return Err(wrong("is no folder".to_owned()));
    }
    if found.permissions().mode() & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "others could enter the socket's folder; closed to them now");
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))
            .map_err(|error| wrong(format!("others may enter it, and it cannot be closed to them: {error}")))?;
    }
    Ok(())
}

/// Sends a request to whoever serves at a socket and reads one line of at most `most` bytes. Neither side may be silent
/// for longer than `patience`.
///
/// # Errors
/// [`LocalError::Closed`], [`LocalError::Broken`], [`LocalError::Silent`].
pub fn ask(path: &Path, request: &[u8], most: u64, patience: Duration) -> Result<String, LocalError> {
    converse(path, request, most, patience, Some)
}

/// As [`ask`], and reads lines, of at most `most` bytes all together, until `heard` takes one as the answer.
///
/// # Errors
/// As [`ask`].
pub fn converse<T>(
    path: &Path,
    request: &[u8],
    most: u64,
    patience: Duration,
    mut heard: impl FnMut(String) -> Option<T>,
) -> Result<T, LocalError> {
    let failed = |source: io::Error| {
        let path = path.to_path_buf();
        // What a socket says at the end of its time differs between systems.
        match source.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => LocalError::Silent { path, waited: patience },
            _ => LocalError::Broken { path, source },
        }
    };
    let line = Caller::connect(path).map_err(|source| LocalError::Closed { path: path.to_path_buf(), source })?;
    line.set_read_timeout(Some(patience)).and_then(|()| line.set_write_timeout(Some(patience))).map_err(failed)?;
    (&line).write_all(request).map_err(failed)?;
    let mut lines = BufReader::new(line.take(most));
    loop {
        let mut reply = String::new();
        lines.read_line(&mut reply).map_err(failed)?;
        if !reply.ends_with('\n') {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        if let Some(answer) = heard(reply) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests;
