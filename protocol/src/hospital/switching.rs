//! Helping with others' queries: evaluate, compare, release.
//!
//! A share of a ciphertext that somebody else names is a function of the serving secret that somebody else chooses. So
//! this hospital evaluates the query itself, on keys and a model that it added up itself, and releases a share of its
//! own result, where the coordinator names the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Fact, HospitalFacts, Switched};
use crate::hospital::{HospitalMachine, HospitalOutput, SwitchBinding};
use crate::ids::{Attempt, PartyId, QueryId};
use crate::limits::{QUERIES_EVALUATED_MAX, QUERY_BYTES_MAX};
use crate::message::{HospitalMessage, QueryHead, QueryOpen, Scope, SignedMessage, SwitchRequest, SwitchShareHead};
use crate::reject::Reject;

/// A query that this site evaluates, or has evaluated; until it is answered or failed.
struct Evaluation {
    head: SignedMessage,
    result: Option<BodyRoot>,
    request: Option<SwitchRequest>,
}

/// Others' queries under way.
pub(super) struct SwitchingState {
    evaluations: BTreeMap<QueryId, Evaluation>,
    /// Queries whose answers were asked for, of anybody and by anybody, as far as the log was read; and those that this
    /// hospital helped to answer, of which it knows before it reads the log again.
    requested: BTreeSet<QueryId>,
}

impl SwitchingState {
    pub(super) fn after(facts: &HospitalFacts) -> Self {
        Self { evaluations: BTreeMap::new(), requested: facts.switched_queries().collect() }
    }
}

type Refused = (QueryId, Reject);

impl HospitalMachine {
    /// Whoever cheats takes what it learns from all answers together, so that each counts for every hospital.
    pub(super) fn count_answer(&mut self, it: &SwitchRequest) {
        let is_asked = self.signed_roster().is_ok_and(|roster| it.head.verify(roster).is_ok());
        if let HospitalMessage::QueryHead(head) = &it.head.body
            && is_asked
        {
            self.switching.requested.insert(head.query);
        }
    }

    pub(super) fn on_query_open(&mut self, it: &QueryOpen, out: &mut Vec<HospitalOutput>) {
        if !it.decryptors.contains(self.config.party) {
            return;
        }
        let result = self.evaluate(&it.head, out);
        self.refuse_query(result.map(|_| ()), out);
    }

    /// Begins to evaluate a query, unless that is under way or done.
    fn evaluate(&mut self, head: &SignedMessage, out: &mut Vec<HospitalOutput>) -> Result<QueryId, Refused> {
        let HospitalMessage::QueryHead(query_head) = &head.body else {
            return Err((QueryId(0), Reject::Contradiction));
        };
        let query = query_head.query;
        if let Some(known) = self.switching.evaluations.get(&query) {
            return if known.head == *head { Ok(query) } else { Err((query, Reject::Contradiction)) };
        }
        self.check_query(head, query_head).map_err(|reject| (query, reject))?;
        if self.switching.evaluations.len() >= QUERIES_EVALUATED_MAX {
            return Err((query, Reject::RetryAfter));
        }
        let evaluation = Evaluation { head: head.clone(), result: None, request: None };
        self.switching.evaluations.insert(query, evaluation);
        out.push(HospitalOutput::Evaluate { asker: head.author, head: query_head.clone() });
        Ok(query)
    }

    fn check_query(&self, signed: &SignedMessage, head: &QueryHead) -> Result<(), Reject> {
        signed.verify(self.signed_roster()?)?;
        if head.query.asker() != Some(signed.author) {
            return Err(Reject::QueryRepeated);
        }
        if !self.serving.allows(head.model, head.program) {
            return Err(Reject::UnknownModel);
        }
        if !head.body.within_limits() || head.body.size_bytes > QUERY_BYTES_MAX {
            return Err(Reject::LimitExceeded);
        }
        // A query that may not be answered costs no evaluation either.
        if self.facts.switched(head.query).is_none() { self.check_budget(signed) } else { Ok(()) }
    }

    fn check_budget(&self, head: &SignedMessage) -> Result<(), Reject> {
        if self.facts.switches_released() >= self.config.terms.tau_serving {
            return Err(Reject::BudgetSpent);
        }
        if self.facts.switches_for(head.author) >= self.config.terms.queries_per_asker_max {
            return Err(Reject::QuotaExceeded);
        }
        // With the answer in question, whether or not it was asked for yet.
        let HospitalMessage::QueryHead(query) = &head.body else { return Err(Reject::Contradiction) };
        let others = self.switching.requested.iter().filter(|known| **known != query.query).count() as u64;
        if self.config.terms.may_leak(others.saturating_add(1)) { Ok(()) } else { Err(Reject::LeakBudgetSpent) }
    }

    /// Answers that were asked for in this key epoch, as far as this hospital knows: those that are charged.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.switching.requested.len() as u64
    }

    /// The same by who asked.
    #[must_use]
    pub fn answers_by_asker(&self) -> BTreeMap<PartyId, u64> {
        let mut answers = BTreeMap::new();
        for asker in self.switching.requested.iter().filter_map(|query| query.asker()) {
            *answers.entry(asker).or_default() += 1;
        }
        answers
    }

    pub(super) fn on_switch_request(&mut self, it: &SwitchRequest, out: &mut Vec<HospitalOutput>) {
        self.own_query_is_released(it, out);
        self.count_answer(it);
        let result = self.switch_request(it, out);
        self.refuse_query(result, out);
    }

    fn switch_request(&mut self, it: &SwitchRequest, out: &mut Vec<HospitalOutput>) -> Result<(), Refused> {
        if !it.decryptors.contains(self.config.party) {
            return Ok(());
        }
        let query = self.evaluate(&it.head, out)?;
        self.check_switch(it).map_err(|reject| (query, reject))?;
        let Some(evaluation) = self.switching.evaluations.get_mut(&query) else { return Ok(()) };
        match &evaluation.request {
            Some(known) if known != it => return Err((query, Reject::AlreadyReleased)),
            _ => evaluation.request = Some(it.clone()),
        }
        self.compare(query, out)
    }

    fn check_switch(&self, it: &SwitchRequest) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        if it.decryptors.len() != roster.threshold() || !it.decryptors.is_subset(roster.parties()) {
            return Err(Reject::DecryptorsWrong);
        }
        let binding = SwitchBinding::of(self.config.epoch, it).ok_or(Reject::Contradiction)?;
        match self.facts.switched(binding.query) {
            Some(known) if known != binding.digest() => Err(Reject::AlreadyReleased),
            _ => Ok(()),
        }
    }

    pub(super) fn evaluated(&mut self, query: QueryId, result: BodyRoot, out: &mut Vec<HospitalOutput>) {
        if let Some(evaluation) = self.switching.evaluations.get_mut(&query) {
            evaluation.result = Some(result);
        }
        let result = self.compare(query, out);
        self.refuse_query(result, out);
    }

    pub(super) fn not_evaluated(&mut self, query: QueryId, reject: Reject, out: &mut Vec<HospitalOutput>) {
        if self.switching.evaluations.remove(&query).is_some() {
            self.refuse_query(Err((query, reject)), out);
        }
    }

    /// Releases a share once this site has a result and the coordinator names one, if they are the same.
    fn compare(&mut self, query: QueryId, out: &mut Vec<HospitalOutput>) -> Result<(), Refused> {
        let Some(Evaluation { head, result: Some(own), request: Some(request) }) =
            self.switching.evaluations.get(&query)
        else {
            return Ok(());
        };
        let (asker, is_own) = (head.author, request.result == *own);
        let within_budget = self.check_budget(head);
        let binding = SwitchBinding::of(self.config.epoch, request);
        if !is_own {
            self.switching.evaluations.remove(&query);
            return Err((query, Reject::ResultDiffers));
        }
        let binding = binding.ok_or((query, Reject::Contradiction))?;
        if self.facts.switched(query).is_none() {
            // Again, since the evaluation took its time.
            within_budget.map_err(|reject| (query, reject))?;
            self.persist(Fact::Switched(Switched { query, asker, binding: binding.digest() }), out);
        }
        out.push(HospitalOutput::ReleaseSwitch(binding));
        Ok(())
    }

    pub(super) fn switch_made(&mut self, query: QueryId, body: BodyRoot, out: &mut Vec<HospitalOutput>) {
        let Some(binding) = self.facts.switched(query) else { return };
        match self.sign_once(HospitalMessage::SwitchShareHead(SwitchShareHead { query, binding, body }), out) {
            Ok(()) => {
                let kind = BlobKind::SwitchShare;
                out.push(HospitalOutput::Upload { kind, number: query.0, attempt: 0, body });
            }
            Err(_) => self.refuse(Scope::Query, query.0, Attempt(0), Reject::AlreadyReleased, out),
        }
    }

    /// Nothing is left to do for a query: a restart need not evaluate it again.
    pub(super) fn switch_is_over(&mut self, query: QueryId, out: &mut Vec<HospitalOutput>) {
        let was_evaluated = self.switching.evaluations.remove(&query).is_some() || self.facts.switched(query).is_some();
        if was_evaluated && self.switching.evaluations.is_empty() {
            self.read_so_far(out);
        }
    }

    fn refuse_query(&mut self, result: Result<(), Refused>, out: &mut Vec<HospitalOutput>) {
        if let Err((query, reject)) = result {
            self.refuse(Scope::Query, query.0, Attempt(0), reject, out);
        }
    }
}
