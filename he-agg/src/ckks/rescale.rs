//! Levels: dropping primes without division, rescaling by a whole group of them.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::division::divide_by_last;
use crate::ckks::error::CkksError;
use crate::ckks::evaluator::Evaluator;

impl Evaluator {
    /// Divides by the last `limbs_per_level` primes in one shot and rounds; the scale is divided
    /// by their exact product. Two or three polynomials; relinearise first, it is cheaper.
    ///
    /// # Errors
    /// [`CkksError::LevelExhausted`] if not more limbs are left than one level takes.
    pub fn rescale(&self, ciphertext: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check_preset(ciphertext.preset())?;
        let keep = self.limbs_after_rescale(ciphertext.limbs)?;
        let parts = ciphertext.parts.iter().map(|part| divide_by_last(self.params, part, keep)).collect();
        let scale = self.scale_after_rescale(ciphertext.scale, ciphertext.limbs)?;
        Ok(Ciphertext { params: self.params, limbs: keep, scale, parts })
    }

    /// Limbs left after one rescale of a ciphertext of `limbs`.
    ///
    /// # Errors
    /// [`CkksError::LevelExhausted`].
    pub fn limbs_after_rescale(&self, limbs: usize) -> Result<usize, CkksError> {
        let needed = self.params.limbs_per_level;
        if limbs <= needed || limbs > self.params.q.len() {
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
        Ok(self.params.q[keep..limbs].iter().fold(scale, |s, p| s / f64::from(p.modulus().value())))
    }

    /// Keeps the first `limbs` primes: the same message and scale at a lower level.
    ///
    /// # Errors
    /// [`CkksError::Raise`] if the ciphertext has fewer; [`CkksError::Limbs`] for zero.
    pub fn drop_to(&self, ciphertext: &Ciphertext, limbs: usize) -> Result<Ciphertext, CkksError> {
        self.check_preset(ciphertext.preset())?;
        if limbs == 0 {
            return Err(CkksError::Limbs { limbs, max: ciphertext.limbs });
        }
        if limbs > ciphertext.limbs {
            return Err(CkksError::Raise { limbs: ciphertext.limbs, target: limbs });
        }
        let mut dropped = ciphertext.clone();
        dropped.parts.iter_mut().for_each(|part| part.truncate(limbs));
        dropped.limbs = limbs;
        Ok(dropped)
    }
}
