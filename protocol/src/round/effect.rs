//! Configuration, inputs, outputs and outcome of one training round at the coordinator.

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{LogMessage, RoundPurpose, SignedMessage, VoidReason};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::terms::Terms;

/// What a round is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundConfig {
    /// The round, above all earlier ones of the epoch.
    pub round: RoundId,
    /// What it is for.
    pub purpose: RoundPurpose,
    /// The model to start from.
    pub base_model: Digest,
    /// What the members approved; nothing else sets a limit.
    pub terms: Terms,
}

/// What happens to a round.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made and taken at a time")]
pub enum RoundInput {
    /// Opens the round.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`RoundOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`RoundOutput::Inspect`].
    Inspected {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// Whether they are what their kind says, made by this hospital for this attempt.
        is_well_formed: bool,
    },
    /// The runtime gave a hospital up (connection lost beyond its grace).
    PartyGone(PartyId),
    /// It is back.
    PartyBack(PartyId),
    /// Answer to [`RoundOutput::Combine`]: the blinded chunks' digests.
    Combined {
        /// The attempt.
        attempt: Attempt,
        /// One digest per chunk.
        chunks: Vec<Digest>,
    },
    /// Ciphertexts and shares could not be combined.
    CombineFailed {
        /// The attempt.
        attempt: Attempt,
    },
    /// Time passed.
    Tick,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`RoundInput::BodiesComplete`] once these bodies are stored and match `body`.
    AwaitBodies {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Look at these stored bodies, answer with `Inspected`.
    Inspect {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// S, where there is one.
        cohort: PartySet,
        /// T, where there is one.
        decryptors: PartySet,
    },
    /// Add the shares of T to the sum of S, store the chunks, answer with `Combined`.
    Combine {
        /// The attempt.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
        /// Chunks per update.
        chunks: u32,
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
    /// The round is over; the machine ignores everything from now on.
    Done(RoundEnd),
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// t hospitals decoded the same model.
    Closed {
        /// The new model.
        model: Digest,
        /// The attempt that succeeded.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
    },
    /// No result. Base model unchanged; the runner may open the next round id.
    Void {
        /// Why.
        reason: VoidReason,
        /// S, if it was frozen.
        cohort: PartySet,
        /// Whether shares may have been released for S: hospitals then refuse cohorts too close to it.
        possibly_revealed: bool,
    },
}
