//! The hospital's part of a training round: the release predicate and the once-only rules live here.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Encrypting, Fact};
use crate::hospital::{EarlierCohort, HospitalMachine, HospitalOutput};
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::limits::{ATTEMPTS_AHEAD_MAX, ATTEMPTS_MAX};
use crate::message::{
    Abandon, Acceptance, CohortFrozen, Decryptors, HospitalMessage, Manifest, ManifestSignature, RoundOpen,
    RoundPurpose, RoundVoid, Scope, UpdateHead, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::cohort_gap;
use crate::signature::VerifyingKey;

/// The round this hospital follows.
pub(super) struct RoundState {
    pub(super) open: RoundOpen,
    pub(super) attempt: Attempt,
    pub(super) trained: bool,
    /// Attempts whose encryption this process asked for.
    pub(super) encrypting: BTreeSet<Attempt>,
    /// S of the first manifest; all attempts keep it.
    pub(super) cohort: Option<PartySet>,
    pub(super) attempts: BTreeMap<Attempt, AttemptState>,
    /// `CheckSum` or `OpenSum` was asked for and not answered yet.
    pub(super) opening: bool,
    pub(super) decoded: Option<Digest>,
    pub(super) closed: Option<Digest>,
    /// Refused, or already adopted before a restart: only the outcome is followed.
    pub(super) aside: bool,
}

#[derive(Default)]
pub(super) struct AttemptState {
    pub(super) manifest: Option<(Digest, u32)>,
    /// What each member of S signed for, ascending.
    pub(super) updates: Vec<(PartyId, BodyRoot)>,
    pub(super) frozen: bool,
    pub(super) decryptors: Option<PartySet>,
    pub(super) requested: bool,
    /// Digests of the announced sum's chunks: of one announcement, ever.
    pub(super) announced: Option<Vec<Digest>>,
}

impl RoundState {
    pub(super) fn state(&mut self, attempt: Attempt) -> &mut AttemptState {
        self.attempts.entry(attempt).or_default()
    }
}

impl HospitalMachine {
    /// Whether others closed the round while this hospital still decodes its sum. The next round's base model is
    /// known only after that, so later entries wait.
    pub(super) fn awaits_own_sum(&self) -> bool {
        self.round.as_ref().is_some_and(|state| !state.aside && state.opening && state.closed.is_some())
    }

    /// Refuses one step of a round; the hospital then takes no further part in signing for this attempt.
    pub(super) fn refuse_round(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        result: Result<(), Reject>,
        out: &mut Vec<HospitalOutput>,
    ) {
        if let Err(reject) = result {
            self.refuse(Scope::Round, u64::from(round.0), attempt, reject, out);
        }
    }

    /// The followed round, if it is `round`, in `attempt`, and not set aside.
    pub(super) fn current(&mut self, round: RoundId, attempt: Attempt) -> Result<Option<&mut RoundState>, Reject> {
        match &mut self.round {
            Some(state) if state.open.round == round => {
                if state.aside {
                    return Ok(None);
                }
                if state.attempt == attempt { Ok(Some(state)) } else { Err(Reject::RoundNumber) }
            }
            _ => Err(Reject::RoundNumber),
        }
    }

    pub(super) fn on_round_open(&mut self, it: &RoundOpen, out: &mut Vec<HospitalOutput>) {
        let result = self.check_round_open(it);
        let adopted_before = self.is_concluded(it.round);
        self.last_round = self.last_round.max(it.round);
        self.round = Some(RoundState {
            open: it.clone(),
            attempt: Attempt::FIRST,
            trained: false,
            encrypting: BTreeSet::new(),
            cohort: None,
            attempts: BTreeMap::new(),
            opening: false,
            decoded: None,
            closed: None,
            aside: result.is_err() || adopted_before,
        });
        if adopted_before {
            return;
        }
        if result.is_err() {
            return self.refuse_round(it.round, Attempt(0), result, out);
        }
        let (round, purpose, base_model) = (it.round, it.purpose, it.base_model);
        if self.facts.sent((8, u64::from(round.0), Attempt::FIRST.0)).is_some() {
            // Encrypted before a restart: the stored chunks go out again.
            self.resend_updates(round, out);
        } else if self.facts.is_encrypting(round, Attempt::FIRST) {
            // Cut off in the middle: the values are sealed, so the same bytes come out.
            self.values_are_sealed(round, Some(Attempt::FIRST), out);
        } else {
            out.push(HospitalOutput::Train { round, purpose, base_model });
        }
    }

    fn check_round_open(&self, it: &RoundOpen) -> Result<(), Reject> {
        if !self.epoch_is_open {
            return Err(Reject::OutOfTurn);
        }
        if it.round <= self.last_round {
            return Err(Reject::RoundNumber);
        }
        if it.base_model != self.model {
            return Err(Reject::BaseModelDiffers);
        }
        if it.terms != self.config.terms.digest() {
            return Err(Reject::PlanNotApproved);
        }
        if it.purpose == RoundPurpose::Train && self.facts.rounds_adopted() >= self.config.terms.rounds as usize {
            return Err(Reject::PlanNotApproved);
        }
        let is_summed = it.purpose != RoundPurpose::Train;
        if is_summed && self.facts.rounds_measured() >= self.config.terms.rounds_of(it.purpose) as usize {
            return Err(Reject::FiguresAgain);
        }
        if self.facts.revealed_is_full() {
            return Err(Reject::LimitExceeded);
        }
        Ok(())
    }

    /// The last attempt of a round, as the terms say and the protocol bounds.
    fn last_attempt(&self) -> Attempt {
        Attempt(self.config.terms.attempts_max.clamp(1, ATTEMPTS_MAX))
    }

    /// The values of this round were sealed before a restart: no training, and `attempt` is encrypted if there is one.
    fn values_are_sealed(&mut self, round: RoundId, attempt: Option<Attempt>, out: &mut Vec<HospitalOutput>) {
        if let Some(state) = &mut self.round {
            state.trained = true;
        }
        if let Some(attempt) = attempt {
            self.encrypt(round, attempt, out);
        }
    }

    fn resend_updates(&mut self, round: RoundId, out: &mut Vec<HospitalOutput>) {
        for attempt in Attempt::FIRST.0..=self.last_attempt().0 {
            if let Some(sent) = self.facts.sent((8, u64::from(round.0), attempt)).cloned()
                && let HospitalMessage::UpdateHead(head) = &sent.body
            {
                let (kind, number, body) = (BlobKind::UpdateChunk, u64::from(round.0), head.body);
                out.push(HospitalOutput::Send(sent));
                out.push(HospitalOutput::Upload { kind, number, attempt, body });
            }
        }
        // A spare that the crash cut off, or that was its turn then.
        let ahead = (Attempt::FIRST.0..=self.ahead_until().0)
            .find(|attempt| self.facts.sent((8, u64::from(round.0), *attempt)).is_none());
        self.values_are_sealed(round, ahead.map(Attempt), out);
    }

    pub(super) fn trained(&mut self, round: RoundId, out: &mut Vec<HospitalOutput>) {
        let Some(state) = &mut self.round else { return };
        let attempt = state.attempt;
        // A manifest without us is final: encrypting now would only spend an `a`.
        let late = state.cohort.is_some_and(|cohort| !cohort.contains(self.config.party));
        if state.open.round != round || state.aside || state.trained || late {
            return;
        }
        state.trained = true;
        self.encrypt(round, attempt, out);
    }

    /// The last attempt that is encrypted before anyone needs it, if there are so many. Spares belong to the first
    /// attempt only; later ones are encrypted when they are needed.
    fn ahead_until(&self) -> Attempt {
        Attempt(Attempt::FIRST.0 + self.config.terms.attempts_ahead.min(ATTEMPTS_AHEAD_MAX))
    }

    /// Asks for an encryption, for no more attempts than the terms allow: of one list of values per attempt, ever,
    /// which makes a repeat harmless.
    fn encrypt(&mut self, round: RoundId, attempt: Attempt, out: &mut Vec<HospitalOutput>) {
        if attempt > self.last_attempt() {
            return;
        }
        let begun_here = self.round.as_mut().is_some_and(|state| !state.encrypting.insert(attempt));
        let sent = self.facts.sent((8, u64::from(round.0), attempt.0)).is_some();
        if begun_here || sent {
            return;
        }
        if !self.facts.is_encrypting(round, attempt) {
            self.persist(Fact::Encrypting(Encrypting { round, attempt }), out);
        }
        out.push(HospitalOutput::Encrypt { round, attempt });
    }

    pub(super) fn encrypted(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        body: BodyRoot,
        out: &mut Vec<HospitalOutput>,
    ) {
        let Some(state) = &self.round else { return };
        let current = state.attempt;
        if state.open.round != round || state.aside || attempt < current || !self.facts.is_encrypting(round, attempt) {
            return;
        }
        let RoundOpen { purpose, base_model, terms, .. } = state.open;
        let head = UpdateHead { round, attempt, purpose, base_model, terms, body };
        let result = self.sign_once(HospitalMessage::UpdateHead(head), out);
        if result.is_ok() {
            let (kind, number) = (BlobKind::UpdateChunk, u64::from(round.0));
            out.push(HospitalOutput::Upload { kind, number, attempt: attempt.0, body });
            if attempt < self.ahead_until() {
                self.encrypt(round, attempt.next(), out);
            }
        }
        self.refuse_round(round, attempt, result, out);
    }

    pub(super) fn on_manifest(&mut self, it: &Manifest, out: &mut Vec<HospitalOutput>) {
        let result = self.manifest(it, out);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn manifest(&mut self, it: &Manifest, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        if self.current(it.round, it.attempt)?.is_none() {
            return Ok(());
        }
        let chunks = self.check_manifest(it)?;
        let (cohort, digest) = (it.cohort(), it.digest());
        let (round, attempt) = (it.round, it.attempt);
        let signature = ManifestSignature { round, attempt, manifest: digest };
        self.sign_once(HospitalMessage::ManifestSignature(signature), out)
            .map_err(|_| Reject::ManifestAlreadySigned)?;
        let updates = it.update_heads().unwrap_or_default();
        if let Some(state) = &mut self.round {
            state.cohort = Some(cohort);
            let of_attempt = state.state(attempt);
            of_attempt.manifest = Some((digest, chunks));
            of_attempt.updates = updates.iter().map(|(party, head)| (*party, head.body)).collect();
        }
        Ok(())
    }

    /// Returns the chunks per update.
    fn check_manifest(&self, it: &Manifest) -> Result<u32, Reject> {
        let roster = self.signed_roster()?;
        let Some(state) = &self.round else { return Err(Reject::RoundNumber) };
        let heads = it.update_heads().ok_or(Reject::ManifestMalformed)?;
        let body = heads.first().map(|(_, head)| head.body).ok_or(Reject::CohortTooSmall)?;
        let fits = |head: &UpdateHead| {
            (head.round, head.attempt) == (it.round, it.attempt)
                && (head.purpose, head.base_model, head.terms)
                    == (state.open.purpose, state.open.base_model, state.open.terms)
                && head.body.count == body.count
                && head.body.within_limits()
        };
        let all_fit = heads.iter().all(|(_, head)| fits(head));
        let ascending = heads.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !all_fit || !ascending {
            return Err(Reject::ManifestMalformed);
        }
        let cohort = distinct_signers(&it.heads, roster, |_, _| true)?;
        let party = self.config.party;
        if let Some(own) = it.heads.iter().find(|head| head.author == party)
            && self.facts.sent((8, u64::from(it.round.0), it.attempt.0)) != Some(own)
        {
            return Err(Reject::OwnHeadChanged);
        }
        let smallest = roster.threshold().max(usize::from(self.config.terms.min_cohort));
        if cohort.len() < smallest {
            return Err(Reject::CohortTooSmall);
        }
        if state.cohort.is_some_and(|known| known != cohort) {
            return Err(Reject::CohortChanged);
        }
        self.check_cohort_rule(it.round, state.open.base_model, cohort)?;
        self.check_earlier_cohorts(&state.open, cohort)?;
        Ok(body.count)
    }

    fn check_cohort_rule(&self, round: RoundId, base_model: Digest, cohort: PartySet) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        for revealed in self.facts.revealed_on(base_model) {
            let changed_within_round = revealed.round == round && revealed.cohort != cohort;
            if changed_within_round || !roster.cohorts_may_follow(revealed.cohort, cohort) {
                return Err(Reject::CohortRule);
            }
        }
        Ok(())
    }

    /// The same rule across key epochs: who trains again from the same model, without one member, sends the same update
    /// again; and rows that are counted are the same from whatever model.
    fn check_earlier_cohorts(&self, open: &RoundOpen, cohort: PartySet) -> Result<(), Reject> {
        let is_of_same = |earlier: &&EarlierCohort| match open.purpose {
            RoundPurpose::Train => earlier.purpose == open.purpose && earlier.base_model == open.base_model,
            RoundPurpose::Moments => earlier.purpose == open.purpose,
            RoundPurpose::Figures => false,
        };
        let roster = self.signed_roster()?;
        let next: Vec<VerifyingKey> =
            cohort.iter().filter_map(|party| roster.member(party)).map(|member| member.verifying).collect();
        for earlier in self.config.earlier.iter().filter(is_of_same) {
            let gap = cohort_gap(roster.size().max(earlier.of));
            let far = |one: &[VerifyingKey], other: &[VerifyingKey]| {
                let apart = one.iter().filter(|key| !other.contains(key)).count();
                apart == 0 || apart >= gap
            };
            if !far(&next, &earlier.members) || !far(&earlier.members, &next) {
                return Err(Reject::CohortRule);
            }
        }
        Ok(())
    }

    pub(super) fn on_cohort_frozen(&mut self, it: &CohortFrozen, out: &mut Vec<HospitalOutput>) {
        let result = self.cohort_frozen(it);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn cohort_frozen(&mut self, it: &CohortFrozen) -> Result<(), Reject> {
        let Some(state) = self.current(it.round, it.attempt)? else { return Ok(()) };
        let known = state.state(it.attempt).manifest.map(|(digest, _)| digest);
        // Without an own, checked manifest there is nothing to freeze; the refusal was sent then.
        let Some(known) = known else { return Ok(()) };
        if known != it.manifest {
            return Err(Reject::Contradiction);
        }
        let roster = self.signed_roster()?;
        let signers = distinct_signers(&it.signatures, roster, |_, body| {
            matches!(body, HospitalMessage::ManifestSignature(signature)
                if (signature.round, signature.attempt, signature.manifest) == (it.round, it.attempt, it.manifest))
        })?;
        if signers.len() < roster.threshold() {
            return Err(Reject::TooFewSignatures);
        }
        if let Some(state) = &mut self.round {
            state.state(it.attempt).frozen = true;
        }
        Ok(())
    }

    pub(super) fn on_decryptors(&mut self, it: &Decryptors, out: &mut Vec<HospitalOutput>) {
        let result = self.decryptors(it, out);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn decryptors(&mut self, it: &Decryptors, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let (parties, threshold) = (roster.parties(), roster.threshold());
        let Some(state) = self.current(it.round, it.attempt)? else { return Ok(()) };
        let state = state.state(it.attempt);
        let Some((manifest, _)) = state.manifest.filter(|_| state.frozen) else { return Ok(()) };
        if it.decryptors.len() != threshold || !it.decryptors.is_subset(parties) {
            return Err(Reject::DecryptorsWrong);
        }
        if state.decryptors.is_some_and(|known| known != it.decryptors) {
            return Err(Reject::AlreadyAccepted);
        }
        state.decryptors = Some(it.decryptors);
        if !it.decryptors.contains(self.config.party) {
            return Ok(());
        }
        let (round, attempt, decryptors) = (it.round, it.attempt, it.decryptors);
        let acceptance = Acceptance { round, attempt, manifest, decryptors };
        self.sign_once(HospitalMessage::Acceptance(acceptance), out).map_err(|_| Reject::AlreadyAccepted)
    }

    pub(super) fn on_round_void(&mut self, it: &RoundVoid, out: &mut Vec<HospitalOutput>) {
        if self.round.as_ref().is_some_and(|state| state.open.round == it.round) {
            self.round = None;
            self.read_so_far(out);
            out.push(HospitalOutput::DropRound { round: it.round, reason: it.reason });
        }
    }

    pub(super) fn on_abandon(&mut self, it: &Abandon, out: &mut Vec<HospitalOutput>) {
        let Some(state) = &mut self.round else { return };
        let (round, attempt, party) = (it.round, it.attempt, self.config.party);
        if state.open.round != round || state.attempt != attempt {
            return self.refuse_round(round, attempt, Err(Reject::RoundNumber), out);
        }
        state.attempt = attempt.next();
        let next = state.attempt;
        if state.aside {
            return;
        }
        out.push(HospitalOutput::DropAttempt { round, attempt });
        if state.trained && state.cohort.is_some_and(|cohort| cohort.contains(party)) {
            self.encrypt(round, next, out);
        }
    }
}
