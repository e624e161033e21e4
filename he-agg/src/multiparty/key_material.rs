//! What all shares of collective keys are: some polynomials modulo P Q_l from one sender, which
//! add up over the senders.

use crate::ckks::{extended_basis, refuse_other_fields};
use crate::error::DecodeError;
use crate::multiparty::{CeremonyError, Crs, PARTIES_MAX, PartySet};
use crate::params::Params;
use crate::ring::{Domain, Eval, Poly};
use crate::wire::{self, HEADER_BYTES, Header, Kind};

/// Which key the polynomials belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyLabel {
    pub(crate) kind: Kind,
    /// Rotation steps in [1, N/2), N/2 for conjugation, the asker of a gate in 1..=64; 0 for other keys.
    pub(crate) steps: usize,
    pub(crate) limbs: usize,
    /// Number of polynomials.
    pub(crate) polynomials: usize,
}

/// Polynomials over the extended basis, with their origin. `sender` 0 is the sum of all.
pub(crate) struct KeyMaterial {
    pub(crate) params: &'static Params,
    pub(crate) epoch: [u8; 32],
    pub(crate) label: KeyLabel,
    pub(crate) sender: u16,
    pub(crate) parts: Vec<Poly<Eval>>,
}

impl KeyMaterial {
    fn header(params: &Params, epoch: [u8; 32], label: KeyLabel, sender: u16) -> Header {
        Header {
            special_limbs: params.p.len() as u8,
            epoch,
            round: label.steps as u32,
            sender,
            ..Header::new(label.kind, params.preset, Eval::NUMBER, label.limbs, label.polynomials)
        }
    }

    /// Header, then per polynomial the limbs of Q and those of P.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let header = Self::header(self.params, self.epoch, self.label, self.sender);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        let specials = self.params.p.len();
        for part in &self.parts {
            for index in (specials..part.limbs()).chain(0..specials) {
                wire::pack(part.limb(index), &mut bytes);
            }
        }
        bytes
    }

    /// Reads material of the given kind and polynomial count per digit rule; limbs and steps are
    /// taken from the bytes and checked by `label`, which says what such a header must announce.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        crs: &Crs,
        kind: Kind,
        polynomials: impl Fn(usize) -> usize,
    ) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let (header, payload) = Header::read(bytes, kind, params)?;
        let limbs = usize::from(header.limbs);
        let steps = header.round as usize;
        let label = KeyLabel { kind, steps, limbs, polynomials: polynomials(limbs) };
        let (field, allowed) = match kind {
            Kind::GaloisKey => ("steps", 1..params.slots() + 1),
            Kind::GateShare => ("asker", 1..usize::from(PARTIES_MAX) + 1),
            _ => ("steps", 0..1),
        };
        if !allowed.contains(&steps) {
            return Err(DecodeError::Field { field, value: u64::from(header.round) }.into());
        }
        if header.epoch != crs.epoch() {
            return Err(epoch_mismatch(header.epoch, crs.epoch()));
        }
        refuse_other_fields(&header, &Self::header(params, crs.epoch(), label, header.sender))?;
        let specials = params.p.len();
        let basis = extended_basis(params, limbs);
        let per_limb = wire::packed_len(params.n);
        let parts = payload
            .chunks_exact(per_limb * basis.len())
            .map(|packed| {
                let mut part = Poly::unset(params.n, basis.len());
                let order = (specials..basis.len()).chain(0..specials);
                for (index, packed) in order.zip(packed.chunks_exact(per_limb)) {
                    wire::unpack(packed, part.limb_mut(index))?;
                    let q = basis[index].modulus().value();
                    wire::check_residues(part.limb(index), index, q)?;
                }
                Ok(part)
            })
            .collect::<Result<Vec<_>, DecodeError>>()?;
        Ok(Self { params, epoch: crs.epoch(), label, sender: header.sender, parts })
    }

    /// Refuses a single hospital's share where the sum of all is expected.
    pub(crate) fn require_sum(&self) -> Result<(), CeremonyError> {
        if self.sender == 0 {
            return Ok(());
        }
        Err(DecodeError::Field { field: "sender", value: u64::from(self.sender) }.into())
    }
}

pub(crate) fn epoch_mismatch(found: [u8; 32], expected: [u8; 32]) -> CeremonyError {
    CeremonyError::Epoch { found: prefix(&found), expected: prefix(&expected) }
}

pub(crate) fn prefix(digest: &[u8; 32]) -> [u8; 4] {
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The running sum of one key's shares: memory independent of the number of parties.
pub(crate) struct KeySum {
    pub(crate) crs: Crs,
    parties: u16,
    absorbed: PartySet,
    material: KeyMaterial,
}

impl KeySum {
    pub(crate) fn new(crs: &Crs, label: KeyLabel, parties: u16) -> Result<Self, CeremonyError> {
        PartySet::all(parties)?;
        let params = crs.params();
        let limbs = params.p.len() + label.limbs;
        let parts = (0..label.polynomials).map(|_| Poly::zero(params.n, limbs)).collect();
        let material = KeyMaterial { params, epoch: crs.epoch(), label, sender: 0, parts };
        Ok(Self { crs: crs.clone(), parties, absorbed: PartySet::default(), material })
    }

    /// Adds a share after all checks; a refused share leaves the sum as it was.
    pub(crate) fn absorb(&mut self, share: &KeyMaterial) -> Result<(), CeremonyError> {
        let (left, right) = (self.material.params.preset, share.params.preset);
        if left != right {
            return Err(CeremonyError::PresetMismatch { left, right });
        }
        if share.epoch != self.material.epoch {
            return Err(epoch_mismatch(share.epoch, self.material.epoch));
        }
        let (ours, theirs) = (self.material.label, share.label);
        let number = if ours.kind == Kind::GateShare { "asker" } else { "rotation steps" };
        for (field, ours, theirs) in [
            ("kind", ours.kind as usize, theirs.kind as usize),
            (number, ours.steps, theirs.steps),
            ("limbs", ours.limbs, theirs.limbs),
            ("polynomials", ours.polynomials, theirs.polynomials),
        ] {
            if ours != theirs {
                let (ours, theirs) = (ours as u64, theirs as u64);
                return Err(CeremonyError::Mismatch { field, ours, theirs });
            }
        }
        self.absorbed.insert(share.sender, self.parties)?;
        let basis = extended_basis(self.material.params, ours.limbs);
        for (sum, part) in self.material.parts.iter_mut().zip(&share.parts) {
            sum.add_assign(part, &basis);
        }
        Ok(())
    }

    /// The sum over all parties.
    pub(crate) fn finish(self) -> Result<(Crs, KeyMaterial), CeremonyError> {
        self.absorbed.require_all(self.parties)?;
        Ok((self.crs, self.material))
    }
}
