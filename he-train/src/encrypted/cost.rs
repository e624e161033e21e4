//! What a head's training sends.

use he_agg::ckks::GatedCiphertext;
use he_agg::multiparty::RefreshShare;

use super::program::HeadProgram;

impl HeadProgram {
    /// Bytes that a hospital uploads for one group of rows: its features and labels.
    pub fn group_bytes(&self) -> usize {
        let gated = |limbs| GatedCiphertext::encoded_bytes(self.preset(), limbs);
        self.layout().blocks() * gated(self.top_limbs()) + gated(self.error_limbs())
    }

    /// Bytes that one decryptor sends in the refresh of a step: a share and a mask of every package.
    pub fn refresh_bytes(&self) -> usize {
        let mask = GatedCiphertext::encoded_bytes(self.preset(), self.top_limbs());
        self.tree().packages() * (RefreshShare::encoded_bytes(self.preset()) + mask)
    }
}
