//! The hospital's part of publishing and of asking: contributing, adding the model up, questions of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Fact, ModelChecked, Published};
use crate::hospital::{HospitalMachine, HospitalOutput, SwitchBinding};
use crate::ids::{Attempt, Digest, PartyId, QueryId};
use crate::limits::PUBLISH_ATTEMPTS_MAX;
use crate::message::{
    HospitalMessage, ModelPublished, ModelVerdict, ModelVerified, PublishHead, PublishManifest, PublishOpen, QueryDone,
    QueryFailed, QueryHead, Scope, SwitchRequest, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;

/// What was seen of publishing and serving so far.
#[derive(Default)]
pub(super) struct ServingState {
    publishing: Option<PublishOpen>,
    /// What each contributor is bound to, once the manifest was checked.
    contributions: BTreeMap<PartyId, BodyRoot>,
    /// Announced, and being added up here.
    announced: Option<ModelPublished>,
    /// Published, by what the log says; and who has said that it added that up.
    published: Option<ModelPublished>,
    verified: PartySet,
    /// Models that this site has added up.
    checked: BTreeSet<(Digest, Digest)>,
    /// Own queries, and what shares of their answers are bound to, once that is asked for.
    asked: BTreeMap<QueryId, Option<SwitchBinding>>,
    answered: BTreeSet<QueryId>,
}

impl ServingState {
    /// Queries and releases for this model are allowed from now on.
    pub(super) fn allow(&mut self, model: Digest, program: Digest) {
        self.checked.insert((model, program));
    }

    /// A finished head was announced.
    pub(super) fn announce_head(&mut self, it: &ModelPublished) {
        self.published = Some(it.clone());
    }

    /// Whether queries and releases for this model are allowed.
    pub(super) fn allows(&self, model: Digest, program: Digest) -> bool {
        self.checked.contains(&(model, program))
    }
}

impl HospitalMachine {
    pub(super) fn on_publish_open(&mut self, it: &PublishOpen, out: &mut Vec<HospitalOutput>) {
        self.serving.publishing = None;
        self.serving.contributions.clear();
        if self.facts.has_published() {
            // Another cohort's model beside it would show what its members contributed. Not refused aloud: a start that
            // reads the log again meets the opening of the model that it knows, and may have to add that up again.
            self.serving.publishing = Some(it.clone());
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
        // A head is trained on ciphertexts: nobody has parts of it to publish.
        if it.program != self.config.terms.program || self.config.terms.head.is_some() {
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
            Ok(()) => {
                let bodies = it.heads.iter().filter_map(|signed| match &signed.body {
                    HospitalMessage::PublishHead(head) => Some((signed.author, head.body)),
                    _ => None,
                });
                self.serving.contributions = bodies.collect();
            }
            Err(reject) => self.refuse(Scope::Publish, 0, it.attempt, reject, out),
        }
    }

    /// The coordinator says what the contributions add up to. This site adds them up itself before it asks that model
    /// or releases an answer of it: it might be one hospital's contribution alone.
    pub(super) fn on_model_published(&mut self, it: &ModelPublished, out: &mut Vec<HospitalOutput>) {
        if self.config.terms.head.is_some() {
            return self.on_head_published(it, out);
        }
        let (model, program) = (it.model, it.program);
        let fits = self
            .serving
            .publishing
            .as_ref()
            .is_some_and(|open| open.attempt == it.attempt && open.program == it.program);
        let is_other = self.facts.has_published() && !self.facts.is_published(model, program);
        if !fits || is_other || self.serving.contributions.is_empty() {
            return;
        }
        if !self.facts.has_published() {
            self.persist(Fact::Published(Published { model, program }), out);
        }
        self.serving.published = Some(it.clone());
        self.serving.announced = Some(it.clone());
        if self.facts.is_checked(model, program) {
            return self.model_added(it.attempt, out);
        }
        let contributions: Vec<_> = self.serving.contributions.iter().map(|(party, body)| (*party, *body)).collect();
        let drawn = self.parts_drawn(it, contributions.first().map_or(0, |(_, body)| body.count));
        out.push(HospitalOutput::CheckModel { attempt: it.attempt, contributions, model, drawn });
    }

    pub(super) fn model_added(&mut self, attempt: Attempt, out: &mut Vec<HospitalOutput>) {
        let announced = self.serving.announced.take_if(|announced| announced.attempt == attempt);
        let Some(ModelPublished { model, program, .. }) = announced else { return };
        if !self.facts.is_checked(model, program) {
            self.persist(Fact::ModelChecked(ModelChecked { attempt, model, program }), out);
        }
        self.model_is_checked(ModelVerdict { attempt, model, program }, out);
    }

    /// Says that this site has made the announced model itself, and takes questions to it once t have said so.
    pub(super) fn model_is_checked(&mut self, verdict: ModelVerdict, out: &mut Vec<HospitalOutput>) {
        let ModelVerdict { attempt, model, program } = verdict;
        self.serving.allow(model, program);
        if let Err(reject) = self.sign_once(HospitalMessage::ModelVerdict(verdict), out) {
            return self.refuse(Scope::Publish, 0, attempt, reject, out);
        }
        if self.is_verified() {
            out.push(HospitalOutput::ModelReady { model, program });
        }
    }

    /// Whether t hospitals have added the model up, as the log shows.
    fn is_verified(&self) -> bool {
        self.roster.as_ref().is_some_and(|roster| self.serving.verified.len() >= roster.threshold())
    }

    pub(super) fn on_model_verified(&mut self, it: &ModelVerified, out: &mut Vec<HospitalOutput>) {
        let Some(ModelPublished { attempt, model, program }) = self.serving.published.clone() else { return };
        let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program });
        let signers =
            self.signed_roster().and_then(|roster| distinct_signers(&it.verdicts, roster, |_, body| *body == verdict));
        let signers = match signers {
            Ok(signers) => signers,
            Err(reject) => return self.refuse(Scope::Publish, 0, attempt, reject, out),
        };
        let was_verified = self.is_verified();
        self.serving.verified = self.serving.verified.union(signers);
        if signers.contains(self.config.party) {
            // It arrived: a restart need not send it again.
            self.read_so_far(out);
        }
        if !was_verified && self.is_verified() && self.serving.allows(model, program) {
            out.push(HospitalOutput::ModelReady { model, program });
        }
    }

    /// The same of an entry that was acted upon before a restart; whether queries may be asked from there on.
    pub(super) fn remember_verified(&mut self, it: &ModelVerified) -> Option<(Digest, Digest)> {
        let ModelPublished { model, program, .. } = self.serving.published.clone()?;
        let was_verified = self.is_verified();
        it.verdicts.iter().for_each(|verdict| self.serving.verified.insert(verdict.author));
        let is_ready = !was_verified && self.is_verified() && self.serving.allows(model, program);
        is_ready.then_some((model, program))
    }

    pub(super) fn remember_published(&mut self, it: &ModelPublished) {
        self.serving.allow(it.model, it.program);
        self.serving.published = Some(it.clone());
    }

    pub(super) fn ask(&mut self, head: QueryHead, out: &mut Vec<HospitalOutput>) {
        let (query, body) = (head.query, head.body);
        if query.asker() != Some(self.config.party) || self.facts.sent((14, query.0, 0)).is_some() {
            return out.push(HospitalOutput::AnswerFailed { query, reject: Reject::QueryRepeated });
        }
        if !self.serving.allows(head.model, head.program) {
            return out.push(HospitalOutput::AnswerFailed { query, reject: Reject::UnknownModel });
        }
        self.sign(HospitalMessage::QueryHead(Box::new(head)), out);
        self.serving.asked.insert(query, None);
        out.push(HospitalOutput::Upload { kind: BlobKind::Query, number: query.0, attempt: 0, body });
    }

    pub(super) fn on_query_done(&mut self, it: &QueryDone, out: &mut Vec<HospitalOutput>) {
        self.switch_is_over(it.query, out);
        let Some(bound) = self.serving.asked.get(&it.query) else { return };
        if !self.serving.answered.insert(it.query) {
            return;
        }
        // Without a request for this very query nobody released an answer to it.
        let binding = bound.as_ref().ok_or(Reject::Contradiction);
        let opened = binding.and_then(|binding| {
            let boxes = it.boxes(binding, self.signed_roster()?)?;
            Ok(HospitalOutput::OpenAnswer { binding: Box::new(binding.clone()), boxes })
        });
        out.push(opened.unwrap_or_else(|reject| HospitalOutput::AnswerFailed { query: it.query, reject }));
    }

    /// What the shares of the answer to an own query are bound to. The first request counts: no other is answered.
    pub(super) fn own_query_is_released(&mut self, it: &SwitchRequest, out: &mut Vec<HospitalOutput>) {
        let Some(binding) = SwitchBinding::of(self.config.epoch, it) else { return };
        let (query, is_own) = (binding.query, self.facts.sent((14, binding.query.0, 0)) == Some(&it.head));
        if let Some(bound @ None) = self.serving.asked.get_mut(&query).filter(|_| is_own) {
            *bound = Some(binding);
            out.push(HospitalOutput::AnswerEvaluated { query });
        }
    }

    pub(super) fn on_query_failed(&mut self, it: &QueryFailed, out: &mut Vec<HospitalOutput>) {
        self.switch_is_over(it.query, out);
        if self.serving.asked.contains_key(&it.query) && self.serving.answered.insert(it.query) {
            out.push(HospitalOutput::AnswerFailed { query: it.query, reject: it.reject });
        }
    }
}
