//! Collective public-key generation (CKG): p_i = -a s_i + e_i, pk = (sum p_i, a).
//!
//! Source: Mouchet et al., "Multiparty homomorphic encryption from ring-learning-with-errors",
//! ePrint 2020/304, protocol 1.

use crate::ckks::{PublicKey, extended_basis};
use crate::error::DecodeError;
use crate::multiparty::key_material::{KeyLabel, KeyMaterial, KeySum};
use crate::multiparty::{CeremonyError, Crs, ServingSecret};
use crate::ring::Poly;
use crate::sampler;
use crate::stream::Stream;
use crate::wire::Kind;
use zeroize::Zeroizing;

fn label(crs: &Crs) -> KeyLabel {
    KeyLabel { kind: Kind::PublicKey, steps: 0, limbs: crs.params().q.len(), polynomials: 1 }
}

/// One hospital's share of the public key, modulo P Q.
pub struct PublicKeyShare(KeyMaterial);

impl PublicKeyShare {
    /// p_i = -a s_i + e_i. Once per epoch: the same `a` must not meet a second error.
    ///
    /// # Errors
    /// [`CeremonyError::PresetMismatch`].
    pub fn generate(secret: &ServingSecret, crs: &Crs, stream: &mut Stream) -> Result<Self, CeremonyError> {
        secret.check_crs(crs)?;
        let label = label(crs);
        let part = masked_error(secret.poly(), &crs.public_key(), crs, label.limbs, stream);
        Ok(Self(KeyMaterial {
            params: crs.params(),
            epoch: crs.epoch(),
            label,
            sender: secret.party(),
            parts: vec![part],
        }))
    }

    /// The hospital it comes from.
    pub fn sender(&self) -> u16 {
        self.0.sender
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
        read(bytes, crs).map(Self)
    }
}

/// The sum of all shares of the public key.
pub struct PublicKeySum(KeySum);

impl PublicKeySum {
    /// An empty sum over hospitals 1..=`parties`.
    ///
    /// # Errors
    /// [`CeremonyError::Party`].
    pub fn new(crs: &Crs, parties: u16) -> Result<Self, CeremonyError> {
        KeySum::new(crs, label(crs), parties).map(Self)
    }

    /// Adds one share.
    ///
    /// # Errors
    /// A share of another epoch, preset or key, or of a party already in.
    pub fn absorb(&mut self, share: &PublicKeyShare) -> Result<(), CeremonyError> {
        self.0.absorb(&share.0)
    }

    /// The public key.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`].
    pub fn finish(self) -> Result<PublicKey, CeremonyError> {
        let (crs, material) = self.0.finish()?;
        Ok(public_key(material, &crs))
    }
}

impl PublicKey {
    /// Header and the packed first half; the second is the epoch's.
    pub fn to_bytes(&self, crs: &Crs) -> Vec<u8> {
        let parts = vec![self.b.clone()];
        let (params, epoch) = (self.params, crs.epoch());
        KeyMaterial { params, epoch, label: label(crs), sender: 0, parts }.to_bytes()
    }

    /// Reads the key of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let material = read(bytes, crs)?;
        material.require_sum()?;
        Ok(public_key(material, crs))
    }
}

/// Unlike evaluation keys, the encryption key is never trimmed: encrypting reads all its limbs.
fn read(bytes: &[u8], crs: &Crs) -> Result<KeyMaterial, CeremonyError> {
    let material = KeyMaterial::from_bytes(bytes, crs, Kind::PublicKey, |_| 1)?;
    if material.label.limbs != label(crs).limbs {
        return Err(DecodeError::Field { field: "limbs", value: material.label.limbs as u64 }.into());
    }
    Ok(material)
}

fn public_key(mut material: KeyMaterial, crs: &Crs) -> PublicKey {
    PublicKey { params: material.params, b: material.parts.swap_remove(0), a: crs.public_key() }
}

/// e - a s over the extended basis of `limbs`.
pub(crate) fn masked_error(
    secret: &Poly<crate::ring::Eval>,
    a: &Poly<crate::ring::Eval>,
    crs: &Crs,
    limbs: usize,
    stream: &mut Stream,
) -> Poly<crate::ring::Eval> {
    let basis = extended_basis(crs.params(), limbs);
    let mut product = Zeroizing::new(a.clone());
    product.mul_assign(secret, &basis);
    let error = sampler::centred_binomial(stream, crs.params().n);
    let mut share = Poly::from_small(&error, &basis).into_eval(&basis);
    share.sub_assign(&product, &basis);
    share
}
