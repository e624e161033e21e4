//! Why a run ended without a report.

use std::borrow::Cow;
use std::path::PathBuf;

use client::counter::CounterError;
use client::hospital::HospitalError;
use client::plan::PlanError;
use client::privacy_ledger::PrivacyLedgerError;
use client::train::TrainError;
use client::vault::{KeysError, VaultError};
use coordinator::CoordinatorError;
use datasets::DataError;
use metrics::MetricsError;
use protocol::campaign::PauseReason;
use protocol::net::{CredentialError, NetError};
use protocol::roster::RosterError;
use protocol::store::FileFault;
use remedy::{Exit, Explained};

use crate::oracle::OracleError;

/// Why a run ended without a report. What was finished stays in the run folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The plan, or images that do not fit it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The federation's size changed between plan and data.
    #[error("{field} is {value}, which the protocol cannot take; the experiment file allows fewer")]
    Size {
        /// What.
        field: &'static str,
        /// How many.
        value: u64,
    },
    /// The coordinator's socket.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Certificates.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A peer's name.
    #[error(transparent)]
    PeerName(#[from] protocol::net::PeerNameError),
    /// A party's own keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A hospital's list of what its patients have shown.
    #[error(transparent)]
    Privacy(#[from] PrivacyLedgerError),
    /// A vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Flooding.
    #[error(transparent)]
    Flooding(#[from] he_agg::aggregation::FloodingError),
    /// The coordinator.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    /// A hospital.
    #[error("hospital-{hospital}: {source}")]
    Hospital {
        /// Which.
        hospital: u16,
        /// Why.
        source: HospitalError,
    },
    /// Baselines.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Figures.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A self-check could not be made.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// The run published no model yet.
    #[error("{}: the run has no published model yet: {}", folder.display(), rounds_text(*closed, *rounds))]
    NotPublished {
        /// The run folder.
        folder: PathBuf,
        /// Training rounds that are closed.
        closed: usize,
        /// Training rounds that the experiment plans.
        rounds: u32,
        /// Whether its images come from a path that `--data` named.
        needs_data: bool,
    },
    /// The run left no head that could be asked.
    #[error("{}: no head was trained there by processes, or not to its end", folder.display())]
    NoHead {
        /// The run folder.
        folder: PathBuf,
    },
    /// Fewer hospitals than it takes to release an answer.
    #[error(
        "{}: only {found} hospitals were there when the model was published, releasing an answer takes {threshold}; \
         train again with all of them",
        folder.display()
    )]
    TooFewServing {
        /// The run folder.
        folder: PathBuf,
        /// How many can serve.
        found: usize,
        /// How many it takes.
        threshold: usize,
    },
    /// A hospital's counter.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// Nothing goes on by itself.
    #[error("{reason}; what was done is kept in {}", folder.display())]
    Paused {
        /// Why.
        reason: PauseReason,
        /// The run folder.
        folder: PathBuf,
    },
    /// The coordinator could not read the keys or the model that it published.
    #[error("{}: keys and model of the published run cannot be read", folder.display())]
    CannotServe {
        /// The run folder.
        folder: PathBuf,
    },
    /// A file of the run folder.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A stored file of an earlier invocation cannot be read.
    #[error("{} is not what this program wrote: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// A thread died.
    #[error("a worker of the run died")]
    Abandoned,
}

fn rounds_text(closed: usize, rounds: u32) -> String {
    match closed {
        0 => format!("none of its {rounds} training rounds is closed"),
        closed if closed >= rounds as usize => "its training is finished, its model is not published".to_owned(),
        closed => format!("{closed} of its {rounds} training rounds are closed"),
    }
}

impl From<FileFault> for FederationError {
    fn from(error: FileFault) -> Self {
        let FileFault { action, path, source } = error;
        Self::Io { action, path, source }
    }
}

impl Explained for FederationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Counter(error) => error.code(),
            Self::NotPublished { .. } | Self::NoHead { .. } => "not_published",
            Self::Train(TrainError::NoGpu { .. }) => "no_gpu",
            _ => "run_failed",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NotPublished { folder, .. } | Self::NoHead { folder } => Some(folder.display().to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Data(_) => "check --data, and [data] of the experiment, then start the run again".into(),
            Self::Plan(error) => error.remedy(),
            Self::Size { field, .. } => format!("lower federation.{field}").into(),
            Self::NotPublished { folder, needs_data, .. } => {
                let data = if *needs_data { " --data PATH" } else { "" };
                format!("`consilium run --resume {}{data}` trains on and publishes it", folder.display()).into()
            }
            Self::NoHead { folder } => format!(
                "train it with `consilium run FILE --processes`; `consilium run --resume {} --processes` goes on with \
                 one that was interrupted",
                folder.display()
            )
            .into(),
            Self::Paused { folder, .. } => {
                format!("`consilium run --resume {}` goes on from there, with all hospitals", folder.display()).into()
            }
            Self::CannotServe { .. } => "restore the run folder from a backup, or start a new run".into(),
            Self::TooFewServing { .. } => "start a new run and keep all hospitals until the model is published".into(),
            Self::Counter(error) => error.remedy(),
            Self::Train(TrainError::NoGpu { .. }) => {
                "set device = \"auto\" or \"cpu\" under [train] in the site file".into()
            }
            Self::Train(TrainError::NonFiniteLoss { .. }) => {
                "lower train.learning-rate or raise train.range-penalty, then start a new run".into()
            }
            Self::Train(_) => "check [train] and [data] of the experiment, then start a new run".into(),
            Self::Keys(_) | Self::Vault(_) | Self::Privacy(_) => {
                "put back the hospital's folder with its passphrase and vault, or start a new run".into()
            }
            Self::Io { .. } => "make space or correct the permissions of the run folder, then resume the run".into(),
            Self::Damaged { .. } => "start a new run; what else is in the folder stays readable".into(),
            Self::Abandoned => "`consilium run --resume RUN` with the run's folder goes on where it stood".into(),
            Self::Coordinator(CoordinatorError::Resume { .. }) => {
                "use the folder that the run itself wrote, not one put together from several".into()
            }
            Self::Hospital { source: HospitalError::BeyondBound { .. }, .. } => {
                "raise train.range-penalty, or publish.gain as far as there is room for flooding, then start a new run"
                    .into()
            }
            error if error.is_connection() => {
                "let this program listen and connect on 127.0.0.1, then `consilium run --resume RUN`".into()
            }
            // Keys, figures and self-checks of our own making: nothing an operator did.
            _ => "`consilium run --resume RUN` tries again; report it with this message if it comes back".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Paused { .. } => Exit::Quorum,
            Self::Data(_) | Self::Size { .. } | Self::Train(TrainError::NoGpu { .. }) => Exit::BadInput,
            Self::Plan(error) => error.exit(),
            Self::Keys(_) | Self::Vault(_) | Self::Privacy(_) => Exit::Refused,
            Self::Counter(error) => error.exit(),
            Self::NotPublished { .. } | Self::NoHead { .. } => Exit::BadInput,
            Self::TooFewServing { .. } => Exit::Quorum,
            Self::Io { source, .. } => Exit::of_io(source),
            Self::Coordinator(error) if error.no_space_left() => Exit::StorageFull,
            Self::Hospital { source, .. } if source.no_space_left() => Exit::StorageFull,
            other if other.is_connection() => Exit::Connection,
            _ => Exit::Failed,
        }
    }
}

impl FederationError {
    /// Whether the connection or its authentication is to blame.
    fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Credential(_)
                | Self::Net(NetError::UntrustedPeer { .. } | NetError::Bind { .. })
                | Self::Hospital { source: HospitalError::Net(_), .. }
        )
    }
}
