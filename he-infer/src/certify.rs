//! A bound on the error of every answer, over all images and models that a plan admits.
//!
//! Whoever releases an approximate result floods in proportion to its error, so that error has to be bounded where
//! nobody has seen it: for the image and the model that make it largest.
//!
//! **What is proved**, for a program, pixels within a range, weights within theirs and honest noise as below: every
//! slot of every intermediate value lies in the interval that is computed for it; the error of an answer is a sum over
//! all noise that came in, each times at most the effect that is computed for it, squares of errors included; so its
//! deviation is at most the one computed, whatever image and model, and however products and rotations correlate
//! errors. Intervals take every weight and every pixel as free of all others: the bound is safe, and reached only where
//! all of them are at their ends with one sign.
//!
//! **What is assumed.** Noise is that of `noise_terms`: of encryptions behind the gate, of the lift's, the rotations'
//! and the relinearisations' keys, and of roundings. It is centred and independent between coefficients and between
//! operations, digits and roundings are as if uniform (they look so under ring-LWE), and the squared norms of secrets
//! and keys' errors exceed what is expected by no more than `DEVIATIONS` deviations of theirs. Its sum in the
//! coefficients of an answer is Gaussian-like: its norm exceeds `DEVIATIONS` times its root mean square with a
//! probability below 2^-40 per answer. What f64 rounds off an image or a weight in the embedding belongs to the
//! message, as it depends on no key.
//!
//! **What is not.** An image or a contribution out of range has an error of any size: that is what ledgers charge
//! answers for.

use he_agg::multiparty::ErrorBound;
use rayon::prelude::*;
use thiserror::Error;

use crate::bounds::BoundsMachine;
use crate::executor::walk;
use crate::forward::{InputError, PARAMETER_MAX, PIXEL_MAX};
use crate::interval::Interval;
use crate::noise_terms::NoiseTerms;
use crate::program::Program;

/// Deviations that an error is taken to stay within. A Gaussian vector's norm is above (1 + 7.5) times its root mean
/// square with a probability of at most exp(-7.5^2 / 2) = 2^-40.6, whatever its coefficients' correlations.
const DEVIATIONS: f64 = 8.5;
/// What rounding the turns of planes moves a pixel by, at most: for every plane N/2 halves of a unit, times sqrt(2), in
/// both of two conjugates, of a unit below 2^-29 at degrees up to 2^15.
const PLANE_ROUNDING: f64 = 1.0 / 2048.0;
/// Relative width by which the f32 in which hospitals contribute may move a weight: eight roundings.
const ROUNDING: f64 = f32::EPSILON as f64 * 4.0;

/// The pixels that a plan admits, as normalised for the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelRange {
    least: f64,
    most: f64,
}

impl PixelRange {
    /// From the least to the most.
    ///
    /// # Errors
    /// [`CertifyError::Pixels`] for no range, or one beyond what any network takes.
    pub fn new(least: f64, most: f64) -> Result<Self, CertifyError> {
        let is_range = least <= most && least >= -PIXEL_MAX && most <= PIXEL_MAX;
        if is_range { Ok(Self { least, most }) } else { Err(CertifyError::Pixels { least, most }) }
    }

    /// Grey levels and colours from 0 to 1, less `mean`, divided by `std`.
    ///
    /// # Errors
    /// As [`PixelRange::new`].
    pub fn normalised(mean: f32, std: f32) -> Result<Self, CertifyError> {
        // The arithmetic of whoever normalises.
        let at = |level: f32| f64::from((level - mean) / std);
        Self::new(at(0.0).min(at(1.0)), at(0.0).max(at(1.0)))
    }

    /// The smallest pixel.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.least
    }

    /// The largest.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.most
    }

    /// The first value out of range, and its place.
    #[must_use]
    pub fn first_beyond(&self, pixels: impl IntoIterator<Item = f32>) -> Option<(usize, f32)> {
        // A hair wider, for whoever scales to 0..=1 in another order.
        let slack = ROUNDING * self.least.abs().max(self.most.abs());
        let is_within = |pixel: f32| (self.least - slack..=self.most + slack).contains(&f64::from(pixel));
        pixels.into_iter().enumerate().find(|(_, pixel)| !is_within(*pixel))
    }

    /// `moved`: by how much a pixel may lie beside what was asked for.
    fn interval(self, moved: f64) -> Interval {
        let slack = ROUNDING * self.least.abs().max(self.most.abs()) + moved;
        Interval { least: self.least - slack, most: self.most + slack }
    }
}

/// Weights that a plan admits before there is a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightRange {
    /// Every weight of a unit with `k` inputs lies within this over the square root of `k`.
    pub gain: f64,
    /// Every bias, beta and gamma lies within this.
    pub offset: f64,
}

/// The models that a certificate is for.
#[derive(Clone, Copy, Debug)]
pub enum AdmissibleWeights<'a> {
    /// Any within a range: nobody has trained yet.
    Within(WeightRange),
    /// Those that publishing can make of a model that all hospitals know, when the last update moves no parameter by
    /// more than `clip`.
    Around {
        /// Its parameters in the flat order.
        base: &'a [f32],
        /// Largest change of one.
        clip: f64,
    },
}

/// What no answer exceeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    error_log2: f64,
    logit_max: f64,
}

impl Certificate {
    /// log2 of a bound on the error of one answer: the Euclidean norm over the coefficients of its logits, in units of
    /// the scale.
    #[must_use]
    pub fn error_log2(&self) -> f64 {
        self.error_log2
    }

    /// The same in whole bits, in which all hospitals agree; none where the intervals left the range of numbers.
    #[must_use]
    pub fn bound(&self) -> Option<ErrorBound> {
        ErrorBound::at_least(self.error_log2)
    }

    /// Largest absolute value of a logit.
    #[must_use]
    pub fn logit_max(&self) -> f64 {
        self.logit_max
    }
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CertifyError {
    /// No range of pixels.
    #[error("pixels from {least} to {most} are no range within -{PIXEL_MAX} to {PIXEL_MAX}")]
    Pixels {
        /// As given.
        least: f64,
        /// As given.
        most: f64,
    },
    /// No range of weights.
    #[error("weights within {bound} are no range; it must be from 0 to {PARAMETER_MAX}")]
    Weights {
        /// As given.
        bound: f64,
    },
    /// Nobody encrypts.
    #[error("an answer of no hospitals has no error")]
    NoHospitals,
    /// A model of another network.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl Program {
    /// Bounds the error of every answer that `hospitals` may release, all of whom share the key and contribute.
    ///
    /// # Errors
    /// Ranges that are none, a model of another network, or no hospitals.
    pub fn certify(
        &self,
        pixels: PixelRange,
        weights: AdmissibleWeights<'_>,
        hospitals: u16,
    ) -> Result<Certificate, CertifyError> {
        if hospitals == 0 {
            return Err(CertifyError::NoHospitals);
        }
        // A squared norm of N terms deviates by sqrt(2 / N) of itself.
        let norms = 1.0 + DEVIATIONS * (2.0 / self.params().n as f64).sqrt();
        let terms = NoiseTerms::new(self.params(), (hospitals, hospitals), self.entrance(), norms);
        let machine = BoundsMachine::new(self, &self.parameter_bounds(weights)?, terms, DEVIATIONS);
        // Of planes no question can be made that shows anything else.
        let (pixels, moved) = self.planes().map_or((pixels, 0.0), |planes| (planes, PLANE_ROUNDING));
        let query = machine.query(pixels.interval(moved));
        let Ok(results) = walk(&machine, self, &[&query], |_, _| ());
        // One query has one result.
        let Some(result) = results.first() else { return Err(CertifyError::NoHospitals) };
        let logits = (0..self.output_period()).into_par_iter();
        let deviations: Vec<f64> = logits.map(|logit| machine.deviation(result, logit)).collect();
        let squares: f64 = deviations.iter().map(|deviation| deviation * deviation).sum();
        // Real and imaginary parts, and all coefficients that hold logits.
        let rms = self.output_scale() * (2.0 * squares / self.output_period() as f64).sqrt();
        let logit_max = result.slots.iter().fold(0.0, |most: f64, slot| most.max(slot.value.magnitude()));
        Ok(Certificate { error_log2: (DEVIATIONS * rms).log2(), logit_max })
    }

    /// The interval of every parameter, in the flat order.
    fn parameter_bounds(&self, weights: AdmissibleWeights<'_>) -> Result<Vec<Interval>, CertifyError> {
        let check = |bound: f64| match (0.0..=PARAMETER_MAX).contains(&bound) {
            true => Ok(bound),
            false => Err(CertifyError::Weights { bound }),
        };
        match weights {
            AdmissibleWeights::Around { base, clip } => {
                self.network().check_parameters(base)?;
                let clip = check(clip)?;
                let around = |w: &f32| {
                    let w = f64::from(*w);
                    Interval::around(w, clip + ROUNDING * (w.abs() + clip))
                };
                Ok(base.iter().map(around).collect())
            }
            AdmissibleWeights::Within(WeightRange { gain, offset }) => {
                let (gain, offset) = (check(gain)?, check(offset)?);
                let within = |tensor: &crate::TensorSpec| {
                    let inputs: usize = tensor.shape.iter().skip(1).product();
                    let bound = if tensor.shape.len() > 1 { gain / (inputs as f64).sqrt() } else { offset };
                    std::iter::repeat_n(Interval::around(0.0, bound), tensor.len)
                };
                Ok(self.network().tensors().iter().flat_map(within).collect())
            }
        }
    }
}
