//! Remedies and exit codes of errors.

use std::io::ErrorKind;
use std::path::PathBuf;

use client::counter::CounterError;
use client::plan::PlanError;
use client::train::TrainError;
use client::vault::VaultError;
use coordinator::CoordinatorError;
use protocol::campaign::PauseReason;
use protocol::drive::coordinator::ResumeError;
use protocol::message::VoidReason;
use protocol::verifier::{Author, VerifyError};
use protocol::{Reject, RoundId};

use super::*;

fn io_error() -> std::io::Error {
    std::io::Error::from(ErrorKind::StorageFull)
}

fn samples() -> Vec<Error> {
    let (folder, io) = (|| PathBuf::from("runs/x"), || std::io::Error::from(ErrorKind::PermissionDenied));
    let reason = VoidReason::QuorumLost { have: 2, need: 4 };
    let reason = PauseReason::Round { round: RoundId(2), reason };
    let federation = [
        FederationError::Data(datasets::DataError::Io { path: folder(), source: io() }),
        FederationError::Plan(PlanError::Classes { found: 2, names: "a, b".to_owned(), expected: 3 }),
        FederationError::NotPublished { folder: folder(), closed: 0, rounds: 3, needs_data: true },
        FederationError::Paused { reason, folder: folder() },
        FederationError::CannotServe { folder: folder() },
        FederationError::TooFewServing { folder: folder(), found: 2, threshold: 4 },
        FederationError::Counter(LocalError::Closed { path: folder(), source: io() }.into()),
        FederationError::Counter(CounterError::Refused("the quota is spent".to_owned())),
        FederationError::Train(TrainError::NoGpu { reason: "none".to_owned() }),
        FederationError::Train(TrainError::NoSamples),
        FederationError::Vault(VaultError::WrongPassphrase { path: folder() }),
        FederationError::Io { action: "write", path: folder(), source: io() },
        FederationError::Damaged { path: folder(), found: "no JSON".to_owned() },
        FederationError::Coordinator(CoordinatorError::Resume { folder: folder(), source: ResumeError::OtherRoster }),
        FederationError::Abandoned,
    ];
    let audits = [
        AuditError::Folder(CoordinatorError::Abandoned),
        AuditError::Unknown { query: "1-1".parse().expect("a query"), known: 0, newest: "-".to_owned() },
        AuditError::Unknown { query: "1-1".parse().expect("a query"), known: 3, newest: "2-1".to_owned() },
        AuditError::Forgotten { query: "1-1".parse().expect("a query"), kept: 256 },
        AuditError::Log(VerifyError { index: 7, author: Author::Coordinator, reject: Reject::LogForked }),
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
fn a_coordinator_whose_disk_is_full_has_the_code_of_a_full_disk() {
    let of = |is_full| {
        let source = std::sync::Arc::new(io_error());
        let source = ResumeError::Store(protocol::drive::StoreFault::Failed { source, is_full });
        Error::from(CoordinatorError::Resume { folder: PathBuf::from("epoch-1"), source })
    };
    assert_eq!((of(true).exit(), of(false).exit()), (Exit::StorageFull, Exit::Failed));
    assert!(of(true).remedy().contains("free space") && of(false).remedy().contains("backup"));
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
    let published = FederationError::NotPublished { folder: "runs/x".into(), closed: 3, rounds: 3, needs_data: true };
    assert!(published.remedy().contains("--data PATH"), "images are not in the folder: {}", published.remedy());
    assert!(published.to_string().contains("training is finished"), "{published}");
}
