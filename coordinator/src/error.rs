//! What can go wrong at the coordinator, each with its remedy.

use protocol::blob::BlobId;
use protocol::drive::StoreFault;
use protocol::drive::coordinator::ResumeError;
use protocol::store::{JournalError, StoreError};

/// Why the coordinator stopped or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinatorError {
    /// The spool refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The network refused.
    #[error(transparent)]
    Net(#[from] protocol::net::NetError),
    /// A ciphertext, key or share is malformed.
    #[error("{what} of {maker} cannot be used: {source}")]
    Malformed {
        /// Which body.
        what: &'static str,
        /// Whose.
        maker: String,
        /// The decoder's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An encrypted computation failed.
    #[error("{what} failed: {source}")]
    Evaluation {
        /// Which computation.
        what: &'static str,
        /// The library's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A body address is used twice.
    #[error(
        "{id:?} was stored before with other bytes; a body never changes, so its sender has to use the next attempt"
    )]
    BodyChanged {
        /// The address.
        id: BlobId,
    },
    /// A hospital holds all the space it may.
    #[error(
        "{party} has {bodies} bodies of {bytes} bytes stored, which is all that one hospital may; it is refused more"
    )]
    BodyQuota {
        /// Whose.
        party: protocol::PartyId,
        /// How many.
        bodies: u64,
        /// How large.
        bytes: u64,
    },
    /// The folder does not let the coordinator go on.
    #[error("{}: {source}", folder.display())]
    Resume {
        /// The folder.
        folder: std::path::PathBuf,
        /// Why.
        source: protocol::drive::coordinator::ResumeError,
    },
    /// A body is not there.
    #[error("{id:?} is not stored here; it has to be sent first")]
    BodyMissing {
        /// The address.
        id: BlobId,
    },
    /// Keys of a training that is not planned.
    #[error("the plan of this coordinator has no head to train, so that no keys are made for one")]
    NoHead,
    /// A body's index is outside its list.
    #[error("body index {index} is outside every list")]
    BodyIndex {
        /// The index.
        index: u32,
    },
    /// A worker thread died.
    #[error("a worker thread of the coordinator died; restart the process, the run resumes from its journal")]
    Abandoned,
    /// A stored log does not continue.
    #[error("the stored log is damaged at entry {index}; restore the coordinator's folder from its own backup")]
    LogDamaged {
        /// The entry.
        index: u64,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
}

impl CoordinatorError {
    /// Whether the disk is full: the same work succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        match self {
            Self::Store(error) => error.no_space_left(),
            Self::Journal(error) => error.no_space_left(),
            Self::Io { source, .. } => protocol::store::no_space_left(source),
            Self::Resume { source: ResumeError::Store(StoreFault::Failed { is_full, .. }), .. } => *is_full,
            _ => false,
        }
    }

    /// Whether the disk or the file system is at fault, and not what was to be stored or read.
    #[must_use]
    pub fn is_storage(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(error, StoreError::Missing { .. } | StoreError::Damaged { .. }),
            Self::Journal(_) | Self::Io { .. } => true,
            _ => false,
        }
    }

    /// A body of `maker` (the coordinator itself where `None`) that cannot be used.
    pub(crate) fn malformed(
        what: &'static str,
        maker: Option<protocol::PartyId>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let maker = maker.map_or_else(|| "the coordinator".to_owned(), |party| party.to_string());
        Self::Malformed { what, maker, source: Box::new(source) }
    }

    /// A body that names another maker inside than the hospital that sent it.
    pub(crate) fn misattributed(what: &'static str, maker: protocol::PartyId, named: u16) -> Self {
        Self::malformed(what, Some(maker), std::io::Error::other(format!("its header names hospital-{named}")))
    }

    /// An encrypted computation that failed.
    pub(crate) fn evaluation(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Evaluation { what, source: Box::new(source) }
    }
}
