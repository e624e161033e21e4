//! What this site added up or compared, and evaluates with: all gate keys, the relinearisation key, the rotation keys,
//! the published model. All of it is public; what counts is that this site made it, so it is never fetched as a whole
//! from anybody.

use std::path::Path;
use std::sync::Arc;

use protocol::blob::{BodyRoot, ListId};
use protocol::codec::{Wire, Writer};
use protocol::ids::{Digest, Epoch};
use protocol::store::{Journal, Spool};

use super::error::HospitalError;

/// One body: its digest, and its length.
pub(super) type Held = (Digest, u64);

/// Sums on disk, in one key epoch.
pub(super) struct Holdings {
    spool: Spool,
    journal: Arc<Journal>,
    space: String,
}

impl Holdings {
    pub(super) fn open(root: &Path, journal: Arc<Journal>, epoch: Epoch) -> Result<Self, HospitalError> {
        Ok(Self { spool: Spool::open_cache(root)?, journal, space: format!("epoch-{epoch}-sums") })
    }

    /// Writes a body; it belongs to nothing until its list is kept.
    pub(super) fn write(&self, body: &[u8]) -> Result<Held, HospitalError> {
        Ok((Digest(self.spool.put(body)?), body.len() as u64))
    }

    /// Keeps a list for good, in place of an earlier one.
    pub(super) fn keep(&self, list: ListId, bodies: &[Held]) -> Result<(), HospitalError> {
        for (digest, _) in bodies {
            self.spool.sync(&digest.0)?;
        }
        let mut record = Writer::default();
        bodies.iter().for_each(|(digest, _)| record.array(&digest.0));
        Ok(self.journal.put(&self.space, &list.to_bytes(), &record.into_bytes())?)
    }

    /// Removes bodies that are not kept.
    pub(super) fn remove(&self, bodies: &[Held]) -> Result<(), HospitalError> {
        bodies.iter().try_for_each(|(digest, _)| Ok(self.spool.remove(&digest.0)?))
    }

    /// Removes a list that was kept.
    pub(super) fn forget(&self, list: ListId) -> Result<(), HospitalError> {
        for digest in self.digests(list)? {
            self.spool.remove(&digest.0)?;
        }
        Ok(self.journal.put(&self.space, &list.to_bytes(), &[])?)
    }

    /// Digests of a list that was kept; empty of any other.
    pub(super) fn digests(&self, list: ListId) -> Result<Vec<Digest>, HospitalError> {
        let record = self.journal.get(&self.space, &list.to_bytes())?.unwrap_or_default();
        Ok(record.as_chunks::<32>().0.iter().copied().map(Digest).collect())
    }

    /// A body, checked against its digest.
    pub(super) fn read(&self, digest: Digest) -> Result<Vec<u8>, HospitalError> {
        Ok(self.spool.get(&digest.0)?)
    }
}

/// The root over bodies.
pub(super) fn root_of(bodies: &[Held]) -> BodyRoot {
    let digests: Vec<Digest> = bodies.iter().map(|(digest, _)| *digest).collect();
    BodyRoot::of(&digests, bodies.iter().map(|(_, size)| size).sum())
}
