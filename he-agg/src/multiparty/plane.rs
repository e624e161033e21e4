//! Planes: encryptions of random symbols, of which questions are made by public turns.
//!
//! ```text
//! r        (1 + i) i^t in every slot, t uniform, at the scale of a question
//! plane    (v p_A + e0 + r,  v a + e1)      modulo the first prime of P and the primes of a question
//! ```
//!
//! A symbol survives a quarter turn, and a turned one is uniform whatever it is to show: so most planes
//! can be opened, by their seeds, before it is known what the others will be used for.
//! Source of encryptions that are opened at random before the others are used: the cut and choose of
//! Chaum, Fiat, Naor, "Untraceable electronic cash", CRYPTO 1988.

use crate::ckks::Encoder;
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::plane_bytes::{Origin, plane_basis};
use crate::multiparty::{CeremonyError, Crs, PlaneKey, PlaneSeed};
use crate::params::Preset;
use crate::ring::{Eval, Poly};
use crate::wire::{HEADER_BYTES, Kind, identity};
use zeroize::Zeroizing;

/// One encrypted plane of an asker.
#[derive(Clone)]
pub struct Plane {
    pub(super) origin: Origin,
    /// Over [`plane_basis`].
    pub(super) parts: [Poly<Eval>; 2],
}

/// Encrypts planes under one key: for their maker, and for whoever makes opened ones again.
pub struct PlaneMaker<'a> {
    key: &'a PlaneKey,
    half: Poly<Eval>,
    encoder: Encoder,
}

impl<'a> PlaneMaker<'a> {
    /// For planes under this key.
    ///
    /// # Errors
    /// [`CeremonyError::Epoch`] for a key of another epoch.
    pub fn new(key: &'a PlaneKey, crs: &Crs) -> Result<Self, CeremonyError> {
        let Origin { params, epoch, asker, limbs } = key.origin;
        if epoch != crs.epoch() {
            return Err(epoch_mismatch(epoch, crs.epoch()));
        }
        Ok(Self { key, half: crs.plane_key(asker, limbs), encoder: Encoder::over(params) })
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.key.preset()
    }

    /// The plane of a seed: the same bytes wherever it is made.
    ///
    /// # Errors
    /// [`CeremonyError::Ckks`] where symbols do not fit the parameters, which no preset's do.
    pub fn encrypt(&self, seed: &PlaneSeed) -> Result<Plane, CeremonyError> {
        let PlaneKey { origin, p } = self.key;
        let Origin { params, epoch, asker, limbs } = *origin;
        let basis = plane_basis(params, limbs);
        let small = |values: &[i64]| Zeroizing::new(Poly::from_small(values, &basis).into_eval(&basis));
        let [v, e0, e1] = seed.randomness(params.preset, params.n, asker, &epoch);
        let v = small(&v);
        let mut c0 = self.symbols(seed, &e0)?;
        c0.mul_add(&v, p, &basis);
        let mut c1 = Poly::from_small(&e1, &basis).into_eval(&basis);
        c1.mul_add(&v, &self.half, &basis);
        Ok(Plane { origin: *origin, parts: [c0, c1] })
    }

    /// r, encoded, with the error: one transform for both.
    fn symbols(&self, seed: &PlaneSeed, error: &[i64]) -> Result<Poly<Eval>, CeremonyError> {
        let Origin { params, limbs, .. } = self.key.origin;
        let turns = seed.turns(params.preset, params.slots());
        let mut slots = Zeroizing::new(vec![0.0; params.n]);
        let (real, imaginary) = slots.split_at_mut(params.slots());
        for ((real, imaginary), turn) in real.iter_mut().zip(imaginary).zip(turns.iter()) {
            // (1 + i) i^t is 1 + i, -1 + i, -1 - i, 1 - i; without a branch, since t is secret.
            *real = 1.0 - 2.0 * f64::from((turn ^ (turn >> 1)) & 1);
            *imaginary = 1.0 - 2.0 * f64::from(turn >> 1);
        }
        Ok(self.encoder.encode_complex(&mut slots, (params.scale(), error), &plane_basis(params, limbs))?)
    }
}

impl Plane {
    /// The hospital whose plane it is.
    pub fn asker(&self) -> u16 {
        self.origin.asker
    }

    /// Limbs of the questions that it is for.
    pub fn limbs(&self) -> usize {
        self.origin.limbs
    }

    /// Encoded size, bytes.
    pub fn encoded_bytes(preset: Preset, limbs: usize) -> usize {
        HEADER_BYTES + 2 * Poly::<Eval>::packed_len(preset.params().n, limbs + 1)
    }

    /// Header and packed residues of both halves.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.origin.to_bytes(Kind::Plane, &self.parts)
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }

    /// Reads a plane of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let (origin, parts) = Origin::from_bytes(bytes, Kind::Plane, crs)?;
        Ok(Self { origin, parts })
    }
}
