//! One decryptor's share in a refresh.
//!
//! ```text
//! h_j = c1 lambda_j(T) S(j) + e_j + M_j + masks_j + [j = min T] F(G, ctx)        over the base limbs
//! r_j = encryption of factor M_j behind j's gate of the target key
//! ```
//!
//! M_j floods: it is full-size for every party, since only an honest party's protects. The masks cancel over T: an
//! incomplete set of shares is uniform to whoever lacks the missing party's pairwise keys; the sum of all is uniform to
//! whoever lacks G. What floods the sum is subtracted again under the target key, where nobody reads it.
//! Sources: Mouchet et al., ePrint 2020/304, protocol 5, among a threshold as in ePrint 2022/780; masks as in ePrint
//! 2026/031, section 5; flooding in the form of ePrint 2022/816.

use crate::aggregation::{MaskKey, ReleaseLedger, VaultSecret};
use crate::ckks::{GatedCiphertext, refuse_other_fields};
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::pair_masks::add_pair_masks;
use crate::multiparty::serving_key_share::{base, lagrange};
use crate::multiparty::{
    CeremonyError, GateHolder, GateHolderError, Gated, RefreshContext, RefreshPermit, ServingKeyShare,
};
use crate::params::{Params, Preset};
use crate::ring::{Coeff, Domain, Poly};
use crate::sampler;
use crate::stream::Expander;
use crate::wire::{HEADER_BYTES, Header, Kind};
use std::collections::BTreeMap;
use std::mem;
use zeroize::{Zeroize, Zeroizing};

/// What a decryptor shares in refreshes with.
#[derive(Clone, Copy)]
pub struct RefreshKeys<'a> {
    /// S(j), of all dealers.
    pub key: &'a ServingKeyShare,
    /// The mask keys with the other decryptors.
    pub pairs: &'a BTreeMap<u16, MaskKey>,
    /// G, which every hospital has and the coordinator has not.
    pub group: &'a MaskKey,
    /// From which flooding and errors are expanded.
    pub vault: &'a VaultSecret,
}

/// One decryptor's part of the blinded sum; it goes to the coordinator.
pub struct RefreshShare {
    params: &'static Params,
    pub(crate) context: [u8; 32],
    pub(crate) sender: u16,
    pub(crate) coefficients: Zeroizing<Poly<Coeff>>,
}

impl RefreshShare {
    /// The share of `keys`' holder, and its mask M_j behind the holder's gate of the target key. All randomness is
    /// expanded from the vault secrets and the context, so that a repeat gives the same bytes.
    ///
    /// # Errors
    /// A permit for another context; a key share of another epoch, of a party outside T or not of all dealers; a
    /// missing pair key; a gate of another hospital or key than the target's; a refusal of the gate's ledger. Neither
    /// share nor mask leaves then.
    pub fn generate<L: ReleaseLedger>(
        permit: RefreshPermit,
        context: &RefreshContext,
        keys: RefreshKeys<'_>,
        gate: &mut GateHolder<'_, L>,
    ) -> Result<(Self, GatedCiphertext), GateHolderError<L::Error>> {
        context.check(permit.digest)?;
        let (params, decryptors, party) = (context.params, context.decryptors, keys.key.holder());
        if keys.key.epoch() != context.epoch {
            return Err(epoch_mismatch(keys.key.epoch(), context.epoch).into());
        }
        if !decryptors.contains(party) {
            return Err(CeremonyError::Missing { party, parties: context.parties }.into());
        }
        keys.key.dealers().require_all(context.parties)?;
        check_gate(context, party, gate)?;
        let random = Expander::with_context(
            keys.vault.bytes(),
            "refresh/noise",
            params.preset,
            &[u64::from(party)],
            &context.digest(),
        );
        let flooding = sampler::flooding(&mut random.sampler(0), context.word_bits, params.n);
        let (basis, digest) = (base(params), context.digest());
        let mut share = decrypted(context, keys.key);
        add_pair_masks(params, ("refresh/mask", &digest), (party, decryptors), keys.pairs, &mut share)?;
        if decryptors.iter().next() == Some(party) {
            share.add_assign(&context.blinding(keys.group), basis);
        }
        share.add_assign(&Zeroizing::new(Poly::from_signed_wide(&flooding, basis)), basis);
        let error = sampler::centred_binomial(&mut random.sampler(1), params.n);
        share.add_assign(&Zeroizing::new(Poly::from_small(&error, basis)), basis);
        // The mask is claimed before anything leaves, and last of all that may be refused.
        let mask = seal(context, Gated::RefreshMask, &flooding, gate)?;
        Ok((Self { params, context: context.digest(), sender: party, coefficients: share }, mask))
    }

    /// The decryptor it comes from.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Encoded size, bytes.
    pub fn encoded_bytes(preset: Preset) -> usize {
        let params = preset.params();
        HEADER_BYTES + Poly::<Coeff>::packed_len(params.n, base(params).len())
    }

    /// Header, with the context in its epoch field, and the packed residues.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = header(self.params, self.context, self.sender);
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n)));
        header.write(&mut bytes);
        self.coefficients.pack_into(&mut bytes);
        bytes
    }

    /// Reads a share in this refresh.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Context`].
    pub fn from_bytes(bytes: &[u8], context: &RefreshContext) -> Result<Self, CeremonyError> {
        let params = context.params;
        let (found, payload) = Header::read(bytes, Kind::RefreshShare, params)?;
        context.check(found.epoch)?;
        refuse_other_fields(&found, &header(params, found.epoch, found.sender))?;
        let coefficients = Zeroizing::new(Poly::unpack(payload, params.n, base(params))?);
        Ok(Self { params, context: found.epoch, sender: found.sender, coefficients })
    }
}

/// Refuses a gate of another hospital, or to another key than the target's.
pub(super) fn check_gate<L>(
    context: &RefreshContext,
    asker: u16,
    gate: &GateHolder<'_, L>,
) -> Result<(), CeremonyError> {
    let (found, expected) = (gate.crs.epoch(), context.target.crs.epoch());
    if found != expected {
        return Err(epoch_mismatch(found, expected));
    }
    if gate.secret.party() != asker {
        let (ours, theirs) = (u64::from(asker), u64::from(gate.secret.party()));
        return Err(CeremonyError::Mismatch { field: "asker", ours, theirs });
    }
    Ok(())
}

/// factor times the integers, behind the gate.
pub(super) fn seal<L: ReleaseLedger>(
    context: &RefreshContext,
    what: Gated,
    integers: &[i128],
    gate: &mut GateHolder<'_, L>,
) -> Result<GatedCiphertext, GateHolderError<L::Error>> {
    let mut plaintext = context.target.embed(integers, context.fresh_scale());
    let (number, part) = context.place();
    let encrypted = gate.encrypt(what, number, part, std::slice::from_ref(&plaintext));
    plaintext.poly.zeroize();
    // One plaintext, one ciphertext.
    let missing = CeremonyError::Missing { party: gate.secret.party(), parties: context.parties };
    encrypted?.pop().ok_or(GateHolderError::Ceremony(missing))
}

/// c1 lambda_j(T) S(j).
fn decrypted(context: &RefreshContext, key: &ServingKeyShare) -> Zeroizing<Poly<Coeff>> {
    let basis = base(context.params);
    let mut weighted = Zeroizing::new(key.point().clone());
    weighted.mul_scalars(&lagrange(context.decryptors, key.holder(), basis), basis);
    weighted.mul_assign(&context.ciphertext.parts()[1], basis);
    Zeroizing::new(mem::replace(&mut *weighted, Poly::zero(1, 1)).into_coeff(basis))
}

fn header(params: &Params, context: [u8; 32], sender: u16) -> Header {
    let plain = Header::new(Kind::RefreshShare, params.preset, Coeff::NUMBER, params.base_limbs, 1);
    Header { epoch: context, sender, ..plain }
}
