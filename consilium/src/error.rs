//! Everything that ends an invocation, with a code for scripts, a place and a remedy for people.

use std::borrow::Cow;

use bench::BenchError;
use client::{
    bundle::BundleError, consent::ApprovalError, consent::ConsentError, counter::CounterError,
    data_sets::DataSetsError, enrolment::EnrolmentError, handover::HandoverError, models::ModelsError,
    own_audit::OwnAuditError, plan::PlanError, privacy_ledger::PrivacyLedgerError, service::ServeError,
    site_file::SiteFileError,
};
use coordinator::audit::AuditError;
use coordinator::compute::ComputeError;
use coordinator::members::MembersError;
use coordinator::proposals::ProposalsError;
use coordinator::registrar::RegistrarError;
use experiment::ExperimentError;
use portal::PortalError;
use protocol::enrolment::WordsError;
use protocol::local::LocalError;
use remedy::{Exit, Explained};
use report::ReportError;
use simulation::FederationError;
use simulation::dropout::DropOutError;
use simulation::head::HeadRunError;
use simulation::run_folder::RunFolderError;

use crate::{
    control::ControlError, log::LogError, metrics::MetricsError, threads::ThreadsError,
    verbs::coordinator::OfficeError, verbs::research::ResearchError,
};

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
    /// Images that would not be read.
    #[error("experiment {name} generates its images, format {format:?}; {} would not be read", path.display())]
    DataUnused {
        /// The experiment.
        name: String,
        /// Its format.
        format: &'static str,
        /// As given.
        path: std::path::PathBuf,
    },
    /// A flag without a meaning for a head.
    #[error("experiment {name} trains a head, on which {flag} would have no effect")]
    NotForHead {
        /// The experiment.
        name: String,
        /// As given.
        flag: &'static str,
    },
    /// A plan that reads no images.
    #[error("experiment {name} trains a network, and a plan of it reads no images; --data would not be read")]
    PlanReadsNone {
        /// The experiment.
        name: String,
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
    /// An audit of a site.
    #[error(transparent)]
    OwnAudit(#[from] OwnAuditError),
    /// A bundle for an auditor.
    #[error(transparent)]
    Bundle(#[from] BundleError),
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
    /// Training a head.
    #[error(transparent)]
    Head(#[from] HeadRunError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A measurement.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// What is shown and never used.
    #[error(transparent)]
    Research(#[from] ResearchError),
    /// The coordinator's folder.
    #[error(transparent)]
    Office(#[from] OfficeError),
    /// The book of members.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// An authority that is kept offline.
    #[error(transparent)]
    Registrar(#[from] RegistrarError),
    /// Joining a consortium.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// A model that is handed over.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A site in service.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Words that were typed.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The book of proposals.
    #[error(transparent)]
    Proposals(#[from] ProposalsError),
    /// A plan for a consortium.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file that people carry between machines.
    #[error("{}: {source}", path.display())]
    CarriedFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A plan's file.
    #[error("{}: {source}", path.display())]
    PlanFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What this release makes of a plan is not what was approved.
    #[error("key epoch {epoch}: this release derives other terms from the plan than those that were approved")]
    OtherTerms {
        /// Which.
        epoch: protocol::ids::Epoch,
    },
    /// The coordinator's process.
    #[error(transparent)]
    Coordinator(#[from] coordinator::CoordinatorError),
    /// The process in service.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Figures for Prometheus.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A consent.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// Data sets.
    #[error(transparent)]
    DataSets(#[from] DataSetsError),
    /// The site file.
    #[error(transparent)]
    SiteFile(#[from] SiteFileError),
    /// The list of what patients have shown.
    #[error(transparent)]
    Privacy(#[from] PrivacyLedgerError),
    /// An officer's approval of terms.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// A record of what was sent.
    #[error("{}: {source}", path.display())]
    SentLog {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The counter for images.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// An approval that nobody typed.
    #[error("an approval is typed by a person: standard input is no terminal")]
    NoTerminal,
    /// Nothing to ask.
    #[error("{}: no key epoch of this site has a published model{}", folder.display(), epoch_text(*epoch))]
    NoModel {
        /// The site's folder.
        folder: std::path::PathBuf,
        /// As given.
        epoch: Option<u32>,
    },
    /// The site's models.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// Pages for the site's people.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// Where they should be.
    #[error("{text:?} is no address; write numbers, such as 127.0.0.1:8443")]
    PortalAddress {
        /// As set.
        text: String,
    },
    /// One of the two files of a certificate.
    #[error("[portal] of site.toml names a certificate without its key, or a key without its certificate")]
    PortalCertificate,
    /// No page to open.
    #[error("{}: its site.toml has no [portal], and no --listen was given", folder.display())]
    NoPortal {
        /// The site's folder.
        folder: std::path::PathBuf,
    },
    /// What was asked back was not confirmed.
    #[error("{what} was not confirmed; nothing has changed")]
    NotConfirmed {
        /// What would have been done.
        what: String,
        /// What to do.
        instead: &'static str,
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
            Self::OwnAudit(error) => Some(error),
            Self::Bundle(error) => Some(error),
            Self::Compute(error) => Some(error),
            Self::Threads(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::RunFolder(error) => Some(error),
            Self::Federation(error) => Some(error),
            Self::Report(error) => Some(error),
            Self::Bench(error) => Some(error),
            Self::Head(error) => Some(error),
            Self::Research(error) => Some(error),
            Self::Office(error) => Some(error),
            Self::Members(error) => Some(error),
            Self::Registrar(error) => Some(error),
            Self::Handover(error) => Some(error),
            Self::Enrolment(error) => Some(error),
            Self::Serve(error) => Some(error),
            Self::Proposals(error) => Some(error),
            Self::Plan(error) => Some(error),
            Self::Consent(error) => Some(error),
            Self::DataSets(error) => Some(error),
            Self::SiteFile(error) => Some(error),
            Self::Counter(error) => Some(error),
            Self::Models(error) => Some(error),
            Self::Approval(error) => Some(error),
            Self::Privacy(error) => Some(error),
            Self::Metrics(error) => Some(error),
            Self::Portal(error) => Some(error),
            Self::PlanFile { .. }
            | Self::CarriedFile { .. }
            | Self::OtherTerms { .. }
            | Self::Coordinator(_)
            | Self::Control(_)
            | Self::SentLog { .. }
            | Self::NoTerminal
            | Self::PortalAddress { .. }
            | Self::PortalCertificate
            | Self::NoPortal { .. }
            | Self::NoModel { .. } => None,
            Self::NoData { .. }
            | Self::DataUnused { .. }
            | Self::NotForHead { .. }
            | Self::PlanReadsNone { .. }
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
            Self::DataUnused { .. } | Self::PlanReadsNone { .. } => "data_unused",
            Self::NotForHead { .. } => "not_for_head",
            Self::NoHospital { .. } => "no_hospital",
            Self::Picture(_) => "picture",
            Self::NoTranscript { .. } => "no_transcript",
            Self::Words(_) => "words",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::CarriedFile { .. } => "carried_file",
            Self::PlanFile { .. } => "plan_file",
            Self::OtherTerms { .. } => "other_terms",
            Self::Coordinator(_) => "coordinator",
            Self::Control(ControlError::Refused(_)) => "order_refused",
            Self::Control(_) => "not_in_service",
            Self::SentLog { .. } => "sent_log",
            Self::NoTerminal => "no_terminal",
            Self::NoModel { .. } => "no_model",
            Self::PortalAddress { .. } => "portal_address",
            Self::PortalCertificate => "portal_certificate",
            Self::NoPortal { .. } => "no_portal",
            Self::Input(_) => "input",
            Self::Start(_) => "start",
            Self::Output(_) => "output",
            other => other.elsewhere().map_or("failed", Explained::code),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoData { .. } | Self::DataUnused { .. } | Self::PlanReadsNone { .. } => Some("--data".to_owned()),
            Self::NotForHead { flag, .. } => Some((*flag).to_owned()),
            Self::NoHospital { .. } => Some("--hospital".to_owned()),
            Self::NoTranscript { folder } => Some(folder.display().to_string()),
            Self::PlanFile { path, .. } | Self::SentLog { path, .. } | Self::CarriedFile { path, .. } => {
                Some(path.display().to_string())
            }
            Self::PortalAddress { .. } | Self::PortalCertificate => Some("site.toml [portal]".to_owned()),
            other => other.elsewhere().and_then(Explained::place),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NoData { .. } => "add --data PATH".into(),
            Self::DataUnused { .. } => "leave --data out, or set data.format to that of the files".into(),
            Self::NotForHead { flag, .. } => format!("leave {flag} out").into(),
            Self::PlanReadsNone { .. } => "leave --data out".into(),
            Self::NoHospital { hospitals, .. } => format!("choose a number from 1 to {hospitals}").into(),
            Self::Picture(_) => "name PNG, JPEG or DICOM files; a damaged or foreign one has to be saved anew".into(),
            Self::NoTranscript { .. } => "name the folder coordinator/epoch-N of the run, or a copy of it".into(),
            Self::Words(_) => "have them read aloud again, one by one".into(),
            Self::NotConfirmed { instead, .. } => (*instead).into(),
            Self::Input(_) => "run it where somebody can type".into(),
            Self::CarriedFile { .. } => "name a file that can be read, or a folder that can be written to".into(),
            Self::PlanFile { .. } => "name an experiment file".into(),
            Self::OtherTerms { .. } => "serve it with the release that proposed it".into(),
            Self::Coordinator(error) if error.no_space_left() => {
                "free space on the disk of its folder, then start it again: it goes on where it was".into()
            }
            Self::Coordinator(_) => "restore the coordinator's folder from its backup".into(),
            Self::Control(ControlError::Refused(_)) => "`consilium coordinator status` shows what is under way".into(),
            Self::Control(ControlError::Socket(LocalError::Silent { .. })) => {
                "look into the coordinator's log; restart it if it is stuck, nothing is lost".into()
            }
            Self::Control(ControlError::Socket(LocalError::Busy { .. })) => {
                "stop the process that serves this folder, or use another folder".into()
            }
            Self::Control(ControlError::Socket(LocalError::Folder { .. })) => {
                "remove what stands there, or correct its owner and permissions".into()
            }
            Self::Control(_) => "start it with `consilium coordinator serve`, as the same user".into(),
            Self::SentLog { .. } => "correct the permissions of the folder".into(),
            Self::NoTerminal => "run it on a terminal, with the officer in front of it".into(),
            Self::PortalAddress { .. } => "correct `listen` in [portal] of site.toml, or --listen".into(),
            Self::PortalCertificate => "name both `certificate` and `key`, or neither".into(),
            Self::NoPortal { .. } => "add [portal] with `listen = \"127.0.0.1:8443\"` to it, or give --listen".into(),
            Self::NoModel { .. } => "`consilium hospital status` shows how far each key epoch has come".into(),
            Self::Start(_) => "free memory, or raise the limits of this user".into(),
            Self::Output(_) => "check where the output goes".into(),
            other => other.elsewhere().map(Explained::remedy).unwrap_or_default(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoData { .. }
            | Self::DataUnused { .. }
            | Self::NotForHead { .. }
            | Self::PlanReadsNone { .. }
            | Self::NoHospital { .. }
            | Self::Picture(_)
            | Self::NoTranscript { .. }
            | Self::Words(_)
            | Self::NotConfirmed { .. }
            | Self::PlanFile { .. }
            | Self::NoTerminal
            | Self::PortalAddress { .. }
            | Self::PortalCertificate
            | Self::NoPortal { .. }
            | Self::NoModel { .. } => Exit::BadInput,
            Self::Control(ControlError::Refused(_)) => Exit::Refused,
            Self::Control(_) => Exit::Connection,
            Self::OtherTerms { .. } => Exit::Verification,
            Self::Coordinator(error) if error.no_space_left() => Exit::StorageFull,
            Self::SentLog { source, .. } => Exit::of_io(source),
            Self::CarriedFile { source, .. } if protocol::store::no_space_left(source) => Exit::StorageFull,
            Self::CarriedFile { .. } => Exit::BadInput,
            Self::Output(source) => Exit::of_io(source),
            other => other.elsewhere().map_or(Exit::Failed, Explained::exit),
        }
    }
}

fn epoch_text(epoch: Option<u32>) -> String {
    epoch.map_or_else(String::new, |epoch| format!(" of epoch {epoch}"))
}

#[cfg(test)]
mod tests;
