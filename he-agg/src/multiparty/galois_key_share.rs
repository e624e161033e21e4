//! Collective rotation keys (GKG).
//!
//! Per digit b_i = -a phi^-1(s_i) + P g s_i + e_i with phi: X -> X^(5^steps); key = (sum b_i, a).
//! It switches from s to phi^-1(s), after which phi turns the result to s. This is the usual key
//! from phi(s) to s under phi^-1, with a uniform `a` renamed; it lets rotations share their
//! lifted digits.
//!
//! Conjugation of the slots, phi: X -> X^-1, is a turn like the others and has the number N/2, which is no rotation's.
//! Source: Mouchet et al., ePrint 2020/304, section on rotation keys.

use crate::ckks::{GaloisKey, SwitchingKey, add_gadget, digit_count, extended_basis, turn_number};
use crate::multiparty::key_material::{KeyLabel, KeyMaterial, KeySum};
use crate::multiparty::public_key_share::masked_error;
use crate::multiparty::{CeremonyError, Crs, ServingSecret};
use crate::params::Params;
use crate::ring::Automorphism;
use crate::stream::Stream;
use crate::wire::Kind;
use std::sync::Arc;

fn label(crs: &Crs, steps: i32, limbs: usize) -> Result<KeyLabel, CeremonyError> {
    let params = crs.params();
    let max = params.q.len();
    if limbs == 0 || limbs > max {
        return Err(CeremonyError::Limbs { limbs, max });
    }
    let normal = turn_number(params, steps);
    if normal == 0 {
        return Err(CeremonyError::IdentityRotation { steps });
    }
    let polynomials = digit_count(params, limbs);
    Ok(KeyLabel { kind: Kind::GaloisKey, steps: normal, limbs, polynomials })
}

/// One hospital's share of one rotation key, trimmed to some limbs.
pub struct GaloisKeyShare(KeyMaterial);

impl GaloisKeyShare {
    /// A share of the key for left rotations by `steps` of ciphertexts of up to `limbs` limbs, or with N/2 steps for
    /// conjugation. Once per epoch, steps and limbs.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`], [`CeremonyError::IdentityRotation`],
    /// [`CeremonyError::PresetMismatch`].
    pub fn generate(
        secret: &ServingSecret,
        crs: &Crs,
        steps: i32,
        limbs: usize,
        stream: &mut Stream,
    ) -> Result<Self, CeremonyError> {
        secret.check_crs(crs)?;
        let params = crs.params();
        let label = label(crs, steps, limbs)?;
        let back = turn(params.n, back(params, label.steps));
        let target = secret.rotated(&back, limbs);
        let basis = extended_basis(params, limbs);
        let halves = crs.rotation(label.steps, limbs, label.polynomials);
        let mut parts = Vec::with_capacity(label.polynomials);
        for (digit, a) in halves.iter().enumerate() {
            let mut b = masked_error(&target, a, crs, limbs, stream);
            add_gadget(params, limbs, digit, &mut b, secret.poly());
            debug_assert_eq!(b.limbs(), basis.len());
            parts.push(b);
        }
        let (epoch, sender) = (crs.epoch(), secret.party());
        Ok(Self(KeyMaterial { params, epoch, label, sender, parts }))
    }

    /// The hospital it comes from.
    pub fn sender(&self) -> u16 {
        self.0.sender
    }

    /// Steps to the left, in [1, N/2), or N/2 for conjugation.
    pub fn steps(&self) -> usize {
        self.0.label.steps
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
        KeyMaterial::from_bytes(bytes, crs, Kind::GaloisKey, |l| digit_count(params, l)).map(Self)
    }
}

/// The sum of all shares of one rotation key.
pub struct GaloisKeySum(KeySum);

impl GaloisKeySum {
    /// An empty sum over hospitals 1..=`parties`.
    ///
    /// # Errors
    /// As [`GaloisKeyShare::generate`], and [`CeremonyError::Party`].
    pub fn new(crs: &Crs, steps: i32, limbs: usize, parties: u16) -> Result<Self, CeremonyError> {
        KeySum::new(crs, label(crs, steps, limbs)?, parties).map(Self)
    }

    /// Adds one share.
    ///
    /// # Errors
    /// A share of another epoch, preset or key, or of a party already in.
    pub fn absorb(&mut self, share: &GaloisKeyShare) -> Result<(), CeremonyError> {
        self.0.absorb(&share.0)
    }

    /// The rotation key.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`].
    pub fn finish(self) -> Result<GaloisKey, CeremonyError> {
        let (crs, material) = self.0.finish()?;
        Ok(galois_key(material, &crs))
    }
}

impl GaloisKey {
    /// Header and the packed first halves; the second ones are the epoch's.
    pub fn to_bytes(&self, crs: &Crs) -> Vec<u8> {
        let (params, epoch) = (self.key.params(), crs.epoch());
        let parts: Vec<_> = self.key.digits().map(|[b, _]| b).collect();
        let (kind, limbs) = (Kind::GaloisKey, self.key.limbs());
        let label = KeyLabel { kind, steps: self.steps, limbs, polynomials: parts.len() };
        KeyMaterial { params, epoch, label, sender: 0, parts }.to_bytes()
    }

    /// Reads a key of this epoch and expands its second halves.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let material = GaloisKeyShare::from_bytes(bytes, crs)?.0;
        material.require_sum()?;
        Ok(galois_key(material, crs))
    }
}

fn galois_key(material: KeyMaterial, crs: &Crs) -> GaloisKey {
    let KeyMaterial { params, label, parts, .. } = material;
    let halves = crs.rotation(label.steps, label.limbs, label.polynomials);
    let digits = parts.into_iter().zip(halves).map(|(b, a)| [b, a]).collect();
    GaloisKey {
        steps: label.steps,
        automorphism: Arc::new(turn(params.n, label.steps)),
        key: SwitchingKey::new(params, label.limbs, digits),
    }
}

fn turn(n: usize, number: usize) -> Automorphism {
    if number == n / 2 { Automorphism::new(n, 2 * n - 1) } else { Automorphism::rotation(n, number as i32) }
}

/// The number of the inverse.
fn back(params: &Params, number: usize) -> usize {
    let slots = params.slots();
    if number == slots { slots } else { slots - number }
}
