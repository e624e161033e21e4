//! The coordinator's side of encrypted inference.
//!
//! ```text
//! QueryHead --admitted-> Receiving --bodies-> Queued -> Evaluating(T) -> Switching(T) --t boxes-> done
//!     | queue full: RetryAfter      |                        |               | member of T lost, or deadline
//!     | quota, budget, repeat       +-------- deadline ------+---------------+--> QueryFailed: ask again, fresh
//! ```
//!
//! T evaluates beside the coordinator, and releases only its own result. Who is in T has added the model up itself; a
//! member that is lost before the result is there is replaced.
//!
//! Queries that wait are evaluated together, up to `ServingConfig::batch_max` of them; up to
//! `limits::QUERIES_SWITCHING_MAX` wait for the shares of their answers, which are sealed to the asker: nothing is
//! added here. A lost decryptor ends the query: an answer is never released twice. What was spent is in the log, so
//! [`ServingStanding`] restores it after a restart.

mod effect;
mod standing;

pub use effect::{Evaluation, ServingInput, ServingOutput};
pub use standing::ServingStanding;

use std::collections::{BTreeMap, VecDeque};

use crate::blob::{BlobId, BlobKind, BodyRoot};
use crate::hospital::SwitchBinding;
use crate::ids::{Digest, PartyId, QueryId, RoundId};
use crate::limits::{QUERIES_QUEUED_MAX, QUERIES_QUEUED_PER_ASKER_MAX, QUERIES_SWITCHING_MAX, QUERY_BYTES_MAX};
use crate::message::{
    HospitalMessage, LogMessage, ModelVerified, QueryDone, QueryFailed, QueryHead, QueryOpen, SignedMessage,
    SwitchRequest,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::round::rotation;
use crate::terms::Terms;

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingConfig {
    /// Digest of the encrypted model.
    pub model: Digest,
    /// What the members approved: program, quotas, budget, deadlines.
    pub terms: Terms,
    /// Queries evaluated together, from 1.
    pub batch_max: usize,
}

enum Stage {
    Receiving {
        deadline_ms: u64,
    },
    Queued,
    Evaluating {
        decryptors: PartySet,
        refused: PartySet,
    },
    Switching {
        decryptors: PartySet,
        /// What every share is bound to.
        binding: Digest,
        deadline_ms: u64,
        heads: BTreeMap<PartyId, SignedMessage>,
        complete: PartySet,
    },
}

struct Job {
    head: SignedMessage,
    asker: PartyId,
    body: BodyRoot,
    stage: Stage,
}

/// The machine. One per published model.
pub struct ServingMachine {
    roster: Roster,
    config: ServingConfig,
    /// Asked are those of them who have added the model up, so that a stranger never is.
    live: PartySet,
    jobs: BTreeMap<QueryId, Job>,
    queue: VecDeque<QueryId>,
    /// Evaluations begun per asker: whoever had fewest is next.
    begun: BTreeMap<PartyId, u64>,
    spent: ServingStanding,
}

impl ServingMachine {
    /// Serves one model with the hospitals that are `live` now; `spent` is what the log says was asked and released.
    #[must_use]
    pub fn new(roster: Roster, live: PartySet, config: ServingConfig, spent: ServingStanding) -> Self {
        Self { roster, config, live, jobs: BTreeMap::new(), queue: VecDeque::new(), begun: BTreeMap::new(), spent }
    }

    /// Queries not answered yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.jobs.len()
    }

    /// Whose shares of answers are awaited.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        let missing = |job: &Job| match &job.stage {
            Stage::Switching { decryptors, complete, .. } => decryptors.minus(*complete),
            _ => PartySet::EMPTY,
        };
        self.jobs.values().map(missing).fold(PartySet::EMPTY, PartySet::union)
    }

    /// Queries whose answer is not yet released, and may be.
    fn unreleased(&self) -> u64 {
        let switched = |job: &&Job| !matches!(job.stage, Stage::Switching { .. });
        self.jobs.values().filter(switched).count() as u64
    }

    /// Answers released so far; the flooding budget is `tau_serving` of the terms.
    #[must_use]
    pub fn releases(&self) -> u64 {
        self.spent.releases()
    }

    /// Who has added the model up: only they are asked to evaluate and to release.
    #[must_use]
    pub fn verified(&self) -> PartySet {
        self.spent.verified()
    }

    /// Whether this hospital evaluates a query now whose bodies these are: nobody else is shown them.
    #[must_use]
    pub fn may_evaluate(&self, id: &BlobId, reader: PartyId) -> bool {
        let is_of = |(query, _): &(&QueryId, &Job)| id.kind == BlobKind::Query && query.0 == id.round;
        let evaluates = |(_, job): (&QueryId, &Job)| match job.stage {
            Stage::Evaluating { decryptors, .. } | Stage::Switching { decryptors, .. } => decryptors.contains(reader),
            Stage::Receiving { .. } | Stage::Queued => false,
        };
        self.jobs.iter().filter(is_of).any(evaluates)
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do.
    pub fn on(&mut self, now_ms: u64, input: ServingInput) -> Vec<ServingOutput> {
        let mut out = Vec::new();
        match input {
            ServingInput::Message(message) => {
                let party = message.author;
                let query = match &message.body {
                    HospitalMessage::QueryHead(head) => Some(head.query),
                    HospitalMessage::SwitchShareHead(head) => Some(head.query),
                    _ => None,
                };
                if let Err(reject) = self.message(now_ms, message, &mut out) {
                    out.push(ServingOutput::Reject { party, query, reject });
                }
            }
            ServingInput::BodiesComplete { kind, query, party } => self.bodies_complete(kind, query, party),
            ServingInput::Evaluated { query, result } => self.evaluated(now_ms, query, result, &mut out),
            ServingInput::EvaluationFailed { query } => self.fail(query, Reject::EvaluationFailed, &mut out),
            ServingInput::PartyGone(party) => self.live.remove(party),
            ServingInput::PartyBack(party) => self.live.insert(party),
            ServingInput::Tick => {}
        }
        self.advance(now_ms, &mut out);
        out
    }

    fn message(&mut self, now_ms: u64, message: SignedMessage, out: &mut Vec<ServingOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        match &message.body {
            HospitalMessage::QueryHead(head) => {
                let head = head.clone();
                self.admit(now_ms, &head, message, out)
            }
            HospitalMessage::SwitchShareHead(head) => {
                let (query, body) = (head.query, head.body);
                let job = self.jobs.get_mut(&query).ok_or(Reject::TooLate)?;
                let Stage::Switching { decryptors, binding, heads, .. } = &mut job.stage else {
                    return Err(Reject::OutOfTurn);
                };
                if !decryptors.contains(party) {
                    return Err(Reject::OutOfTurn);
                }
                if !head.is_one_box() {
                    return Err(Reject::LimitExceeded);
                }
                if head.binding != *binding {
                    return Err(Reject::Contradiction);
                }
                if let Some(known) = heads.get(&party) {
                    return if *known == message { Ok(()) } else { Err(Reject::Contradiction) };
                }
                heads.insert(party, message);
                out.push(ServingOutput::AwaitBodies { kind: BlobKind::SwitchShare, query, party, body });
                Ok(())
            }
            HospitalMessage::ModelVerdict(verdict) => {
                if (verdict.model, verdict.program) != (self.config.model, self.config.terms.program) {
                    return Err(Reject::UnknownModel);
                }
                if self.spent.verify(party) {
                    let verdicts = vec![message];
                    out.push(ServingOutput::Append(LogMessage::ModelVerified(ModelVerified { verdicts })));
                }
                Ok(())
            }
            HospitalMessage::Refusal(refusal) => {
                // A decryptor that refuses is a lost decryptor for this query.
                let query = QueryId(refusal.number);
                match self.jobs.get_mut(&query).map(|job| &mut job.stage) {
                    Some(Stage::Switching { decryptors, .. }) if decryptors.contains(party) => {
                        self.fail(query, Reject::DecryptorLost, out);
                    }
                    // Replaced, as long as nobody released anything.
                    Some(Stage::Evaluating { refused, .. }) => refused.insert(party),
                    _ => {}
                }
                Ok(())
            }
            HospitalMessage::Leaving(_) => {
                self.live.remove(party);
                Ok(())
            }
            _ => Err(Reject::OutOfTurn),
        }
    }

    fn admit(
        &mut self,
        now_ms: u64,
        head: &QueryHead,
        signed: SignedMessage,
        out: &mut Vec<ServingOutput>,
    ) -> Result<(), Reject> {
        let (query, asker, body) = (head.query, signed.author, head.body);
        if let Some(job) = self.jobs.get(&query) {
            if job.head != signed {
                return Err(Reject::Contradiction);
            }
            out.push(ServingOutput::Admitted { party: asker, query });
            return Ok(());
        }
        if self.spent.was_asked(query) || query.asker() != Some(asker) {
            return Err(Reject::QueryRepeated);
        }
        if (head.model, head.program) != (self.config.model, self.config.terms.program) {
            return Err(Reject::UnknownModel);
        }
        if !body.within_limits() || body.size_bytes > QUERY_BYTES_MAX {
            return Err(Reject::LimitExceeded);
        }
        if self.spent.asked_by(asker) >= self.config.terms.queries_per_asker_max {
            return Err(Reject::QuotaExceeded);
        }
        // Counted at admission, so that parallel requests cannot overrun the budget.
        if self.spent.releases() + self.unreleased() >= self.config.terms.tau_serving {
            return Err(Reject::BudgetSpent);
        }
        if !self.config.terms.may_leak((self.spent.releases() + self.unreleased()).saturating_add(1)) {
            return Err(Reject::LeakBudgetSpent);
        }
        let own = self.jobs.values().filter(|job| job.asker == asker).count();
        if self.jobs.len() >= QUERIES_QUEUED_MAX || own >= QUERIES_QUEUED_PER_ASKER_MAX {
            return Err(Reject::RetryAfter);
        }
        self.spent.ask(query);
        let deadline_ms = now_ms.saturating_add(self.config.terms.query_deadline_ms);
        self.jobs.insert(query, Job { head: signed, asker, body, stage: Stage::Receiving { deadline_ms } });
        out.push(ServingOutput::Admitted { party: asker, query });
        out.push(ServingOutput::AwaitBodies { kind: BlobKind::Query, query, party: asker, body });
        out.push(ServingOutput::WakeAt(deadline_ms));
        Ok(())
    }

    fn bodies_complete(&mut self, kind: BlobKind, query: QueryId, party: PartyId) {
        let Some(job) = self.jobs.get_mut(&query) else { return };
        match (&mut job.stage, kind) {
            (Stage::Receiving { .. }, BlobKind::Query) if party == job.asker => {
                job.stage = Stage::Queued;
                self.queue.push_back(query);
            }
            (Stage::Switching { heads, complete, .. }, BlobKind::SwitchShare) if heads.contains_key(&party) => {
                complete.insert(party);
            }
            _ => {}
        }
    }

    /// The next t hospitals that live and have added the model up. Which of them starts the rotation follows the number
    /// of queries opened, so that evaluating and switching is shared work.
    fn choose(&self, turn: u64, without: PartySet) -> PartySet {
        let turn = u32::try_from(turn % u64::from(u32::MAX)).unwrap_or(0);
        let able = self.live.intersection(self.spent.verified()).minus(without);
        rotation(able, RoundId(turn.saturating_add(1)), self.roster.size()).take(self.roster.threshold()).collect()
    }

    fn evaluated(&mut self, now_ms: u64, query: QueryId, result: BodyRoot, out: &mut Vec<ServingOutput>) {
        let need = self.roster.threshold();
        let stage = self.jobs.get(&query).map(|job| &job.stage);
        let Some(Stage::Evaluating { decryptors: chosen, refused }) = stage else { return };
        // Whoever evaluates already stays; whoever is lost or will not is replaced.
        let still = chosen.intersection(self.live).minus(*refused);
        let others = self.choose(self.spent.releases(), *refused);
        let Some(job) = self.jobs.get_mut(&query) else { return };
        let decryptors: PartySet = still.iter().chain(others.minus(still).iter()).take(need).collect();
        if decryptors.len() < need {
            return self.fail(query, Reject::DecryptorLost, out);
        }
        let deadline_ms = now_ms.saturating_add(self.config.terms.query_deadline_ms);
        let (heads, complete) = (BTreeMap::new(), PartySet::EMPTY);
        let request = SwitchRequest { head: job.head.clone(), result, decryptors };
        let binding = SwitchBinding::of(self.roster.epoch(), &request).map_or(Digest::default(), |it| it.digest());
        job.stage = Stage::Switching { decryptors, binding, deadline_ms, heads, complete };
        self.spent.release();
        out.push(ServingOutput::Append(LogMessage::SwitchRequest(Box::new(request))));
        out.push(ServingOutput::WakeAt(deadline_ms));
    }

    fn fail(&mut self, query: QueryId, reject: Reject, out: &mut Vec<ServingOutput>) {
        if self.jobs.remove(&query).is_some() {
            self.queue.retain(|queued| *queued != query);
            out.push(ServingOutput::Append(LogMessage::QueryFailed(QueryFailed { query, reject })));
        }
    }

    fn advance(&mut self, now_ms: u64, out: &mut Vec<ServingOutput>) {
        let (mut failed, mut done) = (Vec::new(), Vec::new());
        for (query, job) in &self.jobs {
            match &job.stage {
                Stage::Receiving { deadline_ms } if now_ms >= *deadline_ms => failed.push((*query, Reject::TooLate)),
                Stage::Switching { decryptors, deadline_ms, heads, complete, .. } => {
                    let missing = decryptors.minus(*complete);
                    if missing.is_empty() {
                        done.push(QueryDone { query: *query, shares: heads.values().cloned().collect() });
                    } else if now_ms >= *deadline_ms || !missing.is_subset(self.live) {
                        failed.push((*query, Reject::DecryptorLost));
                    }
                }
                _ => {}
            }
        }
        for answered in done {
            self.jobs.remove(&answered.query);
            out.push(ServingOutput::Append(LogMessage::QueryDone(answered)));
        }
        for (query, reject) in failed {
            self.fail(query, reject, out);
        }
        let stage_count = |of: fn(&Stage) -> bool| self.jobs.values().filter(|job| of(&job.stage)).count();
        let evaluating = stage_count(|stage| matches!(stage, Stage::Evaluating { .. }));
        let switching = stage_count(|stage| matches!(stage, Stage::Switching { .. }));
        if evaluating > 0 || switching >= QUERIES_SWITCHING_MAX {
            return;
        }
        // All wait for the same model, so the program's weights serve the whole batch while they are near.
        let room = QUERIES_SWITCHING_MAX.saturating_sub(switching).min(self.config.batch_max.max(1));
        let mut batch = Vec::new();
        while batch.len() < room
            && let Some(query) = self.next_queued()
        {
            let decryptors = self.choose(self.spent.releases().saturating_add(batch.len() as u64), PartySet::EMPTY);
            let Some(job) = self.jobs.get_mut(&query) else { continue };
            job.stage = Stage::Evaluating { decryptors, refused: PartySet::EMPTY };
            let opened = QueryOpen { head: job.head.clone(), decryptors };
            out.push(ServingOutput::Append(LogMessage::QueryOpen(Box::new(opened))));
            *self.begun.entry(job.asker).or_default() += 1;
            batch.push(Evaluation { query, asker: job.asker, body: job.body });
        }
        if !batch.is_empty() {
            out.push(ServingOutput::Evaluate(batch));
        }
    }

    /// The oldest query of the asker that had fewest evaluations: a hospital with a long list does not hold up one
    /// with a single image.
    fn next_queued(&mut self) -> Option<QueryId> {
        let begun = |query: &QueryId| query.asker().and_then(|asker| self.begun.get(&asker)).copied().unwrap_or(0);
        let (place, _) = self.queue.iter().enumerate().min_by_key(|(place, query)| (begun(query), *place))?;
        self.queue.remove(place)
    }
}

#[cfg(test)]
mod tests;
