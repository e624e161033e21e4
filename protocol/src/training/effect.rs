//! Inputs, outputs and outcome of a training on ciphertexts at the coordinator.

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, StepId};
use crate::message::{LogMessage, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;

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
    /// Answer to [`TrainingOutput::Take`], or to [`TrainingOutput::AddZeros`]: what is to be refreshed.
    Taken {
        /// The step.
        step: StepId,
        /// The attempt; the first, where the step was only taken.
        attempt: Attempt,
        /// What it left, with the attempt's zeros.
        packages: BodyRoot,
    },
    /// Answer to [`TrainingOutput::Blind`].
    Blinded {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// The sums of all shares.
        sums: BodyRoot,
    },
    /// Answer to [`TrainingOutput::Join`]; after the last step with the digest of the finished model.
    Joined {
        /// The step.
        step: StepId,
        /// The model, after the last step.
        model: Option<Digest>,
    },
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
    Blind {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        decryptors: PartySet,
    },
    /// Join the opening and the masks, answer with `Joined`.
    Join {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose masks.
        decryptors: PartySet,
        /// Whose opening.
        opener: PartyId,
    },
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
