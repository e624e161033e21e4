//! Bytes of an asker's polynomials over the primes of planes: of its key for planes, and of the planes.

use crate::ckks::refuse_other_fields;
use crate::error::DecodeError;
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::{CeremonyError, Crs, PARTIES_MAX};
use crate::params::Params;
use crate::ring::{Domain, Eval, Limb, Poly};
use crate::wire::{self, HEADER_BYTES, Header, Kind};

/// The first prime of P, then the first `limbs` of Q.
pub(crate) fn plane_basis(params: &Params, limbs: usize) -> Vec<Limb> {
    params.p[..1].iter().chain(&params.q[..limbs]).cloned().collect()
}

/// Whose something is, and for questions of which level.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) params: &'static Params,
    pub(super) epoch: [u8; 32],
    pub(super) asker: u16,
    /// Of Q.
    pub(super) limbs: usize,
}

impl Origin {
    fn header(&self, kind: Kind, polynomials: usize) -> Header {
        let header = Header::new(kind, self.params.preset, Eval::NUMBER, self.limbs, polynomials);
        // A key has no scale.
        let scale = if kind == Kind::Plane { self.params.scale() } else { header.scale };
        Header { special_limbs: 1, epoch: self.epoch, sender: self.asker, scale, ..header }
    }

    /// Header, then per polynomial the limbs of Q and that of P, as of all objects.
    pub(super) fn to_bytes(self, kind: Kind, polynomials: &[Poly<Eval>]) -> Vec<u8> {
        let header = self.header(kind, polynomials.len());
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        for poly in polynomials {
            (1..poly.limbs()).chain([0]).for_each(|index| wire::pack(poly.limb(index), &mut bytes));
        }
        bytes
    }

    /// Reads an object of this epoch, of so many polynomials.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub(super) fn from_bytes<const POLYNOMIALS: usize>(
        bytes: &[u8],
        kind: Kind,
        crs: &Crs,
    ) -> Result<(Self, [Poly<Eval>; POLYNOMIALS]), CeremonyError> {
        let (params, epoch) = (crs.params(), crs.epoch());
        let (header, payload) = Header::read(bytes, kind, params)?;
        if header.epoch != epoch {
            return Err(epoch_mismatch(header.epoch, epoch));
        }
        let asker = header.sender;
        if asker == 0 || asker > PARTIES_MAX {
            return Err(DecodeError::Field { field: "sender", value: u64::from(asker) }.into());
        }
        let origin = Self { params, epoch, asker, limbs: usize::from(header.limbs) };
        // A preset without special primes has no such header.
        refuse_other_fields(&header, &origin.header(kind, POLYNOMIALS))?;
        let basis = plane_basis(params, origin.limbs);
        let mut polynomials = std::array::from_fn(|_| Poly::unset(params.n, basis.len()));
        let packed = payload.chunks_exact(Poly::<Eval>::packed_len(params.n, basis.len()));
        for (poly, packed) in polynomials.iter_mut().zip(packed) {
            read_into(poly, packed, &basis)?;
        }
        Ok((origin, polynomials))
    }
}

fn read_into(poly: &mut Poly<Eval>, packed: &[u8], basis: &[Limb]) -> Result<(), DecodeError> {
    let limbs = (1..basis.len()).chain([0]).zip(packed.chunks_exact(wire::packed_len(poly.n())));
    for (index, packed) in limbs {
        wire::unpack(packed, poly.limb_mut(index))?;
        wire::check_residues(poly.limb(index), index, basis[index].modulus().value())?;
    }
    Ok(())
}
