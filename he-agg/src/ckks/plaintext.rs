//! Plaintexts: an encoded message with its scale and level.

use crate::backend::{Backend, Cpu, Outcome};
use crate::params::{Params, Preset};
use crate::ring::Eval;

/// An encoded message over the first `limbs` primes of Q, NTT domain.
///
/// It has no `Debug`: it may hold a private image or a decrypted result.
pub struct Plaintext<B: Backend = Cpu> {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) poly: B::Poly<Eval>,
}

impl<B: Backend> Plaintext<B> {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Primes of Q it is represented modulo.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The factor between coefficients and the message.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl Plaintext {
    /// Copies encoded weights to where `backend` computes, in one transfer. They are public there:
    /// an image or a decrypted result must not take this way.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError).
    pub fn upload<B: Backend>(plaintexts: &[&Self], backend: &B) -> Outcome<Vec<Plaintext<B>>> {
        let polys: Vec<_> = plaintexts.iter().map(|plaintext| &plaintext.poly).collect();
        let polys = backend.upload(&polys)?.into_iter();
        let one =
            |(poly, from): (_, &&Self)| Plaintext { params: from.params, limbs: from.limbs, scale: from.scale, poly };
        Ok(polys.zip(plaintexts).map(one).collect())
    }
}

impl<B: Backend> Clone for Plaintext<B> {
    fn clone(&self) -> Self {
        Self { params: self.params, limbs: self.limbs, scale: self.scale, poly: self.poly.clone() }
    }
}
