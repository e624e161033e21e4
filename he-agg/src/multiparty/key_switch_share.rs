//! Collective key switch of a result to the asker's public key (b', a').
//!
//! ```text
//! j in T sends   ( c1 lambda_j(T) S(j) + u_j b' + e0_j + z_j + mask_j ,  u_j a' + e1_j )
//! result         ( c0 + sum of the first, sum of the second )
//! ```
//!
//! The masks cancel over T: an incomplete set of shares is uniform to anyone without the missing
//! party's pairwise keys. The flooding z_j is added after the Lagrange weight and is full-size
//! for every party, since only an honest party's noise protects.
//! Sources: Mouchet et al., ePrint 2020/304, protocol 4; masks as in ePrint 2026/031, section 5.

use crate::aggregation::{MaskKey, VaultSecret};
use crate::ckks::{Ciphertext, refuse_other_fields};
use crate::multiparty::key_material::{epoch_mismatch, prefix};
use crate::multiparty::serving_key_share::{base, lagrange};
use crate::multiparty::{
    CeremonyError, DecryptPolicy, PARTIES_MAX, PartySet, ServingKeyShare, SwitchContext, SwitchPermit,
};
use crate::params::Params;
use crate::ring::{Domain, Eval, Poly};
use crate::sampler;
use crate::stream::Expander;
use crate::wire::{HEADER_BYTES, Header, Kind};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// One decryptor's part of a release.
pub struct KeySwitchShare {
    params: &'static Params,
    context: [u8; 32],
    sender: u16,
    parts: [Poly<Eval>; 2],
}

impl KeySwitchShare {
    /// The share of `key`'s holder. `pair_keys` are the mask keys with the other decryptors. All
    /// randomness is expanded from the holder's vault secret and the context, so that a repeat
    /// gives the same bytes.
    ///
    /// # Errors
    /// A permit for another context; a key share of another epoch, of a party outside T or not of all dealers; a
    /// missing pair key; flooding that the preset cannot take.
    pub fn generate(
        permit: SwitchPermit,
        context: &SwitchContext<'_>,
        key: &ServingKeyShare,
        policy: DecryptPolicy,
        pair_keys: &BTreeMap<u16, MaskKey>,
        vault: &VaultSecret,
    ) -> Result<Self, CeremonyError> {
        context.check(permit.digest)?;
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
        let (n, basis) = (params.n, base(params));
        let flooding = policy.flooding_over(params)?;
        let random = Expander::with_context(
            &vault.expose_bytes(),
            "serving/key-switch",
            params.preset,
            &[u64::from(party)],
            &context.digest(),
        );
        let mask = sampler::ternary(&mut random.sampler(0), n);
        let mask = Zeroizing::new(Poly::from_small(&mask, basis).into_eval(basis));
        let small = |polynomial| {
            let error = sampler::centred_binomial(&mut random.sampler(polynomial), n);
            Zeroizing::new(Poly::from_small(&error, basis).into_eval(basis))
        };

        let mut first = (*small(1)).clone();
        let mut weighted = Zeroizing::new(key.point().clone());
        weighted.mul_scalars(&lagrange(decryptors, party, basis), basis);
        first.mul_add(&context.ciphertext.parts()[1], &weighted, basis);
        first.mul_add(&mask, &context.asker.b, basis);
        if let Some(bits) = flooding {
            let noise = sampler::flooding(&mut random.sampler(3), bits, n);
            let noise = Zeroizing::new(Poly::from_signed_wide(&noise, basis).into_eval(basis));
            first.add_assign(&noise, basis);
        }
        for other in decryptors.iter().filter(|&other| other != party) {
            let pair_key = pair_keys.get(&other).ok_or(CeremonyError::MissingPairKey { party: other })?;
            let expander = Expander::with_context(
                &pair_key.expose_bytes(),
                "serving/mask",
                params.preset,
                &[u64::from(party.min(other)), u64::from(party.max(other))],
                &context.digest(),
            );
            let pair_mask = Zeroizing::new(Poly::uniform(&expander, 0, n, basis));
            if party < other {
                first.add_assign(&pair_mask, basis);
            } else {
                first.sub_assign(&pair_mask, basis);
            }
        }
        let mut second = (*small(2)).clone();
        second.mul_add(&mask, &context.asker.a, basis);
        Ok(Self { params, context: context.digest(), sender: party, parts: [first, second] })
    }

    /// The decryptor it comes from.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Header, with the context in its epoch field, and the packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = header(self.params, self.context, self.sender);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        for part in &self.parts {
            part.pack_into(&mut bytes);
        }
        bytes
    }

    /// Reads a share of this release.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Context`].
    pub fn from_bytes(bytes: &[u8], context: &SwitchContext<'_>) -> Result<Self, CeremonyError> {
        let params = context.params;
        let (found, payload) = Header::read(bytes, Kind::KeySwitchShare, params)?;
        context.check(found.epoch)?;
        refuse_other_fields(&found, &header(params, found.epoch, found.sender))?;
        let (first, second) = payload.split_at(payload.len() / 2);
        let read = |bytes| Poly::unpack(bytes, params.n, base(params));
        let parts = [read(first)?, read(second)?];
        Ok(Self { params, context: found.epoch, sender: found.sender, parts })
    }
}

fn header(params: &Params, context: [u8; 32], sender: u16) -> Header {
    let (preset, limbs) = (params.preset, params.base_limbs);
    let plain = Header::new(Kind::KeySwitchShare, preset, Eval::NUMBER, limbs, 2);
    Header { epoch: context, sender, ..plain }
}

/// The running sum of a release's shares.
pub struct SwitchSum {
    params: &'static Params,
    context: [u8; 32],
    decryptors: PartySet,
    absorbed: PartySet,
    pub(crate) result: Ciphertext,
}

impl SwitchSum {
    /// Starts from the result itself.
    pub fn new(context: &SwitchContext<'_>) -> Self {
        let mut result = context.ciphertext.clone();
        result.parts[1] = Poly::zero(context.params.n, context.params.base_limbs);
        let (params, decryptors) = (context.params, context.decryptors);
        let (context, absorbed) = (context.digest(), PartySet::default());
        Self { params, context, decryptors, absorbed, result }
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share of another release, of a party outside T, or of a party already in.
    pub fn absorb(&mut self, share: &KeySwitchShare) -> Result<(), CeremonyError> {
        if share.context != self.context {
            let (found, expected) = (prefix(&share.context), prefix(&self.context));
            return Err(CeremonyError::Context { found, expected });
        }
        if !self.decryptors.contains(share.sender) {
            let (party, parties) = (share.sender, self.decryptors.len());
            return Err(CeremonyError::Party { party, parties });
        }
        self.absorbed.insert(share.sender, PARTIES_MAX)?;
        for (sum, part) in self.result.parts.iter_mut().zip(&share.parts) {
            sum.add_assign(part, base(self.params));
        }
        Ok(())
    }

    /// The result under the asker's key.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] until every decryptor's share is in.
    pub fn finish(self) -> Result<Ciphertext, CeremonyError> {
        let missing = self.decryptors.iter().find(|&party| !self.absorbed.contains(party));
        match missing {
            Some(party) => {
                let parties = self.decryptors.len();
                Err(CeremonyError::Missing { party, parties })
            }
            None => Ok(self.result),
        }
    }
}
