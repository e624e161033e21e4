//! What the log of a run folder says about keys and the published model, for whoever checks it afterwards.

use std::path::Path;

use protocol::campaign::{PublishedModel, TrainedOn};
use protocol::ceremony::seed_of;
use protocol::codec::Wire;
use protocol::drive::Stream;
use protocol::ids::Digest;
use protocol::log::LogEntry;
use protocol::message::{LogMessage, RoundPurpose};
use protocol::party_set::PartySet;
use protocol::roster::Roster;
use protocol::store::Journal;

use crate::disk::name;
use crate::error::CoordinatorError;

/// Entries read at once.
const PAGE: u32 = 1024;

/// Where a log leaves off. Empty for an empty one.
#[derive(Default)]
pub(crate) struct Standing {
    roster: Option<Roster>,
    /// Seed of the key epoch's common randomness.
    pub(crate) epoch_seed: Digest,
    opened: Option<PublishedModel>,
    /// Whose rows a head is trained on.
    trained_on: Option<PartySet>,
    purpose: Option<RoundPurpose>,
    /// The model that the newest training round gave.
    pub(crate) trained: Option<Digest>,
    /// The newest published model.
    pub(crate) published: Option<PublishedModel>,
}

/// The model that a folder's log names as published; nothing is started for it.
///
/// # Errors
/// [`CoordinatorError`] where the log cannot be read.
pub(crate) fn published(folder: &Path) -> Result<Option<PublishedModel>, CoordinatorError> {
    Ok(of_folder(folder)?.published)
}

/// The model that the newest training round of a folder's log gave.
///
/// # Errors
/// [`CoordinatorError`] where the log cannot be read.
pub(crate) fn trained(folder: &Path) -> Result<Option<Digest>, CoordinatorError> {
    Ok(of_folder(folder)?.trained)
}

fn of_folder(folder: &Path) -> Result<Standing, CoordinatorError> {
    let journal = Journal::open(&folder.join("journal.sqlite"))?;
    let mut log = Vec::new();
    for (index, bytes) in (0..).zip(stored(&journal)?) {
        log.push(LogEntry::from_bytes(&bytes).map_err(|_| CoordinatorError::LogDamaged { index })?.message);
    }
    Ok(Standing::of(&log))
}

/// All entries of a stored log, encoded, read a page at a time.
///
/// # Errors
/// [`CoordinatorError::Journal`].
pub(crate) fn stored(journal: &Journal) -> Result<Vec<Vec<u8>>, CoordinatorError> {
    let mut entries = Vec::new();
    loop {
        let page = journal.read(&name(Stream::Log), entries.len() as u64, PAGE)?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

impl Standing {
    /// The hospitals of the key epoch.
    pub(crate) fn parties(&self) -> PartySet {
        self.roster.as_ref().map_or(PartySet::EMPTY, Roster::parties)
    }

    /// Reads a whole log.
    pub(crate) fn of<'a>(log: impl IntoIterator<Item = &'a LogMessage>) -> Self {
        let mut standing = Self::default();
        log.into_iter().for_each(|message| standing.learn(message));
        standing
    }

    fn learn(&mut self, message: &LogMessage) {
        match message {
            LogMessage::RosterProposed(it) => self.roster = Some(it.roster.clone()),
            LogMessage::RevealSet(it) => {
                if let Some(roster) = &self.roster {
                    self.epoch_seed = seed_of(roster, it);
                }
            }
            LogMessage::RoundOpen(it) => self.purpose = Some(it.purpose),
            LogMessage::RoundClosed(it) if self.purpose == Some(RoundPurpose::Train) => self.trained = Some(it.model),
            LogMessage::PublishOpen(it) => {
                self.opened =
                    Some(PublishedModel { digest: Digest::default(), attempt: it.attempt, cohort: it.cohort });
            }
            LogMessage::FeaturesReady(it) => self.trained_on = Some(TrainedOn::of(it).cohort()),
            LogMessage::ModelPublished(it) => {
                let opened = self.opened.filter(|opened| opened.attempt == it.attempt).map(|opened| opened.cohort);
                let of = |cohort| PublishedModel { digest: it.model, attempt: it.attempt, cohort };
                self.published = opened.or(self.trained_on).map(of);
            }
            _ => {}
        }
    }
}
