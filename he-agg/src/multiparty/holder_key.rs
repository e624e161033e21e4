//! Decryption by a trusted holder: one party that alone made the collective key.

use crate::ckks::{Ciphertext, CkksError, Plaintext, decrypt};
use crate::multiparty::ServingSecret;

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
}
