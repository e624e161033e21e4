//! Inputs and outputs of the serving machine: messages and finished work in, log entries and work out.

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{PartyId, QueryId};
use crate::message::{LogMessage, SignedMessage};
use crate::reject::Reject;

/// What happens.
#[derive(Clone, Debug)]
pub enum ServingInput {
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`ServingOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// `Query` or `SwitchShare`.
        kind: BlobKind,
        /// The query.
        query: QueryId,
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`ServingOutput::Evaluate`]: the stored result.
    Evaluated {
        /// The query.
        query: QueryId,
        /// The result.
        result: BodyRoot,
    },
    /// The evaluation failed, for example because the input is malformed.
    EvaluationFailed {
        /// The query.
        query: QueryId,
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
pub enum ServingOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`ServingInput::BodiesComplete`] once these bodies are stored and match `body`.
    AwaitBodies {
        /// `Query` or `SwitchShare`.
        kind: BlobKind,
        /// The query.
        query: QueryId,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Evaluate the program on these queries together, store each result, and answer each with `Evaluated` or
    /// `EvaluationFailed`.
    Evaluate(Vec<Evaluation>),
    /// This query's head was taken; tell its sender.
    Admitted {
        /// Who asks.
        party: PartyId,
        /// The query.
        query: QueryId,
    },
    /// Answer this hospital's message with a refusal.
    Reject {
        /// To whom.
        party: PartyId,
        /// Which query, if it is about one.
        query: Option<QueryId>,
        /// Why.
        reject: Reject,
    },
    /// Send a `Tick` at or after this time.
    WakeAt(u64),
}

/// One query of a batch that is evaluated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The query.
    pub query: QueryId,
    /// Who asks.
    pub asker: PartyId,
    /// The input.
    pub body: BodyRoot,
}
