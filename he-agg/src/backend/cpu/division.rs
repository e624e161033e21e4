//! Exact division by some primes of the basis with centred rounding: ModDown when they are P,
//! rescaling when they end Q_l, both at once when they are both.
//!
//! For x modulo the whole basis and D the product of the dropped primes, the result is
//! (x - [x]_D) / D with [x]_D centred, that is x / D rounded: the error is at most 1/2 (and
//! 2^-24) per coefficient.
//! Source: Cheon, Han, Kim, Kim, Song, "A full RNS variant of approximate homomorphic
//! encryption", ePrint 2018/931, algorithm 2, with the exact conversion of `base_conversion`.

use crate::backend::{Basis, Cpu, Division};
use crate::ckks::{BaseConversion, product_without};
use crate::params::Params;
use crate::ring::{Automorphism, Eval, Limb, Poly, Words};
use rayon::prelude::*;

/// One division: which primes go, and what happens to the quotient on its way out.
pub(crate) struct Divider<'a> {
    params: &'a Params,
    /// Limbs of Q that remain.
    keep: usize,
    dropped: Vec<Limb>,
    /// Added to the quotient; it may have further limbs.
    pub(crate) addend: Option<&'a Poly<Eval>>,
    /// Applied to the sum.
    pub(crate) automorphism: Option<&'a Automorphism>,
}

impl<'a> Divider<'a> {
    /// By P and by the primes of Q_l from number `keep` on.
    pub(crate) fn by_special(params: &'a Params, limbs: usize, keep: usize) -> Self {
        let dropped = params.p.iter().chain(&params.q[keep..limbs]).cloned().collect();
        Self { params, keep, dropped, addend: None, automorphism: None }
    }

    /// By the first prime of P alone.
    pub(crate) fn by_first_special(params: &'a Params, limbs: usize) -> Self {
        Self { params, keep: limbs, dropped: params.p[..1].to_vec(), addend: None, automorphism: None }
    }

    /// Divides the polynomial with the limbs `kept(0..keep)` modulo the primes that stay and
    /// `rest` modulo the dropped ones, in their order; NTT domain, canonical. `rest` is consumed.
    pub(crate) fn apply<'x>(&self, kept: impl Fn(usize) -> &'x [u32] + Sync + Send, rest: &mut [u32]) -> Poly<Eval> {
        let n = self.params.n;
        let conversion = BaseConversion::new(&self.dropped);
        assert!(rest.len() == n * self.dropped.len(), "one limb for every dropped prime");
        rest.par_chunks_exact_mut(n).zip(&self.dropped).enumerate().for_each(|(i, (x, limb))| {
            limb.inverse_scaled(x, conversion.factor(i));
        });
        let mut overflow = Words::unset(n);
        conversion.count_overflow(rest, &mut overflow);
        let (rest, overflow) = (&*rest, &*overflow);
        let quotient = |index: usize, limb: &Limb, out: &mut [u32]| {
            conversion.convert(rest, overflow, limb, out);
            limb.forward(out);
            // (converted - kept) (-1/D) = (kept - converted) / D.
            let modulus = limb.modulus();
            let factor = modulus.neg(modulus.inv(product_without(&self.dropped, None, modulus)));
            match self.addend {
                Some(addend) => limb.sub_mul_scalar_add(out, kept(index), factor, addend.limb(index)),
                None => limb.sub_mul_scalar(out, kept(index), factor),
            }
        };
        let mut out = Poly::unset(n, self.keep);
        out.par_limbs(&self.params.q[..self.keep], |index, limb, out| match self.automorphism {
            Some(automorphism) => {
                let mut unturned = Words::unset(n);
                quotient(index, limb, &mut unturned);
                automorphism.permute(&unturned, out);
            }
            None => quotient(index, limb, out),
        });
        out
    }
}

/// One item of [`crate::backend::Backend::divide`].
pub(super) fn divide(params: &Params, basis: &Basis, keep: usize, item: &Division<'_, Cpu>) -> Poly<Eval> {
    let (n, dropped) = (params.n, basis.beyond(keep));
    let mut rest = Words::unset(dropped.len(params) * n);
    for (index, row) in rest.chunks_exact_mut(n).enumerate() {
        row.copy_from_slice(item.x.limb(dropped.row_in(basis, params, index)));
    }
    let dropped = dropped.limbs(params).cloned().collect();
    let divider = Divider { params, keep, dropped, addend: item.addend, automorphism: item.automorphism };
    let specials = basis.specials(params);
    divider.apply(|index| item.x.limb(specials + index), &mut rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::extended_basis;
    use crate::params::Preset;
    use crate::ring::Coeff;

    /// Small signed values times D plus a remainder must divide to the value, for every k.
    #[test]
    fn division_rounds_to_the_nearest_for_one_to_nine_primes() {
        let params = Params::toy(Preset::Inf15x90, 6);
        let n = params.n;
        for (limbs, keep) in [(5, 4), (6, 4), (7, 4), (19, 16)] {
            let basis = &params.q[..limbs];
            check(&params, basis, &params.q[keep..limbs], keep, |x| {
                divide(&params, &Basis::ordinary(0..limbs), keep, &Division { x, addend: None, automorphism: None })
            });
        }
        for keep in [19, 16] {
            let basis = extended_basis(&params, 19);
            let dropped: Vec<Limb> = params.p.iter().chain(&params.q[keep..]).cloned().collect();
            let specials = params.p.len();
            check(&params, &basis, &dropped, keep, |x| {
                let mut rest = [&x.residues()[..specials * n], &x.residues()[(specials + keep) * n..]].concat();
                Divider::by_special(&params, 19, keep).apply(|i| x.limb(specials + i), &mut rest)
            });
        }
        assert_eq!(n, 64);
    }

    fn check(
        params: &Params,
        basis: &[Limb],
        dropped: &[Limb],
        keep: usize,
        divide: impl Fn(&Poly<Eval>) -> Poly<Eval>,
    ) {
        // x = D m + r with |r| < D/2 spelt as fractions of D: r = +-D/3 rounded.
        let n = params.n;
        let wanted: Vec<i64> = (0..n as i64).map(|k| (k - 30) * 1_000_003).collect();
        let whole: num_bigint::BigInt = dropped.iter().map(|p| num_bigint::BigInt::from(p.modulus().value())).product();
        let mut x = Poly::<Coeff>::zero(n, basis.len());
        x.par_limbs(basis, |_, limb, out| {
            let q = num_bigint::BigInt::from(limb.modulus().value());
            for (k, value) in out.iter_mut().enumerate() {
                let remainder = match k % 3 {
                    0 => &whole / 2 - 1i32,
                    1 => -(&whole / 3i32),
                    _ => num_bigint::BigInt::from(0),
                };
                let full: num_bigint::BigInt = &whole * wanted[k] + remainder;
                let residue = ((full % &q) + &q) % &q;
                *value = residue.iter_u32_digits().next().unwrap_or(0);
            }
        });
        let divided = divide(&x.into_eval(basis));
        let expected = Poly::from_signed(&wanted, &params.q[..keep]);
        // Values within D 2^-24 of D/2 may round the other way.
        let divided = divided.into_coeff(&params.q[..keep]);
        for limb in 0..keep {
            let q = params.q[limb].modulus();
            for k in 0..n {
                let difference = q.sub(divided.limb(limb)[k], expected.limb(limb)[k]);
                assert!(difference == 0 || (k % 3 == 0 && difference == 1), "{k}: {difference}");
            }
        }
    }
}
