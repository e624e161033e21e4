//! The hospital's part of publishing and of encrypted inference: contributing, asking, switching for others.

use std::collections::BTreeSet;

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Fact, Published, Switched};
use crate::hospital::{HospitalMachine, HospitalOutput, SwitchBinding};
use crate::ids::{Attempt, Digest, QueryId};
use crate::limits::PUBLISH_ATTEMPTS_MAX;
use crate::message::{
    HospitalMessage, ModelPublished, PublishHead, PublishManifest, PublishOpen, QueryDone, QueryFailed, QueryHead,
    Scope, SwitchRequest, SwitchShareHead, distinct_signers,
};
use crate::reject::Reject;

/// What was seen of publishing and serving so far.
#[derive(Default)]
pub(super) struct ServingState {
    publishing: Option<PublishOpen>,
    manifest_checked: bool,
    published: BTreeSet<(Digest, Digest)>,
    asked: BTreeSet<QueryId>,
    answered: BTreeSet<QueryId>,
}

impl ServingState {
    /// Queries and switches for this model are allowed from now on.
    pub(super) fn allow(&mut self, model: Digest, program: Digest) {
        self.published.insert((model, program));
    }
}

impl HospitalMachine {
    pub(super) fn on_publish_open(&mut self, it: &PublishOpen, out: &mut Vec<HospitalOutput>) {
        self.serving.publishing = None;
        self.serving.manifest_checked = false;
        if self.facts.has_published() {
            // Another cohort's model beside it would show what its members contributed. Not refused aloud: a start that
            // reads the log again meets the opening of the model that it knows.
            return;
        }
        let result = self.check_publish(it);
        if let Err(reject) = result {
            return self.refuse(Scope::Publish, 0, it.attempt, reject, out);
        }
        self.serving.publishing = Some(it.clone());
        if !it.cohort.contains(self.config.party) {
            return;
        }
        let PublishOpen { attempt, model, program, cohort } = *it;
        // After a restart as well, since the ciphertexts were only in memory: the sealed contribution gives the same
        // ones, and other ones would contradict the signed head.
        out.push(HospitalOutput::EncryptPublish { attempt, model, program, cohort });
    }

    fn check_publish(&self, it: &PublishOpen) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        if it.model != self.model {
            return Err(Reject::BaseModelDiffers);
        }
        if it.program != self.config.terms.program {
            return Err(Reject::PlanNotApproved);
        }
        if it.attempt.0 > PUBLISH_ATTEMPTS_MAX {
            return Err(Reject::LimitExceeded);
        }
        let smallest = roster.threshold().max(usize::from(self.config.terms.min_cohort));
        let enough = it.cohort.is_subset(roster.parties()) && it.cohort.len() >= smallest;
        if enough { Ok(()) } else { Err(Reject::CohortTooSmall) }
    }

    pub(super) fn publish_encrypted(&mut self, attempt: Attempt, body: BodyRoot, out: &mut Vec<HospitalOutput>) {
        let Some(open) = self.serving.publishing.as_ref().filter(|open| open.attempt == attempt) else { return };
        let head = PublishHead { attempt, model: open.model, program: open.program, body };
        match self.sign_once(HospitalMessage::PublishHead(head), out) {
            Ok(()) => {
                let kind = BlobKind::PublishChunk;
                out.push(HospitalOutput::Upload { kind, number: 0, attempt: attempt.0, body });
            }
            Err(reject) => self.refuse(Scope::Publish, 0, attempt, reject, out),
        }
    }

    pub(super) fn on_publish_manifest(&mut self, it: &PublishManifest, out: &mut Vec<HospitalOutput>) {
        let Some(open) = &self.serving.publishing else { return };
        let own = self.facts.sent((13, 0, it.attempt.0));
        let result = self.signed_roster().and_then(|roster| {
            let contributors = distinct_signers(&it.heads, roster, |_, body| {
                matches!(body, HospitalMessage::PublishHead(head)
                    if (head.attempt, head.model, head.program) == (open.attempt, open.model, open.program))
            })?;
            let listed = it.heads.iter().find(|head| head.author == self.config.party);
            if contributors != open.cohort {
                Err(Reject::ManifestMalformed)
            } else if listed.is_some() && listed != own {
                Err(Reject::OwnHeadChanged)
            } else {
                Ok(())
            }
        });
        match result {
            Ok(()) => self.serving.manifest_checked = true,
            Err(reject) => self.refuse(Scope::Publish, 0, it.attempt, reject, out),
        }
    }

    pub(super) fn on_model_published(&mut self, it: &ModelPublished, out: &mut Vec<HospitalOutput>) {
        let fits = self.serving.publishing.as_ref().is_some_and(|open| {
            self.serving.manifest_checked && open.attempt == it.attempt && open.program == it.program
        });
        if fits {
            self.serving.allow(it.model, it.program);
            self.persist(Fact::Published(Published { model: it.model, program: it.program }), out);
            self.read_so_far(out);
            out.push(HospitalOutput::ModelReady { model: it.model, program: it.program });
        }
    }

    pub(super) fn ask(&mut self, head: QueryHead, out: &mut Vec<HospitalOutput>) {
        let (query, body) = (head.query, head.body);
        if query.asker() != Some(self.config.party) || self.facts.sent((14, query.0, 0)).is_some() {
            return out.push(HospitalOutput::AnswerFailed { query, reject: Reject::QueryRepeated });
        }
        if !self.serving.published.contains(&(head.model, head.program)) {
            return out.push(HospitalOutput::AnswerFailed { query, reject: Reject::UnknownModel });
        }
        self.sign(HospitalMessage::QueryHead(Box::new(head)), out);
        self.serving.asked.insert(query);
        out.push(HospitalOutput::Upload { kind: BlobKind::Query, number: query.0, attempt: 0, body });
    }

    pub(super) fn on_switch_request(&mut self, it: &SwitchRequest, out: &mut Vec<HospitalOutput>) {
        if let Err((query, reject)) = self.switch_request(it, out) {
            self.refuse(Scope::Query, query.0, Attempt(0), reject, out);
        }
    }

    fn switch_request(&mut self, it: &SwitchRequest, out: &mut Vec<HospitalOutput>) -> Result<(), (QueryId, Reject)> {
        let HospitalMessage::QueryHead(head) = &it.head.body else {
            return Err((QueryId(0), Reject::Contradiction));
        };
        let query = head.query;
        if !it.decryptors.contains(self.config.party) {
            return Ok(());
        }
        let binding = self.check_switch(it, head).map_err(|reject| (query, reject))?;
        let digest = binding.digest();
        match self.facts.switched(query) {
            Some(known) if known == digest => {}
            Some(_) => return Err((query, Reject::AlreadyReleased)),
            None => {
                let asker = it.head.author;
                if self.facts.switches_released() >= self.config.terms.tau_serving {
                    return Err((query, Reject::BudgetSpent));
                }
                if self.facts.switches_for(asker) >= self.config.terms.queries_per_asker_max {
                    return Err((query, Reject::QuotaExceeded));
                }
                self.persist(Fact::Switched(Switched { query, asker, binding: digest }), out);
            }
        }
        out.push(HospitalOutput::ReleaseSwitch(binding));
        Ok(())
    }

    fn check_switch(&self, it: &SwitchRequest, head: &QueryHead) -> Result<SwitchBinding, Reject> {
        let roster = self.signed_roster()?;
        it.head.verify(roster)?;
        if head.query.asker() != Some(it.head.author) {
            return Err(Reject::QueryRepeated);
        }
        if !self.serving.published.contains(&(head.model, head.program)) {
            return Err(Reject::UnknownModel);
        }
        if it.decryptors.len() != roster.threshold() || !it.decryptors.is_subset(roster.parties()) {
            return Err(Reject::DecryptorsWrong);
        }
        if !it.result.within_limits() {
            return Err(Reject::LimitExceeded);
        }
        SwitchBinding::of(self.config.epoch, it).ok_or(Reject::Contradiction)
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

    pub(super) fn on_query_done(&mut self, it: &QueryDone, out: &mut Vec<HospitalOutput>) {
        if self.serving.asked.contains(&it.query) && self.serving.answered.insert(it.query) {
            out.push(HospitalOutput::OpenAnswer { query: it.query, answer: it.answer });
        }
    }

    pub(super) fn on_query_failed(&mut self, it: &QueryFailed, out: &mut Vec<HospitalOutput>) {
        if self.serving.asked.contains(&it.query) && self.serving.answered.insert(it.query) {
            out.push(HospitalOutput::AnswerFailed { query: it.query, reject: it.reject });
        }
    }
}
