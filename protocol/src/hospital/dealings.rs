//! The hospital's part of the check of dealings (K5): it shows combinations of what it got, and judges what all show.

use crate::dealings::DealingCheck;
use crate::hospital::{HospitalMachine, HospitalOutput};
use crate::message::{DealingsChecked, HospitalMessage, KeyEpochOpen};
use crate::reject::Reject;

/// The step under which a check is signed.
const STEP: (u8, u64, u32) = (24, 0, 0);

impl HospitalMachine {
    /// All digests agree: from here on nobody can deal anything else, and the combinations may be drawn.
    pub(super) fn check_dealings(&mut self, it: &KeyEpochOpen, out: &mut Vec<HospitalOutput>) {
        match self.facts.sent(STEP).cloned() {
            Some(sent) => out.push(HospitalOutput::Send(sent)),
            None => out.push(HospitalOutput::CheckDealings { factors: it.factors() }),
        }
    }

    pub(super) fn dealings_combined(&mut self, check: DealingCheck, out: &mut Vec<HospitalOutput>) {
        let result = self.sign_once(HospitalMessage::DealingCheck(check), out);
        self.refuse_ceremony(result, out);
    }

    pub(super) fn on_dealings_checked(&mut self, it: &DealingsChecked, out: &mut Vec<HospitalOutput>) {
        let result = self.dealings_checked(it);
        self.refuse_ceremony(result, out);
    }

    fn dealings_checked(&mut self, it: &DealingsChecked) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let own = self.facts.sent(STEP).ok_or(Reject::OutOfTurn)?;
        if !it.checks.contains(own) {
            return Err(Reject::OwnHeadChanged);
        }
        if !it.judge(roster)?.is_none() {
            return Err(Reject::DealingOff);
        }
        self.epoch_is_open = true;
        Ok(())
    }
}
