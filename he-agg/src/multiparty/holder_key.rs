//! Decryption by a trusted holder: one party that alone made the collective key.

use crate::ckks::{Ciphertext, CkksError, Plaintext, PublicKey, centred, decrypt};
use crate::multiparty::ServingSecret;
use crate::ring::Poly;
use crate::stream::Stream;
use zeroize::Zeroizing;

/// log2 of the largest coefficient that a holder refreshes: what a float holds exactly.
const REFRESHED_LOG2: f64 = 52.0;

/// The whole secret of a key ceremony of one party.
///
/// Under the key of several parties it decrypts to noise. What it decrypts must not leave the
/// holder: an approximate result reveals the key (Li, Micciancio, ePrint 2020/1533).
pub struct HolderKey {
    secret: ServingSecret,
}

impl HolderKey {
    /// Takes over the secret once the ceremony is complete.
    pub fn new(secret: ServingSecret) -> Self {
        Self { secret }
    }

    /// The message with its noise.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Plaintext, CkksError> {
        let (left, right) = (self.secret.preset(), ciphertext.preset());
        if left != right {
            return Err(CkksError::PresetMismatch { left, right });
        }
        Ok(decrypt(ciphertext, self.secret.poly(), self.secret.params().p.len()))
    }

    /// The same coefficients, message and noise, freshly encrypted with `limbs` primes: what several hospitals do
    /// together where nobody holds the key.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], [`CkksError::Limbs`], [`CkksError::Overflow`] for coefficients beyond 2^52.
    pub fn refresh(
        &self,
        ciphertext: &Ciphertext,
        (public, limbs): (&PublicKey, usize),
        stream: &mut Stream,
    ) -> Result<Ciphertext, CkksError> {
        let Plaintext { params, limbs: from, scale, poly } = self.decrypt(ciphertext)?;
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CkksError::Limbs { limbs, max });
        }
        let basis = &params.q[..from];
        let coefficients = Zeroizing::new(centred(&poly.into_coeff(basis), basis));
        let largest = coefficients.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let limit_log2 = REFRESHED_LOG2.min(params.log_q(limbs) - 1.0);
        if largest.log2() >= limit_log2 {
            return Err(CkksError::Overflow { magnitude_log2: largest.log2(), limit_log2, limbs });
        }
        let whole = Zeroizing::new(coefficients.iter().map(|x| *x as i64).collect::<Vec<_>>());
        let basis = &params.q[..limbs];
        let poly = Poly::from_signed(&whole, basis).into_eval(basis);
        public.encrypt(&Plaintext { params, limbs, scale, poly }, stream)
    }
}
