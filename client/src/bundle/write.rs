//! Making a bundle of what a site has.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use protocol::codec::Wire;
use protocol::enrolment::seconds;
use protocol::facts::Fact;
use protocol::ids::Epoch;
use protocol::store::Journal;

use super::parts::Writing;
use super::{
    APPROVALS, BundleError, EXPLAINED, LOG, Manifest, PLAN, PROPOSAL, README, SCHEMA, SENT, SIGNED, SIGNED_MAGIC,
};
use crate::consent::{Approvable, ConsentBook, Seen, noted_bytes, noted_epochs, parsed};
use crate::hospital::facts_name;
use crate::log_copy;
use crate::records::record;
use crate::sent_log::SentLog;
use crate::service::epoch_folder;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The key epoch.
    pub epoch: Epoch,
    /// Entries of the log in it.
    pub entries: u64,
    /// Lines of what left the building.
    pub lines: usize,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the bundle of a key epoch of the site in this folder; the site's service may run. What left the building in
/// no key epoch (the joining, longer certificates) is in it as well.
///
/// # Errors
/// [`BundleError`].
pub fn write(site: &Path, epoch: Epoch, to: impl Write + Seek) -> Result<Written, BundleError> {
    let nothing = || BundleError::NoEpoch { folder: site.to_path_buf(), epoch };
    let note = noted_bytes(site, epoch)?.ok_or_else(nothing)?;
    let seen = parsed(&note, epoch, site)?;
    let folder = epoch_folder(site, epoch);
    let (log, entries) = log_copy::read(&folder)?.ok_or_else(nothing)?;
    let sent = sent(site, epoch)?;
    let approvals = approvals(site, &seen)?;
    let seat = seen.standing.proposal.membership.seat(seen.party);
    let manifest = Manifest {
        schema: SCHEMA,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_s: seconds(SystemTime::now()),
        epoch: epoch.0,
        party: seen.party.number(),
        name: seat.map_or_else(String::new, |seat| seat.name.clone()),
        parts: Vec::new(),
    };
    let signed = signed(&folder, epoch)?;
    let lines = sent.lines().count();
    let mut bundle = Writing::begin(to);
    let fill = || {
        bundle.add(EXPLAINED, README.as_bytes())?;
        bundle.add(PLAN, seen.standing.proposal.plan.as_bytes())?;
        bundle.add(APPROVALS, approvals.as_slice())?;
        bundle.add(SENT, sent.as_bytes())?;
        bundle.add(PROPOSAL, note.as_slice())?;
        bundle.add(SIGNED, signed.as_slice())?;
        bundle.add(LOG, log)
    };
    fill().map_err(BundleError::Write)?;
    let mut file = bundle.finish(manifest).map_err(BundleError::Write)?;
    let bytes = file.seek(SeekFrom::End(0)).map_err(BundleError::Write)?;
    Ok(Written { epoch, entries, lines, bytes })
}

/// Key epochs of the site in this folder of which there is a bundle, ascending.
///
/// # Errors
/// [`BundleError::Consent`] where the folders cannot be listed.
pub fn bundled_epochs(site: &Path) -> Result<Vec<Epoch>, BundleError> {
    let has_log = |epoch: &Epoch| log_copy::exists(&epoch_folder(site, *epoch));
    Ok(noted_epochs(site)?.into_iter().filter(has_log).collect())
}

/// As [`write()`], to a file, which is there whole or not at all.
///
/// # Errors
/// [`BundleError`].
pub fn write_file(site: &Path, epoch: Epoch, path: &Path) -> Result<Written, BundleError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let made = File::create(&part).map_err(BundleError::Write).and_then(|file| {
        let written = write(site, epoch, &file)?;
        file.sync_all().and_then(|()| fs::rename(&part, path)).map_err(BundleError::Write)?;
        Ok(written)
    });
    if made.is_err() {
        // What could not be written has nothing in it that somebody would miss.
        let _ = fs::remove_file(&part);
    }
    made
}

/// Lines of what left the building, in this key epoch and in none.
fn sent(site: &Path, epoch: Epoch) -> Result<String, BundleError> {
    let read = SentLog::of(site).read();
    let lines = read.map_err(|source| BundleError::Sent { folder: site.join("sent"), source })?;
    let of_epoch = lines.iter().filter(|line| line.epoch == epoch.0 || line.epoch == 0);
    Ok(of_epoch.map(|line| format!("{line}\n")).collect())
}

/// Who approved these members, in whichever key epoch, and these terms.
fn approvals(site: &Path, seen: &Seen) -> Result<Vec<u8>, BundleError> {
    let mut given = ConsentBook::open(site)?.approvals()?;
    let membership = seen.membership.to_string();
    given.retain(|it| match it.what {
        Approvable::Membership => it.digest == membership,
        Approvable::Terms => it.epoch == seen.standing.proposal.epoch.0,
    });
    // Numbers and short texts: there is nothing in it that has no JSON form.
    Ok(serde_json::to_vec_pretty(&given).unwrap_or_default())
}

/// What the site signed, by its own journal.
fn signed(folder: &Path, epoch: Epoch) -> Result<Vec<u8>, BundleError> {
    let mut signed = SIGNED_MAGIC.to_vec();
    let journal = folder.join("journal.sqlite");
    if !journal.exists() {
        return Ok(signed);
    }
    for fact in Journal::open(&journal)?.read(&facts_name(epoch), 0, u32::MAX)? {
        match Fact::from_bytes(&fact) {
            Ok(Fact::Sent(message)) => signed.extend(record(&message)),
            Ok(_) => {}
            Err(_) => return Err(BundleError::JournalDamaged { epoch }),
        }
    }
    Ok(signed)
}
