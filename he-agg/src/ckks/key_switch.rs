//! Hybrid key switching: digits of alpha primes, K special primes, one division at the end.
//!
//! ModUp lifts each digit of the input, centred, to P Q_l; the inner product with the key gives
//! P times the wanted ciphertext modulo P Q_l; the division by P rounds. Noise as in `evaluator`.
//! Source: Han, Ki, "Better bootstrapping for approximate homomorphic encryption", ePrint
//! 2019/688, section 3; levels with fewer limbs use the same key, since its gadget is 0 or 1
//! modulo each prime.

use crate::ckks::base_conversion::{BaseConversion, Scaled, product_without};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::division::divide_by_special;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::EvaluationKeys;
use crate::ckks::evaluator::Evaluator;
use crate::ckks::extended::{digit_count, digit_limbs, extended_basis};
use crate::ckks::switching_key::SwitchingKey;
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};
use rayon::prelude::*;
use std::ops::Range;

impl Evaluator {
    /// Three polynomials to two, same message, limbs and scale.
    ///
    /// # Errors
    /// [`CkksError::Parts`], a missing or too short key.
    pub fn relinearise(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let limbs = ciphertext.limbs;
        let switched = self.switch_square(ciphertext, keys)?;
        let basis = &self.params.q[..limbs];
        let mut parts = switched.divide(limbs);
        for (part, own) in parts.iter_mut().zip(&ciphertext.parts) {
            part.add_assign(own, basis);
        }
        Ok(Ciphertext { parts, ..shape_of(ciphertext) })
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
        let n = self.params.n;
        let ordinary = switched.residues.par_chunks_exact_mut(2 * n).skip(self.params.p.len());
        ordinary.zip(&self.params.q).enumerate().for_each(|(index, (pair, limb))| {
            let p = product_without(&self.params.p, None, limb.modulus());
            for (half, own) in pair.chunks_exact_mut(n).zip(&ciphertext.parts) {
                limb.mul_scalar_add(half, own.limb(index), p);
            }
        });
        let parts = switched.divide(keep);
        Ok(Ciphertext { params: self.params, limbs: keep, scale, parts })
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
        let digits = self.digits(x);
        Switched::new(self.params, x.limbs(), digits.len(), |index, limb, lifted, pair| {
            for (digit, out) in digits.iter().zip(lifted.chunks_exact_mut(n)) {
                digit.lift(x, self.params.p.len(), index, limb, out);
            }
            inner_product(lifted.chunks_exact(n), key, index, limb, pair);
        })
    }

    /// As [`Evaluator::switch`] for digits lifted before.
    pub(crate) fn switch_lifted(&self, lifted: &[Poly<Eval>], limbs: usize, key: &SwitchingKey) -> Switched {
        Switched::new(self.params, limbs, 0, |index, limb, _, pair| {
            inner_product(lifted.iter().map(|digit| digit.limb(index)), key, index, limb, pair);
        })
    }

    /// ModUp: each digit of `x`, centred, over the extended basis in the NTT domain.
    pub(crate) fn lift(&self, x: &Poly<Eval>) -> Vec<Poly<Eval>> {
        let (params, basis) = (self.params, extended_basis(self.params, x.limbs()));
        let lift = |digit: &Digit<'_>| {
            let mut lifted = Poly::zero(params.n, basis.len());
            lifted.par_limbs(&basis, |index, limb, out| digit.lift(x, params.p.len(), index, limb, out));
            lifted
        };
        self.digits(x).par_iter().map(lift).collect()
    }

    fn digits(&self, x: &Poly<Eval>) -> Vec<Digit<'static>> {
        let (params, limbs, n) = (self.params, x.limbs(), self.params.n);
        let coefficients = x.clone().into_coeff(&params.q[..limbs]);
        let digit = |digit| {
            let own = digit_limbs(params, limbs, digit);
            let conversion = BaseConversion::new(&params.q[own.clone()]);
            let residues = coefficients.residues()[own.start * n..own.end * n].to_vec();
            let scaled = conversion.scale(residues, n);
            Digit { own, conversion, scaled }
        };
        (0..digit_count(params, limbs)).map(digit).collect()
    }
}

/// One digit of a polynomial, ready to be converted to any prime.
struct Digit<'a> {
    /// The Q limbs it consists of.
    own: Range<usize>,
    conversion: BaseConversion<'a>,
    scaled: Scaled,
}

impl Digit<'_> {
    /// The centred digit modulo prime `index` of the extended basis, NTT domain; modulo its own
    /// primes that is `x` itself.
    fn lift(&self, x: &Poly<Eval>, specials: usize, index: usize, limb: &Limb, out: &mut [u32]) {
        match index.checked_sub(specials).filter(|q| self.own.contains(q)) {
            Some(q) => out.copy_from_slice(x.limb(q)),
            None => {
                self.conversion.convert(&self.scaled, limb, out);
                limb.forward(out);
            }
        }
    }
}

/// pair = (sum_j d_j b_j, sum_j d_j a_j) modulo one prime.
fn inner_product<'a>(
    lifted: impl Iterator<Item = &'a [u32]> + Clone,
    key: &SwitchingKey,
    index: usize,
    limb: &Limb,
    pair: &mut [u32],
) {
    let n = pair.len() / 2;
    for (half, out) in pair.chunks_exact_mut(n).enumerate() {
        let terms: Vec<(&[u32], &[u32])> =
            lifted.clone().zip(&key.digits).map(|(digit, key)| (digit, key[half].limb(index))).collect();
        limb.dot(out, &terms);
    }
}

/// Two polynomials over the extended basis, both halves of a limb beside each other.
pub(crate) struct Switched {
    params: &'static Params,
    residues: Vec<u32>,
}

impl Switched {
    /// `fill` gets the number of a limb, the limb, scratch of `scratch` limbs and both halves.
    fn new(
        params: &'static Params,
        limbs: usize,
        scratch: usize,
        fill: impl Fn(usize, &Limb, &mut [u32], &mut [u32]) + Sync,
    ) -> Self {
        let basis = extended_basis(params, limbs);
        let mut residues = vec![0; 2 * basis.len() * params.n];
        residues.par_chunks_exact_mut(2 * params.n).zip(&basis).enumerate().for_each_init(
            || vec![0; scratch * params.n],
            |scratch, (index, (pair, limb))| fill(index, limb, scratch, pair),
        );
        Self { params, residues }
    }

    /// Both halves divided by P and by all primes of Q from number `keep` on.
    pub(crate) fn divide(&self, keep: usize) -> Vec<Poly<Eval>> {
        let n = self.params.n;
        let limbs = self.residues.len() / (2 * n) - self.params.p.len();
        let divide = |half: usize| {
            let limb = |index: usize| &self.residues[(2 * index + half) * n..(2 * index + half + 1) * n];
            divide_by_special(self.params, limb, limbs, keep)
        };
        vec![divide(0), divide(1)]
    }
}

/// Refuses a key trimmed below the ciphertext.
pub(crate) fn check_key(key: &SwitchingKey, limbs: usize) -> Result<(), CkksError> {
    if key.limbs < limbs {
        return Err(CkksError::KeyTooShort { key: key.limbs, ciphertext: limbs });
    }
    Ok(())
}

fn shape_of(ciphertext: &Ciphertext) -> Ciphertext {
    Ciphertext { params: ciphertext.params, limbs: ciphertext.limbs, scale: ciphertext.scale, parts: Vec::new() }
}
