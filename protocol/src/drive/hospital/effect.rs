//! What a hospital's driver is told, what it has computed, and what it tells whoever watches.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::blob::{BlobId, BlobKind, BodyRoot, ListId};
use crate::drive::{CallId, JobId};
use crate::exchange::Answer;
use crate::hospital::{HospitalInput, ShareBinding, SwitchBinding};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::log::LogEntry;
use crate::message::{KeySet, KeyStep, QueryHead, RoundPurpose};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::sealed::SealingKey;
use crate::training::TrainingTask;

/// A sum of many parts, which a hospital adds up one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// The rotation keys of a set.
    Rotations(KeySet),
    /// The published model of this publishing attempt.
    Model(Attempt),
}

impl Parts {
    /// What one hospital brings to it.
    #[must_use]
    pub fn of(self, maker: PartyId) -> ListId {
        ListId { party: Some(maker), ..self.sum() }
    }

    /// The sum of what all bring.
    #[must_use]
    pub fn sum(self) -> ListId {
        match self {
            Self::Rotations(KeySet::Serving) => KeyStep::Galois.list(None),
            Self::Rotations(KeySet::Training) => KeyStep::TrainingGalois.list(None),
            Self::Model(attempt) => ListId { kind: BlobKind::PublishChunk, round: 0, attempt: attempt.0, party: None },
        }
    }
}

/// What the cohort and the decryptors bring to one chunk of a round's sum.
#[derive(Debug)]
pub struct Summands {
    /// The sum's context.
    pub binding: ShareBinding,
    /// Which chunk.
    pub chunk: u32,
    /// Digest of the blinded chunk, as the coordinator announced it.
    pub sum: Digest,
    /// Whether no other chunk is left to be added.
    pub is_last: bool,
    /// As fetched, with the digests that their makers signed, ascending.
    pub updates: Vec<(PartyId, Bytes)>,
    /// The same of the decryptors.
    pub shares: Vec<(PartyId, Bytes)>,
}

/// Work on a head that takes long.
#[derive(Debug)]
pub enum HeadJob {
    /// Count the rows, add up their features and products of these, and seal that; answer `Trained` or
    /// `TrainingFailed`.
    SumMoments {
        /// The round.
        round: RoundId,
    },
    /// Encrypt the features and labels of this site's rows, group after group, and keep the bodies until they are sent;
    /// answer `FeaturesMade` or `Untrainable`.
    EncryptFeatures,
    /// Take up one group of a hospital's features; those of a hospital come in order, and one hospital after the other,
    /// this site among them. No answer, or `Untrainable`.
    AddFeatures {
        /// Whose.
        of: PartyId,
        /// Which of its groups, from 0.
        group: u32,
        /// As fetched, with the digests that it signed.
        bodies: Vec<Bytes>,
    },
    /// Make the program of the steps on what was taken up; answer `TrainingPrepared` or `Untrainable`.
    Prepare {
        /// Whose groups, ascending, and how many of each.
        groups: Vec<(PartyId, u32)>,
        /// Rows of all together, as their makers say.
        rows: u64,
    },
    /// Do this of a training; answer `TaskDone`.
    Do {
        /// What.
        task: TrainingTask,
        /// What others bring to it: [`TrainingTask::lists`], as fetched, with the digests that their makers signed.
        bodies: Vec<(ListId, Vec<Bytes>)>,
    },
}

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
    /// Combine the dealt points with the factors of this seed; answer `DealingsCombined`.
    CheckDealings {
        /// [`crate::message::KeyEpochOpen::factors`].
        factors: Digest,
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
    /// Take up what a hospital is bound to of its planes; those of all come one after the other, this site's own among
    /// them. No answer, or `SumWrong`.
    AddPlanes {
        /// Whose.
        from: PartyId,
        /// The key of its planes, as fetched, with the digest that it signed.
        key: Bytes,
        /// The same of its coin.
        coin: Bytes,
        /// The same of its planes' digests.
        digests: Bytes,
    },
    /// Add what all hospitals bring to one part of a sum, and keep it; the parts come in order. No answer.
    AddParts {
        /// Of which sum.
        parts: Parts,
        /// Which part, from 0.
        index: u32,
        /// As fetched, with the digests that their makers signed, ascending.
        bodies: Vec<(PartyId, Bytes)>,
    },
    /// Take one part of a sum as the coordinator announced it, which this hospital did not draw: after what can be
    /// checked of it alone. No answer.
    TakePart {
        /// Of which sum.
        parts: Parts,
        /// Which part, from 0; in order, among those that are added up.
        index: u32,
        /// Whose bodies it is said to be the sum of, ascending.
        makers: Vec<PartyId>,
        /// As fetched, with the digest that was announced.
        body: Bytes,
    },
    /// Check that a hospital's openings prove its relinearisation shares; those of a step come one after the other. No
    /// answer, or `SumWrong`.
    CheckProof {
        /// Of which set of keys.
        set: KeySet,
        /// Whose.
        of: PartyId,
        /// Its share of the first round, as fetched, with the digest that it signed.
        first: Bytes,
        /// The same of the second.
        second: Bytes,
        /// The same of its openings, in order.
        answers: Vec<Bytes>,
    },
    /// Make the planes that a hospital opens again, and compare them with what this site took up before; one hospital
    /// comes after the other. No answer, or `SumWrong`.
    CheckPlanes {
        /// Whose.
        of: PartyId,
        /// Their seeds, as fetched, with the digest that it signed.
        seeds: Bytes,
    },
    /// All parts of the published model were added: compare it. Answer `ModelAdded` or `ModelWrong`.
    FinishModel {
        /// The publishing attempt.
        attempt: Attempt,
        /// As the coordinator announced it.
        model: Digest,
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
    /// Train, clip, quantise, seal; answer `Trained`, `TrainingFailed` or `PrivacySpent`.
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
    /// Add up one chunk of a round's sum, and compare it. No answer, but `SumFalse` where it is another, and
    /// `SumChecked` where it is the last of them.
    AddChunk(Summands),
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
    /// Of a head that is trained on ciphertexts.
    Head(HeadJob),
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
    /// Read keys and model into memory, so that the first query does not wait for them. No answer.
    LoadModel,
    /// Evaluate a query on the keys and the model that were added up here; answer `Evaluated` or `EvaluationFailed`.
    Evaluate {
        /// Who asks.
        asker: PartyId,
        /// What, as the asker signed it.
        head: Box<QueryHead>,
        /// The query's bodies, with the root in the head.
        parts: Vec<Bytes>,
    },
    /// Make a share of the answer in the result that was evaluated here, seal it, store the box; answer `SwitchMade` or
    /// `SwitchRefused`.
    ReleaseSwitch {
        /// The context.
        binding: SwitchBinding,
        /// Seals the share: the asker's key in the signed roster.
        asker: Box<SealingKey>,
    },
    /// Open the boxes of an answer, add their shares and hand it to whoever asked. No answer.
    ReadAnswer {
        /// The question.
        ticket: u64,
        /// What the shares are bound to.
        binding: Box<SwitchBinding>,
        /// The box of each of T, with the digest that its maker signed.
        boxes: Vec<(PartyId, Bytes)>,
    },
}

/// What a job came to.
#[derive(Debug)]
pub enum HospitalDone {
    /// Nothing that the machine has to know.
    Nothing,
    /// The machine's input.
    Input(HospitalInput),
    /// A question is encrypted: `HospitalInput::Ask`.
    Asked(HospitalInput),
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

/// How far a question is that was encrypted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionStage {
    /// All of it is at the coordinator.
    Sent,
    /// The coordinator evaluated it, and decryptors are asked to release the answer.
    Evaluated,
    /// Their shares are there.
    Released,
}

/// Something worth telling whoever watches this hospital.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalNote {
    /// The coordinator showed an entry of its log; whether it is one is for whoever keeps it to check, as the machine
    /// does for itself.
    Shown(Box<LogEntry>),
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
    /// A question went on.
    Question {
        /// The question.
        ticket: u64,
        /// How far it is.
        stage: QuestionStage,
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
    /// More answers were asked for in this key epoch, of whomever: each is charged by what it may leak.
    Charged {
        /// All so far, by who asked.
        by_asker: BTreeMap<PartyId, u64>,
    },
    /// The participation ended.
    Ended(String),
}
