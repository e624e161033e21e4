//! What the tests of refreshes share: hospitals with gates whose secrets are dealt, a ledger that fails when told to,
//! and a whole refresh.

use super::gates::{Gates, centred, integers, modulus};
use crate::aggregation::{Claim, Flooding, LedgerKey, MaskKey, MemoryLedger, ReleaseLedger, VaultSecret};
use crate::ckks::{Ciphertext, GatedCiphertext};
use crate::multiparty::ideal::toy;
use crate::multiparty::{
    BlindedRefresh, CeremonyError, GateHolder, GateHolderError, OpeningPermit, Quorum, RefreshContext,
    RefreshEmbedding, RefreshKeys, RefreshPermit, RefreshRequest, RefreshShare, RefreshSum, RefreshTarget, Refreshed,
    ServingKeyShare,
};
use crate::params::{Params, Preset};
use num_bigint::BigInt;

/// Degree of the small ring, as log2.
pub(super) const LOG_N: u32 = 6;

/// The share and the gated mask of one decryptor.
pub(super) type Shared = (RefreshShare, GatedCiphertext);

pub(super) fn flooding(releases: u64) -> Flooding {
    Flooding::secure(48, releases).unwrap()
}

pub(super) fn ledger() -> MemoryLedger {
    MemoryLedger::new(flooding(4096))
}

pub(super) fn request() -> RefreshRequest {
    let (program, flooding) = ([3; 32], flooding(4096));
    RefreshRequest { program, step: 5, attempt: 1, part: 2, opener: 1, flooding, message_log2: 39 }
}

/// Hospitals of a key to train under. What they refresh comes out under the same key, or under `serving`.
pub(super) struct Training {
    pub(super) own: Gates,
    pub(super) serving: Option<Gates>,
    pub(super) quorum: Quorum,
    pub(super) shares: Vec<ServingKeyShare>,
}

impl Training {
    pub(super) fn new(parties: u16, threshold: u16) -> Self {
        Self::over(toy(Preset::Trn14, LOG_N), parties, threshold)
    }

    pub(super) fn over(params: &'static Params, parties: u16, threshold: u16) -> Self {
        let own = Gates::new(params, parties, params.q.len());
        let shares = own.c.deal(threshold);
        Self { own, serving: None, quorum: Quorum { threshold, parties }, shares }
    }

    /// With a key to serve under, over a ring of twice the degree.
    pub(super) fn with_serving(parties: u16, threshold: u16) -> Self {
        let serving = toy(Preset::Inf15x90, LOG_N + 1);
        let serving = Some(Gates::new(serving, parties, serving.base_limbs + serving.limbs_per_level));
        Self { serving, ..Self::new(parties, threshold) }
    }

    /// Random values at scale 2^20 and the base level: coefficients below 2^26.
    pub(super) fn ciphertext(&mut self) -> Ciphertext {
        let values = self.own.c.random_values(50.0);
        self.own.c.encrypt(&values, 20f64.exp2(), self.own.c.params.base_limbs)
    }

    /// Where refreshes lead.
    pub(super) fn gates(&self) -> &Gates {
        self.serving.as_ref().unwrap_or(&self.own)
    }

    pub(super) fn target(&self) -> RefreshTarget {
        let gates = self.gates();
        let embedding = match &self.serving {
            None => RefreshEmbedding::SameRing,
            Some(_) => RefreshEmbedding::DoubledRing { factor_log2: 60 },
        };
        RefreshTarget::new(&gates.c.crs, gates.limbs, embedding).unwrap()
    }

    pub(super) fn try_context(
        &self,
        request: RefreshRequest,
        ciphertext: &Ciphertext,
        set: &[u16],
    ) -> Result<RefreshContext, CeremonyError> {
        RefreshContext::new(&self.own.c.crs, self.quorum, request, ciphertext.clone(), self.target(), set)
    }

    pub(super) fn context(&self, ciphertext: &Ciphertext, set: &[u16]) -> RefreshContext {
        self.try_context(request(), ciphertext, set).unwrap()
    }

    pub(super) fn group(&self) -> MaskKey {
        MaskKey::from_bytes([0x47; 32])
    }

    /// Hospital `party` behind its gate of the target key.
    pub(super) fn holder<'a, L>(&'a self, party: u16, vault: &'a VaultSecret, ledger: &'a mut L) -> GateHolder<'a, L> {
        let gates = self.gates();
        GateHolder { secret: &gates.secrets[usize::from(party) - 1], crs: &gates.c.crs, vault, ledger }
    }

    /// Claims, then makes what hospital `party` sends.
    pub(super) fn share<L: ReleaseLedger>(
        &self,
        context: &RefreshContext,
        party: u16,
        ledger: &mut L,
    ) -> Result<Shared, GateHolderError<L::Error>> {
        let permit = RefreshPermit::claim(ledger, context)?;
        self.share_with(permit, context, party, ledger)
    }

    pub(super) fn share_with<L: ReleaseLedger>(
        &self,
        permit: RefreshPermit,
        context: &RefreshContext,
        party: u16,
        ledger: &mut L,
    ) -> Result<Shared, GateHolderError<L::Error>> {
        let (vault, group, pairs) = (vault(party), self.group(), self.own.c.pair_keys(party));
        let key = &self.shares[usize::from(party) - 1];
        let keys = RefreshKeys { key, pairs: &pairs, group: &group, vault: &vault };
        RefreshShare::generate(permit, context, keys, &mut self.holder(party, &vault, ledger))
    }

    /// Claims, then opens, as hospital `party`.
    pub(super) fn open<L: ReleaseLedger>(
        &self,
        context: &RefreshContext,
        sum: &BlindedRefresh,
        party: u16,
        ledger: &mut L,
    ) -> Result<GatedCiphertext, GateHolderError<L::Error>> {
        let permit = OpeningPermit::claim(ledger, context, sum)?;
        let vault = vault(party);
        sum.open(permit, context, &self.group(), &mut self.holder(party, &vault, ledger))
    }

    /// What all of T send, each from an empty ledger.
    pub(super) fn all_shares(&self, context: &RefreshContext) -> Vec<Shared> {
        context.decryptors().iter().map(|party| self.share(context, party, &mut ledger()).unwrap()).collect()
    }

    /// The sum of shares, everything through its bytes.
    pub(super) fn sum(&self, context: &RefreshContext, shares: &[Shared]) -> Result<BlindedRefresh, CeremonyError> {
        let mut sum = RefreshSum::new(context);
        for (share, _) in shares {
            sum.absorb(&RefreshShare::from_bytes(&share.to_bytes(), context)?)?;
        }
        BlindedRefresh::from_bytes(&sum.finish()?.to_bytes(), context)
    }

    /// The fresh ciphertext from the masks and the opening.
    pub(super) fn fresh(
        &self,
        context: &RefreshContext,
        shares: &[Shared],
        opening: &GatedCiphertext,
    ) -> Result<Ciphertext, CeremonyError> {
        let gates = self.gates();
        let mut fresh = Refreshed::new(gates.c.evaluator, context)?;
        for (share, mask) in shares {
            fresh.absorb_mask(mask, &gates.keys[usize::from(share.sender()) - 1])?;
        }
        fresh.absorb_opening(opening, &gates.keys[usize::from(context.opener()) - 1])?;
        fresh.finish()
    }

    pub(super) fn refresh(&self, context: &RefreshContext) -> Ciphertext {
        let shares = self.all_shares(context);
        let sum = self.sum(context, &shares).unwrap();
        let opening = self.open(context, &sum, context.opener(), &mut ledger()).unwrap();
        self.fresh(context, &shares, &opening).unwrap()
    }

    /// The fresh phase minus the embedded phase of the ciphertext, in big integers.
    pub(super) fn errors(&self, ciphertext: &Ciphertext, fresh: &Ciphertext) -> Vec<BigInt> {
        let basis = &self.gates().c.params.q[..fresh.limbs()];
        let (stride, factor) = if self.serving.is_some() { (2, 1_u64 << 60) } else { (1, 1) };
        let mut phase = integers(&self.gates().c.decrypt(fresh).poly, basis);
        let message = self.own.phase(ciphertext);
        phase.iter_mut().step_by(stride).zip(message).for_each(|(x, m)| *x -= m * factor);
        phase.into_iter().map(|x| centred(x, &modulus(basis))).collect()
    }
}

pub(super) fn vault(party: u16) -> VaultSecret {
    VaultSecret::from_bytes([party as u8; 32])
}

/// A big integer as a float, exact below 2^53.
pub(super) fn float(x: &BigInt) -> f64 {
    x.to_string().parse().unwrap()
}

/// When the process ends, around the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// Nothing was stored.
    Before,
    /// The claim is on disk, and nobody heard of it.
    After,
}

/// A ledger whose process is killed at its k-th claim, from 0.
pub(super) struct Killed {
    pub(super) stored: MemoryLedger,
    pub(super) at: usize,
    pub(super) crash: Crash,
    pub(super) claims: usize,
}

impl Killed {
    pub(super) fn new(at: usize, crash: Crash) -> Self {
        Self { stored: ledger(), at, crash, claims: 0 }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kill;

impl ReleaseLedger for Killed {
    type Error = Kill;

    fn claim(&mut self, key: &LedgerKey, value: [u8; 32]) -> Result<Claim, Kill> {
        let is_now = self.claims == self.at;
        self.claims += 1;
        if is_now && self.crash == Crash::Before {
            return Err(Kill);
        }
        let claim = self.stored.claim(key, value).map_err(|never| match never {})?;
        if is_now { Err(Kill) } else { Ok(claim) }
    }
}
