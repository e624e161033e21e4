//! Exact division by some primes of the basis with centred rounding: ModDown when they are P,
//! rescaling when they end Q_l, both at once when they are both.
//!
//! For x modulo the whole basis and D the product of the dropped primes, the result is
//! (x - [x]_D) / D with [x]_D centred, that is x / D rounded: the error is at most 1/2 (and
//! 2^-24) per coefficient.
//! Source: Cheon, Han, Kim, Kim, Song, "A full RNS variant of approximate homomorphic
//! encryption", ePrint 2018/931, algorithm 2, with the exact conversion of `base_conversion`.

use crate::ckks::base_conversion::{BaseConversion, product_without};
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};
use rayon::prelude::*;

/// Divides by the last primes of Q_l: `keep` limbs remain of `x`, NTT domain, canonical.
pub(crate) fn divide_by_last(params: &Params, x: &Poly<Eval>, keep: usize) -> Poly<Eval> {
    let limbs = x.limbs();
    let last = x.residues()[keep * params.n..].to_vec();
    divide(params, |index| x.limb(index), keep, last, &params.q[keep..limbs])
}

/// Divides by P and by all primes of Q from number `keep` on a polynomial over the extended basis
/// of `limbs` limbs, given limb by limb.
pub(crate) fn divide_by_special<'a>(
    params: &Params,
    limb: impl Fn(usize) -> &'a [u32] + Sync + Send,
    limbs: usize,
    keep: usize,
) -> Poly<Eval> {
    let specials = params.p.len();
    let dropped: Vec<Limb> = params.p.iter().chain(&params.q[keep..limbs]).cloned().collect();
    let places = (0..specials).chain(specials + keep..specials + limbs);
    let rest = places.map(&limb).collect::<Vec<_>>().concat();
    divide(params, |index| limb(specials + index), keep, rest, &dropped)
}

/// (x - [x]_D) / D over the first `keep` primes, from the limbs of x there and modulo D.
fn divide<'a>(
    params: &Params,
    kept: impl Fn(usize) -> &'a [u32] + Sync + Send,
    keep: usize,
    mut rest: Vec<u32>,
    dropped: &[Limb],
) -> Poly<Eval> {
    let n = params.n;
    rest.par_chunks_exact_mut(n).zip(dropped).for_each(|(x, limb)| limb.inverse(x));
    let conversion = BaseConversion::new(dropped);
    let scaled = conversion.scale(rest, n);
    let mut out = Poly::zero(n, keep);
    out.par_limbs(&params.q[..keep], |index, limb, converted| {
        conversion.convert(&scaled, limb, converted);
        limb.forward(converted);
        // (converted - kept) (-1/D) = (kept - converted) / D.
        let inverse = limb.modulus().inv(product_without(dropped, None, limb.modulus()));
        limb.sub_mul_scalar(converted, kept(index), limb.modulus().neg(inverse));
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::extended::extended_basis;
    use crate::params::Preset;
    use crate::ring::Coeff;

    /// Small signed values times D plus a remainder must divide to the value, for every k.
    #[test]
    fn division_rounds_to_the_nearest_for_one_to_nine_primes() {
        let params = Params::toy(Preset::Inf15x90, 6);
        let n = params.n;
        for (limbs, keep) in [(5, 4), (6, 4), (7, 4), (19, 16)] {
            let basis = &params.q[..limbs];
            check(&params, basis, &params.q[keep..limbs], keep, |x| divide_by_last(&params, x, keep));
        }
        for keep in [19, 16] {
            let basis = extended_basis(&params, 19);
            let dropped: Vec<Limb> = params.p.iter().chain(&params.q[keep..]).cloned().collect();
            check(&params, &basis, &dropped, keep, |x| divide_by_special(&params, |i| x.limb(i), 19, keep));
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
