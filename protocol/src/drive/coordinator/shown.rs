//! What every hospital may fetch of what others sent, to make it itself: of a round the updates and the shares that an
//! announced sum is made of, and nothing of an attempt without one; of a head what it is trained on, and what steps
//! were refreshed with.
//!
//! Whoever votes is shown them: members of the cohort, and those who were late for it and adopt the model as well. What
//! is not in the sum, such as spare ciphertexts, is shown to nobody. Nothing is shown before the sum is announced, so
//! that nobody makes an update or a share of what others sent. The shares of a refresh are shown to nobody, and their
//! sum to its opener alone, until it is opened.

use std::collections::BTreeMap;

use crate::blob::{BlobKind, BodyRoot, ListId};
use crate::ids::{Attempt, PartyId, StepId};
use crate::message::{HospitalMessage, LogMessage, SignedMessage};
use crate::party_set::PartySet;

/// The sums of the log, by round and attempt: as many as the terms have rounds; and the lists of a training, as many as
/// they have steps and attempts.
#[derive(Default)]
pub(super) struct Shown {
    /// The newest manifest's.
    cohort: PartySet,
    /// S and T.
    sums: BTreeMap<(u64, u32), (PartySet, PartySet)>,
    /// Of a head, with the number of bodies that was signed.
    lists: BTreeMap<ListId, u32>,
    /// Of the refresh at hand: where its sums lie, who opens them, and what its decryptors signed of their masks.
    opening: Option<(ListId, PartyId)>,
    masks: Vec<(PartyId, BodyRoot)>,
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
            LogMessage::FeaturesReady(it) => {
                let of = |signed: &SignedMessage| match &signed.body {
                    HospitalMessage::FeaturesHead(head) => Some((signed.author, head.body)),
                    _ => None,
                };
                self.show(BlobKind::Feature, (StepId(0), Attempt(0)), it.heads.iter().filter_map(of));
            }
            LogMessage::RefreshOpen(it) => {
                self.opening = Some((list(BlobKind::RefreshSum, (it.step, it.attempt), None), it.opener));
                let of = |signed: &SignedMessage| match &signed.body {
                    HospitalMessage::ZeroHead(head) => Some((signed.author, head.body)),
                    _ => None,
                };
                self.show(BlobKind::RefreshZero, (it.step, it.attempt), it.zeros.iter().filter_map(of));
            }
            LogMessage::RefreshBlinded(it) => {
                let of = |signed: &SignedMessage| match &signed.body {
                    HospitalMessage::RefreshHead(head) => Some((signed.author, head.masks)),
                    _ => None,
                };
                self.masks = it.heads.iter().filter_map(of).collect();
            }
            LogMessage::RefreshVoid(_) => self.opening = None,
            LogMessage::RefreshDone(it) => {
                self.opening = None;
                let masks = std::mem::take(&mut self.masks);
                self.show(BlobKind::RefreshMask, (it.step, it.attempt), masks);
                if let HospitalMessage::OpeningHead(head) = &it.opening.body {
                    let opening = [(it.opening.author, head.body)];
                    self.show(BlobKind::RefreshOpening, (it.step, it.attempt), opening);
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, kind: BlobKind, at: (StepId, Attempt), of: impl IntoIterator<Item = (PartyId, BodyRoot)>) {
        let of = of.into_iter().map(|(party, body)| (list(kind, at, Some(party)), body.count));
        self.lists.extend(of);
    }

    /// Whether this hospital may read this list, and how many bodies of it at most: a round's have `chunks`.
    pub(super) fn bodies(&self, list: ListId, chunks: u32, reader: PartyId) -> Option<u32> {
        match list.kind {
            BlobKind::RefreshSum => (self.opening == Some((list, reader))).then_some(u32::MAX),
            _ if self.is_of_a_sum(list) => Some(chunks),
            _ => self.lists.get(&list).copied(),
        }
    }

    /// Whether an announced sum is made of this list.
    fn is_of_a_sum(&self, list: ListId) -> bool {
        let ListId { kind, round, attempt, party: Some(party) } = list else { return false };
        let Some((cohort, decryptors)) = self.sums.get(&(round, attempt)) else { return false };
        match kind {
            BlobKind::UpdateChunk => cohort.contains(party),
            BlobKind::Share => decryptors.contains(party),
            _ => false,
        }
    }
}

/// Where bodies of a refresh lie.
fn list(kind: BlobKind, (step, attempt): (StepId, Attempt), party: Option<PartyId>) -> ListId {
    ListId { kind, round: u64::from(step.0), attempt: attempt.0, party }
}
