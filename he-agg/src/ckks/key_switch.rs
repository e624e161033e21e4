//! Hybrid key switching: digits of alpha primes, K special primes, one division at the end.
//!
//! ModUp lifts each digit of the input, centred, to P Q_l; the inner product with the key gives
//! P times the wanted ciphertext modulo P Q_l; the division by P rounds. Noise as in `evaluator`.
//! Source: Han, Ki, "Better bootstrapping for approximate homomorphic encryption", ePrint
//! 2019/688, section 3; levels with fewer limbs use the same key, since its gadget is 0 or 1
//! modulo each prime.

use crate::backend::{Backend, Digits, KeySwitch};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluation_keys::EvaluationKeys;
use crate::ckks::evaluator::{Evaluator, check_limbs};
use crate::ckks::switching_key::SwitchingKey;
use crate::ring::Eval;

impl<B: Backend> Evaluator<B> {
    /// Three polynomials to two, same message, limbs and scale.
    ///
    /// # Errors
    /// [`CkksError::Parts`], a missing or too short key.
    pub fn relinearise(
        &self,
        ciphertext: &Ciphertext<B>,
        keys: &EvaluationKeys<B>,
    ) -> Result<Ciphertext<B>, CkksError> {
        only(self.relinearise_all(&[ciphertext], keys)?)
    }

    /// As [`Evaluator::relinearise`] for several ciphertexts of equal limbs.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise`], or [`CkksError::LimbsMismatch`].
    pub fn relinearise_all(
        &self,
        ciphertexts: &[&Ciphertext<B>],
        keys: &EvaluationKeys<B>,
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let Some(limbs) = ciphertexts.first().map(|first| first.limbs) else { return Ok(Vec::new()) };
        let switches = self.square_switches(ciphertexts, limbs, keys)?;
        let switches: Vec<_> =
            switches.into_iter().map(|(key, [c0, c1])| KeySwitch { addends: [Some(c0), Some(c1)], ..key }).collect();
        let parts = self.backend.key_switch(limbs, limbs, &switches)?;
        let whole = |(parts, from): ([_; 2], &&Ciphertext<B>)| from.with_parts(limbs, from.scale, parts.into());
        Ok(parts.into_iter().zip(ciphertexts).map(whole).collect())
    }

    /// [`Evaluator::relinearise`] and [`Evaluator::rescale`] with one division by P and the
    /// level's primes together: fewer transforms, one rounding.
    ///
    /// # Errors
    /// As the two operations.
    pub fn relinearise_rescale(
        &self,
        ciphertext: &Ciphertext<B>,
        keys: &EvaluationKeys<B>,
    ) -> Result<Ciphertext<B>, CkksError> {
        only(self.relinearise_rescale_all(&[ciphertext], keys)?)
    }

    /// As [`Evaluator::relinearise_rescale`] for several ciphertexts of equal limbs.
    ///
    /// # Errors
    /// As [`Evaluator::relinearise_rescale`], or [`CkksError::LimbsMismatch`].
    pub fn relinearise_rescale_all(
        &self,
        ciphertexts: &[&Ciphertext<B>],
        keys: &EvaluationKeys<B>,
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let Some(limbs) = ciphertexts.first().map(|first| first.limbs) else { return Ok(Vec::new()) };
        let keep = self.limbs_after_rescale(limbs)?;
        let switches = self.square_switches(ciphertexts, limbs, keys)?;
        let switches: Vec<_> = switches.into_iter().map(|(key, own)| KeySwitch { own: Some(own), ..key }).collect();
        let parts = self.backend.key_switch(limbs, keep, &switches)?;
        let whole = |(parts, from): ([_; 2], &&Ciphertext<B>)| {
            let scale = self.scale_after_rescale(from.scale, limbs)?;
            Ok(from.with_parts(keep, scale, parts.into()))
        };
        parts.into_iter().zip(ciphertexts).map(whole).collect()
    }

    /// The key switches of the third polynomials, with the polynomials to which each is added.
    fn square_switches<'c>(
        &self,
        ciphertexts: &[&'c Ciphertext<B>],
        limbs: usize,
        keys: &'c EvaluationKeys<B>,
    ) -> Result<Vec<SquareSwitch<'c, B>>, CkksError> {
        for ciphertext in ciphertexts {
            self.check_preset(ciphertext.preset())?;
            Self::check_parts(ciphertext, 3, "relinearisation")?;
            check_limbs(limbs, ciphertext.limbs)?;
        }
        let key = &keys.relinearization(self.params().preset)?.key;
        check_key(key, limbs)?;
        let one = |ciphertext: &&'c Ciphertext<B>| {
            let [c0, c1, c2] = &ciphertext.parts[..] else { return None };
            let digits = Digits::Of(c2);
            Some((KeySwitch { digits, key, own: None, addends: [None, None], automorphism: None }, [c0, c1]))
        };
        Ok(ciphertexts.iter().filter_map(one).collect())
    }
}

/// The key switch of a third polynomial, and the first two.
type SquareSwitch<'c, B> = (KeySwitch<'c, B>, [&'c <B as Backend>::Poly<Eval>; 2]);

/// The result of a batch of one.
pub(crate) fn only<T>(batch: Vec<T>) -> Result<T, CkksError> {
    batch.into_iter().next().ok_or(CkksError::NoTerms)
}

/// Refuses a key trimmed below the ciphertext.
pub(crate) fn check_key<B: Backend>(key: &SwitchingKey<B>, limbs: usize) -> Result<(), CkksError> {
    if key.limbs() < limbs {
        return Err(CkksError::KeyTooShort { key: key.limbs(), ciphertext: limbs });
    }
    Ok(())
}
