//! What one refresh is bound to, as everybody makes it of the log.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::{Attempt, Digest, Epoch, PartyId, StepId};
use crate::message::RefreshOpen;
use crate::party_set::PartySet;

/// Whose shares are added, of which packages, and who opens their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshBinding {
    /// The key epoch.
    pub epoch: Epoch,
    /// Digest of the program of the steps.
    pub program: Digest,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// What is refreshed.
    pub packages: BodyRoot,
    /// T.
    pub decryptors: PartySet,
    /// Who of T opens.
    pub opener: PartyId,
}
wire_struct!(RefreshBinding {
    epoch: Epoch,
    program: Digest,
    step: StepId,
    attempt: Attempt,
    packages: BodyRoot,
    decryptors: PartySet,
    opener: PartyId,
});

impl RefreshBinding {
    /// Of what the log asks for.
    #[must_use]
    pub fn of(epoch: Epoch, program: Digest, open: &RefreshOpen) -> Self {
        let RefreshOpen { step, attempt, packages, decryptors, opener, .. } = *open;
        Self { epoch, program, step, attempt, packages, decryptors, opener }
    }

    /// What every head of the refresh names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium refresh binding v1", self)
    }
}
