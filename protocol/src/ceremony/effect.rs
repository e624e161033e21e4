//! Configuration, inputs, outputs and failures of the key ceremony.

use std::fmt;

use crate::blob::{BodyRoot, ListId};
use crate::ids::{Digest, PartyId};
use crate::message::{KeySet, KeyStep, KeysAsked, LogMessage, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::terms::Terms;

/// What the ceremony makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeremonyConfig {
    /// Digest of the serving key plan; `None` for training keys only.
    pub serving_plan: Option<Digest>,
    /// Whether hospitals make planes for their questions, as the terms say.
    pub planes: bool,
    /// Digest of the key plan of a head's training, where the terms have one; only after serving keys.
    pub training_plan: Option<Digest>,
}

impl CeremonyConfig {
    /// All keys of these terms.
    #[must_use]
    pub fn of(terms: &Terms) -> Self {
        Self {
            serving_plan: terms.key_plan(KeySet::Serving),
            planes: terms.has_planes(),
            training_plan: terms.key_plan(KeySet::Training),
        }
    }

    /// The steps of the keys.
    #[must_use]
    pub fn asked(&self) -> KeysAsked {
        KeysAsked { planes: self.planes, training: self.training_plan.is_some() }
    }

    pub(super) fn plan(&self, set: KeySet) -> Option<Digest> {
        match set {
            KeySet::Serving => self.serving_plan,
            KeySet::Training => self.training_plan,
        }
    }
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
        match self {
            Self::Idle => f.write_str("not begun"),
            Self::Roster => f.write_str("signing the roster"),
            Self::Commit => f.write_str("committing to nonces"),
            Self::Reveal => f.write_str("revealing nonces"),
            Self::Deal => f.write_str("dealing keys"),
            Self::Digest => f.write_str("comparing what was dealt"),
            Self::Check => f.write_str("checking what was dealt"),
            Self::ServingHeads(step) => write!(f, "{step}: shares"),
            Self::ServingBodies(step) => write!(f, "{step}: uploads"),
            Self::Aggregating(step) => write!(f, "{step}: adding up"),
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
        /// Of [`CeremonyOutput::AwaitBodies`].
        list: ListId,
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
        /// Of kind `Dealing` (indices 1..=n) or of a key's step (indices from 0), and one hospital's.
        list: ListId,
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
