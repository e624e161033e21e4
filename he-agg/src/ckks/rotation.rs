//! Slot rotations, and hoisting: one ModUp for many rotations of the same ciphertext.
//!
//! A rotation key switches from s to phi^-1(s), phi: X -> X^(5^r). The digits are multiplied
//! with it unrotated and only the result is permuted, so that the rotations of one ciphertext
//! share the lifted digits.
//! Source: Halevi, Shoup, "Faster homomorphic linear transformations in HElib", ePrint 2018/244,
//! section 4; the order of permutation and inner product as in Bossuat et al., ePrint 2020/1203.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::division::divide_by_special;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::{EvaluationKeys, slot_steps};
use crate::ckks::evaluator::Evaluator;
use crate::ckks::key_switch::check_key;
use crate::ring::{Eval, Poly};

impl Evaluator {
    /// rot(X, steps)[i] = X[i + steps], indices modulo N/2; negative steps rotate right.
    ///
    /// # Errors
    /// [`CkksError::Parts`] for three polynomials, a missing or too short key.
    pub fn rotate(&self, ciphertext: &Ciphertext, steps: i32, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        if slot_steps(self.params, steps) == 0 {
            self.check_preset(ciphertext.preset())?;
            Self::check_parts(ciphertext, 2, "a rotation")?;
            return Ok(ciphertext.clone());
        }
        Hoisted::new(self, ciphertext)?.rotate(steps, keys)
    }
}

/// A ciphertext whose second polynomial has been lifted once for any number of rotations.
///
/// Memory: beta (l + K) limbs, 13 MB at the top of INF15-90.
pub struct Hoisted<'a> {
    evaluator: Evaluator,
    ciphertext: &'a Ciphertext,
    digits: Vec<Poly<Eval>>,
}

impl<'a> Hoisted<'a> {
    /// Lifts the digits of `ciphertext`.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], or [`CkksError::Parts`] for three polynomials.
    pub fn new(evaluator: &Evaluator, ciphertext: &'a Ciphertext) -> Result<Self, CkksError> {
        evaluator.check_preset(ciphertext.preset())?;
        Evaluator::check_parts(ciphertext, 2, "a rotation")?;
        let digits = evaluator.decompose(&ciphertext.parts[1]);
        Ok(Self { evaluator: *evaluator, ciphertext, digits })
    }

    /// As [`Evaluator::rotate`], without the lifting.
    ///
    /// # Errors
    /// A missing or too short key.
    pub fn rotate(&self, steps: i32, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let (params, limbs) = (self.evaluator.params, self.ciphertext.limbs);
        let steps = slot_steps(params, steps);
        if steps == 0 {
            return Ok(self.ciphertext.clone());
        }
        let galois = keys.rotation(params.preset, steps)?;
        check_key(&galois.key, limbs)?;
        let [r0, r1] = self.evaluator.inner_products(&self.digits, &galois.key, limbs);
        let mut c0 = divide_by_special(params, &r0, limbs);
        c0.add_assign(&self.ciphertext.parts[0], &params.q[..limbs]);
        let c1 = divide_by_special(params, &r1, limbs);
        let parts = [c0, c1].iter().map(|part| galois.automorphism.apply_eval(part)).collect();
        Ok(Ciphertext { params, limbs, scale: self.ciphertext.scale, parts })
    }
}
