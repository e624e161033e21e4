//! Nonces and dealings, from commitment to an open key epoch.

use std::collections::BTreeMap;

use crate::ceremony::{commitment, received_digest};
use crate::ids::{Digest, PartyId};
use crate::message::{DealingsSent, HospitalMessage, LogMessage};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::verifier::fault::{Fault, of_all, require, require_of};

/// What was seen of it.
#[derive(Default)]
pub(super) struct Ceremony {
    commitments: BTreeMap<PartyId, Digest>,
    is_revealed: bool,
    dealings: Vec<DealingsSent>,
    /// Whether all hospitals have said that they received the same.
    pub(super) is_open: bool,
    /// Whether what they received lies on polynomials.
    pub(super) dealings_fit: bool,
}

impl Ceremony {
    pub(super) fn step(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Fault> {
        match message {
            LogMessage::CommitSet(it) => {
                require(self.commitments.is_empty(), Reject::Contradiction)?;
                self.commitments = of_all(&it.commits, roster, Reject::CommitmentBroken, |body| match body {
                    HospitalMessage::KeyCommit(commit) => Some(commit.commitment),
                    _ => None,
                })?;
                Ok(())
            }
            LogMessage::RevealSet(it) => {
                require(!self.commitments.is_empty(), Reject::OutOfTurn)?;
                let nonces = of_all(&it.reveals, roster, Reject::CommitmentBroken, |body| match body {
                    HospitalMessage::KeyReveal(reveal) => Some(&reveal.nonce),
                    _ => None,
                })?;
                for (party, nonce) in nonces {
                    let opens = self.commitments.get(&party) == Some(&commitment(roster.epoch(), party, nonce));
                    require_of(party, opens, Reject::CommitmentBroken)?;
                }
                self.is_revealed = true;
                Ok(())
            }
            LogMessage::DealingsReady(it) => {
                require(self.is_revealed, Reject::OutOfTurn)?;
                let dealings = of_all(&it.dealings, roster, Reject::BadDealing, |body| match body {
                    HospitalMessage::DealingsSent(dealing) => Some(dealing),
                    _ => None,
                })?;
                for (party, dealing) in &dealings {
                    require_of(*party, dealing.boxes.len() == roster.size(), Reject::BadDealing)?;
                }
                self.dealings = dealings.into_values().cloned().collect();
                Ok(())
            }
            LogMessage::KeyEpochOpen(it) => {
                require(!self.dealings.is_empty(), Reject::OutOfTurn)?;
                let digests = of_all(&it.digests, roster, Reject::DealingsDisagree, |body| match body {
                    HospitalMessage::DealingsDigest(digest) => Some(digest),
                    _ => None,
                })?;
                for (party, digest) in &digests {
                    let expected = received_digest(*party, &self.dealings);
                    require_of(*party, digest.received == expected, Reject::DealingsDisagree)?;
                }
                // Whose dealing made the difference only its receivers know.
                let mut groups = digests.values().map(|digest| digest.group);
                let first = groups.next();
                require(groups.all(|group| Some(group) == first), Reject::DealingsDisagree)?;
                self.is_open = true;
                Ok(())
            }
            LogMessage::DealingsChecked(it) => {
                require(self.is_open, Reject::OutOfTurn)?;
                let off = it.judge(roster)?;
                self.dealings_fit = off.is_none();
                // As far as receivers say what they got: the evidence that stands in the entry cannot tell more.
                let dealer = off.dealers.iter().next();
                dealer.map_or(Ok(()), |dealer| require_of(dealer, false, Reject::DealingOff))
            }
            _ => Ok(()),
        }
    }
}
