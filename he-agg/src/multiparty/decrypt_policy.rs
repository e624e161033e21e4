//! How a result may be released, and the noise that makes releasing safe.
//!
//! An approximate decryption m + e reveals the key (Li, Micciancio, ePrint 2020/1533). Each
//! decryptor therefore floods, see [`Flooding`], in proportion to a bound v on the noise of the
//! released ciphertext per coefficient. The count of releases is the ledger's.

use crate::aggregation::Flooding;
use crate::multiparty::CeremonyError;
use crate::params::{Params, Preset};

/// log2 of the least ratio between scale and flooding: below it nothing of the message is left.
const HEADROOM_BITS: u32 = 6;

/// Who decrypts, and under which flooding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecryptPolicy {
    /// One party holds the whole key and keeps what it decrypts: no flooding.
    TrustedHolder,
    /// Results leave to askers; every decryptor floods.
    Flooded(Flooding),
}

impl DecryptPolicy {
    /// w, where each decryptor's flooding has deviation 2^w in units of the result, of which so many coefficients are
    /// released; none for a trusted holder.
    ///
    /// # Errors
    /// [`CeremonyError::FloodingTooLarge`] if 2^w is not at least 2^6 below the scale.
    pub fn flooding_log2(self, preset: Preset, released: usize) -> Result<Option<u32>, CeremonyError> {
        self.flooding_over(preset.params(), released)
    }

    pub(crate) fn flooding_over(self, params: &Params, released: usize) -> Result<Option<u32>, CeremonyError> {
        let Self::Flooded(flooding) = self else { return Ok(None) };
        let v = f64::from(noise_bound_log2(params.preset)).exp2();
        let (flooding_log2, scale_log2) = (flooding.word_bits(released, v), params.scale_bits());
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

/// log2 of v, the bound on a result's noise per coefficient in units of the scale, for models
/// published under the public key and up to 16 hospitals.
///
/// The noise model of a network of depth 5 estimates 2^19.2 on INF15-90; 22 leaves 2.8 bits, and
/// a test measures a product chain of depth 3 far below it. The sets of scale 2^30 serve trusted
/// holders and tests; at their values no flooding of at least 40 bits fits.
pub const fn noise_bound_log2(preset: Preset) -> u32 {
    match preset {
        Preset::Inf15x60 | Preset::Inf15x90 => 22,
        Preset::Inf14x30 => 16,
        Preset::Inf13 | Preset::Agg13 | Preset::Agg14 => 12,
    }
}
