//! Configuration, inputs, outputs and failures of the key ceremony.

use std::fmt;

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Digest, PartyId};
use crate::message::{KeyStep, LogMessage, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;

/// What the ceremony makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeremonyConfig {
    /// Digest of the serving key plan; `None` for training keys only.
    pub serving_plan: Option<Digest>,
    /// Whether hospitals make planes for their questions, as the terms say.
    pub planes: bool,
}

/// Where the ceremony stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CeremonyStep {
    /// Waiting for `Start`.
    Idle,
    /// K0.
    Roster,
    /// K1.
    Commit,
    /// K2.
    Reveal,
    /// K3: heads and bodies.
    Deal,
    /// K4.
    Digest,
    /// K5.
    Check,
    /// Heads of a serving step.
    ServingHeads(KeyStep),
    /// Bodies of a serving step.
    ServingBodies(KeyStep),
    /// The runtime adds the shares of a serving step.
    Aggregating(KeyStep),
    /// Hospitals add up all serving keys themselves.
    Verdicts,
    /// Over.
    Done,
}

impl fmt::Display for CeremonyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |step: &KeyStep| match step {
            KeyStep::Gate => "gates",
            KeyStep::GateKey => "gate keys",
            KeyStep::Planes => "planes of questions",
            KeyStep::PlaneOpenings => "planes of questions, proof",
            KeyStep::RelinRoundOne => "relinearisation key, first round",
            KeyStep::RelinRoundTwo => "relinearisation key, second round",
            KeyStep::RelinMasks => "relinearisation key, masks of the proof",
            KeyStep::RelinAnswers => "relinearisation key, proof",
            KeyStep::Galois => "rotation keys",
        };
        match self {
            Self::Idle => f.write_str("not begun"),
            Self::Roster => f.write_str("signing the roster"),
            Self::Commit => f.write_str("committing to nonces"),
            Self::Reveal => f.write_str("revealing nonces"),
            Self::Deal => f.write_str("dealing keys"),
            Self::Digest => f.write_str("comparing what was dealt"),
            Self::Check => f.write_str("checking what was dealt"),
            Self::ServingHeads(step) => write!(f, "{}: shares", key(step)),
            Self::ServingBodies(step) => write!(f, "{}: uploads", key(step)),
            Self::Aggregating(step) => write!(f, "{}: adding up", key(step)),
            Self::Verdicts => f.write_str("serving keys: hospitals add them up"),
            Self::Done => f.write_str("over"),
        }
    }
}

/// What happens to the ceremony.
#[derive(Clone, Debug)]
pub enum CeremonyInput {
    /// Proposes the roster.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`CeremonyOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// `Dealing` or a serving key's kind.
        kind: BlobKind,
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`CeremonyOutput::Aggregate`].
    Aggregated {
        /// Which key.
        step: KeyStep,
        /// The stored aggregate (bodies with `party = None`).
        body: BodyRoot,
    },
    /// The shares could not be added.
    AggregateFailed {
        /// Which key.
        step: KeyStep,
    },
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CeremonyOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`CeremonyInput::BodiesComplete`] once these bodies are stored and match `body`.
    AwaitBodies {
        /// `Dealing` (indices 1..=n) or a serving key's kind (indices from 0).
        kind: BlobKind,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Add all n shares of this step, store the aggregate, answer with `Aggregated`.
    Aggregate {
        /// Which key.
        step: KeyStep,
    },
    /// Answer this hospital's message with a refusal.
    Reject {
        /// To whom.
        party: PartyId,
        /// Why.
        reject: Reject,
    },
    /// All keys exist.
    Done {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// The ceremony failed.
    Failed(CeremonyFailure),
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyFailure {
    /// A hospital refused.
    #[error("{step}: {party} refused{}: {reject}", of.map_or_else(String::new, |of| format!(" what {of} sent")))]
    Refused {
        /// Where.
        step: CeremonyStep,
        /// Who.
        party: PartyId,
        /// Whose share it refused, where it is one hospital's.
        of: Option<PartyId>,
        /// Why.
        reject: Reject,
    },
    /// Hospitals said what cannot all be true.
    #[error("{step}: what hospitals {parties} sent does not fit the others; start a new epoch and ask them why")]
    Disagree {
        /// Where.
        step: CeremonyStep,
        /// Who differs.
        parties: PartySet,
    },
    /// What hospitals show of their dealings does not fit together.
    #[error("what was dealt does not fit: {}; the log has the evidence, ask them", off(*dealers, *receivers))]
    DealingsOff {
        /// Whose points lie on no polynomial, as receivers show them.
        dealers: PartySet,
        /// Without whose values alone they would.
        receivers: PartySet,
    },
    /// Shares could not be added.
    #[error("the {step:?} shares could not be added; a share is malformed or the disk is full")]
    Aggregate {
        /// Which key.
        step: KeyStep,
    },
}

/// Who is named: either of dealers and receivers may lie.
fn off(dealers: PartySet, receivers: PartySet) -> String {
    match receivers.is_empty() {
        true => format!("the points of hospitals {dealers}"),
        false => format!("the points of hospitals {dealers}, or what hospitals {receivers} show of them"),
    }
}
