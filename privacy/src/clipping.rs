//! Gradients of patients as integers, none longer than what noise is measured against.

use crate::dither::Dither;
use crate::gaussian::DiscreteGaussian;

/// What the scale shrinks by when rounding made a gradient too long.
const SHRINKING: f64 = 0.99;

/// Why a network's gradients have no such integers.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClippingError {
    /// Rounding alone would be as long as a gradient.
    #[error(
        "{dimension} values are too many for noise {noise}: rounding them would take up what a patient may add; plan \
         for a larger epsilon, fewer steps, or a smaller network"
    )]
    Dimension {
        /// Values of a gradient.
        dimension: usize,
        /// Deviation of the noise in lengths of a gradient.
        noise: f64,
    },
    /// No length.
    #[error("gradients are clipped to a finite length above 0, not {found}")]
    Length {
        /// As given.
        found: f64,
    },
}

/// Turns gradients into integers of a bounded length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clipping {
    length: f64,
    /// Square of the largest length of the integers.
    squared: u64,
    scale: f64,
}

impl Clipping {
    /// Of gradients of so many values, clipped to `length`, where the noise is `noise` times what one patient may add.
    ///
    /// # Errors
    /// [`ClippingError`].
    pub fn new(
        length: f64,
        dimension: usize,
        (gaussian, noise): (DiscreteGaussian, f64),
    ) -> Result<Self, ClippingError> {
        if !(length > 0.0 && length.is_finite()) {
            return Err(ClippingError::Length { found: length });
        }
        let squared = (gaussian.variance() as f64 / (noise * noise)).floor() as u64;
        // What rounding adds to the square: a quarter of each value on the average, and three deviations of that.
        let longest = squared as f64;
        let left = longest - dimension as f64 / 4.0 - 3.0 * longest.sqrt();
        if dimension as u64 > squared || left <= 0.0 {
            return Err(ClippingError::Dimension { dimension, noise });
        }
        let scale = left.sqrt();
        Ok(Self { length, squared, scale })
    }

    /// Integers of a gradient of the clipped length are this many times as large.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale / self.length
    }

    /// Square of the largest length of a patient's integers.
    #[must_use]
    pub fn squared(&self) -> u64 {
        self.squared
    }

    /// Adds a patient's gradient, clipped and rounded at random, to a sum. A gradient that is not finite adds nothing.
    ///
    /// Whatever the gradient is, the sum moves by a length of at most the root of [`Clipping::squared`].
    pub fn add(&self, gradient: &[f32], sum: &mut [i64], dither: &mut Dither) {
        let length = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() {
            return;
        }
        let mut scale = self.scale / length.max(self.length);
        loop {
            let factor = scale as f32;
            let rounded: Vec<i32> =
                gradient.iter().map(|value| (value * factor + dither.fraction()).floor() as i32).collect();
            let squared = |value: &i32| u64::from(value.unsigned_abs()).pow(2);
            if rounded.iter().fold(0u64, |sum, value| sum.saturating_add(squared(value))) <= self.squared {
                sum.iter_mut().zip(rounded).for_each(|(sum, value)| *sum += i64::from(value));
                return;
            }
            scale *= SHRINKING;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: f64 = 1.2159;

    fn clipping(dimension: usize) -> Clipping {
        Clipping::new(0.5, dimension, (DiscreteGaussian::ALONE, NOISE)).unwrap()
    }

    fn squared(values: &[i64]) -> u64 {
        values.iter().map(|value| value.unsigned_abs().pow(2)).sum()
    }

    #[test]
    fn no_gradient_moves_a_sum_by_more_than_the_noise_is_measured_against() {
        let dimension = 3_570;
        let clipping = clipping(dimension);
        assert_eq!(clipping.squared(), (DiscreteGaussian::ALONE.variance() as f64 / (NOISE * NOISE)) as u64);
        let mut dither = Dither::new(1);
        let flat = |value: f32| vec![value; dimension];
        let mut one = flat(0.0);
        one[7] = -3e38;
        let mixed: Vec<f32> = (0..dimension).map(|index| (index as f32 - 1_700.0) * 1e-5).collect();
        // At the clipped length exactly, where rounding decides.
        let near = flat(0.5 / (dimension as f32).sqrt());
        for gradient in [flat(3e38), flat(-3e38), flat(1e-30), flat(-1e-30), flat(0.0), one, mixed, near] {
            for _ in 0..20 {
                let before: Vec<i64> = (0..dimension as i64).collect();
                let mut sum = before.clone();
                clipping.add(&gradient, &mut sum, &mut dither);
                let moved: Vec<i64> = sum.iter().zip(&before).map(|(sum, before)| sum - before).collect();
                assert!(squared(&moved) <= clipping.squared(), "{:?}", &gradient[..9]);
            }
        }
    }

    #[test]
    fn rounding_that_would_be_too_long_is_done_again_shorter() {
        // Two values, and hardly room for one: each is rounded to 0 or 1, and both to 1 would be too long.
        let clipping = Clipping { length: 1.0, squared: 1, scale: 1.0 };
        let mut dither = Dither::new(2);
        let mut seen = [0; 3];
        for _ in 0..200 {
            let mut sum = [0; 2];
            clipping.add(&[0.7, 0.7], &mut sum, &mut dither);
            seen[squared(&sum) as usize] += 1;
        }
        assert!(seen[0] > 0 && seen[1] > 0 && seen[2] == 0, "{seen:?}");
    }

    #[test]
    fn short_gradients_keep_their_mean_and_long_ones_their_direction() {
        let clipping = clipping(3);
        let mut dither = Dither::new(3);
        let mean = |gradient: &[f32], dither: &mut Dither| {
            let mut sum = [0; 3];
            (0..2_000).for_each(|_| clipping.add(gradient, &mut sum, dither));
            sum.map(|value| value as f64 / 2_000.0 / clipping.scale())
        };
        let near = |found: [f64; 3], expected: [f64; 3]| {
            // A whole number is some 7e-5 of the clipped length; the mean of 2,000 roundings is far nearer.
            let off = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
            assert!(off < 5e-6, "{found:?} {expected:?}");
        };
        near(mean(&[0.1, -0.2, 0.3], &mut dither), [0.1f32, -0.2, 0.3].map(f64::from));
        near(mean(&[30.0, 0.0, -40.0], &mut dither), [0.3, 0.0, -0.4]);
    }

    #[test]
    fn a_gradient_that_is_not_finite_adds_nothing() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut sum = [5; 3];
            clipping(3).add(&[1.0, value, 1.0], &mut sum, &mut Dither::new(4));
            assert_eq!(sum, [5; 3]);
        }
    }

    #[test]
    fn more_values_than_the_noise_covers_and_no_length_are_refused() {
        let of = |length, dimension| Clipping::new(length, dimension, (DiscreteGaussian::SHARED[0], 100.0));
        // Deviation 532: squares up to 28.
        assert_eq!(of(0.5, 28).unwrap().squared(), 28);
        assert_eq!(of(0.5, 29), Err(ClippingError::Dimension { dimension: 29, noise: 100.0 }));
        // Squares up to 11, which rounding alone takes.
        let rounded = Clipping::new(0.5, 8, (DiscreteGaussian::SHARED[0], 155.0));
        assert_eq!(rounded, Err(ClippingError::Dimension { dimension: 8, noise: 155.0 }));
        for length in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(of(length, 3), Err(ClippingError::Length { .. })));
        }
    }
}
