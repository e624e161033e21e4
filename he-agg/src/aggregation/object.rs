//! Bytes of the one-polynomial objects of a round.

use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::layout::LaneLayout;
use crate::error::DecodeError;
use crate::params::Params;
use crate::ring::{Coeff, Domain, Poly};
use crate::wire::{self, HEADER_BYTES, Header, Kind};

/// How many coefficients the polynomial of an object has.
#[derive(Clone, Copy)]
pub(super) enum Length<'a> {
    /// As many as the ring's degree.
    Ring(&'a Params),
    /// As many as the layout says for the chunk in the header.
    Chunk(&'a LaneLayout),
}

impl<'a> Length<'a> {
    fn params(self) -> &'a Params {
        match self {
            Length::Ring(params) => params,
            Length::Chunk(layout) => layout.params(),
        }
    }

    fn of(self, chunk: u32) -> usize {
        match self {
            Length::Ring(params) => params.n,
            Length::Chunk(layout) => layout.coefficients(chunk),
        }
    }
}

/// A header and one polynomial over all limbs.
///
/// `epoch` is the epoch seed; decryption shares and blinded sums put the
/// digest of their whole context there, which contains it.
pub(super) fn write<D: Domain>(
    kind: Kind,
    params: &Params,
    id: &ChunkId,
    epoch: [u8; 32],
    sender: u16,
    poly: &Poly<D>,
) -> Vec<u8> {
    let header = Header {
        epoch,
        round: id.round,
        attempt: id.attempt,
        chunk: id.chunk,
        sender,
        ..Header::new(kind, params.preset, D::NUMBER, params.q.len(), 1)
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + header.payload_len(poly.n()));
    header.write(&mut out);
    poly.pack_into(&mut out);
    out
}

/// Reads what [`write`] wrote; the identifier carries the header's digest as
/// its epoch. Allocates the polynomial, after all lengths were checked.
pub(super) fn read<D: Domain>(
    bytes: &[u8],
    kind: Kind,
    length: Length<'_>,
) -> Result<(ChunkId, u16, Poly<D>), AggregationError> {
    let (id, sender, payload) = open::<D>(bytes, kind, length)?;
    Ok((id, sender, Poly::unpack(payload, length.of(id.chunk), &length.params().q)?))
}

/// Checks the header of what [`write`] wrote and every residue, and leaves the
/// residues packed. Allocates nothing.
pub(super) fn read_packed<'a, D: Domain>(
    bytes: &'a [u8],
    kind: Kind,
    length: Length<'_>,
) -> Result<(ChunkId, u16, &'a [u8]), AggregationError> {
    let (id, sender, payload) = open::<D>(bytes, kind, length)?;
    let (n, basis) = (length.of(id.chunk), &length.params().q);
    for (packed, limb) in payload.chunks_exact(wire::packed_len(n)).zip(basis) {
        if !wire::packed_below(packed, n, limb.modulus().value()) {
            // Reading it whole names what is at fault.
            Poly::<D>::unpack(payload, n, basis)?;
        }
    }
    Ok((id, sender, payload))
}

/// Checks the header and the length of what [`write`] wrote.
fn open<'a, D: Domain>(
    bytes: &'a [u8],
    kind: Kind,
    length: Length<'_>,
) -> Result<(ChunkId, u16, &'a [u8]), AggregationError> {
    let params = length.params();
    let (header, payload) = Header::read_sized(bytes, kind, params, |header| length.of(header.chunk))?;
    for (field, found, expected) in [
        ("domain", header.domain, D::NUMBER),
        ("limbs", header.limbs, params.q.len() as u8),
        ("special limbs", header.special_limbs, 0),
        ("polynomials", header.polynomials, 1),
    ] {
        if found != expected {
            return Err(DecodeError::Field { field, value: u64::from(found) }.into());
        }
    }
    if header.scale != 1.0 {
        return Err(DecodeError::Scale { bits: header.scale.to_bits() }.into());
    }
    let id = ChunkId { epoch: header.epoch, round: header.round, attempt: header.attempt, chunk: header.chunk };
    Ok((id, header.sender, payload))
}

/// `sum += packed residues`, all canonical, of `coefficients` per limb; the sum may have more, which
/// stay as they are. Allocates nothing.
pub(super) fn add_packed(params: &Params, sum: &mut Poly<Coeff>, coefficients: usize, payload: &[u8]) {
    for (l, (packed, limb)) in payload.chunks_exact(wire::packed_len(coefficients)).zip(&params.q).enumerate() {
        wire::packed_add(limb.modulus(), &mut sum.limb_mut(l)[..coefficients], packed);
    }
}
