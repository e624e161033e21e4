//! What a hospital wants to encrypt, and its digest in the ledger.

use super::chunk_id::ChunkId;
use super::layout::LaneLayout;
use crate::simd::Scratch;
use sha2::{Digest, Sha256};

/// Values of a request that are hashed at once.
const HASHED_AT_ONCE: usize = 2048;

/// What a hospital wants to encrypt: the stored integers of one chunk.
#[derive(Clone, Copy)]
pub struct EncryptRequest<'a> {
    /// Layout of the epoch.
    pub layout: &'a LaneLayout,
    /// Where the chunk belongs.
    pub id: ChunkId,
    /// The hospital, from 1.
    pub sender: u16,
    /// Its weight W_i, from 1 to `2^b - 1`.
    pub weight: u32,
    /// Quantised values, at most [`LaneLayout::values_in`] the chunk; the rest
    /// of the chunk counts as zeros.
    pub values: &'a [i32],
}

impl EncryptRequest<'_> {
    /// Whether the other request is the same fields and the same memory.
    pub(super) fn is(&self, other: &EncryptRequest<'_>) -> bool {
        std::ptr::eq(self.layout, other.layout)
            && (self.id, self.sender, self.weight) == (other.id, other.sender, other.weight)
            && std::ptr::eq(self.values, other.values)
    }

    /// SHA-256 over everything that is encrypted and where; what the ledger
    /// stores. It is as confidential as the values.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/encrypt/v2");
        hash.update(self.layout.digest());
        hash.update(self.id.digest());
        hash.update(self.sender.to_le_bytes());
        hash.update(self.weight.to_le_bytes());
        hash.update((self.values.len() as u64).to_le_bytes());
        // Hashing is the longest part of an encryption: two bytes per value
        // where the lane has no more bits. Only integers outside the lane,
        // which are refused later, are hashed wide there; the width is hashed,
        // so that no two lists of integers look alike.
        let fit = self.values.iter().fold(true, |fit, &v| fit & (v == i32::from(v as i16)));
        let narrow = fit & (self.layout.lane_bits() <= 16);
        let width = if narrow { 2 } else { 4 };
        hash.update([width as u8]);
        let mut block = Scratch::<u8>::new(width * self.values.len().min(HASHED_AT_ONCE));
        for values in self.values.chunks(HASHED_AT_ONCE) {
            let bytes = &mut block[..width * values.len()];
            if narrow {
                let places = bytes.as_chunks_mut::<2>().0.iter_mut();
                places.zip(values).for_each(|(place, &v)| *place = (v as i16).to_le_bytes());
            } else {
                let places = bytes.as_chunks_mut::<4>().0.iter_mut();
                places.zip(values).for_each(|(place, &v)| *place = v.to_le_bytes());
            }
            hash.update(bytes);
        }
        hash.finalize().into()
    }
}
