//! The hospital's side of everything: it follows the log, checks what it can, signs once, and says what to do.
//!
//! ```text
//! ceremony: RosterProposed -> sign -> commit -> reveal -> DealKeys -> OpenDealings -> EpochOpened -> CheckDealings
//!           -> serving shares
//! round:    RoundOpen -> Train -> Encrypt -> head -> Manifest: sign -> frozen -> Decryptors: accept -> ShareRequest:
//!           ReleaseShares -> head -> SumReady: CheckSum -> OpenSum -> vote -> RoundClosed: AdoptModel, or KeepFigures
//!           Abandon -> next attempt, same S, the same values encrypted again (unless already sent ahead)
//! head:     FeaturesOpen: EncryptFeatures -> head -> FeaturesReady: PrepareTraining, compare -> steps (`training`)
//!           -> ModelPublished: compare -> verdict
//! publish:  PublishOpen -> EncryptPublish -> head -> ModelPublished: CheckModel -> verdict
//! restart:  the log from its first entry: closed rounds are only remembered, work that was cut off is asked for again
//! query:    Ask -> head -> ... -> OpenAnswer | AnswerFailed
//! for others: QueryOpen: Evaluate -> SwitchRequest: compare -> ReleaseSwitch -> head
//! ```
//!
//! A check that fails gives `Refuse` and a signed refusal, never a retry. Outputs are carried out in order: a `Persist`
//! must be durable before anything after it happens.

mod binding;
mod ceremony;
mod dealings;
mod draw;
mod effect;
mod history;
mod proofs;
mod release;
mod round;
mod serving;
mod sum;
mod switching;
mod training;

pub use binding::{ShareBinding, SwitchBinding};
pub use draw::{chunks_added, parts_added, proofs_checked};
pub use effect::{HospitalInput, HospitalOutput, PlanesOf, ProofOf};
pub use training::Uploads;

use std::collections::VecDeque;

use crate::facts::{Fact, HospitalFacts, ReadUpTo};
use crate::ids::{Attempt, Digest, Epoch, PartyId, RoundId};
use crate::limits::ENTRIES_DEFERRED_MAX;
use crate::log::{LogEntry, LogReader};
use crate::message::{
    Hello, HospitalMessage, Leaving, LogMessage, QueryHead, Refusal, RoundPurpose, Scope, SignedMessage,
};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::sealed::SealingKey;
use crate::signature::{SigningKey, VerifyingKey};
use crate::terms::Terms;

use self::ceremony::CeremonyState;
use self::history::History;
use self::round::RoundState;
use self::serving::ServingState;
use self::switching::SwitchingState;
use self::training::TrainingState;

/// What a hospital knows and allows before it reads the first log entry. Site policy wins over the coordinator.
#[derive(Clone, Debug)]
pub struct HospitalConfig {
    /// Its number.
    pub party: PartyId,
    /// The key epoch it joins.
    pub epoch: Epoch,
    /// Verifies log entries; from enrolment.
    pub coordinator: VerifyingKey,
    /// Digest of the membership that this site's officer approved; no other roster is signed.
    pub membership: Digest,
    /// Its own sealing key, which the roster must state.
    pub sealing: SealingKey,
    /// SHA-256 of its own TLS public key, which the roster must state.
    pub tls_key: Digest,
    /// What this site approved; nothing else sets a limit.
    pub terms: Terms,
    /// Cohorts of this site's earlier key epochs whose sums of updates, or of rows, may be known.
    pub earlier: Vec<EarlierCohort>,
}

/// A cohort of an earlier key epoch, whose members may have other numbers now, or be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierCohort {
    /// What was added up: updates, or rows. Of other sums nothing is remembered.
    pub purpose: RoundPurpose,
    /// What the updates started from.
    pub base_model: Digest,
    /// Who contributed, by the keys with which they sign.
    pub members: Vec<VerifyingKey>,
    /// Members of the consortium then.
    pub of: usize,
}

/// The machine. One per hospital and key epoch.
pub struct HospitalMachine {
    config: HospitalConfig,
    key: SigningKey,
    facts: HospitalFacts,
    log: LogReader,
    /// Entries that wait until this hospital has decoded a round that others already closed.
    deferred: VecDeque<LogEntry>,
    fresh: [u8; 32],
    ceremony: CeremonyState,
    roster: Option<Roster>,
    epoch_is_open: bool,
    model: Digest,
    last_round: RoundId,
    round: Option<RoundState>,
    serving: ServingState,
    switching: SwitchingState,
    training: TrainingState,
    history: Option<History>,
    stopped: bool,
}

impl HospitalMachine {
    /// A hospital that reads the log from its first entry. `facts` are all stored facts of this epoch, in any order;
    /// `fresh` are 32 random bytes of this process: whatever it draws follows from them.
    #[must_use]
    pub fn new(config: HospitalConfig, key: SigningKey, facts: HospitalFacts, fresh: [u8; 32]) -> Self {
        let log = LogReader::new(config.coordinator);
        let model = config.terms.initial_model;
        let history = facts.read_up_to().map(History::new);
        let switching = SwitchingState::after(&facts);
        Self {
            config,
            key,
            facts,
            log,
            deferred: VecDeque::new(),
            fresh,
            ceremony: CeremonyState::default(),
            roster: None,
            epoch_is_open: false,
            model,
            last_round: RoundId(0),
            round: None,
            serving: ServingState::default(),
            switching,
            training: TrainingState::default(),
            history,
            stopped: false,
        }
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do, in order.
    pub fn on(&mut self, now_ms: u64, input: HospitalInput) -> Vec<HospitalOutput> {
        // Hospitals set no deadlines of their own; the time is taken so that all machines are driven alike.
        let _ = now_ms;
        let mut out = Vec::new();
        if self.stopped {
            return out;
        }
        match input {
            HospitalInput::Entry(entry) => self.entry_or_defer(entry, &mut out),
            HospitalInput::Leave => {
                self.stopped = true;
                self.sign(HospitalMessage::Leaving(Leaving { reject: Reject::Stopping }), &mut out);
                out.push(HospitalOutput::Stop { reason: "left".to_owned() });
            }
            HospitalInput::Dealt { boxes, size_bytes } => self.dealt(boxes, size_bytes, &mut out),
            HospitalInput::DealingsOpened { group } => self.dealings_opened(group, &mut out),
            HospitalInput::DealingsCombined { check } => self.dealings_combined(check, &mut out),
            HospitalInput::DealingsBad => {
                self.refuse(Scope::Ceremony, 0, Attempt(0), Reject::BadDealing, &mut out);
            }
            HospitalInput::ServingShareMade { step, body } => self.serving_share_made(step, body, &mut out),
            HospitalInput::SumAdded { step, sum } => self.sum_added(step, sum, &mut out),
            HospitalInput::SumWrong { of, reject, .. } => self.sum_wrong(of, reject, &mut out),
            HospitalInput::Trained { round } => self.trained(round, &mut out),
            HospitalInput::TrainingFailed { round } => {
                self.refuse(Scope::Round, u64::from(round.0), Attempt(0), Reject::TrainingFailed, &mut out);
            }
            HospitalInput::PrivacySpent { round } => {
                self.refuse(Scope::Round, u64::from(round.0), Attempt(0), Reject::PrivacyBudget, &mut out);
            }
            HospitalInput::FiguresWithheld { round } => {
                self.refuse(Scope::Round, u64::from(round.0), Attempt(0), Reject::FiguresWithheld, &mut out);
            }
            HospitalInput::Encrypted { round, attempt, body } => self.encrypted(round, attempt, body, &mut out),
            HospitalInput::SharesMade { round, attempt, body } => self.shares_made(round, attempt, body, &mut out),
            HospitalInput::ReleaseRefused { round, attempt, reject } => {
                self.refuse(Scope::Round, u64::from(round.0), attempt, reject, &mut out);
            }
            HospitalInput::SumChecked { round, attempt } => self.sum_checked(round, attempt, &mut out),
            HospitalInput::SumFalse { round, attempt, reject } => {
                self.sum_false(round, attempt, reject, &mut out);
                self.read_deferred(&mut out);
            }
            HospitalInput::SumOpened { round, attempt, model } => {
                self.sum_opened(round, attempt, model, &mut out);
                self.read_deferred(&mut out);
            }
            HospitalInput::PublishEncrypted { attempt, body } => self.publish_encrypted(attempt, body, &mut out),
            HospitalInput::Ask { query, program, model, body } => {
                self.ask(QueryHead { query, program, model, body }, &mut out);
            }
            HospitalInput::ModelAdded { attempt } => self.model_added(attempt, &mut out),
            HospitalInput::ModelWrong { attempt, reject } => {
                self.refuse(Scope::Publish, 0, attempt, reject, &mut out);
            }
            HospitalInput::Evaluated { query, result } => self.evaluated(query, result, &mut out),
            HospitalInput::EvaluationFailed { query, reject } => self.not_evaluated(query, reject, &mut out),
            HospitalInput::FeaturesMade(head) => self.features_made(head, &mut out),
            HospitalInput::Untrainable { reject } => self.refuse(Scope::Training, 0, Attempt(0), reject, &mut out),
            HospitalInput::TrainingPrepared { program } => self.training_prepared(program, &mut out),
            HospitalInput::TaskDone(done) => self.task_done(done, &mut out),
            HospitalInput::SwitchMade { query, body } => self.switch_made(query, body, &mut out),
            HospitalInput::SwitchRefused { query, reject } => {
                self.refuse(Scope::Query, query.0, Attempt(0), reject, &mut out);
            }
        }
        out
    }

    /// The first message on every connection: where to continue the log.
    pub fn hello(&mut self) -> Vec<HospitalOutput> {
        let mut out = Vec::new();
        let hello = Hello { version: crate::VERSION, next_entry: self.log.next_index() };
        self.sign(HospitalMessage::Hello(hello), &mut out);
        out
    }

    /// Index of the log entry expected next.
    #[must_use]
    pub fn next_entry(&self) -> u64 {
        self.log.next_index()
    }

    /// The roster, once all members signed it.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// Digest of the model this hospital holds.
    #[must_use]
    pub fn model(&self) -> Digest {
        self.model
    }

    /// What was signed and released so far.
    #[must_use]
    pub fn facts(&self) -> &HospitalFacts {
        &self.facts
    }

    fn entry_or_defer(&mut self, entry: LogEntry, out: &mut Vec<HospitalOutput>) {
        if !self.awaits_own_sum() {
            return self.entry(&entry, out);
        }
        // Beyond the bound entries are dropped here and fetched again later.
        if self.deferred.len() < ENTRIES_DEFERRED_MAX {
            self.deferred.push_back(entry);
        }
    }

    fn read_deferred(&mut self, out: &mut Vec<HospitalOutput>) {
        let was_full = self.deferred.len() >= ENTRIES_DEFERRED_MAX;
        while !self.awaits_own_sum()
            && let Some(entry) = self.deferred.pop_front()
        {
            self.entry(&entry, out);
        }
        if was_full {
            out.push(HospitalOutput::FetchLog { from: self.log.next_index() });
        }
    }

    fn entry(&mut self, entry: &LogEntry, out: &mut Vec<HospitalOutput>) {
        match self.log.accept(entry) {
            Ok(true) => {}
            Ok(false) => return,
            Err(reject) => {
                // A gap is the transport's doing; a fork or foreign signature ends all trust in this log.
                if reject == Reject::LogGap {
                    out.push(HospitalOutput::FetchLog { from: self.log.next_index() });
                } else {
                    self.refuse(Scope::Ceremony, entry.index, Attempt(0), reject, out);
                    self.stop(&reject.to_string(), out);
                }
                return;
            }
        }
        if let Some(history) = self.history.take() {
            return self.remember(history, entry, out);
        }
        match &entry.message {
            LogMessage::RosterProposed(it) => self.on_roster_proposed(it, out),
            LogMessage::RosterSigned(it) => self.on_roster_signed(it, out),
            LogMessage::CommitSet(it) => self.on_commit_set(it, out),
            LogMessage::RevealSet(it) => self.on_reveal_set(it, out),
            LogMessage::DealingsReady(it) => self.on_dealings_ready(it, out),
            LogMessage::KeyEpochOpen(it) => self.on_key_epoch_open(it, out),
            LogMessage::DealingsChecked(it) => self.on_dealings_checked(it, out),
            LogMessage::ServingStepOpen(it) => self.on_serving_step_open(it, out),
            LogMessage::ServingStepHeads(it) => self.on_serving_step_heads(it, out),
            LogMessage::ServingStepDone(it) => self.on_serving_step_done(it, out),
            LogMessage::ServingKeysReady(it) => self.on_serving_keys_ready(it, out),
            LogMessage::RoundOpen(it) => self.on_round_open(it, out),
            LogMessage::Manifest(it) => self.on_manifest(it, out),
            LogMessage::CohortFrozen(it) => self.on_cohort_frozen(it, out),
            LogMessage::Decryptors(it) => self.on_decryptors(it, out),
            LogMessage::ShareRequest(it) => self.on_share_request(it, out),
            LogMessage::SumReady(it) => self.on_sum_ready(it, out),
            LogMessage::RoundClosed(it) => self.on_round_closed(it, out),
            LogMessage::RoundVoid(it) => self.on_round_void(it, out),
            LogMessage::Abandon(it) => self.on_abandon(it, out),
            LogMessage::PublishOpen(it) => self.on_publish_open(it, out),
            LogMessage::PublishManifest(it) => self.on_publish_manifest(it, out),
            LogMessage::ModelPublished(it) => self.on_model_published(it, out),
            LogMessage::ModelVerified(it) => self.on_model_verified(it, out),
            LogMessage::QueryOpen(it) => self.on_query_open(it, out),
            // What an operator ordered shows in what follows.
            LogMessage::PublishVoid(_) | LogMessage::Order(_) => {}
            LogMessage::SwitchRequest(it) => self.on_switch_request(it, out),
            LogMessage::QueryDone(it) => self.on_query_done(it, out),
            LogMessage::QueryFailed(it) => self.on_query_failed(it, out),
            LogMessage::FeaturesOpen(it) => self.on_features_open(it, out),
            LogMessage::FeaturesReady(it) => self.on_features_ready(it, out),
            LogMessage::ZerosOpen(_)
            | LogMessage::RefreshOpen(_)
            | LogMessage::RefreshBlinded(_)
            | LogMessage::RefreshDone(_)
            | LogMessage::RefreshVoid(_) => self.on_training(&entry.message, out),
            LogMessage::Stop(it) => {
                self.read_so_far(out);
                self.stop(&it.reason, out);
            }
        }
    }

    /// Remembers that everything up to here was acted upon: a restart only reads it again.
    fn read_so_far(&mut self, out: &mut Vec<HospitalOutput>) {
        let read = ReadUpTo { entries: self.log.next_index(), head: self.log.head() };
        self.persist(Fact::ReadUpTo(read), out);
    }

    fn stop(&mut self, reason: &str, out: &mut Vec<HospitalOutput>) {
        self.stopped = true;
        out.push(HospitalOutput::Stop { reason: reason.to_owned() });
    }

    /// Stores `fact`, in memory now and on disk before the next output.
    fn persist(&mut self, fact: Fact, out: &mut Vec<HospitalOutput>) {
        self.facts.learn(&fact);
        out.push(HospitalOutput::Persist(fact));
    }

    /// Signs a message that may repeat.
    fn sign(&mut self, body: HospitalMessage, out: &mut Vec<HospitalOutput>) {
        let HospitalConfig { party, epoch, .. } = self.config;
        let (sequence, seen) = (self.facts.sequence_next(), self.log.seen());
        let message = SignedMessage::sign(&self.key, party, epoch, sequence, seen, body);
        self.persist(Fact::Sent(message.clone()), out);
        out.push(HospitalOutput::Send(message));
    }

    /// Signs a message of which there is one per step, ever: a repeat sends the stored bytes, another is refused.
    fn sign_once(&mut self, body: HospitalMessage, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        match self.facts.signed_for(&body) {
            Some(known) if known.body == body => out.push(HospitalOutput::Send(known.clone())),
            Some(_) => return Err(Reject::Contradiction),
            None => self.sign(body, out),
        }
        Ok(())
    }

    /// Says no, to the operator and to the coordinator; to the latter not without end.
    fn refuse(&mut self, scope: Scope, number: u64, attempt: Attempt, reject: Reject, out: &mut Vec<HospitalOutput>) {
        out.push(HospitalOutput::Refuse { scope, number, attempt, reject });
        if self.facts.refusals_are_full() {
            return;
        }
        self.sign(HospitalMessage::Refusal(Refusal { scope, number, attempt: attempt.0, reject }), out);
    }
}
