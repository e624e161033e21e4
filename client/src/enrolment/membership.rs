//! What a member keeps of its consortium, beside its vault.

use std::fs;
use std::path::Path;

use protocol::codec::Wire;
use protocol::enrolment::HostPort;
use protocol::net::{AuthorityCertificate, PeerName};
use protocol::signature::VerifyingKey;
use protocol::store::write_beside;
use serde::{Deserialize, Serialize};

use super::EnrolmentError;

pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const AUTHORITY: &str = "authority.pem";
const MEMBERSHIP: &str = "membership.json";

/// A site's place in a consortium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its name there.
    pub name: PeerName,
    /// Who it is.
    pub organisation: String,
    /// Where the coordinator is.
    pub address: HostPort,
    /// Verifies entries of the coordinator's log.
    pub coordinator: VerifyingKey,
    /// The end of the certificate, in seconds since 1970.
    pub until_s: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: String,
    organisation: String,
    address: String,
    coordinator_key: String,
    certificate_until: u64,
}

impl Membership {
    /// Whether a site has joined from this folder.
    #[must_use]
    pub fn is_in(root: &Path) -> bool {
        root.join(MEMBERSHIP).exists()
    }

    /// Writes the certificates, then this: with the last file the site is a member.
    pub(crate) fn store(
        &self,
        root: &Path,
        certificate: &str,
        authority: &AuthorityCertificate,
    ) -> Result<(), EnrolmentError> {
        let stored = Stored {
            name: self.name.to_string(),
            organisation: self.organisation.clone(),
            address: self.address.to_string(),
            coordinator_key: hex::encode(self.coordinator.as_bytes()),
            certificate_until: self.until_s,
        };
        let path = root.join(MEMBERSHIP);
        let text = serde_json::to_string_pretty(&stored)
            .map_err(|error| EnrolmentError::Damaged { path: path.clone(), found: error.to_string() })?;
        write_beside(&root.join(AUTHORITY), authority.to_pem().as_bytes())?;
        write_beside(&root.join(CERTIFICATE), certificate.as_bytes())?;
        Ok(write_beside(&path, text.as_bytes())?)
    }

    /// Reads what [`Joining::ask`](super::Joining::ask) stored.
    ///
    /// # Errors
    /// [`EnrolmentError::NotJoined`], [`EnrolmentError::Damaged`].
    pub fn load(root: &Path) -> Result<Self, EnrolmentError> {
        if !Self::is_in(root) {
            return Err(EnrolmentError::NotJoined { folder: root.to_path_buf() });
        }
        let path = root.join(MEMBERSHIP);
        let text = read(root, MEMBERSHIP)?;
        let damaged = |found: String| EnrolmentError::Damaged { path: path.clone(), found };
        let stored: Stored = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let key = hex::decode(&stored.coordinator_key).ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        Ok(Self {
            name: PeerName::new(&stored.name).map_err(|error| damaged(error.to_string()))?,
            organisation: stored.organisation,
            address: stored.address.parse().map_err(|error| damaged(format!("address: {error}")))?,
            coordinator: key.ok_or_else(|| damaged("coordinator_key is no 32 bytes in hexadecimal".to_owned()))?,
            until_s: stored.certificate_until,
        })
    }
}

/// The authority whose certificates a member accepts.
///
/// # Errors
/// [`EnrolmentError::Damaged`], [`EnrolmentError::Certificate`].
pub(crate) fn authority(root: &Path) -> Result<AuthorityCertificate, EnrolmentError> {
    AuthorityCertificate::from_pem(&read(root, AUTHORITY)?).map_err(EnrolmentError::Certificate)
}

pub(super) fn read(root: &Path, file: &str) -> Result<String, EnrolmentError> {
    let path = root.join(file);
    fs::read_to_string(&path).map_err(|error| EnrolmentError::Damaged { path, found: error.to_string() })
}
