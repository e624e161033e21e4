//! The coordinator's blinded result, and what a hospital reads from it.

use super::chunk::ChunkSum;
use super::chunk_id::ChunkId;
use super::context::ShareContext;
use super::error::AggregationError;
use super::keys::MaskKey;
use super::lanes;
use super::layout::LaneLayout;
use super::object::{self, Length};
use super::share::{DecryptionShare, blinding_expander};
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use crate::wire::{self, Kind};
use zeroize::Zeroizing;

/// `y`: the summed updates plus all shares, still under the group's blinding.
#[derive(Clone)]
pub struct BlindedSum {
    params: &'static Params,
    id: ChunkId,
    context: [u8; 32],
    pub(super) y: Poly<Coeff>,
}

impl BlindedSum {
    /// Adds the shares of exactly the decryptors to the sum of exactly the
    /// contributors. Allocates 4 bytes per residue.
    ///
    /// # Errors
    /// [`AggregationError`] naming what is foreign, doubled or missing.
    pub fn combine(
        layout: &LaneLayout,
        context: &ShareContext,
        sum: &ChunkSum,
        shares: &[DecryptionShare],
    ) -> Result<Self, AggregationError> {
        let params = layout.params();
        if sum.id() != context.id() {
            return Err(sum.id().foreign("chunk sum"));
        }
        if sum.contributors() != context.contributors() {
            let expected = context.contributors().len();
            return Err(AggregationError::WrongContributors { expected });
        }
        let mut seen = Vec::with_capacity(shares.len());
        for share in shares {
            if share.context != context.digest() {
                return Err(share.id.foreign("decryption share"));
            }
            if !context.decryptors().contains(&share.party) {
                return Err(AggregationError::NotADecryptor { party: share.party });
            }
            if seen.contains(&share.party) {
                let party = share.party;
                return Err(AggregationError::Duplicate { object: "decryption share", party });
            }
            seen.push(share.party);
        }
        if let Some(&party) = context.decryptors().iter().find(|party| !seen.contains(party)) {
            return Err(AggregationError::Missing { object: "decryption share", party });
        }
        let chunk = context.id().chunk;
        layout.check_shape(chunk, sum.poly())?;
        shares.iter().try_for_each(|share| layout.check_shape(chunk, &share.h))?;
        let mut y = sum.poly().clone();
        // All shares limb by limb, so that the sum's limb stays in the cache.
        y.par_limbs(&params.q, |l, limb, y| shares.iter().for_each(|share| limb.add(y, share.h.limb(l))));
        Ok(BlindedSum { params, id: *context.id(), context: context.digest(), y })
    }

    /// The bytes that travel; the header's digest is that of the context.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(Kind::BlindedSum, self.params, &self.id, self.context, 0, &self.y)
    }

    /// Reads the result of a context.
    ///
    /// # Errors
    /// [`AggregationError::Decode`] or [`AggregationError::ForeignObject`].
    pub fn from_bytes(bytes: &[u8], layout: &LaneLayout, context: &ShareContext) -> Result<Self, AggregationError> {
        let (id, sender, y) = object::read(bytes, Kind::BlindedSum, Length::Chunk(layout))?;
        let expected = ChunkId { epoch: context.digest(), ..*context.id() };
        if id != expected || sender != 0 {
            return Err(id.foreign("blinded sum"));
        }
        let (params, context_digest) = (layout.params(), context.digest());
        Ok(BlindedSum { params, id: *context.id(), context: context_digest, y })
    }

    /// SHA-256 identity of the bytes.
    pub fn identity(&self) -> [u8; 32] {
        wire::identity(&self.to_bytes())
    }
}

/// The exact integer sums of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedChunk {
    /// Sum over the contributors of every value of the chunk, bit for bit the
    /// sum of their integers. Length [`LaneLayout::values_in`].
    pub values: Vec<i64>,
    /// Sum of the contributors' weights.
    pub weight_sum: u64,
    /// The contributors, increasing, as the presence lanes confirm.
    pub contributors: Vec<u16>,
    /// Largest noise magnitude met, for comparison with the layout's bound.
    pub noise_max: u64,
}

impl DecodedChunk {
    /// The chunk, if its weights add up to what its contributors agreed on.
    /// Without agreed weights a contributor could count for more than others,
    /// or say in the sum how much it has.
    ///
    /// # Errors
    /// [`AggregationError::WeightSum`].
    pub fn weighing(self, expected: u64) -> Result<Self, AggregationError> {
        match self.weight_sum {
            found if found != expected => Err(AggregationError::WeightSum { found, expected }),
            _ => Ok(self),
        }
    }
}

/// Removes the blinding, reconstructs and checks a sum. Allocates the values
/// (8 bytes each), a copy of the sum (4 bytes per residue) that is wiped, and
/// tens of kilobytes per thread.
///
/// # Errors
/// The first check that fails, each fatal for the chunk. Keep the detail in
/// the hospital's own log: the coordinator gets a bare refusal.
pub fn open(
    layout: &LaneLayout,
    context: &ShareContext,
    group: &MaskKey,
    blinded: &BlindedSum,
) -> Result<DecodedChunk, AggregationError> {
    if blinded.context != context.digest() {
        return Err(blinded.id.foreign("blinded sum"));
    }
    layout.check_shape(context.id().chunk, &blinded.y)?;
    let params = layout.params();
    let blinding = blinding_expander(params, group, context);
    let half = 1u64 << (layout.guard_bits() - 1);
    let mut y = Zeroizing::new(blinded.y.clone());
    y.par_limbs(&params.q, |_, limb, y| {
        let m = limb.modulus();
        blinding.stream(0, limb.index()).sub_uniform(m, y);
        let half = m.reduce_u64(half);
        y.iter_mut().for_each(|y| *y = m.add(*y, half));
    });
    let decoded = lanes::decode(layout, context.id(), context.contributors(), group, &y)?;
    Ok(DecodedChunk {
        values: decoded.values,
        weight_sum: decoded.weight,
        contributors: context.contributors().to_vec(),
        noise_max: decoded.noise_max,
    })
}
