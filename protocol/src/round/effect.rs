//! Configuration, inputs, outputs and outcome of one training round at the coordinator.

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{LogMessage, SignedMessage, VoidReason};
use crate::party_set::PartySet;
use crate::reject::Reject;

/// What a round is to do, and how long each step may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundConfig {
    /// The round, above all earlier ones of the epoch.
    pub round: RoundId,
    /// The model to start from.
    pub base_model: Digest,
    /// Digest of the resolved plan.
    pub plan: Digest,
    /// Ciphertexts per update, as the plan's lane layout says; heads with another count are refused.
    pub chunks: u32,
    /// Fewest updates; the threshold applies as well.
    pub min_cohort: u16,
    /// Attempts before the round is void, 1..=8.
    pub attempts_max: u32,
    /// Spare attempts uploaded at once, 0..=2.
    pub attempts_ahead: u32,
    /// From opening (or a new attempt) to the manifest.
    pub collect_ms: u64,
    /// From the manifest to t signatures.
    pub sign_ms: u64,
    /// How long to wait for the remaining live signers once t have signed.
    pub settle_ms: u64,
    /// From the proposal of T to all acceptances.
    pub accept_ms: u64,
    /// From the share request to the last share.
    pub share_ms: u64,
    /// From the sum to t equal votes.
    pub vote_ms: u64,
}

/// What happens to a round.
#[derive(Clone, Debug)]
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
    /// S is frozen: start adding the ciphertexts of this cohort.
    Aggregate {
        /// The attempt.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// Chunks per update.
        chunks: u32,
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
