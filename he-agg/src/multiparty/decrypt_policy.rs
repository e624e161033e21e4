//! How a result may be released, and the noise that makes releasing safe.
//!
//! An approximate decryption m + e reveals the key (Li, Micciancio, ePrint 2020/1533). Each
//! decryptor therefore floods, see [`Flooding`], in proportion to an [`ErrorBound`] on what is
//! released, which whoever knows the program derives. The count of releases is the ledger's.

use crate::aggregation::Flooding;
use crate::multiparty::CeremonyError;
use crate::params::{Params, Preset};

/// log2 of the least ratio between scale and flooding: below it nothing of the message is left.
const HEADROOM_BITS: u32 = 6;

/// A bound on the error of one release: the Euclidean norm over all coefficients that it shows, in
/// whole bits. With v the bound per coefficient of [`Flooding`], it is v sqrt(N) for N of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorBound {
    norm_log2: u32,
}

impl ErrorBound {
    /// The least bound of whole bits that is no smaller than `norm_log2`; none where it is no
    /// number or beyond every parameter set.
    #[must_use]
    pub fn at_least(norm_log2: f64) -> Option<Self> {
        // No modulus of a preset has 1024 bits.
        let is_possible = norm_log2 < 1024.0;
        is_possible.then(|| Self { norm_log2: norm_log2.ceil().max(0.0) as u32 })
    }

    /// log2 of the norm.
    #[must_use]
    pub fn norm_log2(self) -> u32 {
        self.norm_log2
    }

    /// v, the bound per coefficient, where `released` coefficients leave.
    fn per_coefficient(self, released: usize) -> f64 {
        f64::from(self.norm_log2).exp2() / (released as f64).sqrt()
    }
}

/// Who decrypts, and under which flooding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecryptPolicy {
    /// One party holds the whole key and keeps what it decrypts: no flooding.
    TrustedHolder,
    /// Results whose errors stay below the bound leave to askers; every decryptor floods.
    Flooded(Flooding, ErrorBound),
}

impl DecryptPolicy {
    /// w, where each decryptor's flooding has deviation 2^w in units of the result; none for a trusted holder.
    ///
    /// # Errors
    /// [`CeremonyError::FloodingTooLarge`] if 2^w is not at least 2^6 below the scale.
    pub fn flooding_log2(self, preset: Preset) -> Result<Option<u32>, CeremonyError> {
        self.flooding_over(preset.params())
    }

    pub(crate) fn flooding_over(self, params: &Params) -> Result<Option<u32>, CeremonyError> {
        let Self::Flooded(flooding, bound) = self else { return Ok(None) };
        // Whatever the number of coefficients that leave: the norm is over all of them, and may lie in those.
        let v = bound.per_coefficient(params.n);
        let (flooding_log2, scale_log2) = (flooding.word_bits(params.n, v), params.scale_bits());
        if flooding_log2 + HEADROOM_BITS > scale_log2 {
            return Err(CeremonyError::FloodingTooLarge {
                flooding_log2,
                security_bits: flooding.security(),
                releases: flooding.releases(),
                scale_log2,
                preset: params.preset,
            });
        }
        Ok(Some(flooding_log2))
    }
}
