//! Everything that ends an invocation, with a code for scripts, a place and a remedy for people.

use bench::BenchError;
use client::counter::CounterError;
use client::train::TrainError;
use coordinator::{audit::AuditError, compute::ComputeError};
use experiment::ExperimentError;
use report::ReportError;
use simulation::FederationError;
use simulation::dropout::DropOutError;
use simulation::run_folder::RunFolderError;

/// Why an invocation failed. [`crate::exit::of`] gives its exit code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The experiment file.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A `--drop`.
    #[error(transparent)]
    DropOut(#[from] DropOutError),
    /// Nobody said where the images are.
    #[error(
        "experiment {name} reads files of format {format:?}, but neither --data nor data.simulate.source names them"
    )]
    NoData {
        /// The experiment.
        name: String,
        /// Its format.
        format: &'static str,
    },
    /// A hospital that the run does not have.
    #[error("hospital {hospital} is none of the run's {hospitals} hospitals")]
    NoHospital {
        /// As given.
        hospital: u16,
        /// How many there are.
        hospitals: u16,
    },
    /// A folder without a log.
    #[error("{}: no journal.sqlite in it, so it is no coordinator's folder", folder.display())]
    NoTranscript {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// An audit.
    #[error(transparent)]
    Audit(#[from] coordinator::audit::AuditError),
    /// A device to compute on.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// The run itself.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A measurement.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// Standard output is closed or full.
    #[error("cannot write the result: {0}")]
    Output(std::io::Error),
}

impl Error {
    /// A word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Experiment(ExperimentError::Unreadable { .. }) => "experiment_unreadable",
            Self::Experiment(ExperimentError::Syntax { .. }) => "experiment_syntax",
            Self::Experiment(_) => "experiment_invalid",
            Self::DropOut(_) => "drop_invalid",
            Self::NoData { .. } => "no_data",
            Self::NoHospital { .. } => "no_hospital",
            Self::NoTranscript { .. } => "no_transcript",
            Self::Audit(_) => "audit",
            Self::Compute(_) => "no_gpu",
            Self::Federation(FederationError::Counter(CounterError::Refused(_))) => "query_refused",
            Self::Federation(FederationError::Counter(_)) => "not_served",
            Self::RunFolder(RunFolderError::OtherPlan { .. }) => "resume_other_plan",
            Self::RunFolder(_) => "run_folder",
            Self::Federation(FederationError::Train(TrainError::NoGpu { .. })) => "no_gpu",
            Self::Federation(_) => "run_failed",
            Self::Report(_) => "report",
            Self::Bench(error) if error.flag().is_some() => "bench_invalid",
            Self::Bench(_) => "bench_failed",
            Self::Output(_) => "output",
        }
    }

    /// Where to look, where one place can be named.
    pub fn place(&self) -> Option<String> {
        match self {
            Self::Experiment(error) => error.place(),
            Self::NoData { .. } => Some("--data".to_owned()),
            Self::DropOut(_) => Some("--drop".to_owned()),
            Self::NoHospital { .. } => Some("--hospital".to_owned()),
            Self::Compute(_) => Some("--device".to_owned()),
            Self::NoTranscript { folder } => Some(folder.display().to_string()),
            Self::RunFolder(error) => Some(error.folder().display().to_string()),
            Self::Bench(error) => error.flag().map(str::to_owned),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Experiment(ExperimentError::Unreadable { .. }) => "check the path; `consilium demo` needs no file",
            Self::Experiment(ExperimentError::Override { .. }) => "for example --set federation.rounds=20",
            Self::Experiment(_) => "change the lines named above; `consilium plan FILE` checks without running",
            Self::DropOut(_) => "for example --drop hospital-2@2:after-upload",
            Self::NoData { .. } => "add --data PATH",
            Self::NoHospital { .. } => "choose a number from 1 on",
            Self::Compute(_) => "--device auto takes a GPU only where there is one; --device cpu looks for none",
            Self::NoTranscript { .. } => "name the folder coordinator/epoch-N of the run, or a copy of it",
            Self::Audit(AuditError::Unknown { .. }) => "`consilium audit queries RUN` lists them",
            Self::Audit(_) => "see the message above",
            Self::Federation(FederationError::Counter(_) | FederationError::NotPublished { .. }) => {
                "see the message above"
            }
            Self::Federation(FederationError::Train(TrainError::NoGpu { .. })) => {
                "set device = \"auto\" or \"cpu\" under [train] in the site file"
            }
            Self::RunFolder(RunFolderError::OtherPlan { .. }) => {
                "resume with the same file and the same --set, or start a new run"
            }
            Self::RunFolder(RunFolderError::NotEmpty { .. }) => "choose another --out, or continue it with --resume",
            Self::RunFolder(_) => "choose another --out",
            Self::Federation(_) => "see the message above; what was finished is in the run folder",
            Self::Report(_) => "check space and permissions of the run folder",
            Self::Bench(error) => error.remedy(),
            Self::Output(_) => "check where the output goes",
        }
    }
}
