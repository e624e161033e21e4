//! Thirty-two byte keys: masks between hospitals, and a vault's own secret.

use crate::error::Error;
use crate::stream::Stream;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A key from which masks are expanded: shared by a pair of hospitals, or by
/// all of them and not by the coordinator.
pub struct MaskKey {
    bytes: Zeroizing<[u8; 32]>,
}

impl MaskKey {
    /// The key of a pair, from the halves that the two chose.
    ///
    /// Both sides get the same key: the halves enter in order of the numbers.
    pub fn pair(epoch: &[u8; 32], one: (u16, &[u8; 32]), other: (u16, &[u8; 32])) -> Self {
        let (low, high) = if one.0 < other.0 { (one, other) } else { (other, one) };
        MaskKey::hash(b"he-agg/mask/pair/v1", epoch, &[low, high])
    }

    /// The key of the whole group, from one part per hospital.
    pub fn group(epoch: &[u8; 32], parts: &[(u16, &[u8; 32])]) -> Self {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|&(party, _)| party);
        MaskKey::hash(b"he-agg/mask/group/v1", epoch, &parts)
    }

    /// A key read back from a vault.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        MaskKey { bytes: Zeroizing::new(bytes) }
    }

    fn hash(tag: &[u8], epoch: &[u8; 32], parts: &[(u16, &[u8; 32])]) -> Self {
        let mut hash = Sha256::new();
        hash.update(tag);
        hash.update(epoch);
        hash.update((parts.len() as u64).to_le_bytes());
        for (party, part) in parts {
            hash.update(party.to_le_bytes());
            hash.update(part);
        }
        MaskKey { bytes: Zeroizing::new(hash.finalize().into()) }
    }

    /// The key itself, for a vault or a sealed message; nowhere else.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.bytes.clone()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// A hospital's own secret, from which errors and flooding are expanded, so
/// that a lost row reproduces the same bytes and never a second version.
pub struct VaultSecret {
    bytes: Zeroizing<[u8; 32]>,
}

impl VaultSecret {
    /// A fresh secret.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn generate() -> Result<Self, Error> {
        Ok(VaultSecret::from_bytes(Stream::from_os()?.seed()))
    }

    /// A secret read back from a vault.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        VaultSecret { bytes: Zeroizing::new(bytes) }
    }

    /// The secret itself, for the vault's file only.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.bytes.clone()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_pair_and_any_order_of_a_group_agree() {
        let (e, a, b, c) = ([9; 32], [1; 32], [2; 32], [3; 32]);
        let bytes = |k: MaskKey| *k.expose_bytes();
        let pair = bytes(MaskKey::pair(&e, (1, &a), (2, &b)));
        assert_eq!(pair, bytes(MaskKey::pair(&e, (2, &b), (1, &a))));
        assert_ne!(pair, bytes(MaskKey::pair(&e, (2, &a), (1, &b))));
        assert_ne!(pair, bytes(MaskKey::pair(&[8; 32], (1, &a), (2, &b))));
        let group = bytes(MaskKey::group(&e, &[(1, &a), (2, &b), (3, &c)]));
        assert_eq!(group, bytes(MaskKey::group(&e, &[(3, &c), (1, &a), (2, &b)])));
        assert_ne!(pair, bytes(MaskKey::group(&e, &[(1, &a), (2, &b)])));
    }
}
