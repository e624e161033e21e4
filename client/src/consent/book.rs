//! The book of a site's consents.

use std::path::Path;

use aws_lc_rs::rand;
use protocol::codec::Wire;
use protocol::consent::NonceBinding;
use protocol::ids::{Digest, Epoch};
use protocol::store::{Journal, Once};

use super::ConsentError;

const NONCE: &str = "nonce";
const PROMISES: &str = "promises";
const PROPOSAL: &str = "proposal";
const MEMBERSHIP: &str = "membership";
const TERMS: &str = "terms";
const OVER: &str = "over";

/// The book, in one file. Nothing in it is secret but nonces that were not shown yet.
pub struct ConsentBook {
    journal: Journal,
}

impl ConsentBook {
    /// Opens or makes the book in a site's folder.
    ///
    /// # Errors
    /// [`ConsentError::Journal`].
    pub fn open(root: &Path) -> Result<Self, ConsentError> {
        Ok(Self { journal: Journal::open(&root.join("consent.sqlite"))? })
    }

    /// This site's nonce for a membership, drawn once.
    pub(super) fn nonce(&self, membership: Digest) -> Result<[u8; 32], ConsentError> {
        let mut fresh = [0; 32];
        rand::fill(&mut fresh).map_err(|_| ConsentError::Randomness)?;
        match self.journal.insert_once(NONCE, &membership.0, &fresh)? {
            Once::Inserted => Ok(fresh),
            Once::Existing(known) => <[u8; 32]>::try_from(known).map_err(|_| ConsentError::Damaged { space: NONCE }),
        }
    }

    /// Whether these are the promises that this site saw first.
    pub(super) fn pin(&self, membership: Digest, promises: &Vec<NonceBinding>) -> Result<bool, ConsentError> {
        self.is_first(PROMISES, &membership.0, &promises.to_bytes())
    }

    /// Whether this is what this site saw first under the number.
    pub(super) fn saw(&self, epoch: Epoch, proposal: Digest) -> Result<bool, ConsentError> {
        self.is_first(PROPOSAL, &epoch.to_bytes(), &proposal.0)
    }

    fn is_first(&self, space: &str, key: &[u8], value: &[u8]) -> Result<bool, ConsentError> {
        Ok(match self.journal.insert_once(space, key, value)? {
            Once::Inserted => true,
            Once::Existing(known) => known == value,
        })
    }

    /// The officer compared the words of this membership.
    pub(crate) fn approve_membership(&self, membership: Digest) -> Result<(), ConsentError> {
        self.journal.insert_once(MEMBERSHIP, &membership.0, &[])?;
        Ok(())
    }

    /// Whether an officer did.
    ///
    /// # Errors
    /// [`ConsentError::Journal`].
    pub fn has_membership(&self, membership: Digest) -> Result<bool, ConsentError> {
        Ok(self.journal.get(MEMBERSHIP, &membership.0)?.is_some())
    }

    /// The officer approved these terms for one key epoch; the site trains on the data set of that name.
    pub(super) fn approve_terms(&self, epoch: Epoch, terms: Digest, data: &str) -> Result<(), ConsentError> {
        self.journal.put(TERMS, &of_epoch(epoch, terms), data.as_bytes())?;
        Ok(())
    }

    /// The data set with which terms were approved for a key epoch. The same terms in another epoch are another
    /// training, with budgets of its own, so they need another word.
    ///
    /// # Errors
    /// [`ConsentError`].
    pub fn terms(&self, epoch: Epoch, terms: Digest) -> Result<Option<String>, ConsentError> {
        let found = self.journal.get(TERMS, &of_epoch(epoch, terms))?;
        found.map(|name| String::from_utf8(name).map_err(|_| ConsentError::Damaged { space: TERMS })).transpose()
    }

    /// The coordinator ended the epoch, or this site left it: with one sentence.
    ///
    /// # Errors
    /// [`ConsentError::Journal`].
    pub fn end(&self, epoch: Epoch, reason: &str) -> Result<(), ConsentError> {
        self.journal.insert_once(OVER, &epoch.to_bytes(), reason.as_bytes())?;
        Ok(())
    }

    /// Why an epoch is over for this site, if it is.
    ///
    /// # Errors
    /// [`ConsentError`].
    pub fn ended(&self, epoch: Epoch) -> Result<Option<String>, ConsentError> {
        let found = self.journal.get(OVER, &epoch.to_bytes())?;
        found.map(|reason| String::from_utf8(reason).map_err(|_| ConsentError::Damaged { space: OVER })).transpose()
    }
}

fn of_epoch(epoch: Epoch, terms: Digest) -> Vec<u8> {
    [epoch.to_bytes(), terms.0.to_vec()].concat()
}
