//! A key that turns a polynomial under one secret into a ciphertext under another.

use crate::backend::{Backend, Cpu, Outcome};
use crate::ckks::extended::extended_basis;
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};

/// Per digit j the pair (b_j, a_j) with b_j + a_j s = P g_j s' + e_j modulo P Q_l.
///
/// Serves ciphertexts of up to `limbs` limbs; trimmed keys hold only those limbs and digits. The
/// residues are kept in Montgomery form, times 2^32, so that the inner product of a key switch
/// ends in one reduction.
pub struct SwitchingKey<B: Backend = Cpu> {
    params: &'static Params,
    limbs: usize,
    digits: Vec<[B::Poly<Eval>; 2]>,
}

impl<B: Backend> SwitchingKey<B> {
    /// The parameters.
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// The most limbs of a ciphertext it serves.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The pairs over the extended basis of all its limbs, digit by digit, in Montgomery form.
    pub fn pairs(&self) -> &[[B::Poly<Eval>; 2]] {
        &self.digits
    }
}

#[cfg(test)]
impl<B: Backend> SwitchingKey<B> {
    /// The key back on the processor.
    pub(crate) fn download(&self, backend: &B) -> Outcome<SwitchingKey> {
        let halves: Vec<_> = self.digits.iter().flatten().collect();
        let mut halves = backend.download(&halves)?.into_iter();
        let digits = std::iter::from_fn(|| Some([halves.next()?, halves.next()?])).collect();
        Ok(SwitchingKey { params: self.params, limbs: self.limbs, digits })
    }
}

impl SwitchingKey {
    /// The key of these pairs over the extended basis of `limbs` limbs, in ordinary form.
    pub(crate) fn new(params: &'static Params, limbs: usize, mut digits: Vec<[Poly<Eval>; 2]>) -> Self {
        let basis = extended_basis(params, limbs);
        for half in digits.iter_mut().flatten() {
            half.par_limbs(&basis, |_, limb, x| limb.mul_scalar(x, limb.modulus().word().value));
        }
        Self { params, limbs, digits }
    }

    /// A copy that lives on `backend`, all its polynomials in one transfer.
    pub(crate) fn upload<B: Backend>(&self, backend: &B) -> Outcome<SwitchingKey<B>> {
        let halves: Vec<_> = self.digits.iter().flatten().collect();
        let mut halves = backend.upload(&halves)?.into_iter();
        let digits = std::iter::from_fn(|| Some([halves.next()?, halves.next()?])).collect();
        Ok(SwitchingKey { params: self.params, limbs: self.limbs, digits })
    }

    /// The pairs in ordinary form.
    pub(crate) fn digits(&self) -> impl Iterator<Item = [Poly<Eval>; 2]> {
        let basis = extended_basis(self.params, self.limbs);
        let ordinary = move |half: &Poly<Eval>, basis: &[Limb]| {
            let mut half = half.clone();
            half.par_limbs(basis, |_, limb, x| limb.mul_scalar(x, limb.modulus().inv(limb.modulus().word().value)));
            half
        };
        self.digits.iter().map(move |pair| pair.each_ref().map(|half| ordinary(half, &basis)))
    }

    /// Limb `index` of the extended basis of both halves, digit by digit, in Montgomery form.
    pub(crate) fn limb(&self, index: usize) -> impl Iterator<Item = [&[u32]; 2]> {
        self.digits.iter().map(move |pair| pair.each_ref().map(|half| half.limb(index)))
    }
}

impl<B: Backend> Clone for SwitchingKey<B> {
    fn clone(&self) -> Self {
        Self { params: self.params, limbs: self.limbs, digits: self.digits.clone() }
    }
}
