//! Where integers lie inside a coefficient, and how wide the gap below is.
//!
//! From the top: lanes of `b + ceil(log2 n)` bits, then `g` guard bits that
//! hold every hospital's noise. The first coefficients of a chunk are control
//! lanes: one per hospital for presence, one for the weight, and those of a
//! checksum. Values follow, and the chunk ends with the coefficient of its last
//! value: nothing is ever multiplied under encryption, so every coefficient of
//! an update, a share and a sum stands alone, and those that hold nothing are
//! neither encrypted nor sent.

use super::checksum;
use super::error::AggregationError;
use super::flooding::Flooding;
use crate::params::{Params, Preset};
use crate::ring::{Coeff, Poly};
use crate::sampler;
use crate::wire::HEADER_BYTES;
use sha2::{Digest, Sha256};

/// Fewest hospitals.
pub const PARTIES_MIN: u16 = 3;
/// Most hospitals of one epoch.
pub const PARTIES_MAX: u16 = 64;
/// Fewest bits of a quantised value.
pub const LANE_BITS_MIN: u32 = 4;
/// Most bits of a quantised value: a sum of 64 stays within 32 bits.
pub const LANE_BITS_MAX: u32 = 24;
/// Widest guard gap, so that noise fits an `i64`.
const GUARD_BITS_MAX: u32 = 62;
/// Standard deviation of one error, times a margin for the empirical norm of
/// a whole polynomial.
const ERROR_NORM: f64 = 3.24 * 1.08;
/// Deviations of the summed flooding that the guard gap holds.
const GUARD_DEVIATIONS: f64 = 9.5;

/// The shape of every chunk of an epoch; part of the signed plan.
#[derive(Clone, Debug)]
pub struct LaneLayout {
    params: &'static Params,
    parties: u16,
    threshold: u16,
    lane_bits: u32,
    flooding: Flooding,
    contributors_min: u16,
    flooding_bits: u32,
    guard_bits: u32,
    noise_bound: u64,
    stride_bits: u32,
    lanes: usize,
    /// Values of a whole update; without a number every chunk is full.
    values: Option<usize>,
}

impl LaneLayout {
    /// The layout for `parties` hospitals with threshold `threshold`, values
    /// of `lane_bits` bits and the given flooding.
    ///
    /// # Errors
    /// [`AggregationError`] naming the number that is out of range, or
    /// [`AggregationError::NoLane`].
    pub fn new(
        params: &'static Params,
        parties: u16,
        threshold: u16,
        lane_bits: u32,
        flooding: Flooding,
    ) -> Result<Self, AggregationError> {
        if !(PARTIES_MIN..=PARTIES_MAX).contains(&parties) {
            return Err(AggregationError::Parties { parties, min: PARTIES_MIN, max: PARTIES_MAX });
        }
        if threshold <= parties / 2 || threshold > parties {
            return Err(AggregationError::Threshold { threshold, parties });
        }
        if !(LANE_BITS_MIN..=LANE_BITS_MAX).contains(&lane_bits) {
            let (min, max) = (LANE_BITS_MIN, LANE_BITS_MAX);
            return Err(AggregationError::LaneBits { bits: lane_bits, min, max });
        }
        let n = f64::from(parties);
        let flooding_bits = flooding.word_bits(params.n, n.sqrt() * ERROR_NORM);
        let deviation = f64::from(threshold).sqrt() * f64::from(flooding_bits).exp2();
        let noise = GUARD_DEVIATIONS * deviation + f64::from(sampler::ERROR_MAX) * n;
        let guard_bits = 1 + noise.log2().ceil() as u32;
        let stride_bits = lane_bits + u32::from(parties).next_power_of_two().trailing_zeros();
        let modulus_bits = params.log_q(params.q.len());
        let room = (modulus_bits - 1.0 - f64::from(guard_bits)) / f64::from(stride_bits);
        let lanes = room.max(0.0) as usize;
        let layout = LaneLayout {
            params,
            parties,
            threshold,
            lane_bits,
            flooding,
            contributors_min: threshold.max(4),
            flooding_bits,
            guard_bits,
            noise_bound: noise as u64,
            stride_bits,
            lanes,
            values: None,
        };
        if lanes == 0 || guard_bits > GUARD_BITS_MAX || layout.control_coefficients() >= params.n {
            return Err(AggregationError::NoLane { guard_bits, stride_bits, modulus_bits });
        }
        Ok(layout)
    }

    /// The defaults of a preset: 16-bit values, threshold `floor(2n/3) + 1`,
    /// 2^14 chunks; 40 bits of flooding, or 64 for AGG14, which has the room.
    ///
    /// # Errors
    /// As [`LaneLayout::new`].
    pub fn standard(preset: Preset, parties: u16) -> Result<Self, AggregationError> {
        let security = if preset == Preset::Agg14 { 64 } else { 40 };
        let flooding = Flooding::secure(security, 1 << 14)?;
        LaneLayout::new(preset.params(), parties, 2 * parties / 3 + 1, 16, flooding)
    }

    /// Lets sums of three contributors be released, where the site's plan
    /// says so; otherwise it takes four. Never below the threshold.
    #[must_use]
    pub fn with_three_contributors(mut self) -> Self {
        self.contributors_min = self.threshold.max(3);
        self
    }

    /// Ends the last chunk of an update of so many values with its last value.
    /// Everyone in an epoch has to name the same number: it is part of
    /// [`LaneLayout::digest`], and of the length that a chunk must have.
    #[must_use]
    pub fn for_values(mut self, values: usize) -> Self {
        self.values = Some(values);
        self
    }

    /// The parameter set.
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// Hospitals n of the epoch.
    pub fn parties(&self) -> u16 {
        self.parties
    }

    /// Decryptors t of a chunk.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// Bits b of a quantised value.
    pub fn lane_bits(&self) -> u32 {
        self.lane_bits
    }

    /// The flooding of a decryption share.
    pub fn flooding(&self) -> Flooding {
        self.flooding
    }

    /// Fewest contributors of a released sum.
    pub fn contributors_min(&self) -> u16 {
        self.contributors_min
    }

    /// Bits w of a flooding word; a share's noise has deviation `2^w`.
    pub fn flooding_bits(&self) -> u32 {
        self.flooding_bits
    }

    /// Bits g below the lanes.
    pub fn guard_bits(&self) -> u32 {
        self.guard_bits
    }

    /// Largest noise magnitude of an honest sum.
    pub fn noise_bound(&self) -> u64 {
        self.noise_bound
    }

    /// Bits from one lane to the next, `b + ceil(log2 n)`.
    pub fn stride_bits(&self) -> u32 {
        self.stride_bits
    }

    /// Lanes per coefficient.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Bits of Q that guard and lanes use.
    pub fn used_bits(&self) -> u32 {
        self.guard_bits + self.stride_bits * self.lanes as u32
    }

    /// Lanes of a whole chunk, control lanes included.
    pub fn lanes_per_chunk(&self) -> usize {
        self.lanes * self.params.n
    }

    /// Coefficients taken by the control lanes.
    pub fn control_coefficients(&self) -> usize {
        (usize::from(self.parties) + 1 + checksum::digits(self.lane_bits)).div_ceil(self.lanes)
    }

    /// Values of a full chunk.
    pub fn values_per_chunk(&self) -> usize {
        self.lanes * (self.params.n - self.control_coefficients())
    }

    /// Coefficients of a chunk, the same for an update, a share and a sum:
    /// those of the control lanes and of the chunk's values. A chunk beyond the
    /// last has control lanes only.
    pub fn coefficients(&self, chunk: u32) -> usize {
        let Some(values) = self.values else { return self.params.n };
        let full = self.values_per_chunk();
        let before = full.saturating_mul(chunk as usize);
        let own = values.saturating_sub(before).min(full);
        self.control_coefficients() + own.div_ceil(self.lanes)
    }

    /// Values that a chunk has room for: at least its own, and less than a
    /// coefficient's more.
    pub fn values_in(&self, chunk: u32) -> usize {
        self.lanes * (self.coefficients(chunk) - self.control_coefficients())
    }

    /// Chunks for a vector of `values` values; the last may be shorter.
    pub fn chunks(&self, values: usize) -> usize {
        values.div_ceil(self.values_per_chunk())
    }

    /// Bytes of a full update chunk, share or blinded sum, without its header.
    pub fn chunk_bytes(&self) -> usize {
        Poly::<Coeff>::packed_len(self.params.n, self.params.q.len())
    }

    /// Bytes of a chunk's update, share or blinded sum as it travels.
    pub fn object_bytes(&self, chunk: u32) -> usize {
        HEADER_BYTES + Poly::<Coeff>::packed_len(self.coefficients(chunk), self.params.q.len())
    }

    /// Bytes of `values` values as they travel, all chunks and headers, where
    /// the layout is that of so many values.
    pub fn update_bytes(&self, values: usize) -> usize {
        let sized = self.clone().for_values(values);
        (0..).take(self.chunks(values)).map(|chunk| sized.object_bytes(chunk)).sum()
    }

    /// Bytes sent per bit-equivalent `f32` in a full chunk, a ratio: below 1
    /// saves traffic.
    pub fn expansion(&self) -> f64 {
        self.chunk_bytes() as f64 / (4.0 * self.lanes_per_chunk() as f64)
    }

    /// Largest value of a lane before summing, `2^b - 1`.
    pub fn lane_max(&self) -> u64 {
        (1 << self.lane_bits) - 1
    }

    /// SHA-256 over everything that defines the layout.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/layout/v3");
        hash.update(self.params.digest());
        for field in [
            u64::from(self.parties),
            u64::from(self.threshold),
            u64::from(self.lane_bits),
            u64::from(self.flooding.security()),
            self.flooding.releases(),
            u64::from(self.contributors_min),
            u64::from(self.flooding_bits),
            u64::from(self.guard_bits),
            self.lanes as u64,
        ] {
            hash.update(field.to_le_bytes());
        }
        hash.update([u8::from(self.values.is_some())]);
        hash.update((self.values.unwrap_or(0) as u64).to_le_bytes());
        hash.finalize().into()
    }

    /// Refuses a polynomial that is not as long as the layout says for its chunk.
    pub(super) fn check_shape(&self, chunk: u32, poly: &Poly<Coeff>) -> Result<(), AggregationError> {
        let limbs = self.params.q.len();
        let (found, expected) = (poly.residues().len(), self.coefficients(chunk) * limbs);
        if (found, poly.limbs()) == (expected, limbs) {
            Ok(())
        } else {
            Err(AggregationError::Shape { found, expected })
        }
    }

    /// Refuses a party number outside 1 to n.
    pub(super) fn check_party(&self, party: u16) -> Result<(), AggregationError> {
        if (1..=self.parties).contains(&party) {
            Ok(())
        } else {
            Err(AggregationError::UnknownParty { party, parties: self.parties })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_table_is_reproduced() {
        // preset, n, t, s: w, g, lane, k, used, values per chunk, bytes, ratio
        let rows = [
            (Preset::Agg13, 16, 11, 40, (40, 46, 20, 8, 206, 65_536, 215_040, 0.82)),
            (Preset::Agg13, 16, 11, 64, (52, 58, 20, 7, 198, 57_344, 215_040, 0.94)),
            (Preset::Agg13, 64, 43, 40, (41, 48, 22, 7, 202, 57_344, 215_040, 0.94)),
            (Preset::Agg14, 64, 43, 64, (54, 61, 22, 16, 413, 262_144, 860_160, 0.82)),
            (Preset::Agg14, 64, 43, 40, (42, 49, 22, 16, 401, 262_144, 860_160, 0.82)),
        ];
        for (preset, n, t, s, (w, g, stride, k, used, lanes, bytes, ratio)) in rows {
            let flooding = Flooding::secure(s, 1 << 14).unwrap();
            let l = LaneLayout::new(preset.params(), n, t, 16, flooding).unwrap();
            assert_eq!((l.flooding_bits(), l.guard_bits()), (w, g), "{preset} n={n} s={s}");
            assert_eq!((l.stride_bits(), l.lanes(), l.used_bits()), (stride, k, used));
            assert_eq!((l.lanes_per_chunk(), l.chunk_bytes()), (lanes, bytes));
            assert!((l.expansion() - ratio).abs() < 0.005);
            assert_eq!(l.control_coefficients(), (usize::from(n) + 1 + 4).div_ceil(k));
            assert!(l.noise_bound() < 1 << (g - 1));
        }
    }

    #[test]
    fn an_eleven_million_parameter_network_takes_171_chunks() {
        let l = LaneLayout::standard(Preset::Agg13, 16).unwrap();
        assert_eq!((l.threshold(), l.chunks(11_173_962)), (11, 171));
        assert_eq!(LaneLayout::standard(Preset::Agg14, 64).unwrap().flooding().security(), 64);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let params = Preset::Agg13.params();
        let f = Flooding::secure(40, 1 << 14).unwrap();
        let new = |n, t, b| LaneLayout::new(params, n, t, b, f).err();
        assert!(matches!(new(2, 2, 16), Some(AggregationError::Parties { parties: 2, .. })));
        assert!(matches!(new(65, 40, 16), Some(AggregationError::Parties { .. })));
        assert!(matches!(new(8, 4, 16), Some(AggregationError::Threshold { threshold: 4, .. })));
        assert!(matches!(new(8, 9, 16), Some(AggregationError::Threshold { .. })));
        assert!(matches!(new(8, 6, 25), Some(AggregationError::LaneBits { bits: 25, .. })));
        let heavy = Flooding::secure(128, 1 << 14).unwrap();
        let error = LaneLayout::new(params, 8, 6, 16, heavy).err();
        assert!(matches!(error, Some(AggregationError::NoLane { .. })));
    }
}
