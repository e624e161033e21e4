//! The coordinator's folder: its settings, its keys and the book of members.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use client::vault::{KeysError, Vault, VaultError};
use coordinator::members::{Host, Members};
use coordinator::proposals::Proposals;
use experiment::DeviceChoice;
use protocol::enrolment::{COORDINATOR, HostPort};
use protocol::ids::Epoch;
use protocol::net::{Authority, AuthorityCertificate, CredentialError, Identity, NetError, PeerName, Usage};
use protocol::signature::SigningKey;
use protocol::store::{FileFault, JournalError, write_beside};
use remedy::{Exit, Explained};
use serde::{Deserialize, Serialize};

const SETTINGS: &str = "coordinator.toml";
const AUTHORITY: &str = "authority.pem";
const BOOK: &str = "members.sqlite";
const PROPOSALS: &str = "proposals.sqlite";

/// What an operator may change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where sites dial: host and port, as invitations name them.
    pub(super) address: String,
    /// Where this machine listens.
    pub(super) listen: SocketAddr,
    /// Where to compute: auto (a GPU if there is one), cpu or gpu.
    #[serde(default, with = "device")]
    pub(super) device: DeviceChoice,
    /// Where figures for Prometheus are shown: a loopback address; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metrics: Option<SocketAddr>,
}

/// A device by its word.
mod device {
    use super::DeviceChoice;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(device: &DeviceChoice, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(device.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceChoice, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An opened folder.
pub(super) struct Office {
    pub(super) address: HostPort,
    pub(super) listen: SocketAddr,
    pub(super) host: Host,
    pub(super) folder: PathBuf,
    pub(super) device: DeviceChoice,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) members: Arc<Members>,
    pub(super) proposals: Arc<Proposals>,
    vault: Vault,
    certificate: AuthorityCertificate,
}

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
}

impl Explained for OfficeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "coordinator_exists",
            Self::Missing { .. } => "no_coordinator",
            Self::BackupExists { .. } => "backup_exists",
            Self::Untrained { .. } | Self::WasNotThere { .. } => "no_model_to_go_on_from",
            Self::PutOut { .. } => "member_put_out",
            Self::Copy { .. } | Self::Journal(_) => "backup",
            _ => "coordinator_folder",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Exists { folder } | Self::Missing { folder } => Some(folder.display().to_string()),
            Self::Damaged { path, .. } | Self::Copy { path, .. } => Some(path.display().to_string()),
            Self::BackupExists { folder } => Some(folder.display().to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Exists { .. } => "choose another --folder; this one keeps its authority and its members",
            Self::Missing { .. } => "name its folder with --folder, or set one up with `consilium coordinator init`",
            Self::Damaged { .. } => "correct it, or restore the coordinator's folder from its backup",
            Self::BackupExists { .. } => "name a folder that does not exist",
            Self::PutOut { .. } => "propose the plan again without it: `consilium coordinator exclude NAME`",
            Self::Untrained { .. } => "leave --from out, or name a key epoch that has trained",
            Self::WasNotThere { .. } => "leave it out with --without, or leave --from out and train anew",
            Self::Copy { .. } | Self::Journal(_) => "make space, remove what was copied, and try again",
            Self::Net(_) => "set `listen` in coordinator.toml to a free address of this machine",
            Self::File(_) => "make space or correct the permissions of the folder, then try again",
            _ => "restore the coordinator's folder from its backup",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. } | Self::Missing { .. } | Self::Damaged { .. } => Exit::BadInput,
            Self::Untrained { .. } | Self::WasNotThere { .. } | Self::PutOut { .. } => Exit::BadInput,
            Self::BackupExists { .. } => Exit::BadInput,
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

impl Office {
    /// Sets a coordinator up: an authority, its keys, its settings.
    ///
    /// # Errors
    /// [`OfficeError::Exists`] where one is there; then nothing changes.
    pub(super) fn create(folder: &Path, settings: &Settings) -> Result<(), OfficeError> {
        // A vault and an authority alone are what an interrupted try leaves: nobody was admitted by them.
        if folder.join(SETTINGS).exists() || folder.join(BOOK).exists() {
            return Err(OfficeError::Exists { folder: folder.to_path_buf() });
        }
        let vault = Vault::open_beside(folder)?;
        let authority = Authority::create(SystemTime::now())?;
        vault.put("authority-key", authority.key_pem().as_bytes())?;
        vault.tls_key()?;
        vault.signing_key()?;
        write_beside(&folder.join(AUTHORITY), authority.certificate().to_pem().as_bytes())?;
        let path = folder.join(SETTINGS);
        let text = toml::to_string(settings)
            .map_err(|error| OfficeError::Damaged { path: path.clone(), found: error.to_string() })?;
        // The last file: with it the coordinator is set up.
        Ok(write_beside(&path, text.as_bytes())?)
    }

    /// Opens the folder.
    ///
    /// # Errors
    /// [`OfficeError`], or an error of the book.
    pub(super) fn open(folder: &Path) -> Result<Self, crate::error::Error> {
        let path = folder.join(SETTINGS);
        if !path.exists() {
            return Err(OfficeError::Missing { folder: folder.to_path_buf() }.into());
        }
        let damaged = |path: &Path, found: String| OfficeError::Damaged { path: path.to_path_buf(), found };
        let settings: Settings = toml::from_str(&read(&path)?).map_err(|error| damaged(&path, error.to_string()))?;
        let address = settings.address.parse().map_err(|error| damaged(&path, format!("address: {error}")))?;
        let certificate =
            AuthorityCertificate::from_pem(&read(&folder.join(AUTHORITY))?).map_err(OfficeError::Credential)?;
        let vault = Vault::reopen_beside(folder).map_err(OfficeError::Vault)?;
        let host = Host {
            authority: certificate.to_pem(),
            authority_key: certificate.key_fingerprint(),
            coordinator: vault.signing_key().map_err(OfficeError::Keys)?.verifying_key(),
        };
        let members = Arc::new(Members::open(&folder.join(BOOK))?);
        let proposals = Arc::new(Proposals::open(&folder.join(PROPOSALS))?);
        let Settings { listen, device, metrics, .. } = settings;
        let folder = folder.to_path_buf();
        Ok(Self { address, listen, host, folder, device, metrics, members, proposals, vault, certificate })
    }

    /// The authority, to admit a site with.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub(super) fn authority(&self) -> Result<Authority, OfficeError> {
        Ok(Authority::from_pem(&self.certificate.to_pem(), &self.vault.text("authority-key")?)?)
    }

    /// The coordinator's own certificate, for 30 days from now, with the authority's beside it, and that one.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub(super) fn identity(&self) -> Result<(Identity, &AuthorityCertificate), OfficeError> {
        let (authority, tls) = (self.authority()?, self.vault.tls_key()?);
        let name = PeerName::new(COORDINATOR).map_err(CredentialError::from)?;
        let own = authority.certify(&tls.public_key(), &name, &[], Usage::Server, SystemTime::now())?;
        Ok((Identity::new(&format!("{own}{}", self.certificate.to_pem()), &tls)?, &self.certificate))
    }
}

impl Office {
    /// The key that signs log entries.
    ///
    /// # Errors
    /// [`OfficeError::Keys`].
    pub(super) fn signing_key(&self) -> Result<SigningKey, OfficeError> {
        Ok(self.vault.signing_key()?)
    }

    /// The folder of a key epoch; everything in it may be shown to a stranger.
    pub(super) fn epoch_folder(&self, epoch: Epoch) -> PathBuf {
        self.folder.join("epochs").join(epoch.0.to_string())
    }
}

fn read(path: &Path) -> Result<String, OfficeError> {
    let damaged = |error: std::io::Error| OfficeError::Damaged { path: path.to_path_buf(), found: error.to_string() };
    std::fs::read_to_string(path).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings() -> Settings {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Settings { address: "consilium.example:443".to_owned(), listen, device: DeviceChoice::Cpu, metrics: None }
    }

    #[test]
    fn an_interrupted_try_is_taken_up_and_an_authority_that_admits_sites_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let create = || Office::create(folder.path(), &settings());
        create().expect("set up");
        // Its last file was not written.
        fs::remove_file(folder.path().join(SETTINGS)).expect("removed");
        create().expect("set up again");
        let office = Office::open(folder.path()).expect("opened");
        office.authority().expect("the key of the certificate that is there");
        assert!(matches!(create(), Err(OfficeError::Exists { .. })));
        fs::remove_file(folder.path().join(SETTINGS)).expect("removed");
        assert!(matches!(create(), Err(OfficeError::Exists { .. })), "it has a book of members");
    }
}
