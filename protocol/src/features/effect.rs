//! Inputs, outputs and outcome of collecting features at the coordinator.

use crate::blob::BodyRoot;
use crate::ids::{Digest, PartyId};
use crate::message::{LogMessage, SignedMessage};
use crate::reject::Reject;
use crate::training::HeadTerms;

/// What to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesConfig {
    /// As approved.
    pub head: HeadTerms,
    /// Fewest hospitals to train on; the threshold, if that is more.
    pub min_cohort: u16,
    /// From asking to the last upload, in ms.
    pub collect_ms: u64,
}

/// What happens.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made and taken at a time")]
pub enum FeaturesInput {
    /// Asks for the features.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`FeaturesOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`FeaturesOutput::Inspect`].
    Inspected {
        /// Whose.
        party: PartyId,
        /// Whether they can be trained on.
        is_well_formed: bool,
    },
    /// Answer to [`FeaturesOutput::Prepare`].
    Prepared {
        /// Digest of the steps' program; `None` where there is none for so many rows.
        program: Option<Digest>,
    },
    /// Time passed.
    Tick,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeaturesOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`FeaturesInput::BodiesComplete`] once these bodies (kind `Feature`, round 0, attempt 0) are stored.
    AwaitBodies {
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Look at the bodies, answer with `Inspected`.
    Inspect {
        /// Whose.
        party: PartyId,
        /// Groups of its rows.
        groups: u32,
    },
    /// Make the program of the steps, answer with `Prepared`.
    Prepare {
        /// Whose rows, ascending, and in how many groups.
        groups: Vec<(PartyId, u32)>,
        /// Rows of all together.
        rows: u64,
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
    /// The log says what is trained on.
    Done,
    /// There is nothing to train on.
    Failed(FeaturesFailure),
}

/// Why there is nothing to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesFailure {
    /// Too few hospitals have rows, or agree on how many all have.
    #[error(
        "{have} hospitals agree on how many rows all have, and {need} have to: see what the others refused, and begin \
         again in a new key epoch"
    )]
    TooFew {
        /// How many.
        have: u16,
        /// How many have to.
        need: u16,
    },
    /// No steps for these rows.
    #[error("no steps follow from these groups of rows; see the coordinator's own log for the reason")]
    NoProgram,
}
