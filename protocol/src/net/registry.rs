//! Who holds how many connections, so that one peer cannot take all of them, with however many certificates, and so
//! that all of them end when it is put out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::peer::KeyFingerprint;

/// Open connections by key.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<BTreeMap<KeyFingerprint, Open>>,
}

#[derive(Debug)]
struct Open {
    share: u32,
    put_out: watch::Sender<()>,
}

impl Registry {
    /// Counts one more connection, which takes `share` of what a key may have, or none when `most` are not enough.
    pub(super) fn admit(self: &Arc<Self>, key: KeyFingerprint, share: u32, most: u32) -> Option<Admitted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.get(&key).map_or(0, |open| open.share).saturating_add(share);
        if taken > most {
            return None;
        }
        let entry = open.entry(key).or_insert_with(|| Open { share: 0, put_out: watch::Sender::new(()) });
        entry.share = taken;
        Some(Admitted { registry: Arc::clone(self), key, share, put_out: entry.put_out.subscribe() })
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
}

impl Admitted {
    /// Ready once the peer has been put out.
    pub(super) async fn put_out(&mut self) {
        // The sender lives as long as this is counted.
        let _ = self.put_out.changed().await;
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
        let registry = Arc::new(Registry::default());
        let one = KeyFingerprint::of_key(&[1]);
        let two = KeyFingerprint::of_key(&[2]);
        let first = registry.admit(one, 4, 8);
        let second = registry.admit(one, 4, 8);
        assert!(first.is_some() && second.is_some());
        assert!(registry.admit(one, 4, 8).is_none());
        assert!(registry.admit(two, 4, 8).is_some());
        drop(first);
        let small: Vec<_> = (0..4).map_while(|_| registry.admit(one, 1, 8)).collect();
        assert_eq!(small.len(), 4);
        assert!(registry.admit(one, 1, 8).is_none());
        drop((small, second));
        assert!(registry.open.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_key_that_is_put_out_loses_what_it_has_and_not_what_comes_later() {
        let registry = Arc::new(Registry::default());
        let (one, two) = (KeyFingerprint::of_key(&[1]), KeyFingerprint::of_key(&[2]));
        let (mut first, mut second) = (registry.admit(one, 1, 9).unwrap(), registry.admit(one, 1, 9).unwrap());
        let other = registry.admit(two, 1, 9).unwrap();
        assert_eq!(registry.put_out(one), 2);
        let later = registry.admit(one, 1, 9).unwrap();
        first.put_out().await;
        second.put_out().await;
        assert!(!other.put_out.has_changed().unwrap() && !later.put_out.has_changed().unwrap());
        assert_eq!(registry.put_out(KeyFingerprint::of_key(&[3])), 0);
    }
}
