//! What is wrong with an entry, and whose word it is.
//!
//! A hospital is named for what it signed itself: a head, a nonce or a dealing that cannot be right, two words for one
//! step. Everything else is the coordinator's: whom it counts, what it leaves out, what it says before its time.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::PartyId;
use crate::message::{HospitalMessage, SignedMessage};
use crate::reject::Reject;
use crate::roster::Roster;

/// Whose word is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The coordinator's, who wrote the entry.
    Coordinator,
    /// A hospital's, whose signed message stands in it.
    Hospital(PartyId),
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator"),
            Self::Hospital(party) => write!(f, "{party}"),
        }
    }
}

/// What an entry breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reject: Reject,
    pub(super) author: Author,
}

impl From<Reject> for Fault {
    fn from(reject: Reject) -> Self {
        Self { reject, author: Author::Coordinator }
    }
}

/// Of the coordinator.
pub(super) fn require(holds: bool, reject: Reject) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(reject.into()) }
}

/// Of the hospital that signed it.
pub(super) fn require_of(party: PartyId, holds: bool, reject: Reject) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault { reject, author: Author::Hospital(party) }) }
}

/// What every hospital said in a step of the ceremony, in order of party; `incomplete` where one is missing or out of
/// order, [`Reject::Contradiction`] where one comes twice or says something else. Signatures are checked before.
pub(super) fn of_all<'a, T>(
    messages: &'a [SignedMessage],
    roster: &Roster,
    incomplete: Reject,
    pick: impl Fn(&'a HospitalMessage) -> Option<T>,
) -> Result<BTreeMap<PartyId, T>, Fault> {
    let mut said = BTreeMap::new();
    for message in messages {
        let it = pick(&message.body).ok_or(Reject::Contradiction)?;
        require(said.insert(message.author, it).is_none(), Reject::Contradiction)?;
    }
    let is_sorted = messages.is_sorted_by_key(|message| message.author);
    require(is_sorted && said.len() == roster.size(), incomplete)?;
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::VerifyError;

    #[test]
    fn a_finding_says_at_which_entry_by_whose_word_and_what() {
        let said = |author| VerifyError { index: 7, author, reject: Reject::CohortRule }.to_string();
        let reject = Reject::CohortRule;
        assert_eq!(said(Author::Coordinator), format!("transcript entry 7, by the word of the coordinator: {reject}"));
        let hospital = Author::Hospital(PartyId::new(3).unwrap());
        assert_eq!(said(hospital), format!("transcript entry 7, by the word of hospital-3: {reject}"));
    }
}
