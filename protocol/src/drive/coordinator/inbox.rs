//! What a phase is told, as it is stored before anybody hears that it was.

use crate::blob::BodyRoot;
use crate::codec::{wire_enum, wire_struct};
use crate::drive::ListId;
use crate::ids::{Attempt, Digest, PartyId, QueryId};
use crate::message::{KeyStep, SignedMessage};
use crate::party_set::PartySet;
use crate::training::{SharesBlinded, StepJoined, StepTaken};

/// The sum of a serving key's shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysAdded {
    /// Which key.
    pub step: KeyStep,
    /// The stored sum; `None` where the shares could not be added.
    pub body: Option<BodyRoot>,
}
wire_struct!(KeysAdded { step: KeyStep, body: Option<BodyRoot> });

/// The blinded sum of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumMade {
    /// The attempt.
    pub attempt: Attempt,
    /// Digest of each stored chunk; `None` where it could not be made.
    pub chunks: Option<Vec<Digest>>,
}
wire_struct!(SumMade { attempt: Attempt, chunks: Option<Vec<Digest>> });

/// The published model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAdded {
    /// The publishing attempt.
    pub attempt: Attempt,
    /// Digest of the stored model; `None` where the contributions could not be added.
    pub model: Option<Digest>,
}
wire_struct!(ModelAdded { attempt: Attempt, model: Option<Digest> });

/// What follows from the features that were collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepsPrepared {
    /// Digest of the program of the steps; `None` where there are none for these rows.
    pub program: Option<Digest>,
}
wire_struct!(StepsPrepared { program: Option<Digest> });

/// What a job came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// Of `AddKeys`.
    Keys(KeysAdded),
    /// Of `Inspect`: whether these bodies are well-formed.
    Inspected(ListId, bool),
    /// Of `Combine`.
    Sum(SumMade),
    /// Of `AddModel`.
    Model(ModelAdded),
    /// Of `Load`: whether keys and model are there.
    Loaded(bool),
    /// Of `Evaluate`, for one query: the stored result, `None` where it failed.
    Evaluated(QueryId, Option<BodyRoot>),
    /// Of `PrepareTraining`.
    Prepared(StepsPrepared),
    /// Of `TrainHead`.
    Taken(StepTaken),
    /// Of `TrainHead`.
    Blinded(SharesBlinded),
    /// Of `TrainHead`.
    Joined(StepJoined),
    /// Of `TrainHead`: there is no result, and cannot be.
    Stuck,
    /// Of any but serving's: the disk kept it from ending; it is begun again.
    Again,
}

/// A moment that a machine asked for has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tick {}
wire_struct!(Tick {});

/// One thing that a phase is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PhaseInput {
    /// The phase begins.
    Start(Tick),
    Message(SignedMessage),
    /// An awaited list is complete.
    Complete(ListId),
    Keys(KeysAdded),
    Sum(SumMade),
    Model(ModelAdded),
    Lapsed(PartyId),
    Returned(PartyId),
    Tick(Tick),
    /// Bodies of a list can be used.
    WellFormed(ListId),
    /// They cannot.
    Malformed(ListId),
    Prepared(StepsPrepared),
    Taken(StepTaken),
    Blinded(SharesBlinded),
    Joined(StepJoined),
    /// A step of a head cannot be computed.
    Stuck(Tick),
}
wire_enum!(PhaseInput {
    0 => Start(Tick), 1 => Message(SignedMessage), 2 => Complete(ListId), 3 => Keys(KeysAdded), 4 => Sum(SumMade),
    5 => Model(ModelAdded), 6 => Lapsed(PartyId), 7 => Returned(PartyId), 8 => Tick(Tick),
    9 => WellFormed(ListId), 10 => Malformed(ListId), 11 => Prepared(StepsPrepared), 12 => Taken(StepTaken),
    13 => Blinded(SharesBlinded), 14 => Joined(StepJoined), 15 => Stuck(Tick),
});

impl PhaseInput {
    /// What a phase that is no serving is told of a finished job.
    pub(super) fn of(result: JobResult) -> Option<Self> {
        match result {
            JobResult::Keys(keys) => Some(Self::Keys(keys)),
            JobResult::Sum(sum) => Some(Self::Sum(sum)),
            JobResult::Model(model) => Some(Self::Model(model)),
            JobResult::Inspected(list, true) => Some(Self::WellFormed(list)),
            JobResult::Inspected(list, false) => Some(Self::Malformed(list)),
            JobResult::Prepared(steps) => Some(Self::Prepared(steps)),
            JobResult::Taken(step) => Some(Self::Taken(step)),
            JobResult::Blinded(sums) => Some(Self::Blinded(sums)),
            JobResult::Joined(step) => Some(Self::Joined(step)),
            JobResult::Stuck => Some(Self::Stuck(Tick {})),
            JobResult::Loaded(_) | JobResult::Again | JobResult::Evaluated(..) => None,
        }
    }
}

/// A record of [`crate::drive::Stream::Inbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The phase's time.
    pub(super) now_ms: u64,
    pub(super) input: PhaseInput,
}
wire_struct!(Told { now_ms: u64, input: PhaseInput });

/// A record of [`crate::drive::Stream::Phases`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PhaseStart {
    pub(super) number: u64,
    /// Entries of the log when it began: what it was to do follows from them.
    pub(super) entries: u64,
    /// Whose lease ran.
    pub(super) live: PartySet,
}
wire_struct!(PhaseStart { number: u64, entries: u64, live: PartySet });
