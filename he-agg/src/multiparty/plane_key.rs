//! A public key of an asker's own gate secret, under which it encrypts planes that others may open.
//!
//! ```text
//! p_A = -a k_A + e      modulo the first prime of P and the primes of a query
//! ```
//!
//! What is encrypted under it follows from a seed alone, so that showing the seed shows the plane and
//! nothing of k_A. The prime of P is what a composition divides by: it is one that the gate key is
//! modulo of as well, so the modulus of k_A is no larger than without planes.

use crate::ckks::{Evaluator, refuse_other_fields};
use crate::error::DecodeError;
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::{CeremonyError, Crs, GateSecret, PARTIES_MAX};
use crate::params::{Params, Preset};
use crate::ring::{Domain, Eval, Limb, Poly};
use crate::sampler;
use crate::stream::Stream;
use crate::wire::{self, HEADER_BYTES, Header, Kind};
use zeroize::Zeroizing;

/// The first prime of P, then the first `limbs` of Q.
pub(crate) fn plane_basis(params: &Params, limbs: usize) -> Vec<Limb> {
    params.p[..1].iter().chain(&params.q[..limbs]).cloned().collect()
}

/// Appends the residues in the order of all objects: those modulo primes of Q, then that of P.
pub(super) fn pack(poly: &Poly<Eval>, bytes: &mut Vec<u8>) {
    (1..poly.limbs()).chain([0]).for_each(|index| wire::pack(poly.limb(index), bytes));
}

/// Reads them; `packed` has the length that a header announced.
///
/// # Errors
/// [`DecodeError`].
pub(super) fn unpack(packed: &[u8], params: &Params, limbs: usize) -> Result<Poly<Eval>, DecodeError> {
    let basis = plane_basis(params, limbs);
    let mut poly = Poly::unset(params.n, basis.len());
    let order = (1..basis.len()).chain([0]);
    for (index, packed) in order.zip(packed.chunks_exact(wire::packed_len(params.n))) {
        wire::unpack(packed, poly.limb_mut(index))?;
        wire::check_residues(poly.limb(index), index, basis[index].modulus().value())?;
    }
    Ok(poly)
}

/// The key that one asker's planes are encrypted under. Public.
#[derive(Clone)]
pub struct PlaneKey {
    pub(super) params: &'static Params,
    pub(super) epoch: [u8; 32],
    pub(super) asker: u16,
    /// Of Q.
    pub(super) limbs: usize,
    /// Over [`plane_basis`].
    pub(super) p: Poly<Eval>,
}

impl PlaneKey {
    /// The key of `secret`, for planes of questions of `limbs` limbs. Once per epoch and limbs, like the gate key.
    ///
    /// # Errors
    /// [`CeremonyError::PresetMismatch`], [`CeremonyError::Limbs`].
    pub fn generate(secret: &GateSecret, crs: &Crs, limbs: usize, stream: &mut Stream) -> Result<Self, CeremonyError> {
        Ok(Self::generate_with_error(secret, crs, limbs, stream)?.0)
    }

    /// The same, with the error that is in it.
    pub(super) fn generate_with_error(
        secret: &GateSecret,
        crs: &Crs,
        limbs: usize,
        stream: &mut Stream,
    ) -> Result<(Self, Zeroizing<Vec<i64>>), CeremonyError> {
        secret.check_preset(crs.preset())?;
        let (params, asker, max) = (crs.params(), secret.party(), crs.params().q.len());
        if limbs == 0 || limbs > max {
            return Err(CeremonyError::Limbs { limbs, max });
        }
        let basis = plane_basis(params, limbs);
        let error = sampler::centred_binomial(stream, params.n);
        let mut p = Poly::from_small(&error, &basis).into_eval(&basis);
        let mut product = Zeroizing::new(secret.over_planes(limbs));
        product.mul_assign(&crs.plane_key(asker, limbs), &basis);
        p.sub_assign(&product, &basis);
        Ok((Self { params, epoch: crs.epoch(), asker, limbs, p }, error))
    }

    /// The hospital whose key it is.
    pub fn asker(&self) -> u16 {
        self.asker
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Limbs of the questions that its planes make up.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    fn header(&self) -> Header {
        let header = Header::new(Kind::PlaneKey, self.params.preset, Eval::NUMBER, self.limbs, 1);
        Header { special_limbs: 1, epoch: self.epoch, sender: self.asker, ..header }
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = self.header();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        pack(&self.p, &mut bytes);
        bytes
    }

    /// Reads a key of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        Evaluator::new(params.preset)?;
        let (header, payload) = Header::read(bytes, Kind::PlaneKey, params)?;
        if header.epoch != crs.epoch() {
            return Err(epoch_mismatch(header.epoch, crs.epoch()));
        }
        let (asker, limbs) = (header.sender, usize::from(header.limbs));
        if asker == 0 || asker > PARTIES_MAX {
            return Err(DecodeError::Field { field: "sender", value: u64::from(asker) }.into());
        }
        let expected = Header::new(Kind::PlaneKey, params.preset, Eval::NUMBER, limbs, 1);
        let expected = Header { special_limbs: 1, epoch: crs.epoch(), sender: asker, ..expected };
        refuse_other_fields(&header, &expected)?;
        let p = unpack(payload, params, limbs)?;
        Ok(Self { params, epoch: crs.epoch(), asker, limbs, p })
    }
}
