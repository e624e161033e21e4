//! The one function that maps errors to exit codes.

use coordinator::audit::AuditError;
pub use remedy::Exit;
use report::ReportError;
use simulation::run_folder::RunFolderError;

use crate::{error::Error, threads::ThreadsError};

/// The exit code of an error.
pub fn of(error: &Error) -> Exit {
    match error {
        Error::Experiment(_)
        | Error::DropOut(_)
        | Error::NoData { .. }
        | Error::NoHospital { .. }
        | Error::Picture(_)
        | Error::NoTranscript { .. }
        | Error::Compute(_) => Exit::BadInput,
        Error::Audit(AuditError::Log(_)) => Exit::Verification,
        Error::Audit(AuditError::Folder(_)) => Exit::Failed,
        Error::Audit(_) => Exit::BadInput,
        Error::RunFolder(RunFolderError::Io { source, .. }) | Error::Output(source) => Exit::of_io(source),
        Error::RunFolder(_) => Exit::BadInput,
        Error::Report(ReportError::Io { source, .. }) => Exit::of_io(source),
        Error::Report(_) | Error::Threads(ThreadsError::Start { .. }) => Exit::Failed,
        Error::Threads(_) => Exit::BadInput,
        Error::Federation(error) => error.exit(),
        Error::Bench(error) if error.flag().is_some() => Exit::BadInput,
        Error::Bench(_) => Exit::Failed,
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
    use experiment::Experiment;

    use super::*;
    use simulation::dropout::DropOut;

    #[test]
    fn every_kind_of_error_has_its_documented_code() {
        let bad = Experiment::parse("x.toml", "[experiment]\n", &[]).expect_err("incomplete");
        assert_eq!(of(&Error::Experiment(bad)), Exit::BadInput);
        let drop = "x".parse::<DropOut>().expect_err("no drop-out");
        assert_eq!(of(&Error::DropOut(drop)), Exit::BadInput);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(of(&Error::Output(full)), Exit::StorageFull);
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(of(&Error::Output(broken)), Exit::Failed);
    }
}
