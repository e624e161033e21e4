//! A store in memory: what is in it survives the death of a process, what was not written yet does not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use protocol::drive::{ListId, Store, StoreFault, Stream};
use protocol::{BlobId, BodyRoot, Digest};

use crate::rng::Rng;

/// The disk of one party.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) streams: BTreeMap<Stream, Vec<Bytes>>,
    pub(crate) bodies: BTreeMap<BlobId, Bytes>,
    /// Writes done or tried by the process that lives now.
    pub(crate) writes: u64,
    /// At this write the process dies; whether the write is still done.
    pub(crate) dies_at: Option<(u64, bool)>,
    /// The process is dead: it does nothing any more.
    pub(crate) is_dead: bool,
    /// Of writes that fail.
    pub(crate) fault_percent: u64,
    pub(crate) faults: u64,
    rng: Option<Rng>,
}

impl Disk {
    pub(crate) fn new(seed: u64, fault_percent: u64) -> Self {
        Self { fault_percent, rng: Some(Rng::new(seed)), ..Self::default() }
    }
}

/// A handle on a disk.
#[derive(Clone)]
pub(crate) struct SimStore(pub(crate) Rc<RefCell<Disk>>);

fn failed(text: &'static str) -> StoreFault {
    StoreFault::Failed { source: Arc::new(std::io::Error::other(text)), is_full: true }
}

impl SimStore {
    /// Counts a write; the process may die before or after it, or the disk may refuse it.
    fn write<T>(&self, work: impl FnOnce(&mut Disk) -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        let mut disk = self.0.borrow_mut();
        if disk.is_dead {
            return Err(failed("the process is dead"));
        }
        disk.writes += 1;
        let percent = disk.fault_percent;
        if percent > 0 && disk.rng.as_mut().is_some_and(|rng| rng.percent(percent)) {
            disk.faults += 1;
            return Err(failed("no space left"));
        }
        match disk.dies_at {
            Some((at, is_written)) if at == disk.writes => {
                disk.is_dead = true;
                if is_written {
                    work(&mut disk)?;
                }
                Err(failed("the process died"))
            }
            _ => work(&mut disk),
        }
    }
}

impl Store for SimStore {
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault> {
        self.write(|disk| {
            let records = disk.streams.entry(stream).or_default();
            records.push(Bytes::copy_from_slice(record));
            Ok(records.len() as u64 - 1)
        })
    }

    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault> {
        Ok(self.0.borrow().streams.get(&stream).cloned().unwrap_or_default())
    }

    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault> {
        self.write(|disk| {
            disk.streams.remove(&stream);
            Ok(())
        })
    }

    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault> {
        self.write(|disk| {
            let known = disk.bodies.entry(*id).or_insert_with(|| body.clone());
            if known == body { Ok(Digest::of_bytes(body)) } else { Err(StoreFault::Differs { id: *id }) }
        })
    }

    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault> {
        self.0.borrow().bodies.get(id).cloned().ok_or(StoreFault::Missing { id: *id })
    }

    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault> {
        let disk = self.0.borrow();
        let bodies = disk.bodies.iter().filter(|(id, _)| ListId::of(id) == list);
        Ok(bodies.map(|(_, body)| Digest::of_bytes(body)).collect())
    }

    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault> {
        let disk = self.0.borrow();
        let bodies = disk.bodies.iter().filter(|(id, _)| ListId::of(id) == list);
        let (digests, sizes): (Vec<_>, Vec<_>) =
            bodies.map(|(_, body)| (Digest::of_bytes(body), body.len() as u64)).unzip();
        Ok(if digests.is_empty() { BodyRoot::default() } else { BodyRoot::of(&digests, sizes.iter().sum()) })
    }

    fn forget(&mut self, list: ListId) -> Result<(), StoreFault> {
        self.write(|disk| {
            disk.bodies.retain(|id, _| ListId::of(id) != list);
            Ok(())
        })
    }
}
