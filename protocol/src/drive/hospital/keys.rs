//! What making keys needs of others: sealed boxes, and shares, one hospital after the other.

use crate::blob::{BlobId, BlobKind, BodyRoot};
use crate::drive::hospital::parts::Announced;
use crate::drive::hospital::planes::Bound;
use crate::drive::hospital::wanted::Wanted;
use crate::drive::hospital::work::{Then, Work};
use crate::drive::hospital::{HospitalJob, Parts};
use crate::ids::{Digest, PartyId};
use crate::message::{Key, KeyStep};
use crate::roster::Roster;

impl Work {
    pub(super) fn open_dealings(roster: Roster, own: PartyId, boxes: &[(PartyId, Digest)]) -> Self {
        let place = |dealer| BlobId::ceremony(BlobKind::Dealing, Some(dealer), u32::from(own.number()));
        let wanted = boxes.iter().map(|(dealer, digest)| Wanted::digest(place(*dealer), *digest)).collect();
        let dealers = boxes.iter().map(|(dealer, _)| *dealer).collect();
        Self::Fetch { wanted, then: Then::OpenDealings { roster, dealers } }
    }

    /// One share after the other, so that one of them is in memory at a time, and then the sum.
    pub(super) fn add_shares(
        own: PartyId,
        step: KeyStep,
        shares: Vec<(PartyId, BodyRoot)>,
        sum: BodyRoot,
        drawn: Vec<u32>,
    ) -> Vec<Self> {
        let finish = HospitalJob::FinishSum { step, sum };
        if step.key() == Key::Galois {
            return vec![Self::lists(
                Parts::Rotations(step.set()),
                &shares,
                Announced { drawn, root: sum.root },
                finish,
            )];
        }
        let share = move |(from, root): (PartyId, BodyRoot)| {
            if step.key() == Key::Planes {
                return Bound { of: from, root }.list();
            }
            if step.key() == Key::Gate {
                let list = step.list(Some(from));
                return Self::Fetch { wanted: vec![Wanted::list(list, root)], then: Then::ShareOf { step, from, own } };
            }
            let id = step.body(Some(from), 0);
            Self::Fetch { wanted: vec![Wanted::single(id, root)], then: Then::AddShare { step, from } }
        };
        shares.into_iter().map(share).chain([Self::Ready(finish)]).collect()
    }

    pub(super) fn sum(step: KeyStep, root: BodyRoot) -> Self {
        let id = step.body(None, 0);
        Self::Fetch { wanted: vec![Wanted::single(id, root)], then: Then::Sum { step } }
    }
}
