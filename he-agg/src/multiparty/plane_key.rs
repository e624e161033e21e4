//! A public key of an asker's own gate secret, under which it encrypts planes that others may open.
//!
//! ```text
//! p_A = -a k_A + e      modulo the first prime of P and the primes of a query
//! ```
//!
//! What is encrypted under it follows from a seed alone, so that showing the seed shows the plane and
//! nothing of k_A. The prime of P is what a composition divides by: it is one that the gate key is
//! modulo of as well, so the modulus of k_A is no larger than without planes.

use crate::multiparty::plane_bytes::{Origin, plane_basis};
use crate::multiparty::{CeremonyError, Crs, GateSecret};
use crate::params::Preset;
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::Stream;
use crate::wire::Kind;
use zeroize::Zeroizing;

/// The key that one asker's planes are encrypted under. Public.
#[derive(Clone)]
pub struct PlaneKey {
    pub(super) origin: Origin,
    /// Over [`plane_basis`].
    pub(super) p: Poly<Eval>,
}

impl PlaneKey {
    /// The key of `secret`, for planes of questions of `limbs` limbs. Once per epoch and limbs, like the gate key.
    ///
    /// # Errors
    /// [`CeremonyError::PresetMismatch`], [`CeremonyError::Limbs`].
    pub fn generate(secret: &GateSecret, crs: &Crs, limbs: usize, stream: &mut Stream) -> Result<Self, CeremonyError> {
        secret.check_preset(crs.preset())?;
        let (params, asker, max) = (crs.params(), secret.party(), crs.params().q.len());
        if limbs == 0 || limbs > max {
            return Err(CeremonyError::Limbs { limbs, max });
        }
        let basis = plane_basis(params, limbs);
        let error = sampler::centred_binomial(stream, params.n);
        let mut p = Poly::from_small(&error, &basis).into_eval(&basis);
        let mut product = Zeroizing::new(secret.over_planes(limbs));
        product.mul_assign(&crs.plane_key(asker, limbs), &basis);
        p.sub_assign(&product, &basis);
        Ok(Self { origin: Origin { params, epoch: crs.epoch(), asker, limbs }, p })
    }

    /// The hospital whose key it is.
    pub fn asker(&self) -> u16 {
        self.origin.asker
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.origin.params.preset
    }

    /// Limbs of the questions that its planes make up.
    pub fn limbs(&self) -> usize {
        self.origin.limbs
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.origin.to_bytes(Kind::PlaneKey, std::slice::from_ref(&self.p))
    }

    /// Reads a key of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let (origin, [p]) = Origin::from_bytes(bytes, Kind::PlaneKey, crs)?;
        Ok(Self { origin, p })
    }
}
