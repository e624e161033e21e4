//! What the hospitals of a run say that their patients have shown.

use std::path::Path;

use client::privacy_ledger::{LEDGER_FILE, PrivacyLedger};
use experiment::Experiment;
use report::{PrivacyBlock, PrivacySpent};

use super::error::FederationError;

/// Reads every hospital's ledger below the run's folder; `None` where the experiment hides nobody.
///
/// # Errors
/// [`FederationError::Privacy`] for a ledger that is damaged.
pub(super) fn of_run(experiment: &Experiment, out: &Path) -> Result<Option<PrivacyBlock>, FederationError> {
    let Some(privacy) = experiment.privacy() else { return Ok(None) };
    let spent = |hospital: u16| -> Result<PrivacySpent, FederationError> {
        let ledger = PrivacyLedger::open(&out.join(format!("hospital-{hospital}")).join(LEDGER_FILE))?;
        let charged = ledger.rows().iter().filter(|row| row.noise.is_some());
        Ok(PrivacySpent {
            hospital,
            rounds: charged.map(|row| row.round).collect(),
            epsilon_after: ledger.epsilon_after(privacy.delta),
        })
    };
    Ok(Some(PrivacyBlock {
        mode: "local".to_owned(),
        epsilon: privacy.epsilon,
        delta: privacy.delta,
        noise: privacy.step.noise(),
        sampling_rate: privacy.sampling_rate,
        steps: privacy.local_steps,
        final_step: experiment.publish().final_step,
        randomness: "the operating system".to_owned(),
        hospitals: (1..=experiment.federation().hospitals).map(spent).collect::<Result<_, _>>()?,
    }))
}
