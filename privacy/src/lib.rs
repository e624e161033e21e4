//! Differential privacy for patients: what a noisy step of training costs, the noise itself, and gradients of patients
//! as integers that no patient moves by more than a known length.
//!
//! Two sets of patients are neighbours where one has a patient more. A [`NoisyStep`] draws each patient by itself with
//! the same probability, adds their [`Clipping`]ped gradients and [`DiscreteGaussian`] noise; [`RenyiCosts`] add up
//! over steps, rounds and runs, and say which (epsilon, delta) holds of all of them together. Integers throughout: what
//! is claimed does not depend on how a processor rounds.

mod accountant;
mod clipping;
mod dither;
mod gaussian;
mod sampling_rate;
mod step;

pub use accountant::{COSTS, ORDERS, RenyiCosts};
pub use clipping::{Clipping, ClippingError};
pub use dither::Dither;
pub use gaussian::DiscreteGaussian;
pub use sampling_rate::SamplingRate;
pub use step::{NoisyStep, NoisyStepError};
