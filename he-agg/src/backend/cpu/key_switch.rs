//! Key switching limb by limb, so that what belongs to one prime stays in the second-level cache.

use super::Cpu;
use super::division::Divider;
use crate::backend::{Digits, KeySwitch};
use crate::ckks::{BaseConversion, SwitchingKey, digit_count, digit_limbs, extended_basis, product_without};
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly, Words};
use crate::simd;
use rayon::prelude::*;
use std::ops::Range;

/// One item of [`crate::backend::Backend::key_switch`].
pub(super) fn key_switch(
    params: &'static Params,
    limbs: usize,
    keep: usize,
    item: &KeySwitch<'_, Cpu>,
) -> [Poly<Eval>; 2] {
    let mut switched = match item.digits {
        Digits::Of(x) => switch(params, limbs, x, item.key),
        Digits::Lifted(digits) => inner_product(params, limbs, digits, item.key),
    };
    if let Some(own) = item.own {
        switched.add_own(own);
    }
    switched.divide(keep, item)
}

/// The digits of `x` over the extended basis; where a digit has a prime, its rows are those of x.
pub(super) fn lift(params: &'static Params, limbs: usize, x: &Poly<Eval>) -> Vec<Poly<Eval>> {
    let basis = extended_basis(params, limbs);
    let parts = DigitParts::new(params, limbs, x);
    let mut lifted: Vec<_> = parts.places.iter().map(|_| Poly::unset(params.n, basis.len())).collect();
    lifted.par_iter_mut().enumerate().for_each(|(digit, lifted)| {
        lifted.par_limbs(&basis, |index, limb, out| match parts.own(digit, index) {
            Some(own) => out.copy_from_slice(own),
            None => parts.lift(digit, index, limb, out),
        });
    });
    lifted
}

/// P times a ciphertext of `x` times the key's target, modulo P Q_l; the whole of the lifted
/// digits, beta (l + K) limbs, is never in memory.
fn switch(params: &'static Params, limbs: usize, x: &Poly<Eval>, key: &SwitchingKey) -> Switched {
    let n = params.n;
    let parts = DigitParts::new(params, limbs, x);
    let count = parts.places.len();
    Switched::new(params, limbs, key, |index, limb, use_digits| {
        let mut lifted = Words::unset(count * n);
        for (digit, out) in lifted.chunks_exact_mut(n).enumerate() {
            parts.lift(digit, index, limb, out);
        }
        use_digits(&mut lifted.chunks_exact(n).enumerate().map(|(d, x)| parts.own(d, index).unwrap_or(x)));
    })
}

/// As [`switch`], of digits that are lifted already.
fn inner_product(params: &'static Params, limbs: usize, digits: &[Poly<Eval>], key: &SwitchingKey) -> Switched {
    Switched::new(params, limbs, key, |index, _, use_digits| use_digits(&mut digits.iter().map(|d| d.limb(index))))
}

/// As [`inner_product`], the halves as polynomials over the extended basis.
pub(super) fn gadget_product(
    params: &'static Params,
    limbs: usize,
    digits: &[Poly<Eval>],
    key: &SwitchingKey,
    own: Option<[&Poly<Eval>; 2]>,
) -> [Poly<Eval>; 2] {
    let mut switched = inner_product(params, limbs, digits, key);
    if let Some(own) = own {
        switched.add_own(own);
    }
    let [first, second] = switched.special.each_ref();
    let whole = |special: &Words, ordinary: &Words| {
        let mut poly = Poly::unset(params.n, params.p.len() + limbs);
        let (p, q) = poly.residues_mut().split_at_mut(special.len());
        p.copy_from_slice(special);
        q.copy_from_slice(ordinary);
        poly
    };
    [whole(first, &switched.ordinary[0]), whole(second, &switched.ordinary[1])]
}

/// A polynomial cut into digits, each ready to be converted to any prime.
struct DigitParts<'a> {
    params: &'static Params,
    x: &'a Poly<Eval>,
    /// The Q limbs that make up each digit.
    places: Vec<Range<usize>>,
    /// The limbs of x in the coefficient domain, each times its digit's conversion factor.
    scaled: Words,
    /// The overflow counts of each digit.
    overflow: Words,
}

impl<'a> DigitParts<'a> {
    fn new(params: &'static Params, limbs: usize, x: &'a Poly<Eval>) -> Self {
        let n = params.n;
        let places: Vec<_> = (0..digit_count(params, limbs)).map(|digit| digit_limbs(params, limbs, digit)).collect();
        let conversions: Vec<_> = places.iter().map(|place| BaseConversion::new(&params.q[place.clone()])).collect();
        let mut scaled = Words::unset(limbs * n);
        scaled.par_chunks_exact_mut(n).zip(&params.q).enumerate().for_each(|(i, (out, limb))| {
            let digit = i / params.alpha;
            out.copy_from_slice(x.limb(i));
            limb.inverse_scaled(out, conversions[digit].factor(i - places[digit].start));
        });
        let mut overflow = Words::unset(places.len() * n);
        overflow.par_chunks_exact_mut(n).enumerate().for_each(|(digit, out)| {
            let place = &places[digit];
            conversions[digit].count_overflow(&scaled[place.start * n..place.end * n], out);
        });
        Self { params, x, places, scaled, overflow }
    }

    /// Limb `index` of the extended basis of a digit, if that is a limb of x itself.
    fn own(&self, digit: usize, index: usize) -> Option<&'a [u32]> {
        let place = &self.places[digit];
        index.checked_sub(self.params.p.len()).filter(|q| place.contains(q)).map(|q| self.x.limb(q))
    }

    /// The centred digit modulo prime `index` of the extended basis, NTT domain; nothing where
    /// [`DigitParts::own`] has it.
    fn lift(&self, digit: usize, index: usize, limb: &Limb, out: &mut [u32]) {
        if self.own(digit, index).is_none() {
            let (n, place) = (self.params.n, self.places[digit].clone());
            let scaled = &self.scaled[place.start * n..place.end * n];
            let overflow = &self.overflow[digit * n..(digit + 1) * n];
            BaseConversion::new(&self.params.q[place]).convert(scaled, overflow, limb, out);
            limb.forward(out);
        }
    }
}

/// What gets the digits modulo one prime.
type UseDigits<'f> = dyn FnMut(&mut dyn Iterator<Item = &[u32]>) + 'f;

/// Two polynomials over the extended basis.
struct Switched {
    params: &'static Params,
    limbs: usize,
    /// Both halves modulo P.
    special: [Words; 2],
    /// Both halves modulo Q_l.
    ordinary: [Words; 2],
}

impl Switched {
    /// (sum_j d_j b_j, sum_j d_j a_j); `digits` is called per limb of the extended basis, with its
    /// number, and passes the digits there on.
    fn new(
        params: &'static Params,
        limbs: usize,
        key: &SwitchingKey,
        digits: impl Fn(usize, &Limb, &mut UseDigits<'_>) + Sync,
    ) -> Self {
        let n = params.n;
        let mut special = [(); 2].map(|()| Words::unset(params.p.len() * n));
        let mut ordinary = [(); 2].map(|()| Words::unset(limbs * n));
        let [p0, p1] = special.each_mut();
        let [q0, q1] = ordinary.each_mut();
        let pairs: Vec<_> = (p0.chunks_exact_mut(n).chain(q0.chunks_exact_mut(n)))
            .zip(p1.chunks_exact_mut(n).chain(q1.chunks_exact_mut(n)))
            .zip(params.p.iter().chain(&params.q))
            .collect();
        pairs.into_par_iter().enumerate().for_each(|(index, ((first, second), limb))| {
            digits(index, limb, &mut |digits| {
                let mut terms = [[&[][..]; 3]; simd::TERMS_MAX];
                let mut count = 0;
                for ((term, digit), [b, a]) in terms.iter_mut().zip(digits).zip(key.limb(index)) {
                    *term = [digit, b, a];
                    count += 1;
                }
                simd::inner_product(limb.modulus(), &terms[..count], [&mut *first, &mut *second]);
            });
        });
        Self { params, limbs, special, ordinary }
    }

    /// Adds P own to both halves; it vanishes modulo P.
    fn add_own(&mut self, own: [&Poly<Eval>; 2]) {
        let params = self.params;
        for (half, own) in self.ordinary.iter_mut().zip(own) {
            half.par_chunks_exact_mut(params.n).zip(&params.q).enumerate().for_each(|(index, (x, limb))| {
                let p = product_without(&params.p, None, limb.modulus());
                limb.mul_scalar_add(x, own.limb(index), p);
            });
        }
    }

    /// Both halves divided by P and by all primes of Q from number `keep` on, with what the item
    /// wants done to the quotients.
    fn divide(self, keep: usize, item: &KeySwitch<'_, Cpu>) -> [Poly<Eval>; 2] {
        let (params, n, limbs) = (self.params, self.params.n, self.limbs);
        // Each half's memory is free before the next one needs its own.
        let divide = |mut special: Words, ordinary: Words, addend| {
            let mut divider = Divider::by_special(params, limbs, keep);
            (divider.addend, divider.automorphism) = (addend, item.automorphism);
            let kept = |index: usize| &ordinary[index * n..(index + 1) * n];
            if keep == limbs {
                return divider.apply(kept, &mut special);
            }
            let mut rest = Words::unset(special.len() + (limbs - keep) * n);
            rest[..special.len()].copy_from_slice(&special);
            rest[special.len()..].copy_from_slice(&ordinary[keep * n..]);
            divider.apply(kept, &mut rest)
        };
        let [p0, p1] = self.special;
        let [q0, q1] = self.ordinary;
        [divide(p0, q0, item.addends[0]), divide(p1, q1, item.addends[1])]
    }
}
