//! Everything that ends an invocation, with a code for scripts, a place and a remedy for people.

use std::borrow::Cow;

use bench::BenchError;
use client::enrolment::EnrolmentError;
use coordinator::{audit::AuditError, compute::ComputeError, members::MembersError};
use experiment::ExperimentError;
use protocol::enrolment::WordsError;
use remedy::{Exit, Explained};
use report::ReportError;
use simulation::FederationError;
use simulation::dropout::DropOutError;
use simulation::run_folder::RunFolderError;

use crate::{log::LogError, threads::ThreadsError, verbs::coordinator::OfficeError};

/// Why an invocation failed. What comes from another room explains itself; see [`Explained`].
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
    Audit(#[from] AuditError),
    /// A device to compute on.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// Threads to compute with.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
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
    /// The coordinator's folder.
    #[error(transparent)]
    Office(#[from] OfficeError),
    /// The book of members.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// Joining a consortium.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// Words that were typed.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// What was asked back was not confirmed.
    #[error("{what} was not confirmed; nothing has changed")]
    NotConfirmed {
        /// What would have been done.
        what: String,
    },
    /// Standard input is closed.
    #[error("cannot read standard input: {0}")]
    Input(std::io::Error),
    /// The system refuses threads.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// Standard output is closed or full.
    #[error("cannot write the result: {0}")]
    Output(std::io::Error),
}

impl Error {
    /// The error of another room, which says itself what there is to say; `None` for those of the command line.
    fn elsewhere(&self) -> Option<&dyn Explained> {
        match self {
            Self::Experiment(error) => Some(error),
            Self::DropOut(error) => Some(error),
            Self::Audit(error) => Some(error),
            Self::Compute(error) => Some(error),
            Self::Threads(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::RunFolder(error) => Some(error),
            Self::Federation(error) => Some(error),
            Self::Report(error) => Some(error),
            Self::Bench(error) => Some(error),
            Self::Office(error) => Some(error),
            Self::Members(error) => Some(error),
            Self::Enrolment(error) => Some(error),
            Self::NoData { .. }
            | Self::NoHospital { .. }
            | Self::Picture(_)
            | Self::NoTranscript { .. }
            | Self::Words(_)
            | Self::NotConfirmed { .. }
            | Self::Input(_)
            | Self::Start(_)
            | Self::Output(_) => None,
        }
    }
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::NoData { .. } => "no_data",
            Self::NoHospital { .. } => "no_hospital",
            Self::Picture(_) => "picture",
            Self::NoTranscript { .. } => "no_transcript",
            Self::Words(_) => "words",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::Input(_) => "input",
            Self::Start(_) => "start",
            Self::Output(_) => "output",
            other => other.elsewhere().map_or("failed", Explained::code),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoData { .. } => Some("--data".to_owned()),
            Self::NoHospital { .. } => Some("--hospital".to_owned()),
            Self::NoTranscript { folder } => Some(folder.display().to_string()),
            other => other.elsewhere().and_then(Explained::place),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NoData { .. } => "add --data PATH".into(),
            Self::NoHospital { hospitals, .. } => format!("choose a number from 1 to {hospitals}").into(),
            Self::Picture(_) => "name PNG or JPEG files; a damaged or foreign one has to be saved anew".into(),
            Self::NoTranscript { .. } => "name the folder coordinator/epoch-N of the run, or a copy of it".into(),
            Self::Words(_) => "have them read aloud again, one by one".into(),
            Self::NotConfirmed { .. } => "type what is asked for, or add --yes".into(),
            Self::Input(_) => "run it where somebody can type".into(),
            Self::Start(_) => "free memory, or raise the limits of this user".into(),
            Self::Output(_) => "check where the output goes".into(),
            other => other.elsewhere().map(Explained::remedy).unwrap_or_default(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoData { .. }
            | Self::NoHospital { .. }
            | Self::Picture(_)
            | Self::NoTranscript { .. }
            | Self::Words(_)
            | Self::NotConfirmed { .. } => Exit::BadInput,
            Self::Output(source) => Exit::of_io(source),
            other => other.elsewhere().map_or(Exit::Failed, Explained::exit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::PathBuf;

    use client::counter::CounterError;
    use client::plan::PlanError;
    use client::train::TrainError;
    use client::vault::VaultError;
    use coordinator::CoordinatorError;
    use protocol::RoundId;
    use protocol::campaign::PauseReason;
    use protocol::drive::coordinator::ResumeError;
    use protocol::message::VoidReason;

    use super::*;

    fn samples() -> Vec<Error> {
        let (folder, io) = (|| PathBuf::from("runs/x"), || std::io::Error::from(ErrorKind::PermissionDenied));
        let reason = VoidReason::QuorumLost { have: 2, need: 4 };
        let reason = PauseReason::Round { round: RoundId(2), reason };
        let federation = [
            FederationError::Data(datasets::DataError::Io { path: folder(), source: io() }),
            FederationError::Plan(PlanError::Classes { found: 2, names: "a, b".to_owned(), expected: 3 }),
            FederationError::SampleCap { hospital: 1, samples: 9, cap: 8 },
            FederationError::NotPublished { folder: folder(), closed: 0, rounds: 3, needs_data: true },
            FederationError::Paused { reason, folder: folder() },
            FederationError::CannotServe { folder: folder() },
            FederationError::TooFewServing { folder: folder(), found: 2, threshold: 4 },
            FederationError::Counter(CounterError::Closed { path: folder(), source: io() }),
            FederationError::Counter(CounterError::Refused("the quota is spent".to_owned())),
            FederationError::Train(TrainError::NoGpu { reason: "none".to_owned() }),
            FederationError::Train(TrainError::NoSamples),
            FederationError::Vault(VaultError::WrongPassphrase { path: folder() }),
            FederationError::Io { action: "write", path: folder(), source: io() },
            FederationError::Damaged { path: folder(), found: "no JSON".to_owned() },
            FederationError::Coordinator(CoordinatorError::Resume {
                folder: folder(),
                source: ResumeError::OtherRoster,
            }),
            FederationError::Abandoned,
            FederationError::Plan(PlanError::TrustedHolder),
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
            use FederationError::{NotPublished, Paused};
            matches!(error, Error::Federation(NotPublished { .. } | Paused { .. }))
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
