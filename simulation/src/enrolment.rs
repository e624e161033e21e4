//! Certificates, signing keys and vaults of a simulated federation, and the roster that they make.
//!
//! Each hospital's secrets go into its own vault. The vault's passphrase lies beside it in the hospital's private
//! folder, because nobody is there to type it. Keys stay as long as the run's folder, certificates are issued anew for
//! every invocation: a run is served at any age.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use client::vault::Vault;
use protocol::PartyId;
use protocol::codec::Wire;
use protocol::ids::{Digest, Epoch};
use protocol::net::{Authority, AuthorityCertificate, Identity, PeerName, TlsKey, Usage};
use protocol::roster::{Member, Roster};
use protocol::sealed::OpeningKey;
use protocol::signature::{SigningKey, VerifyingKey};
use protocol::store::write_beside;
use protocol::weight::WeightClass;
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

/// Makes certificates and keys for a hospital of each weight, or reads those of an earlier invocation back.
///
/// # Errors
/// [`FederationError::Io`] or what a key's maker says.
pub(super) fn enrol(
    out: &Path,
    (weights, threshold): (&[WeightClass], u16),
    epoch: Epoch,
    parameters: Digest,
    now: SystemTime,
) -> Result<Enrolment, FederationError> {
    let authority = Authority::create(now)?;
    let private = out.join(COORDINATOR_PRIVATE);
    let vault = Vault::open_beside(&private)?;
    let coordinator = server(&authority, &vault.tls_key()?, now)?;
    let coordinator_key = vault.signing_key()?;
    let mut hospitals = Vec::new();
    for party in parties(weights)? {
        hospitals.push(hospital(out, &authority, party, now)?);
    }
    vault.put("authority-key", authority.key_pem().as_bytes())?;
    write(&out.join(COORDINATOR_KEY), &hex::encode(coordinator_key.verifying_key().as_bytes()))?;
    // The last file: with it the parties have all their keys.
    write(&out.join(AUTHORITY), &authority.certificate().to_pem())?;
    let authority = authority.certificate().clone();
    let roster = roster(&hospitals, (weights, threshold), epoch, parameters, &coordinator_key)?;
    Ok(Enrolment { authority, coordinator, coordinator_key: Some(coordinator_key), hospitals, roster })
}

/// Whether an earlier invocation enrolled this federation, so that [`recall`] finds everybody.
pub(super) fn is_enrolled(out: &Path, count: u16) -> bool {
    let hospitals = (1..=count).filter_map(PartyId::new).map(|party| out.join(party.to_string()).join(CERTIFICATE));
    out.join(AUTHORITY).exists() && hospitals.into_iter().all(|path| path.exists())
}

/// Reads the federation of an earlier invocation back and issues certificates for its keys: the same parties in the
/// same key epoch.
///
/// # Errors
/// [`FederationError::Vault`] or [`FederationError::Io`] where something of it is missing.
pub(super) fn recall(
    out: &Path,
    (weights, threshold): (&[WeightClass], u16),
    epoch: Epoch,
    parameters: Digest,
    now: SystemTime,
) -> Result<Enrolment, FederationError> {
    let private = out.join(COORDINATOR_PRIVATE);
    let vault = Vault::reopen_beside(&private)?;
    let authority = Authority::from_pem(&read(&out.join(AUTHORITY))?, &vault.text("authority-key")?)?;
    let coordinator = server(&authority, &vault.tls_key()?, now)?;
    let coordinator_key = vault.signing_key()?;
    let mut hospitals = Vec::new();
    for party in parties(weights)? {
        let root = out.join(party.to_string());
        let vault = Vault::reopen_beside(&root)?;
        let identity = certified(&authority, &vault.tls_key()?, party, &root, now)?;
        hospitals.push(with_keys(party, root, vault, identity)?);
    }
    let authority = authority.certificate().clone();
    let roster = roster(&hospitals, (weights, threshold), epoch, parameters, &coordinator_key)?;
    Ok(Enrolment { authority, coordinator, coordinator_key: Some(coordinator_key), hospitals, roster })
}

/// A number for each weight.
fn parties(weights: &[WeightClass]) -> Result<Vec<PartyId>, FederationError> {
    let number = |place: usize| u16::try_from(place).ok().and_then(PartyId::new);
    let all: Option<Vec<PartyId>> = (1..=weights.len()).map(number).collect();
    all.ok_or(FederationError::Size { field: "hospitals", value: weights.len() as u64 })
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

fn roster(
    hospitals: &[Enrolled],
    (weights, threshold): (&[WeightClass], u16),
    epoch: Epoch,
    parameters: Digest,
    coordinator: &SigningKey,
) -> Result<Roster, FederationError> {
    let members = hospitals
        .iter()
        .zip(weights)
        .map(|(hospital, weight)| Member {
            party: hospital.party,
            name: hospital.party.to_string(),
            organisation: hospital.party.to_string(),
            weight: *weight,
            verifying: hospital.signing.verifying_key(),
            sealing: hospital.opening.sealing_key().clone(),
            tls_key: Digest(*hospital.identity.key_fingerprint().bytes()),
        })
        .collect();
    Ok(Roster::new(epoch, threshold, parameters, coordinator.verifying_key(), members)?)
}

/// The coordinator's certificate for an hour ago and the 30 days to come.
fn server(authority: &Authority, tls: &TlsKey, now: SystemTime) -> Result<Identity, FederationError> {
    let certificate =
        authority.certify(&tls.public_key(), &PeerName::new(COORDINATOR)?, &["127.0.0.1"], Usage::Server, now)?;
    Ok(Identity::new(&certificate, tls)?)
}

/// A hospital's, which it keeps beside its vault.
fn certified(
    authority: &Authority,
    tls: &TlsKey,
    party: PartyId,
    root: &Path,
    now: SystemTime,
) -> Result<Arc<Identity>, FederationError> {
    let name = PeerName::new(&party.to_string())?;
    let certificate = authority.certify(&tls.public_key(), &name, &[], Usage::Client, now)?;
    write(&root.join(CERTIFICATE), &certificate)?;
    Ok(Arc::new(Identity::new(&certificate, tls)?))
}

/// Opens or makes one hospital's folder and keys.
fn hospital(out: &Path, authority: &Authority, party: PartyId, now: SystemTime) -> Result<Enrolled, FederationError> {
    let root = out.join(party.to_string());
    let vault = Vault::open_beside(&root)?;
    let identity = certified(authority, &vault.tls_key()?, party, &root, now)?;
    with_keys(party, root, vault, identity)
}

/// Reads a hospital's signing and sealing keys from its vault, or makes them.
fn with_keys(
    party: PartyId,
    root: PathBuf,
    vault: Vault,
    identity: Arc<Identity>,
) -> Result<Enrolled, FederationError> {
    let (signing, opening) = (vault.signing_key()?, vault.opening_key()?);
    Ok(Enrolled { party, root, vault: Arc::new(vault), identity, signing, opening })
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

fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> FederationError + 'a {
    move |source| FederationError::Io { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use protocol::net::{BoxFuture, Connection, Frame, Handler, Limits, NetError, Peer, Refusal, Server, TrustCause};

    use super::*;

    struct Greeting;

    impl Handler for Greeting {
        fn handle(&self, _: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
            Box::pin(async move { Ok(request) })
        }
    }

    /// A run that was enrolled before its certificates' whole life is still the same federation, and its parties meet.
    #[tokio::test]
    async fn a_run_older_than_its_certificates_is_recalled_with_the_same_roster() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let long_ago = now - Duration::from_secs(400 * 24 * 3600);
        let parameters = Digest([7; 32]);
        let weights = [0, 1, 4].map(|halvings| WeightClass::halved(halvings).unwrap());
        let old = enrol(folder.path(), (&weights, 2), Epoch(1), parameters, long_ago).unwrap();
        let new = recall(folder.path(), (&weights, 2), Epoch(1), parameters, now).unwrap();
        assert_eq!(new.roster.digest(), old.roster.digest());

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(address, &new.coordinator, &new.authority, Limits::loopback()).unwrap();
        let address = server.local_addr();
        tokio::spawn(server.run(Arc::new(Greeting), std::future::pending()));
        let coordinator = PeerName::new(COORDINATOR).unwrap();
        let again = Connection::dial(address, &coordinator, &new.hospitals[1].identity, &new.authority).await;
        assert!(again.is_ok(), "{again:?}");
        let expired = Connection::dial(address, &coordinator, &old.hospitals[1].identity, &new.authority).await;
        assert!(matches!(expired, Err(NetError::UntrustedPeer { cause: TrustCause::Expired, .. })), "{expired:?}");
    }
}
