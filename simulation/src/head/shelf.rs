//! Bodies that parties have made, by their place: what a store and a network would carry.

use std::collections::BTreeMap;

use he_train::encrypted::RefreshOrder;
use protocol::training::RefreshBinding;
use protocol::{Attempt, BlobKind, BodyRoot, PartyId, StepId};

/// Where a list of bodies lies; the coordinator's have no maker.
type Place = (BlobKind, StepId, Attempt, Option<PartyId>);

/// Lists of bodies of the step at hand.
#[derive(Default)]
pub(super) struct Shelf {
    lists: BTreeMap<Place, Vec<Vec<u8>>>,
}

impl Shelf {
    /// What a head says of the list.
    pub(super) fn put(&mut self, place: Place, bodies: Vec<Vec<u8>>) -> BodyRoot {
        let root = BodyRoot::of_bodies(&bodies);
        self.lists.insert(place, bodies);
        root
    }

    /// Nothing that is not there.
    pub(super) fn list(&self, place: Place) -> &[Vec<u8>] {
        self.lists.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Whether the list is what its maker signed.
    pub(super) fn is(&self, place: Place, root: BodyRoot) -> bool {
        BodyRoot::of_bodies(self.list(place)) == root
    }

    /// Of every one of these hospitals, in their order.
    pub(super) fn of_all(
        &self,
        kind: BlobKind,
        (step, attempt): (StepId, Attempt),
        parties: impl IntoIterator<Item = PartyId>,
    ) -> Vec<(u16, Vec<Vec<u8>>)> {
        let of = |party: PartyId| (party.number(), self.list((kind, step, attempt, Some(party))).to_vec());
        parties.into_iter().map(of).collect()
    }

    /// A step's refresh as arithmetic counts it, from 0, with the zeros of its attempt.
    pub(super) fn order(&self, binding: &RefreshBinding) -> RefreshOrder {
        let RefreshBinding { step, attempt, decryptors, opener, .. } = *binding;
        let zeros = match attempt {
            Attempt::FIRST => Vec::new(),
            _ => self.of_all(BlobKind::RefreshZero, (step, attempt), decryptors.iter()),
        };
        let (opener, decryptors) = (opener.number(), decryptors.numbers());
        RefreshOrder { zeros, opener, decryptors, ..first(step, attempt) }
    }

    /// Nobody reads those of an earlier step.
    pub(super) fn forget_before(&mut self, step: StepId) {
        self.lists.retain(|(_, of, ..), _| *of >= step);
    }
}

/// Of a step that nobody has been asked to refresh.
pub(super) fn first(step: StepId, attempt: Attempt) -> RefreshOrder {
    RefreshOrder::before_asking(step.0, attempt.0)
}
