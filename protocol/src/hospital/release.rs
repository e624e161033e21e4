//! The hospital's part of decryption: releasing shares once, voting for what the sum gives, adopting the model.

use crate::blob::{BlobKind, BodyRoot};
use crate::facts::{Adopted, Fact, Measured, Released, Revealed};
use crate::hospital::{HospitalMachine, HospitalOutput, ShareBinding};
use crate::ids::{Attempt, Digest, RoundId};
use crate::message::{
    HospitalMessage, ModelVote, RoundClosed, RoundPurpose, ShareHead, ShareRequest, distinct_signers,
};
use crate::reject::Reject;

impl HospitalMachine {
    /// What a share of this attempt is bound to, once S is frozen and T proposed.
    pub(super) fn binding(&self, attempt: Attempt) -> Option<ShareBinding> {
        let state = self.round.as_ref()?;
        let of_attempt = state.attempts.get(&attempt)?;
        let (manifest, chunks) = of_attempt.manifest?;
        Some(ShareBinding {
            epoch: self.config.epoch,
            round: state.open.round,
            attempt,
            cohort: state.cohort?,
            decryptors: of_attempt.decryptors.filter(|_| of_attempt.frozen)?,
            manifest,
            chunks,
        })
    }

    pub(super) fn on_share_request(&mut self, it: &ShareRequest, out: &mut Vec<HospitalOutput>) {
        let result = self.share_request(it, out);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn share_request(&mut self, it: &ShareRequest, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let Some(state) = self.current(it.round, it.attempt)? else { return Ok(()) };
        let (base_model, purpose) = (state.open.base_model, state.open.purpose);
        let Some(binding) = self.binding(it.attempt) else { return Ok(()) };
        let roster = self.signed_roster()?;
        let accepted = distinct_signers(&it.acceptances, roster, |_, body| {
            matches!(body, HospitalMessage::Acceptance(acceptance)
                if (acceptance.round, acceptance.attempt) == (it.round, it.attempt)
                && (acceptance.manifest, acceptance.decryptors) == (binding.manifest, binding.decryptors))
        })?;
        if accepted != binding.decryptors {
            return Err(Reject::TooFewSignatures);
        }
        if let Some(state) = &mut self.round {
            state.state(it.attempt).requested = true;
        }
        // From here on the sum of S may become known, whatever happens to this attempt.
        let (round, cohort) = (it.round, binding.cohort);
        if !self.facts.revealed_on(base_model).any(|known| known.round == round && known.cohort == cohort) {
            let revealed = Revealed { round, base_model, cohort };
            self.persist(
                match purpose {
                    RoundPurpose::Train => Fact::Revealed(revealed),
                    RoundPurpose::Figures => Fact::RevealedFigures(revealed),
                    RoundPurpose::Moments => Fact::RevealedMoments(revealed),
                },
                out,
            );
        }
        if binding.decryptors.contains(self.config.party) { self.release(binding, out) } else { Ok(()) }
    }

    /// Releases shares for one context per attempt, ever, within the flooding budget.
    fn release(&mut self, binding: ShareBinding, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let (round, attempt, digest) = (binding.round, binding.attempt, binding.digest());
        match self.facts.released(round, attempt) {
            Some(known) if known == digest => {}
            Some(_) => return Err(Reject::AlreadyReleased),
            None => {
                let chunks = binding.chunks;
                if self.facts.chunks_released() + u64::from(chunks) > self.config.terms.tau_aggregation {
                    return Err(Reject::BudgetSpent);
                }
                self.persist(Fact::Released(Released { round, attempt, binding: digest, chunks }), out);
            }
        }
        out.push(HospitalOutput::ReleaseShares(binding));
        Ok(())
    }

    pub(super) fn shares_made(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        body: BodyRoot,
        out: &mut Vec<HospitalOutput>,
    ) {
        // An abandoned attempt's shares stay in the building.
        let Ok(Some(_)) = self.current(round, attempt) else { return };
        let Some(binding) = self.facts.released(round, attempt) else { return };
        let head = ShareHead { round, attempt, binding, body };
        let result = self.sign_once(HospitalMessage::ShareHead(head), out).map_err(|_| Reject::AlreadyReleased);
        if result.is_ok() {
            let (kind, number) = (BlobKind::Share, u64::from(round.0));
            out.push(HospitalOutput::Upload { kind, number, attempt: attempt.0, body });
        }
        self.refuse_round(round, attempt, result, out);
    }

    pub(super) fn sum_opened(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        model: Option<Digest>,
        out: &mut Vec<HospitalOutput>,
    ) {
        if !self.facts.is_sum_checked(round, attempt) {
            return;
        }
        let Ok(Some(state)) = self.current(round, attempt) else { return };
        state.decoded = model;
        state.opening = false;
        let closed = state.closed;
        let vote = ModelVote { round, attempt, model };
        let result = self.sign_once(HospitalMessage::ModelVote(vote), out);
        self.refuse_round(round, attempt, result, out);
        match (closed, model) {
            (Some(closed), Some(model)) if closed == model => self.conclude(round, model, out),
            (Some(_), _) => self.refuse_round(round, attempt, Err(Reject::ModelDiffers), out),
            (None, _) => {}
        }
    }

    /// The fact is the switch: whatever happens after it, this is the model, or these are the figures.
    fn conclude(&mut self, round: RoundId, result: Digest, out: &mut Vec<HospitalOutput>) {
        let purpose = self.round.take().map_or(RoundPurpose::Train, |state| state.open.purpose);
        match purpose {
            RoundPurpose::Train => {
                self.model = result;
                self.persist(Fact::Adopted(Adopted { round, model: result }), out);
                self.read_so_far(out);
                out.push(HospitalOutput::AdoptModel { round, model: result });
            }
            RoundPurpose::Figures | RoundPurpose::Moments => {
                self.persist(Fact::Measured(Measured { round, figures: result }), out);
                self.read_so_far(out);
                out.push(HospitalOutput::KeepFigures { round, figures: result });
            }
        }
    }

    /// Whether this round's sum was adopted, as a model or as figures.
    pub(super) fn is_concluded(&self, round: RoundId) -> bool {
        self.facts.adopted(round).is_some() || self.facts.measured(round).is_some()
    }

    /// Whether a round that is read again after a restart was adopted before; its result may still have to be put in
    /// place, if the process ended between the two.
    pub(super) fn adopted_before(&mut self, round: RoundId, out: &mut Vec<HospitalOutput>) -> bool {
        if let Some(figures) = self.facts.measured(round) {
            self.round = None;
            out.push(HospitalOutput::KeepFigures { round, figures });
            return true;
        }
        let Some(model) = self.facts.adopted(round) else { return false };
        self.model = model;
        self.round = None;
        if self.facts.newest_model() == Some((round, model)) {
            out.push(HospitalOutput::AdoptModel { round, model });
        }
        true
    }

    pub(super) fn on_round_closed(&mut self, it: &RoundClosed, out: &mut Vec<HospitalOutput>) {
        if self.adopted_before(it.round, out) {
            return;
        }
        let result = self.round_closed(it, out);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn round_closed(&mut self, it: &RoundClosed, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let voters = distinct_signers(&it.votes, roster, |_, body| {
            matches!(body, HospitalMessage::ModelVote(vote)
                if (vote.round, vote.attempt, vote.model) == (it.round, it.attempt, Some(it.model)))
        })?;
        if voters.len() < roster.threshold() {
            return Err(Reject::TooFewSignatures);
        }
        let Some(state) = self.current(it.round, it.attempt)? else { return Ok(()) };
        state.closed = Some(it.model);
        match state.decoded {
            Some(decoded) if decoded == it.model => {
                self.conclude(it.round, it.model, out);
                Ok(())
            }
            Some(_) => Err(Reject::ModelDiffers),
            // Still decoding: adopted when done, if equal.
            None => Ok(()),
        }
    }
}
