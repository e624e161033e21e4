//! One decryptor's share of an answer: only the coefficients that hold it, to be sealed to whoever asked.
//!
//! ```text
//! R = 2^g (c0, c1)
//! j in T sends   [ R1 lambda_j(T) S(j) ]_k + z_jk + mask_jk ,   and the first of T adds [ R0 ]_k       k < period
//! answer         the sum over T
//! ```
//!
//! The masks cancel over T: an incomplete set of shares is uniform to anyone without the missing party's pairwise keys.
//! The flooding z_j is added after the Lagrange weight and is full-size for every party, since only an honest party's
//! noise protects.
//! Sources: Mouchet et al., ePrint 2020/304, protocol 3; masks as in ePrint 2026/031, section 5; flooding in the form
//! of ePrint 2022/816, with a bound on the Euclidean norm of the whole error ([`crate::multiparty::ErrorBound`]).

use crate::aggregation::{MaskKey, VaultSecret};
use crate::ckks::{Ciphertext, refuse_other_fields};
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::pair_masks::add_pair_masks;
use crate::multiparty::release_context::same;
use crate::multiparty::serving_key_share::{base, lagrange};
use crate::multiparty::{CeremonyError, DecryptPolicy, ReleaseContext, ReleasePermit, ServingKeyShare};
use crate::params::Params;
use crate::ring::{Coeff, Domain, Poly};
use crate::sampler;
use crate::stream::Expander;
use crate::wire::{HEADER_BYTES, Header, Kind};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// One decryptor's part of an answer. Whoever holds those of all of T reads it: they travel sealed.
pub struct ReleaseShare {
    params: &'static Params,
    pub(crate) context: [u8; 32],
    pub(crate) sender: u16,
    pub(crate) coefficients: Zeroizing<Poly<Coeff>>,
}

impl ReleaseShare {
    /// The share of `key`'s holder in releasing `result`. `pair_keys` are the mask keys with the other decryptors. All
    /// randomness is expanded from the holder's vault secret, the context and the result, so that a repeat gives the
    /// same bytes.
    ///
    /// # Errors
    /// A permit for another context or result; a key share of another epoch, of a party outside T or not of all
    /// dealers; a missing pair key; flooding that the preset cannot take.
    pub fn generate(
        permit: ReleasePermit,
        (context, result): (&ReleaseContext, &Ciphertext),
        key: &ServingKeyShare,
        policy: DecryptPolicy,
        pair_keys: &BTreeMap<u16, MaskKey>,
        vault: &VaultSecret,
    ) -> Result<Self, CeremonyError> {
        let bound = context.with(result)?;
        same(permit.digest, bound)?;
        let (params, decryptors, party) = (context.params, context.decryptors, key.holder());
        if key.epoch() != context.epoch {
            return Err(epoch_mismatch(key.epoch(), context.epoch));
        }
        if !decryptors.contains(party) {
            return Err(CeremonyError::Missing { party, parties: context.parties });
        }
        key.dealers().require_all(context.parties)?;
        if policy == DecryptPolicy::TrustedHolder && decryptors.len() > 1 {
            return Err(CeremonyError::TrustedHolderShares { decryptors: decryptors.len() });
        }
        let (basis, period) = (base(params), context.shape.period);
        let flooding = raised_flooding(policy, context)?;

        let mut share = answer_of(context, result, key);
        if let Some(bits) = flooding {
            let random = Expander::with_context(
                &vault.expose_bytes(),
                "serving/release",
                params.preset,
                &[u64::from(party)],
                &bound,
            );
            let noise = sampler::flooding(&mut random.sampler(0), bits, period);
            let noise = Zeroizing::new(Poly::from_signed_wide(&noise, basis));
            share.add_assign(&noise, basis);
        }
        let of = ("serving/mask", &bound);
        add_pair_masks(params, of, (party, decryptors), pair_keys, &mut share)?;
        Ok(Self { params, context: context.digest(), sender: party, coefficients: share })
    }

    /// The decryptor it comes from.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Header, with the context in its epoch field, and the packed residues: only ever for sealing to the asker.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = header(self.params, self.context, self.sender);
        let length = HEADER_BYTES + header.payload_len(self.coefficients.n());
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        header.write(&mut bytes);
        self.coefficients.pack_into(&mut bytes);
        bytes
    }

    /// Reads a share of this release.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Context`].
    pub fn from_bytes(bytes: &[u8], context: &ReleaseContext) -> Result<Self, CeremonyError> {
        let (params, period) = (context.params, context.shape.period);
        let (found, payload) = Header::read_sized(bytes, Kind::ReleaseShare, params, |_| period)?;
        context.check(found.epoch)?;
        refuse_other_fields(&found, &header(params, found.epoch, found.sender))?;
        let coefficients = Zeroizing::new(Poly::unpack(payload, period, base(params))?);
        Ok(Self { params, context: found.epoch, sender: found.sender, coefficients })
    }
}

/// The flooding of what leaves: as far above the noise of the raised result as the policy's is above the result's.
fn raised_flooding(policy: DecryptPolicy, context: &ReleaseContext) -> Result<Option<u32>, CeremonyError> {
    let (params, shape) = (context.params, context.shape);
    let Some(bits) = policy.flooding_over(params)? else { return Ok(None) };
    let raised = bits + context.raised_bits;
    // One value is below 6 2^raised, and must not come round.
    if f64::from(raised) + 4.0 > params.log_q(params.base_limbs) {
        let DecryptPolicy::Flooded(flooding, _) = policy else { return Ok(None) };
        return Err(CeremonyError::FloodingTooLarge {
            flooding_log2: bits,
            security_bits: flooding.security(),
            releases: flooding.releases(),
            scale_log2: shape.scale.log2() as u32,
            preset: params.preset,
        });
    }
    Ok(Some(raised))
}

/// The coefficients of 2^g c1 lambda_j S(j) that hold the answer, and those of 2^g c0 where nobody else adds them.
fn answer_of(context: &ReleaseContext, result: &Ciphertext, key: &ServingKeyShare) -> Zeroizing<Poly<Coeff>> {
    let (params, party) = (context.params, key.holder());
    let basis = base(params);
    let mut weighted = Zeroizing::new(key.point().clone());
    weighted.mul_scalars(&lagrange(context.decryptors, party, basis), basis);
    weighted.mul_assign(&result.parts()[1], basis);
    if context.decryptors.iter().next() == Some(party) {
        weighted.add_assign(&result.parts()[0], basis);
    }
    let factors: Vec<u32> = basis.iter().map(|limb| limb.modulus().pow(2, u64::from(context.raised_bits))).collect();
    weighted.mul_scalars(&factors, basis);
    let whole = Zeroizing::new(std::mem::replace(&mut *weighted, Poly::zero(1, 1)).into_coeff(basis));
    let mut answer = Zeroizing::new(Poly::zero(context.shape.period, basis.len()));
    for limb in 0..basis.len() {
        for (k, residue) in answer.limb_mut(limb).iter_mut().enumerate() {
            *residue = whole.limb(limb)[context.shape.place(params, k)];
        }
    }
    answer
}

fn header(params: &Params, context: [u8; 32], sender: u16) -> Header {
    let plain = Header::new(Kind::ReleaseShare, params.preset, Coeff::NUMBER, params.base_limbs, 1);
    Header { epoch: context, sender, ..plain }
}
