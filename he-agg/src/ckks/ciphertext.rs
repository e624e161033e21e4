//! Ciphertexts and their bytes.

use crate::backend::{Backend, Cpu, Outcome};
use crate::ckks::error::CkksError;
use crate::error::DecodeError;
use crate::params::{Params, Preset};
use crate::ring::{Domain, Eval, Poly};
use crate::wire::{Header, Kind, identity};
use std::fmt;

/// Two polynomials, or three after a product, over the first `limbs` primes of Q, NTT domain.
///
/// Decrypts to c0 + c1 s (+ c2 s^2), which is scale times the message plus noise.
pub struct Ciphertext<B: Backend = Cpu> {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) parts: Vec<B::Poly<Eval>>,
}

impl<B: Backend> Ciphertext<B> {
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

    /// The polynomials, two or three.
    pub fn parts(&self) -> &[B::Poly<Eval>] {
        &self.parts
    }

    /// `factor` times the message, without any arithmetic: the same polynomials at the scale divided by it.
    ///
    /// # Errors
    /// [`CkksError::Scale`] unless the new scale is a finite number of at least 1.
    pub fn scaled_by(mut self, factor: f64) -> Result<Self, CkksError> {
        let scale = self.scale / factor;
        if !(scale.is_finite() && scale >= 1.0) {
            return Err(CkksError::Scale { scale });
        }
        self.scale = scale;
        Ok(self)
    }

    /// Whether it can be kept at so many limbs.
    ///
    /// # Errors
    /// [`CkksError::Raise`] if it has fewer; [`CkksError::Limbs`] for zero.
    pub(super) fn check_drop(&self, limbs: usize) -> Result<(), CkksError> {
        if limbs == 0 {
            return Err(CkksError::Limbs { limbs, max: self.limbs });
        }
        if limbs > self.limbs {
            return Err(CkksError::Raise { limbs: self.limbs, target: limbs });
        }
        Ok(())
    }

    /// Other polynomials of the same parameters.
    pub(crate) fn with_parts(&self, limbs: usize, scale: f64, parts: Vec<B::Poly<Eval>>) -> Self {
        Self { params: self.params, limbs, scale, parts }
    }

    /// Copies ciphertexts from where they live, in one transfer.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError), also of the operations that made them.
    pub fn download(ciphertexts: &[&Self], backend: &B) -> Outcome<Vec<Ciphertext>> {
        let polys: Vec<_> = ciphertexts.iter().flat_map(|ciphertext| &ciphertext.parts).collect();
        let mut polys = backend.download(&polys)?.into_iter();
        let one = |from: &&Self| {
            let parts = polys.by_ref().take(from.parts.len()).collect();
            Ciphertext { params: from.params, limbs: from.limbs, scale: from.scale, parts }
        };
        Ok(ciphertexts.iter().map(one).collect())
    }
}

impl Ciphertext {
    /// The polynomials zero: an encryption of nothing under any secret, which everybody sees to be one.
    ///
    /// # Errors
    /// [`CkksError::Limbs`] or [`CkksError::Scale`].
    pub fn zero(preset: Preset, limbs: usize, scale: f64) -> Result<Self, CkksError> {
        let params = preset.params();
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CkksError::Limbs { limbs, max });
        }
        if !(scale.is_finite() && scale >= 1.0) {
            return Err(CkksError::Scale { scale });
        }
        let parts = vec![Poly::zero(params.n, limbs); 2];
        Ok(Self { params, limbs, scale, parts })
    }

    /// Copies ciphertexts to where `backend` computes, in one transfer.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError).
    pub fn upload<B: Backend>(ciphertexts: &[&Self], backend: &B) -> Outcome<Vec<Ciphertext<B>>> {
        let polys: Vec<_> = ciphertexts.iter().flat_map(|ciphertext| &ciphertext.parts).collect();
        let mut polys = backend.upload(&polys)?.into_iter();
        let one = |from: &&Self| {
            let parts = polys.by_ref().take(from.parts.len()).collect();
            Ciphertext { params: from.params, limbs: from.limbs, scale: from.scale, parts }
        };
        Ok(ciphertexts.iter().map(one).collect())
    }

    /// Header and 30-bit packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Header {
            scale: self.scale,
            ..Header::new(Kind::Ciphertext, self.preset(), Eval::NUMBER, self.limbs, self.parts.len())
        };
        let mut bytes = Vec::with_capacity(crate::wire::HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        for part in &self.parts {
            part.pack_into(&mut bytes);
        }
        bytes
    }

    /// Reads a ciphertext of `preset`; at most what the preset's full size takes is allocated.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Ciphertext::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8], preset: Preset) -> Result<Self, DecodeError> {
        let params = preset.params();
        let (header, payload) = Header::read(bytes, Kind::Ciphertext, params)?;
        let limbs = usize::from(header.limbs);
        let expected = Header {
            scale: header.scale,
            ..Header::new(Kind::Ciphertext, preset, Eval::NUMBER, limbs, usize::from(header.polynomials))
        };
        refuse_other_fields(&header, &expected)?;
        if !(2..=3).contains(&header.polynomials) {
            let value = u64::from(header.polynomials);
            return Err(DecodeError::Field { field: "polynomials", value });
        }
        let basis = &params.q[..limbs];
        let parts = payload
            .chunks_exact(Poly::<Eval>::packed_len(params.n, limbs))
            .map(|packed| Poly::unpack(packed, params.n, basis))
            .collect::<Result<_, _>>()?;
        Ok(Self { params, limbs, scale: header.scale, parts })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }
}

/// Every field that the object does not use must be as written, so that bytes are unique.
pub(crate) fn refuse_other_fields(found: &Header, expected: &Header) -> Result<(), DecodeError> {
    let numbers = |h: &Header| {
        [
            ("domain", u64::from(h.domain)),
            ("limbs", u64::from(h.limbs)),
            ("special limbs", u64::from(h.special_limbs)),
            ("polynomials", u64::from(h.polynomials)),
            ("round", u64::from(h.round)),
            ("attempt", u64::from(h.attempt)),
            ("chunk", u64::from(h.chunk)),
            ("sender", u64::from(h.sender)),
        ]
    };
    for ((field, value), (_, wanted)) in numbers(found).into_iter().zip(numbers(expected)) {
        if value != wanted {
            return Err(DecodeError::Field { field, value });
        }
    }
    if found.scale.to_bits() != expected.scale.to_bits() {
        return Err(DecodeError::Scale { bits: found.scale.to_bits() });
    }
    if found.epoch != expected.epoch {
        let value = u64::from_le_bytes(found.epoch.first_chunk().copied().unwrap_or_default());
        return Err(DecodeError::Field { field: "epoch", value });
    }
    Ok(())
}

/// Equality of the bytes.
impl PartialEq for Ciphertext {
    fn eq(&self, other: &Self) -> bool {
        self.preset() == other.preset()
            && self.limbs == other.limbs
            && self.scale.to_bits() == other.scale.to_bits()
            && self.parts == other.parts
    }
}

impl<B: Backend> Clone for Ciphertext<B> {
    fn clone(&self) -> Self {
        self.with_parts(self.limbs, self.scale, self.parts.clone())
    }
}

impl<B: Backend> fmt::Debug for Ciphertext<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ciphertext")
            .field("preset", &self.preset())
            .field("limbs", &self.limbs)
            .field("scale_log2", &self.scale.log2())
            .field("parts", &self.parts.len())
            .finish()
    }
}
