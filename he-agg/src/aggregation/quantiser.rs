//! Real updates to integers and back, with unbiased rounding.
//!
//! Quantisation is a step of its own: the integers are stored before they are
//! encrypted, so that a new attempt encrypts the same ones.

use super::error::AggregationError;
use super::layout::LaneLayout;
use crate::simd::{self, Isa, Rounding};
use crate::stream::{DRAW_BYTES, Stream};

/// Clipping bound and lane width of one tensor.
///
/// With `delta = C / (2^(b-1) - 1)` and `rho = W / (2^b - 1)` a value becomes
/// `v = floor(rho x / delta + u)`, `u` uniform in `[0, 1)`, so its expectation
/// is `rho x / delta` and a sum divided by the summed weight is the weighted
/// mean. Its variance is at most `|S| delta^2 / (4 (sum rho)^2)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiser {
    lane_bits: u32,
    clip: f32,
}

impl Quantiser {
    /// A quantiser for values clipped to `[-clip, clip]`.
    ///
    /// # Errors
    /// [`AggregationError::Clip`].
    pub fn new(layout: &LaneLayout, clip: f32) -> Result<Self, AggregationError> {
        if clip.is_finite() && clip > 0.0 {
            Ok(Quantiser { lane_bits: layout.lane_bits(), clip })
        } else {
            Err(AggregationError::Clip { clip })
        }
    }

    /// The weight of `parts` out of `parts_max`, as near below the largest
    /// lane value as `parts_max` allows. Weights are in the exact ratio of
    /// their parts, so a sum of weights is known from the sum of the parts.
    ///
    /// # Errors
    /// [`AggregationError::Weight`] if `parts` is zero or above `parts_max`, or
    /// `parts_max` above the largest lane value.
    pub fn weight(layout: &LaneLayout, parts: u32, parts_max: u32) -> Result<u32, AggregationError> {
        let max = layout.lane_max();
        let weight = max.checked_div(u64::from(parts_max)).unwrap_or(0) * u64::from(parts);
        if weight == 0 || parts > parts_max {
            return Err(AggregationError::Weight { weight: u64::from(parts), max: max.min(u64::from(parts_max)) });
        }
        Ok(weight as u32)
    }

    /// One quantisation step, delta.
    pub fn step(&self) -> f64 {
        f64::from(self.clip) / self.half()
    }

    fn half(&self) -> f64 {
        f64::from((1u32 << (self.lane_bits - 1)) - 1)
    }

    fn full(&self) -> f64 {
        f64::from(u32::MAX >> (32 - self.lane_bits))
    }

    /// Clips, weighs and rounds `values`, in `[-2^(b-1), 2^(b-1))`. Allocates
    /// the result, 4 bytes per value, and 4 KiB.
    ///
    /// # Errors
    /// [`AggregationError::NotFinite`] or [`AggregationError::Weight`].
    pub fn quantise(&self, values: &[f32], weight: u32, stream: &mut Stream) -> Result<Vec<i32>, AggregationError> {
        let max = self.full() as u64;
        if weight == 0 || u64::from(weight) > max {
            return Err(AggregationError::Weight { weight: u64::from(weight), max });
        }
        // Without an early stop, since the values are secret until one fails.
        if !values.iter().fold(true, |ok, x| ok & x.is_finite())
            && let Some(index) = values.iter().position(|x| !x.is_finite())
        {
            return Err(AggregationError::NotFinite { index });
        }
        let factor = f64::from(weight) / self.full() / self.step();
        let rounding = Rounding { clip: f64::from(self.clip), factor, half: self.half() };
        let mut out = vec![0; values.len()];
        stream.blocks(8 * values.len(), DRAW_BYTES, |at, words| {
            let part = at / 8..(at + words.len()) / 8;
            simd::round_randomly(Isa::detect(), rounding, words, &values[part.clone()], &mut out[part]);
        });
        Ok(out)
    }

    /// Weighted means from decoded sums and the decoded sum of weights.
    ///
    /// # Errors
    /// [`AggregationError::NoWeight`] if `weight_sum` is zero.
    pub fn dequantise(&self, sums: &[i64], weight_sum: u64) -> Result<Vec<f64>, AggregationError> {
        if weight_sum == 0 {
            return Err(AggregationError::NoWeight);
        }
        let factor = self.step() * self.full() / weight_sum as f64;
        Ok(sums.iter().map(|&v| v as f64 * factor).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;

    fn quantiser(clip: f32) -> (LaneLayout, Quantiser) {
        let layout = LaneLayout::standard(Preset::Agg13, 8).unwrap();
        let quantiser = Quantiser::new(&layout, clip).unwrap();
        (layout, quantiser)
    }

    #[test]
    fn rounding_is_unbiased_and_the_mean_is_weighted() {
        let (layout, q) = quantiser(0.5);
        let mut stream = Stream::from_seed([4; 32]);
        // Three hospitals with 1, 2 and 4 shares of the weight.
        let weights = [1, 2, 4].map(|s| Quantiser::weight(&layout, s, 4).unwrap());
        let values = [0.1f32, -0.3, 0.2];
        const N: usize = 20_000;
        let mut sums = vec![0i64; N];
        for (x, w) in values.iter().zip(weights) {
            let v = q.quantise(&vec![*x; N], w, &mut stream).unwrap();
            sums.iter_mut().zip(v).for_each(|(s, v)| *s += i64::from(v));
        }
        let weight_sum: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        let mean = q.dequantise(&sums, weight_sum).unwrap().iter().sum::<f64>() / N as f64;
        // Against the integer weights: rounding them is part of the plan.
        let exact =
            values.iter().zip(weights).map(|(&x, w)| f64::from(x) * f64::from(w)).sum::<f64>() / weight_sum as f64;
        assert!((mean - exact).abs() < q.step() * 0.02, "{mean} {exact}");
    }

    #[test]
    fn weights_are_in_the_exact_ratio_of_their_parts_in_lanes_of_any_width() {
        let flooding = crate::aggregation::Flooding::secure(40, 1 << 14).unwrap();
        for lane_bits in 5..=16 {
            let layout = LaneLayout::new(Preset::Agg13.params(), 8, 6, lane_bits, flooding).unwrap();
            let one = Quantiser::weight(&layout, 1, 16).unwrap();
            for parts in 1..=16 {
                assert_eq!(Quantiser::weight(&layout, parts, 16), Ok(parts * one), "{lane_bits} bits");
            }
            assert!(u64::from(16 * one) <= layout.lane_max() && u64::from(16 * one) + 16 > layout.lane_max());
        }
    }

    #[test]
    fn extremes_are_clipped_into_the_lane() {
        let (layout, q) = quantiser(0.25);
        let full = layout.lane_max() as u32;
        let v = q.quantise(&[1e30, -1e30, 0.25, -0.25, 0.0], full, &mut Stream::from_seed([1; 32]));
        let v = v.unwrap();
        assert_eq!((v[0], v[2]), (32767, 32767));
        assert!(v[1] >= -32767 && v[3] >= -32767);
        assert_eq!(v[4], 0);
    }

    #[test]
    fn unusable_inputs_are_refused() {
        let (layout, q) = quantiser(1.0);
        let mut stream = Stream::from_seed([1; 32]);
        let error = q.quantise(&[0.0, f32::NAN], 1, &mut stream);
        assert_eq!(error, Err(AggregationError::NotFinite { index: 1 }));
        assert!(q.quantise(&[0.0], 0, &mut stream).is_err());
        assert!(q.quantise(&[0.0], 1 << 16, &mut stream).is_err());
        assert!(Quantiser::new(&layout, f32::INFINITY).is_err());
        for (parts, parts_max) in [(0, 5), (6, 5), (0, 0), (1, 0), (1, 1 << 16)] {
            let refused = Quantiser::weight(&layout, parts, parts_max);
            assert!(matches!(refused, Err(AggregationError::Weight { .. })), "{parts} of {parts_max}");
        }
        assert_eq!(q.dequantise(&[1], 0), Err(AggregationError::NoWeight));
    }
}
