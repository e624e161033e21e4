//! Hybrid key switching: digits of alpha primes, K special primes, one division at the end.
//!
//! ModUp lifts each digit of the input, centred, to P Q_l; the inner product with the key gives
//! P times the wanted ciphertext modulo P Q_l; the division by P rounds. Noise as in `evaluator`.
//! Source: Han, Ki, "Better bootstrapping for approximate homomorphic encryption", ePrint
//! 2019/688, section 3; levels with fewer limbs use the same key, since its gadget is 0 or 1
//! modulo each prime.

use crate::ckks::base_conversion::{BaseConversion, product_without};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::division::divide_by_special;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::EvaluationKeys;
use crate::ckks::evaluator::Evaluator;
use crate::ckks::extended::{digit_count, digit_limbs, extended_basis};
use crate::ckks::switching_key::SwitchingKey;
use crate::ring::{Eval, Poly};
use rayon::prelude::*;

impl Evaluator {
    /// Three polynomials to two, same message, limbs and scale.
    ///
    /// # Errors
    /// [`CkksError::Parts`], a missing or too short key.
    pub fn relinearise(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<Ciphertext, CkksError> {
        let limbs = ciphertext.limbs;
        let [r0, r1] = self.switch_square(ciphertext, keys)?;
        let basis = &self.params.q[..limbs];
        let mut parts = vec![divide_by_special(self.params, &r0, limbs), divide_by_special(self.params, &r1, limbs)];
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
        let specials = self.params.p.len();
        let parts = switched
            .iter_mut()
            .zip(&ciphertext.parts)
            .map(|(sum, own)| {
                // sum + P own: own vanishes modulo P.
                sum.par_limbs(&extended_basis(self.params, limbs), |index, limb, residues| {
                    if index >= specials {
                        let p = product_without(&self.params.p, None, limb.modulus());
                        limb.mul_scalar_add(residues, own.limb(index - specials), p);
                    }
                });
                divide_by_special(self.params, sum, keep)
            })
            .collect();
        Ok(Ciphertext { params: self.params, limbs: keep, scale, parts })
    }

    /// P times a ciphertext of the third polynomial times s^2, modulo P Q_l.
    fn switch_square(&self, ciphertext: &Ciphertext, keys: &EvaluationKeys) -> Result<[Poly<Eval>; 2], CkksError> {
        self.check_preset(ciphertext.preset())?;
        Self::check_parts(ciphertext, 3, "relinearisation")?;
        let key = &keys.relinearization(self.params.preset)?.key;
        check_key(key, ciphertext.limbs)?;
        let digits = self.decompose(&ciphertext.parts[2]);
        Ok(self.inner_products(&digits, key, ciphertext.limbs))
    }

    /// ModUp: each digit of `x`, centred, over the extended basis in the NTT domain.
    pub(crate) fn decompose(&self, x: &Poly<Eval>) -> Vec<Poly<Eval>> {
        let (params, limbs) = (self.params, x.limbs());
        let (n, specials) = (params.n, params.p.len());
        let extended = extended_basis(params, limbs);
        let coefficients = x.clone().into_coeff(&params.q[..limbs]);
        (0..digit_count(params, limbs))
            .into_par_iter()
            .map(|digit| {
                let own = digit_limbs(params, limbs, digit);
                let conversion = BaseConversion::new(&params.q[own.clone()]);
                let residues = coefficients.residues()[own.start * n..own.end * n].to_vec();
                let scaled = conversion.scale(residues, n);
                let mut lifted = Poly::zero(n, extended.len());
                lifted.par_limbs(&extended, |index, limb, out| {
                    match index.checked_sub(specials).filter(|q| own.contains(q)) {
                        Some(q) => out.copy_from_slice(x.limb(q)),
                        None => {
                            conversion.convert(&scaled, limb, out);
                            limb.forward(out);
                        }
                    }
                });
                lifted
            })
            .collect()
    }

    /// (sum_j d_j b_j, sum_j d_j a_j) modulo P Q_l.
    pub(crate) fn inner_products(&self, digits: &[Poly<Eval>], key: &SwitchingKey, limbs: usize) -> [Poly<Eval>; 2] {
        let basis = extended_basis(self.params, limbs);
        [0, 1].map(|half| {
            let pairs: Vec<_> = digits.iter().zip(&key.digits).map(|(d, pair)| (d, &pair[half])).collect();
            Poly::dot(&pairs, &basis)
        })
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
