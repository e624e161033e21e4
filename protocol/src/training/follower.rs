//! The hospital's side of training a head on ciphertexts: it takes every step itself, and shares in nothing else.
//!
//! ```text
//! Take -> (ZerosOpen: MakeZeros -> head) -> RefreshOpen: compare (AddZeros) -> Share -> head
//!      -> RefreshBlinded: Open -> head, the opener alone -> RefreshDone: Join -> Take ..
//! after the last step: ModelPublished: compare -> verdict
//! ```
//!
//! A hospital that follows later than others, or again after a restart, takes the steps that the log has finished and
//! shares in none of them. What is signed is signed once by whoever owns this: a repeat has the same bytes.

mod asked;
mod effect;
#[cfg(test)]
mod tests;

pub use effect::{FollowerInput, FollowerOutput, Joining, TaskDone, TrainingTask};

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, StepId};
use crate::message::{
    HospitalMessage, LogMessage, ModelPublished, ModelVerdict, OpeningHead, RefreshHead, Scope, ZeroHead,
};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::training::TrainingTerms;
pub(crate) use asked::Asked;
use asked::Open;

/// The machine. One per head and hospital.
pub struct Follower {
    party: PartyId,
    terms: TrainingTerms,
    asked: Asked,
    /// The step at hand here, at most the log's.
    step: StepId,
    /// What it left, and what that is with the zeros of an attempt.
    left: Option<BodyRoot>,
    added: Option<(Attempt, BodyRoot)>,
    /// The attempts that zeros, shares and an opening were asked of this hospital in, at this step.
    zeroed: Attempt,
    shared: Attempt,
    opened: Attempt,
    /// The attempt in which its shares left.
    sent: Attempt,
    has_started: bool,
    /// A job is under way; and whether nothing goes on without it.
    is_busy: bool,
    is_needed: bool,
    /// The log asked for something that no step left, or this hospital cannot follow: nothing leaves any more.
    is_out: bool,
    /// The finished head, as made here, and as announced.
    own: Option<Digest>,
    announced: Option<ModelPublished>,
}

impl Follower {
    /// A hospital that waits for everybody's uploads. What it reads of the log meanwhile it acts upon after the start.
    #[must_use]
    pub fn new(party: PartyId, roster: Roster, terms: TrainingTerms) -> Self {
        Self {
            party,
            asked: Asked::new(roster, terms.clone()),
            terms,
            step: StepId::FIRST,
            left: None,
            added: None,
            zeroed: Attempt(0),
            shared: Attempt(0),
            opened: Attempt(0),
            sent: Attempt(0),
            has_started: false,
            // Until everybody's uploads are at hand.
            is_busy: true,
            is_needed: false,
            is_out: false,
            own: None,
            announced: None,
        }
    }

    /// The step at hand.
    #[must_use]
    pub fn step(&self) -> StepId {
        self.step
    }

    /// Takes one input and says what to do, in order.
    pub fn on(&mut self, input: FollowerInput<'_>) -> Vec<FollowerOutput> {
        let mut out = Vec::new();
        match input {
            FollowerInput::Start => {
                self.is_busy &= self.has_started;
                self.has_started = true;
            }
            FollowerInput::Entry(entry) => self.entry(entry, &mut out),
            FollowerInput::Done(done) => self.done(done, &mut out),
        }
        self.advance(&mut out);
        out
    }

    /// What a task came to.
    fn done(&mut self, done: TaskDone, out: &mut Vec<FollowerOutput>) {
        match done {
            TaskDone::Taken { step, attempt, packages } => {
                if self.ends(step) {
                    if attempt == Attempt::FIRST {
                        self.left = Some(packages);
                    }
                    self.added = Some((attempt, packages));
                }
            }
            TaskDone::ZerosMade { step, attempt, body } => {
                if self.ends(step) {
                    out.push(FollowerOutput::Say(HospitalMessage::ZeroHead(ZeroHead { step, attempt, body })));
                    self.upload(BlobKind::RefreshZero, attempt, body, out);
                }
            }
            TaskDone::Shared { step, attempt, shares, masks } => {
                if self.ends(step)
                    && let Some(binding) = self.asked.binding(step, attempt)
                {
                    self.sent = attempt;
                    let head = RefreshHead { step, attempt, binding: binding.digest(), shares, masks };
                    out.push(FollowerOutput::Say(HospitalMessage::RefreshHead(Box::new(head))));
                    self.upload(BlobKind::RefreshShare, attempt, shares, out);
                    self.upload(BlobKind::RefreshMask, attempt, masks, out);
                }
            }
            TaskDone::Opened { step, attempt, body } => {
                if self.ends(step)
                    && let Some((binding, sums)) = self.asked.binding(step, attempt).zip(self.asked.sums())
                {
                    let head = OpeningHead { step, attempt, binding: binding.digest(), sums: sums.root, body };
                    out.push(FollowerOutput::Say(HospitalMessage::OpeningHead(head)));
                    self.upload(BlobKind::RefreshOpening, attempt, body, out);
                }
            }
            TaskDone::Joined { step, model } => {
                if self.ends(step) {
                    self.joined(model);
                }
            }
            TaskDone::Unable { step, attempt, reject } => {
                if self.ends(step) {
                    self.is_out |= self.is_needed;
                    self.refuse(step, attempt, reject, out);
                }
            }
        }
    }

    /// A job of the step at hand is over.
    fn ends(&mut self, step: StepId) -> bool {
        let is_at_hand = step == self.step && self.is_busy && self.has_started;
        self.is_busy &= !is_at_hand;
        is_at_hand
    }

    fn entry(&mut self, entry: &LogMessage, out: &mut Vec<FollowerOutput>) {
        if let LogMessage::ModelPublished(published) = entry {
            self.announced = Some(published.clone());
        } else if let Err(reject) = self.asked.learn(entry) {
            let (step, attempt) = self.asked.at();
            self.refuse(step, attempt, reject, out);
        }
    }

    fn joined(&mut self, model: Option<Digest>) {
        self.own = model;
        self.step = self.step.next();
        (self.left, self.added) = (None, None);
        (self.zeroed, self.shared, self.opened, self.sent) = (Attempt(0), Attempt(0), Attempt(0), Attempt(0));
    }

    fn advance(&mut self, out: &mut Vec<FollowerOutput>) {
        if self.is_busy || self.is_out {
            return;
        }
        let step = self.step;
        if step.0 > self.terms.steps {
            return self.compare_heads(out);
        }
        if self.left.is_none() {
            return self.begin(TrainingTask::Take { step }, out);
        }
        if let Some(open) = self.asked.finished(step).cloned() {
            if self.is_own(&open, out)
                && let Some(joining) = self.asked.take_finished(step)
            {
                self.begin(TrainingTask::Join(Box::new(joining)), out);
            }
            return;
        }
        if self.asked.at().0 == step {
            self.help(out);
        }
    }

    /// What the log asks of this hospital in the attempt at hand.
    fn help(&mut self, out: &mut Vec<FollowerOutput>) {
        let (step, attempt) = self.asked.at();
        if self.asked.zeroing().is_some_and(|of| of.contains(self.party)) && self.zeroed < attempt {
            self.zeroed = attempt;
            return self.begin(TrainingTask::MakeZeros { step, attempt }, out);
        }
        let Some(open) = self.asked.open().cloned().filter(|it| it.binding.decryptors.contains(self.party)) else {
            return;
        };
        if self.shared < attempt && self.is_own(&open, out) {
            self.shared = attempt;
            return self.begin(TrainingTask::Share(open.binding, open.zeros), out);
        }
        // Only of what it shared in itself, which it compared.
        if let Some(sums) = self.asked.sums()
            && open.binding.opener == self.party
            && self.sent == attempt
            && self.opened < attempt
        {
            self.opened = attempt;
            self.begin(TrainingTask::Open { binding: open.binding, zeros: open.zeros, sums }, out);
        }
    }

    /// Whether what is to be refreshed is what the step left here; where the zeros are not added yet, they are first.
    fn is_own(&mut self, open: &Open, out: &mut Vec<FollowerOutput>) -> bool {
        let (step, attempt) = (open.binding.step, open.binding.attempt);
        match self.added {
            Some((of, own)) if of == attempt => {
                if own != open.binding.packages {
                    self.is_out = true;
                    self.refuse(step, attempt, Reject::StepDiffers, out);
                }
                own == open.binding.packages
            }
            _ if attempt == Attempt::FIRST => {
                self.added = self.left.map(|left| (attempt, left));
                self.added.is_some() && self.is_own(open, out)
            }
            _ => {
                self.begin(TrainingTask::AddZeros { step, attempt, zeros: open.zeros.clone() }, out);
                false
            }
        }
    }

    fn compare_heads(&mut self, out: &mut Vec<FollowerOutput>) {
        let Some((own, announced)) = self.own.zip(self.announced.take()) else { return };
        let ModelPublished { attempt, model, program } = announced;
        if (model, program) == (own, self.terms.served) {
            let verdict = ModelVerdict { attempt, model, program };
            return out.push(FollowerOutput::Say(HospitalMessage::ModelVerdict(verdict)));
        }
        let reject = Reject::HeadDiffers;
        out.push(FollowerOutput::Refuse { scope: Scope::Publish, number: 0, attempt, reject });
    }

    fn begin(&mut self, task: TrainingTask, out: &mut Vec<FollowerOutput>) {
        self.is_busy = true;
        self.is_needed =
            matches!(task, TrainingTask::Take { .. } | TrainingTask::AddZeros { .. } | TrainingTask::Join(_));
        out.push(FollowerOutput::Do(task));
    }

    fn upload(&self, kind: BlobKind, attempt: Attempt, body: BodyRoot, out: &mut Vec<FollowerOutput>) {
        out.push(FollowerOutput::Upload { kind, step: self.step, attempt, body });
    }

    fn refuse(&self, step: StepId, attempt: Attempt, reject: Reject, out: &mut Vec<FollowerOutput>) {
        out.push(FollowerOutput::Refuse { scope: Scope::Training, number: u64::from(step.0), attempt, reject });
    }
}
