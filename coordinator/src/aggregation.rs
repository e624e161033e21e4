//! Adds ciphertexts and decryption shares, chunk by chunk, from the spool.
//!
//! One chunk's accumulator and one hospital's chunk are in memory at a time per thread, however many hospitals there are.

use he_agg::aggregation::{BlindedSum, ChunkId, ChunkSum, DecryptionShare, LaneLayout, PackedChunk, ShareContext};
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind};
use protocol::ids::{Attempt, Digest, PartyId, RoundId};
use rayon::prelude::*;

use crate::bodies::Bodies;
use crate::error::CoordinatorError;

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

/// Adds `chunks` chunks of the cohort's updates and the decryptors' shares; stores the blinded sums and returns their
/// digests in order.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital whose chunk or share cannot be used.
pub(crate) fn combine(
    bodies: &Bodies,
    layout: &LaneLayout,
    context: &SumContext,
    chunks: u32,
) -> Result<Vec<Digest>, CoordinatorError> {
    (0..chunks).into_par_iter().map(|chunk| combine_chunk(bodies, layout, context, chunk)).collect()
}

fn combine_chunk(
    bodies: &Bodies,
    layout: &LaneLayout,
    context: &SumContext,
    chunk: u32,
) -> Result<Digest, CoordinatorError> {
    let (round, attempt) = (context.round, context.attempt);
    let id = ChunkId { epoch: context.epoch.0, round: round.0, attempt: attempt.0, chunk };
    let own = |source| CoordinatorError::malformed("sum", None, source);
    let (cohort, decryptors) = (context.cohort.numbers(), context.decryptors.numbers());
    let bound = ShareContext::new(layout, id, &cohort, &decryptors, context.manifest.0).map_err(own)?;
    let body = |kind, party: PartyId| BlobId::round(kind, round, attempt, Some(party), chunk);
    let mut sum = ChunkSum::new(layout, id);
    for party in context.cohort.iter() {
        let wrong = |source| CoordinatorError::malformed("update chunk", Some(party), source);
        let bytes = bodies.get(&body(BlobKind::UpdateChunk, party))?;
        let update = PackedChunk::from_bytes(&bytes, layout).map_err(wrong)?;
        if update.sender() != party.number() {
            return Err(CoordinatorError::misattributed("update chunk", party, update.sender()));
        }
        // Folded only after it was checked whole: half a chunk must never touch the accumulator.
        sum.absorb_packed(&update).map_err(wrong)?;
    }
    let shares = context
        .decryptors
        .iter()
        .map(|party| {
            let bytes = bodies.get(&body(BlobKind::Share, party))?;
            let share = DecryptionShare::from_bytes(&bytes, layout, &bound)
                .map_err(|source| CoordinatorError::malformed("decryption share", Some(party), source))?;
            if share.party() != party.number() {
                return Err(CoordinatorError::misattributed("decryption share", party, share.party()));
            }
            Ok(share)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let blinded = BlindedSum::combine(layout, &bound, &sum, &shares).map_err(own)?;
    bodies.put(&BlobId::round(BlobKind::SumChunk, round, attempt, None, chunk), &blinded.to_bytes())
}
