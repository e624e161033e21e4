//! What a hospital's patients show with what it encrypts, where the plan hides them: charged before, or not encrypted.

use protocol::ids::{Digest, RoundId};
use protocol::party_set::PartySet;

use super::error::HospitalError;
use super::parameters::parameters_digest;
use super::plan::PlannedPrivacy;
use super::sealed::{self, Contribution};
use super::site::Site;
use crate::privacy_ledger::{Allowance, Spending};

impl Site {
    /// Whether a fit for this round is within what may be spent: before it is trained, which would be for nothing.
    ///
    /// # Errors
    /// [`HospitalError::Privacy`] where it is not; [`HospitalError::UndeclaredPatients`].
    pub(super) fn check_budget(&mut self, round: u32) -> Result<(), HospitalError> {
        let Some((spending, allowed)) = self.spending(round, Digest([0; 32]))? else { return Ok(()) };
        let ledger = self.privacy.as_mut().ok_or(HospitalError::UndeclaredPatients)?;
        Ok(ledger.check(&spending, allowed)?)
    }

    /// Charges for the sealed values of a round.
    ///
    /// # Errors
    /// As [`Site::check_budget`].
    pub(super) fn charge_update(&mut self, round: RoundId) -> Result<(), HospitalError> {
        if self.plan.privacy.is_none() {
            return Ok(());
        }
        let values = sealed::round_values(&self.vault, self.plan.epoch, round)?.digest();
        self.charge(round.0, values, true)
    }

    /// Notes the sealed figures of a round, which cost those that are trained on nothing.
    ///
    /// # Errors
    /// As [`Site::check_budget`].
    pub(super) fn note_figures(&mut self, round: RoundId) -> Result<(), HospitalError> {
        if self.plan.privacy.is_none() {
            return Ok(());
        }
        let values = sealed::round_values(&self.vault, self.plan.epoch, round)?.digest();
        self.charge(round.0, values, false)
    }

    /// A part of the published model without an update: of the model that all know.
    pub(super) fn plain_part(&self, cohort: PartySet) -> Vec<f32> {
        let part = 1.0 / cohort.len().max(1) as f64;
        self.current.parameters.iter().map(|value| (f64::from(*value) * part) as f32).collect()
    }

    /// Charges for a part of the published model that has an update in it.
    ///
    /// # Errors
    /// As [`Site::check_budget`].
    pub(super) fn charge_contribution(&mut self, part: &Contribution) -> Result<(), HospitalError> {
        match part.parameters == self.plain_part(part.cohort) {
            true => Ok(()),
            false => self.charge(self.last_fit(), parameters_digest(&part.parameters), true),
        }
    }

    /// Whether such a part was charged, where it has to be.
    ///
    /// # Errors
    /// [`HospitalError::NotCharged`].
    pub(super) fn check_contribution_charged(&self, part: &Contribution) -> Result<(), HospitalError> {
        match part.parameters == self.plain_part(part.cohort) {
            true => Ok(()),
            false => self.check_charged(self.last_fit(), parameters_digest(&part.parameters)),
        }
    }

    fn charge(&mut self, round: u32, values: Digest, is_noisy: bool) -> Result<(), HospitalError> {
        let Some((mut spending, allowed)) = self.spending(round, values)? else { return Ok(()) };
        if !is_noisy {
            (spending.step, spending.steps) = (None, 0);
        }
        let ledger = self.privacy.as_mut().ok_or(HospitalError::UndeclaredPatients)?;
        Ok(ledger.charge(&spending, allowed)?)
    }

    /// Whether what is to be encrypted was charged, where it has to be.
    ///
    /// # Errors
    /// [`HospitalError::NotCharged`].
    pub(super) fn check_charged(&self, round: u32, values: Digest) -> Result<(), HospitalError> {
        let is_charged = self.privacy.as_ref().is_some_and(|ledger| ledger.is_charged(values));
        match self.plan.privacy.is_none() || is_charged {
            true => Ok(()),
            false => Err(HospitalError::NotCharged { round }),
        }
    }

    /// The round after the last: of the fit that goes into the published model.
    pub(super) fn last_fit(&self) -> u32 {
        self.plan.terms.rounds.saturating_add(1)
    }

    /// What a fit costs and may cost; `None` where the plan hides nobody.
    fn spending(&self, round: u32, values: Digest) -> Result<Option<(Spending, Allowance)>, HospitalError> {
        let Some(PlannedPrivacy { steps, step, budget }) = &self.plan.privacy else { return Ok(None) };
        let patients = self.plan.patients.as_ref().ok_or(HospitalError::UndeclaredPatients)?;
        let (run, epoch) = (self.plan.terms.digest(), self.plan.epoch);
        let spending = Spending { run, epoch, round, values, step: Some(*step), steps: steps.steps };
        Ok(Some((spending, Allowance { plan: *budget, site: patients.budget })))
    }
}
