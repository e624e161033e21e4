//! The evaluator: checked operations on ciphertexts of one parameter set.
//!
//! It is stateless beside the parameters, so one value serves any number of threads. Its methods
//! live beside their subject: `arithmetic`, `rescale`, `key_switch`, `rotation`.
//!
//! Noise, as standard deviations per coefficient in the units of the scale (sigma = 3.24, h the
//! secret's weight, n hospitals): a rescale or ModDown adds sqrt((1 + h)/12) with h = n 2N/3,
//! 2^7.4 at N = 2^15 and n = 16; a key switch adds that and
//! sqrt(beta N/12) sqrt(n) sigma D/P, where the largest digit D over P is 2^-30 for K = alpha + 1.
//! A relinearisation key has noise sqrt(2 n sigma^2 (2 n N/3 + 1)) instead of sqrt(n) sigma, a gate
//! key sqrt(n + 1) sigma; a sum of lifted contributions is one ModDown.

use crate::backend::{Backend, Cpu};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::params::{Params, Preset};

/// Relative difference up to which two scales count as equal.
pub const SCALE_TOLERANCE: f64 = 1.0 / (1u64 << 40) as f64;

/// Performs operations on ciphertexts of one preset.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator<B: Backend = Cpu> {
    pub(crate) backend: B,
}

impl Evaluator {
    /// An evaluator for `preset`.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for an aggregation preset.
    pub fn new(preset: Preset) -> Result<Self, CkksError> {
        Self::on(Cpu::new(preset.params()))
    }
}

impl<B: Backend> Evaluator<B> {
    /// An evaluator that computes on `backend`.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for a backend of an aggregation preset.
    pub fn on(backend: B) -> Result<Self, CkksError> {
        let params = backend.params();
        if params.p.is_empty() {
            return Err(CkksError::NotForEvaluation { preset: params.preset });
        }
        Ok(Self { backend })
    }

    /// The parameters.
    pub fn params(&self) -> &'static Params {
        self.backend.params()
    }

    /// Where it computes.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    pub(crate) fn check_preset(&self, preset: Preset) -> Result<(), CkksError> {
        if preset == self.params().preset {
            Ok(())
        } else {
            Err(CkksError::PresetMismatch { left: self.params().preset, right: preset })
        }
    }

    pub(crate) fn check_parts(
        ciphertext: &Ciphertext<B>,
        expected: usize,
        operation: &'static str,
    ) -> Result<(), CkksError> {
        let found = ciphertext.parts.len();
        if found == expected { Ok(()) } else { Err(CkksError::Parts { operation, expected, found }) }
    }
}

pub(crate) fn check_limbs(left: usize, right: usize) -> Result<(), CkksError> {
    if left == right { Ok(()) } else { Err(CkksError::LimbsMismatch { left, right }) }
}

pub(crate) fn check_scales(left: f64, right: f64) -> Result<(), CkksError> {
    if (left / right - 1.0).abs() <= SCALE_TOLERANCE { Ok(()) } else { Err(CkksError::ScaleMismatch { left, right }) }
}
