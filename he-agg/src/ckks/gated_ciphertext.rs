//! Ciphertexts under a hospital's gate secret, whose second polynomial follows from their place.

use crate::ckks::{CkksError, refuse_other_fields};
use crate::error::DecodeError;
use crate::params::{Params, Preset};
use crate::ring::{Domain, Eval, Poly};
use crate::wire::{HEADER_BYTES, Header, Kind, identity};
use std::fmt;

/// c0 with c0 + a k = scale times the message plus noise, `a` the epoch's common randomness of a
/// [`GateLabel`](crate::multiparty::GateLabel): half the bytes of a
/// [`Ciphertext`](crate::ckks::Ciphertext), and of no use under another label.
#[derive(Clone)]
pub struct GatedCiphertext {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) c0: Poly<Eval>,
}

impl GatedCiphertext {
    /// The polynomial zero: lifted with a key, it is what the key alone contributes, so that the
    /// second half of a sum can be checked without the contributions.
    ///
    /// # Errors
    /// [`CkksError::Limbs`] or [`CkksError::Scale`].
    pub fn zero(preset: Preset, limbs: usize, scale: f64) -> Result<Self, CkksError> {
        Self::zero_over(preset.params(), limbs, scale)
    }

    pub(crate) fn zero_over(params: &'static Params, limbs: usize, scale: f64) -> Result<Self, CkksError> {
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CkksError::Limbs { limbs, max });
        }
        if !(scale.is_finite() && scale >= 1.0) {
            return Err(CkksError::Scale { scale });
        }
        Ok(Self { params, limbs, scale, c0: Poly::zero(params.n, limbs) })
    }

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

    /// Encoded size, bytes.
    pub fn encoded_bytes(preset: Preset, limbs: usize) -> usize {
        HEADER_BYTES + Poly::<Eval>::packed_len(preset.params().n, limbs)
    }

    /// Header and the packed polynomial.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = header(self.params, self.limbs, self.scale);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        self.c0.pack_into(&mut bytes);
        bytes
    }

    /// Reads a ciphertext of `preset`; at most what the preset's full size takes is allocated.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`GatedCiphertext::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8], preset: Preset) -> Result<Self, DecodeError> {
        let params = preset.params();
        let (found, payload) = Header::read(bytes, Kind::GatedCiphertext, params)?;
        let (limbs, scale) = (usize::from(found.limbs), found.scale);
        refuse_other_fields(&found, &header(params, limbs, scale))?;
        let c0 = Poly::unpack(payload, params.n, &params.q[..limbs])?;
        Ok(Self { params, limbs, scale, c0 })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }
}

impl fmt::Debug for GatedCiphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedCiphertext")
            .field("preset", &self.preset())
            .field("limbs", &self.limbs)
            .field("scale_log2", &self.scale.log2())
            .finish_non_exhaustive()
    }
}

fn header(params: &Params, limbs: usize, scale: f64) -> Header {
    Header { scale, ..Header::new(Kind::GatedCiphertext, params.preset, Eval::NUMBER, limbs, 1) }
}
