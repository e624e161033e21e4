//! The public keys that computing on ciphertexts needs.

use crate::backend::{Backend, Cpu, Outcome};
use crate::ckks::error::CkksError;
use crate::ckks::switching_key::SwitchingKey;
use crate::params::{Params, Preset};
use crate::ring::Automorphism;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Switches from s^2 to s after a product.
pub struct RelinearizationKey<B: Backend = Cpu> {
    pub(crate) key: SwitchingKey<B>,
}

impl<B: Backend> Clone for RelinearizationKey<B> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone() }
    }
}

impl<B: Backend> RelinearizationKey<B> {
    /// The most limbs of a ciphertext it serves.
    pub fn limbs(&self) -> usize {
        self.key.limbs()
    }
}

/// Rotates slots by one number of steps, or conjugates them.
pub struct GaloisKey<B: Backend = Cpu> {
    /// In [1, N/2), or N/2 for conjugation.
    pub(crate) steps: usize,
    pub(crate) automorphism: Arc<Automorphism>,
    pub(crate) key: SwitchingKey<B>,
}

impl<B: Backend> GaloisKey<B> {
    /// Steps to the left, in [1, N/2), or N/2 for conjugation.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The most limbs of a ciphertext it serves.
    pub fn limbs(&self) -> usize {
        self.key.limbs()
    }
}

/// A relinearisation key and any number of rotation keys of one preset.
pub struct EvaluationKeys<B: Backend = Cpu> {
    params: &'static Params,
    relinearization: Option<RelinearizationKey<B>>,
    rotations: BTreeMap<usize, GaloisKey<B>>,
}

impl EvaluationKeys {
    /// No keys yet.
    pub fn new(preset: Preset) -> Self {
        Self::over(preset.params())
    }

    pub(crate) fn over(params: &'static Params) -> Self {
        Self { params, relinearization: None, rotations: BTreeMap::new() }
    }

    /// Sets the relinearisation key.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn set_relinearization(&mut self, key: RelinearizationKey) -> Result<(), CkksError> {
        self.check(key.key.params().preset)?;
        self.relinearization = Some(key);
        Ok(())
    }

    /// Adds a rotation key, in place of one of the same steps.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn insert_rotation(&mut self, key: GaloisKey) -> Result<(), CkksError> {
        self.check(key.key.params().preset)?;
        self.rotations.insert(key.steps, key);
        Ok(())
    }

    /// A copy that lives on `backend`, key by key.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError).
    pub fn upload<B: Backend>(&self, backend: &B) -> Outcome<EvaluationKeys<B>> {
        let relinearization = match &self.relinearization {
            Some(key) => Some(RelinearizationKey { key: key.key.upload(backend)? }),
            None => None,
        };
        let one = |(&steps, galois): (&usize, &GaloisKey)| {
            let automorphism = Arc::clone(&galois.automorphism);
            Ok((steps, GaloisKey { steps, automorphism, key: galois.key.upload(backend)? }))
        };
        let rotations = self.rotations.iter().map(one).collect::<Outcome<_>>()?;
        Ok(EvaluationKeys { params: self.params, relinearization, rotations })
    }
}

impl<B: Backend> EvaluationKeys<B> {
    /// Steps for which there is a key, in [1, N/2), and N/2 where there is one for conjugation.
    pub fn rotation_steps(&self) -> impl Iterator<Item = usize> + '_ {
        self.rotations.keys().copied()
    }

    pub(crate) fn relinearization(&self, preset: Preset) -> Result<&RelinearizationKey<B>, CkksError> {
        self.check(preset)?;
        self.relinearization.as_ref().ok_or(CkksError::MissingRelinearization)
    }

    pub(crate) fn rotation(&self, preset: Preset, steps: usize) -> Result<&GaloisKey<B>, CkksError> {
        self.check(preset)?;
        self.rotations.get(&steps).ok_or(CkksError::MissingRotation { steps })
    }

    /// The key for conjugation.
    pub(crate) fn conjugation(&self, preset: Preset) -> Result<&GaloisKey<B>, CkksError> {
        self.rotation(preset, self.params.slots())
    }

    fn check(&self, preset: Preset) -> Result<(), CkksError> {
        if self.params.preset == preset {
            Ok(())
        } else {
            Err(CkksError::PresetMismatch { left: self.params.preset, right: preset })
        }
    }
}

/// The number of a turn: N/2 steps stand for conjugation, since as a rotation they are none; others are reduced.
pub(crate) fn turn_number(params: &Params, steps: i32) -> usize {
    if usize::try_from(steps) == Ok(params.slots()) { params.slots() } else { slot_steps(params, steps) }
}

/// Steps reduced to [0, N/2).
pub(crate) fn slot_steps(params: &Params, steps: i32) -> usize {
    let slots = params.slots() as i64;
    i64::from(steps).rem_euclid(slots) as usize
}
