//! What every hospital may fetch of a round, to add its sum up before it votes: the updates and the shares that an
//! announced sum is made of, and nothing of an attempt without one.
//!
//! Whoever votes is shown them: members of the cohort, and those who were late for it and adopt the model as well. What
//! is not in the sum, such as spare ciphertexts, is shown to nobody. Nothing is shown before the sum is announced, so
//! that nobody makes an update or a share of what others sent.

use std::collections::BTreeMap;

use crate::blob::{BlobKind, ListId};
use crate::message::LogMessage;
use crate::party_set::PartySet;

/// The sums of the log, by round and attempt: as many as the terms have rounds.
#[derive(Default)]
pub(super) struct Shown {
    /// The newest manifest's.
    cohort: PartySet,
    /// S and T.
    sums: BTreeMap<(u64, u32), (PartySet, PartySet)>,
}

impl Shown {
    /// Takes an entry of the log into account.
    pub(super) fn learn(&mut self, message: &LogMessage) {
        match message {
            LogMessage::Manifest(it) => self.cohort = it.cohort(),
            LogMessage::SumReady(it) => {
                let decryptors = it.shares.iter().map(|head| head.author).collect();
                self.sums.insert((u64::from(it.round.0), it.attempt.0), (self.cohort, decryptors));
            }
            _ => {}
        }
    }

    /// Whether an announced sum is made of this list.
    pub(super) fn is_of_a_sum(&self, list: ListId) -> bool {
        let ListId { kind, round, attempt, party: Some(party) } = list else { return false };
        let Some((cohort, decryptors)) = self.sums.get(&(round, attempt)) else { return false };
        match kind {
            BlobKind::UpdateChunk => cohort.contains(party),
            BlobKind::Share => decryptors.contains(party),
            _ => false,
        }
    }
}
