//! Serving: queries in, answers out, and which ciphertexts are kept for audits.
//!
//! Nothing is stored of what this phase is told: the log says what was asked and released, and what a restart
//! interrupts fails, because an answer is released only once.

use std::collections::VecDeque;

use crate::blob::BlobId;
use crate::campaign::PublishedModel;
use crate::codec::Wire;
use crate::drive::coordinator::inbox::PhaseInput;
use crate::drive::coordinator::phase::{Effect, Phase, contribution};
use crate::drive::coordinator::{CoordinatorDriver, CoordinatorJob, CoordinatorNote, JobResult, lists_of};
use crate::drive::{Asked, Clock, CoordinatorNet, Crypto, ListId, Store};
use crate::exchange::Answer;
use crate::ids::{PartyId, QueryId};
use crate::limits::{QUERIES_AUDITED_MAX, QUERIES_QUEUED_MAX};
use crate::log::LogEntry;
use crate::message::{LogMessage, QueryFailed, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::serving::{ServingConfig, ServingInput, ServingMachine, ServingOutput, ServingStanding};

/// One session of serving.
pub(super) struct Session {
    machine: ServingMachine,
    published: PublishedModel,
    /// Answered queries whose ciphertexts are kept for audits, oldest first.
    audited: VecDeque<QueryId>,
}

/// Queries that came while keys and model were being read.
#[derive(Default)]
pub(super) struct Held(VecDeque<(Asked, SignedMessage)>);

impl Session {
    pub(super) fn releases(&self) -> u64 {
        self.machine.releases()
    }

    pub(super) fn pending(&self) -> usize {
        self.machine.pending()
    }

    /// Whether this hospital evaluates a query now whose bodies these are.
    pub(super) fn may_evaluate(&self, id: &BlobId, reader: PartyId) -> bool {
        self.machine.may_evaluate(id, reader)
    }

    /// Whose shares of answers are awaited.
    pub(super) fn waiting_for(&self) -> PartySet {
        self.machine.waiting_for()
    }
}

impl<S: Store, N: CoordinatorNet, C: Crypto<Job = CoordinatorJob>, K: Clock> CoordinatorDriver<S, N, C, K> {
    pub(super) fn load(&mut self, published: PublishedModel) {
        let epoch_seed = self.campaign.epoch_seed();
        let job = self.start_job(CoordinatorJob::Load { published, epoch_seed });
        self.phase = Phase::Loading(published, job);
    }

    /// Holds a query until keys and model are there; refuses it where too many are held.
    pub(super) fn hold(&mut self, asked: Asked, message: SignedMessage) {
        if self.held.0.len() >= QUERIES_QUEUED_MAX {
            return self.net.answer(asked, Err(Reject::RetryAfter));
        }
        self.held.0.push_back((asked, message));
    }

    /// Keys and model are in memory, or cannot be had.
    pub(super) fn loaded(&mut self, is_loaded: bool) {
        let Phase::Loading(published, _) = self.phase else { return };
        let held = std::mem::take(&mut self.held.0);
        if !is_loaded {
            self.phase = Phase::Waiting;
            self.notes.push(CoordinatorNote::CannotServe);
            held.into_iter().for_each(|(asked, _)| self.net.answer(asked, Err(Reject::UnknownModel)));
            return;
        }
        let mut spent = ServingStanding::default();
        let mut audited = VecDeque::new();
        for entry in &self.entries {
            // An own entry, read back when this process began.
            let Ok(entry) = LogEntry::from_bytes(entry) else { continue };
            spent.learn(&entry.message);
            if let LogMessage::QueryDone(done) = &entry.message {
                audited.push_back(done.query);
            }
        }
        for query in spent.interrupted() {
            // Its shares may be out already, so it is not released again: the asker encrypts anew.
            let failed = QueryFailed { query, reject: Reject::DecryptorLost };
            self.effects.push_back(Effect::Append(LogMessage::QueryFailed(failed)));
            self.effects.extend(lists_of(query, self.roster.parties()).into_iter().map(Effect::Forget));
        }
        let config = ServingConfig { model: published.digest, terms: self.terms.clone(), batch_max: self.batch_max };
        let machine = ServingMachine::new(self.roster.clone(), self.leases.live(), config, spent);
        let session = Session { machine, published, audited };
        self.phase = Phase::Serving(Box::new(session));
        self.notes.push(CoordinatorNote::Serving(published));
        for (asked, message) in held {
            let answer = self.serving_message(message).map(|()| Answer::Accepted);
            self.net.answer(asked, answer);
        }
    }

    /// A message of a hospital; of a query it says at once whether it was taken.
    pub(super) fn serving_message(&mut self, message: SignedMessage) -> Result<(), Reject> {
        let from = message.author;
        let event = self.leases.delivered(self.clock.now_ms(), from);
        self.lease_events(event);
        let rejects = self.serving_machine(ServingInput::Message(message));
        rejects.into_iter().find(|(party, _)| *party == from).map_or(Ok(()), |(_, reject)| Err(reject))
    }

    /// What every phase may be told.
    pub(super) fn serving_input(&mut self, input: &PhaseInput) {
        let input = match *input {
            // Of nothing but what this machine awaits: the lists of an earlier phase were forgotten when it ended.
            PhaseInput::Complete(ListId { kind, round, party: Some(party), .. }) => {
                ServingInput::BodiesComplete { kind, query: QueryId(round), party }
            }
            PhaseInput::Lapsed(party) => ServingInput::PartyGone(party),
            PhaseInput::Returned(party) => ServingInput::PartyBack(party),
            _ => ServingInput::Tick,
        };
        self.serving_machine(input);
    }

    pub(super) fn serving_done(&mut self, result: JobResult) {
        let input = match result {
            JobResult::Evaluated(query, Some(result)) => ServingInput::Evaluated { query, result },
            JobResult::Evaluated(query, None) => ServingInput::EvaluationFailed { query },
            JobResult::Inspected(..) | JobResult::Keys(_) | JobResult::Sum(_) | JobResult::Model(_) => return,
            JobResult::Prepared(_)
            | JobResult::Taken(_)
            | JobResult::Blinded(_)
            | JobResult::Joined(_)
            | JobResult::Stuck
            | JobResult::Loaded(_)
            | JobResult::Again => return,
        };
        self.serving_machine(input);
    }

    /// Lets the machine decide; says whom it refused.
    fn serving_machine(&mut self, input: ServingInput) -> Vec<(PartyId, Reject)> {
        let now_ms = self.phase_now_ms();
        let Phase::Serving(session) = &mut self.phase else { return Vec::new() };
        let mut rejects = Vec::new();
        for output in session.machine.on(now_ms, input) {
            match output {
                ServingOutput::Append(message) => self.serving_entry(message),
                ServingOutput::AwaitBodies { kind, query, party, body } => {
                    let list = ListId { kind, round: query.0, attempt: 0, party: Some(party) };
                    self.effects.push_back(Effect::Expect(list, body));
                }
                ServingOutput::Evaluate(batch) => {
                    self.effects.push_back(Effect::Start(CoordinatorJob::Evaluate(batch)));
                }
                ServingOutput::Admitted { .. } => {}
                ServingOutput::Reject { party, reject, .. } => rejects.push((party, reject)),
                ServingOutput::WakeAt(at_ms) => {
                    self.wakes.insert(at_ms);
                    self.clock.wake_at(at_ms.saturating_sub(self.phase_ahead_ms));
                }
            }
        }
        rejects
    }

    fn serving_entry(&mut self, message: LogMessage) {
        let parties = self.roster.parties();
        let Phase::Serving(session) = &mut self.phase else { return };
        let mut forget = Vec::new();
        match &message {
            // Whoever was away may still have had to add them up.
            LogMessage::ModelVerified(_) if session.machine.verified() == parties => {
                let PublishedModel { attempt, cohort, .. } = session.published;
                let of = |party| {
                    if self.terms.head.is_some() { ListId::features(party) } else { contribution(attempt, party) }
                };
                forget.extend(cohort.iter().map(of));
            }
            LogMessage::QueryFailed(failed) => forget.extend(lists_of(failed.query, parties)),
            LogMessage::QueryDone(done) => {
                session.audited.push_back(done.query);
                while session.audited.len() > QUERIES_AUDITED_MAX
                    && let Some(oldest) = session.audited.pop_front()
                {
                    forget.extend(lists_of(oldest, parties));
                }
            }
            _ => {}
        }
        self.effects.push_back(Effect::Append(message));
        self.effects.extend(forget.into_iter().map(Effect::Forget));
    }
}
