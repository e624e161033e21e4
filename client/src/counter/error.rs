//! Why a counter cannot be opened or gives no answer.

use std::borrow::Cow;
use std::path::PathBuf;

use remedy::{Exit, Explained};

/// Why a counter cannot be opened or gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// Nobody serves there.
    #[error("{}: nobody serves this run ({source})", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Somebody serves already.
    #[error("{}: this run is being served already", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("{}: cannot open the counter: {source}", path.display())]
    Open {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The line broke.
    #[error("{}: the service ended while it was asked: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The reply is none.
    #[error("{}: the reply cannot be read ({found})", path.display())]
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

impl Explained for CounterError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "query_refused",
            _ => "not_served",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Closed { .. } => "start `consilium serve RUN` in another terminal, then ask again",
            Self::Busy { .. } => "ask the process that serves it, or stop that process first",
            Self::Open { .. } => "keep the run on a local disk, where the socket's path has at most 107 bytes",
            Self::Broken { .. } => "start `consilium serve RUN` again if it has ended, then ask again",
            Self::Malformed { .. } => "run `serve` and `query` from the same release",
            Self::Refused(_) => "correct the image, wait, or have a new model trained, as the reason says",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Refused,
            _ => Exit::Connection,
        }
    }
}
