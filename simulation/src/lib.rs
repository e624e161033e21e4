//! A whole federation on this machine: [`run()`] trains one, [`serve`] answers queries of finished ones; [`head::run`]
//! trains one layer on encrypted features.
//!
//! Every hospital and the coordinator run as tasks of this process, each with its own keys and folder, and talk over
//! QUIC with mutual TLS on the loopback device: they are the processes of a real consortium. What only a simulation may
//! do stands here and nowhere else: [`tap`] hears calls, [`dropping`] loses hospitals, [`vaults`] unlocks everybody's
//! vault.

pub mod baselines;
pub mod cohort;
pub mod computing;
pub mod data;
pub mod dropout;
mod dropping;
mod enrolment;
mod error;
pub mod event;
mod finished_run;
pub mod head;
pub mod options;
pub mod oracle;
mod outcome;
mod progress;
mod quality;
mod run;
pub mod run_folder;
mod service;
mod setup;
mod spending;
mod tap;
mod vaults;
mod watch;

pub use error::FederationError;
pub use finished_run::FinishedRun;
pub use service::{Served, serve};

use std::path::{Path, PathBuf};

use experiment::Experiment;
use report::RunOutcome;

use crate::{event::EventSender, options::RunOptions};

/// Tasks of a hospital that wait for the network at the same time, beside those that wait for threads that compute.
const WORKERS_BESIDE_COMPUTING: usize = 4;

/// Runs the experiment from data to report. Blocks; writes below `options.out` only.
///
/// # Errors
/// [`FederationError`]; what was finished so far stays in the run folder.
pub fn run(experiment: &Experiment, options: &RunOptions, events: EventSender) -> Result<RunOutcome, FederationError> {
    let runtime = runtime(options.out.clone())?;
    let outcome = runtime.block_on(run::Run::new(experiment, options, events).go());
    // Hospitals that were lost on purpose leave nothing behind that has to be waited for.
    runtime.shutdown_background();
    outcome
}

/// The key with which a run's coordinator signs its log, as a hospital knows it from its enrolment.
///
/// # Errors
/// [`FederationError`] where the folder holds no enrolled federation.
pub fn coordinator_key(run: &Path) -> Result<protocol::signature::VerifyingKey, FederationError> {
    enrolment::coordinator_of(run)
}

fn runtime(folder: PathBuf) -> Result<tokio::runtime::Runtime, FederationError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(rayon::current_num_threads() + WORKERS_BESIDE_COMPUTING)
        .enable_all()
        .build()
        .map_err(|source| FederationError::Io { action: "start the runtime in", path: folder, source })
}
