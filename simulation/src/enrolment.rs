//! Certificates, signing keys and vaults of a simulated federation, and the roster that they make.
//!
//! Each hospital's secrets go into its own vault. The vault's passphrase lies beside it in the hospital's private
//! folder, because nobody is there to type it; a real site types it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use client::vault::Vault;
use protocol::PartyId;
use protocol::codec::Wire;
use protocol::ids::{Digest, Epoch};
use protocol::net::{Authority, AuthorityCertificate, Identity, PeerName, Usage};
use protocol::roster::{Member, Roster};
use protocol::sealed::{OpeningKey, StorageKey};
use protocol::signature::{SigningKey, VerifyingKey};
use protocol::store::{write_beside, write_private};
use zeroize::Zeroizing;

use super::error::FederationError;

/// The coordinator's name in its certificate.
pub(super) const COORDINATOR: &str = "coordinator";

/// The folder of the coordinator's own keys, beside the one that may be shown.
const COORDINATOR_PRIVATE: &str = "coordinator-private";
const AUTHORITY: &str = "authority.pem";
/// The public key that signs the coordinator's log, in hexadecimal.
const COORDINATOR_KEY: &str = "coordinator-key.hex";
const CERTIFICATE: &str = "certificate.pem";

/// One enrolled hospital.
pub(super) struct Enrolled {
    pub(super) party: PartyId,
    pub(super) root: PathBuf,
    pub(super) vault: Arc<Vault>,
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
    let authority = authority.certificate().clone();
    keep_coordinator(out, &authority, &coordinator, &coordinator_key)?;
    let roster = roster(&hospitals, threshold, epoch, parameters, &coordinator_key)?;
    Ok(Enrolment { authority, coordinator, coordinator_key: Some(coordinator_key), hospitals, roster })
}

/// Whether an earlier invocation enrolled this federation, so that [`recall`] finds everybody.
pub(super) fn is_enrolled(out: &Path, count: u16) -> bool {
    let hospitals = (1..=count).filter_map(PartyId::new).map(|party| out.join(party.to_string()).join(CERTIFICATE));
    out.join(AUTHORITY).exists() && hospitals.into_iter().all(|path| path.exists())
}

/// Reads the federation of an earlier invocation back, certificates included: the same parties in the same key epoch.
///
/// # Errors
/// [`FederationError::Vault`] or [`FederationError::Io`] where something of it is missing.
pub(super) fn recall(
    out: &Path,
    count: u16,
    threshold: u16,
    epoch: Epoch,
    parameters: Digest,
) -> Result<Enrolment, FederationError> {
    let authority = AuthorityCertificate::from_pem(&read(&out.join(AUTHORITY))?)?;
    let private = out.join(COORDINATOR_PRIVATE);
    let vault = Vault::open(&private.join("vault"), passphrase(&private)?.as_bytes())?;
    let coordinator = Identity::from_pem(&read(&private.join(CERTIFICATE))?, &text(&vault, "tls-key", &private)?)?;
    let coordinator_key = SigningKey::from_sealed(&storage(&vault, &private)?, &vault.get("signing-key")?)?;
    let mut hospitals = Vec::new();
    for number in 1..=count {
        let party =
            PartyId::new(number).ok_or(FederationError::Size { field: "hospitals", value: u64::from(count) })?;
        let root = out.join(party.to_string());
        let vault = Vault::open(&root.join("vault"), passphrase(&root)?.as_bytes())?;
        let key = text(&vault, "tls-key", &root)?;
        let identity = Arc::new(Identity::from_pem(&read(&root.join(CERTIFICATE))?, &key)?);
        hospitals.push(with_keys(party, root, vault, identity)?);
    }
    let roster = roster(&hospitals, threshold, epoch, parameters, &coordinator_key)?;
    Ok(Enrolment { authority, coordinator, coordinator_key: Some(coordinator_key), hospitals, roster })
}

/// Whether the run's parties have all their keys: the last file that [`enrol`] writes is there.
pub(super) fn is_complete(out: &Path) -> bool {
    out.join(AUTHORITY).exists()
}

/// The key with which a run's coordinator signs its log, as a hospital knows it from its enrolment.
///
/// # Errors
/// [`FederationError::Io`] where the run has none, [`FederationError::Damaged`] where it is none.
pub(super) fn coordinator_of(out: &Path) -> Result<VerifyingKey, FederationError> {
    let path = out.join(COORDINATOR_KEY);
    let text = read(&path)?;
    let key = hex::decode(text.trim()).ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    key.ok_or_else(|| FederationError::Damaged { path, found: "no 32 bytes in hexadecimal".to_owned() })
}

/// Keeps what the coordinator needs to come back as itself. Not in its own folder, which may be shown to anyone.
fn keep_coordinator(
    out: &Path,
    authority: &AuthorityCertificate,
    identity: &Identity,
    key: &SigningKey,
) -> Result<(), FederationError> {
    let private = out.join(COORDINATOR_PRIVATE);
    fs::create_dir_all(&private).map_err(io("create", &private))?;
    let vault = open_or_create(&private)?;
    vault.put("signing-key", &key.to_sealed(&storage(&vault, &private)?)?)?;
    vault.put("tls-key", identity.key_pem().as_bytes())?;
    write(&private.join(CERTIFICATE), &identity.certificate_pem())?;
    write(&out.join(COORDINATOR_KEY), &hex::encode(key.verifying_key().as_bytes()))?;
    write(&out.join(AUTHORITY), &authority.to_pem())
}

fn roster(
    hospitals: &[Enrolled],
    threshold: u16,
    epoch: Epoch,
    parameters: Digest,
    coordinator: &SigningKey,
) -> Result<Roster, FederationError> {
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
    Ok(Roster::new(epoch, threshold, parameters, coordinator.verifying_key(), members)?)
}

/// Opens or makes one hospital's folder and keys. TLS certificates are issued anew for every invocation; signing and
/// sealing keys stay.
fn hospital(out: &Path, authority: &Authority, party: PartyId, now: SystemTime) -> Result<Enrolled, FederationError> {
    let root = out.join(party.to_string());
    fs::create_dir_all(&root).map_err(io("create", &root))?;
    let vault = open_or_create(&root)?;
    let name = PeerName::new(&party.to_string())?;
    let identity = Arc::new(authority.issue(&name, &[], Usage::Client, now)?);
    vault.put("tls-key", identity.key_pem().as_bytes())?;
    write(&root.join(CERTIFICATE), &identity.certificate_pem())?;
    with_keys(party, root, vault, identity)
}

/// Reads a hospital's signing and sealing keys from its vault, or makes them.
fn with_keys(
    party: PartyId,
    root: PathBuf,
    vault: Vault,
    identity: Arc<Identity>,
) -> Result<Enrolled, FederationError> {
    let storage = storage(&vault, &root)?;
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
    Ok(Enrolled { party, root, vault: Arc::new(vault), identity, signing, opening })
}

fn open_or_create(root: &Path) -> Result<Vault, FederationError> {
    let folder = root.join("vault");
    Ok(if folder.join("header").exists() {
        Vault::open(&folder, passphrase(root)?.as_bytes())?
    } else {
        Vault::create(&folder, passphrase_or_new(root)?.as_bytes())?
    })
}

/// The key under which a vault's owner seals its other keys once more.
fn storage(vault: &Vault, root: &Path) -> Result<StorageKey, FederationError> {
    let key = if vault.contains("storage-key") {
        let stored = vault.get("storage-key")?;
        <[u8; 32]>::try_from(stored.as_slice()).map_err(|_| FederationError::Damaged {
            path: root.join("vault/storage-key.sealed"),
            found: format!("{} bytes instead of 32", stored.len()),
        })?
    } else {
        let key = random()?;
        vault.put("storage-key", key.as_ref())?;
        *key
    };
    Ok(StorageKey::new(Zeroizing::new(key)))
}

/// A vault's record as text.
fn text(vault: &Vault, record: &str, root: &Path) -> Result<Zeroizing<String>, FederationError> {
    let bytes = vault.get(record)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err(FederationError::Damaged {
            path: root.join("vault").join(format!("{record}.sealed")),
            found: error.to_string(),
        }),
    }
}

fn read(path: &Path) -> Result<String, FederationError> {
    fs::read_to_string(path).map_err(io("read", path))
}

fn write(path: &Path, text: &str) -> Result<(), FederationError> {
    Ok(write_beside(path, text.as_bytes())?)
}

/// The passphrase of a vault that is there; a lost one is not replaced, since nothing would open with another.
fn passphrase(root: &Path) -> Result<Zeroizing<String>, FederationError> {
    Ok(Zeroizing::new(read(&root.join("passphrase"))?))
}

/// The passphrase of one hospital's vault.
///
/// # Errors
/// [`FederationError::Io`] where it cannot be read.
pub(super) fn passphrase_of(out: &Path, hospital: u16) -> Result<Zeroizing<String>, FederationError> {
    let party =
        PartyId::new(hospital).ok_or(FederationError::Size { field: "hospitals", value: u64::from(hospital) })?;
    passphrase(&out.join(party.to_string()))
}

fn passphrase_or_new(root: &Path) -> Result<Zeroizing<String>, FederationError> {
    let path = root.join("passphrase");
    if path.exists() {
        return passphrase(root);
    }
    let bytes = random()?;
    let text = Zeroizing::new(hex::encode(bytes.as_slice()));
    write_private(&path, text.as_bytes())?;
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
