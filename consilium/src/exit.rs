//! Exit codes, and the one function that maps errors to them.

use client::train::TrainError;
use coordinator::{CoordinatorError, audit::AuditError};
use serde::Serialize;

use crate::{
    counter::CounterError, error::Error, federation::FederationError, report::ReportError, run_folder::RunFolderError,
    threads::ThreadsError,
};

/// What the process returns to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// The run failed.
    Failed = 1,
    /// Connection or authentication.
    Connection = 2,
    /// Quorum or deadline missed.
    Quorum = 3,
    /// Bad input: arguments, experiment, data.
    BadInput = 4,
    /// Refused by policy, vault or budget.
    Refused = 5,
    /// Something did not verify.
    Verification = 6,
    /// No space left.
    StorageFull = 7,
    /// Interrupted; the run can be resumed.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word for `status` in JSON output.
    pub fn status(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Connection => "unreachable",
            Self::Quorum => "quorum-missed",
            Self::BadInput => "bad-input",
            Self::Refused => "refused",
            Self::Verification => "not-verified",
            Self::StorageFull => "storage-full",
            Self::Interrupted => "interrupted",
        }
    }

    /// The exit code of an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Experiment(_)
            | Error::DropOut(_)
            | Error::NoData { .. }
            | Error::NoHospital { .. }
            | Error::Picture(_)
            | Error::NoTranscript { .. }
            | Error::Compute(_) => Self::BadInput,
            Error::Audit(AuditError::Log(_)) => Self::Verification,
            Error::Audit(AuditError::Folder(_)) => Self::Failed,
            Error::Audit(_) => Self::BadInput,
            Error::RunFolder(RunFolderError::Io { source, .. }) | Error::Output(source) => Self::of_io(source),
            Error::RunFolder(_) => Self::BadInput,
            Error::Report(ReportError::Io { source, .. }) => Self::of_io(source),
            Error::Report(_) | Error::Threads(ThreadsError::Start { .. }) => Self::Failed,
            Error::Threads(_) => Self::BadInput,
            Error::Federation(error) => Self::of_federation(error),
            Error::Bench(error) if error.flag().is_some() => Self::BadInput,
            Error::Bench(_) => Self::Failed,
        }
    }

    fn of_federation(error: &FederationError) -> Self {
        match error {
            FederationError::QuorumLost { .. } | FederationError::RoundVoid { .. } => Self::Quorum,
            FederationError::Coordinator(CoordinatorError::Ceremony(_) | CoordinatorError::Publish(_)) => Self::Quorum,
            FederationError::Data(_)
            | FederationError::Classes { .. }
            | FederationError::Size { .. }
            | FederationError::SampleCap { .. }
            | FederationError::Train(TrainError::NoGpu { .. })
            | FederationError::TrustedHolder => Self::BadInput,
            FederationError::Vault(_) | FederationError::Counter(CounterError::Refused(_)) => Self::Refused,
            FederationError::Counter(_) => Self::Connection,
            FederationError::NotPublished { .. } => Self::BadInput,
            FederationError::TooFewServing { .. } => Self::Quorum,
            FederationError::Io { source, .. } => Self::of_io(source),
            other if other.is_connection() => Self::Connection,
            _ => Self::Failed,
        }
    }

    fn of_io(source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::StorageFull,
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::AlreadyExists => Self::BadInput,
            _ => Self::Failed,
        }
    }
}

/// The argument parser has its own code 2, which here means something else.
pub fn of_parser(error: &clap::Error) -> Exit {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::BadInput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dropout::DropOut, experiment::Experiment};

    #[test]
    fn every_kind_of_error_has_its_documented_code() {
        let bad = Experiment::parse("x.toml", "[experiment]\n", &[]).expect_err("incomplete");
        assert_eq!(Exit::of(&Error::Experiment(bad)), Exit::BadInput);
        let drop = "x".parse::<DropOut>().expect_err("no drop-out");
        assert_eq!(Exit::of(&Error::DropOut(drop)), Exit::BadInput);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Exit::of(&Error::Output(full)), Exit::StorageFull);
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Exit::of(&Error::Output(broken)), Exit::Failed);
    }

    #[test]
    fn codes_are_the_documented_numbers() {
        let codes = [Exit::Done, Exit::Failed, Exit::Connection, Exit::Quorum, Exit::BadInput, Exit::Refused];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 3, 4, 5]);
        assert_eq!([Exit::Verification, Exit::StorageFull, Exit::Interrupted].map(Exit::code), [6, 7, 130]);
    }
}
