//! Inputs and outputs of the hospital's machine: log entries and finished work in, work and messages out.

use crate::blob::{BlobKind, BodyRoot};
use crate::dealings::DealingCheck;
use crate::facts::Fact;
use crate::hospital::binding::{ShareBinding, SwitchBinding};
use crate::hospital::training::Uploads;
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::log::LogEntry;
use crate::message::{FeaturesHead, KeySet, KeyStep, QueryHead, RoundPurpose, Scope, SignedMessage, VoidReason};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::training::{TaskDone, TrainingTask};

/// What happens to a hospital.
#[derive(Clone, Debug)]
pub enum HospitalInput {
    /// A log entry, as received. Repeats and reordering are harmless.
    Entry(LogEntry),
    /// The operator ends the participation.
    Leave,
    /// Answer to `DealKeys`: digest of the sealed box for receiver 1..=n, all stored.
    Dealt {
        /// In order of receiver.
        boxes: Vec<Digest>,
        /// Bytes of all boxes together.
        size_bytes: u64,
    },
    /// Answer to `OpenDealings`: all opened; digest of the group key G.
    DealingsOpened {
        /// Equal at all hospitals.
        group: Digest,
    },
    /// Answer to `OpenDealings`: one did not open.
    DealingsBad,
    /// Answer to `CheckDealings`.
    DealingsCombined {
        /// What this hospital shows of the points that it was dealt.
        check: DealingCheck,
    },
    /// Answer to `MakeServingShare`; the bodies are at hand until they are uploaded.
    ServingShareMade {
        /// Which key.
        step: KeyStep,
        /// The share.
        body: BodyRoot,
    },
    /// Answer to `AddShares`: it is the announced sum, and on record.
    SumAdded {
        /// Which key.
        step: KeyStep,
        /// The sum.
        sum: BodyRoot,
    },
    /// Answer to `AddShares`, `CheckProofs` and `CheckPlanes`: nothing of it is kept. To `MakeServingShare`: there is
    /// none.
    SumWrong {
        /// Which key.
        step: KeyStep,
        /// Whose share it is about, where it is one hospital's.
        of: Option<PartyId>,
        /// `SumDiffers`, `BadKeyShare` where one cannot be added at all, `RelinProofWrong` or `PlanesWrong` where a
        /// hospital proves nothing or opens other planes, or `MasksOverflow` where this one cannot.
        reject: Reject,
    },
    /// Answer to `Train`: the quantised update is sealed in the journal.
    Trained {
        /// The round.
        round: RoundId,
    },
    /// Training failed or was refused locally.
    TrainingFailed {
        /// The round.
        round: RoundId,
    },
    /// This site's patients would show more than is allowed.
    PrivacySpent {
        /// The round.
        round: RoundId,
    },
    /// This site's policy keeps its figures.
    FiguresWithheld {
        /// The round.
        round: RoundId,
    },
    /// Answer to `Encrypt`; the chunks are stored.
    Encrypted {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// The chunks.
        body: BodyRoot,
    },
    /// Answer to `ReleaseShares`; the shares are stored.
    SharesMade {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// The shares.
        body: BodyRoot,
    },
    /// The vault's own ledger refused.
    ReleaseRefused {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reject: Reject,
    },
    /// Answer to `CheckSum`: all of these chunks are what the coordinator announced.
    SumChecked {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Answer to `CheckSum`: one is not, and the sum is not opened here.
    SumFalse {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// `RoundSumDiffers`, `BadSummand` where one cannot be added at all, or `BodyDiffers` where what the makers
        /// signed for is not to be had.
        reject: Reject,
    },
    /// Answer to `OpenSum`: digest of the updated model or of the figures, sealed under that name, or `None` when a
    /// check failed.
    SumOpened {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
        /// The new model.
        model: Option<Digest>,
    },
    /// Answer to `EncryptPublish`; the ciphertexts are at hand until they are uploaded.
    PublishEncrypted {
        /// The publishing attempt.
        attempt: Attempt,
        /// The ciphertexts.
        body: BodyRoot,
    },
    /// This hospital asks: its query is encrypted and stored. The number is fresh ([`QueryId::new`]).
    Ask {
        /// The query.
        query: QueryId,
        /// Digest of the program.
        program: Digest,
        /// Digest of the encrypted model.
        model: Digest,
        /// The input.
        body: BodyRoot,
    },
    /// Answer to `CheckModel`: it is the announced model, and stored.
    ModelAdded {
        /// The publishing attempt.
        attempt: Attempt,
    },
    /// Answer to `CheckModel`: it is not, and nothing is asked of it or released from it here.
    ModelWrong {
        /// The publishing attempt.
        attempt: Attempt,
        /// `ModelSumDiffers`, or `BadContribution` where one cannot be added at all.
        reject: Reject,
    },
    /// Answer to `Evaluate`.
    Evaluated {
        /// The query.
        query: QueryId,
        /// The result, as this site computed it.
        result: BodyRoot,
    },
    /// Answer to `Evaluate`: this site has no result.
    EvaluationFailed {
        /// The query.
        query: QueryId,
        /// Why.
        reject: Reject,
    },
    /// Answer to `ReleaseSwitch`; the sealed box is stored.
    SwitchMade {
        /// The query.
        query: QueryId,
        /// The box.
        body: BodyRoot,
    },
    /// The vault's own ledger refused.
    SwitchRefused {
        /// The query.
        query: QueryId,
        /// Why.
        reject: Reject,
    },
    /// Answer to `EncryptFeatures`; the bodies are at hand until they are uploaded.
    FeaturesMade(FeaturesHead),
    /// Answer to `EncryptFeatures` and `PrepareTraining`: this site cannot.
    Untrainable {
        /// `FeaturesUnfit`, or what is wrong with what others sent.
        reject: Reject,
    },
    /// Answer to `PrepareTraining`.
    TrainingPrepared {
        /// Digest of the steps' program.
        program: Digest,
    },
    /// Answer to `TrainHead`.
    TaskDone(TaskDone),
}

/// What one hospital signed for and is to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofOf {
    /// Of which set of keys.
    pub set: KeySet,
    /// Who.
    pub party: PartyId,
    /// Its share in the first round of the relinearisation key.
    pub first: BodyRoot,
    /// In the second.
    pub second: BodyRoot,
    /// Its openings.
    pub answers: BodyRoot,
}

/// Whose planes are to be checked, and against what it signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanesOf {
    /// Who.
    pub party: PartyId,
    /// The seeds of the planes that it opens.
    pub seeds: BodyRoot,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalOutput {
    /// Append to durable storage and sync before anything that follows.
    Persist(Fact),
    /// Send to the coordinator; send again after a reconnect is harmless.
    Send(SignedMessage),
    /// Upload stored bodies: `BlobId { kind, round: number, attempt, party: own, index: 0.. }` (dealings: 1..=n).
    Upload {
        /// What they are.
        kind: BlobKind,
        /// `BlobId::round`: round or query number, else 0.
        number: u64,
        /// `BlobId::attempt`.
        attempt: u32,
        /// What the head said.
        body: BodyRoot,
    },
    /// Entries are missing: fetch the log from here.
    FetchLog {
        /// First missing index.
        from: u64,
    },
    /// Tell the operator what was refused and why.
    Refuse {
        /// About what.
        scope: Scope,
        /// Round or query number, else 0.
        number: u64,
        /// Attempt, else 0.
        attempt: Attempt,
        /// Why.
        reject: Reject,
    },
    /// Make secret and dealings, seal and store a box per receiver; boxes that are stored already are kept. Answer:
    /// `Dealt`.
    DealKeys {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Fetch and open the boxes addressed to this hospital. Answer: `DealingsOpened` or `DealingsBad`.
    OpenDealings {
        /// Dealer and digest of its box for us.
        boxes: Vec<(PartyId, Digest)>,
    },
    /// Combine the dealt points of every dealer with the factors of this seed. Answer: `DealingsCombined`.
    CheckDealings {
        /// [`crate::message::KeyEpochOpen::factors`].
        factors: Digest,
    },
    /// Training keys are ready.
    EpochOpened {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// Make a serving-key share; after a restart the same one again. `RelinRoundTwo` is made of the sum of round one as
    /// it was added here, and of no other. Answer: `ServingShareMade`.
    MakeServingShare {
        /// Which key.
        step: KeyStep,
    },
    /// Fetch all hospitals' shares of a serving key, add them here, compare with the announced sum, and keep it: it is
    /// what this site encrypts, computes and evaluates with. Parts that were not drawn come from the announced sum.
    /// Answer: `SumAdded` or `SumWrong`.
    AddShares {
        /// Which key.
        step: KeyStep,
        /// Of each hospital the bodies that it signed for, ascending.
        shares: Vec<(PartyId, BodyRoot)>,
        /// What the coordinator says they add up to.
        sum: BodyRoot,
        /// Which of the sum's bodies are added up here, ascending.
        drawn: Vec<u32>,
    },
    /// Fetch these hospitals' relinearisation shares of both rounds and their openings, check that each proves its
    /// shares, and only then take the list of all openings as checked. Answer: `SumAdded` or `SumWrong`, for
    /// `RelinAnswers`.
    CheckProofs {
        /// `RelinAnswers`, of either set.
        step: KeyStep,
        /// Whose.
        proofs: Vec<ProofOf>,
        /// What the coordinator says all signed for.
        sum: BodyRoot,
    },
    /// Fetch the seeds of the planes that these hospitals open, compare what they give with what this site took up
    /// before, and only then take the list of all seeds as checked. Answer: `SumAdded` or `SumWrong`, for
    /// `PlaneOpenings`.
    CheckPlanes {
        /// Whose.
        planes: Vec<PlanesOf>,
        /// What the coordinator says all signed for.
        sum: BodyRoot,
    },
    /// Fetch a sum that this site added up before a restart, since the shares may be gone; it must be the recorded one.
    FetchSum {
        /// Which key.
        step: KeyStep,
        /// The sum.
        sum: BodyRoot,
    },
    /// All serving keys exist: the ceremony's own secrets are not needed again.
    ServingKeysComplete,
    /// Train, clip, quantise, seal; in a round of figures count instead of training. Answer: `Trained`,
    /// `TrainingFailed`, `PrivacySpent` or `FiguresWithheld`.
    Train {
        /// The round.
        round: RoundId,
        /// What it is for.
        purpose: RoundPurpose,
        /// The model to start from.
        base_model: Digest,
    },
    /// Encrypt the round's sealed values under this attempt's `a`. Asked again after a crash in the middle of it: the
    /// same values give the same bytes, and the ledger refuses others. Answer: `Encrypted`.
    Encrypt {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Make and store decryption shares. Answer: `SharesMade` or `ReleaseRefused`.
    ReleaseShares(ShareBinding),
    /// Fetch these chunks of the cohort's updates and of the decryptors' shares, add them here, and compare with the
    /// announced sum. Answer: `SumChecked` or `SumFalse`.
    CheckSum {
        /// The sum's context.
        binding: ShareBinding,
        /// Of each member of S the update that it signed for, ascending.
        updates: Vec<(PartyId, BodyRoot)>,
        /// Of each member of T the shares that it signed for, ascending.
        shares: Vec<(PartyId, BodyRoot)>,
        /// Which chunks, ascending, and the digest of each as the coordinator announced it.
        chunks: Vec<(u32, Digest)>,
    },
    /// Fetch the blinded chunks, check digests, unblind, decode, check, update a copy of the model or read the figures.
    /// Answer: `SumOpened`.
    OpenSum {
        /// The sum's context.
        binding: ShareBinding,
        /// What the sum is.
        purpose: RoundPurpose,
        /// Digest of each chunk.
        chunks: Vec<Digest>,
    },
    /// The round's model is final: the sealed candidate of that name becomes the model. Asked again after a restart,
    /// where it may be the model already.
    AdoptModel {
        /// The round.
        round: RoundId,
        /// The model.
        model: Digest,
    },
    /// The figures of that name, sealed when the sum was opened, are those of all. Asked again after a restart.
    KeepFigures {
        /// The round.
        round: RoundId,
        /// The figures.
        figures: Digest,
    },
    /// The round has no result; stop its work.
    DropRound {
        /// The round.
        round: RoundId,
        /// Why.
        reason: VoidReason,
    },
    /// An attempt ended; its shares and ciphertexts are never used again.
    DropAttempt {
        /// The round.
        round: RoundId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Encrypt this hospital's part of the published model behind its gate; after a restart the same ciphertexts again.
    /// Answer: `PublishEncrypted`.
    EncryptPublish {
        /// The publishing attempt.
        attempt: Attempt,
        /// The plaintext model.
        model: Digest,
        /// The program.
        program: Digest,
        /// Who contributes.
        cohort: PartySet,
    },
    /// Queries may be asked.
    ModelReady {
        /// The encrypted model.
        model: Digest,
        /// The program.
        program: Digest,
    },
    /// Fetch the contributions to the published model, add them here, compare with the announced digest, and keep the
    /// sum. Of parts that were not drawn the coordinator's first halves are taken, and the second halves computed.
    /// Answer: `ModelAdded` or `ModelWrong`.
    CheckModel {
        /// The publishing attempt.
        attempt: Attempt,
        /// Of each contributor the bodies that it signed for, ascending.
        contributions: Vec<(PartyId, BodyRoot)>,
        /// Digest of the encrypted model, as the coordinator announced it.
        model: Digest,
        /// Which of its bodies are added up here, ascending.
        drawn: Vec<u32>,
    },
    /// Fetch the query, run the program on the keys and the model that were added up here. Answer: `Evaluated` or
    /// `EvaluationFailed`.
    Evaluate {
        /// Who asks.
        asker: PartyId,
        /// What, as the asker signed it.
        head: Box<QueryHead>,
    },
    /// Make a share of the answer in this site's own result, seal it to the asker, store the box. Answer: `SwitchMade`
    /// or `SwitchRefused`.
    ReleaseSwitch(SwitchBinding),
    /// Encrypt the features and labels of this site's rows, for a head. Answer: `FeaturesMade` or `Untrainable`.
    EncryptFeatures,
    /// Fetch everybody's features, and make the program of the steps on them. Answer: `TrainingPrepared` or
    /// `Untrainable`.
    PrepareTraining {
        /// What all are bound to.
        uploads: Uploads,
        /// Rows of all together, as their makers say.
        rows: u64,
    },
    /// Do this of the training of a head. Answer: `TaskDone`.
    TrainHead(TrainingTask),
    /// Fetch and open the boxes of the answer to this hospital's own query, and add the shares in them.
    OpenAnswer {
        /// What the shares are bound to.
        binding: Box<SwitchBinding>,
        /// The box of each of T, as its maker signed for it.
        boxes: Vec<(PartyId, BodyRoot)>,
    },
    /// This hospital's own query is evaluated: decryptors are asked to release the answer.
    AnswerEvaluated {
        /// The query.
        query: QueryId,
    },
    /// This hospital's own query has no answer; encrypt again under a fresh number.
    AnswerFailed {
        /// The query.
        query: QueryId,
        /// Why.
        reject: Reject,
    },
    /// The participation ended.
    Stop {
        /// One sentence.
        reason: String,
    },
}
