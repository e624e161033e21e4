//! How far the coordinator is with the step at hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Digest, PartyId};
use crate::message::SignedMessage;
use crate::party_set::PartySet;
use crate::training::RefreshBinding;
use crate::verdicts::Verdicts;

/// What is awaited, or computed.
pub(super) enum Stage {
    Idle,
    /// The coordinator takes the step.
    Taking,
    /// Too few hospitals are there for an attempt; with what the step left, if it is the first.
    Short {
        packages: Option<BodyRoot>,
    },
    /// T encrypts zeros.
    Zeroing(Collected),
    /// They are added to what the step left.
    Adding(PartySet, Vec<SignedMessage>),
    /// T shares.
    Sharing(Collected, RefreshBinding),
    /// The shares are added up.
    Blinding(RefreshBinding, Vec<SignedMessage>),
    /// The opener opens these sums.
    Opening(Collected, RefreshBinding, Digest),
    /// The coordinator joins what was sent.
    Joining,
    /// Hospitals compare the finished head with their own.
    Verifying(Verdicts),
    Over,
}

/// What some hospitals were asked for, and have sent.
pub(super) struct Collected {
    pub(super) of: PartySet,
    pub(super) heads: BTreeMap<PartyId, SignedMessage>,
    pub(super) stored: BTreeSet<(PartyId, BlobKind)>,
}

impl Collected {
    pub(super) fn of(of: PartySet) -> Self {
        Self { of, heads: BTreeMap::new(), stored: BTreeSet::new() }
    }

    /// Of whom a head or a list of these kinds is missing.
    pub(super) fn missing(&self, kinds: &[BlobKind]) -> PartySet {
        let has = |party: &PartyId| {
            self.heads.contains_key(party) && kinds.iter().all(|kind| self.stored.contains(&(*party, *kind)))
        };
        self.of.iter().filter(|party| !has(party)).collect()
    }

    /// Ascending.
    pub(super) fn heads(&self) -> Vec<SignedMessage> {
        self.heads.values().cloned().collect()
    }
}
