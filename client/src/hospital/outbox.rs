//! Bodies this hospital made. Encrypted updates, shares and sealed boxes stay on disk, so that a repeat sends the same
//! bytes. All others are made again, from sealed secrets and to the same bytes, where a restart lost them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
use protocol::drive::ListId;
use protocol::ids::{Digest, Epoch};
use protocol::store::{Journal, Once, Spool};

use super::error::HospitalError;

/// The outbox of one site.
pub(crate) struct Outbox {
    spool: Spool,
    journal: Arc<Journal>,
    space: String,
    /// Bodies on their way, by list.
    passing: Mutex<BTreeMap<BlobId, Bytes>>,
}

impl Outbox {
    /// Opens the outbox of one key epoch: round numbers begin again in the next one.
    pub(crate) fn open(root: &Path, journal: Arc<Journal>, epoch: Epoch) -> Result<Self, HospitalError> {
        let space = format!("epoch-{epoch}-outbox");
        Ok(Self { spool: Spool::open(root)?, journal, space, passing: Mutex::default() })
    }

    /// Stores a body; one that must never be made twice is on disk when this returns.
    pub(crate) fn put(&self, id: BlobId, body: Vec<u8>) -> Result<Digest, HospitalError> {
        if !once_only(id.kind) {
            let digest = Digest::of_bytes(&body);
            self.passing().insert(id, Bytes::from(body));
            return Ok(digest);
        }
        let digest = self.spool.put(&body)?;
        match self.journal.insert_once(&self.space, &id.to_bytes(), &digest)? {
            Once::Existing(found) if found != digest => Err(HospitalError::BodyDiffers { id }),
            _ => Ok(Digest(digest)),
        }
    }

    /// A stored body.
    pub(crate) fn get(&self, id: &BlobId) -> Result<Bytes, HospitalError> {
        if let Some(body) = self.passing().get(id) {
            return Ok(body.clone());
        }
        let stored = self.journal.get(&self.space, &id.to_bytes())?;
        let digest = stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let digest = digest.ok_or(HospitalError::BodyMissing { id: *id })?;
        Ok(Bytes::from(self.spool.get(&digest)?))
    }

    /// A body that was made once and is on disk, if it was made.
    pub(crate) fn stored(&self, id: &BlobId) -> Result<Option<Bytes>, HospitalError> {
        match self.get(id) {
            Ok(body) => Ok(Some(body)),
            Err(HospitalError::BodyMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Frees the disk of a body that nobody will ask for again. That it was made stays on record.
    pub(crate) fn forget(&self, id: &BlobId) -> Result<(), HospitalError> {
        self.passing().remove(id);
        let stored = self.journal.get(&self.space, &id.to_bytes())?;
        match stored.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            Some(digest) => Ok(self.spool.remove(&digest)?),
            None => Ok(()),
        }
    }

    /// The bodies of a list that are stored already, from index `first` on, with their root.
    pub(crate) fn root(&self, first: BlobId, count: u32) -> Result<BodyRoot, HospitalError> {
        let (mut digests, mut size) = (Vec::new(), 0);
        for index in first.index..first.index + count {
            let body = self.get(&BlobId { index, ..first })?;
            digests.push(Digest::of_bytes(&body));
            size += body.len() as u64;
        }
        Ok(BodyRoot::of(&digests, size))
    }

    /// The root over everything of a list that is on its way.
    pub(crate) fn root_of(&self, list: ListId) -> Result<BodyRoot, HospitalError> {
        let passing = self.passing();
        let bodies: Vec<&Bytes> =
            passing.iter().filter(|(id, _)| ListId::of(id) == list).map(|(_, body)| body).collect();
        let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
        Ok(BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum()))
    }

    /// Digests of everything of a list that is on its way.
    pub(crate) fn digests_of(&self, list: ListId) -> Vec<Digest> {
        let passing = self.passing();
        passing.iter().filter(|(id, _)| ListId::of(id) == list).map(|(_, body)| Digest::of_bytes(body)).collect()
    }

    /// Frees the memory of a list that was delivered.
    pub(crate) fn delivered(&self, list: ListId) {
        self.passing().retain(|id, _| ListId::of(id) != list);
    }

    fn passing(&self) -> MutexGuard<'_, BTreeMap<BlobId, Bytes>> {
        // A panic elsewhere leaves whole bodies behind.
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn once_only(kind: BlobKind) -> bool {
    matches!(kind, BlobKind::Dealing | BlobKind::UpdateChunk | BlobKind::Share | BlobKind::SwitchShare)
}
