//! What a coordinator's driver begins from, is told and has computed, and what it tells whoever watches.

use crate::campaign::{OrderKind, PauseReason, PhaseEnd, PublishedModel};
use crate::drive::coordinator::inbox::JobResult;
use crate::drive::{Asked, JobId, ListId, StoreFault};
use crate::exchange::Call;
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{KeyStep, RoundPurpose};
use crate::party_set::PartySet;
use crate::roster::Roster;
use crate::serving::Evaluation;
use crate::signature::SigningKey;
use crate::terms::Terms;
use crate::training::{HeadTask, RefreshBinding};

/// What a coordinator knows before it opens its store.
pub struct CoordinatorConfig {
    /// Members, threshold, keys.
    pub roster: Roster,
    /// What the members approved.
    pub terms: Terms,
    /// Signs log entries.
    pub key: SigningKey,
    /// Queries evaluated together, from 1.
    pub batch_max: usize,
}

/// Work that takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorJob {
    /// Add all n shares of a serving key and store the sum; result `Keys`.
    AddKeys {
        /// Which key.
        step: KeyStep,
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Look at stored bodies of a round; result `Inspected`.
    Inspect(Inspection),
    /// Add the cohort's updates and the decryptors' shares, store the blinded sums; result `Sum`.
    Combine {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
        /// Digest of the frozen manifest.
        manifest: Digest,
        /// Chunks per update.
        chunks: u32,
    },
    /// Add the contributions to the published model and store the sum durably; result `Model`.
    AddModel {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
        /// The publishing attempt.
        attempt: Attempt,
        /// Whose contributions.
        cohort: PartySet,
        /// Ciphertexts per contribution.
        count: u32,
    },
    /// Make the program of the steps on stored features; result `Prepared`.
    PrepareTraining(Training),
    /// Look at what a hospital brings to a refresh; result `Inspected`.
    InspectPart {
        /// What is trained.
        of: Box<Training>,
        /// Which bodies: of kind `RefreshZero`, `RefreshShare`, `RefreshMask` or `RefreshOpening`.
        list: ListId,
        /// What they are bound to; zeros to nothing.
        binding: Option<RefreshBinding>,
    },
    /// Do this of a training. The finished model is stored durably, as a published one. Result `Taken`, `Blinded`,
    /// `Joined` or `Stuck`.
    TrainHead {
        /// What is trained.
        of: Box<Training>,
        /// What to do.
        task: HeadTask,
    },
    /// Read keys and model for serving; result `Loaded`.
    Load {
        /// What is served.
        published: PublishedModel,
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Evaluate the program on these queries together; one `Evaluated` for each.
    Evaluate(Vec<Evaluation>),
}

/// A head that is being trained, as every job of it has to know it, whatever an earlier process did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Training {
    /// Public randomness of the epoch.
    pub epoch_seed: Digest,
    /// Whose rows, ascending, and in how many groups.
    pub groups: Vec<(PartyId, u32)>,
    /// Rows of all together.
    pub rows: u64,
    /// The refreshes of the steps before, each of its last attempt.
    pub done: Vec<RefreshBinding>,
}

/// The bodies of one hospital in a round, and what they have to be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Public randomness of the epoch.
    pub epoch_seed: Digest,
    /// Which bodies: of kind `UpdateChunk`, `Share` or `Feature`.
    pub list: ListId,
    /// How many they are.
    pub chunks: u32,
    /// S, for shares.
    pub cohort: PartySet,
    /// T, for shares.
    pub decryptors: PartySet,
    /// Digest of the frozen manifest, for shares.
    pub manifest: Digest,
}

/// What happens to the coordinator.
#[derive(Debug)]
pub enum CoordinatorEvent {
    /// A member of the roster calls. Who it is was proved by its certificate.
    Asked {
        /// To be answered under this number.
        asked: Asked,
        /// Who calls.
        from: PartyId,
        /// What.
        call: Call,
    },
    /// A job ended, or one query of a batch.
    Done {
        /// Which job.
        job: JobId,
        /// Its result.
        result: JobResult,
    },
    /// An operator orders something.
    Order(OrderKind),
    /// A member was put out of the consortium: its lease ends, and its calls come through no more.
    PutOut(PartyId),
    /// An operator ends the participation of all.
    End {
        /// One sentence for people.
        reason: String,
    },
    /// A time that was asked for has come, and everything that was received before has been handled.
    Wake,
}

/// Something worth telling whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorNote {
    /// A round begins.
    RoundOpened(RoundId, RoundPurpose),
    /// Serving keys: shares of one kind are being added up.
    AddingKeys(KeyStep),
    /// A hospital stood still for longer than the patience.
    Lapsed(PartyId),
    /// It is back.
    Returned(PartyId),
    /// An attempt lost decryptors and ends.
    Abandoned {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// Who is lost.
        lost: PartySet,
    },
    /// A phase ended.
    Ended(PhaseEnd),
    /// Queries are taken.
    Serving(PublishedModel),
    /// Keys and model could not be loaded.
    CannotServe,
    /// Nothing goes on by itself.
    Paused(PauseReason),
    /// The store could not do what was asked; it is tried again.
    StoreFault(String),
    /// The participation of all ended.
    Stopped {
        /// Answers released in this key epoch.
        releases: u64,
    },
}

/// Why a coordinator cannot take up where its store leaves off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The log belongs to other members, or another key epoch.
    #[error("the stored log belongs to another roster or key epoch; start this coordinator in its own folder")]
    OtherRoster,
    /// A stored record cannot be read, or does not follow from the ones before it.
    #[error("the stored {what} is damaged at entry {index}; restore the coordinator's folder from its own backup")]
    Damaged {
        /// Which records.
        what: &'static str,
        /// The entry.
        index: u64,
    },
}
