//! What a hospital's driver is told, what it has computed, and what it tells whoever watches.

use bytes::Bytes;

use crate::blob::{BlobId, BodyRoot};
use crate::drive::{CallId, JobId};
use crate::exchange::Answer;
use crate::hospital::{HospitalInput, ShareBinding, SwitchBinding};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::message::{KeyStep, RoundPurpose};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// Work that takes long.
#[derive(Debug)]
pub enum HospitalJob {
    /// Make secret and dealings; answer `Dealt`.
    DealKeys {
        /// The signed roster.
        roster: Roster,
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Open the boxes addressed to this hospital; answer `DealingsOpened` or `DealingsBad`.
    OpenDealings {
        /// The signed roster.
        roster: Roster,
        /// Dealer and sealed box.
        boxes: Vec<(PartyId, Bytes)>,
    },
    /// Read the epoch's keys, where they are not in memory. No answer.
    RestoreKeys {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Make a serving-key share; answer `ServingShareMade`.
    ServingShare {
        /// Which key.
        step: KeyStep,
    },
    /// Add a hospital's share to this site's own sum of a step; those of a step come one after the other. No answer, or
    /// `SumWrong`.
    AddShare {
        /// Which key.
        step: KeyStep,
        /// Whose.
        from: PartyId,
        /// As fetched, with the digest that its maker signed.
        share: Bytes,
    },
    /// All shares of a step were added: compare the sum, and keep it. Answer `SumAdded` or `SumWrong`.
    FinishSum {
        /// Which key.
        step: KeyStep,
        /// As the coordinator announced it.
        sum: BodyRoot,
    },
    /// Take the sum of a step, which this site added up before a restart. No answer.
    TakeSum {
        /// Which key.
        step: KeyStep,
        /// As fetched, with the digest that the log states.
        sum: Bytes,
    },
    /// Train, clip, quantise, seal; answer `Trained` or `TrainingFailed`.
    Train {
        /// The round.
        round: RoundId,
    },
    /// Count how the model does on images that were not trained on, seal; answer `Trained`, `TrainingFailed` or
    /// `FiguresWithheld`.
    Count {
        /// The round.
        round: RoundId,
    },
    /// Encrypt the round's sealed values; answer `Encrypted`.
    Encrypt {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Make and store decryption shares; answer `SharesMade` or `ReleaseRefused`.
    ReleaseShares(ShareBinding),
    /// Unblind, decode, check, keep the candidate; answer `SumOpened`.
    OpenSum {
        /// The sum's context.
        binding: ShareBinding,
        /// What the sum is.
        purpose: RoundPurpose,
        /// The blinded chunks.
        chunks: Vec<Bytes>,
    },
    /// Make the candidate the model. No answer.
    Adopt {
        /// The round.
        round: RoundId,
        /// The model.
        model: Digest,
    },
    /// Keep the figures of this name as those of all. No answer.
    KeepFigures {
        /// The round.
        round: RoundId,
        /// The figures.
        figures: Digest,
    },
    /// Encrypt this hospital's part of the published model; answer `PublishEncrypted`.
    EncryptPublish {
        /// The publishing attempt.
        attempt: Attempt,
        /// Who contributes.
        cohort: PartySet,
    },
    /// Encrypt a question's images under this number; answer [`HospitalDone::Asked`] or `QuestionRefused`.
    PrepareQuery {
        /// The question.
        ticket: u64,
        /// Its number.
        query: QueryId,
        /// The encrypted model.
        model: Digest,
        /// The program.
        program: Digest,
    },
    /// Make and store a key-switch share; answer `SwitchMade` or `SwitchRefused`.
    ReleaseSwitch {
        /// The context.
        binding: SwitchBinding,
        /// The encrypted result.
        result: Bytes,
        /// The asker's key.
        asker: Bytes,
    },
    /// Decrypt an answer and hand it to whoever asked. No answer.
    ReadAnswer {
        /// The question.
        ticket: u64,
        /// Its number.
        query: QueryId,
        /// The answer.
        answer: Bytes,
    },
}

/// What a job came to.
#[derive(Debug)]
pub enum HospitalDone {
    /// Nothing that the machine has to know.
    Nothing,
    /// The machine's input.
    Input(HospitalInput),
    /// A question is encrypted: `first` are stored bodies to be sent before the query's own.
    Asked {
        /// The asker's key, and the query key where this session has not sent it.
        first: Vec<BlobId>,
        /// `HospitalInput::Ask`.
        ask: HospitalInput,
    },
    /// The question's images cannot be encrypted; whoever asked was told.
    QuestionRefused {
        /// The question.
        query: QueryId,
    },
}

/// What happens to a hospital.
#[derive(Debug)]
pub enum HospitalEvent {
    /// A call was answered or refused.
    Answered {
        /// Which call.
        call: CallId,
        /// The answer.
        answer: Result<Answer, Reject>,
    },
    /// A job ended.
    Done {
        /// Which job.
        job: JobId,
        /// Its result.
        done: HospitalDone,
    },
    /// Somebody at this site asks the model.
    Ask {
        /// The caller's own number for the question.
        ticket: u64,
    },
    /// A time that was asked for has come.
    Wake,
    /// The operator ends the participation.
    Leave,
}

/// Something worth telling whoever watches this hospital.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalNote {
    /// This hospital refused something and told the coordinator so.
    Refused(Reject),
    /// The coordinator refused something of this hospital's.
    RefusedThere(Reject),
    /// A body that should be sent cannot be read; the step it belongs to goes on without this hospital.
    Unsendable {
        /// Which.
        id: BlobId,
        /// The store's words.
        fault: String,
    },
    /// A body does not have the digest that was announced for it.
    Altered(BlobId),
    /// Bodies were uploaded.
    Uploaded {
        /// Bytes of the list sent so far.
        bytes: u64,
        /// Bytes of the list.
        of: u64,
    },
    /// A question was not answered.
    NoAnswer {
        /// The question.
        ticket: u64,
        /// Its number, if it got as far as that.
        query: Option<QueryId>,
        /// Why; `None` where nothing came in time, or the store could not take the question.
        reject: Option<Reject>,
    },
    /// Queries may be asked.
    ModelReady {
        /// The encrypted model.
        model: Digest,
    },
    /// The hospital waits for others.
    Waiting,
    /// Training waits for the hours in which this site trains, or no longer does.
    HeldBack {
        /// Seconds until they begin; `None` where nothing waits for them any more.
        seconds: Option<u64>,
    },
    /// The participation ended.
    Ended(String),
}
