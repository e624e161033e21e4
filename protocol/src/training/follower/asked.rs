//! What the log asks for, as far as it fits together: the step and the attempt at hand, and what is finished.

use std::collections::BTreeMap;

use crate::blob::BodyRoot;
use crate::ids::{Attempt, PartyId, StepId};
use crate::limits::REFRESH_ATTEMPTS_MAX;
use crate::message::{
    HospitalMessage, LogMessage, OpeningHead, RefreshBlinded, RefreshDone, RefreshHead, RefreshOpen, RefreshVoid,
    ZeroHead, ZerosOpen, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::training::{RefreshBinding, TrainingTerms};

use super::effect::Joining;

/// A refresh that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) binding: RefreshBinding,
    /// After the first attempt, of every decryptor.
    pub(super) zeros: Vec<(PartyId, BodyRoot)>,
}

/// Shares that were added up.
struct Blinded {
    masks: Vec<(PartyId, BodyRoot)>,
    sums: BodyRoot,
}

/// The log, followed.
pub(crate) struct Asked {
    roster: Roster,
    terms: TrainingTerms,
    step: StepId,
    attempt: Attempt,
    zeroing: Option<PartySet>,
    open: Option<Open>,
    blinded: Option<Blinded>,
    /// Steps that are refreshed, until they are joined here.
    finished: BTreeMap<StepId, Joining>,
}

impl Asked {
    pub(crate) fn new(roster: Roster, terms: TrainingTerms) -> Self {
        let (step, attempt) = (StepId::FIRST, Attempt::FIRST);
        let finished = BTreeMap::new();
        Self { roster, terms, step, attempt, zeroing: None, open: None, blinded: None, finished }
    }

    /// Step and attempt at hand.
    pub(crate) fn at(&self) -> (StepId, Attempt) {
        (self.step, self.attempt)
    }

    /// Who is to send zeros, while that is what is awaited.
    pub(super) fn zeroing(&self) -> Option<PartySet> {
        self.zeroing.filter(|_| self.open.is_none())
    }

    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    pub(super) fn sums(&self) -> Option<BodyRoot> {
        self.blinded.as_ref().map(|blinded| blinded.sums)
    }

    pub(super) fn binding(&self, step: StepId, attempt: Attempt) -> Option<RefreshBinding> {
        let binding = self.open.as_ref().map(|open| open.binding)?;
        ((binding.step, binding.attempt) == (step, attempt)).then_some(binding)
    }

    /// What was asked for in a step that the log has finished.
    pub(super) fn finished(&self, step: StepId) -> Option<&Open> {
        self.finished.get(&step).map(|joining| &joining.open)
    }

    /// What to join of it, once.
    pub(super) fn take_finished(&mut self, step: StepId) -> Option<Joining> {
        self.finished.remove(&step)
    }

    /// Follows an entry; what does not continue the training as it stands changes nothing.
    pub(crate) fn learn(&mut self, entry: &LogMessage) -> Result<(), Reject> {
        match entry {
            LogMessage::ZerosOpen(it) => self.zeros(it),
            LogMessage::RefreshOpen(it) => self.opens(it),
            LogMessage::RefreshBlinded(it) => self.blinds(it),
            LogMessage::RefreshDone(it) => self.finishes(it),
            LogMessage::RefreshVoid(it) => self.voids(it),
            _ => Ok(()),
        }
    }

    fn check_at(&self, step: StepId, attempt: Attempt) -> Result<(), Reject> {
        let is_next = (step, attempt) == (self.step, self.attempt);
        let within_terms = step.0 <= self.terms.steps && attempt.0 <= self.terms.attempts_max.min(REFRESH_ATTEMPTS_MAX);
        if is_next && within_terms { Ok(()) } else { Err(Reject::RoundNumber) }
    }

    fn check_decryptors(&self, decryptors: PartySet) -> Result<(), Reject> {
        let fits = decryptors.len() == self.roster.threshold() && decryptors.is_subset(self.roster.parties());
        if fits { Ok(()) } else { Err(Reject::DecryptorsWrong) }
    }

    fn zeros(&mut self, it: &ZerosOpen) -> Result<(), Reject> {
        self.check_at(it.step, it.attempt)?;
        self.check_decryptors(it.decryptors)?;
        if it.attempt == Attempt::FIRST || self.zeroing.is_some() {
            return Err(Reject::OutOfTurn);
        }
        self.zeroing = Some(it.decryptors);
        Ok(())
    }

    fn opens(&mut self, it: &RefreshOpen) -> Result<(), Reject> {
        self.check_at(it.step, it.attempt)?;
        self.check_decryptors(it.decryptors)?;
        if self.open.is_some() || it.attempt != Attempt::FIRST && self.zeroing != Some(it.decryptors) {
            return Err(Reject::OutOfTurn);
        }
        if !it.decryptors.contains(it.opener) {
            return Err(Reject::DecryptorsWrong);
        }
        if !self.terms.is_list(it.packages) {
            return Err(Reject::LimitExceeded);
        }
        let mut zeros = Vec::new();
        let makers = distinct_signers(&it.zeros, &self.roster, |maker, body| match body {
            HospitalMessage::ZeroHead(ZeroHead { step, attempt, body }) => {
                zeros.push((maker, *body));
                (*step, *attempt) == (it.step, it.attempt) && self.terms.is_list(*body)
            }
            _ => false,
        })?;
        let expected = if it.attempt == Attempt::FIRST { PartySet::EMPTY } else { it.decryptors };
        if makers != expected {
            return Err(Reject::TooFewSignatures);
        }
        let binding = RefreshBinding::of(self.roster.epoch(), self.terms.program, it);
        self.open = Some(Open { binding, zeros });
        Ok(())
    }

    fn blinds(&mut self, it: &RefreshBlinded) -> Result<(), Reject> {
        self.check_at(it.step, it.attempt)?;
        let open = self.open.as_ref().filter(|_| self.blinded.is_none()).ok_or(Reject::OutOfTurn)?;
        let (binding, mut masks) = (open.binding.digest(), Vec::new());
        let makers = distinct_signers(&it.heads, &self.roster, |maker, body| match body {
            HospitalMessage::RefreshHead(head) => {
                let RefreshHead { shares, masks: own, .. } = **head;
                masks.push((maker, own));
                head.binding == binding && self.terms.is_list(shares) && self.terms.is_list(own)
            }
            _ => false,
        })?;
        if makers != open.binding.decryptors {
            return Err(Reject::TooFewSignatures);
        }
        if !self.terms.is_list(it.sums) {
            return Err(Reject::LimitExceeded);
        }
        self.blinded = Some(Blinded { masks, sums: it.sums });
        Ok(())
    }

    fn finishes(&mut self, it: &RefreshDone) -> Result<(), Reject> {
        self.check_at(it.step, it.attempt)?;
        let (Some(open), Some(blinded)) = (&self.open, &self.blinded) else { return Err(Reject::OutOfTurn) };
        it.opening.verify(&self.roster)?;
        let HospitalMessage::OpeningHead(OpeningHead { binding, sums, body, .. }) = it.opening.body else {
            return Err(Reject::Contradiction);
        };
        if (it.opening.author, binding, sums) != (open.binding.opener, open.binding.digest(), blinded.sums.root) {
            return Err(Reject::Contradiction);
        }
        if !self.terms.is_list(body) {
            return Err(Reject::LimitExceeded);
        }
        let joining = Joining { open: open.clone(), masks: blinded.masks.clone(), opening: body };
        self.finished.insert(self.step, joining);
        (self.step, self.attempt) = (self.step.next(), Attempt::FIRST);
        (self.zeroing, self.open, self.blinded) = (None, None, None);
        Ok(())
    }

    fn voids(&mut self, it: &RefreshVoid) -> Result<(), Reject> {
        self.check_at(it.step, it.attempt)?;
        if self.open.is_none() && self.zeroing.is_none() {
            return Err(Reject::OutOfTurn);
        }
        self.attempt = self.attempt.next();
        (self.zeroing, self.open, self.blinded) = (None, None, None);
        Ok(())
    }
}
