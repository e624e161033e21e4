//! Certificates, signing keys and vaults of a simulated federation, and the roster that they make.
//!
//! Each hospital's secrets go into its own vault. The vault's passphrase lies beside it in the hospital's private
//! folder, because nobody is there to type it; a real site types it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use client::vault::Vault;
use protocol::PartyId;
use protocol::ids::{Digest, Epoch};
use protocol::net::{Authority, AuthorityCertificate, Identity, PeerName, Usage};
use protocol::roster::{Member, Roster};
use protocol::sealed::{OpeningKey, StorageKey};
use protocol::signature::SigningKey;
use zeroize::Zeroizing;

use super::error::FederationError;

/// The coordinator's name in its certificate.
pub(super) const COORDINATOR: &str = "coordinator";

/// One enrolled hospital.
pub(super) struct Enrolled {
    pub(super) party: PartyId,
    pub(super) root: PathBuf,
    pub(super) vault: Vault,
    pub(super) identity: Arc<Identity>,
    pub(super) signing: SigningKey,
    pub(super) opening: OpeningKey,
}

/// A federation before its ceremony.
pub(super) struct Enrolment {
    pub(super) authority: AuthorityCertificate,
    pub(super) coordinator: Identity,
    /// Taken by the coordinator when it starts.
    pub(super) coordinator_key: Option<SigningKey>,
    pub(super) hospitals: Vec<Enrolled>,
    pub(super) roster: Roster,
}

/// Makes certificates and keys for `count` hospitals, or reads those of an earlier invocation back.
///
/// # Errors
/// [`FederationError::Io`] or what a key's maker says.
pub(super) fn enrol(
    out: &Path,
    count: u16,
    threshold: u16,
    epoch: Epoch,
    parameters: Digest,
) -> Result<Enrolment, FederationError> {
    let now = SystemTime::now();
    let authority = Authority::create(now)?;
    let coordinator = authority.issue(&PeerName::new(COORDINATOR)?, &["127.0.0.1"], Usage::Server, now)?;
    let coordinator_key = SigningKey::generate()?;
    let mut hospitals = Vec::new();
    for number in 1..=count {
        let party =
            PartyId::new(number).ok_or(FederationError::Size { field: "hospitals", value: u64::from(count) })?;
        hospitals.push(hospital(out, &authority, party, now)?);
    }
    let members = hospitals
        .iter()
        .map(|hospital| Member {
            party: hospital.party,
            name: hospital.party.to_string(),
            verifying: hospital.signing.verifying_key(),
            sealing: hospital.opening.sealing_key().clone(),
            certificate: Digest(*hospital.identity.fingerprint().bytes()),
        })
        .collect();
    let roster = Roster::new(epoch, threshold, parameters, coordinator_key.verifying_key(), members)?;
    let authority = authority.certificate().clone();
    Ok(Enrolment { authority, coordinator, coordinator_key: Some(coordinator_key), hospitals, roster })
}

/// Opens or makes one hospital's folder and keys. TLS certificates are issued anew for every invocation; signing and
/// sealing keys stay.
fn hospital(out: &Path, authority: &Authority, party: PartyId, now: SystemTime) -> Result<Enrolled, FederationError> {
    let root = out.join(party.to_string());
    fs::create_dir_all(&root).map_err(io("create", &root))?;
    let passphrase = passphrase(&root)?;
    let folder = root.join("vault");
    let vault = if folder.join("header").exists() {
        Vault::open(&folder, passphrase.as_bytes())?
    } else {
        Vault::create(&folder, passphrase.as_bytes())?
    };
    let storage = if vault.contains("storage-key") {
        let stored = vault.get("storage-key")?;
        <[u8; 32]>::try_from(stored.as_slice()).map_err(|_| FederationError::Damaged {
            path: folder.join("storage-key.sealed"),
            found: format!("{} bytes instead of 32", stored.len()),
        })?
    } else {
        let key = random()?;
        vault.put("storage-key", key.as_ref())?;
        *key
    };
    let storage = StorageKey::new(Zeroizing::new(storage));
    let signing = if vault.contains("signing-key") {
        SigningKey::from_sealed(&storage, &vault.get("signing-key")?)?
    } else {
        let key = SigningKey::generate()?;
        vault.put("signing-key", &key.to_sealed(&storage)?)?;
        key
    };
    let opening = if vault.contains("opening-key") {
        OpeningKey::from_sealed(&storage, &vault.get("opening-key")?)?
    } else {
        let key = OpeningKey::generate()?;
        vault.put("opening-key", &key.to_sealed(&storage)?)?;
        key
    };
    let name = PeerName::new(&party.to_string())?;
    let identity = Arc::new(authority.issue(&name, &[], Usage::Client, now)?);
    vault.put("tls-key", identity.key_pem().as_bytes())?;
    Ok(Enrolled { party, root, vault, identity, signing, opening })
}

fn passphrase(root: &Path) -> Result<Zeroizing<String>, FederationError> {
    let path = root.join("passphrase");
    if path.exists() {
        return Ok(Zeroizing::new(fs::read_to_string(&path).map_err(io("read", &path))?));
    }
    let bytes = random()?;
    let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).map_err(io("create", &path))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(io("write", &path))?;
    Ok(text)
}

fn random() -> Result<Zeroizing<[u8; 32]>, FederationError> {
    let mut stream = he_agg::Stream::from_os()
        .map_err(|_| FederationError::Signature(protocol::signature::SignatureError::Generate))?;
    Ok(Zeroizing::new(stream.seed()))
}

fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> FederationError + 'a {
    move |source| FederationError::Io { action, path: path.to_path_buf(), source }
}
