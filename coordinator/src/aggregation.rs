//! Adds ciphertexts and decryption shares, chunk by chunk, from the spool.
//!
//! On the processor, one chunk's accumulator and one hospital's chunk are in memory at a time per thread, however many
//! hospitals there are. A device gets groups of chunks, whose polynomials take at most [`GROUP_BYTES_MAX`] together.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use he_agg::aggregation::{
    BlindedSum, ChunkId, ChunkSum, ChunkTerms, DecryptionShare, LaneLayout, PackedChunk, ShareContext,
};
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind};
use protocol::drive::ListId;
use protocol::ids::{Attempt, Digest, PartyId, RoundId};
use rayon::prelude::*;

use crate::bodies::Bodies;
use crate::compute::{self, Compute, Moved};
use crate::error::CoordinatorError;
use crate::observer::Observer;

/// Polynomials of a group of chunks on a device, and the same again here while they are on their way. A chunk of more
/// hospitals than fit is a group by itself.
const GROUP_BYTES_MAX: u64 = 256 << 20;

/// Everything that a sum is bound to.
#[derive(Clone, Debug)]
pub(crate) struct SumContext {
    /// Names the key epoch in every ciphertext and share.
    pub(crate) epoch: Digest,
    pub(crate) round: RoundId,
    pub(crate) attempt: Attempt,
    pub(crate) cohort: PartySet,
    pub(crate) decryptors: PartySet,
    pub(crate) manifest: Digest,
}

/// Digests of the blinded sums in order, and the bytes that a device moved for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Combined {
    pub(crate) chunks: Vec<Digest>,
    pub(crate) moved: Moved,
}

/// Adds `chunks` chunks of the cohort's updates, on the device if there is one, and the decryptors' shares; stores the
/// blinded sums.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital whose chunk or share cannot be used.
pub(crate) fn combine(
    bodies: &Bodies,
    layout: &LaneLayout,
    context: &SumContext,
    chunks: u32,
    compute: &Compute,
    observer: &dyn Observer,
) -> Result<Combined, CoordinatorError> {
    Combination { bodies, layout, context, compute, observer, group_bytes: GROUP_BYTES_MAX }.all(chunks)
}

/// Looks at the bodies of one hospital: each has to be what its kind says, made by this hospital for its chunk of this
/// context. Nothing is added.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital and what is wrong.
pub(crate) fn inspect(
    bodies: &Bodies,
    layout: &LaneLayout,
    context: &SumContext,
    list: ListId,
    chunks: u32,
) -> Result<(), CoordinatorError> {
    let ListId { kind, party: Some(party), .. } = list else { return Ok(()) };
    (0..chunks).into_par_iter().try_for_each(|chunk| {
        let bytes = bodies.get(&BlobId::round(kind, context.round, context.attempt, Some(party), chunk))?;
        match kind {
            BlobKind::Share => context.share(layout, context.chunk(chunk), party, &bytes).map(drop),
            _ => context.term(layout, context.chunk(chunk), party, &bytes),
        }
    })
}

impl SumContext {
    fn chunk(&self, chunk: u32) -> ChunkId {
        let Self { epoch, round, attempt, .. } = self;
        ChunkId { epoch: epoch.0, round: round.0, attempt: attempt.0, chunk }
    }

    /// Whether one hospital's chunk can be added to the others of its place.
    fn term(&self, layout: &LaneLayout, id: ChunkId, party: PartyId, bytes: &[u8]) -> Result<(), CoordinatorError> {
        let wrong = |source| CoordinatorError::malformed("update chunk", Some(party), source);
        let mut alone = ChunkTerms::new(layout, id);
        alone.push(&update(layout, party, bytes)?).map_err(wrong)
    }

    /// One hospital's decryption share, read and checked whole.
    fn share(
        &self,
        layout: &LaneLayout,
        id: ChunkId,
        party: PartyId,
        bytes: &[u8],
    ) -> Result<DecryptionShare, CoordinatorError> {
        let (cohort, decryptors) = (self.cohort.numbers(), self.decryptors.numbers());
        let own = |source| CoordinatorError::malformed("sum", None, source);
        let bound = ShareContext::new(layout, id, &cohort, &decryptors, self.manifest.0).map_err(own)?;
        let share = DecryptionShare::from_bytes(bytes, layout, &bound)
            .map_err(|source| CoordinatorError::malformed("decryption share", Some(party), source))?;
        if share.party() != party.number() {
            return Err(CoordinatorError::misattributed("decryption share", party, share.party()));
        }
        Ok(share)
    }
}

/// One hospital's chunk, read and checked whole.
fn update<'b>(layout: &LaneLayout, party: PartyId, bytes: &'b [u8]) -> Result<PackedChunk<'b>, CoordinatorError> {
    let wrong = |source| CoordinatorError::malformed("update chunk", Some(party), source);
    let update = PackedChunk::from_bytes(bytes, layout).map_err(wrong)?;
    if update.sender() != party.number() {
        return Err(CoordinatorError::misattributed("update chunk", party, update.sender()));
    }
    Ok(update)
}

struct Combination<'a> {
    bodies: &'a Bodies,
    layout: &'a LaneLayout,
    context: &'a SumContext,
    compute: &'a Compute,
    observer: &'a dyn Observer,
    group_bytes: u64,
}

impl Combination<'_> {
    fn all(&self, chunks: u32) -> Result<Combined, CoordinatorError> {
        let mut combined = Combined { chunks: Vec::new(), moved: Moved::default() };
        let mut next = 0;
        if self.compute.worker().is_some() {
            let contents = (0..chunks).map(|chunk| self.content(chunk)).collect::<Result<Vec<_>, _>>()?;
            let checked = compute::chosen(&contents);
            let step = self.group_chunks();
            // A device that is given up meanwhile leaves the rest to the processor.
            while next < chunks && self.compute.worker().is_some() {
                let group = next..next.saturating_add(step).min(chunks);
                next = group.end;
                let (digests, moved) = self.group(group, |chunk| checked.contains(&(chunk as usize)))?;
                combined.chunks.extend(digests);
                combined.moved += moved;
            }
        }
        let rest: Vec<Digest> = (next..chunks)
            .into_par_iter()
            .map(|chunk| self.finish(&self.sum(chunk)?))
            .collect::<Result<_, CoordinatorError>>()?;
        combined.chunks.extend(rest);
        Ok(combined)
    }

    /// Chunks of a group.
    fn group_chunks(&self) -> u32 {
        let polynomials = self.context.cohort.len() as u64 + 1;
        let chunk = polynomials * ChunkTerms::polynomial_bytes(self.layout);
        u32::try_from((self.group_bytes / chunk).max(1)).unwrap_or(u32::MAX)
    }

    fn id(&self, chunk: u32) -> ChunkId {
        self.context.chunk(chunk)
    }

    fn body(&self, kind: BlobKind, party: PartyId, chunk: u32) -> BlobId {
        BlobId::round(kind, self.context.round, self.context.attempt, Some(party), chunk)
    }

    /// The digest of what a chunk's sum is made of.
    fn content(&self, chunk: u32) -> Result<Digest, CoordinatorError> {
        let update = |party| self.bodies.digest(&self.body(BlobKind::UpdateChunk, party, chunk));
        Ok(compute::content(self.context.cohort.iter().map(update).collect::<Result<_, _>>()?))
    }

    /// A chunk's sum on the processor.
    fn sum(&self, chunk: u32) -> Result<ChunkSum, CoordinatorError> {
        let mut sum = ChunkSum::new(self.layout, self.id(chunk));
        for party in self.context.cohort.iter() {
            let wrong = |source| CoordinatorError::malformed("update chunk", Some(party), source);
            let bytes = self.bodies.get(&self.body(BlobKind::UpdateChunk, party, chunk))?;
            // Folded only after it was checked whole: half a chunk must never touch the accumulator.
            sum.absorb_packed(&update(self.layout, party, &bytes)?).map_err(wrong)?;
        }
        Ok(sum)
    }

    /// A group of chunks: summed on the device if that goes well, then like any other.
    fn group(
        &self,
        group: Range<u32>,
        is_checked: impl Fn(u32) -> bool + Sync,
    ) -> Result<(Vec<Digest>, Moved), CoordinatorError> {
        let read = |chunk| {
            let update = |party| self.bodies.get(&self.body(BlobKind::UpdateChunk, party, chunk));
            Ok((self.id(chunk), self.context.cohort.iter().map(update).collect::<Result<Vec<_>, _>>()?))
        };
        let stored: Vec<(ChunkId, Vec<Bytes>)> =
            group.into_par_iter().map(read).collect::<Result<_, CoordinatorError>>()?;
        let terms: Vec<ChunkTerms<'_>> =
            stored.par_iter().map(|(id, bodies)| self.terms(*id, bodies)).collect::<Result<_, _>>()?;
        let (sums, moved) = sums(self.compute, self.observer, &terms, |id| is_checked(id.chunk));
        let digests = sums.par_iter().map(|sum| self.finish(sum)).collect::<Result<_, _>>()?;
        Ok((digests, moved))
    }

    fn terms<'b>(&self, id: ChunkId, bodies: &'b [Bytes]) -> Result<ChunkTerms<'b>, CoordinatorError> {
        let mut terms = ChunkTerms::new(self.layout, id);
        for (party, bytes) in self.context.cohort.iter().zip(bodies) {
            let wrong = |source| CoordinatorError::malformed("update chunk", Some(party), source);
            terms.push(&update(self.layout, party, bytes)?).map_err(wrong)?;
        }
        Ok(terms)
    }

    /// Adds the decryptors' shares to a chunk's sum and stores the result.
    fn finish(&self, sum: &ChunkSum) -> Result<Digest, CoordinatorError> {
        let (context, layout, id) = (self.context, self.layout, *sum.id());
        let own = |source| CoordinatorError::malformed("sum", None, source);
        let (cohort, decryptors) = (context.cohort.numbers(), context.decryptors.numbers());
        let bound = ShareContext::new(layout, id, &cohort, &decryptors, context.manifest.0).map_err(own)?;
        let shares = context
            .decryptors
            .iter()
            .map(|party| {
                let bytes = self.bodies.get(&self.body(BlobKind::Share, party, id.chunk))?;
                context.share(layout, id, party, &bytes)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let blinded = BlindedSum::combine(layout, &bound, sum, &shares).map_err(own)?;
        let place = BlobId::round(BlobKind::SumChunk, context.round, context.attempt, None, id.chunk);
        self.bodies.put(&place, &blinded.to_bytes())
    }
}

/// The sums of a group, from the device where it is there and right, else from the processor. Both are the same bits.
fn sums(
    compute: &Compute,
    observer: &dyn Observer,
    terms: &[ChunkTerms<'_>],
    is_checked: impl Fn(&ChunkId) -> bool + Sync,
) -> (Vec<ChunkSum>, Moved) {
    let on_processor = || terms.par_iter().map(ChunkTerms::sum).collect();
    let Some((sums, moved)) = compute.attempt(observer, |worker| worker.sum(terms)) else {
        return (on_processor(), Moved::default());
    };
    let is_wrong = |(terms, sum): &(&ChunkTerms<'_>, &ChunkSum)| {
        is_checked(terms.id()) && terms.sum().to_bytes() != sum.to_bytes()
    };
    let Some((wrong, _)) = terms.par_iter().zip(&sums).find_first(is_wrong) else { return (sums, moved) };
    let ChunkId { round, attempt, chunk, .. } = wrong.id();
    let why = format!("its sum of chunk {chunk} of round {round}, attempt {attempt}, is not the processor's");
    compute.give_up(observer, &why);
    (on_processor(), moved)
}
