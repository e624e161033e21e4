//! What must outlive the process: streams of records, and bodies by address.

use std::sync::Arc;

use bytes::Bytes;

use crate::blob::{BlobId, BodyRoot, ListId};
use crate::ids::{Digest, PartyId};

/// Append-only records of one role in one key epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The coordinator's log: what was decided.
    Log,
    /// The phases that the coordinator began, with what each began from.
    Phases,
    /// What the phase of this number was told, in order, before anybody was told that it was.
    Inbox(u64),
    /// What the hospital must never forget.
    Facts,
    /// Of these, what is secret: sealed where it is stored.
    SealedFacts,
    /// One empty record per query number that was taken.
    Queries,
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// No body has this address.
    #[error("{id:?} is not stored here; it has to be sent first")]
    Missing {
        /// The address.
        id: BlobId,
    },
    /// Another body has this address already.
    #[error(
        "{id:?} was stored before with other bytes; a body never changes, so its sender has to use the next attempt"
    )]
    Differs {
        /// The address.
        id: BlobId,
    },
    /// The maker holds all the space that one may.
    #[error("{party} holds all the space that one hospital may; it is refused more")]
    Quota {
        /// Whose.
        party: PartyId,
    },
    /// The disk or the file system; the same request may succeed later.
    #[error("{source}")]
    Failed {
        /// The store's own reason.
        source: Arc<dyn std::error::Error + Send + Sync>,
        /// Whether no space is left.
        is_full: bool,
    },
}

/// Durable storage: what a method has returned from survives the process.
pub trait Store {
    /// Appends a record and returns its place, counted from 0.
    ///
    /// # Errors
    /// [`StoreFault::Failed`]; then nothing was appended.
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault>;

    /// All records of a stream, oldest first.
    ///
    /// # Errors
    /// [`StoreFault::Failed`].
    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault>;

    /// Forgets a whole stream.
    ///
    /// # Errors
    /// [`StoreFault::Failed`].
    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault>;

    /// Stores a body under its address and returns its digest; the same bytes again are fine.
    ///
    /// # Errors
    /// [`StoreFault::Differs`], [`StoreFault::Quota`] or [`StoreFault::Failed`]; then nothing of it stays.
    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault>;

    /// Reads a body.
    ///
    /// # Errors
    /// [`StoreFault::Missing`] or [`StoreFault::Failed`].
    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault>;

    /// Digests of a list's bodies as it is now, in order of index.
    ///
    /// # Errors
    /// [`StoreFault::Failed`].
    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault>;

    /// The root over a list as it is now; empty where nothing of it is stored.
    ///
    /// # Errors
    /// [`StoreFault::Failed`].
    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault>;

    /// Forgets the bodies of a list; an absent one is ignored.
    ///
    /// # Errors
    /// [`StoreFault::Failed`].
    fn forget(&mut self, list: ListId) -> Result<(), StoreFault>;
}
