//! Lazy sums of products of polynomials.

use super::poly::{Eval, Poly};
use super::{ACCUMULATOR_TERMS, Limb};
use rayon::prelude::*;
use zeroize::Zeroize;

/// A sum of pointwise products held in 64-bit words, folded every 15 terms.
///
/// Size: 8 N bytes per limb. Wiped on drop, since terms may be secret.
pub struct Accumulator {
    words: Vec<u64>,
    n: usize,
    limbs: usize,
    terms: usize,
}

impl Accumulator {
    /// The empty sum over `limbs` limbs of degree `n`.
    pub fn new(n: usize, limbs: usize) -> Self {
        Accumulator { words: vec![0; n * limbs], n, limbs, terms: 0 }
    }

    /// Adds `a * b`. Operands may have more limbs than the sum; the first
    /// ones are used.
    pub fn mul_add(&mut self, a: &Poly<Eval>, b: &Poly<Eval>, basis: &[Limb]) {
        assert!(basis.len() == self.limbs, "basis and accumulator differ in limbs");
        assert!(a.n() == self.n && b.n() == self.n, "degrees differ");
        assert!(a.limbs() >= self.limbs && b.limbs() >= self.limbs, "operand has too few limbs");
        let fold = self.terms == ACCUMULATOR_TERMS;
        self.terms = if fold { 2 } else { self.terms + 1 };
        self.words.par_chunks_mut(self.n).zip(basis).enumerate().for_each(|(i, (acc, limb))| {
            if fold {
                limb.fold(acc);
            }
            Limb::accumulate(acc, a.limb(i), b.limb(i));
        });
    }

    /// The reduced sum.
    pub fn finish(self, basis: &[Limb]) -> Poly<Eval> {
        assert!(basis.len() == self.limbs, "basis and accumulator differ in limbs");
        let mut out = Poly::zero(self.n, self.limbs);
        out.par_limbs(basis, |i, limb, out: &mut [u32]| {
            limb.reduce_wide(&self.words[i * self.n..(i + 1) * self.n], out);
        });
        out
    }
}

impl Drop for Accumulator {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}
