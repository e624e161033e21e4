//! One hospital's encrypted chunk, and the coordinator's running sum.

use super::error::AggregationError;
use super::keys::VaultSecret;
use super::lanes;
use super::layout::LaneLayout;
use super::ledger::{EncryptPermit, LedgerKey, Use};
use super::object;
use super::secret::AggregationSecret;
use crate::params::Params;
use crate::ring::{Coeff, Eval, Poly};
use crate::sampler;
use crate::stream::Expander;
use crate::wire::{self, Kind};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Where a chunk belongs. The common `a` is a function of it, so no two
/// encryptions of one hospital may share it unless they are byte-identical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// Seed of the epoch, agreed by all hospitals.
    pub epoch: [u8; 32],
    /// Training round.
    pub round: u32,
    /// Attempt within the round.
    pub attempt: u32,
    /// Chunk of the update vector.
    pub chunk: u32,
}

impl ChunkId {
    /// SHA-256 over the four fields.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/chunk/v1");
        hash.update(self.epoch);
        for field in [self.round, self.attempt, self.chunk] {
            hash.update(field.to_le_bytes());
        }
        hash.finalize().into()
    }

    /// The ledger's name for a use of this chunk.
    pub fn ledger_key(&self, purpose: Use) -> LedgerKey {
        LedgerKey { purpose, epoch: self.epoch, round: self.round, attempt: self.attempt, chunk: self.chunk }
    }

    /// The common polynomial of this chunk; public and never sent.
    pub(super) fn common(&self, params: &Params) -> Poly<Eval> {
        let indices = [u64::from(self.round), u64::from(self.attempt), u64::from(self.chunk)];
        let expander = Expander::new(&self.epoch, "modeA/a", params.preset, &indices);
        Poly::uniform(&expander, 0, params.n, &params.q)
    }

    pub(super) fn foreign(&self, object: &'static str) -> AggregationError {
        AggregationError::ForeignObject { object, round: self.round, attempt: self.attempt, chunk: self.chunk }
    }
}

/// What a hospital wants to encrypt: the stored integers of one chunk.
#[derive(Clone, Copy)]
pub struct EncryptRequest<'a> {
    /// Layout of the epoch.
    pub layout: &'a LaneLayout,
    /// Where the chunk belongs.
    pub id: ChunkId,
    /// The hospital, from 1.
    pub sender: u16,
    /// Its weight W_i, from 1 to `2^b - 1`.
    pub weight: u32,
    /// Quantised values, at most [`LaneLayout::values_per_chunk`]; the rest
    /// of the chunk counts as zeros.
    pub values: &'a [i32],
}

impl EncryptRequest<'_> {
    /// SHA-256 over everything that is encrypted and where; what the ledger
    /// stores. It is as confidential as the values.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/encrypt/v1");
        hash.update(self.layout.digest());
        hash.update(self.id.digest());
        hash.update(self.sender.to_le_bytes());
        hash.update(self.weight.to_le_bytes());
        hash.update((self.values.len() as u64).to_le_bytes());
        let mut block = Zeroizing::new(Vec::with_capacity(4096));
        for values in self.values.chunks(1024) {
            block.clear();
            values.iter().for_each(|v| block.extend_from_slice(&v.to_le_bytes()));
            hash.update(&block[..]);
        }
        hash.finalize().into()
    }
}

/// Encrypts one chunk: `c0 = -a s + e + M`, with `e` expanded from the vault
/// secret and the request, so that a repeat gives the same bytes.
///
/// # Errors
/// [`AggregationError::ForeignPermit`] if the permit is for something else,
/// [`AggregationError::ForeignObject`] if the secret is of another epoch, and
/// those of a request that does not fit the layout.
pub fn encrypt_chunk(
    permit: EncryptPermit,
    request: &EncryptRequest<'_>,
    secret: &AggregationSecret,
    vault: &VaultSecret,
) -> Result<UpdateChunk, AggregationError> {
    let digest = request.digest();
    if permit.digest() != digest {
        return Err(AggregationError::ForeignPermit);
    }
    let params = request.layout.params();
    if secret.epoch() != request.id.epoch || secret.params().digest() != params.digest() {
        return Err(request.id.foreign("secret"));
    }
    let plaintext = lanes::encode(request)?;
    let expander = Expander::with_context(vault.bytes(), "modeA/error", params.preset, &[], &digest);
    let e = sampler::centred_binomial(&mut expander.sampler(0), params.n);
    let mut product = request.id.common(params);
    product.mul_assign(secret.eval(), &params.q);
    let mut product = Zeroizing::new(product.into_coeff(&params.q));
    let mut c0 = Poly::from_signed(&e, &params.q);
    c0.add_assign(&plaintext, &params.q);
    c0.sub_assign(&product, &params.q);
    product.zeroize();
    Ok(UpdateChunk { params, id: request.id, sender: request.sender, c0 })
}

/// One hospital's encrypted chunk: c0 in the coefficient domain.
#[derive(Clone)]
pub struct UpdateChunk {
    params: &'static Params,
    pub(super) id: ChunkId,
    pub(super) sender: u16,
    pub(super) c0: Poly<Coeff>,
}

impl UpdateChunk {
    /// Where it belongs.
    pub fn id(&self) -> &ChunkId {
        &self.id
    }

    /// The hospital that made it.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// The bytes that travel: header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(Kind::UpdateChunk, self.params, &self.id, self.id.epoch, self.sender, &self.c0)
    }

    /// Reads and checks what [`UpdateChunk::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`AggregationError::Decode`] or [`AggregationError::UnknownParty`].
    pub fn from_bytes(bytes: &[u8], layout: &LaneLayout) -> Result<Self, AggregationError> {
        let (id, sender, c0) = object::read(bytes, Kind::UpdateChunk, layout.params())?;
        layout.check_party(sender)?;
        Ok(UpdateChunk { params: layout.params(), id, sender, c0 })
    }

    /// SHA-256 identity of the bytes, the leaf of a chunk root.
    pub fn identity(&self) -> [u8; 32] {
        wire::identity(&self.to_bytes())
    }
}

/// The sum of one chunk over the contributors so far.
pub struct ChunkSum {
    params: &'static Params,
    id: ChunkId,
    contributors: Vec<u16>,
    sum: Poly<Coeff>,
}

impl ChunkSum {
    /// The empty sum of a chunk.
    pub fn new(layout: &LaneLayout, id: ChunkId) -> Self {
        let params = layout.params();
        ChunkSum { params, id, contributors: Vec::new(), sum: Poly::zero(params.n, params.q.len()) }
    }

    /// Adds one hospital's chunk, or leaves the sum as it was.
    ///
    /// # Errors
    /// [`AggregationError::ForeignObject`] or [`AggregationError::Duplicate`].
    pub fn absorb(&mut self, chunk: &UpdateChunk) -> Result<(), AggregationError> {
        if chunk.id != self.id || chunk.params.digest() != self.params.digest() {
            return Err(chunk.id.foreign("update chunk"));
        }
        let Err(place) = self.contributors.binary_search(&chunk.sender) else {
            return Err(AggregationError::Duplicate { object: "update chunk", party: chunk.sender });
        };
        self.contributors.insert(place, chunk.sender);
        self.sum.add_assign(&chunk.c0, &self.params.q);
        Ok(())
    }

    /// The chunk summed.
    pub fn id(&self) -> &ChunkId {
        &self.id
    }

    /// Hospitals in the sum, increasing.
    pub fn contributors(&self) -> &[u16] {
        &self.contributors
    }

    /// SHA-256 over the sum, for an aggregate root.
    pub fn identity(&self) -> [u8; 32] {
        let id = &self.id;
        wire::identity(&object::write(Kind::UpdateChunk, self.params, id, id.epoch, 0, &self.sum))
    }

    pub(super) fn poly(&self) -> &Poly<Coeff> {
        &self.sum
    }

    #[cfg(test)]
    pub(super) fn poly_mut(&mut self) -> &mut Poly<Coeff> {
        &mut self.sum
    }
}
