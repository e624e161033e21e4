//! Where a chunk belongs: its name, and the common polynomial that follows from it.

use super::error::AggregationError;
use crate::params::Params;
#[cfg(test)]
use crate::ring::Poly;
use crate::stream::Expander;
use sha2::{Digest, Sha256};

/// Where a chunk belongs. The common `a` is a function of it, so no two
/// encryptions of one hospital may share it unless they are byte-identical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// Seed of the epoch, agreed by all hospitals.
    pub epoch: [u8; 32],
    /// Training round.
    pub round: u32,
    /// Attempt within the round.
    pub attempt: u32,
    /// Chunk of the update vector.
    pub chunk: u32,
}

impl ChunkId {
    /// SHA-256 over the four fields.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/chunk/v1");
        hash.update(self.epoch);
        for field in [self.round, self.attempt, self.chunk] {
            hash.update(field.to_le_bytes());
        }
        hash.finalize().into()
    }

    /// The common polynomial of this chunk.
    #[cfg(test)]
    pub(super) fn common(&self, params: &Params) -> Poly<crate::ring::Eval> {
        Poly::uniform(&self.common_expander(params), 0, params.n, &params.q)
    }

    /// Polynomial 0 of this family is the common polynomial, in the evaluation
    /// domain; it is public and never sent.
    pub(super) fn common_expander(&self, params: &Params) -> Expander {
        let indices = [u64::from(self.round), u64::from(self.attempt), u64::from(self.chunk)];
        Expander::new(&self.epoch, "modeA/a", params.preset, &indices)
    }

    pub(super) fn foreign(&self, object: &'static str) -> AggregationError {
        AggregationError::ForeignObject { object, round: self.round, attempt: self.attempt, chunk: self.chunk }
    }
}
