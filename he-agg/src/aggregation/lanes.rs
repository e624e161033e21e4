//! Integers into lanes of a polynomial, and sums of lanes back.
//!
//! Lane `p` of a chunk is lane `p mod k` of coefficient `p / k`. The first
//! lanes are controls: `0..n` presence, `n` the weight, `n + 1` a checksum,
//! then zeros up to a whole coefficient. Values follow, shifted by `2^(b-1)`
//! so that they are not negative.

use super::chunk::{ChunkId, EncryptRequest};
use super::error::AggregationError;
use super::layout::LaneLayout;
use crate::ring::{Coeff, Poly};
use crate::stream::Expander;
use zeroize::Zeroizing;

/// Checksum factors of every lane: odd, so that a change of one lane by less
/// than `2^b` always shows; zero where a lane is checked by other means.
fn checksum_factors(layout: &LaneLayout, id: &ChunkId) -> Vec<u32> {
    let indices = [u64::from(id.round), u64::from(id.attempt), u64::from(id.chunk)];
    let expander = Expander::new(&id.epoch, "modeA/checksum", layout.params().preset, &indices);
    let mut factors = Vec::with_capacity(layout.lanes_per_chunk());
    let mask = u32::MAX >> (32 - layout.lane_bits());
    expander.sampler(0).words::<4>(layout.lanes_per_chunk(), |word| {
        factors.push((u32::from_le_bytes(word) & mask) | 1);
    });
    let n = usize::from(layout.parties());
    factors[..n].fill(0);
    factors[n + 1] = 0;
    factors
}

/// `sum of factor * lane mod 2^b`.
fn checksum(layout: &LaneLayout, id: &ChunkId, lanes: impl Iterator<Item = u64>) -> u64 {
    let factors = checksum_factors(layout, id);
    let sum = factors
        .iter()
        .zip(lanes)
        .fold(0u64, |sum, (&factor, lane)| sum.wrapping_add(u64::from(factor).wrapping_mul(lane)));
    sum & layout.lane_max()
}

/// The plaintext polynomial `M_i` of one hospital's chunk.
pub(super) fn encode(request: &EncryptRequest<'_>) -> Result<Zeroizing<Poly<Coeff>>, AggregationError> {
    let layout = request.layout;
    let (n, bits) = (usize::from(layout.parties()), layout.lane_bits());
    let max = layout.lane_max();
    layout.check_party(request.sender)?;
    if request.weight == 0 || u64::from(request.weight) > max {
        return Err(AggregationError::Weight { weight: u64::from(request.weight), max });
    }
    let capacity = layout.values_per_chunk();
    if request.values.len() > capacity {
        return Err(AggregationError::TooManyValues { found: request.values.len(), max: capacity });
    }
    let offset = 1i64 << (bits - 1);
    let mut in_range = true;
    let mut lanes = Zeroizing::new(vec![0u32; layout.lanes_per_chunk()]);
    let first = layout.control_coefficients() * layout.lanes();
    // Lanes without a value carry a zero, like any other value of zero.
    lanes[first..].fill(offset as u32);
    for (lane, &v) in lanes[first..].iter_mut().zip(request.values) {
        let shifted = i64::from(v) + offset;
        in_range &= (0..=max as i64).contains(&shifted);
        *lane = shifted as u32;
    }
    if !in_range {
        return Err(AggregationError::ValueRange { bits });
    }
    lanes[usize::from(request.sender) - 1] = 1;
    lanes[n] = request.weight;
    lanes[n + 1] = checksum(layout, &request.id, lanes.iter().map(|&lane| u64::from(lane))) as u32;

    let params = layout.params();
    let k = layout.lanes();
    let mut out = Zeroizing::new(Poly::zero(params.n, params.q.len()));
    out.par_limbs(&params.q, |_, limb, x| {
        let m = *limb.modulus();
        let factors: Vec<u64> = (0..k as u32)
            .map(|l| u64::from(m.pow(2, u64::from(layout.guard_bits() + l * layout.stride_bits()))))
            .collect();
        for (x, lanes) in x.iter_mut().zip(lanes.chunks_exact(k)) {
            // At most 66 terms below 2^54.
            let sum = lanes.iter().zip(&factors).map(|(&lane, &f)| u64::from(lane) * f).sum();
            *x = m.reduce_u64(sum);
        }
    });
    Ok(out)
}

/// What the control lanes and the values of a sum say, once checked.
pub(super) struct LaneSums {
    pub(super) values: Vec<i64>,
    pub(super) weight: u64,
}

/// Checks the control lanes of a sum over `contributors` and shifts the values
/// back. `sums` are all lanes of the chunk.
pub(super) fn decode(
    layout: &LaneLayout,
    id: &ChunkId,
    contributors: &[u16],
    sums: &[u64],
) -> Result<LaneSums, AggregationError> {
    let n = usize::from(layout.parties());
    let count = contributors.len() as u64;
    let max = count * layout.lane_max();
    for party in 1..=layout.parties() {
        let expected = u64::from(contributors.contains(&party));
        let found = sums[usize::from(party) - 1];
        if found != expected {
            return Err(AggregationError::Presence { party, count: found, expected });
        }
    }
    let first = layout.control_coefficients() * layout.lanes();
    if let Some(lane) = (n + 2..first).find(|&lane| sums[lane] != 0) {
        return Err(AggregationError::SpareLane { lane, sum: sums[lane] });
    }
    if let Some(lane) = sums.iter().position(|&sum| sum > max) {
        return Err(AggregationError::LaneRange { lane, sum: sums[lane], max });
    }
    let expected = checksum(layout, id, sums.iter().copied());
    let found = sums[n + 1] & layout.lane_max();
    if found != expected {
        return Err(AggregationError::Checksum { found, expected });
    }
    if sums[n] == 0 {
        return Err(AggregationError::NoWeight);
    }
    let shift = (count as i64) << (layout.lane_bits() - 1);
    let values = sums[first..].iter().map(|&sum| sum as i64 - shift).collect();
    Ok(LaneSums { values, weight: sums[n] })
}
