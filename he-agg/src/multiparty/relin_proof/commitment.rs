//! What a hospital is bound to before the coins are thrown: a digest of L(y) for every mask.

use crate::error::DecodeError;
use crate::multiparty::relin_proof::{REPETITIONS, SETS};
use crate::wire::{Kind, MAGIC, VERSION};

/// Digests of L(y) of all sets. Public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelinCommitment(pub(super) [[[u8; 32]; REPETITIONS]; SETS]);

/// Magic, version, kind, sets and repetitions.
const HEAD: [u8; 8] = {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, Kind::RelinearizationMasks as u8, SETS as u8, REPETITIONS as u8]
};

impl RelinCommitment {
    /// Encoded size, bytes.
    pub const BYTES: usize = HEAD.len() + SETS * REPETITIONS * 32;

    /// Eight bytes of a head, then the digests, set after set.
    pub fn to_bytes(&self) -> Vec<u8> {
        HEAD.iter().chain(self.0.as_flattened().as_flattened()).copied().collect()
    }

    /// Reads a commitment.
    ///
    /// # Errors
    /// [`DecodeError`]: another length or head.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some((head, digests)) = bytes.split_first_chunk::<8>().filter(|_| bytes.len() == Self::BYTES) else {
            return Err(DecodeError::Length { found: bytes.len(), expected: Self::BYTES });
        };
        check_head(head, &HEAD)?;
        let (digests, _) = digests.as_chunks::<32>();
        let mut read = [[[0; 32]; REPETITIONS]; SETS];
        read.as_flattened_mut().iter_mut().zip(digests).for_each(|(own, digest)| *own = *digest);
        Ok(Self(read))
    }
}

/// Compares the head of a proof's object, field by field.
pub(super) fn check_head(found: &[u8; 8], expected: &[u8; 8]) -> Result<(), DecodeError> {
    let [a, b, c, d, version, kind, sets, repetitions] = *found;
    if [a, b, c, d] != MAGIC {
        return Err(DecodeError::Magic { found: [a, b, c, d] });
    }
    if version != VERSION {
        return Err(DecodeError::Version { found: version, expected: VERSION });
    }
    if kind != expected[5] {
        return Err(DecodeError::Kind { found: kind, expected: expected[5] });
    }
    for (field, found, expected) in [("set", sets, expected[6]), ("repetition", repetitions, expected[7])] {
        if found != expected {
            return Err(DecodeError::Field { field, value: u64::from(found) });
        }
    }
    Ok(())
}
