//! The coordinator's folder: its settings, its keys and the book of members.

mod error;

pub use error::OfficeError;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use client::vault::Vault;
use coordinator::members::{Host, Members};
use coordinator::proposals::Proposals;
use coordinator::welcome::Issuing;
use experiment::DeviceChoice;
use protocol::enrolment::{COORDINATOR, CoordinatorKeys, HostPort};
use protocol::ids::Epoch;
use protocol::net::{Authority, AuthorityCertificate, CredentialError, Identity, PeerName, Usage};
use protocol::signature::SigningKey;
use protocol::store::write_beside;
use serde::{Deserialize, Serialize};

const SETTINGS: &str = "coordinator.toml";
pub(super) const AUTHORITY: &str = "authority.pem";
/// The coordinator's own certificate, where its authority is kept elsewhere.
const CERTIFICATE: &str = "certificate.pem";
/// The vault's record of an authority's key.
pub(super) const AUTHORITY_KEY: &str = "authority-key";
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
    /// Where the authority's key is.
    #[serde(default, skip_serializing_if = "AuthorityPlace::is_here")]
    pub(super) authority: AuthorityPlace,
    /// Where to compute: auto (a GPU if there is one), cpu or gpu.
    #[serde(default, with = "device")]
    pub(super) device: DeviceChoice,
    /// Where figures for Prometheus are shown: a loopback address; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metrics: Option<SocketAddr>,
    /// Pages for operators and auditors; none are served if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dashboard: Option<DashboardPlace>,
}

/// `[dashboard]`: where the dashboard is served.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DashboardPlace {
    /// Where browsers reach it, `127.0.0.1:8444`.
    pub(super) listen: SocketAddr,
    /// A certificate chain, a PEM file; without one only this machine is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<PathBuf>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<PathBuf>,
}

/// Where the key is that signs certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AuthorityPlace {
    /// In this coordinator's vault: certificates last 30 days and are renewed by themselves.
    #[default]
    Vault,
    /// On another machine, to which people carry requests: certificates last 400 days.
    Offline,
}

impl AuthorityPlace {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_here(&self) -> bool {
        *self == Self::Vault
    }
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
    pub(super) dashboard: Option<DashboardPlace>,
    pub(super) members: Arc<Members>,
    pub(super) proposals: Arc<Proposals>,
    pub(super) authority_place: AuthorityPlace,
    vault: Vault,
    certificate: AuthorityCertificate,
}

impl Office {
    /// Sets a coordinator up: its keys, its settings, and an authority, unless one that is kept elsewhere is given.
    ///
    /// # Errors
    /// [`OfficeError::Exists`] where one is there; then nothing changes.
    pub(super) fn create(
        folder: &Path,
        settings: &Settings,
        authority: Option<&AuthorityCertificate>,
    ) -> Result<(), OfficeError> {
        // A vault and an authority alone are what an interrupted try leaves: nobody was admitted by them.
        if folder.join(SETTINGS).exists() || folder.join(BOOK).exists() {
            return Err(OfficeError::Exists { folder: folder.to_path_buf() });
        }
        let vault = Vault::open_beside(folder)?;
        match authority {
            Some(authority) => write_beside(&folder.join(AUTHORITY), authority.to_pem().as_bytes())?,
            None => drop(new_authority(folder, &vault)?),
        }
        vault.tls_key()?;
        vault.signing_key()?;
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
        let Settings { listen, device, metrics, dashboard, authority: authority_place, .. } = settings;
        let folder = folder.to_path_buf();
        Ok(Self {
            address,
            listen,
            host,
            folder,
            device,
            metrics,
            dashboard,
            members,
            proposals,
            authority_place,
            vault,
            certificate,
        })
    }

    /// The authority, to admit a site with.
    ///
    /// # Errors
    /// [`OfficeError::AuthorityElsewhere`], or what the vault says.
    pub(super) fn authority(&self) -> Result<Authority, OfficeError> {
        match self.authority_place {
            AuthorityPlace::Vault => read_authority(&self.certificate, &self.vault),
            AuthorityPlace::Offline => Err(OfficeError::AuthorityElsewhere),
        }
    }

    /// Who issues members' next certificates.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub(super) fn issuing(&self) -> Result<Issuing, OfficeError> {
        match self.authority_place {
            AuthorityPlace::Vault => Ok(Issuing::Here(Arc::new(self.authority()?))),
            AuthorityPlace::Offline => Ok(Issuing::Elsewhere),
        }
    }

    /// The coordinator's own certificate, for 30 days from now or as it was signed elsewhere, with the authority's
    /// beside it, and that one.
    ///
    /// # Errors
    /// [`OfficeError`].
    pub(super) fn identity(&self) -> Result<(Identity, &AuthorityCertificate), OfficeError> {
        let now = SystemTime::now();
        let own = match self.authority_place {
            AuthorityPlace::Vault => {
                let (name, tls) = (name_of_coordinator()?, self.vault.tls_key()?);
                self.authority()?.certify(&tls.public_key(), &name, &[], Usage::Server, now)?
            }
            AuthorityPlace::Offline => {
                let path = self.folder.join(CERTIFICATE);
                let not_signed = |path: &Path, found| OfficeError::NotSigned { path: path.to_path_buf(), found };
                if !path.exists() {
                    return Err(not_signed(&path, "the authority has not signed for this coordinator yet"));
                }
                let own = read(&path)?;
                match self.certificate.verify(&own, Usage::Server, now) {
                    Err(CredentialError::NotIssued) => {
                        return Err(not_signed(&path, "this certificate has ended, or is another authority's"));
                    }
                    other => other?,
                };
                own
            }
        };
        let chain = format!("{own}{}", self.certificate.to_pem());
        Ok((Identity::new(&chain, &self.vault.tls_key()?)?, &self.certificate))
    }

    /// The coordinator's public keys, for an authority that is kept elsewhere.
    ///
    /// # Errors
    /// [`OfficeError::AuthorityHere`], or what the vault says.
    pub(super) fn keys(&self) -> Result<CoordinatorKeys, OfficeError> {
        if self.authority_place == AuthorityPlace::Vault {
            return Err(OfficeError::AuthorityHere);
        }
        let tls = self.vault.tls_key()?.public_key();
        Ok(CoordinatorKeys { tls, verifying: self.host.coordinator })
    }

    /// The authority's certificate.
    pub(super) fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// Checks a certificate that was signed elsewhere for this coordinator. Returns its end in seconds since 1970.
    ///
    /// # Errors
    /// [`OfficeError::OtherCoordinator`], [`CredentialError::NotIssued`].
    pub(super) fn check_certificate(&self, pem: &str, now: SystemTime) -> Result<u64, OfficeError> {
        let issued = self.certificate.verify(pem, Usage::Server, now)?;
        if issued.name != name_of_coordinator()? || issued.key != self.keys()?.tls.fingerprint() {
            return Err(OfficeError::OtherCoordinator);
        }
        Ok(issued.validity.until_s)
    }

    /// Keeps one that was checked.
    ///
    /// # Errors
    /// [`OfficeError::File`]; then the one before stays.
    pub(super) fn keep_certificate(&self, pem: &str) -> Result<(), OfficeError> {
        Ok(write_beside(&self.folder.join(CERTIFICATE), pem.as_bytes())?)
    }
}

fn name_of_coordinator() -> Result<PeerName, OfficeError> {
    Ok(PeerName::new(COORDINATOR).map_err(CredentialError::from)?)
}

/// Makes an authority; its key in the vault comes first, so that no certificate is there without it.
pub(super) fn new_authority(folder: &Path, vault: &Vault) -> Result<Authority, OfficeError> {
    let authority = Authority::create(SystemTime::now())?;
    vault.put(AUTHORITY_KEY, authority.key_pem().as_bytes())?;
    write_beside(&folder.join(AUTHORITY), authority.certificate().to_pem().as_bytes())?;
    Ok(authority)
}

/// An authority whose key is in a vault.
pub(super) fn read_authority(certificate: &AuthorityCertificate, vault: &Vault) -> Result<Authority, OfficeError> {
    Ok(Authority::from_pem(&certificate.to_pem(), &vault.text(AUTHORITY_KEY)?)?)
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

pub(super) fn read(path: &Path) -> Result<String, OfficeError> {
    let damaged = |error: std::io::Error| OfficeError::Damaged { path: path.to_path_buf(), found: error.to_string() };
    std::fs::read_to_string(path).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings() -> Settings {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Settings {
            address: "consilium.example:443".to_owned(),
            listen,
            authority: AuthorityPlace::Vault,
            device: DeviceChoice::Cpu,
            metrics: None,
            dashboard: None,
        }
    }

    #[test]
    fn an_interrupted_try_is_taken_up_and_an_authority_that_admits_sites_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let create = || Office::create(folder.path(), &settings(), None);
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
