//! Why a run ended without a report.

use std::path::PathBuf;

use client::counter::CounterError;
use client::hospital::HospitalError;
use client::train::TrainError;
use client::vault::VaultError;
use coordinator::CoordinatorError;
use datasets::DataError;
use metrics::MetricsError;
use protocol::campaign::PauseReason;
use protocol::net::{CredentialError, NetError};
use protocol::roster::RosterError;
use protocol::sealed::SealError;
use protocol::signature::SignatureError;
use protocol::store::FileFault;
use remedy::Exit;

use crate::oracle::OracleError;

/// Why a run ended without a report. What was finished stays in the run folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FederationError {
    /// The images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The images do not fit the experiment.
    #[error(
        "the data have {found} classes ({names}), the experiment's network answers {expected}; set data.classes and \
         the last layer's units alike"
    )]
    Classes {
        /// Classes in the data.
        found: usize,
        /// Their names.
        names: String,
        /// Units of the last layer.
        expected: usize,
    },
    /// The federation's size changed between plan and data.
    #[error("{field} is {value}, which the protocol cannot take; the experiment file allows fewer")]
    Size {
        /// What.
        field: &'static str,
        /// How many.
        value: u64,
    },
    /// A hospital has more samples than the public cap says.
    #[error(
        "hospital-{hospital} has {samples} training samples, but federation.sample-cap is {cap}; raise the cap, which \
         is public, or give that hospital fewer images"
    )]
    SampleCap {
        /// Which.
        hospital: usize,
        /// Its samples.
        samples: usize,
        /// The cap.
        cap: u64,
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
    /// Signing keys.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Sealing keys.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Flooding.
    #[error(transparent)]
    Flooding(#[from] he_agg::aggregation::FloodingError),
    /// A release policy that a federation cannot have.
    #[error(
        "publish.release \"trusted-holder\" needs one party that holds the whole key; a federation releases by \
         threshold"
    )]
    TrustedHolder,
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
    /// The run published no model.
    #[error(
        "{}: no published model in it; a run serves once it has finished (consilium run --resume {} continues it)",
        folder.display(),
        folder.display()
    )]
    NotPublished {
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
    #[error("{reason}; what was done is kept: consilium run --resume {} goes on from there", folder.display())]
    Paused {
        /// Why.
        reason: PauseReason,
        /// The run folder.
        folder: PathBuf,
    },
    /// The coordinator could not read the keys or the model that it published.
    #[error("{}: keys and model of the published run cannot be read; restore the run folder from a backup", folder.display())]
    CannotServe {
        /// The run folder.
        folder: PathBuf,
    },
    /// A file of the run folder.
    #[error("cannot {action} {path}: {source}; check space and permissions of the run folder")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// A stored file of an earlier invocation cannot be read.
    #[error("{path} is not what this program wrote: {found}; start a new run")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// A thread died.
    #[error("a worker of the run died; consilium run --resume continues from the last closed round")]
    Abandoned,
}

impl From<FileFault> for FederationError {
    fn from(error: FileFault) -> Self {
        let FileFault { action, path, source } = error;
        Self::Io { action, path, source }
    }
}

impl FederationError {
    /// What the process returns for it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Paused { .. } => Exit::Quorum,
            Self::Data(_)
            | Self::Classes { .. }
            | Self::Size { .. }
            | Self::SampleCap { .. }
            | Self::Train(TrainError::NoGpu { .. })
            | Self::TrustedHolder => Exit::BadInput,
            Self::Vault(_) | Self::Counter(CounterError::Refused(_)) => Exit::Refused,
            Self::Counter(_) => Exit::Connection,
            Self::NotPublished { .. } => Exit::BadInput,
            Self::TooFewServing { .. } => Exit::Quorum,
            Self::Io { source, .. } => Exit::of_io(source),
            other if other.is_connection() => Exit::Connection,
            _ => Exit::Failed,
        }
    }

    /// Whether the connection or its authentication is to blame.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Credential(_)
                | Self::Net(NetError::UntrustedPeer { .. } | NetError::Bind { .. })
                | Self::Hospital { source: HospitalError::Net(_), .. }
        )
    }
}
