//! The release ledger on disk: what was encrypted and shared, each at most once, and the flooding budget it cost.

use std::collections::BTreeSet;
use std::sync::Arc;

use he_agg::aggregation::{Claim, Flooding, LedgerKey, ReleaseLedger, TauCounter, Use};
use protocol::store::{Journal, JournalError, Once};

/// The ledger of one site, key epoch and kind of keys. Claims are on disk before a permit exists.
pub struct DiskLedger {
    journal: Arc<Journal>,
    claims: String,
    charges: String,
    counter: TauCounter,
    charged: BTreeSet<Vec<u8>>,
}

impl DiskLedger {
    /// Opens the ledger `name` (training and serving keys have a budget each) with everything it ever recorded.
    ///
    /// # Errors
    /// [`JournalError`] where it cannot be read.
    pub fn open(journal: Arc<Journal>, name: &str, flooding: Flooding) -> Result<Self, JournalError> {
        let (claims, charges) = (format!("{name}-release"), format!("{name}-tau"));
        let charged: BTreeSet<Vec<u8>> = journal.all(&charges)?.into_iter().map(|row| row.key).collect();
        let counter = TauCounter::resume(flooding, charged.len() as u64);
        Ok(Self { journal, claims, charges, counter, charged })
    }

    /// Releases left in this epoch.
    pub fn left(&self) -> u64 {
        self.counter.left()
    }
}

impl ReleaseLedger for DiskLedger {
    type Error = JournalError;

    fn claim(&mut self, key: &LedgerKey, value: [u8; 32]) -> Result<Claim, JournalError> {
        let mut unit = key.epoch.to_vec();
        for number in [key.round, key.attempt, key.chunk] {
            unit.extend_from_slice(&number.to_le_bytes());
        }
        let mut name = unit.clone();
        name.push(match key.purpose {
            Use::Encrypt => 0,
            Use::Share => 1,
            Use::GatedQuery => 2,
            Use::GatedWeight => 3,
            Use::GatedFeature => 4,
            Use::Refresh => 5,
            Use::RefreshedHalf => 6,
            Use::RefreshOpening => 7,
            Use::GatedRefreshMask => 8,
            Use::GatedRefreshed => 9,
            Use::GatedRefreshZero => 10,
        });
        if let Some(stored) = self.journal.get(&self.claims, &name)? {
            return Ok(Claim::Stored(digest(&stored)));
        }
        if key.purpose.is_charged() && !self.charged.contains(&unit) {
            // Charged on disk before the claim: a crash in between costs one unit and never gives one away.
            if let Err(exhausted) = self.counter.charge() {
                return Ok(Claim::Exhausted(exhausted));
            }
            self.journal.insert_once(&self.charges, &unit, &[])?;
            self.charged.insert(unit);
        }
        match self.journal.insert_once(&self.claims, &name, &value)? {
            Once::Inserted => Ok(Claim::Stored(value)),
            Once::Existing(stored) => Ok(Claim::Stored(digest(&stored))),
        }
    }
}

/// A stored claim of another length never equals a digest, so a damaged row refuses.
fn digest(stored: &[u8]) -> [u8; 32] {
    <[u8; 32]>::try_from(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(purpose: Use, chunk: u32) -> LedgerKey {
        LedgerKey { purpose, epoch: [3; 32], round: 1, attempt: 1, chunk }
    }

    fn open(folder: &std::path::Path, releases: u64) -> DiskLedger {
        let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).unwrap());
        DiskLedger::open(journal, "training", Flooding::secure(40, releases).unwrap()).unwrap()
    }

    #[test]
    fn a_claim_outlives_a_crash_and_never_changes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(open(folder.path(), 9).claim(&key(Use::Share, 0), [1; 32]).unwrap(), Claim::Stored([1; 32]));
        let mut ledger = open(folder.path(), 9);
        assert_eq!(ledger.claim(&key(Use::Share, 0), [2; 32]).unwrap(), Claim::Stored([1; 32]));
        assert_eq!(ledger.left(), 8);
    }

    #[test]
    fn encrypting_and_sharing_one_chunk_cost_one_unit_and_a_spent_budget_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(folder.path(), 2);
        ledger.claim(&key(Use::Encrypt, 0), [1; 32]).unwrap();
        ledger.claim(&key(Use::Share, 0), [2; 32]).unwrap();
        assert_eq!(ledger.left(), 1);
        ledger.claim(&key(Use::Encrypt, 1), [3; 32]).unwrap();
        drop(ledger);
        let mut ledger = open(folder.path(), 2);
        assert!(matches!(ledger.claim(&key(Use::Encrypt, 2), [4; 32]).unwrap(), Claim::Exhausted(_)));
        assert_eq!(ledger.claim(&key(Use::Share, 1), [5; 32]).unwrap(), Claim::Stored([5; 32]));
    }

    /// All but what encrypts an update, shares in a release or shares in a refresh.
    const UNCHARGED: [Use; 8] = [
        Use::GatedQuery,
        Use::GatedWeight,
        Use::GatedFeature,
        Use::RefreshedHalf,
        Use::RefreshOpening,
        Use::GatedRefreshMask,
        Use::GatedRefreshed,
        Use::GatedRefreshZero,
    ];

    #[test]
    fn what_is_gated_is_claimed_once_and_takes_nothing_of_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(folder.path(), 1);
        // A value each: no two uses share a name.
        for (value, purpose) in (1..).zip(UNCHARGED) {
            assert_eq!(ledger.claim(&key(purpose, 0), [value; 32]).unwrap(), Claim::Stored([value; 32]));
        }
        assert_eq!(ledger.left(), 1);
        // The share of the same numbers is charged all the same.
        ledger.claim(&key(Use::Share, 0), [2; 32]).unwrap();
        assert_eq!(ledger.left(), 0);
        drop(ledger);
        let mut ledger = open(folder.path(), 1);
        for (value, purpose) in (1..).zip(UNCHARGED) {
            assert_eq!(ledger.claim(&key(purpose, 0), [0; 32]).unwrap(), Claim::Stored([value; 32]));
            // A spent budget is no reason to refuse what is not charged.
            assert_eq!(ledger.claim(&key(purpose, 1), [4; 32]).unwrap(), Claim::Stored([4; 32]));
        }
        assert_eq!(ledger.left(), 0);
    }
}
