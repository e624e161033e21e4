//! Integers into lanes of a polynomial, and sums of lanes back.
//!
//! Lane `p` of a chunk is lane `p mod k` of coefficient `p / k`. The first
//! lanes are controls: `0..n` presence, `n` the weight, then the digits of a
//! checksum, then zeros up to a whole coefficient. Values follow, shifted by `2^(b-1)`
//! so that they are not negative, up to the last coefficient that the layout has
//! for the chunk. Both directions run over tiles of
//! coefficients, so that no copy of the values is made.

use super::checksum::{self, Checksum};
use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::keys::MaskKey;
use super::layout::LaneLayout;
use super::reconstruction::Reconstruction;
use super::request::EncryptRequest;
use crate::ring::{Coeff, Poly};
use crate::sampler;
use crate::simd::{self, Isa, LaneRange, LaneShape, Scratch, TILE, mersenne};
use crate::stream::Stream;
use rayon::prelude::*;

/// Coefficients decoded by one task; at least as many as control coefficients.
const SPAN: usize = 1024;

/// A request whose integers fit the layout, with its control lanes.
pub(super) struct Plaintext<'a> {
    request: &'a EncryptRequest<'a>,
    controls: Scratch<u32>,
}

impl<'a> Plaintext<'a> {
    /// Checks a request and computes its checksum. Allocates the control lanes.
    ///
    /// # Errors
    /// [`AggregationError`] naming what does not fit.
    pub(super) fn new(request: &'a EncryptRequest<'a>, group: &MaskKey) -> Result<Self, AggregationError> {
        let layout = request.layout;
        let (n, bits, max) = (usize::from(layout.parties()), layout.lane_bits(), layout.lane_max());
        layout.check_party(request.sender)?;
        if request.weight == 0 || u64::from(request.weight) > max {
            return Err(AggregationError::Weight { weight: u64::from(request.weight), max });
        }
        let capacity = layout.values_in(request.id.chunk);
        if request.values.len() > capacity {
            return Err(AggregationError::TooManyValues { found: request.values.len(), max: capacity });
        }
        const BLOCK: usize = 1024;
        const ZEROS: [i32; BLOCK] = [0; BLOCK];
        let checksum = Checksum::new(layout, &request.id, group);
        let first = layout.control_coefficients() * layout.lanes();
        let offset = 1 << (bits - 1);
        let weigh = |values| simd::weigh_values(Isa::detect(), checksum.powers(), values, offset, max as u32);
        let (part, in_range) = weigh(request.values);
        let mut sum = mersenne::add(checksum.of_weight(request.weight), mersenne::mul(part, checksum.factor(0)));
        // Lanes without a value carry a zero, like any other value of zero.
        for place in (request.values.len()..capacity).step_by(BLOCK) {
            let (part, _) = weigh(&ZEROS[..BLOCK.min(capacity - place)]);
            sum = mersenne::add(sum, mersenne::mul(part, checksum.factor(place)));
        }
        if !in_range {
            return Err(AggregationError::ValueRange { bits });
        }
        let mut controls = Scratch::new(first);
        controls[usize::from(request.sender) - 1] = 1;
        controls[n] = request.weight;
        controls[n + 1..].iter_mut().zip(checksum.split(sum)).for_each(|(lane, digit)| *lane = digit);
        Ok(Plaintext { request, controls })
    }

    /// `x = M + e - x`, with the errors drawn from a stream; `x` has the chunk's
    /// coefficients. Allocates a tile of values and lanes and one block of keystream.
    pub(super) fn subtract_from(&self, errors: &mut Stream, x: &mut Poly<Coeff>) {
        let layout = self.request.layout;
        let (params, k) = (layout.params(), layout.lanes());
        let n = x.n();
        let factors: Vec<u32> = params
            .q
            .iter()
            .flat_map(|limb| {
                let power = |l: u32| limb.modulus().pow(2, u64::from(layout.guard_bits() + l * layout.stride_bits()));
                (0..k as u32).map(power)
            })
            .collect();
        let offset = 1u32 << (layout.lane_bits() - 1);
        let (mut values, mut lanes) = (Scratch::new(k * TILE), Scratch::new(k * TILE));
        let first = self.controls.len();
        let mut e = Scratch::new(n.min(SPAN));
        for start in (0..n).step_by(SPAN) {
            let e = &mut e[..SPAN.min(n - start)];
            sampler::fill_centred_binomial(errors, e);
            for (at, e) in (start..).step_by(TILE).zip(e.chunks(TILE)) {
                // The last tile of a chunk may be shorter.
                let tile = e.len();
                let (values, lanes) = (&mut values[..k * tile], &mut lanes[..k * tile]);
                let places = k * at..k * (at + tile);
                let whole = places.start.checked_sub(first).zip(places.end.checked_sub(first));
                match whole.and_then(|(from, to)| self.request.values.get(from..to)) {
                    Some(values) => simd::split_lanes(Isa::detect(), k, values, offset, lanes),
                    None => {
                        // The tile has control lanes, or lanes without a value.
                        for (value, p) in values.iter_mut().zip(places.clone()) {
                            let own = p.checked_sub(first).and_then(|p| self.request.values.get(p));
                            *value = own.copied().unwrap_or(0);
                        }
                        simd::split_lanes(Isa::detect(), k, values, offset, lanes);
                        for (p, &control) in self.controls.iter().enumerate().skip(places.start).take(k * tile) {
                            lanes[p % k * tile + p / k - at] = control;
                        }
                    }
                }
                for (l, (limb, factors)) in params.q.iter().zip(factors.chunks_exact(k)).enumerate() {
                    let x = &mut x.limb_mut(l)[at..at + tile];
                    simd::subtract_from_lanes(Isa::detect(), limb.modulus(), factors, lanes, e, x);
                }
            }
        }
    }
}

/// What the lanes of a sum say, once checked.
pub(super) struct LaneSums {
    pub(super) values: Vec<i64>,
    pub(super) weight: u64,
    pub(super) noise_max: u64,
}

/// What one span of coefficients contributes to the checks.
struct Span {
    controls: Vec<u32>,
    noise_max: u64,
    checksum: u64,
    /// The first lane above the largest possible sum, and its content.
    beyond: Option<(usize, u64)>,
}

/// Takes a decrypted sum over `contributors` apart, checks noise, lanes and
/// controls, and shifts the values back. `y` carries `2^(g-1)` in every
/// coefficient, so that negative noise does not borrow from a lane. Allocates
/// the values (8 bytes each) and per thread about 50 bytes per lane of a tile.
///
/// # Errors
/// The first check that fails.
pub(super) fn decode(
    layout: &LaneLayout,
    id: &ChunkId,
    contributors: &[u16],
    group: &MaskKey,
    y: &Poly<Coeff>,
) -> Result<LaneSums, AggregationError> {
    let (n, parties) = (y.n(), usize::from(layout.parties()));
    let (k, first) = (layout.lanes(), layout.control_coefficients() * layout.lanes());
    let digits = checksum::digits(layout.lane_bits());
    let count = contributors.len() as u64;
    let max = count * layout.lane_max();
    let lift = Reconstruction::new(&layout.params().q);
    let checksum = Checksum::new(layout, id, group);
    let range = LaneRange { shift: (count as i64) << (layout.lane_bits() - 1), max: max as u32 };

    let mut values = vec![0i64; k * n - first];
    let mut parts = Vec::with_capacity(n.div_ceil(SPAN));
    let mut rest = &mut values[..];
    for start in (0..n).step_by(SPAN) {
        let from = (k * start).max(first);
        let (part, tail) = rest.split_at_mut((k * (start + SPAN).min(n)).saturating_sub(from));
        parts.push((start, part));
        rest = tail;
    }
    let spans: Vec<Result<Span, AggregationError>> = parts
        .into_par_iter()
        .map(|(start, values)| {
            let coefficients = start..(start + SPAN).min(n);
            decode_span(layout, &lift, &checksum, range, y, coefficients, values)
        })
        .collect();

    let (mut noise_max, mut expected, mut beyond, mut controls) = (0, 0, None, Vec::new());
    for span in spans {
        let span = span?;
        noise_max = noise_max.max(span.noise_max);
        expected = mersenne::add(expected, span.checksum);
        beyond = beyond.or(span.beyond);
        controls.extend(span.controls);
    }
    for party in 1..=layout.parties() {
        let expected = u64::from(contributors.contains(&party));
        let found = u64::from(controls[usize::from(party) - 1]);
        if found != expected {
            return Err(AggregationError::Presence { party, count: found, expected });
        }
    }
    if let Some(lane) = (parties + 1 + digits..first).find(|&lane| controls[lane] != 0) {
        return Err(AggregationError::SpareLane { lane, sum: u64::from(controls[lane]) });
    }
    let control = controls.iter().position(|&sum| u64::from(sum) > max);
    if let Some((lane, sum)) = control.map(|lane| (lane, u64::from(controls[lane]))).or(beyond) {
        return Err(AggregationError::LaneRange { lane, sum, max });
    }
    let weight = controls[parties];
    let expected = mersenne::add(expected, checksum.of_weight(weight));
    let found = checksum.join(&controls[parties + 1..parties + 1 + digits]);
    if found != expected {
        return Err(AggregationError::Checksum { found, expected });
    }
    if weight == 0 {
        return Err(AggregationError::NoWeight);
    }
    Ok(LaneSums { values, weight: u64::from(weight), noise_max })
}

/// Decodes a span of coefficients into the values of its lanes.
fn decode_span(
    layout: &LaneLayout,
    lift: &Reconstruction,
    checksum: &Checksum,
    range: LaneRange,
    y: &Poly<Coeff>,
    coefficients: std::ops::Range<usize>,
    mut values: &mut [i64],
) -> Result<Span, AggregationError> {
    let (k, limbs) = (layout.lanes(), y.limbs());
    let first = layout.control_coefficients() * k;
    let shape = LaneShape { guard: layout.guard_bits(), stride: layout.stride_bits(), lanes: k };
    let half = 1u64 << (layout.guard_bits() - 1);
    let (mut residues, mut words) = (vec![0u32; limbs * TILE], vec![0u32; limbs * TILE]);
    let (mut noise, mut above) = (vec![0u64; TILE], vec![0u32; TILE]);
    let (mut lane, mut lanes) = (vec![0u32; k * TILE], vec![0u32; k * TILE]);
    let mut place = (k * coefficients.start).max(first) - first;
    let mut span = Span { controls: Vec::new(), noise_max: 0, checksum: 0, beyond: None };
    for at in coefficients.clone().step_by(TILE) {
        // The last tile of a chunk may be shorter.
        let tile = TILE.min(coefficients.end - at);
        let (residues, words) = (&mut residues[..limbs * tile], &mut words[..limbs * tile]);
        let (noise, above) = (&mut noise[..tile], &mut above[..tile]);
        let (lane, lanes) = (&mut lane[..k * tile], &mut lanes[..k * tile]);
        for (l, residues) in residues.chunks_exact_mut(tile).enumerate() {
            residues.copy_from_slice(&y.limb(l)[at..at + tile]);
        }
        lift.lift(residues, words);
        simd::take_lanes(Isa::detect(), shape, words, noise, above, lane, lanes);
        let bound = layout.noise_bound();
        let worst = noise.iter().fold(0, |worst, &noise| noise.abs_diff(half).max(worst));
        if worst > bound || above.iter().fold(0, |any, &above| any | above) != 0 {
            // The first coefficient at fault; its noise is looked at first.
            for (i, (noise, &above)) in noise.iter().zip(&*above).enumerate() {
                let (coefficient, noise) = (at + i, noise.abs_diff(half));
                if noise > bound {
                    return Err(AggregationError::Noise { coefficient, noise, bound });
                }
                if above != 0 {
                    return Err(AggregationError::LaneOverflow { coefficient });
                }
            }
        }
        span.noise_max = span.noise_max.max(worst);
        let controls = first.saturating_sub(k * at).min(lanes.len());
        let (control, sums) = lanes.split_at(controls);
        span.controls.extend_from_slice(control);
        let (tile_values, rest) = values.split_at_mut(sums.len());
        values = rest;
        let (part, within) = simd::weigh_lanes(Isa::detect(), checksum.powers(), sums, range, tile_values);
        span.checksum = mersenne::add(span.checksum, mersenne::mul(part, checksum.factor(place)));
        place += sums.len();
        if !within && span.beyond.is_none() {
            let place = sums.iter().position(|&sum| sum > range.max);
            span.beyond = place.map(|i| (k * at + controls + i, u64::from(sums[i])));
        }
    }
    Ok(span)
}
