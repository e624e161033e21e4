//! Rounds, from their opening to the votes.

use std::collections::BTreeMap;

use crate::hospital::ShareBinding;
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{
    Abandon, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, RoundClosed, RoundOpen, RoundPurpose,
    ShareRequest, SumReady, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::terms::Terms;
use crate::verifier::fault::{Fault, require, require_of};

/// What is known of the round under way.
struct Open {
    round: RoundOpen,
    attempt: Attempt,
    /// S of the first manifest; all attempts keep it.
    cohort: Option<PartySet>,
    state: Attempted,
}

/// What is known of its attempt.
#[derive(Default)]
struct Attempted {
    /// Digest and chunks.
    manifest: Option<(Digest, u32)>,
    frozen: bool,
    decryptors: Option<PartySet>,
    requested: bool,
    summed: bool,
}

/// What was seen of rounds.
#[derive(Default)]
pub(super) struct Rounds {
    last: RoundId,
    open: Option<Open>,
    terms: Option<Digest>,
    /// The model that all hold; unknown before the first round.
    model: Option<Digest>,
    trained: u32,
    measured: u32,
    revealed: Vec<(Digest, PartySet)>,
    /// Chunks for which each hospital was asked to release shares.
    asked: BTreeMap<PartyId, u64>,
}

impl Rounds {
    /// Where training begins and by which terms is known beforehand.
    pub(super) fn approve(&mut self, terms: &Terms) {
        (self.terms, self.model) = (Some(terms.digest()), Some(terms.initial_model));
    }

    /// Whether this is the model that all hold.
    pub(super) fn is_held(&mut self, model: Digest) -> bool {
        *self.model.get_or_insert(model) == model
    }

    pub(super) fn step(
        &mut self,
        message: &LogMessage,
        roster: &Roster,
        approved: Option<&Terms>,
    ) -> Result<(), Fault> {
        match message {
            LogMessage::RoundOpen(it) => self.opened(it, approved),
            LogMessage::Manifest(it) => self.manifest(it, roster, approved),
            LogMessage::CohortFrozen(it) => self.frozen(it, roster),
            LogMessage::Decryptors(it) => self.decryptors(it, roster),
            LogMessage::ShareRequest(it) => self.requested(it, roster),
            LogMessage::SumReady(it) => self.summed(it, roster, approved),
            LogMessage::RoundClosed(it) => self.closed(it, roster),
            LogMessage::Abandon(it) => self.abandoned(it),
            LogMessage::RoundVoid(it) => {
                require(self.open.take().is_some_and(|open| open.round.round == it.round), Reject::RoundNumber)
            }
            _ => Ok(()),
        }
    }

    /// Rounds that closed with a sum from which no model follows.
    pub(super) fn measured(&self) -> u32 {
        self.measured
    }

    fn opened(&mut self, it: &RoundOpen, approved: Option<&Terms>) -> Result<(), Fault> {
        require(it.round > self.last, Reject::RoundNumber)?;
        require(self.is_held(it.base_model), Reject::BaseModelDiffers)?;
        require(*self.terms.get_or_insert(it.terms) == it.terms, Reject::PlanNotApproved)?;
        if let Some(terms) = approved {
            match it.purpose {
                RoundPurpose::Train => require(self.trained < terms.rounds, Reject::PlanNotApproved)?,
                RoundPurpose::Figures | RoundPurpose::Moments => {
                    require(self.measured < terms.rounds_of(it.purpose), Reject::FiguresAgain)?;
                }
            }
        }
        self.last = it.round;
        self.open =
            Some(Open { round: it.clone(), attempt: Attempt::FIRST, cohort: None, state: Attempted::default() });
        Ok(())
    }

    /// The round and attempt under way, which every further word names.
    fn current(&mut self, round: RoundId, attempt: Attempt) -> Result<&mut Open, Fault> {
        let is_it = |open: &&mut Open| (open.round.round, open.attempt) == (round, attempt);
        self.open.as_mut().filter(is_it).ok_or(Reject::RoundNumber.into())
    }

    fn manifest(&mut self, it: &Manifest, roster: &Roster, approved: Option<&Terms>) -> Result<(), Fault> {
        let open = self.current(it.round, it.attempt)?;
        let heads = it.update_heads().ok_or(Reject::ManifestMalformed)?;
        let ascending = heads.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let of_attempt = heads.iter().all(|(_, head)| (head.round, head.attempt) == (it.round, it.attempt));
        require(ascending && of_attempt, Reject::ManifestMalformed)?;
        let RoundOpen { purpose, base_model, terms, .. } = open.round;
        for (party, head) in &heads {
            let of_round = (head.purpose, head.base_model, head.terms) == (purpose, base_model, terms);
            require_of(*party, of_round && head.body.within_limits(), Reject::ManifestMalformed)?;
            let is_whole = approved.is_none_or(|terms| head.body.count == terms.chunks);
            require_of(*party, is_whole, Reject::ManifestMalformed)?;
        }
        let chunks = heads.first().map_or(0, |(_, head)| head.body.count);
        require(heads.iter().all(|(_, head)| head.body.count == chunks), Reject::ManifestMalformed)?;
        let (cohort, attempts_max) = (it.cohort(), approved.map_or(it.attempt.0, |terms| terms.attempts_max));
        let smallest = roster.threshold().max(approved.map_or(0, |terms| usize::from(terms.min_cohort)));
        require(it.attempt.0 <= attempts_max, Reject::RoundNumber)?;
        require(cohort.len() >= smallest, Reject::CohortTooSmall)?;
        require(*open.cohort.get_or_insert(cohort) == cohort, Reject::CohortChanged)?;
        require(open.state.manifest.is_none(), Reject::Contradiction)?;
        open.state.manifest = Some((it.digest(), chunks));
        Ok(())
    }

    fn frozen(&mut self, it: &CohortFrozen, roster: &Roster) -> Result<(), Fault> {
        let state = &mut self.current(it.round, it.attempt)?.state;
        let (manifest, _) = state.manifest.ok_or(Reject::OutOfTurn)?;
        require(manifest == it.manifest, Reject::Contradiction)?;
        let signers = distinct_signers(&it.signatures, roster, |_, body| {
            matches!(body, HospitalMessage::ManifestSignature(signature)
                if (signature.round, signature.attempt, signature.manifest) == (it.round, it.attempt, it.manifest))
        })?;
        require(signers.len() >= roster.threshold(), Reject::TooFewSignatures)?;
        state.frozen = true;
        Ok(())
    }

    fn decryptors(&mut self, it: &Decryptors, roster: &Roster) -> Result<(), Fault> {
        let state = &mut self.current(it.round, it.attempt)?.state;
        let is_set_of_t = it.decryptors.len() == roster.threshold() && it.decryptors.is_subset(roster.parties());
        require(is_set_of_t, Reject::DecryptorsWrong)?;
        require(state.frozen, Reject::OutOfTurn)?;
        require(state.decryptors.is_none(), Reject::AlreadyAccepted)?;
        state.decryptors = Some(it.decryptors);
        Ok(())
    }

    fn requested(&mut self, it: &ShareRequest, roster: &Roster) -> Result<(), Fault> {
        let open = self.current(it.round, it.attempt)?;
        let (manifest, chunks) = open.state.manifest.ok_or(Reject::OutOfTurn)?;
        let decryptors = open.state.decryptors.ok_or(Reject::OutOfTurn)?;
        let (base_model, cohort) = (open.round.base_model, open.cohort.unwrap_or_default());
        let accepted = distinct_signers(&it.acceptances, roster, |_, body| {
            matches!(body, HospitalMessage::Acceptance(acceptance)
                if (acceptance.round, acceptance.attempt) == (it.round, it.attempt)
                    && (acceptance.manifest, acceptance.decryptors) == (manifest, decryptors))
        })?;
        require(accepted == decryptors, Reject::TooFewSignatures)?;
        let is_again = std::mem::replace(&mut open.state.requested, true);
        for (known, revealed) in &self.revealed {
            let may_follow = *known != base_model || roster.cohorts_may_follow(*revealed, cohort);
            require(may_follow, Reject::CohortRule)?;
        }
        if !is_again {
            self.revealed.push((base_model, cohort));
            for party in decryptors.iter() {
                *self.asked.entry(party).or_default() += u64::from(chunks);
            }
        }
        Ok(())
    }

    /// A sum is made of what the manifest's heads and these of T name.
    fn summed(&mut self, it: &SumReady, roster: &Roster, approved: Option<&Terms>) -> Result<(), Fault> {
        let open = self.current(it.round, it.attempt)?;
        require(open.state.requested && !open.state.summed, Reject::OutOfTurn)?;
        open.state.summed = true;
        let (manifest, chunks) = open.state.manifest.unwrap_or_default();
        let (cohort, decryptors) = (open.cohort.unwrap_or_default(), open.state.decryptors.unwrap_or_default());
        let (epoch, round, attempt) = (roster.epoch(), it.round, it.attempt);
        let binding = ShareBinding { epoch, round, attempt, cohort, decryptors, manifest, chunks };
        require(it.chunks.len() == chunks as usize, Reject::SumRejected)?;
        for message in &it.shares {
            if let HospitalMessage::ShareHead(head) = &message.body
                && (head.round, head.attempt) == (round, attempt)
            {
                let fits = head.binding == binding.digest() && head.body.count == chunks;
                require_of(message.author, fits, Reject::Contradiction)?;
            }
        }
        it.shares_for(&binding, roster)?;
        if let Some(terms) = approved {
            for party in decryptors.iter() {
                let released = self.asked.get(&party).copied().unwrap_or_default();
                require_of(party, released <= terms.tau_aggregation, Reject::BudgetSpent)?;
            }
        }
        Ok(())
    }

    fn closed(&mut self, it: &RoundClosed, roster: &Roster) -> Result<(), Fault> {
        let open = self.current(it.round, it.attempt)?;
        require(open.state.summed, Reject::OutOfTurn)?;
        let voters = distinct_signers(&it.votes, roster, |_, body| {
            matches!(body, HospitalMessage::ModelVote(vote)
                if (vote.round, vote.attempt, vote.model) == (it.round, it.attempt, Some(it.model)))
        })?;
        require(voters.len() >= roster.threshold(), Reject::TooFewSignatures)?;
        match open.round.purpose {
            RoundPurpose::Train => (self.trained, self.model) = (self.trained.saturating_add(1), Some(it.model)),
            RoundPurpose::Figures | RoundPurpose::Moments => self.measured = self.measured.saturating_add(1),
        }
        self.open = None;
        Ok(())
    }

    fn abandoned(&mut self, it: &Abandon) -> Result<(), Fault> {
        let open = self.current(it.round, it.attempt)?;
        (open.attempt, open.state) = (it.attempt.next(), Attempted::default());
        Ok(())
    }
}
