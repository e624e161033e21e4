//! Hybrid key switching: digits of alpha primes, K special primes, one division at the end.
//!
//! ModUp lifts each digit of the input, centred, to P Q_l; the inner product with the key gives
//! P times the wanted ciphertext modulo P Q_l; the division by P rounds. Noise as in `evaluator`.
//! Source: Han, Ki, "Better bootstrapping for approximate homomorphic encryption", ePrint
//! 2019/688, section 3; levels with fewer limbs use the same key, since its gadget is 0 or 1
//! modulo each prime.

use crate::ckks::base_conversion::{BaseConversion, product_without};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::division::Division;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::EvaluationKeys;
use crate::ckks::evaluator::Evaluator;
use crate::ckks::extended::{digit_count, digit_limbs, extended_basis};
use crate::ckks::switching_key::SwitchingKey;
use crate::params::Params;
use crate::ring::{Automorphism, Eval, Limb, Poly, Words};
use crate::simd;
use rayon::prelude::*;
use std::ops::Range;

impl Evaluator {
    /// Three polynomials to two, same message, limbs and scale.
    ///
    /// # Errors
    /// [`CkksError::Parts`], a missing or too short key.
    pub fn relinearise(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let switched = self.switch_square(ciphertext, keys)?;
        let addends = [Some(&ciphertext.parts[0]), Some(&ciphertext.parts[1])];
        let parts = switched.divide(ciphertext.limbs, addends, None);
        let Ciphertext { params, limbs, scale, .. } = *ciphertext;
        Ok(Ciphertext { params, limbs, scale, parts })
    }

    /// [`Evaluator::relinearise`] and [`Evaluator::rescale`] with one division by P and the
    /// level's primes together: fewer transforms, one rounding.
    ///
    /// # Errors
    /// As the two operations.
    pub fn relinearise_rescale(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let limbs = ciphertext.limbs;
        let keep = self.limbs_after_rescale(limbs)?;
        let scale = self.scale_after_rescale(ciphertext.scale, limbs)?;
        let mut switched = self.switch_square(ciphertext, keys)?;
        // Add P own to both halves; it vanishes modulo P.
        let params = self.params;
        for (half, own) in switched.ordinary.iter_mut().zip(&ciphertext.parts) {
            half.par_chunks_exact_mut(params.n).zip(&params.q).enumerate().for_each(|(index, (x, limb))| {
                let p = product_without(&params.p, None, limb.modulus());
                limb.mul_scalar_add(x, own.limb(index), p);
            });
        }
        let parts = switched.divide(keep, [None, None], None);
        Ok(Ciphertext { params, limbs: keep, scale, parts })
    }

    /// P times a ciphertext of the third polynomial times s^2, modulo P Q_l.
    fn switch_square(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<Switched, CkksError> {
        self.check_preset(ciphertext.preset())?;
        Self::check_parts(ciphertext, 3, "relinearisation")?;
        let key = &keys.relinearization(self.params.preset)?.key;
        check_key(key, ciphertext.limbs)?;
        Ok(self.switch(&ciphertext.parts[2], key))
    }

    /// P times a ciphertext of `x` times the key's target, modulo P Q_l.
    ///
    /// Limb by limb, so that the lifted digits of one limb stay in the second-level cache and the
    /// whole of them, beta (l + K) limbs, is never in memory.
    pub(crate) fn switch(&self, x: &Poly<Eval>, key: &SwitchingKey) -> Switched {
        let n = self.params.n;
        let digits = Digits::new(self.params, x);
        let count = digits.places.len();
        Switched::new(self.params, x.limbs(), key, |index, limb, use_digits| {
            let mut lifted = Words::unset(count * n);
            for (digit, out) in lifted.chunks_exact_mut(n).enumerate() {
                digits.lift(digit, index, limb, out);
            }
            use_digits(&mut lifted.chunks_exact(n).enumerate().map(|(d, x)| digits.own(d, index).unwrap_or(x)));
        })
    }
}

/// A polynomial cut into digits, each ready to be converted to any prime.
struct Digits<'a> {
    params: &'static Params,
    x: &'a Poly<Eval>,
    /// The Q limbs that make up each digit.
    places: Vec<Range<usize>>,
    /// The limbs of x in the coefficient domain, each times its digit's conversion factor.
    scaled: Words,
    /// The overflow counts of each digit.
    overflow: Words,
}

impl<'a> Digits<'a> {
    fn new(params: &'static Params, x: &'a Poly<Eval>) -> Self {
        let (n, limbs) = (params.n, x.limbs());
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
        own_limb(self.params, self.x, &self.places[digit], index)
    }

    /// The centred digit modulo prime `index` of the extended basis, NTT domain; nothing where
    /// [`Digits::own`] has it.
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

fn own_limb<'a>(params: &Params, x: &'a Poly<Eval>, place: &Range<usize>, index: usize) -> Option<&'a [u32]> {
    index.checked_sub(params.p.len()).filter(|q| place.contains(q)).map(|q| x.limb(q))
}

/// ModUp of a whole polynomial: its digits, centred, over the extended basis in the NTT domain.
pub(crate) struct LiftedDigits<'a> {
    params: &'static Params,
    x: &'a Poly<Eval>,
    places: Vec<Range<usize>>,
    /// Limb by limb of the extended basis, digit by digit.
    lifted: Words,
}

impl<'a> LiftedDigits<'a> {
    pub(crate) fn new(params: &'static Params, x: &'a Poly<Eval>) -> Self {
        let (n, basis) = (params.n, extended_basis(params, x.limbs()));
        let digits = Digits::new(params, x);
        let count = digits.places.len();
        let mut lifted = Words::unset(basis.len() * count * n);
        lifted.par_chunks_exact_mut(count * n).zip(&basis).enumerate().for_each(|(index, (out, limb))| {
            for (digit, out) in out.chunks_exact_mut(n).enumerate() {
                digits.lift(digit, index, limb, out);
            }
        });
        let Digits { places, .. } = digits;
        Self { params, x, places, lifted }
    }

    /// As [`Evaluator::switch`], without the lifting.
    pub(crate) fn switch(&self, key: &SwitchingKey) -> Switched {
        let n = self.params.n;
        Switched::new(self.params, self.x.limbs(), key, |index, _, use_digits| {
            let count = self.places.len();
            let lifted = &self.lifted[index * count * n..(index + 1) * count * n];
            let own = |digit: usize| own_limb(self.params, self.x, &self.places[digit], index);
            use_digits(&mut lifted.chunks_exact(n).enumerate().map(|(d, x)| own(d).unwrap_or(x)));
        })
    }
}

/// What gets the digits modulo one prime.
type UseDigits<'f> = dyn FnMut(&mut dyn Iterator<Item = &[u32]>) + 'f;

/// Two polynomials over the extended basis.
pub(crate) struct Switched {
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

    /// Both halves divided by P and by all primes of Q from number `keep` on, plus `addends`, then
    /// under `automorphism`.
    pub(crate) fn divide(
        self,
        keep: usize,
        addends: [Option<&Poly<Eval>>; 2],
        automorphism: Option<&Automorphism>,
    ) -> Vec<Poly<Eval>> {
        let (params, n) = (self.params, self.params.n);
        let halves = self.special.into_iter().zip(self.ordinary).zip(addends);
        let divide = |((mut special, ordinary), addend): ((Words, Words), _)| {
            let mut division = Division::by_special(params, self.limbs, keep);
            (division.addend, division.automorphism) = (addend, automorphism);
            let kept = |index: usize| &ordinary[index * n..(index + 1) * n];
            if keep == self.limbs {
                return division.apply(kept, &mut special);
            }
            let mut rest = Words::unset(special.len() + (self.limbs - keep) * n);
            rest[..special.len()].copy_from_slice(&special);
            rest[special.len()..].copy_from_slice(&ordinary[keep * n..]);
            division.apply(kept, &mut rest)
        };
        halves.map(divide).collect()
    }
}

/// Refuses a key trimmed below the ciphertext.
pub(crate) fn check_key(key: &SwitchingKey, limbs: usize) -> Result<(), CkksError> {
    if key.limbs() < limbs {
        return Err(CkksError::KeyTooShort { key: key.limbs(), ciphertext: limbs });
    }
    Ok(())
}
