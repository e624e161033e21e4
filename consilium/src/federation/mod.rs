//! Runs a whole federation on this machine: the one entry point that `demo` and `run` call.

use crate::{event::EventSender, experiment::Experiment, options::RunOptions, report::RunOutcome};

/// Why a run ended without a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// This build cannot run a federation.
    #[error("this build cannot run a federation yet; `consilium plan` works")]
    Unavailable,
}

/// Runs the experiment from data to report. Blocks; writes below `options.out` only.
///
/// # Errors
/// [`FederationError`]; what was finished so far stays in the run folder.
pub fn run(
    _experiment: &Experiment,
    _options: &RunOptions,
    _events: EventSender,
) -> Result<RunOutcome, FederationError> {
    Err(FederationError::Unavailable)
}
