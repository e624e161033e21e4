//! The sum of a round, added up at this site before it is opened and anything is voted for.
//!
//! What an opened sum can be checked for, whoever knows the group's key can make: a coordinator that is told it by one
//! hospital steers the model unseen. So the sum is added up here from exactly the updates and shares that their makers
//! signed for, chunk by chunk: one chunk of each is in memory at a time.

use bytes::Bytes;
use he_agg::aggregation::{BlindedSum, ChunkSum, DecryptionShare, LaneLayout, PackedChunk, ShareContext};
use protocol::Reject;
use protocol::drive::hospital::Summands;
use protocol::ids::{Digest, PartyId};

use super::error::HospitalError;
use super::observer::Activity;
use super::site::Site;

impl Site {
    /// Adds up one chunk; says why its sum is not the announced one.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn add_chunk(&self, summands: &Summands) -> Result<Option<Reject>, HospitalError> {
        let Summands { binding, chunk, sum, updates, shares, .. } = summands;
        let (party, round) = (self.plan.party, binding.round);
        self.observer.activity(party, Activity::Verifying { done: *chunk as usize, of: binding.chunks as usize });
        let context = self.share_context(binding, *chunk)?;
        let (reject, why) = match blinded(&self.plan.layout, &context, updates, shares) {
            Ok(own) if Digest::of_bytes(&own.to_bytes()) == *sum => return Ok(None),
            Ok(_) => (Reject::RoundSumDiffers, Reject::RoundSumDiffers.to_string()),
            Err(why) => (Reject::BadSummand, why),
        };
        self.observer.refused(party, &format!("chunk {chunk} of round {round}: {why}"));
        Ok(Some(reject))
    }
}

/// The sum of the chunk, under the group's mask as the coordinator announces it.
fn blinded(
    layout: &LaneLayout,
    context: &ShareContext,
    updates: &[(PartyId, Bytes)],
    shares: &[(PartyId, Bytes)],
) -> Result<BlindedSum, String> {
    let owned = |what: &str, maker: PartyId, sender: u16| match sender == maker.number() {
        true => Ok(()),
        false => Err(format!("the {what} of {maker} is of hospital {sender}")),
    };
    let mut sum = ChunkSum::new(layout, *context.id());
    for (maker, body) in updates {
        let wrong = |error| format!("the update of {maker} cannot be added: {error}");
        let update = PackedChunk::from_bytes(body, layout).map_err(wrong)?;
        owned("update", *maker, update.sender())?;
        sum.absorb_packed(&update).map_err(wrong)?;
    }
    let read = |(maker, body): &(PartyId, Bytes)| {
        let share = DecryptionShare::from_bytes(body, layout, context)
            .map_err(|error| format!("the share of {maker} cannot be added: {error}"))?;
        owned("share", *maker, share.party())?;
        Ok(share)
    };
    let shares = shares.iter().map(read).collect::<Result<Vec<_>, String>>()?;
    BlindedSum::combine(layout, context, &sum, &shares).map_err(|error| error.to_string())
}
