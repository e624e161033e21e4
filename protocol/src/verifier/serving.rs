//! The published model, and queries of it.

use std::collections::BTreeMap;

use crate::hospital::SwitchBinding;
use crate::ids::{PartyId, QueryId};
use crate::limits::{PUBLISH_ATTEMPTS_MAX, QUERY_BYTES_MAX};
use crate::message::{
    HospitalMessage, LogMessage, ModelPublished, ModelVerdict, ModelVerified, PublishManifest, PublishOpen, QueryHead,
    SignedMessage, SwitchRequest, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::terms::Terms;
use crate::verifier::fault::{Fault, require, require_of};

/// What was seen of publishing and serving.
#[derive(Default)]
pub(super) struct Serving {
    open: Option<PublishOpen>,
    /// Whether all of the cohort stand in the manifest.
    is_complete: bool,
    published: Option<ModelPublished>,
    verified: PartySet,
    /// What the answers that were asked for are bound to; none once it is answered or failed.
    switched: BTreeMap<QueryId, Option<SwitchBinding>>,
    switched_for: BTreeMap<PartyId, u64>,
}

impl Serving {
    pub(super) fn step(
        &mut self,
        message: &LogMessage,
        roster: &Roster,
        approved: Option<&Terms>,
        is_head: bool,
    ) -> Result<(), Fault> {
        let is_set_of_t = |set: PartySet| set.len() == roster.threshold() && set.is_subset(roster.parties());
        match message {
            LogMessage::PublishOpen(it) => self.opened(it, roster, approved),
            LogMessage::PublishManifest(it) => self.manifest(it, roster),
            LogMessage::ModelPublished(it) => self.published(it, is_head),
            LogMessage::ModelVerified(it) => self.verified(it, roster),
            LogMessage::QueryOpen(it) => {
                self.check_query(&it.head)?;
                require(is_set_of_t(it.decryptors), Reject::DecryptorsWrong)
            }
            LogMessage::SwitchRequest(it) => {
                let is_able = it.decryptors.is_subset(self.verified) && is_set_of_t(it.decryptors);
                let binding = SwitchBinding::of(roster.epoch(), it);
                self.switched(it, binding, is_able, approved)
            }
            // An answer is what T signed for, of what it was asked for, once.
            LogMessage::QueryDone(it) => {
                let binding = self.switched.get_mut(&it.query).and_then(Option::take).ok_or(Reject::OutOfTurn)?;
                it.boxes(&binding, roster).map(drop).map_err(Fault::from)
            }
            LogMessage::QueryFailed(it) => {
                if let Some(binding) = self.switched.get_mut(&it.query) {
                    *binding = None;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn opened(&mut self, it: &PublishOpen, roster: &Roster, approved: Option<&Terms>) -> Result<(), Fault> {
        require(it.attempt.0 <= PUBLISH_ATTEMPTS_MAX, Reject::LimitExceeded)?;
        let smallest = roster.threshold().max(approved.map_or(0, |terms| usize::from(terms.min_cohort)));
        let is_known = it.cohort.is_subset(roster.parties());
        require(is_known && it.cohort.len() >= smallest, Reject::CohortTooSmall)?;
        (self.open, self.is_complete) = (Some(it.clone()), false);
        Ok(())
    }

    /// A model is added up from a complete manifest.
    fn manifest(&mut self, it: &PublishManifest, roster: &Roster) -> Result<(), Fault> {
        let open = self.open.as_ref().ok_or(Reject::OutOfTurn)?;
        for message in &it.heads {
            if let HospitalMessage::PublishHead(head) = &message.body
                && head.attempt == open.attempt
            {
                let fits = (head.model, head.program) == (open.model, open.program);
                require_of(message.author, fits, Reject::Contradiction)?;
            }
        }
        let heads = distinct_signers(
            &it.heads,
            roster,
            |_, body| matches!(body, HospitalMessage::PublishHead(head) if head.attempt == open.attempt),
        )?;
        require(heads == open.cohort && it.attempt == open.attempt, Reject::ManifestMalformed)?;
        self.is_complete = true;
        Ok(())
    }

    /// A head has no parts to be added up: that it is finished was seen elsewhere.
    fn published(&mut self, it: &ModelPublished, is_head: bool) -> Result<(), Fault> {
        let of = |open: &PublishOpen| (open.attempt, open.program) == (it.attempt, it.program);
        require(is_head || self.is_complete && self.open.as_ref().is_some_and(of), Reject::OutOfTurn)?;
        require(self.published.is_none(), Reject::Contradiction)?;
        self.published = Some(it.clone());
        Ok(())
    }

    fn verified(&mut self, it: &ModelVerified, roster: &Roster) -> Result<(), Fault> {
        let ModelPublished { attempt, model, program } = self.published.clone().ok_or(Reject::OutOfTurn)?;
        let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program });
        let agree = distinct_signers(&it.verdicts, roster, |_, body| *body == verdict)?;
        self.verified = self.verified.union(agree);
        require(self.verified.len() >= roster.threshold(), Reject::TooFewSignatures)
    }

    /// Whoever is asked to release has added the model up, and a query is released once.
    fn switched(
        &mut self,
        it: &SwitchRequest,
        binding: Option<SwitchBinding>,
        is_able: bool,
        approved: Option<&Terms>,
    ) -> Result<(), Fault> {
        let query = self.check_query(&it.head)?.query;
        require(is_able, Reject::DecryptorsWrong)?;
        require(self.switched.insert(query, binding).is_none(), Reject::QueryRepeated)?;
        let of_asker = self.switched_for.entry(it.head.author).or_default();
        *of_asker += 1;
        let Some(terms) = approved else { return Ok(()) };
        require(*of_asker <= terms.queries_per_asker_max, Reject::QuotaExceeded)?;
        let answers = self.switched.len() as u64;
        require(answers <= terms.tau_serving, Reject::BudgetSpent)?;
        require(terms.may_leak(answers), Reject::LeakBudgetSpent)
    }

    /// A query of the published model, by the hospital in its number.
    fn check_query<'a>(&self, signed: &'a SignedMessage) -> Result<&'a QueryHead, Fault> {
        let HospitalMessage::QueryHead(head) = &signed.body else { return Err(Reject::Contradiction.into()) };
        let asker = signed.author;
        require_of(asker, head.query.asker() == Some(asker), Reject::QueryRepeated)?;
        let of = |published: &ModelPublished| (published.model, published.program) == (head.model, head.program);
        require_of(asker, self.published.as_ref().is_some_and(of), Reject::UnknownModel)?;
        let is_small = head.body.within_limits() && head.body.size_bytes <= QUERY_BYTES_MAX;
        require_of(asker, is_small, Reject::LimitExceeded)?;
        Ok(head)
    }
}
