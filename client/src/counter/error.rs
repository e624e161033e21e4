//! Why a counter cannot be opened or gives no answer.

use std::borrow::Cow;
use std::path::PathBuf;

use protocol::local::LocalError;
use remedy::{Exit, Explained};

/// Why a counter cannot be opened or gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// The socket.
    #[error(transparent)]
    Socket(#[from] LocalError),
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
            Self::Socket(LocalError::Closed { .. }) => {
                "start `consilium serve RUN` in another terminal, then ask again"
            }
            Self::Socket(LocalError::Busy { .. }) => "ask the process that serves it, or stop that process first",
            Self::Socket(LocalError::Folder { .. }) => "remove what stands there, or correct its owner and permissions",
            Self::Socket(LocalError::Silent { .. }) => {
                "look into the log of the process that serves it; it may be stuck"
            }
            Self::Socket(LocalError::Broken { .. }) => {
                "start `consilium serve RUN` again if it has ended, then ask again"
            }
            Self::Socket(_) => "keep the run on a local disk, where the socket's path has at most 107 bytes",
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
