//! The coordinator's side of training a head on ciphertexts: who refreshes what a step leaves.
//!
//! ```text
//! Taking -> Sharing(T) --t heads, all bodies-> Blinding -> Opening(opener) -> Joining -> Taking .. -> Verifying
//!    |         |                                               |
//!    +- Short -+-- a member of T lost, or late, or unwilling --+--> RefreshVoid -> Zeroing(next T) -> Adding
//! ```
//!
//! Every member of T takes the step itself, and shares only in what its own step left. A refresh is of one T and one
//! opener: who is lost ends the attempt. Those who shared in it share in that second polynomial no more, so that the
//! next T adds encryptions of zero to it first. A hospital that signed a refusal is asked for nothing more.

mod binding;
mod effect;
mod follower;
mod stage;
mod terms;
#[cfg(test)]
mod tests;

pub use binding::RefreshBinding;
pub use effect::{HeadTask, SharesBlinded, StepJoined, StepTaken, TrainingFailure, TrainingInput, TrainingOutput};
pub(crate) use follower::Asked;
pub use follower::{Follower, FollowerInput, FollowerOutput, Joining, TaskDone, TrainingTask};
pub use terms::{HeadTerms, TrainingTerms};

use std::collections::BTreeMap;

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, RoundId, StepId};
use crate::limits::REFRESH_ATTEMPTS_MAX;
use crate::message::{
    HospitalMessage, LogMessage, ModelPublished, OpeningHead, RefreshBlinded, RefreshDone, RefreshHead, RefreshOpen,
    RefreshVoid, Refusal, Scope, SignedMessage, ZeroHead, ZerosOpen,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::round::{rotation, small};
use crate::verdicts::{Judgement, Verdicts};
use stage::{Collected, Stage};

/// The machine. One per head.
pub struct TrainingMachine {
    roster: Roster,
    terms: TrainingTerms,
    live: PartySet,
    /// Who signed that it does not share, and why.
    unwilling: BTreeMap<PartyId, Reject>,
    /// What they signed, until it is in the log.
    evidence: Vec<SignedMessage>,
    step: StepId,
    attempt: Attempt,
    stage: Stage,
    deadline_ms: u64,
}

impl TrainingMachine {
    /// A training with the hospitals that are `live` now and have everybody's uploads.
    #[must_use]
    pub fn new(roster: Roster, live: PartySet, terms: TrainingTerms) -> Self {
        let live = live.intersection(roster.parties());
        let (step, attempt) = (StepId::FIRST, Attempt::FIRST);
        let (unwilling, evidence) = (BTreeMap::new(), Vec::new());
        Self { roster, terms, live, unwilling, evidence, step, attempt, stage: Stage::Idle, deadline_ms: 0 }
    }

    /// The step at hand.
    #[must_use]
    pub fn step(&self) -> StepId {
        self.step
    }

    /// The members.
    #[must_use]
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What a refresh that this machine asked for is bound to.
    #[must_use]
    pub(crate) fn binding(&self, open: &RefreshOpen) -> RefreshBinding {
        RefreshBinding::of(self.roster.epoch(), self.terms.program, open)
    }

    /// Who is awaited now.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        match &self.stage {
            Stage::Zeroing(collected) => collected.missing(&[BlobKind::RefreshZero]),
            Stage::Sharing(collected, _) => collected.missing(&SHARED),
            Stage::Opening(collected, ..) => collected.missing(&[BlobKind::RefreshOpening]),
            Stage::Verifying(verdicts) => verdicts.unjudged(&self.roster).intersection(self.live),
            _ => PartySet::EMPTY,
        }
    }

    /// Whom nothing goes on without, where those who live and are willing are too few.
    #[must_use]
    pub fn needs_all(&self) -> PartySet {
        match &self.stage {
            Stage::Short { .. } => self.roster.parties().minus(self.able()).minus(self.refusing()),
            Stage::Verifying(verdicts) => verdicts.needs_all(&self.roster, self.live),
            _ => PartySet::EMPTY,
        }
    }

    /// Who missed a deadline or has gone, where without them nobody can be asked.
    #[must_use]
    pub(crate) fn away(&self) -> PartySet {
        match &self.stage {
            Stage::Short { .. } => self.roster.parties().minus(self.live),
            _ => PartySet::EMPTY,
        }
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do.
    pub fn on(&mut self, now_ms: u64, input: TrainingInput) -> Vec<TrainingOutput> {
        let mut out = Vec::new();
        if matches!(self.stage, Stage::Over) {
            return out;
        }
        match input {
            TrainingInput::Start if matches!(self.stage, Stage::Idle) => self.take(&mut out),
            TrainingInput::Start | TrainingInput::Tick => {}
            TrainingInput::Message(message) => {
                let party = message.author;
                if let Err(reject) = self.message(message, &mut out) {
                    out.push(TrainingOutput::Reject { party, reject });
                }
            }
            TrainingInput::BodiesComplete { kind, step, attempt, party } => {
                if let Some(collected) = self.collected(step, attempt) {
                    collected.stored.insert((party, kind));
                }
            }
            TrainingInput::Taken(StepTaken { step, attempt, packages }) => {
                if (step, attempt) == (self.step, self.attempt) {
                    self.taken(now_ms, packages, &mut out);
                }
            }
            TrainingInput::Blinded(SharesBlinded { step, attempt, sums }) => {
                if (step, attempt) == (self.step, self.attempt) {
                    self.blinded(now_ms, sums, &mut out);
                }
            }
            TrainingInput::Stuck => self.fail(TrainingFailure::Stuck { step: self.step }, &mut out),
            TrainingInput::Joined(StepJoined { step, model }) => {
                if step == self.step && matches!(self.stage, Stage::Joining) {
                    self.joined(now_ms, model, &mut out);
                }
            }
            TrainingInput::Unfit { step, attempt, party } => {
                if self.collected(step, attempt).is_some_and(|it| it.of.contains(party)) {
                    self.unwilling.insert(party, Reject::BadRefresh);
                }
            }
            TrainingInput::PartyGone(party) => self.live.remove(party),
            TrainingInput::PartyBack(party) if self.roster.parties().contains(party) => self.live.insert(party),
            TrainingInput::PartyBack(_) => {}
        }
        self.advance(now_ms, &mut out);
        out
    }

    fn refusing(&self) -> PartySet {
        self.unwilling.keys().copied().collect()
    }

    /// Who may be asked to share.
    fn able(&self) -> PartySet {
        self.live.minus(self.refusing())
    }

    /// What is being collected in this attempt.
    fn collected(&mut self, step: StepId, attempt: Attempt) -> Option<&mut Collected> {
        let is_now = (step, attempt) == (self.step, self.attempt);
        match &mut self.stage {
            Stage::Zeroing(collected) | Stage::Sharing(collected, _) | Stage::Opening(collected, ..) if is_now => {
                Some(collected)
            }
            _ => None,
        }
    }

    fn take(&mut self, out: &mut Vec<TrainingOutput>) {
        self.stage = Stage::Taking;
        out.push(TrainingOutput::Do(HeadTask::Take { step: self.step }));
    }

    /// The next T, in an order that starts at another hospital with every step; `None` of too few.
    fn choose(&self) -> Option<PartySet> {
        let need = self.roster.threshold();
        let chosen: PartySet = rotation(self.able(), self.turn(), self.roster.size()).take(need).collect();
        (chosen.len() == need).then_some(chosen)
    }

    fn turn(&self) -> RoundId {
        RoundId(self.step.0.saturating_add(self.attempt.0).saturating_sub(1))
    }

    fn taken(&mut self, now_ms: u64, packages: BodyRoot, out: &mut Vec<TrainingOutput>) {
        match &mut self.stage {
            Stage::Taking => self.stage = Stage::Short { packages: Some(packages) },
            Stage::Adding(decryptors, zeros) => {
                let (decryptors, zeros) = (*decryptors, std::mem::take(zeros));
                self.open(now_ms, (decryptors, packages, zeros), out);
            }
            _ => {}
        }
    }

    fn open(
        &mut self,
        now_ms: u64,
        (decryptors, packages, zeros): (PartySet, BodyRoot, Vec<SignedMessage>),
        out: &mut Vec<TrainingOutput>,
    ) {
        let (step, attempt) = (self.step, self.attempt);
        // T is never empty.
        let Some(opener) = rotation(decryptors, self.turn(), self.roster.size()).next() else { return };
        let open = RefreshOpen { step, attempt, packages, zeros, decryptors, opener };
        let binding = self.binding(&open);
        self.stage = Stage::Sharing(Collected::of(decryptors), binding);
        self.wait(now_ms, LogMessage::RefreshOpen(Box::new(open)), out);
    }

    fn wait(&mut self, now_ms: u64, entry: LogMessage, out: &mut Vec<TrainingOutput>) {
        self.deadline_ms = now_ms.saturating_add(self.terms.refresh_deadline_ms);
        out.push(TrainingOutput::Append(entry));
        out.push(TrainingOutput::WakeAt(self.deadline_ms));
    }

    fn blinded(&mut self, now_ms: u64, sums: BodyRoot, out: &mut Vec<TrainingOutput>) {
        let Stage::Blinding(binding, heads) = &mut self.stage else { return };
        let (binding, heads) = (*binding, std::mem::take(heads));
        let (step, attempt) = (self.step, self.attempt);
        self.stage = Stage::Opening(Collected::of([binding.opener].into_iter().collect()), binding, sums.root);
        self.wait(now_ms, LogMessage::RefreshBlinded(RefreshBlinded { step, attempt, heads, sums }), out);
    }

    fn joined(&mut self, now_ms: u64, model: Option<Digest>, out: &mut Vec<TrainingOutput>) {
        if self.step.0 < self.terms.steps {
            (self.step, self.attempt) = (self.step.next(), Attempt::FIRST);
            return self.take(out);
        }
        // The runtime says it of the last step.
        let Some(model) = model else { return };
        let published = ModelPublished { attempt: Attempt::FIRST, model, program: self.terms.served };
        let deadline_ms = now_ms.saturating_add(self.terms.refresh_deadline_ms);
        self.stage = Stage::Verifying(Verdicts::new(published.clone(), deadline_ms));
        self.wait(now_ms, LogMessage::ModelPublished(published), out);
    }

    fn message(&mut self, message: SignedMessage, out: &mut Vec<TrainingOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        match &message.body {
            HospitalMessage::ZeroHead(ZeroHead { step, attempt, body }) => {
                let lists = [(BlobKind::RefreshZero, *body)];
                self.head((*step, *attempt), &lists, message, |stage| matches!(stage, Stage::Zeroing(_)), out)
            }
            HospitalMessage::RefreshHead(head) => {
                let RefreshHead { step, attempt, binding, shares, masks } = **head;
                let lists = [(BlobKind::RefreshShare, shares), (BlobKind::RefreshMask, masks)];
                let is_asked = |stage: &Stage| matches!(stage, Stage::Sharing(_, asked) if asked.digest() == binding);
                self.head((step, attempt), &lists, message, is_asked, out)
            }
            HospitalMessage::OpeningHead(OpeningHead { step, attempt, binding, sums, body }) => {
                let (binding, sums) = (*binding, *sums);
                let lists = [(BlobKind::RefreshOpening, *body)];
                let is_asked = |stage: &Stage| match stage {
                    Stage::Opening(_, asked, of) => (asked.digest(), *of) == (binding, sums),
                    _ => false,
                };
                self.head((*step, *attempt), &lists, message, is_asked, out)
            }
            HospitalMessage::ModelVerdict(_) => match &mut self.stage {
                Stage::Verifying(verdicts) => verdicts.hear(message),
                _ => Err(Reject::UnknownModel),
            },
            HospitalMessage::Refusal(refusal) => {
                self.refused(party, refusal.clone(), message);
                Ok(())
            }
            HospitalMessage::Leaving(_) => {
                self.live.remove(party);
                Ok(())
            }
            _ => Err(Reject::OutOfTurn),
        }
    }

    /// A head of one's part in the attempt at hand, and its lists.
    fn head(
        &mut self,
        (step, attempt): (StepId, Attempt),
        lists: &[(BlobKind, BodyRoot)],
        message: SignedMessage,
        is_asked: impl Fn(&Stage) -> bool,
        out: &mut Vec<TrainingOutput>,
    ) -> Result<(), Reject> {
        let party = message.author;
        if (step, attempt) != (self.step, self.attempt) {
            return Err(Reject::TooLate);
        }
        let is_asked = is_asked(&self.stage);
        let within_limits = lists.iter().all(|(_, list)| self.terms.is_list(*list));
        let Some(collected) = self.collected(step, attempt).filter(|it| it.of.contains(party)) else {
            return Err(Reject::OutOfTurn);
        };
        if let Some(known) = collected.heads.get(&party) {
            return if *known == message { Ok(()) } else { Err(Reject::Contradiction) };
        }
        if !is_asked {
            return Err(Reject::Contradiction);
        }
        if !within_limits {
            return Err(Reject::LimitExceeded);
        }
        collected.heads.insert(party, message);
        out.extend(lists.iter().map(|&(kind, body)| TrainingOutput::AwaitBodies { kind, step, attempt, party, body }));
        Ok(())
    }

    fn refused(&mut self, party: PartyId, refusal: Refusal, message: SignedMessage) {
        let Refusal { scope, number, attempt, reject } = refusal;
        if let Stage::Verifying(verdicts) = &mut self.stage {
            return verdicts.refuse(party, reject);
        }
        // Of this attempt, or of an earlier one that somebody else has ended.
        let is_asked = scope == Scope::Training && (number, attempt) <= (u64::from(self.step.0), self.attempt.0);
        if is_asked && self.unwilling.insert(party, reject).is_none() {
            self.evidence.push(message);
        }
    }

    fn advance(&mut self, now_ms: u64, out: &mut Vec<TrainingOutput>) {
        let able = self.able();
        let late = now_ms >= self.deadline_ms;
        let lost = |missing: PartySet| if late { missing } else { missing.minus(able) };
        match &self.stage {
            Stage::Short { packages } => {
                let packages = *packages;
                self.begin(packages, now_ms, out);
            }
            Stage::Zeroing(collected) => {
                let missing = collected.missing(&[BlobKind::RefreshZero]);
                if !missing.is_empty() {
                    return self.void(lost(missing), now_ms, out);
                }
                let (decryptors, zeros) = (collected.of, collected.heads());
                let (step, attempt) = (self.step, self.attempt);
                self.stage = Stage::Adding(decryptors, zeros);
                out.push(TrainingOutput::Do(HeadTask::AddZeros { step, attempt, decryptors }));
            }
            Stage::Sharing(collected, binding) => {
                let missing = collected.missing(&SHARED);
                if !missing.is_empty() {
                    return self.void(lost(missing), now_ms, out);
                }
                let binding = *binding;
                self.stage = Stage::Blinding(binding, collected.heads());
                out.push(TrainingOutput::Do(HeadTask::Blind(binding)));
            }
            Stage::Opening(collected, binding, _) => {
                let missing = collected.missing(&[BlobKind::RefreshOpening]);
                if !missing.is_empty() {
                    return self.void(lost(missing), now_ms, out);
                }
                let binding = *binding;
                let RefreshBinding { step, attempt, .. } = binding;
                let Some(opening) = collected.heads().pop() else { return };
                self.stage = Stage::Joining;
                let done = RefreshDone { step, attempt, opening };
                out.push(TrainingOutput::Append(LogMessage::RefreshDone(Box::new(done))));
                out.push(TrainingOutput::Do(HeadTask::Join(binding)));
            }
            Stage::Verifying(verdicts) => match verdicts.judge(&self.roster, self.live, now_ms) {
                Judgement::Open => {}
                Judgement::Refused { refused, need, reject } => {
                    self.fail(TrainingFailure::NotAgreed { refused, need, reject }, out);
                }
                Judgement::Agreed { entry, verified } => {
                    let model = verdicts.published().model;
                    self.stage = Stage::Over;
                    out.push(TrainingOutput::Append(entry));
                    out.push(TrainingOutput::Finished { model, verified });
                }
            },
            _ => {}
        }
    }

    /// Begins an attempt, as soon as t hospitals are there for it.
    fn begin(&mut self, first: Option<BodyRoot>, now_ms: u64, out: &mut Vec<TrainingOutput>) {
        let Some(decryptors) = self.choose() else { return };
        match first {
            Some(packages) => self.open(now_ms, (decryptors, packages, Vec::new()), out),
            None => {
                let (step, attempt) = (self.step, self.attempt);
                self.stage = Stage::Zeroing(Collected::of(decryptors));
                self.wait(now_ms, LogMessage::ZerosOpen(ZerosOpen { step, attempt, decryptors }), out);
            }
        }
    }

    /// The attempt came to nothing, unless nobody is lost.
    fn void(&mut self, missing: PartySet, now_ms: u64, out: &mut Vec<TrainingOutput>) {
        if missing.is_empty() {
            return;
        }
        let (step, attempt) = (self.step, self.attempt);
        let refusals = std::mem::take(&mut self.evidence);
        self.live = self.live.minus(missing.minus(self.refusing()));
        out.push(TrainingOutput::Append(LogMessage::RefreshVoid(RefreshVoid { step, attempt, missing, refusals })));
        let need = self.roster.threshold();
        if let Some(reject) = self.unwilling.values().next_back().copied()
            && self.roster.size() - self.unwilling.len() < need
        {
            let (refused, need) = (small(self.unwilling.len()), small(need));
            return self.fail(TrainingFailure::Refused { step, refused, need, reject }, out);
        }
        if attempt.0 >= self.terms.attempts_max.min(REFRESH_ATTEMPTS_MAX) {
            return self.fail(TrainingFailure::AttemptsExhausted { step, attempts: attempt.0 }, out);
        }
        self.attempt = attempt.next();
        self.stage = Stage::Short { packages: None };
        self.begin(None, now_ms, out);
    }

    fn fail(&mut self, failure: TrainingFailure, out: &mut Vec<TrainingOutput>) {
        self.stage = Stage::Over;
        out.push(TrainingOutput::Failed(failure));
    }
}

/// What everybody in T uploads.
const SHARED: [BlobKind; 2] = [BlobKind::RefreshShare, BlobKind::RefreshMask];
