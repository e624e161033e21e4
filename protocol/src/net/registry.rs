//! Who holds how many connections, so that one peer cannot take all of them, with however many certificates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::peer::KeyFingerprint;

/// Open connections by key.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<BTreeMap<KeyFingerprint, u32>>,
}

impl Registry {
    /// Counts one more connection, or none when the key already has `most`.
    pub(super) fn admit(self: &Arc<Self>, key: KeyFingerprint, most: u32) -> Option<Admitted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&key).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(key, count + 1);
        Some(Admitted { registry: Arc::clone(self), key })
    }
}

/// One counted connection; the count falls when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    registry: Arc<Registry>,
    key: KeyFingerprint,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
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
        let first = registry.admit(one, 2);
        let second = registry.admit(one, 2);
        assert!(first.is_some() && second.is_some());
        assert!(registry.admit(one, 2).is_none());
        assert!(registry.admit(two, 2).is_some());
        drop(first);
        assert!(registry.admit(one, 2).is_some());
        drop(second);
        assert!(registry.open.lock().unwrap().is_empty());
    }
}
