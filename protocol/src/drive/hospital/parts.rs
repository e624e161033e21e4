//! A sum of many parts, taken up one part after the other, so that one of them is in memory at a time.

use crate::drive::hospital::work::Work;
use crate::drive::hospital::{HospitalJob, Parts};
use crate::ids::{Digest, PartyId};

/// The parts that are still to be added.
pub(super) struct PartsLeft {
    parts: Parts,
    /// Of each maker its bodies' digests, one list as long as the other.
    lists: Vec<(PartyId, Vec<Digest>)>,
    next: usize,
    finish: HospitalJob,
}

impl PartsLeft {
    /// All of them; the last job alone where makers do not bring equally many, so that nothing can be added.
    pub(super) fn all(parts: Parts, lists: Vec<(PartyId, Vec<Digest>)>, finish: HospitalJob) -> Work {
        let count = lists.first().map_or(0, |(_, digests)| digests.len());
        if count == 0 || lists.iter().any(|(_, digests)| digests.len() != count) {
            return Work::Ready(finish);
        }
        Work::Parts(Self { parts, lists, next: 0, finish })
    }

    /// The next part, and what follows it.
    pub(super) fn next(mut self) -> (Work, Work) {
        let place = self.next;
        let digests = self.lists.iter().filter_map(|(maker, digests)| Some((*maker, *digests.get(place)?)));
        let part = Work::part(self.parts, u32::try_from(place).unwrap_or(u32::MAX), digests);
        self.next += 1;
        let is_last = self.lists.iter().all(|(_, digests)| digests.len() <= self.next);
        (part, if is_last { Work::Ready(self.finish) } else { Work::Parts(self) })
    }
}
