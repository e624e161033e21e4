//! A sum of many parts, taken up one part after the other, so that one of them is in memory at a time.

use std::collections::VecDeque;

use crate::blob::ListId;
use crate::drive::hospital::work::Work;
use crate::drive::hospital::{HospitalJob, Parts};
use crate::hospital::ShareBinding;
use crate::ids::{Digest, PartyId};

/// What the coordinator announced a sum of many parts to be, and which of them are added up here.
pub(super) struct Announced {
    /// Ascending.
    pub(super) drawn: Vec<u32>,
    /// Root of the sum's bodies.
    pub(super) root: Digest,
}

/// The parts that are still to be added, or taken.
pub(super) struct PartsLeft {
    parts: Parts,
    /// Of each maker its bodies' digests, one list as long as the other.
    lists: Vec<(PartyId, Vec<Digest>)>,
    /// Those of the announced sum, where some are taken from it.
    sum: Vec<Digest>,
    drawn: VecDeque<u32>,
    next: usize,
    finish: HospitalJob,
}

impl PartsLeft {
    /// All of them; the last job alone where makers do not bring equally many, or the sum has another number of parts,
    /// so that nothing can be added.
    pub(super) fn all(
        parts: Parts,
        lists: Vec<(PartyId, Vec<Digest>)>,
        sum: Vec<Digest>,
        drawn: Vec<u32>,
        finish: HospitalJob,
    ) -> Work {
        let count = lists.first().map_or(0, |(_, digests)| digests.len());
        let is_whole = sum.len() == count || drawn.len() == count;
        if count == 0 || !is_whole || lists.iter().any(|(_, digests)| digests.len() != count) {
            return Work::Ready(finish);
        }
        Work::Parts(Self { parts, lists, sum, drawn: drawn.into(), next: 0, finish })
    }

    /// The next part, and what follows it.
    pub(super) fn next(mut self) -> (Work, Work) {
        let place = self.next;
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        let part = if self.drawn.pop_front_if(|drawn| *drawn == index).is_some() {
            let digests = self.lists.iter().filter_map(|(maker, digests)| Some((*maker, *digests.get(place)?)));
            Work::part(self.parts, index, digests)
        } else {
            let makers = self.lists.iter().map(|(maker, _)| *maker).collect();
            Work::taken(self.parts, index, makers, self.sum.get(place).copied().unwrap_or_default())
        };
        self.next += 1;
        let is_last = self.lists.iter().all(|(_, digests)| digests.len() <= self.next);
        (part, if is_last { Work::Ready(self.finish) } else { Work::Parts(self) })
    }
}

/// The chunks of a round's sum that are still to be added up.
pub(super) struct ChunksLeft {
    pub(super) binding: ShareBinding,
    /// Of each member of S, then of each of T, the digests of its bodies.
    pub(super) lists: Vec<(ListId, Vec<Digest>)>,
    /// Which, and what the coordinator announced for each.
    pub(super) chunks: VecDeque<(u32, Digest)>,
}

impl ChunksLeft {
    /// The next chunk, and what follows it.
    pub(super) fn next(mut self) -> Option<(Work, Option<Work>)> {
        let (chunk, sum) = self.chunks.pop_front()?;
        let of_chunk = |(list, digests): &(ListId, Vec<Digest>)| Some((*list, *digests.get(chunk as usize)?));
        let bodies = self.lists.iter().filter_map(of_chunk);
        let work = Work::chunk(self.binding.clone(), chunk, sum, self.chunks.is_empty(), bodies);
        Some((work, (!self.chunks.is_empty()).then_some(Work::Chunks(self))))
    }
}
