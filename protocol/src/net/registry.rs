//! Who holds how many connections, so that one peer cannot take all of them, with however many certificates, and so
//! that all of them end when it is put out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::limits::Limits;
use super::peer::KeyFingerprint;

/// Open connections by key.
#[derive(Debug)]
pub(super) struct Registry {
    /// What a key may have of connections, and of bytes under way.
    most: u32,
    bytes: u32,
    open: Mutex<BTreeMap<KeyFingerprint, Open>>,
}

#[derive(Debug)]
struct Open {
    share: u32,
    put_out: watch::Sender<()>,
    bytes: Arc<Semaphore>,
}

impl Registry {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let most = limits.connections_per_peer.saturating_mul(limits.streams_per_connection);
        Arc::new(Self { most, bytes: limits.bytes_per_peer, open: Mutex::default() })
    }

    /// Counts one more connection, which takes `share` of what a key may have, or none when it has too little left.
    pub(super) fn admit(self: &Arc<Self>, key: KeyFingerprint, share: u32) -> Option<Admitted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.get(&key).map_or(0, |open| open.share).saturating_add(share);
        if taken > self.most {
            return None;
        }
        let entry = open.entry(key).or_insert_with(|| Open {
            share: 0,
            put_out: watch::Sender::new(()),
            bytes: Arc::new(Semaphore::new(self.bytes as usize)),
        });
        entry.share = taken;
        let (put_out, bytes) = (entry.put_out.subscribe(), Arc::clone(&entry.bytes));
        Some(Admitted { registry: Arc::clone(self), key, share, put_out, bytes })
    }

    /// Tells all connections of this key to end, none of those to come. Returns how many there are.
    pub(super) fn put_out(&self, key: KeyFingerprint) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&key).map_or(0, |open| {
            open.put_out.send_replace(());
            open.put_out.receiver_count()
        })
    }
}

/// One counted connection; the count falls when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    registry: Arc<Registry>,
    key: KeyFingerprint,
    share: u32,
    put_out: watch::Receiver<()>,
    bytes: Arc<Semaphore>,
}

impl Admitted {
    /// Ready once the peer has been put out.
    pub(super) async fn put_out(&mut self) {
        // The sender lives as long as this is counted.
        let _ = self.put_out.changed().await;
    }

    /// Room for requests, which all connections of the key share.
    pub(super) fn bytes(&self) -> &Arc<Semaphore> {
        &self.bytes
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = open.get_mut(&self.key) {
            entry.share -= self.share;
            if entry.share == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_share_and_no_more() {
        let limits = Limits { connections_per_peer: 2, streams_per_connection: 4, ..Limits::default() };
        let registry = Registry::new(&limits);
        let one = KeyFingerprint::of_key(&[1]);
        let two = KeyFingerprint::of_key(&[2]);
        let first = registry.admit(one, 4);
        let second = registry.admit(one, 4);
        assert!(first.is_some() && second.is_some());
        assert!(registry.admit(one, 4).is_none());
        assert!(registry.admit(two, 4).is_some());
        assert!(Arc::ptr_eq(first.as_ref().unwrap().bytes(), second.as_ref().unwrap().bytes()));
        drop(first);
        let small: Vec<_> = (0..4).map_while(|_| registry.admit(one, 1)).collect();
        assert_eq!(small.len(), 4);
        assert!(registry.admit(one, 1).is_none());
        drop((small, second));
        assert!(registry.open.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_key_that_is_put_out_loses_what_it_has_and_not_what_comes_later() {
        let registry = Registry::new(&Limits::default());
        let (one, two) = (KeyFingerprint::of_key(&[1]), KeyFingerprint::of_key(&[2]));
        let (mut first, mut second) = (registry.admit(one, 1).unwrap(), registry.admit(one, 1).unwrap());
        let other = registry.admit(two, 1).unwrap();
        assert_eq!(registry.put_out(one), 2);
        let later = registry.admit(one, 1).unwrap();
        first.put_out().await;
        second.put_out().await;
        assert!(!other.put_out.has_changed().unwrap() && !later.put_out.has_changed().unwrap());
        assert_eq!(registry.put_out(KeyFingerprint::of_key(&[3])), 0);
    }
}
