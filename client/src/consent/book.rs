//! The book of a site's consents.

use std::path::Path;
use std::time::SystemTime;

use aws_lc_rs::rand;
use protocol::codec::Wire;
use protocol::consent::NonceBinding;
use protocol::enrolment::{Words, seconds};
use protocol::ids::{Digest, Epoch};
use protocol::store::{Journal, Once};
use serde::{Deserialize, Serialize};

use super::{ConsentError, Seen};

const NONCE: &str = "nonce";
const PROMISES: &str = "promises";
const PROPOSAL: &str = "proposal";
const MEMBERSHIP: &str = "membership";
const TERMS: &str = "terms";
const OVER: &str = "over";
const APPROVALS: &str = "approvals";

/// What an officer approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approvable {
    /// Who the members are.
    Membership,
    /// How is trained.
    Terms,
}

/// An approval, for whoever asks later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenApproval {
    /// Seconds since 1970, by this machine's clock.
    pub at_s: u64,
    /// The key epoch that was looked at.
    pub epoch: u32,
    /// Of what.
    pub what: Approvable,
    /// Its digest.
    pub digest: String,
    /// Who gave it, and where.
    pub by: String,
}

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

    /// The officer's word on the members: these words were heard from another officer. `by` says who gave it, and
    /// where.
    ///
    /// # Errors
    /// [`ConsentError::WordsDiffer`], after which nothing has changed.
    pub fn approve_membership(&self, seen: &Seen, heard: Words, by: &str) -> Result<(), ConsentError> {
        if seen.words != Some(heard) {
            return Err(ConsentError::WordsDiffer);
        }
        self.note_approval(seen.standing.proposal.epoch, Approvable::Membership, seen.membership, by)?;
        self.pin_membership(seen.membership)
    }

    /// The officer's word on the terms, by their digest, for this key epoch; the site trains on the data set of that
    /// name.
    ///
    /// # Errors
    /// [`ConsentError::TermsDiffer`], after which nothing has changed.
    pub fn approve_terms(&self, seen: &Seen, digest: &str, data: &str, by: &str) -> Result<(), ConsentError> {
        let (epoch, proposed) = (seen.standing.proposal.epoch, seen.terms.digest());
        if digest != proposed.to_string() {
            return Err(ConsentError::TermsDiffer { epoch, proposed: proposed.to_string() });
        }
        self.note_approval(epoch, Approvable::Terms, proposed, by)?;
        self.journal.put(TERMS, &of_epoch(epoch, proposed), data.as_bytes())?;
        Ok(())
    }

    /// The name of the data set with which this site takes part, once its officer approved members and terms.
    ///
    /// # Errors
    /// [`ConsentError`].
    pub fn consented(&self, seen: &Seen) -> Result<Option<String>, ConsentError> {
        match self.has_membership(seen.membership)? {
            true => self.terms(seen.standing.proposal.epoch, seen.terms.digest()),
            false => Ok(None),
        }
    }

    /// Every approval that was given, oldest first, also those that others have replaced.
    ///
    /// # Errors
    /// [`ConsentError`].
    pub fn approvals(&self) -> Result<Vec<GivenApproval>, ConsentError> {
        let rows = self.journal.read(APPROVALS, 0, u32::MAX)?;
        let row = |row: &Vec<u8>| serde_json::from_slice(row).map_err(|_| ConsentError::Damaged { space: APPROVALS });
        rows.iter().map(row).collect()
    }

    /// Written before what it lets happen: there is no approval that nobody gave.
    fn note_approval(&self, epoch: Epoch, what: Approvable, digest: Digest, by: &str) -> Result<(), ConsentError> {
        let at_s = seconds(SystemTime::now());
        let given = GivenApproval { at_s, epoch: epoch.0, what, digest: digest.to_string(), by: by.to_owned() };
        // Numbers and short texts: there is nothing in it that has no JSON form.
        self.journal.append(APPROVALS, &serde_json::to_vec(&given).unwrap_or_default())?;
        Ok(())
    }

    /// An officer compared the words of this membership.
    pub(crate) fn pin_membership(&self, membership: Digest) -> Result<(), ConsentError> {
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
