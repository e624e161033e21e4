//! What the coordinator tells whoever watches it: times and digests, never contents, since it has none.

use protocol::ids::{Attempt, PartyId, QueryId, RoundId};
use protocol::message::VoidReason;
use protocol::party_set::PartySet;

/// One step of the coordinator.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Serving keys: one kind of share is being added up.
    KeyStep {
        /// In words.
        name: &'static str,
    },
    /// A hospital was silent for too long.
    Lost(PartyId),
    /// A lost hospital is back.
    Returned(PartyId),
    /// The attempt lost a decryptor and ends.
    Abandoned {
        /// The round.
        round: RoundId,
        /// The attempt that ended.
        attempt: Attempt,
        /// Who is lost.
        lost: PartySet,
    },
    /// Ciphertexts and shares were added up.
    Combined {
        /// The round.
        round: RoundId,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
        /// Milliseconds.
        ms: f64,
    },
    /// The round ended without a model.
    Void {
        /// The round.
        round: RoundId,
        /// Why.
        reason: VoidReason,
    },
    /// An encrypted computation failed; the operator reads why, the hospitals only that it failed.
    Failed {
        /// The error's text.
        what: String,
    },
    /// A query was evaluated.
    Evaluated {
        /// The query.
        query: QueryId,
        /// Milliseconds.
        ms: f64,
    },
    /// The decryptors' shares of a query were added up to the asker's answer.
    Switched {
        /// The query.
        query: QueryId,
        /// Milliseconds.
        ms: f64,
    },
}

/// Hears the coordinator's steps. Called on the driver's task: must not block.
pub trait Observer: Send + Sync {
    /// One step.
    fn step(&self, step: Step);
}
