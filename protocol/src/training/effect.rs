//! Inputs, outputs and outcome of a training on ciphertexts at the coordinator.

use crate::blob::{BlobKind, BodyRoot};
use crate::codec::wire_struct;
use crate::ids::{Attempt, Digest, PartyId, StepId};
use crate::message::{LogMessage, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::training::RefreshBinding;

/// What is to be refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTaken {
    /// The step.
    pub step: StepId,
    /// The attempt; the first, where the step was only taken.
    pub attempt: Attempt,
    /// What it left, with the attempt's zeros.
    pub packages: BodyRoot,
}
wire_struct!(StepTaken { step: StepId, attempt: Attempt, packages: BodyRoot });

/// The sums of all shares of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharesBlinded {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: Attempt,
    /// One for every package.
    pub sums: BodyRoot,
}
wire_struct!(SharesBlinded { step: StepId, attempt: Attempt, sums: BodyRoot });

/// A step is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepJoined {
    /// The step.
    pub step: StepId,
    /// Digest of the finished model, after the last step.
    pub model: Option<Digest>,
}
wire_struct!(StepJoined { step: StepId, model: Option<Digest> });

/// What takes the coordinator long. One at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadTask {
    /// Take the step, answer with `Taken`.
    Take {
        /// The step.
        step: StepId,
    },
    /// Add these hospitals' zeros to what the step left, answer with `Taken`.
    AddZeros {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        decryptors: PartySet,
    },
    /// Add up the shares, answer with `Blinded`.
    Blind(RefreshBinding),
    /// Join the opening and the masks, answer with `Joined`.
    Join(RefreshBinding),
}

/// What happens.
#[derive(Clone, Debug)]
pub enum TrainingInput {
    /// Takes the first step.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`TrainingOutput::AwaitBodies`] are stored, match the root and are what their kind says.
    BodiesComplete {
        /// `RefreshZero`, `RefreshShare`, `RefreshMask` or `RefreshOpening`.
        kind: BlobKind,
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`HeadTask::Take`] and [`HeadTask::AddZeros`].
    Taken(StepTaken),
    /// Answer to [`HeadTask::Blind`].
    Blinded(SharesBlinded),
    /// Answer to [`HeadTask::Join`].
    Joined(StepJoined),
    /// Instead of an answer: the coordinator's own arithmetic cannot go on.
    Stuck,
    /// The bodies are stored, and are not what their kind says: no part of this refresh.
    Unfit {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
    },
    /// The runtime gave a hospital up.
    PartyGone(PartyId),
    /// It is back.
    PartyBack(PartyId),
    /// Time passed.
    Tick,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainingOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`TrainingInput::BodiesComplete`] once these bodies are stored and are what their kind says, else
    /// [`TrainingInput::Unfit`].
    AwaitBodies {
        /// Of which kind.
        kind: BlobKind,
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Answer with what it came to.
    Do(HeadTask),
    /// Answer this hospital's message with a refusal.
    Reject {
        /// To whom.
        party: PartyId,
        /// Why.
        reject: Reject,
    },
    /// Send a `Tick` at or after this time.
    WakeAt(u64),
    /// The head is trained, and t hospitals made the same: queries name this digest.
    Finished {
        /// Digest of the encrypted model.
        model: Digest,
        /// Who made it.
        verified: PartySet,
    },
    /// No head. What was trained is worth nothing without another refresh.
    Failed(TrainingFailure),
}

/// Why there is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingFailure {
    /// All attempts at a refresh are used.
    #[error(
        "{attempts} attempts to refresh step {step} came to nothing: see the log for who sent nothing, and train again \
         without them; what was trained is worth nothing without a refresh"
    )]
    AttemptsExhausted {
        /// The step.
        step: StepId,
        /// Attempts made.
        attempts: u32,
    },
    /// Hospitals do not share, as they have signed.
    #[error(
        "{refused} hospitals refuse to refresh step {step} and {need} have to share ({reject}): what they signed is in \
         the log; what was trained is worth nothing without a refresh"
    )]
    Refused {
        /// The step.
        step: StepId,
        /// How many.
        refused: u16,
        /// Threshold.
        need: u16,
        /// Why the last of them does.
        reject: Reject,
    },
    /// The coordinator cannot compute.
    #[error(
        "the coordinator could not compute step {step}: see its own log for the reason; what was trained is worth \
         nothing without a refresh"
    )]
    Stuck {
        /// The step.
        step: StepId,
    },
    /// Hospitals do not find the finished head to be theirs.
    #[error("{refused} hospitals refuse the finished head and {need} have to agree ({reject}): see the log")]
    NotAgreed {
        /// How many.
        refused: u16,
        /// Threshold.
        need: u16,
        /// Why the last of them does.
        reject: Reject,
    },
}
