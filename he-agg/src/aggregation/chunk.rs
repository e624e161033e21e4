//! One hospital's encrypted chunk, and the coordinator's running sum.

use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::keys::{MaskKey, VaultSecret};
use super::lanes::Plaintext;
use super::layout::LaneLayout;
use super::ledger::EncryptPermit;
use super::object::{self, Length};
use super::request::EncryptRequest;
use super::secret::AggregationSecret;
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use crate::stream::Expander;
use crate::wire::{self, Kind};

/// Encrypts one chunk: `c0 = -a s + e + M`, with `e` expanded from the vault
/// secret and the request, so that a repeat gives the same bytes. The group's
/// key decides where the checksum is taken, which the coordinator may not know.
///
/// # Errors
/// [`AggregationError::ForeignPermit`] if the permit is for something else,
/// [`AggregationError::ForeignObject`] if the secret is of another epoch, and
/// those of a request that does not fit the layout.
pub fn encrypt_chunk(
    permit: EncryptPermit<'_>,
    request: &EncryptRequest<'_>,
    secret: &AggregationSecret,
    vault: &VaultSecret,
    group: &MaskKey,
) -> Result<UpdateChunk, AggregationError> {
    let digest = permit.digest_of(request).ok_or(AggregationError::ForeignPermit)?;
    let params = request.layout.params();
    if secret.epoch() != request.id.epoch || secret.params().digest() != params.digest() {
        return Err(request.id.foreign("secret"));
    }
    let plaintext = Plaintext::new(request, group)?;
    let common = request.id.common_expander(params);
    let mut c0 = Poly::<Coeff>::unset(params.n, params.q.len());
    // a s in place, limb by limb, while the limb is in the first-level cache.
    c0.par_limbs(&params.q, |l, limb, x| {
        common.stream(0, limb.index()).fill_uniform(limb.modulus().value(), x);
        limb.mul(x, secret.eval().limb(l));
        limb.inverse(x);
    });
    let errors = Expander::with_context(vault.bytes(), "modeA/error", params.preset, &[], &digest);
    // The other coefficients of a s stay without errors: they are wiped here and never leave.
    c0.shorten(request.layout.coefficients(request.id.chunk));
    plaintext.subtract_from(&mut errors.sampler(0), &mut c0);
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

    /// The bytes that travel: header and packed residues. Allocates them.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(Kind::UpdateChunk, self.params, &self.id, self.id.epoch, self.sender, &self.c0)
    }

    /// Reads and checks what [`UpdateChunk::to_bytes`] wrote. Allocates 4 bytes
    /// per residue; [`PackedChunk`] does without.
    ///
    /// # Errors
    /// [`AggregationError::Decode`] or [`AggregationError::UnknownParty`].
    pub fn from_bytes(bytes: &[u8], layout: &LaneLayout) -> Result<Self, AggregationError> {
        let (id, sender, c0) = object::read(bytes, Kind::UpdateChunk, Length::Chunk(layout))?;
        layout.check_party(sender)?;
        Ok(UpdateChunk { params: layout.params(), id, sender, c0 })
    }

    /// SHA-256 identity of the bytes, the leaf of a chunk root.
    pub fn identity(&self) -> [u8; 32] {
        wire::identity(&self.to_bytes())
    }
}

/// One hospital's chunk as it travelled: checked, and still packed.
#[derive(Clone, Copy)]
pub struct PackedChunk<'a> {
    params: &'static Params,
    id: ChunkId,
    sender: u16,
    coefficients: usize,
    payload: &'a [u8],
}

impl<'a> PackedChunk<'a> {
    /// Checks what [`UpdateChunk::to_bytes`] wrote: header, length, sender and
    /// every residue. Allocates nothing.
    ///
    /// # Errors
    /// As [`UpdateChunk::from_bytes`].
    pub fn from_bytes(bytes: &'a [u8], layout: &LaneLayout) -> Result<Self, AggregationError> {
        let (id, sender, payload) = object::read_packed::<Coeff>(bytes, Kind::UpdateChunk, Length::Chunk(layout))?;
        layout.check_party(sender)?;
        let coefficients = layout.coefficients(id.chunk);
        Ok(PackedChunk { params: layout.params(), id, sender, coefficients, payload })
    }

    /// Where it belongs.
    pub fn id(&self) -> &ChunkId {
        &self.id
    }

    /// The hospital that made it.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        self.payload
    }

    fn place(&self) -> Place {
        Place { params: self.params, id: self.id, coefficients: self.coefficients }
    }
}

/// What all terms of a sum have in common.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) params: &'static Params,
    pub(super) id: ChunkId,
    pub(super) coefficients: usize,
}

impl Place {
    pub(super) fn new(layout: &LaneLayout, id: ChunkId) -> Self {
        Place { params: layout.params(), id, coefficients: layout.coefficients(id.chunk) }
    }

    fn residues(&self) -> usize {
        self.coefficients * self.params.q.len()
    }

    /// The empty sum.
    pub(super) fn zero(&self) -> Poly<Coeff> {
        Poly::zero(self.coefficients, self.params.q.len())
    }
}

/// Who is in a sum: one chunk of each hospital, and only of the sum's own place.
#[derive(Clone, Default)]
pub(super) struct Contributors(Vec<u16>);

impl Contributors {
    /// Enters the sender of a chunk that may be added to the sum of this place.
    pub(super) fn admit(&mut self, to: &Place, chunk: &PackedChunk<'_>) -> Result<(), AggregationError> {
        self.enter(to, &chunk.place(), chunk.sender)
    }

    fn enter(&mut self, to: &Place, from: &Place, sender: u16) -> Result<(), AggregationError> {
        if from.id != to.id || from.params.digest() != to.params.digest() {
            return Err(from.id.foreign("update chunk"));
        }
        // Both were sized by a layout, but not by one of the same number of values.
        if from.coefficients != to.coefficients {
            return Err(AggregationError::Shape { found: from.residues(), expected: to.residues() });
        }
        let Err(position) = self.0.binary_search(&sender) else {
            return Err(AggregationError::Duplicate { object: "update chunk", party: sender });
        };
        self.0.insert(position, sender);
        Ok(())
    }
}

/// The sum of one chunk over the contributors so far.
pub struct ChunkSum {
    place: Place,
    contributors: Contributors,
    sum: Poly<Coeff>,
}

impl ChunkSum {
    /// The empty sum of a chunk. Allocates 4 bytes per residue, here and for
    /// good: 229,376 for a full chunk of AGG13, 917,504 for AGG14.
    pub fn new(layout: &LaneLayout, id: ChunkId) -> Self {
        let place = Place::new(layout, id);
        Self::of(place, Contributors::default(), place.zero())
    }

    pub(super) fn of(place: Place, contributors: Contributors, sum: Poly<Coeff>) -> Self {
        ChunkSum { place, contributors, sum }
    }

    /// Adds one hospital's chunk, or leaves the sum as it was. Allocates nothing.
    ///
    /// # Errors
    /// [`AggregationError::ForeignObject`], [`AggregationError::Shape`] for a
    /// chunk of a layout of other values, or [`AggregationError::Duplicate`].
    pub fn absorb(&mut self, chunk: &UpdateChunk) -> Result<(), AggregationError> {
        let from = Place { params: chunk.params, id: chunk.id, coefficients: chunk.c0.n() };
        self.contributors.enter(&self.place, &from, chunk.sender)?;
        self.sum.add_assign(&chunk.c0, &self.place.params.q);
        Ok(())
    }

    /// Adds one hospital's chunk from its packed bytes, or leaves the sum as
    /// it was. Allocates nothing; the bytes are read once.
    ///
    /// # Errors
    /// As [`ChunkSum::absorb`].
    pub fn absorb_packed(&mut self, chunk: &PackedChunk<'_>) -> Result<(), AggregationError> {
        self.contributors.admit(&self.place, chunk)?;
        object::add_packed(self.place.params, &mut self.sum, self.place.coefficients, chunk.payload);
        Ok(())
    }

    /// Checks one hospital's bytes whole, then adds them; returns the sender.
    /// An error leaves the sum as it was. Allocates nothing; the bytes are
    /// read twice, the second time from the cache.
    ///
    /// # Errors
    /// Those of [`PackedChunk::from_bytes`] and [`ChunkSum::absorb`].
    pub fn absorb_bytes(&mut self, bytes: &[u8], layout: &LaneLayout) -> Result<u16, AggregationError> {
        let chunk = PackedChunk::from_bytes(bytes, layout)?;
        self.absorb_packed(&chunk)?;
        Ok(chunk.sender)
    }

    /// The bytes of the sum: an update chunk of sender 0. Allocates them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Place { params, id, .. } = &self.place;
        object::write(Kind::UpdateChunk, params, id, id.epoch, 0, &self.sum)
    }

    /// The chunk summed.
    pub fn id(&self) -> &ChunkId {
        &self.place.id
    }

    /// Hospitals in the sum, increasing.
    pub fn contributors(&self) -> &[u16] {
        &self.contributors.0
    }

    /// SHA-256 over the sum, for an aggregate root.
    pub fn identity(&self) -> [u8; 32] {
        wire::identity(&self.to_bytes())
    }

    pub(super) fn poly(&self) -> &Poly<Coeff> {
        &self.sum
    }

    #[cfg(test)]
    pub(super) fn poly_mut(&mut self) -> &mut Poly<Coeff> {
        &mut self.sum
    }
}
