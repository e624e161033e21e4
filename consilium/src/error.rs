//! Everything that ends an invocation, with a code for scripts, a place and a remedy for people.

use std::borrow::Cow;

use bench::BenchError;
use client::counter::CounterError;
use client::train::TrainError;
use coordinator::{audit::AuditError, compute::ComputeError};
use experiment::ExperimentError;
use report::ReportError;
use simulation::FederationError;
use simulation::dropout::DropOutError;
use simulation::run_folder::RunFolderError;

use crate::threads::ThreadsError;

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
    /// An image to ask about.
    #[error(transparent)]
    Picture(datasets::DataError),
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
    /// Threads to compute with.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
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
            Self::Picture(_) => "picture",
            Self::NoTranscript { .. } => "no_transcript",
            Self::Audit(_) => "audit",
            Self::Compute(_) => "no_gpu",
            Self::Threads(_) => "threads",
            Self::Federation(FederationError::Counter(CounterError::Refused(_))) => "query_refused",
            Self::Federation(FederationError::Counter(_)) => "not_served",
            Self::Federation(FederationError::NotPublished { .. }) => "not_published",
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
            Self::Threads(_) => Some("compute.threads".to_owned()),
            Self::Federation(FederationError::NotPublished { folder, .. }) => Some(folder.display().to_string()),
            Self::NoTranscript { folder } => Some(folder.display().to_string()),
            Self::RunFolder(error) => Some(error.folder().display().to_string()),
            Self::Bench(error) => error.flag().map(str::to_owned),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Experiment(ExperimentError::Unreadable { .. }) => {
                "check the path; `consilium demo` needs no file".into()
            }
            Self::Experiment(ExperimentError::Override { .. }) => "for example --set federation.rounds=20".into(),
            Self::Experiment(_) => "change the named lines; `consilium plan FILE` checks without running".into(),
            Self::DropOut(_) => "for example --drop hospital-2@2:after-upload".into(),
            Self::NoData { .. } => "add --data PATH".into(),
            Self::NoHospital { hospitals, .. } => format!("choose a number from 1 to {hospitals}").into(),
            Self::Compute(_) => "--device auto takes a GPU only where there is one; --device cpu looks for none".into(),
            Self::Threads(_) => "lower compute.threads, or set it to \"auto\" for one per core".into(),
            Self::Picture(_) => "name PNG or JPEG files; a damaged or foreign one has to be saved anew".into(),
            Self::NoTranscript { .. } => "name the folder coordinator/epoch-N of the run, or a copy of it".into(),
            Self::Audit(error) => of_audit(error).into(),
            Self::RunFolder(error) => error.remedy(),
            Self::Federation(error) => error.remedy(),
            Self::Report(_) => "check space and permissions of the run folder".into(),
            Self::Bench(error) => error.remedy().into(),
            Self::Output(_) => "check where the output goes".into(),
        }
    }
}

fn of_audit(error: &AuditError) -> &'static str {
    match error {
        AuditError::Folder(_) => "check the folder's path and permissions, or audit another copy with --folder",
        AuditError::Log(_) => "compare with other hospitals' copies of the log, and trust no answer until they agree",
        AuditError::Unknown { known: 0, .. } => {
            "have a hospital ask first: `consilium serve RUN`, `consilium query RUN`"
        }
        AuditError::Unknown { .. } => "`consilium audit queries RUN` lists them",
        AuditError::Forgotten { .. } => "choose one of the newest that `consilium audit queries RUN` lists",
        AuditError::OtherProgram { .. } => "name the run in which the query was answered",
        // The enum may grow in its own crate.
        _ => "audit another copy of the coordinator's folder with --folder",
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::PathBuf;

    use client::vault::VaultError;
    use coordinator::CoordinatorError;
    use protocol::message::VoidReason;

    use super::*;

    fn samples() -> Vec<Error> {
        let (folder, io) = (|| PathBuf::from("runs/x"), || std::io::Error::from(ErrorKind::PermissionDenied));
        let reason = VoidReason::QuorumLost { have: 2, need: 4 };
        let federation = [
            FederationError::Data(datasets::DataError::Io { path: folder(), source: io() }),
            FederationError::Classes { found: 2, names: "a, b".to_owned(), expected: 3 },
            FederationError::SampleCap { hospital: 1, samples: 9, cap: 8 },
            FederationError::NotPublished { folder: folder(), closed: 0, rounds: 3, needs_data: true },
            FederationError::QuorumLost { round: 2, reason, folder: folder() },
            FederationError::RoundVoid { round: 2, reason, folder: folder() },
            FederationError::TooFewServing { folder: folder(), found: 2, threshold: 4 },
            FederationError::Counter(CounterError::Closed { path: folder(), source: io() }),
            FederationError::Counter(CounterError::Refused("the quota is spent".to_owned())),
            FederationError::Train(TrainError::NoGpu { reason: "none".to_owned() }),
            FederationError::Train(TrainError::NoSamples),
            FederationError::Vault(VaultError::WrongPassphrase { path: folder() }),
            FederationError::Io { action: "write", path: folder(), source: io() },
            FederationError::Damaged { path: folder(), found: "no JSON".to_owned() },
            FederationError::Coordinator(CoordinatorError::OtherRoster { folder: folder() }),
            FederationError::Abandoned,
            FederationError::TrustedHolder,
        ];
        let audits = [
            AuditError::Folder(CoordinatorError::Abandoned),
            AuditError::Unknown { query: "1-1".parse().expect("a query"), known: 0, newest: "-".to_owned() },
            AuditError::Unknown { query: "1-1".parse().expect("a query"), known: 3, newest: "2-1".to_owned() },
            AuditError::Forgotten { query: "1-1".parse().expect("a query"), kept: 256 },
        ];
        let folders = [
            RunFolderError::Missing { folder: folder() },
            RunFolderError::NotARun { folder: folder() },
            RunFolderError::NotEmpty { folder: folder() },
            RunFolderError::Io { folder: folder(), source: io() },
        ];
        let mut all: Vec<Error> = federation.into_iter().map(Error::from).collect();
        all.extend(audits.into_iter().map(Error::from));
        all.extend(folders.into_iter().map(Error::from));
        all.push(Error::NoHospital { hospital: 9, hospitals: 5 });
        all.push(Error::NoTranscript { folder: folder() });
        all
    }

    #[test]
    fn every_remedy_says_itself_what_to_do() {
        for error in samples() {
            let (text, remedy) = (error.to_string(), error.remedy());
            assert!(remedy.len() > 10 && !remedy.contains("above"), "{text}: {remedy}");
            assert!(!text.contains(remedy.as_ref()), "said once, not twice: {text}: {remedy}");
        }
    }

    #[test]
    fn remedies_that_continue_a_run_name_its_folder() {
        let named = samples().into_iter().filter(|error| {
            use FederationError::{NotPublished, QuorumLost, RoundVoid};
            matches!(error, Error::Federation(NotPublished { .. } | QuorumLost { .. } | RoundVoid { .. }))
        });
        for error in named {
            assert!(error.remedy().contains("consilium run --resume runs/x"), "{}", error.remedy());
        }
        let published =
            FederationError::NotPublished { folder: "runs/x".into(), closed: 3, rounds: 3, needs_data: true };
        assert!(published.remedy().contains("--data PATH"), "images are not in the folder: {}", published.remedy());
        assert!(published.to_string().contains("training is finished"), "{published}");
    }
}
