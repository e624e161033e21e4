//! Levels: dropping primes without division, rescaling by a whole group of them.

use crate::backend::{Backend, Basis, Division};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluator::{Evaluator, check_limbs};
use crate::ckks::key_switch::only;

impl<B: Backend> Evaluator<B> {
    /// Divides by the last `limbs_per_level` primes in one shot and rounds; the scale is divided
    /// by their exact product. Two or three polynomials; relinearise first, it is cheaper.
    ///
    /// # Errors
    /// [`CkksError::LevelExhausted`] if not more limbs are left than one level takes.
    pub fn rescale(&self, ciphertext: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        only(self.rescale_all(&[ciphertext])?)
    }

    /// As [`Evaluator::rescale`] for several ciphertexts of equal limbs.
    ///
    /// # Errors
    /// As [`Evaluator::rescale`], or [`CkksError::LimbsMismatch`].
    pub fn rescale_all(&self, ciphertexts: &[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let Some(limbs) = ciphertexts.first().map(|first| first.limbs) else { return Ok(Vec::new()) };
        let keep = self.limbs_after_rescale(limbs)?;
        for ciphertext in ciphertexts {
            self.check_preset(ciphertext.preset())?;
            check_limbs(limbs, ciphertext.limbs)?;
        }
        let polys = ciphertexts.iter().flat_map(|ciphertext| &ciphertext.parts);
        let divisions = polys.map(|x| Division { x, addend: None, automorphism: None }).collect();
        let mut parts = self.backend.divide(&Basis::ordinary(0..limbs), keep, divisions)?.into_iter();
        let whole = |from: &&Ciphertext<B>| {
            let scale = self.scale_after_rescale(from.scale, limbs)?;
            Ok(from.with_parts(keep, scale, parts.by_ref().take(from.parts.len()).collect()))
        };
        ciphertexts.iter().map(whole).collect()
    }

    /// Limbs left after one rescale of a ciphertext of `limbs`.
    ///
    /// # Errors
    /// [`CkksError::LevelExhausted`].
    pub fn limbs_after_rescale(&self, limbs: usize) -> Result<usize, CkksError> {
        let needed = self.params().limbs_per_level;
        if limbs <= needed || limbs > self.params().q.len() {
            return Err(CkksError::LevelExhausted { needed, limbs });
        }
        Ok(limbs - needed)
    }

    /// The exact scale after one rescale of a ciphertext of `limbs` and `scale`.
    ///
    /// # Errors
    /// [`CkksError::LevelExhausted`].
    pub fn scale_after_rescale(&self, scale: f64, limbs: usize) -> Result<f64, CkksError> {
        let keep = self.limbs_after_rescale(limbs)?;
        Ok(self.params().q[keep..limbs].iter().fold(scale, |s, p| s / f64::from(p.modulus().value())))
    }

    /// Keeps the first `limbs` primes: the same message and scale at a lower level.
    ///
    /// # Errors
    /// [`CkksError::Raise`] if the ciphertext has fewer; [`CkksError::Limbs`] for zero.
    pub fn drop_to(&self, ciphertext: &Ciphertext<B>, limbs: usize) -> Result<Ciphertext<B>, CkksError> {
        self.check_preset(ciphertext.preset())?;
        ciphertext.check_drop(limbs)?;
        let parts = ciphertext.parts.iter().map(|part| self.backend.prefix(part, limbs)).collect();
        Ok(ciphertext.with_parts(limbs, ciphertext.scale, parts))
    }
}
