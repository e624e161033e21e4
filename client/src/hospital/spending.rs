//! What a hospital's patients show with what it encrypts, where the plan hides them: charged before, or not encrypted.

use protocol::ids::{Digest, RoundId};

use super::error::HospitalError;
use super::parameters::parameters_digest;
use super::plan::PlannedPrivacy;
use super::sealed;
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
        self.charge(round.0, values)
    }

    /// Notes the sealed figures of a round, which cost those that are trained on nothing.
    ///
    /// # Errors
    /// As [`Site::check_budget`].
    pub(super) fn note_figures(&mut self, round: RoundId) -> Result<(), HospitalError> {
        let values = match self.plan.privacy {
            Some(_) => sealed::round_values(&self.vault, self.plan.epoch, round)?.digest(),
            None => return Ok(()),
        };
        let Some((spending, allowed)) = self.spending(round.0, values)? else { return Ok(()) };
        let ledger = self.privacy.as_mut().ok_or(HospitalError::UndeclaredPatients)?;
        Ok(ledger.charge(&Spending { step: None, steps: 0, ..spending }, allowed)?)
    }

    /// Charges for a part of the published model that has an update in it, and is not `plain`.
    ///
    /// # Errors
    /// As [`Site::check_budget`].
    pub(super) fn charge_contribution(&mut self, parameters: &[f32], plain: &[f32]) -> Result<(), HospitalError> {
        if parameters == plain {
            return Ok(());
        }
        self.charge(self.last_fit(), parameters_digest(parameters))
    }

    fn charge(&mut self, round: u32, values: Digest) -> Result<(), HospitalError> {
        let Some((spending, allowed)) = self.spending(round, values)? else { return Ok(()) };
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
