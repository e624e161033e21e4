//! A key that turns a polynomial under one secret into a ciphertext under another.

use crate::ckks::extended::extended_basis;
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};

/// Per digit j the pair (b_j, a_j) with b_j + a_j s = P g_j s' + e_j modulo P Q_l.
///
/// Serves ciphertexts of up to `limbs` limbs; trimmed keys hold only those limbs and digits. The
/// residues are kept in Montgomery form, times 2^32, so that the inner product of a key switch
/// ends in one reduction.
#[derive(Clone)]
pub(crate) struct SwitchingKey {
    params: &'static Params,
    limbs: usize,
    digits: Vec<[Poly<Eval>; 2]>,
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

    pub(crate) fn params(&self) -> &'static Params {
        self.params
    }

    /// The most limbs of a ciphertext it serves.
    pub(crate) fn limbs(&self) -> usize {
        self.limbs
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
