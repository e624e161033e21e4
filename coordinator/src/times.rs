//! When entries of the log were made: beside the log, since what members sign has no clock of the coordinator's in it.
//!
//! Nothing depends on these times but what is shown; one that cannot be written is shown as unknown.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::store::{Journal, JournalError};

/// The stream in a key epoch's journal.
const STREAM: &str = "times";
/// Times that are kept: a round has about seven, and a campaign that makes more than this is not slowed down by it.
const TIMES_MAX: usize = 16_384;
/// Times read at once.
const PAGE: u32 = 1024;

/// The times of one log, by entry.
#[derive(Default)]
pub(crate) struct Times {
    of: BTreeMap<u64, u64>,
}

impl Times {
    /// Reads what was noted; what is no time is passed over.
    ///
    /// # Errors
    /// [`JournalError`].
    pub(crate) fn load(journal: &Journal) -> Result<Self, JournalError> {
        let mut of = BTreeMap::new();
        let mut start = 0;
        loop {
            let page = journal.read(STREAM, start, PAGE)?;
            if page.is_empty() {
                return Ok(Self { of });
            }
            start += page.len() as u64;
            of.extend(page.iter().filter_map(|bytes| parsed(bytes)));
        }
    }

    /// When an entry was made, in ms since 1970.
    pub(crate) fn of(&self, entry: u64) -> Option<u64> {
        self.of.get(&entry).copied()
    }

    /// Notes when an entry was made, for later processes too.
    ///
    /// # Errors
    /// [`JournalError`]; then only this process knows it.
    pub(crate) fn note(&mut self, journal: &Journal, entry: u64, at_ms: u64) -> Result<(), JournalError> {
        if self.of.len() >= TIMES_MAX {
            return Ok(());
        }
        self.of.insert(entry, at_ms);
        journal.append(STREAM, &[entry.to_le_bytes(), at_ms.to_le_bytes()].concat()).map(drop)
    }
}

fn parsed(bytes: &[u8]) -> Option<(u64, u64)> {
    let (entry, at_ms) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*entry), u64::from_le_bytes(at_ms.try_into().ok()?)))
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outlive_the_process_have_a_bound_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let mut times = Times::default();
        times.note(&journal, 3, 1_700).unwrap();
        journal.append(STREAM, b"no time").unwrap();
        times.note(&journal, 9, 1_800).unwrap();
        let mut again = Times::load(&journal).unwrap();
        assert_eq!((again.of(3), again.of(4), again.of(9)), (Some(1_700), None, Some(1_800)));
        again.of.extend((100..).take(TIMES_MAX).map(|entry| (entry, 0)));
        again.note(&journal, 5, 1_900).unwrap();
        assert_eq!(Times::load(&journal).unwrap().of(5), None, "the disk is not filled");
        assert!(now_ms() > 1_700_000_000_000);
    }
}
