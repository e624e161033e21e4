//! Bodies that hospitals sent or that the coordinator made: which are there, and which lists of them are complete.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
pub(crate) use protocol::drive::ListId;
use protocol::ids::{Digest, PartyId};
use protocol::limits::{BODIES_HELD_BYTES_MAX, BODIES_HELD_MAX, CHUNKS_MAX};
use protocol::store::{Journal, Once, Row, Spool};

use crate::error::CoordinatorError;

#[derive(Default)]
struct Index {
    lists: HashMap<ListId, BTreeMap<u32, (Digest, u64)>>,
    /// Bodies and bytes held, by maker.
    held: HashMap<Option<PartyId>, (u64, u64)>,
    /// Addresses per digest: one file may stand for several bodies, such as an asker's key sent with every query.
    uses: HashMap<Digest, u32>,
}

impl Index {
    fn hold(&mut self, id: &BlobId, digest: Digest, size: u64) {
        if self.lists.entry(ListId::of(id)).or_default().insert(id.index, (digest, size)).is_none() {
            let held = self.held.entry(id.party).or_default();
            *held = (held.0 + 1, held.1 + size);
            self.claim(digest);
        }
    }

    /// Keeps the file of this digest from being removed.
    fn claim(&mut self, digest: Digest) {
        *self.uses.entry(digest).or_default() += 1;
    }

    /// Gives a claim back; whether nobody needs the file any more.
    fn unclaim(&mut self, digest: Digest) -> bool {
        match self.uses.get_mut(&digest) {
            Some(uses) if *uses > 1 => {
                *uses -= 1;
                false
            }
            _ => {
                self.uses.remove(&digest);
                true
            }
        }
    }

    fn release(&mut self, list: ListId) -> Option<BTreeMap<u32, (Digest, u64)>> {
        let bodies = self.lists.remove(&list)?;
        let held = self.held.entry(list.party).or_default();
        let bytes: u64 = bodies.values().map(|(_, size)| size).sum();
        *held = (held.0.saturating_sub(bodies.len() as u64), held.1.saturating_sub(bytes));
        Some(bodies)
    }

    /// The coordinator's own bodies are sums of bounded numbers of bounded bodies.
    fn check_quota(&self, party: Option<PartyId>, size: u64) -> Result<(), CoordinatorError> {
        let Some(party) = party else { return Ok(()) };
        let (bodies, bytes) = self.held.get(&Some(party)).copied().unwrap_or_default();
        if bodies >= BODIES_HELD_MAX || bytes.saturating_add(size) > BODIES_HELD_BYTES_MAX {
            return Err(CoordinatorError::BodyQuota { party, bodies, bytes });
        }
        Ok(())
    }
}

/// The coordinator's bodies. The spool holds the bytes, the journal which address holds which digest.
pub(crate) struct Bodies {
    spool: Spool,
    cache: Spool,
    journal: std::sync::Arc<Journal>,
    index: Mutex<Index>,
}

const SPACE: &str = "body";

impl Bodies {
    /// Opens the bodies of a run folder; everything acknowledged earlier is there again.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the journal cannot be read.
    pub(crate) fn open(root: &Path, journal: std::sync::Arc<Journal>) -> Result<Self, CoordinatorError> {
        let (spool, cache) = (Spool::open(root)?, Spool::open_cache(root)?);
        let mut index = Index::default();
        for Row { key, value } in journal.all(SPACE)? {
            let (Ok(id), Some((digest, size))) = (BlobId::from_bytes(&key), decode(&value)) else { continue };
            index.hold(&id, digest, size);
        }
        Ok(Self { spool, cache, journal, index: Mutex::new(index) })
    }

    /// Stores a body under its address, durably, and returns its digest.
    ///
    /// # Errors
    /// [`CoordinatorError::BodyChanged`] where another body has this address already.
    pub(crate) fn put(&self, id: &BlobId, body: &[u8]) -> Result<Digest, CoordinatorError> {
        if id.index as usize > CHUNKS_MAX {
            return Err(CoordinatorError::BodyIndex { index: id.index });
        }
        let size = body.len() as u64;
        let digest = Digest::of_bytes(body);
        {
            let mut index = self.lock()?;
            index.check_quota(id.party, size)?;
            // Claimed before it is written, so that forgetting an equal body cannot take the file away in between.
            index.claim(digest);
        }
        let stored = self.store(id, body, digest);
        let mut index = self.lock()?;
        if stored.is_ok() {
            index.hold(id, digest, size);
        }
        if index.unclaim(digest) {
            // Refused: nothing of it stays, or a peer could fill the disk with changed bodies.
            self.spool.remove(&digest.0)?;
        }
        stored.map(|()| digest)
    }

    fn store(&self, id: &BlobId, body: &[u8], digest: Digest) -> Result<(), CoordinatorError> {
        // Updates and shares can be made only once, so they are synced. Parts of keys and models have a step to repeat.
        let spool = match id.kind {
            BlobKind::UpdateChunk | BlobKind::Share | BlobKind::SumChunk => &self.spool,
            _ => &self.cache,
        };
        spool.put(body)?;
        let mut value = digest.0.to_vec();
        value.extend_from_slice(&(body.len() as u64).to_le_bytes());
        if let Once::Existing(found) = self.journal.insert_once(SPACE, &id.to_bytes(), &value)?
            && found != value
        {
            return Err(CoordinatorError::BodyChanged { id: *id });
        }
        Ok(())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`CoordinatorError::BodyMissing`].
    pub(crate) fn get(&self, id: &BlobId) -> Result<Bytes, CoordinatorError> {
        Ok(Bytes::from(self.spool.get(&self.digest(id)?.0)?))
    }

    /// The digest of a body, without reading it.
    ///
    /// # Errors
    /// [`CoordinatorError::BodyMissing`].
    pub(crate) fn digest(&self, id: &BlobId) -> Result<Digest, CoordinatorError> {
        let index = self.lock()?;
        let found = index.lists.get(&ListId::of(id)).and_then(|list| list.get(&id.index));
        found.map(|(digest, _)| *digest).ok_or(CoordinatorError::BodyMissing { id: *id })
    }

    /// How long a body is, without reading it.
    ///
    /// # Errors
    /// [`CoordinatorError::BodyMissing`].
    pub(crate) fn size(&self, id: &BlobId) -> Result<u64, CoordinatorError> {
        let index = self.lock()?;
        let found = index.lists.get(&ListId::of(id)).and_then(|list| list.get(&id.index));
        found.map(|(_, size)| *size).ok_or(CoordinatorError::BodyMissing { id: *id })
    }

    /// Digests of a list as it is now, in order of index.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the index is lost.
    pub(crate) fn digests(&self, list: ListId) -> Result<Vec<Digest>, CoordinatorError> {
        let index = self.lock()?;
        Ok(index.lists.get(&list).into_iter().flat_map(BTreeMap::values).map(|(digest, _)| *digest).collect())
    }

    /// The root over a list as it is now.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the index is lost.
    pub(crate) fn root(&self, list: ListId) -> Result<BodyRoot, CoordinatorError> {
        let index = self.lock()?;
        Ok(index.lists.get(&list).map(root_of).unwrap_or_default())
    }

    /// Makes a list outlive a power cut: for what was stored quickly because its step could be repeated, once it
    /// cannot.
    ///
    /// # Errors
    /// [`CoordinatorError`] where a file is missing or cannot be synced.
    pub(crate) fn sync(&self, list: ListId) -> Result<(), CoordinatorError> {
        self.digests(list)?.iter().try_for_each(|digest| self.spool.sync(&digest.0).map_err(CoordinatorError::from))
    }

    /// Forgets a list and frees its bytes: after its sum is stored, the parts are of no use.
    ///
    /// # Errors
    /// [`CoordinatorError`] where a file cannot be removed.
    pub(crate) fn forget(&self, list: ListId) -> Result<(), CoordinatorError> {
        let Some(bodies) = self.lock()?.release(list) else { return Ok(()) };
        for (place, (digest, _)) in bodies {
            self.journal.remove(SPACE, &list.body(place).to_bytes())?;
            // Under the lock: nobody may claim the file between the count and its removal.
            let mut index = self.lock()?;
            if index.unclaim(digest) {
                self.spool.remove(&digest.0)?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<std::sync::MutexGuard<'_, Index>, CoordinatorError> {
        self.index.lock().map_err(|_| CoordinatorError::Abandoned)
    }
}

fn root_of(bodies: &BTreeMap<u32, (Digest, u64)>) -> BodyRoot {
    let digests: Vec<Digest> = bodies.values().map(|(digest, _)| *digest).collect();
    BodyRoot::of(&digests, bodies.values().map(|(_, size)| size).sum())
}

fn decode(value: &[u8]) -> Option<(Digest, u64)> {
    let (digest, size) = value.split_first_chunk::<32>()?;
    Some((Digest(*digest), u64::from_le_bytes(size.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn bodies(folder: &std::path::Path) -> Bodies {
        let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).unwrap());
        Bodies::open(&folder.join("spool"), journal).unwrap()
    }

    #[test]
    fn a_hospital_that_sends_without_end_is_refused() {
        let mut index = Index::default();
        let party = PartyId::new(3);
        let list = ListId { kind: BlobKind::UpdateChunk, round: 1, attempt: 1, party };
        index.hold(&list.body(0), Digest::default(), BODIES_HELD_BYTES_MAX - 10);
        assert!(index.check_quota(party, 10).is_ok());
        assert!(matches!(index.check_quota(party, 11), Err(CoordinatorError::BodyQuota { bodies: 1, .. })));
        assert!(index.check_quota(PartyId::new(4), 11).is_ok(), "others are not held up");
        index.release(list);
        assert!(index.check_quota(party, 11).is_ok());
    }

    #[test]
    fn a_list_has_its_signed_root_when_all_is_there_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let list = ListId { kind: BlobKind::UpdateChunk, round: 1, attempt: 1, party: PartyId::new(2) };
        let root = BodyRoot::of(&[Digest::of_bytes(b"x"), Digest::of_bytes(b"y")], 2);
        let first = bodies(folder.path());
        first.put(&list.body(1), b"y").unwrap();
        assert_ne!(first.root(list).unwrap(), root);
        drop(first);
        let second = bodies(folder.path());
        assert_ne!(second.root(list).unwrap(), root);
        second.put(&list.body(0), b"x").unwrap();
        assert_eq!(second.root(list).unwrap(), root);
        assert!(matches!(second.put(&list.body(0), b"z"), Err(CoordinatorError::BodyChanged { .. })));
        assert!(!second.spool.contains(&Digest::of_bytes(b"z").0), "a refused body takes no space");
        assert_eq!(second.get(&list.body(1)).unwrap(), "y");
        second.forget(list).unwrap();
        assert!(matches!(second.get(&list.body(1)), Err(CoordinatorError::BodyMissing { .. })));
    }

    #[test]
    fn one_body_under_two_addresses_is_there_until_both_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let list = |round| ListId { kind: BlobKind::PublishChunk, round, attempt: 0, party: PartyId::new(2) };
        let first = bodies(folder.path());
        first.put(&list(1).body(0), b"key").unwrap();
        first.put(&list(2).body(0), b"key").unwrap();
        first.put(&list(2).body(0), b"key").unwrap();
        drop(first);
        let second = bodies(folder.path());
        second.forget(list(1)).unwrap();
        second.sync(list(2)).unwrap();
        assert_eq!(second.get(&list(2).body(0)).unwrap(), "key");
        second.forget(list(2)).unwrap();
        assert!(!second.spool.contains(&Digest::of_bytes(b"key").0), "nobody needs the file");
        assert!(matches!(second.get(&list(2).body(0)), Err(CoordinatorError::BodyMissing { .. })));
    }
}
