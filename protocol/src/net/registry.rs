//! Who holds how many connections, so that one certificate cannot take all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::peer::Fingerprint;

/// Open connections by certificate.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<BTreeMap<Fingerprint, u32>>,
}

impl Registry {
    /// Counts one more connection, or none when the certificate already has `most`.
    pub(super) fn admit(self: &Arc<Self>, fingerprint: Fingerprint, most: u32) -> Option<Admitted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&fingerprint).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(fingerprint, count + 1);
        Some(Admitted { registry: Arc::clone(self), fingerprint })
    }
}

/// One counted connection; the count falls when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    registry: Arc<Registry>,
    fingerprint: Fingerprint,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.fingerprint) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use super::*;

    #[test]
    fn a_certificate_gets_its_share_and_no_more() {
        let registry = Arc::new(Registry::default());
        let one = Fingerprint::of(&CertificateDer::from(vec![1]));
        let two = Fingerprint::of(&CertificateDer::from(vec![2]));
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
