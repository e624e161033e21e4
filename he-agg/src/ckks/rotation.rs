//! Slot rotations, and hoisting: one ModUp for many rotations of the same ciphertext.
//!
//! A rotation key switches from s to phi^-1(s), phi: X -> X^(5^r). The digits are multiplied
//! with it unrotated and only the result is permuted, so that the rotations of one ciphertext
//! share the lifted digits.
//! Source: Halevi, Shoup, "Faster homomorphic linear transformations in HElib", ePrint 2018/244,
//! section 4; the order of permutation and inner product as in Bossuat et al., ePrint 2020/1203.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::{EvaluationKeys, GaloisKey, slot_steps};
use crate::ckks::evaluator::Evaluator;
use crate::ckks::key_switch::{LiftedDigits, Switched, check_key};

impl Evaluator {
    /// `rot(X, steps)[i] = X[i + steps]`, indices modulo N/2; negative steps rotate right.
    ///
    /// # Errors
    /// [`CkksError::Parts`] for three polynomials, a missing or too short key.
    pub fn rotate(&self, ciphertext: &Ciphertext, steps: i32, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        self.check_preset(ciphertext.preset())?;
        Self::check_parts(ciphertext, 2, "a rotation")?;
        let Some(galois) = self.galois_key(ciphertext, steps, keys)? else {
            return Ok(ciphertext.clone());
        };
        let switched = self.switch(&ciphertext.parts[1], &galois.key);
        Ok(self.turn(ciphertext, switched, galois))
    }

    /// The key for `steps`, none for the identity.
    fn galois_key<'k>(
        &self,
        ciphertext: &Ciphertext,
        steps: i32,
        keys: &'k EvaluationKeys,
    ) -> Result<Option<&'k GaloisKey>, CkksError> {
        let steps = slot_steps(self.params, steps);
        if steps == 0 {
            return Ok(None);
        }
        let galois = keys.rotation(self.params.preset, steps)?;
        check_key(&galois.key, ciphertext.limbs)?;
        Ok(Some(galois))
    }

    /// phi of (c0, 0) plus the switched c1.
    fn turn(&self, ciphertext: &Ciphertext, switched: Switched, galois: &GaloisKey) -> Ciphertext {
        let Ciphertext { params, limbs, scale, .. } = *ciphertext;
        let parts = switched.divide(limbs, [Some(&ciphertext.parts[0]), None], Some(&galois.automorphism));
        Ciphertext { params, limbs, scale, parts }
    }
}

/// A ciphertext whose second polynomial has been lifted once for any number of rotations.
///
/// Memory: beta (l + K) limbs, 13 MB at the top of INF15-90.
pub struct Hoisted<'a> {
    evaluator: Evaluator,
    ciphertext: &'a Ciphertext,
    digits: LiftedDigits<'a>,
}

impl<'a> Hoisted<'a> {
    /// Lifts the digits of `ciphertext`.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], or [`CkksError::Parts`] for three polynomials.
    pub fn new(evaluator: &Evaluator, ciphertext: &'a Ciphertext) -> Result<Self, CkksError> {
        evaluator.check_preset(ciphertext.preset())?;
        Evaluator::check_parts(ciphertext, 2, "a rotation")?;
        let digits = LiftedDigits::new(evaluator.params, &ciphertext.parts[1]);
        Ok(Self { evaluator: *evaluator, ciphertext, digits })
    }

    /// As [`Evaluator::rotate`], without the lifting.
    ///
    /// # Errors
    /// A missing or too short key.
    pub fn rotate(&self, steps: i32, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let ciphertext = self.ciphertext;
        let Some(galois) = self.evaluator.galois_key(ciphertext, steps, keys)? else {
            return Ok(ciphertext.clone());
        };
        let switched = self.digits.switch(&galois.key);
        Ok(self.evaluator.turn(ciphertext, switched, galois))
    }
}
