//! What one refresh is bound to.
//!
//! Decryptors, opener and coordinator each make the context themselves. All noise, masks and blinding are expanded
//! from its digest, so that who disagrees on anything here contributes noise, and never a second share of the same.

use crate::aggregation::{Flooding, LedgerKey, MaskKey, Use};
use crate::ckks::Ciphertext;
use crate::multiparty::release_context::same;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::{CeremonyError, Crs, GateLabel, Gated, PartySet, Quorum, RefreshTarget};
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use crate::sampler::FLOODING_BITS_MAX;
use crate::stream::Expander;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// log2 of the largest coefficient, message and noise, that a refresh is made for by default.
pub const REFRESH_MESSAGE_LOG2: u32 = 39;

/// What a refresh is asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshRequest {
    /// Digest of the program that the step is of.
    pub program: [u8; 32],
    /// Step of the program, from 0.
    pub step: u32,
    /// Attempt at the step, from 0: another one takes another ciphertext.
    pub attempt: u32,
    /// Ciphertext of the step, from 0.
    pub part: u32,
    /// The hospital that reads the flooded message, a decryptor or not.
    pub opener: u16,
    /// How secure the flooding is, for how many refreshes under this key.
    pub flooding: Flooding,
    /// B, where message and noise stay below 2^B in every coefficient.
    pub message_log2: u32,
}

/// One refresh: the request, the ciphertext, the decryptors and the target.
pub struct RefreshContext {
    pub(crate) params: &'static Params,
    pub(crate) epoch: [u8; 32],
    pub(crate) parties: u16,
    pub(crate) decryptors: PartySet,
    pub(crate) ciphertext: Ciphertext,
    pub(crate) target: RefreshTarget,
    /// w: every decryptor's flooding has deviation 2^w.
    pub(crate) word_bits: u32,
    /// What nothing honest exceeds, below half the modulus.
    pub(crate) bound: u128,
    request: RefreshRequest,
    half: [u8; 32],
    digest: [u8; 32],
}

impl RefreshContext {
    /// Binds a request to its ciphertext, target and T, which may exceed the threshold.
    ///
    /// # Errors
    /// A preset that is not refreshed; a ciphertext of another preset, or not of two polynomials at the base limbs;
    /// an opener outside the parties; too few, repeated or unknown decryptors; a target that the ring or the message
    /// does not fit; [`CeremonyError::RefreshTooLarge`].
    pub fn new(
        crs: &Crs,
        quorum: Quorum,
        request: RefreshRequest,
        ciphertext: Ciphertext,
        target: RefreshTarget,
        decryptors: &[u16],
    ) -> Result<Self, CeremonyError> {
        let (params, Quorum { threshold, parties }) = (crs.params(), quorum);
        check_ciphertext(params, &ciphertext)?;
        let set = quorum.decryptors(request.opener, decryptors)?;
        target.check(params, request.message_log2)?;
        let (word_bits, bound) = range(params, &request, set.len())?;
        let (epoch, half) = (crs.epoch(), half_digest(crs, &ciphertext));
        let mut hash = Sha256::new();
        hash.update(b"he-agg/refresh/v1");
        hash.update(params.digest());
        hash.update(epoch);
        hash.update(request.program);
        for number in [request.step, request.attempt, request.part, request.message_log2, word_bits] {
            hash.update(number.to_le_bytes());
        }
        hash.update(request.flooding.security().to_le_bytes());
        hash.update(request.flooding.releases().to_le_bytes());
        hash.update(ciphertext.digest());
        for number in [threshold, parties, request.opener] {
            hash.update(number.to_le_bytes());
        }
        hash.update(set.bits().to_le_bytes());
        hash.update(target.hashed().collect::<Vec<_>>());
        let digest = hash.finalize().into();
        Ok(Self {
            params,
            epoch,
            parties,
            decryptors: set,
            ciphertext,
            target,
            word_bits,
            bound,
            request,
            half,
            digest,
        })
    }

    /// The identity of this refresh.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The decryptors T.
    pub fn decryptors(&self) -> PartySet {
        self.decryptors
    }

    /// The hospital that opens.
    pub fn opener(&self) -> u16 {
        self.request.opener
    }

    /// w, where each decryptor's flooding has deviation 2^w in units of the ciphertext's coefficients.
    pub fn flooding_log2(&self) -> u32 {
        self.word_bits
    }

    /// The exact scale of the fresh ciphertext.
    pub fn fresh_scale(&self) -> f64 {
        self.ciphertext.scale() * self.target.factor()
    }

    /// Where a gated mask, or the gated opening, of a hospital belongs.
    pub fn label(&self, what: Gated, asker: u16) -> GateLabel {
        let (number, part) = self.place();
        GateLabel { what, asker, number, part }
    }

    /// Number and part of the labels.
    pub(crate) fn place(&self) -> (u64, u32) {
        let RefreshRequest { step, attempt, part, .. } = self.request;
        (place(step, attempt), part)
    }

    /// The name under which a ledger stores that the refresh was shared in, or opened.
    pub fn ledger_key(&self, purpose: Use) -> LedgerKey {
        let RefreshRequest { step, attempt, part, .. } = self.request;
        LedgerKey { purpose, epoch: self.epoch, round: step, attempt, chunk: part }
    }

    /// The name under which a decryptor's ledger stores that the second polynomial was refreshed.
    pub fn half_key(&self) -> LedgerKey {
        let (purpose, epoch) = (Use::RefreshedHalf, self.half);
        LedgerKey { purpose, epoch, round: 0, attempt: 0, chunk: 0 }
    }

    pub(crate) fn check(&self, found: [u8; 32]) -> Result<(), CeremonyError> {
        same(found, self.digest)
    }

    /// F(G, ctx), uniform over the base limbs, which hides the sum from whoever lacks G.
    pub(crate) fn blinding(&self, group: &MaskKey) -> Zeroizing<Poly<Coeff>> {
        let expander = Expander::with_context(group.bytes(), "refresh/blinding", self.params.preset, &[], &self.digest);
        Zeroizing::new(Poly::uniform(&expander, 0, self.params.n, base(self.params)))
    }
}

/// Number of the labels of an attempt at a step.
pub(super) fn place(step: u32, attempt: u32) -> u64 {
    u64::from(attempt) << 32 | u64::from(step)
}

fn check_ciphertext(params: &Params, ciphertext: &Ciphertext) -> Result<(), CeremonyError> {
    if !params.preset.refreshes() {
        return Err(CeremonyError::NotForRefresh { preset: params.preset });
    }
    let (left, right) = (params.preset, ciphertext.preset());
    if left != right {
        return Err(CeremonyError::PresetMismatch { left, right });
    }
    let (parts, limbs, base) = (ciphertext.parts().len(), ciphertext.limbs(), params.base_limbs);
    if parts == 2 && limbs == base { Ok(()) } else { Err(CeremonyError::NotRefreshable { parts, limbs, base }) }
}

/// w, and 6 t 2^w + 2^(B+1), which must be below half the modulus: then centred residues are the integers.
fn range(params: &'static Params, request: &RefreshRequest, decryptors: u16) -> Result<(u32, u128), CeremonyError> {
    let RefreshRequest { flooding, message_log2, .. } = *request;
    let word_bits = flooding.word_bits(params.n, f64::from(message_log2).exp2());
    // Both shifts are then defined; no base level has more bits.
    let defined = word_bits.max(message_log2) < FLOODING_BITS_MAX - 9;
    let bound = defined.then(|| 6 * u128::from(decryptors) * (1 << word_bits) + (1 << (message_log2 + 1)));
    let modulus: u128 = base(params).iter().map(|limb| u128::from(limb.modulus().value())).product();
    bound.filter(|bound| *bound < modulus / 2).map(|bound| (word_bits, bound)).ok_or_else(|| {
        CeremonyError::RefreshTooLarge {
            message_log2,
            flooding_log2: word_bits,
            decryptors,
            security_bits: flooding.security(),
            refreshes: flooding.releases(),
            modulus_log2: params.log_q(params.base_limbs),
        }
    })
}

/// The identity of a second polynomial under a key, without a scale, since a share does not depend on one.
fn half_digest(crs: &Crs, ciphertext: &Ciphertext) -> [u8; 32] {
    let mut packed = Vec::new();
    ciphertext.parts()[1].pack_into(&mut packed);
    let mut hash = Sha256::new();
    hash.update(b"he-agg/refreshed half/v1");
    hash.update(crs.params().digest());
    hash.update(crs.epoch());
    hash.update(packed);
    hash.finalize().into()
}
