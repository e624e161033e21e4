//! Slot rotations, and hoisting: one ModUp for many rotations of the same ciphertext.
//!
//! A rotation key switches from s to phi^-1(s), phi: X -> X^(5^r). The digits are multiplied
//! with it unrotated and only the result is permuted, so that the rotations of one ciphertext
//! share the lifted digits.
//! Source: Halevi, Shoup, "Faster homomorphic linear transformations in HElib", ePrint 2018/244,
//! section 4; the order of permutation and inner product as in Bossuat et al., ePrint 2020/1203.

use crate::backend::{Backend, Cpu, Digits, KeySwitch};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::{EvaluationKeys, GaloisKey, slot_steps};
use crate::ckks::evaluator::{Evaluator, check_limbs};
use crate::ckks::key_switch::{check_key, only};
use crate::ring::Eval;

impl<B: Backend> Evaluator<B> {
    /// `rot(X, steps)[i] = X[i + steps]`, indices modulo N/2; negative steps rotate right.
    ///
    /// # Errors
    /// [`CkksError::Parts`] for three polynomials, a missing or too short key.
    pub fn rotate(
        &self,
        ciphertext: &Ciphertext<B>,
        steps: i32,
        keys: &EvaluationKeys<B>,
    ) -> Result<Ciphertext<B>, CkksError> {
        only(self.rotate_all(&[ciphertext], steps, keys)?)
    }

    /// As [`Evaluator::rotate`] for several ciphertexts of equal limbs.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`], or [`CkksError::LimbsMismatch`].
    pub fn rotate_all(
        &self,
        ciphertexts: &[&Ciphertext<B>],
        steps: i32,
        keys: &EvaluationKeys<B>,
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        if ciphertexts.is_empty() {
            return Ok(Vec::new());
        }
        let limbs = self.check_rotated(ciphertexts)?;
        let Some(galois) = self.galois_key(limbs, steps, keys)? else {
            return Ok(ciphertexts.iter().copied().cloned().collect());
        };
        let switches: Vec<_> = ciphertexts.iter().map(|from| turn(from, Digits::Of(&from.parts[1]), galois)).collect();
        self.finish_turns(limbs, ciphertexts, &switches)
    }

    /// conj(X), slot by slot.
    ///
    /// # Errors
    /// As [`Evaluator::rotate`].
    pub fn conjugate(&self, ciphertext: &Ciphertext<B>, keys: &EvaluationKeys<B>) -> Result<Ciphertext<B>, CkksError> {
        let limbs = self.check_rotated(&[ciphertext])?;
        let galois = keys.conjugation(self.params().preset)?;
        check_key(&galois.key, limbs)?;
        let switch = turn(ciphertext, Digits::Of(&ciphertext.parts[1]), galois);
        only(self.finish_turns(limbs, &[ciphertext], &[switch])?)
    }

    /// Presets, parts and equal limbs of ciphertexts to be rotated, and the limbs.
    fn check_rotated(&self, ciphertexts: &[&Ciphertext<B>]) -> Result<usize, CkksError> {
        let limbs = ciphertexts.first().map_or(0, |first| first.limbs);
        for ciphertext in ciphertexts {
            self.check_preset(ciphertext.preset())?;
            Self::check_parts(ciphertext, 2, "a rotation")?;
            check_limbs(limbs, ciphertext.limbs)?;
        }
        Ok(limbs)
    }

    /// The key for `steps`, none for the identity.
    fn galois_key<'k>(
        &self,
        limbs: usize,
        steps: i32,
        keys: &'k EvaluationKeys<B>,
    ) -> Result<Option<&'k GaloisKey<B>>, CkksError> {
        let steps = slot_steps(self.params(), steps);
        if steps == 0 {
            return Ok(None);
        }
        let galois = keys.rotation(self.params().preset, steps)?;
        check_key(&galois.key, limbs)?;
        Ok(Some(galois))
    }

    fn finish_turns(
        &self,
        limbs: usize,
        from: &[&Ciphertext<B>],
        switches: &[KeySwitch<'_, B>],
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let parts = self.backend.key_switch(limbs, limbs, switches)?;
        let whole = |(parts, from): ([_; 2], &&Ciphertext<B>)| from.with_parts(limbs, from.scale, parts.into());
        Ok(parts.into_iter().zip(from).map(whole).collect())
    }
}

/// phi of (c0, 0) plus the switched c1.
fn turn<'c, B: Backend>(
    ciphertext: &'c Ciphertext<B>,
    digits: Digits<'c, B>,
    galois: &'c GaloisKey<B>,
) -> KeySwitch<'c, B> {
    let addends = [Some(&ciphertext.parts[0]), None];
    KeySwitch { digits, key: &galois.key, own: None, addends, automorphism: Some(&galois.automorphism) }
}

/// Ciphertexts whose second polynomials have been lifted once for any number of rotations.
///
/// Memory: beta (l + K) limbs each, 13 MB at the top of INF15-90.
pub struct Hoisted<'a, B: Backend = Cpu> {
    evaluator: Evaluator<B>,
    limbs: usize,
    ciphertexts: Vec<&'a Ciphertext<B>>,
    digits: Vec<Vec<B::Poly<Eval>>>,
}

impl<'a, B: Backend> Hoisted<'a, B> {
    /// Lifts the digits of `ciphertext`.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], or [`CkksError::Parts`] for three polynomials.
    pub fn new(evaluator: &Evaluator<B>, ciphertext: &'a Ciphertext<B>) -> Result<Self, CkksError> {
        Self::all(evaluator, vec![ciphertext])
    }

    /// Lifts the digits of several ciphertexts of equal limbs.
    ///
    /// # Errors
    /// As [`Hoisted::new`], or [`CkksError::LimbsMismatch`].
    pub fn all(evaluator: &Evaluator<B>, ciphertexts: Vec<&'a Ciphertext<B>>) -> Result<Self, CkksError> {
        let limbs = evaluator.check_rotated(&ciphertexts)?;
        let halves: Vec<_> = ciphertexts.iter().map(|ciphertext| &ciphertext.parts[1]).collect();
        let digits = evaluator.backend.lift(limbs, &halves)?;
        Ok(Self { evaluator: evaluator.clone(), limbs, ciphertexts, digits })
    }

    /// As [`Evaluator::rotate`], without the lifting: the first of the ciphertexts, rotated.
    ///
    /// # Errors
    /// A missing or too short key.
    pub fn rotate(&self, steps: i32, keys: &EvaluationKeys<B>) -> Result<Ciphertext<B>, CkksError> {
        only(only(self.rotate_many(&[steps], keys)?)?)
    }

    /// Every ciphertext rotated by every number of steps: one list per ciphertext.
    ///
    /// # Errors
    /// As [`Hoisted::rotate`].
    pub fn rotate_many(&self, steps: &[i32], keys: &EvaluationKeys<B>) -> Result<Vec<Vec<Ciphertext<B>>>, CkksError> {
        let galois = steps
            .iter()
            .map(|&steps| self.evaluator.galois_key(self.limbs, steps, keys))
            .collect::<Result<Vec<_>, _>>()?;
        let pairs = || self.ciphertexts.iter().zip(&self.digits);
        let moving = || galois.iter().flatten();
        let switches: Vec<_> = pairs()
            .flat_map(|(from, digits)| moving().map(move |galois| turn(from, Digits::Lifted(digits), galois)))
            .collect();
        let sources: Vec<_> = self.ciphertexts.iter().flat_map(|from| moving().map(move |_| *from)).collect();
        let mut turned = self.evaluator.finish_turns(self.limbs, &sources, &switches)?.into_iter();
        let mut one = |from: &Ciphertext<B>, galois: &Option<_>| match galois {
            Some(_) => turned.next(),
            None => Some(from.clone()),
        };
        Ok(self.ciphertexts.iter().map(|from| galois.iter().filter_map(|galois| one(from, galois)).collect()).collect())
    }
}
