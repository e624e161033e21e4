//! What can go wrong at a hospital, each with its remedy.

use protocol::PartyId;
use protocol::blob::BlobId;
use protocol::codec::DecodeError;
use protocol::net::NetError;
use protocol::sealed::SealError;
use protocol::store::{JournalError, StoreError};

use crate::train::TrainError;
use crate::vault::VaultError;

/// Why a hospital stopped or could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HospitalError {
    /// The line to the coordinator.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The coordinator's answer cannot be read.
    #[error("the coordinator's answer cannot be read: {0}; bring both sides to one release")]
    Answer(DecodeError),
    /// The coordinator answered another question.
    #[error("the coordinator answered with {kind} to another question; bring both sides to one release")]
    AnswerKind {
        /// What came.
        kind: &'static str,
    },
    /// The coordinator stored other bytes than were sent.
    #[error("the coordinator stored other bytes than were sent for {id:?}; ask its operator to check the disk")]
    StoredOtherwise {
        /// The body.
        id: BlobId,
    },
    /// A fetched body is not the one that was announced.
    #[error(
        "{id:?} does not have the digest that was announced for it; the coordinator's disk or the coordinator itself \
         is at fault"
    )]
    BodyDiffers {
        /// The body.
        id: BlobId,
    },
    /// A body that should be sent is not stored.
    #[error("{id:?} is not stored at this site; its step was not finished before a restart")]
    BodyMissing {
        /// The body.
        id: BlobId,
    },
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The spool refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Local training failed.
    #[error("{party}: {source}")]
    Train {
        /// Where.
        party: PartyId,
        /// Why.
        source: TrainError,
    },
    /// A sealed box failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A dealing is malformed.
    #[error("the keys dealt by {dealer} are malformed: {source}")]
    Dealing {
        /// Who dealt.
        dealer: PartyId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cryptographic step failed.
    #[error("{step} failed: {source}")]
    Crypto {
        /// Which step.
        step: &'static str,
        /// The library's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step was asked for before the one it needs.
    #[error("{step} was asked for before its keys exist; the key ceremony of this epoch did not finish here")]
    NoKeys {
        /// Which step.
        step: &'static str,
    },
    /// The query got no answer.
    #[error("the query got no answer: {reject}")]
    NoAnswer {
        /// Why.
        reject: protocol::Reject,
    },
    /// This hospital was lost before the model was published.
    #[error(
        "{party} was not there when the model was published, so it cannot vouch for it: it neither asks nor helps \
         others; it takes part again after the next training run"
    )]
    NothingPublished {
        /// Which.
        party: protocol::PartyId,
    },
    /// The query was taken and never answered.
    #[error("query {query} got no answer within {seconds} s; ask again, which encrypts the image anew")]
    Unanswered {
        /// The query.
        query: protocol::ids::QueryId,
        /// How long this hospital waited.
        seconds: u64,
    },
    /// The coordinator ended the participation.
    #[error("the run ended: {reason}")]
    Stopped {
        /// One sentence.
        reason: String,
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

impl HospitalError {
    pub(crate) fn crypto(step: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Crypto { step, source }
    }
}

/// Shorthand for wrapping library errors with the step they belong to.
pub(crate) trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, HospitalError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, HospitalError> {
        self.map_err(|source| HospitalError::crypto(step)(Box::new(source)))
    }
}
