//! What is said while a head is trained on ciphertexts: its steps, and the refreshes between them.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::{Attempt, Digest, PartyId, StepId};
use crate::message::signed::SignedMessage;
use crate::party_set::PartySet;

/// Head of a hospital's features and labels, behind its gate of the key that is trained under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesHead {
    /// Groups of its rows.
    pub groups: u32,
    /// Rows of all hospitals together, as they counted them.
    pub rows: u64,
    /// The bodies of group 0, of group 1, ..
    pub body: BodyRoot,
}
wire_struct!(FeaturesHead { groups: u32, rows: u64, body: BodyRoot });

/// Head of a decryptor's encryptions of zero, for another attempt than the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeroHead {
    /// The step.
    pub step: StepId,
    /// The attempt that they are for.
    pub attempt: Attempt,
    /// One for every package.
    pub body: BodyRoot,
}
wire_struct!(ZeroHead { step: StepId, attempt: Attempt, body: BodyRoot });

/// Head of a decryptor's shares in a refresh, and of its masks: it took the step itself, and this is what it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshHead {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::training::RefreshBinding::digest`].
    pub binding: Digest,
    /// One share for every package.
    pub shares: BodyRoot,
    /// One mask for every package.
    pub masks: BodyRoot,
}
wire_struct!(RefreshHead { step: StepId, attempt: Attempt, binding: Digest, shares: BodyRoot, masks: BodyRoot });

/// Head of what the opener read, behind its gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningHead {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::training::RefreshBinding::digest`].
    pub binding: Digest,
    /// The sums that were opened, and no others ever.
    pub sums: Digest,
    /// One for every package.
    pub body: BodyRoot,
}
wire_struct!(OpeningHead { step: StepId, attempt: Attempt, binding: Digest, sums: Digest, body: BodyRoot });

/// Asks every hospital for its features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesOpen {
    /// [`crate::training::HeadTerms::recipe`].
    pub recipe: Digest,
}
wire_struct!(FeaturesOpen { recipe: Digest });

/// What is trained on: every decryptor fetches it and takes the steps itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesReady {
    /// `FeaturesHead`s of those whose rows are trained on, ascending.
    pub heads: Vec<SignedMessage>,
    /// Rows of all hospitals together, as those heads say.
    pub rows: u64,
    /// Digest of the program of the steps on so many rows.
    pub program: Digest,
}
wire_struct!(FeaturesReady { heads: Vec<SignedMessage>, rows: u64, program: Digest });

/// Asks T for encryptions of zero, since an attempt came to nothing: nobody shares in a second polynomial twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZerosOpen {
    /// The step.
    pub step: StepId,
    /// The attempt that begins, from 2.
    pub attempt: Attempt,
    /// Who is going to share, exactly t members.
    pub decryptors: PartySet,
}
wire_struct!(ZerosOpen { step: StepId, attempt: Attempt, decryptors: PartySet });

/// Asks T to refresh what a step left: each shares if that is what it left when it took the step itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshOpen {
    /// The step, from 1.
    pub step: StepId,
    /// The attempt, from 1.
    pub attempt: Attempt,
    /// What is refreshed: what the step left, with the zeros added.
    pub packages: BodyRoot,
    /// After the first attempt the `ZeroHead`s of T, ascending.
    pub zeros: Vec<SignedMessage>,
    /// T, exactly t members.
    pub decryptors: PartySet,
    /// Who of T opens.
    pub opener: PartyId,
}
wire_struct!(RefreshOpen {
    step: StepId,
    attempt: Attempt,
    packages: BodyRoot,
    zeros: Vec<SignedMessage>,
    decryptors: PartySet,
    opener: PartyId,
});

/// All shares are there, and added up: the opener opens the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshBlinded {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// `RefreshHead`s of T, ascending.
    pub heads: Vec<SignedMessage>,
    /// One sum for every package, blinded from the coordinator.
    pub sums: BodyRoot,
}
wire_struct!(RefreshBlinded { step: StepId, attempt: Attempt, heads: Vec<SignedMessage>, sums: BodyRoot });

/// The step is refreshed: everybody joins the same of what T and the opener sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshDone {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// The opener's `OpeningHead`.
    pub opening: SignedMessage,
}
wire_struct!(RefreshDone { step: StepId, attempt: Attempt, opening: SignedMessage });

/// An attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshVoid {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// Who of T sent nothing.
    pub missing: PartySet,
    /// What those of T signed who would not: evidence against them, or against the coordinator.
    pub refusals: Vec<SignedMessage>,
}
wire_struct!(RefreshVoid { step: StepId, attempt: Attempt, missing: PartySet, refusals: Vec<SignedMessage> });
