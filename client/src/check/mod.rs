//! A ladder of rungs that whoever runs a hospital's machine climbs before and after joining: each says what was found,
//! and where something is wrong what to do, from the coordinator's name up to an encrypted sum on this machine.
//!
//! A rung measures, and judges what it measured in a function of its own, so that every threshold has a test.

mod crypto;
mod data;
mod device;
mod finding;
mod folder;
mod ladder;
mod road;
mod standing;

use std::path::Path;
use std::time::{Duration, SystemTime};

use protocol::enrolment::{HostPort, Invite, seconds};
use protocol::net::{Backoff, KeyFingerprint, Transport};

pub use finding::{Finding, Grade};
pub use ladder::{
    CERTIFICATE, CLOCK, CRYPTO, DATA, DEVICE, DISK, Ladder, MEMBERSHIP, NAME, NETWORK, ORDER, Rung, TRAINING, VAULT,
};

use crate::enrolment::{EnrolmentError, Member, Membership, Way, authority, way};

/// Somebody waits: each way is tried once.
const ONCE: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(100), attempts: 1 };
const NOT_JOINED: &str = "needs a membership; this is a check before joining";

/// Whose coordinator is checked.
pub enum Whom {
    /// The one that this folder's site is a member of.
    Member,
    /// The one of an invitation, before joining.
    Invited(Box<Invite>),
    /// One at an address, before there is an invitation.
    Address(HostPort),
}

/// Climbs all rungs.
///
/// # Errors
/// [`EnrolmentError::NotJoined`] where a member is meant and there is none, [`EnrolmentError::Damaged`] where its
/// membership cannot be read. Everything else is a rung that failed.
pub async fn climb(root: &Path, whom: &Whom) -> Result<Ladder, EnrolmentError> {
    let mut ladder = Ladder::default();
    match whom {
        Whom::Member => joined(&mut ladder, root, &Membership::load(root)?).await,
        Whom::Invited(invite) => before(&mut ladder, root, &invite.address, Some(invite.authority)).await,
        Whom::Address(address) => before(&mut ladder, root, address, None).await,
    }
    ladder.rung(CRYPTO, &[], async { (crypto::crypto(), Some(())) }).await;
    Ok(ladder)
}

/// What needs no membership.
async fn before(ladder: &mut Ladder, root: &Path, address: &HostPort, pinned: Option<KeyFingerprint>) {
    let dialled = walk(ladder, root, address, pinned).await;
    match pinned {
        Some(_) => {
            let judge = async { (dialled.map_or(Finding::passed(""), |it| road::trusted(&it)), Some(())) };
            ladder.rung(CERTIFICATE, &[NETWORK], judge).await;
        }
        None => ladder.skip(CERTIFICATE, "needs an invitation, which names the authority: add --invite"),
    }
    ladder.rung(DISK, &[], async { folder::disk(root) }).await;
    ladder.rung(DEVICE, &[], async { device::device(root) }).await;
    for name in [CLOCK, MEMBERSHIP, VAULT, DATA, TRAINING] {
        ladder.skip(name, NOT_JOINED);
    }
}

type Dialled = Result<Transport, protocol::net::NetError>;

/// Name and network.
async fn walk(ladder: &mut Ladder, root: &Path, address: &HostPort, pinned: Option<KeyFingerprint>) -> Option<Dialled> {
    let Way { route, named_by } = match way(root, address.clone()) {
        Ok(way) => way,
        Err(error) => {
            let unusable = async { (Finding::of(&error), None::<()>) };
            ladder.rung(NAME, &[], unusable).await;
            return ladder.rung(NETWORK, &[NAME], async { (Finding::of(&error), None) }).await;
        }
    };
    let through = route.proxy().map(|proxy| format!(", through the proxy {} that {named_by} names", proxy.at()));
    // Behind a proxy it is the proxy that looks the coordinator up.
    let first = route.proxy().map_or_else(|| address.clone(), |proxy| proxy.at().clone());
    let addresses = ladder.rung(NAME, &[], road::name(&first)).await.unwrap_or_default();
    let walked = async {
        let (mut finding, dialled) = road::network(route, address, &addresses, pinned).await;
        finding.found.extend(through);
        (finding, dialled)
    };
    ladder.rung(NETWORK, &[NAME], walked).await
}

/// Everything.
async fn joined(ladder: &mut Ladder, root: &Path, membership: &Membership) {
    let authority = authority(root);
    let pinned = authority.as_ref().ok().map(|authority| authority.key_fingerprint());
    let dialled = walk(ladder, root, &membership.address, pinned).await;
    let opened = Member::open(root, ONCE);
    let own = match &opened {
        // Told with the vault, which is needed to show any certificate.
        Ok(_) | Err(EnrolmentError::Vault(_) | EnrolmentError::Keys(_)) => {
            road::days_left(membership.until_s, seconds(SystemTime::now()))
        }
        Err(error) => Finding::of(error),
    };
    let theirs = dialled.as_ref().map(road::trusted).filter(|_| pinned.is_some());
    let certificates = async { (theirs.map_or(own.clone(), |theirs| theirs.and(own)), Some(())) };
    ladder.rung(CERTIFICATE, &[NETWORK], certificates).await;
    ladder.rung(VAULT, &[], async { (folder::vault(root, &opened), Some(())) }).await;
    let takes_writes = ladder.rung(DISK, &[], async { folder::disk(root) }).await.is_some();
    let device = ladder.rung(DEVICE, &[], async { device::device(root) }).await;
    let member = opened.ok();
    match (&member, takes_writes) {
        // Nothing is sent that cannot be written down.
        (_, false) => [CLOCK, MEMBERSHIP].into_iter().for_each(|name| ladder.skip(name, "needs disk")),
        (None, true) => {
            // Never run: one of these failed, and the rung says which.
            let nothing = || async { (Finding::passed(""), None::<()>) };
            ladder.rung(CLOCK, &[NETWORK, CERTIFICATE, VAULT], nothing()).await;
            ladder.rung(MEMBERSHIP, &[NETWORK, CERTIFICATE, VAULT], nothing()).await;
        }
        (Some(member), true) => {
            ladder.rung(CLOCK, &[NETWORK, CERTIFICATE, VAULT], standing::clock(member)).await;
            ladder.rung(MEMBERSHIP, &[NETWORK, CERTIFICATE, VAULT], standing::membership(member)).await;
        }
    }
    trains(ladder, root, member.as_ref(), device).await;
    if let Some(member) = &member {
        // A connection that is left open counts until it times out.
        member.close().await;
    }
}

/// Data and training.
async fn trains(
    ladder: &mut Ladder,
    root: &Path,
    member: Option<&Member>,
    device: Option<(crate::train::TrainDevice, experiment::Site)>,
) {
    let proposed = match member.filter(|_| ladder.holds(MEMBERSHIP)) {
        Some(member) => Some(data::proposed(member).await),
        None => None,
    };
    let (device, site) = device.unzip();
    let policy = site.unwrap_or_default().policy;
    let look = async { data::data(root, proposed.as_ref(), &policy) };
    let fitting = ladder.rung(DATA, &[DEVICE], look).await;
    match (fitting, device) {
        (Some(fitting), Some(device)) => {
            ladder.rung(TRAINING, &[DEVICE, DATA], async { (data::training(&fitting, device), Some(())) }).await;
        }
        _ if !ladder.holds(DEVICE) => ladder.skip(TRAINING, "needs device"),
        _ if !ladder.holds(DATA) => ladder.skip(TRAINING, "needs data"),
        _ if !ladder.holds(MEMBERSHIP) => ladder.skip(TRAINING, "needs membership, which shows the plan"),
        _ => ladder.skip(TRAINING, "needs a plan and a data set that fits it"),
    }
}
