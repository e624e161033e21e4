//! Bytes of the one-polynomial objects of a round.

use super::chunk_id::ChunkId;
use super::error::AggregationError;
use crate::error::DecodeError;
use crate::params::Params;
use crate::ring::{Coeff, Domain, Poly};
use crate::simd::{self, Isa};
use crate::wire::{self, HEADER_BYTES, Header, Kind};

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
    let mut out = Vec::with_capacity(HEADER_BYTES + header.payload_len(params.n));
    header.write(&mut out);
    poly.pack_into(&mut out);
    out
}

/// Reads what [`write`] wrote; the identifier carries the header's digest as
/// its epoch. Allocates the polynomial, after all lengths were checked.
pub(super) fn read<D: Domain>(
    bytes: &[u8],
    kind: Kind,
    params: &Params,
) -> Result<(ChunkId, u16, Poly<D>), AggregationError> {
    let (id, sender, payload) = open::<D>(bytes, kind, params)?;
    Ok((id, sender, Poly::unpack(payload, params.n, &params.q)?))
}

/// Checks the header of what [`write`] wrote and every residue, and leaves the
/// residues packed. Allocates nothing.
pub(super) fn read_packed<'a, D: Domain>(
    bytes: &'a [u8],
    kind: Kind,
    params: &Params,
) -> Result<(ChunkId, u16, &'a [u8]), AggregationError> {
    let (id, sender, payload) = open::<D>(bytes, kind, params)?;
    for (packed, limb) in payload.chunks_exact(wire::packed_len(params.n)).zip(&params.q) {
        if !simd::packed_below(Isa::detect(), limb.modulus().value(), packed) {
            // Reading it whole names the residue at fault.
            Poly::<D>::unpack(payload, params.n, &params.q)?;
        }
    }
    Ok((id, sender, payload))
}

/// Checks the header of what [`write`] wrote.
fn open<'a, D: Domain>(
    bytes: &'a [u8],
    kind: Kind,
    params: &Params,
) -> Result<(ChunkId, u16, &'a [u8]), AggregationError> {
    let (header, payload) = Header::read(bytes, kind, params)?;
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

/// `sum += packed residues`, all canonical. Allocates nothing.
pub(super) fn add_packed(params: &Params, sum: &mut Poly<Coeff>, payload: &[u8]) {
    for (l, (packed, limb)) in payload.chunks_exact(wire::packed_len(params.n)).zip(&params.q).enumerate() {
        simd::packed_add(Isa::detect(), limb.modulus(), sum.limb_mut(l), packed);
    }
}
