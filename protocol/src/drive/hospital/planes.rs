//! The planes of questions: what every hospital is bound to, and what it opens of it. One hospital after the other, so
//! that one of them is in memory at a time, and of that one all bodies together.

use bytes::Bytes;

use crate::blob::{BlobId, BodyRoot, ListId};
use crate::drive::hospital::HospitalJob;
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::work::{Then, Work};
use crate::hospital::PlanesOf;
use crate::ids::PartyId;
use crate::message::KeyStep;

/// All bodies of one hospital in one of the two steps.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    pub(super) of: PartyId,
    /// Whether it is what the hospital opens, and not what it is bound to.
    is_opened: bool,
    /// What it signed for.
    pub(super) root: BodyRoot,
}

impl Whole {
    pub(super) fn planes(of: PartyId, root: BodyRoot) -> Self {
        Self { of, is_opened: false, root }
    }

    fn place(&self, index: u32) -> BlobId {
        let step = if self.is_opened { KeyStep::PlaneOpenings } else { KeyStep::Planes };
        BlobId::ceremony(step.blob_kind(), Some(self.of), index)
    }

    /// The digests of the bodies, which are fetched next.
    pub(super) fn list(self) -> Work {
        let wanted = vec![Wanted::list(ListId::of(&self.place(0)), self.root)];
        Work::Fetch { wanted, then: Then::ListOf(self) }
    }

    /// The bodies themselves: as many as the machine allows, which compared the number that was signed for.
    pub(super) fn bodies(self, list: &Bytes) -> Work {
        let of = |(index, digest)| Wanted::digest(self.place(index), digest);
        let wanted = (0..).zip(digests(list).unwrap_or_default()).map(of).collect();
        Work::Fetch { wanted, then: Then::Whole(self) }
    }

    pub(super) fn job(self, bodies: Vec<Bytes>) -> HospitalJob {
        if self.is_opened {
            return HospitalJob::CheckPlanes { of: self.of, openings: bodies };
        }
        let [key, masks, planes] = <[Bytes; 3]>::try_from(bodies).unwrap_or_default();
        HospitalJob::AddPlanes { from: self.of, key, masks, planes }
    }
}

impl Work {
    /// Each hospital's openings, and at the end whether all were checked.
    pub(super) fn check_planes(planes: &[PlanesOf], sum: BodyRoot) -> Vec<Self> {
        let opened = |it: &PlanesOf| Whole { of: it.party, is_opened: true, root: it.openings };
        let finish = HospitalJob::FinishSum { step: KeyStep::PlaneOpenings, sum };
        planes.iter().map(|it| opened(it).list()).chain([Self::Ready(finish)]).collect()
    }
}
