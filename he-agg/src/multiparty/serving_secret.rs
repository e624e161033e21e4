//! One hospital's part s'_i of the collective serving key.

use crate::ckks::extended_basis;
use crate::multiparty::{CeremonyError, Crs, PartySet};
use crate::params::{Params, Preset};
use crate::ring::{Automorphism, Eval, Poly};
use crate::sampler;
use crate::stream::Stream;
use zeroize::Zeroizing;

/// A ternary secret of one hospital for one epoch; wiped on drop.
///
/// The collective secret is the sum over all hospitals, and is never formed. To keep a secret
/// over a restart, keep the seed of the stream it was generated from.
pub struct ServingSecret {
    params: &'static Params,
    party: u16,
    coefficients: Zeroizing<Vec<i64>>,
    /// Over the extended basis of all limbs.
    poly: Zeroizing<Poly<Eval>>,
}

impl ServingSecret {
    /// A fresh secret of hospital `party`, in 1..=64; `stream` must be fresh randomness.
    ///
    /// # Errors
    /// [`CeremonyError::Party`]; an aggregation preset is refused.
    pub fn generate(preset: Preset, party: u16, stream: &mut Stream) -> Result<Self, CeremonyError> {
        crate::ckks::Evaluator::new(preset)?;
        Self::over(preset.params(), party, stream)
    }

    pub(crate) fn over(params: &'static Params, party: u16, stream: &mut Stream) -> Result<Self, CeremonyError> {
        PartySet::of(&[party])?;
        let coefficients = sampler::ternary(stream, params.n);
        let basis = extended_basis(params, params.q.len());
        let poly = Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis));
        Ok(Self { params, party, coefficients, poly })
    }

    /// The hospital's number.
    pub fn party(&self) -> u16 {
        self.party
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    pub(crate) fn params(&self) -> &'static Params {
        self.params
    }

    /// s'_i over the extended basis of all limbs; a prefix serves fewer.
    pub(crate) fn poly(&self) -> &Poly<Eval> {
        &self.poly
    }

    /// s'_i as integers; the copy is wiped too.
    pub(crate) fn coefficients(&self) -> Zeroizing<Vec<i64>> {
        self.coefficients.clone()
    }

    /// phi(s'_i) over the extended basis of `limbs`.
    pub(crate) fn rotated(&self, phi: &Automorphism, limbs: usize) -> Zeroizing<Poly<Eval>> {
        let basis = extended_basis(self.params, limbs);
        let coefficients = phi.apply_integers(&self.coefficients);
        Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis))
    }

    pub(crate) fn check_crs(&self, crs: &Crs) -> Result<(), CeremonyError> {
        let (left, right) = (self.preset(), crs.preset());
        if left == right { Ok(()) } else { Err(CeremonyError::PresetMismatch { left, right }) }
    }
}
