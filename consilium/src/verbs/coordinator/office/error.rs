//! Why a coordinator's folder cannot be used.

use std::borrow::Cow;
use std::path::PathBuf;

use client::vault::{KeysError, VaultError};
use portal::{BookError, PortalError};
use protocol::enrolment::SigningFileError;
use protocol::ids::Epoch;
use protocol::net::{CredentialError, NetError, PeerName};
use protocol::store::{FileFault, JournalError};
use remedy::{Exit, Explained};

/// Why a coordinator's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeError {
    /// A coordinator is there already.
    #[error("{}: a coordinator was set up here already", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// None is there.
    #[error("{}: no coordinator was set up here", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// An authority is there already.
    #[error("{}: an authority is kept here already", folder.display())]
    AuthorityExists {
        /// The folder.
        folder: PathBuf,
    },
    /// None is there.
    #[error("{}: no authority is kept here", folder.display())]
    NoAuthority {
        /// The folder.
        folder: PathBuf,
    },
    /// What only the authority's machine can do.
    #[error("this coordinator's authority is kept on another machine")]
    AuthorityElsewhere,
    /// What nobody has to carry.
    #[error("this coordinator's authority is in its own vault, so there is nothing to carry anywhere")]
    AuthorityHere,
    /// The authority has not signed for this coordinator, or long ago.
    #[error("{}: {found}", path.display())]
    NotSigned {
        /// Where its certificate belongs.
        path: PathBuf,
        /// What is wrong.
        found: &'static str,
    },
    /// A certificate for somebody else.
    #[error("the certificate of the coordinator in this file is not for this coordinator's key")]
    OtherCoordinator,
    /// A file that people carry.
    #[error("{}: {source}", path.display())]
    Carried {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SigningFileError,
    },
    /// A backup never overwrites anything.
    #[error("{}: exists already; a backup is written to a folder of its own", folder.display())]
    BackupExists {
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing to go on from.
    #[error("no training round of key epoch {epoch} has closed, so there is no model to go on from")]
    Untrained {
        /// The key epoch.
        epoch: Epoch,
    },
    /// A site that does not hold the model.
    #[error("{name} took no part in key epoch {epoch} and does not hold its model")]
    WasNotThere {
        /// The site.
        name: PeerName,
        /// The key epoch.
        epoch: Epoch,
    },
    /// It approved, and was put out before all had.
    #[error("{name} is a member no more")]
    PutOut {
        /// The site.
        name: String,
    },
    /// A file could not be copied.
    #[error("{}: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A journal could not be copied.
    #[error(transparent)]
    Journal(JournalError),
    /// A file of it.
    #[error("{}: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// Not written.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keys in it.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The authority.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The socket.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The dashboard, or its users.
    #[error("the dashboard: {0}")]
    Dashboard(#[source] PortalError),
    /// Half of a certificate.
    #[error("[dashboard] of coordinator.toml names one of `certificate` and `key`")]
    DashboardCertificate,
}

impl Explained for OfficeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "coordinator_exists",
            Self::Missing { .. } => "no_coordinator",
            Self::AuthorityExists { .. } => "authority_exists",
            Self::NoAuthority { .. } => "no_authority",
            Self::AuthorityElsewhere => "authority_elsewhere",
            Self::AuthorityHere => "authority_here",
            Self::NotSigned { .. } => "not_signed",
            Self::OtherCoordinator => "other_keys",
            Self::Carried { .. } => "signing_file",
            Self::BackupExists { .. } => "backup_exists",
            Self::Untrained { .. } | Self::WasNotThere { .. } => "no_model_to_go_on_from",
            Self::PutOut { .. } => "member_put_out",
            Self::Copy { .. } | Self::Journal(_) => "backup",
            Self::Dashboard(_) | Self::DashboardCertificate => "dashboard",
            _ => "coordinator_folder",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Exists { folder } | Self::Missing { folder } => Some(folder.display().to_string()),
            Self::AuthorityExists { folder } | Self::NoAuthority { folder } => Some(folder.display().to_string()),
            Self::NotSigned { path, .. } | Self::Carried { path, .. } => Some(path.display().to_string()),
            Self::Damaged { path, .. } | Self::Copy { path, .. } => Some(path.display().to_string()),
            Self::BackupExists { folder } => Some(folder.display().to_string()),
            Self::Dashboard(_) | Self::DashboardCertificate => Some("coordinator.toml [dashboard]".to_owned()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Exists { .. } => "choose another --folder; this one keeps its authority and its members",
            Self::AuthorityExists { .. } => {
                "choose another --folder; this one keeps its key and the book of what it signed"
            }
            Self::NoAuthority { .. } => "name its folder with --folder; `consilium coordinator authority` makes one",
            Self::AuthorityElsewhere | Self::NotSigned { .. } => {
                "`consilium coordinator requests FILE`, carry it to the authority's machine, `consilium coordinator \
                 sign` there, and bring back what `consilium coordinator admit` takes"
            }
            Self::AuthorityHere => "let sites in with `consilium coordinator approve`; certificates renew themselves",
            Self::OtherCoordinator => "write new requests here and have those signed",
            Self::Carried { .. } => "carry the file again; if it stays so, write it again where it came from",
            Self::Missing { .. } => "name its folder with --folder, or set one up with `consilium coordinator init`",
            Self::Damaged { .. } => "correct it, or restore the coordinator's folder from its backup",
            Self::BackupExists { .. } => "name a folder that does not exist",
            Self::PutOut { .. } => "propose the plan again without it: `consilium coordinator exclude NAME`",
            Self::Untrained { .. } => "leave --from out, or name a key epoch that has trained",
            Self::WasNotThere { .. } => {
                "add --given NAME and have a member hand the model over, or leave it out with --without"
            }
            Self::Copy { .. } | Self::Journal(_) => "make space, remove what was copied, and try again",
            Self::Net(_) => "set `listen` in coordinator.toml to a free address of this machine",
            Self::File(_) => "make space or correct the permissions of the folder, then try again",
            Self::DashboardCertificate => "name both `certificate` and `key`, or neither",
            Self::Dashboard(error) => dashboard_remedy(error),
            _ => "restore the coordinator's folder from its backup",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. } | Self::Missing { .. } | Self::Damaged { .. } => Exit::BadInput,
            Self::Untrained { .. } | Self::WasNotThere { .. } | Self::PutOut { .. } => Exit::BadInput,
            Self::BackupExists { .. } | Self::AuthorityExists { .. } | Self::Carried { .. } => Exit::BadInput,
            Self::NoAuthority { .. } | Self::AuthorityElsewhere | Self::AuthorityHere => Exit::BadInput,
            Self::NotSigned { .. } | Self::DashboardCertificate => Exit::BadInput,
            Self::Dashboard(error) => error.exit(),
            Self::OtherCoordinator | Self::Credential(CredentialError::NotIssued) => Exit::Verification,
            Self::Copy { source, .. } => Exit::of_io(source),
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            Self::Net(_) => Exit::Connection,
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Vault(error) | Self::Keys(KeysError::Vault(error)) if error.no_space_left() => Exit::StorageFull,
            Self::Vault(_) | Self::Keys(_) => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

/// What to do where a portal's own words would name another file.
fn dashboard_remedy(error: &PortalError) -> &'static str {
    match error {
        PortalError::Book(BookError::Name(_)) => "use 1 to 64 printable characters without space at either end",
        PortalError::Book(BookError::Password(_)) => "use 12 to 256 characters",
        PortalError::Book(BookError::NoUser(_)) => "`consilium coordinator user list` shows them",
        PortalError::Book(BookError::TooNew(_)) => "use the release that wrote it, or a later one",
        PortalError::Plain(_) => {
            "give `certificate` and `key` in [dashboard], or listen at 127.0.0.1 behind a server with TLS"
        }
        PortalError::Certificate { .. } => "give a certificate chain and its key as PEM files that this user may read",
        PortalError::Listen { .. } | PortalError::Ended(_) => "set `listen` in [dashboard] to a free address",
        PortalError::Busy(_) => "stop the other process that serves this folder",
        _ => "look at the disk and the permissions of the coordinator's folder",
    }
}
