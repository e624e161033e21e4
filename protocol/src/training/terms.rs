//! What hospitals agree to before a head is trained on their ciphertexts.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::Digest;
use crate::limits::REFRESH_BODY_BYTES_MAX;

/// The training of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingTerms {
    /// Digest of the program of its steps.
    pub program: Digest,
    /// Digest of the program that the finished head is served by.
    pub served: Digest,
    /// Steps, at least one.
    pub steps: u32,
    /// Ciphertexts that a step leaves, at least one.
    pub packages: u32,
    /// Attempts at one refresh. Each charges the flooding budget of those who share.
    pub attempts_max: u32,
    /// From asking for shares or zeros to the last of them, and for the hospitals' words on the finished head.
    pub refresh_deadline_ms: u64,
}
wire_struct!(TrainingTerms {
    program: Digest,
    served: Digest,
    steps: u32,
    packages: u32,
    attempts_max: u32,
    refresh_deadline_ms: u64,
});

impl TrainingTerms {
    /// Whether a list has one body for every package, of a size that one may have.
    #[must_use]
    pub fn is_list(&self, list: BodyRoot) -> bool {
        list.count == self.packages
            && list.within_limits()
            && list.size_bytes <= u64::from(list.count) * REFRESH_BODY_BYTES_MAX
    }
}
