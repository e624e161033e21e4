//! Ciphertexts under an asker's own secret, whose second polynomial travels as a seed.

use crate::ckks::{Ciphertext, refuse_other_fields};
use crate::error::DecodeError;
use crate::params::{Params, Preset};
use crate::ring::{Domain, Eval, Poly};
use crate::stream::Expander;
use crate::wire::{HEADER_BYTES, Header, Kind, identity};
use std::fmt;

/// c0 with c0 + a s' = scale times the message plus noise, `a` the expansion of a fresh seed: half
/// the bytes of a [`Ciphertext`].
#[derive(Clone)]
pub struct SeededCiphertext {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) seed: [u8; 32],
    pub(crate) c0: Poly<Eval>,
}

impl SeededCiphertext {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Primes of Q it is represented modulo.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The exact factor between coefficients and the message.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The ciphertext with its second polynomial, under the secret it was made with.
    pub fn expand(&self) -> Ciphertext {
        let Self { params, limbs, scale, .. } = *self;
        let a = second_half(params, limbs, &self.seed);
        Ciphertext { params, limbs, scale, parts: vec![self.c0.clone(), a] }
    }

    /// Header, with the seed in its epoch field, and the packed first polynomial.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = self.header();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        self.c0.pack_into(&mut bytes);
        bytes
    }

    /// Reads a ciphertext of `preset`; at most what the preset's full size takes is allocated.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`SeededCiphertext::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8], preset: Preset) -> Result<Self, DecodeError> {
        let params = preset.params();
        let (found, payload) = Header::read(bytes, Kind::SeededCiphertext, params)?;
        let (limbs, scale, seed) = (usize::from(found.limbs), found.scale, found.epoch);
        refuse_other_fields(&found, &header(params, limbs, scale, seed))?;
        let c0 = Poly::unpack(payload, params.n, &params.q[..limbs])?;
        Ok(Self { params, limbs, scale, seed, c0 })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }

    fn header(&self) -> Header {
        header(self.params, self.limbs, self.scale, self.seed)
    }
}

impl fmt::Debug for SeededCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededCiphertext")
            .field("preset", &self.preset())
            .field("limbs", &self.limbs)
            .field("scale_log2", &self.scale.log2())
            .finish_non_exhaustive()
    }
}

fn header(params: &Params, limbs: usize, scale: f64, seed: [u8; 32]) -> Header {
    Header { scale, epoch: seed, ..Header::new(Kind::SeededCiphertext, params.preset, Eval::NUMBER, limbs, 1) }
}

/// The uniform polynomial of a seed. The scale and message play no part: a seed serves one
/// ciphertext only.
pub(crate) fn second_half(params: &Params, limbs: usize, seed: &[u8; 32]) -> Poly<Eval> {
    let expander = Expander::new(seed, "serving/query", params.preset, &[]);
    Poly::uniform(&expander, 0, params.n, &params.q[..limbs])
}
