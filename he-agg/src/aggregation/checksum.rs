//! The checksum of a chunk: its lanes as a polynomial, at a point that only hospitals know.
//!
//! `weight x + sum_j lane_j x^(j+2)` modulo 2^61 - 1, as digits of b bits in lanes of their own. It is linear, so the
//! checksum of a sum is the sum of the checksums. Whoever adds to a sum without knowing the point passes for at most
//! as many points as the polynomial has roots: one in 2^44 at 2^17 lanes. The point follows from the group's key and
//! the place of the chunk, so the coordinator has none; a hospital has them all.

use super::chunk_id::ChunkId;
use super::keys::MaskKey;
use super::layout::LaneLayout;
use crate::simd::{Powers, mersenne};
use crate::stream::Expander;

/// Lanes that hold a checksum.
pub(super) fn digits(lane_bits: u32) -> usize {
    mersenne::BITS.div_ceil(lane_bits) as usize
}

/// The point of a chunk.
pub(super) struct Checksum {
    powers: Powers,
    lane_bits: u32,
}

impl Checksum {
    /// The point of the chunk at this place.
    pub(super) fn new(layout: &LaneLayout, id: &ChunkId, group: &MaskKey) -> Self {
        let indices = [u64::from(id.round), u64::from(id.attempt), u64::from(id.chunk)];
        let expander =
            Expander::with_context(group.bytes(), "modeA/checksum", layout.params().preset, &indices, &id.epoch);
        let mut word = [0; 8];
        expander.sampler(0).fill(&mut word);
        // Within 2^-61 of uniform.
        let point = mersenne::reduce(u128::from(u64::from_le_bytes(word) & mersenne::PRIME));
        Self { powers: Powers::of(point), lane_bits: layout.lane_bits() }
    }

    /// Powers to weigh lanes with.
    pub(super) fn powers(&self) -> &Powers {
        &self.powers
    }

    /// The factor of the first of some weighed lanes, which is value `place` of its chunk.
    pub(super) fn factor(&self, place: usize) -> u64 {
        mersenne::pow(self.powers.point(), place + 2)
    }

    /// The part of the weight.
    pub(super) fn of_weight(&self, weight: u32) -> u64 {
        mersenne::mul(self.powers.point(), u64::from(weight))
    }

    /// What goes into the lanes.
    pub(super) fn split(&self, checksum: u64) -> impl Iterator<Item = u32> + use<> {
        let bits = self.lane_bits;
        (0..digits(bits)).map(move |digit| (checksum >> (digit as u32 * bits)) as u32 & (u32::MAX >> (32 - bits)))
    }

    /// What lanes say, of a sum as of one hospital.
    pub(super) fn join(&self, lanes: &[u32]) -> u64 {
        let factor = 1u64 << self.lane_bits;
        lanes.iter().rev().fold(0, |sum, lane| mersenne::add(mersenne::mul(sum, factor), u64::from(*lane)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;

    #[test]
    fn digits_hold_every_checksum_and_add_up() {
        for (lane_bits, count) in [(4, 16), (8, 8), (15, 5), (16, 4), (24, 3)] {
            let checksum = Checksum { powers: Powers::of(5), lane_bits };
            assert_eq!(digits(lane_bits), count);
            let values = [0, 1, mersenne::PRIME - 1, 0x0123_4567_89ab_cdef % mersenne::PRIME];
            let split: Vec<Vec<u32>> = values.iter().map(|value| checksum.split(*value).collect()).collect();
            for (value, lanes) in values.iter().zip(&split) {
                assert_eq!((checksum.join(lanes), lanes.len()), (*value, count));
                assert!(lanes.iter().all(|lane| *lane < 1 << lane_bits));
            }
            let sums: Vec<u32> = (0..count).map(|digit| split.iter().map(|lanes| lanes[digit]).sum()).collect();
            let expected = values.iter().fold(0, |sum, value| mersenne::add(sum, *value));
            assert_eq!(checksum.join(&sums), expected, "{lane_bits} bits");
        }
    }

    #[test]
    fn every_place_and_every_group_has_a_point_of_its_own() {
        let layout = LaneLayout::standard(Preset::Agg13, 5).unwrap();
        let id = ChunkId { epoch: [1; 32], round: 2, attempt: 3, chunk: 4 };
        let point = |id: ChunkId, key: u8| Checksum::new(&layout, &id, &MaskKey::from_bytes([key; 32])).powers.point();
        let all = [
            point(id, 1),
            point(id, 2),
            point(ChunkId { epoch: [2; 32], ..id }, 1),
            point(ChunkId { round: 3, ..id }, 1),
            point(ChunkId { attempt: 4, ..id }, 1),
            point(ChunkId { chunk: 5, ..id }, 1),
        ];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        assert_eq!(point(id, 1), all[0]);
    }
}
