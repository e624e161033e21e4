//! An asker's gate: what all hospitals publish so that the asker alone can make its gate key.
//!
//! ```text
//! per digit   z'_i = -a s_i - a' r_iA + e_i,   Z'_A = sum over i
//! ```
//!
//! with r_iA from the [`GateSeed`] that i dealt to A, and a, a' the epoch's common randomness of
//! (A, limbs, digit). Without the seeds Z'_A is ring-LWE under s; with them it is -a s + e, to
//! which A adds P g_j k_A and a mask that only A knows, see [`super::GateKey`]. Every asker has a
//! gate of its own: under a common `a`, askers would average errors and learn each other's keys.

use crate::ckks::{digit_count, extended_basis};
use crate::multiparty::key_material::{KeyLabel, KeyMaterial, KeySum};
use crate::multiparty::public_key_share::masked_error;
use crate::multiparty::{CeremonyError, Crs, GateSeed, PartySet, ServingSecret};
use crate::stream::Stream;
use crate::wire::Kind;
use zeroize::Zeroizing;

pub(super) fn label(crs: &Crs, asker: u16, limbs: usize) -> Result<KeyLabel, CeremonyError> {
    PartySet::of(&[asker])?;
    let params = crs.params();
    let max = params.q.len();
    if limbs == 0 || limbs > max {
        return Err(CeremonyError::Limbs { limbs, max });
    }
    let (kind, steps, polynomials) = (Kind::GateShare, usize::from(asker), digit_count(params, limbs));
    Ok(KeyLabel { kind, steps, limbs, polynomials })
}

/// One hospital's share of one asker's gate. Public.
pub struct GateShare(pub(super) KeyMaterial);

impl GateShare {
    /// The share of hospital i = `secret.party()` for `asker`, with the seed that i deals to it.
    /// The asker makes one for itself too. Once per epoch, asker and limbs: the same `a` must not
    /// meet a second error, so expand `stream` from what the ceremony keeps.
    ///
    /// # Errors
    /// [`CeremonyError::Party`], [`CeremonyError::Limbs`], [`CeremonyError::PresetMismatch`].
    pub fn generate(
        secret: &ServingSecret,
        crs: &Crs,
        asker: u16,
        limbs: usize,
        seed: &GateSeed,
        stream: &mut Stream,
    ) -> Result<Self, CeremonyError> {
        secret.check_crs(crs)?;
        let label = label(crs, asker, limbs)?;
        let (params, basis) = (crs.params(), extended_basis(crs.params(), limbs));
        let mask = seed.mask(crs, secret.party(), asker, limbs);
        let [halves, masks] = crs.gate(asker, limbs, label.polynomials);
        let mut parts = Vec::with_capacity(label.polynomials);
        for (a, product) in halves.iter().zip(masks) {
            let mut part = masked_error(secret.poly(), a, crs, limbs, stream);
            let mut product = Zeroizing::new(product);
            product.mul_assign(&mask, &basis);
            part.sub_assign(&product, &basis);
            parts.push(part);
        }
        let (epoch, sender) = (crs.epoch(), secret.party());
        Ok(Self(KeyMaterial { params, epoch, label, sender, parts }))
    }

    /// The hospital it comes from.
    pub fn sender(&self) -> u16 {
        self.0.sender
    }

    /// The hospital whose gate it belongs to.
    pub fn asker(&self) -> u16 {
        self.0.label.steps as u16
    }

    /// The most limbs that the gate's key will serve.
    pub fn limbs(&self) -> usize {
        self.0.label.limbs
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Reads a share of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        KeyMaterial::from_bytes(bytes, crs, Kind::GateShare, |limbs| digit_count(params, limbs)).map(Self)
    }
}

/// The sum of all shares of one asker's gate, in any order.
pub struct GateSum(KeySum);

impl GateSum {
    /// An empty sum over hospitals 1..=`parties`, of which `asker` is one.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`] or [`CeremonyError::Party`].
    pub fn new(crs: &Crs, asker: u16, limbs: usize, parties: u16) -> Result<Self, CeremonyError> {
        let sum = KeySum::new(crs, label(crs, asker, limbs)?, parties)?;
        if asker > parties {
            return Err(CeremonyError::Party { party: asker, parties });
        }
        Ok(Self(sum))
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share of another epoch, preset, asker or limbs, or of a party already in.
    pub fn absorb(&mut self, share: &GateShare) -> Result<(), CeremonyError> {
        self.0.absorb(&share.0)
    }

    /// The gate.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`].
    pub fn finish(self) -> Result<Gate, CeremonyError> {
        Ok(Gate(self.0.finish()?.1))
    }
}

/// Z'_A: all hospitals' shares of one asker's gate, added. Public.
pub struct Gate(pub(super) KeyMaterial);

impl Gate {
    /// The hospital whose gate it is.
    pub fn asker(&self) -> u16 {
        self.0.label.steps as u16
    }

    /// The most limbs that its key will serve.
    pub fn limbs(&self) -> usize {
        self.0.label.limbs
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Reads a gate of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let material = GateShare::from_bytes(bytes, crs)?.0;
        material.require_sum()?;
        Ok(Self(material))
    }
}
