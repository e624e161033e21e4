//! Inputs and outputs of a hospital that follows a training on ciphertexts.

use crate::blob::{BlobKind, BodyRoot, ListId};
use crate::ids::{Attempt, Digest, PartyId, StepId};
use crate::message::{HospitalMessage, LogMessage, Scope};
use crate::reject::Reject;
use crate::training::RefreshBinding;

use super::asked::Open;

/// What happens.
#[derive(Clone, Debug)]
pub enum FollowerInput<'a> {
    /// Everybody's uploads are at hand: takes the first step.
    Start,
    /// An entry of the log, which its reader accepted.
    Entry(&'a LogMessage),
    /// The task under way is over.
    Done(TaskDone),
}

/// What a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskDone {
    /// Answer to [`TrainingTask::Take`], in the first attempt, or to [`TrainingTask::AddZeros`].
    Taken {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// What it left, with the attempt's zeros.
        packages: BodyRoot,
    },
    /// Answer to [`TrainingTask::MakeZeros`].
    ZerosMade {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// One for every package.
        body: BodyRoot,
    },
    /// Answer to [`TrainingTask::Share`].
    Shared {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// One for every package.
        shares: BodyRoot,
        /// One for every package.
        masks: BodyRoot,
    },
    /// Answer to [`TrainingTask::Open`].
    Opened {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// One for every package.
        body: BodyRoot,
    },
    /// Answer to [`TrainingTask::Join`]; after the last step with the digest of the model that the head became.
    Joined {
        /// The step.
        step: StepId,
        /// The model, after the last step.
        model: Option<Digest>,
    },
    /// Instead of an answer: the ledger refuses, or bodies are no part of this refresh.
    Unable {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reject: Reject,
    },
}

/// What to join to go on from a step that the log has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// What was asked for.
    pub(super) open: Open,
    /// Of every decryptor.
    pub masks: Vec<(PartyId, BodyRoot)>,
    /// The opener's.
    pub opening: BodyRoot,
}

impl Joining {
    /// What the refresh is bound to.
    #[must_use]
    pub fn binding(&self) -> RefreshBinding {
        self.open.binding
    }

    /// Of every decryptor, after the first attempt.
    #[must_use]
    pub fn zeros(&self) -> &[(PartyId, BodyRoot)] {
        &self.open.zeros
    }
}

/// What takes a hospital long. One at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainingTask {
    /// Take the step, answer with `Taken`.
    Take {
        /// The step.
        step: StepId,
    },
    /// Encrypt zeros, answer with `ZerosMade`.
    MakeZeros {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Add these zeros to what the step left, answer with `Taken`.
    AddZeros {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// Whose, and what they signed.
        zeros: Vec<(PartyId, BodyRoot)>,
    },
    /// Claim, then share in this refresh of what the step left here, answer with `Shared`.
    Share(RefreshBinding, Vec<(PartyId, BodyRoot)>),
    /// Claim, then open these sums, answer with `Opened`.
    Open {
        /// What the refresh is bound to.
        binding: RefreshBinding,
        /// After the first attempt, of every decryptor.
        zeros: Vec<(PartyId, BodyRoot)>,
        /// The coordinator's.
        sums: BodyRoot,
    },
    /// Join what was sent and go on, answer with `Joined`.
    Join(Box<Joining>),
}

impl TrainingTask {
    /// What others bring to it. Zeros of an attempt come with `AddZeros`, which is before all else of the attempt.
    #[must_use]
    pub fn lists(&self) -> Vec<(ListId, BodyRoot)> {
        let of = |kind, step: StepId, attempt: Attempt, party| ListId {
            kind,
            round: u64::from(step.0),
            attempt: attempt.0,
            party,
        };
        match self {
            Self::Take { .. } | Self::MakeZeros { .. } | Self::Share(..) => Vec::new(),
            Self::AddZeros { step, attempt, zeros } => {
                let zero = |(maker, root): &(PartyId, BodyRoot)| {
                    (of(BlobKind::RefreshZero, *step, *attempt, Some(*maker)), *root)
                };
                zeros.iter().map(zero).collect()
            }
            Self::Open { binding, sums, .. } => {
                vec![(of(BlobKind::RefreshSum, binding.step, binding.attempt, None), *sums)]
            }
            Self::Join(joining) => {
                let RefreshBinding { step, attempt, opener, .. } = joining.binding();
                let mask = |(maker, root): &(PartyId, BodyRoot)| {
                    (of(BlobKind::RefreshMask, step, attempt, Some(*maker)), *root)
                };
                let opening = (of(BlobKind::RefreshOpening, step, attempt, Some(opener)), joining.opening);
                joining.masks.iter().map(mask).chain([opening]).collect()
            }
        }
    }
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowerOutput {
    /// Answer with [`FollowerInput::Done`].
    Do(TrainingTask),
    /// Sign and send.
    Say(HospitalMessage),
    /// Upload, after the head before it.
    Upload {
        /// Of which kind.
        kind: BlobKind,
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: Attempt,
        /// What its head says.
        body: BodyRoot,
    },
    /// Sign and send a refusal.
    Refuse {
        /// What it is about.
        scope: Scope,
        /// The step, or 0.
        number: u64,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reject: Reject,
    },
}
