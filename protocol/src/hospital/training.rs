//! The hospital's part in training a head on ciphertexts: its features, then whatever [`Follower`] decides.

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Fact, ModelChecked, Published};
use crate::hospital::{HospitalMachine, HospitalOutput};
use crate::ids::{Attempt, Digest, PartyId};
use crate::message::{
    FeaturesHead, FeaturesOpen, FeaturesReady, HospitalMessage, LogMessage, ModelPublished, ModelVerdict, Scope,
    distinct_signers,
};
use crate::reject::Reject;
use crate::training::{Follower, FollowerInput, FollowerOutput, HeadTerms, TaskDone};

/// Everybody's uploads, whom they are of and in how many groups, ascending.
pub type Uploads = Vec<(PartyId, u32, BodyRoot)>;

/// What was seen of a training so far.
#[derive(Default)]
pub(super) struct TrainingState {
    follower: Option<Follower>,
    /// The steps' program, as the coordinator names it.
    program: Digest,
    /// This site made the finished head before a restart: what the log says of its steps is only read again.
    is_over: bool,
}

impl HospitalMachine {
    pub(super) fn on_features_open(&mut self, it: &FeaturesOpen, out: &mut Vec<HospitalOutput>) {
        let result = self.head_terms().and_then(|head| {
            if head.recipe != it.recipe {
                return Err(Reject::PlanNotApproved);
            }
            let is_counted = self.facts.rounds_measured() >= head.moment_rounds as usize;
            let has_keys = self.epoch_is_open && self.own_verdict().is_some();
            let is_time = has_keys && is_counted && self.training.follower.is_none();
            if is_time { Ok(()) } else { Err(Reject::OutOfTurn) }
        });
        match result {
            // After a restart as well, since the bodies were only in memory: the same features give the same ones.
            Ok(()) => out.push(HospitalOutput::EncryptFeatures),
            Err(reject) => self.refuse(Scope::Training, 0, Attempt(0), reject, out),
        }
    }

    pub(super) fn features_made(&mut self, head: FeaturesHead, out: &mut Vec<HospitalOutput>) {
        let body = head.body;
        match self.sign_once(HospitalMessage::FeaturesHead(head), out) {
            Ok(()) => out.push(HospitalOutput::Upload { kind: BlobKind::Feature, number: 0, attempt: 0, body }),
            Err(reject) => self.refuse(Scope::Training, 0, Attempt(0), reject, out),
        }
    }

    pub(super) fn on_features_ready(&mut self, it: &FeaturesReady, out: &mut Vec<HospitalOutput>) {
        match self.check_features(it) {
            Ok(_) if self.facts.model_checked().is_some() => self.training.is_over = true,
            Ok((follower, uploads)) => {
                self.training = TrainingState { follower: Some(follower), program: it.program, is_over: false };
                out.push(HospitalOutput::PrepareTraining { uploads, rows: it.rows });
            }
            Err(reject) => self.refuse(Scope::Training, 0, Attempt(0), reject, out),
        }
    }

    fn check_features(&self, it: &FeaturesReady) -> Result<(Follower, Uploads), Reject> {
        let (roster, head) = (self.signed_roster()?, self.head_terms()?);
        if !self.epoch_is_open || self.training.follower.is_some() {
            return Err(Reject::OutOfTurn);
        }
        let mut uploads = Vec::new();
        let makers = distinct_signers(&it.heads, roster, |maker, body| match body {
            HospitalMessage::FeaturesHead(own) => {
                uploads.push((maker, own.groups, own.body));
                own.rows == it.rows && head.fits(own)
            }
            _ => false,
        })?;
        if !it.heads.is_sorted_by_key(|head| head.author) {
            // Their order is that of the groups, which steps take one after the other.
            return Err(Reject::ManifestMalformed);
        }
        if makers.len() < roster.threshold().max(usize::from(self.config.terms.min_cohort)) {
            return Err(Reject::CohortTooSmall);
        }
        let listed = it.heads.iter().find(|head| head.author == self.config.party);
        if listed.is_some() && listed != self.facts.sent((28, 0, 0)) {
            return Err(Reject::OwnHeadChanged);
        }
        let terms = head.training(it.program, self.config.terms.program);
        Ok((Follower::new(self.config.party, roster.clone(), terms), uploads))
    }

    /// The program that follows from everybody's uploads here; steps are taken if it is the one that was named.
    pub(super) fn training_prepared(&mut self, program: Digest, out: &mut Vec<HospitalOutput>) {
        if program == self.training.program {
            self.follow(FollowerInput::Start, out);
        } else {
            self.refuse(Scope::Training, 0, Attempt(0), Reject::ProgramDiffers, out);
        }
    }

    pub(super) fn task_done(&mut self, done: TaskDone, out: &mut Vec<HospitalOutput>) {
        self.follow(FollowerInput::Done(done), out);
    }

    /// An entry of the training; [`Reject::OutOfTurn`] before anything is trained on.
    pub(super) fn on_training(&mut self, entry: &LogMessage, out: &mut Vec<HospitalOutput>) {
        if self.training.is_over {
            return;
        }
        let result = self.head_terms().map(|_| self.training.follower.is_some());
        match result {
            Ok(true) => self.follow(FollowerInput::Entry(entry), out),
            Ok(false) => self.refuse(Scope::Training, 0, Attempt(0), Reject::OutOfTurn, out),
            Err(reject) => self.refuse(Scope::Training, 0, Attempt(0), reject, out),
        }
    }

    /// The finished head, as the coordinator names it: compared with this hospital's own before it is asked anything.
    pub(super) fn on_head_published(&mut self, it: &ModelPublished, out: &mut Vec<HospitalOutput>) {
        self.serving.announce_head(it);
        let ModelPublished { attempt, model, program } = *it;
        if self.facts.is_checked(model, program) {
            return self.model_is_checked(ModelVerdict { attempt, model, program }, out);
        }
        self.on_training(&LogMessage::ModelPublished(it.clone()), out);
    }

    fn head_terms(&self) -> Result<&HeadTerms, Reject> {
        self.config.terms.head.as_ref().ok_or(Reject::PlanNotApproved)
    }

    fn follow(&mut self, input: FollowerInput<'_>, out: &mut Vec<HospitalOutput>) {
        let Some(follower) = &mut self.training.follower else { return };
        for output in follower.on(input) {
            match output {
                FollowerOutput::Do(task) => out.push(HospitalOutput::TrainHead(task)),
                FollowerOutput::Say(HospitalMessage::ModelVerdict(verdict)) => self.head_is_own(verdict, out),
                FollowerOutput::Say(body) => {
                    let number = body.step_key().map_or(0, |(_, step, _)| step);
                    if let Err(reject) = self.sign_once(body, out) {
                        self.refuse(Scope::Training, number, Attempt(0), reject, out);
                    }
                }
                FollowerOutput::Upload { kind, step, attempt, body } => {
                    let (number, attempt) = (u64::from(step.0), attempt.0);
                    out.push(HospitalOutput::Upload { kind, number, attempt, body });
                }
                FollowerOutput::Refuse { scope, number, attempt, reject } => {
                    self.refuse(scope, number, attempt, reject, out);
                }
            }
        }
    }

    /// The announced head is the one that was made here: queries and releases for it are allowed.
    fn head_is_own(&mut self, verdict: ModelVerdict, out: &mut Vec<HospitalOutput>) {
        let ModelVerdict { attempt, model, program } = verdict;
        if self.facts.has_published() && !self.facts.is_published(model, program) {
            return self.refuse(Scope::Publish, 0, attempt, Reject::Contradiction, out);
        }
        if !self.facts.has_published() {
            self.persist(Fact::Published(Published { model, program }), out);
        }
        if !self.facts.is_checked(model, program) {
            self.persist(Fact::ModelChecked(ModelChecked { attempt, model, program }), out);
        }
        self.model_is_checked(verdict, out);
    }
}
