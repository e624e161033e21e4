//! Why a counter cannot be opened or gives no answer.

use std::path::PathBuf;

/// Why a counter cannot be opened or gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// Nobody serves there.
    #[error("{}: nobody serves this run ({source}); start it with consilium serve RUN", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Somebody serves already.
    #[error("{}: this run is being served already; stop the other process first", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error(
        "{}: cannot open the counter: {source}; sockets need a path of at most 107 bytes on a local file system",
        path.display()
    )]
    Open {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The line broke.
    #[error("{}: the service ended while it was asked: {source}; ask again", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The reply is none.
    #[error("{}: the reply cannot be read ({found}); client and service are of different releases", path.display())]
    Malformed {
        /// The socket.
        path: PathBuf,
        /// What came.
        found: String,
    },
    /// The hospital or the federation refused.
    #[error("{0}")]
    Refused(String),
}
