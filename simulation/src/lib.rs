//! A whole federation on this machine: [`run()`] trains one, [`serve`] answers queries of finished ones.
//!
//! Every hospital and the coordinator run as tasks of this process, each with its own keys and folder, and talk over
//! QUIC with mutual TLS on the loopback device. Nothing is taken from another party's memory except by [`watch`], which
//! feeds the live view and the self-checks.

pub mod baselines;
pub mod computing;
pub mod data;
pub mod dropout;
mod enrolment;
mod error;
pub mod event;
pub mod options;
pub mod oracle;
mod outcome;
mod progress;
mod quality;
mod run;
pub mod run_folder;
mod service;
mod setup;
mod watch;

pub use error::FederationError;
pub use service::{Served, serve};

use std::path::{Path, PathBuf};

use experiment::Experiment;
use report::RunOutcome;

use crate::{event::EventSender, options::RunOptions};

/// Tasks of a hospital that wait for the network at the same time, beside its computing.
const WORKERS_BESIDE_CORES: usize = 4;

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

/// The folder of the newest key epoch's coordinator.
///
/// # Errors
/// [`FederationError::NotPublished`] where the run never came so far.
pub fn coordinator_folder(run: &Path) -> Result<PathBuf, FederationError> {
    let epochs = progress::Progress::load(run)?.epochs;
    let folder = run.join("coordinator").join(format!("epoch-{epochs}"));
    if folder.join("journal.sqlite").exists() {
        return Ok(folder);
    }
    Err(FederationError::NotPublished { folder: run.to_owned() })
}

fn runtime(folder: PathBuf) -> Result<tokio::runtime::Runtime, FederationError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores + WORKERS_BESIDE_CORES)
        .enable_all()
        .build()
        .map_err(|source| FederationError::Io { action: "start the runtime in", path: folder, source })
}
