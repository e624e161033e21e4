//! A hospital's store, as its driver needs it: facts in the journal, the nonce in the vault, bodies in the outbox.

use std::sync::Arc;

use bytes::Bytes;
use protocol::blob::{BlobId, BodyRoot};
use protocol::drive::{ListId, Store, StoreFault, Stream};
use protocol::ids::Digest;
use protocol::store::Journal;

use super::error::HospitalError;
use super::outbox::Outbox;
use crate::vault::Vault;

/// Records of one key epoch, and the bodies that were made in it.
pub(super) struct SiteStore {
    pub(super) journal: Arc<Journal>,
    pub(super) vault: Arc<Vault>,
    pub(super) outbox: Arc<Outbox>,
    /// Before every record's name: nothing of one epoch may be mistaken for another's.
    pub(super) epoch: String,
}

impl SiteStore {
    fn name(&self, stream: Stream) -> String {
        match stream {
            // Numbers of queries are never used again, in no epoch.
            Stream::Queries => "queries".to_owned(),
            Stream::Facts => format!("{}facts", self.epoch),
            other => format!("{}{other:?}", self.epoch),
        }
    }

    /// The ceremony's nonce, secret until it is revealed.
    fn nonce(&self) -> String {
        format!("{}nonce", self.epoch)
    }
}

/// The store's words for an error of this site.
pub(super) fn fault(error: HospitalError) -> StoreFault {
    match error {
        HospitalError::BodyMissing { id } => StoreFault::Missing { id },
        HospitalError::BodyDiffers { id } => StoreFault::Differs { id },
        other => {
            let is_full = other.no_space_left();
            StoreFault::Failed { source: Arc::new(other), is_full }
        }
    }
}

impl Store for SiteStore {
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault> {
        if stream == Stream::SealedFacts {
            self.vault.put(&self.nonce(), record).map_err(|error| fault(error.into()))?;
            return Ok(0);
        }
        self.journal.append(&self.name(stream), record).map_err(|error| fault(error.into()))
    }

    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault> {
        if stream == Stream::SealedFacts {
            if !self.vault.contains(&self.nonce()) {
                return Ok(Vec::new());
            }
            let record = self.vault.get(&self.nonce()).map_err(|error| fault(error.into()))?;
            return Ok(vec![Bytes::copy_from_slice(&record)]);
        }
        let records = self.journal.read(&self.name(stream), 0, u32::MAX).map_err(|error| fault(error.into()))?;
        Ok(records.into_iter().map(Bytes::from).collect())
    }

    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault> {
        self.journal.clear(&self.name(stream)).map_err(|error| fault(error.into()))
    }

    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault> {
        self.outbox.put(*id, body.to_vec()).map_err(fault)
    }

    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault> {
        self.outbox.get(id).map_err(fault)
    }

    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault> {
        Ok(self.outbox.digests_of(list))
    }

    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault> {
        self.outbox.root_of(list).map_err(fault)
    }

    fn forget(&mut self, list: ListId) -> Result<(), StoreFault> {
        self.outbox.delivered(list);
        Ok(())
    }
}
