//! The planes of questions: what every hospital is bound to, all bodies of it together, and the seeds of those that it
//! opens. One hospital after the other, so that one of them is in memory at a time.

use bytes::Bytes;

use crate::blob::{BlobId, BodyRoot, ListId};
use crate::drive::hospital::HospitalJob;
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::work::{Then, Work};
use crate::hospital::PlanesOf;
use crate::ids::PartyId;
use crate::message::KeyStep;

/// What one hospital is bound to.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) of: PartyId,
    /// What it signed for.
    pub(super) root: BodyRoot,
}

fn place(step: KeyStep, of: PartyId, index: u32) -> BlobId {
    BlobId::ceremony(step.blob_kind(), Some(of), index)
}

impl Bound {
    /// The digests of the bodies, which are fetched next.
    pub(super) fn list(self) -> Work {
        let wanted = vec![Wanted::list(ListId::of(&place(KeyStep::Planes, self.of, 0)), self.root)];
        Work::Fetch { wanted, then: Then::PlanesList(self) }
    }

    /// The bodies themselves: as many as the machine allows, which compared the number that was signed for.
    pub(super) fn bodies(self, list: &Bytes) -> Work {
        let of = |(index, digest)| Wanted::digest(place(KeyStep::Planes, self.of, index), digest);
        let wanted = (0..).zip(digests(list).unwrap_or_default()).map(of).collect();
        Work::Fetch { wanted, then: Then::Planes(self) }
    }

    pub(super) fn job(self, bodies: Vec<Bytes>) -> HospitalJob {
        let [key, coin, digests] = <[Bytes; 3]>::try_from(bodies).unwrap_or_default();
        HospitalJob::AddPlanes { from: self.of, key, coin, digests }
    }
}

impl Work {
    /// The seeds that each hospital shows, and at the end whether all were checked.
    pub(super) fn check_planes(planes: &[PlanesOf], sum: BodyRoot) -> Vec<Self> {
        let opened = |it: &PlanesOf| {
            let wanted = vec![Wanted::single(place(KeyStep::PlaneOpenings, it.party, 0), it.seeds)];
            Self::Fetch { wanted, then: Then::PlaneSeeds { of: it.party } }
        };
        let finish = HospitalJob::FinishSum { step: KeyStep::PlaneOpenings, sum };
        planes.iter().map(opened).chain([Self::Ready(finish)]).collect()
    }
}
