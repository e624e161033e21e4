//! What the coordinator tells whoever watches it: times and digests, never contents, since it has none.

use protocol::ids::{Attempt, PartyId, QueryId, RoundId};
use protocol::message::{KeyStep, VoidReason};
use protocol::party_set::PartySet;

use crate::compute::Moved;

/// One step of the coordinator.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Serving keys: one kind of share is being added up.
    KeyStep {
        /// Which key.
        step: KeyStep,
    },
    /// A hospital stood still for longer than the patience.
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
        /// Bytes to and from the device; none on the processor.
        moved: Moved,
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
    /// Keys and model were copied to the device.
    Loaded {
        /// Milliseconds.
        ms: f64,
        /// Bytes to and from the device.
        moved: Moved,
    },
    /// A query was evaluated.
    Evaluated {
        /// The query.
        query: QueryId,
        /// Milliseconds, of all queries that were evaluated together.
        ms: f64,
        /// Bytes to and from the device, of this query's part; none on the processor.
        moved: Moved,
    },
    /// The device failed or was wrong. Its work was done again on the processor, which does all work from now on.
    DeviceGivenUp {
        /// The device.
        device: String,
        /// What it did.
        why: String,
    },
}

/// Hears the coordinator's steps. Called on the driver's task and on workers: must not block.
pub trait Observer: Send + Sync {
    /// One step.
    fn step(&self, step: Step);
}
