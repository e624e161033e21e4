//! A sum of many parts, taken up one part after the other, so that one of them is in memory at a time.

use std::collections::VecDeque;

use crate::blob::{BlobKind, BodyRoot, ListId};
use crate::drive::hospital::wanted::Wanted;
use crate::drive::hospital::work::{Then, Work};
use crate::drive::hospital::{HospitalJob, Parts};
use crate::hospital::ShareBinding;
use crate::ids::{Attempt, Digest, PartyId};

/// What the coordinator announced a sum of many parts to be, and which of them are added up here.
pub(super) struct Announced {
    /// Ascending.
    pub(super) drawn: Vec<u32>,
    /// Root of the sum's bodies.
    pub(super) root: Digest,
}

impl Work {
    pub(super) fn check_model(
        attempt: Attempt,
        contributions: &[(PartyId, BodyRoot)],
        model: Digest,
        drawn: Vec<u32>,
    ) -> Self {
        let finish = HospitalJob::FinishModel { attempt, model };
        Self::lists(Parts::Model(attempt), contributions, Announced { drawn, root: model }, finish)
    }

    /// The digests of what everybody brings to a sum of many parts, then part after part, then `finish`.
    pub(super) fn lists(parts: Parts, makers: &[(PartyId, BodyRoot)], sum: Announced, finish: HospitalJob) -> Self {
        let of_makers = makers.iter().map(|(maker, root)| Wanted::list(parts.of(*maker), *root));
        let is_whole = makers.iter().all(|(_, root)| root.count as usize == sum.drawn.len());
        let of_sum = (!is_whole).then(|| Wanted::announced(parts.sum(), sum.root));
        let wanted = of_makers.chain(of_sum).collect();
        let makers = makers.iter().map(|(maker, _)| *maker).collect();
        Self::Fetch { wanted, then: Then::Parts { parts, makers, drawn: sum.drawn, finish } }
    }

    /// A part of the sum as it was announced.
    pub(super) fn taken(parts: Parts, index: u32, makers: Vec<PartyId>, digest: Digest) -> Self {
        let wanted = vec![Wanted::digest(parts.sum().body(index), digest)];
        Self::Fetch { wanted, then: Then::TakePart { parts, index, makers } }
    }

    /// What everybody brings to one part.
    pub(super) fn part(parts: Parts, index: u32, digests: impl Iterator<Item = (PartyId, Digest)>) -> Self {
        let place = |maker| parts.of(maker).body(index);
        let (makers, wanted) = digests.map(|(maker, digest)| (maker, Wanted::digest(place(maker), digest))).unzip();
        Self::Fetch { wanted, then: Then::AddParts { parts, index, makers } }
    }

    /// The digests of what everybody brings to a round's sum, then chunk after chunk.
    pub(super) fn check_sum(
        binding: ShareBinding,
        updates: &[(PartyId, BodyRoot)],
        shares: &[(PartyId, BodyRoot)],
        chunks: Vec<(u32, Digest)>,
    ) -> Self {
        let (round, attempt) = (u64::from(binding.round.0), binding.attempt.0);
        let of = |kind| {
            move |(maker, root): &(PartyId, BodyRoot)| (ListId { kind, round, attempt, party: Some(*maker) }, *root)
        };
        let all = updates.iter().map(of(BlobKind::UpdateChunk)).chain(shares.iter().map(of(BlobKind::Share)));
        let (makers, wanted) = all.map(|(list, root)| (list, Wanted::list(list, root))).unzip();
        Self::Fetch { wanted, then: Then::Chunks { binding, makers, chunks: chunks.into() } }
    }

    /// What everybody brings to one chunk.
    pub(super) fn chunk(
        binding: ShareBinding,
        chunk: u32,
        sum: Digest,
        is_last: bool,
        bodies: impl Iterator<Item = (ListId, Digest)>,
    ) -> Self {
        let (makers, wanted) = bodies.map(|(list, digest)| (list, Wanted::digest(list.body(chunk), digest))).unzip();
        Self::Fetch { wanted, then: Then::AddChunk { binding, chunk, sum, is_last, makers } }
    }
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
