//! A hospital's part in decrypting a sum.

use super::chunk_id::ChunkId;
use super::context::ShareContext;
use super::error::AggregationError;
use super::keys::{MaskKey, VaultSecret};
use super::layout::LaneLayout;
use super::ledger::SharePermit;
use super::object::{self, Length};
use super::secret::KeyShare;
use crate::params::Params;
use crate::ring::{Coeff, Eval, Modulus, Poly};
use crate::sampler;
use crate::simd::{self, Isa, Scratch};
use crate::stream::Expander;
use crate::wire::{self, Kind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Everything a hospital needs to answer share requests in one epoch.
pub struct Decryptor {
    layout: LaneLayout,
    epoch: [u8; 32],
    party: u16,
    shares: BTreeMap<u16, KeyShare>,
    pairs: BTreeMap<u16, MaskKey>,
    group: MaskKey,
    vault: VaultSecret,
    joint: Mutex<Option<Arc<JointShare>>>,
}

impl Decryptor {
    /// A hospital without shares yet.
    ///
    /// # Errors
    /// [`AggregationError::UnknownParty`].
    pub fn new(
        layout: LaneLayout,
        epoch: [u8; 32],
        party: u16,
        group: MaskKey,
        vault: VaultSecret,
    ) -> Result<Self, AggregationError> {
        layout.check_party(party)?;
        let (shares, pairs) = (BTreeMap::new(), BTreeMap::new());
        Ok(Decryptor { layout, epoch, party, shares, pairs, group, vault, joint: Mutex::new(None) })
    }

    /// Its own number.
    pub fn party(&self) -> u16 {
        self.party
    }

    /// Stores a point of some hospital's secret, its own included.
    ///
    /// # Errors
    /// [`AggregationError::ForeignObject`] for another epoch or receiver,
    /// [`AggregationError::Duplicate`] for a second one of a dealer.
    pub fn insert_share(&mut self, share: KeyShare) -> Result<(), AggregationError> {
        if share.epoch() != self.epoch || share.receiver() != self.party {
            let receiver = u32::from(share.receiver());
            return Err(AggregationError::ForeignObject { object: "key share", round: 0, attempt: 0, chunk: receiver });
        }
        let dealer = share.dealer();
        if self.shares.contains_key(&dealer) {
            return Err(AggregationError::Duplicate { object: "key share", party: dealer });
        }
        self.shares.insert(dealer, share);
        Ok(())
    }

    /// Stores the mask key shared with another hospital.
    ///
    /// # Errors
    /// [`AggregationError::UnknownParty`] or [`AggregationError::Duplicate`].
    pub fn insert_pair(&mut self, peer: u16, key: MaskKey) -> Result<(), AggregationError> {
        self.layout.check_party(peer)?;
        if peer == self.party || self.pairs.contains_key(&peer) {
            return Err(AggregationError::Duplicate { object: "mask key", party: peer });
        }
        self.pairs.insert(peer, key);
        Ok(())
    }

    /// The decryption share of one chunk.
    ///
    /// `h_j = a lambda_j(T) D_j + z_j + sum of sgn(k - j) F(K_jk) + [j = min T] F(G)`.
    /// The flooding is added after the Lagrange weight and is full-size for
    /// every party: only an honest party's noise protects. The same context
    /// always gives the same bytes.
    ///
    /// Allocates the result (4 bytes per residue, 229,376 for AGG13), 8 bytes
    /// per coefficient for the flooding, and keeps one polynomial between
    /// calls: the sum of the contributors' points.
    ///
    /// # Errors
    /// [`AggregationError::ForeignPermit`], [`AggregationError::ForeignObject`]
    /// for another epoch, [`AggregationError::NotADecryptor`], or
    /// [`AggregationError::Missing`] for a key that was never stored.
    pub fn share(&self, permit: SharePermit, context: &ShareContext) -> Result<DecryptionShare, AggregationError> {
        let ctx = context.digest();
        if permit.digest() != ctx {
            return Err(AggregationError::ForeignPermit);
        }
        if context.id().epoch != self.epoch {
            return Err(context.id().foreign("share context"));
        }
        let decryptors = context.decryptors();
        if !decryptors.contains(&self.party) {
            return Err(AggregationError::NotADecryptor { party: self.party });
        }
        let params = self.layout.params();
        let joint = self.joint_share(context)?;
        let masks = decryptors
            .iter()
            .filter(|&&peer| peer != self.party)
            .map(|&peer| {
                let key = self.pairs.get(&peer).ok_or(AggregationError::Missing { object: "mask key", party: peer })?;
                Ok((self.party < peer, mask_expander(params, key, "modeA/mask", &ctx)))
            })
            .collect::<Result<Vec<_>, AggregationError>>()?;
        let blind = (decryptors.first() == Some(&self.party)).then(|| blinding_expander(params, &self.group, context));
        let indices = [u64::from(self.party)];
        let noise = Expander::with_context(self.vault.bytes(), "modeA/flooding", params.preset, &indices, &ctx);
        let coefficients = self.layout.coefficients(context.id().chunk);
        let mut z = Scratch::new(coefficients);
        sampler::fill_flooding(&mut noise.sampler(0), self.layout.flooding_bits(), &mut z);
        let common = context.id().common_expander(params);

        let mut h = Poly::<Coeff>::unset(params.n, params.q.len());
        h.par_limbs(&params.q, |l, limb, x| {
            let m = limb.modulus();
            common.stream(0, limb.index()).fill_uniform(m.value(), x);
            limb.mul(x, joint.limb(l));
            limb.inverse(x);
            let x = &mut x[..coefficients];
            simd::add_signed(Isa::detect(), m, x, &z);
            for (add, mask) in &masks {
                let mut mask = mask.stream(0, limb.index());
                if *add { mask.add_uniform(m, x) } else { mask.sub_uniform(m, x) }
            }
            if let Some(blind) = &blind {
                blind.stream(0, limb.index()).add_uniform(m, x);
            }
        });
        // The other coefficients of the product have neither noise nor masks: they are wiped here and never leave.
        h.shorten(coefficients);
        Ok(DecryptionShare { params, id: *context.id(), context: ctx, party: self.party, h })
    }

    /// `lambda_j(T) D_j`, where `D_j` is this hospital's point of the
    /// contributors' summed secret: the same for all chunks of a release, so
    /// the last one is kept.
    fn joint_share(&self, context: &ShareContext) -> Result<Arc<JointShare>, AggregationError> {
        let (contributors, decryptors) = (context.contributors(), context.decryptors());
        let mut last = self.joint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joint) = last.as_ref().filter(|joint| joint.is_for(contributors, decryptors)) {
            return Ok(Arc::clone(joint));
        }
        let params = self.layout.params();
        let mut weighted = Zeroizing::new(Poly::zero(params.n, params.q.len()));
        for &dealer in contributors {
            let share =
                self.shares.get(&dealer).ok_or(AggregationError::Missing { object: "key share", party: dealer })?;
            weighted.add_assign(share.eval(), &params.q);
        }
        let lambda: Vec<u32> = params.q.iter().map(|limb| lagrange(limb.modulus(), decryptors, self.party)).collect();
        weighted.mul_scalars(&lambda, &params.q);
        let joint =
            Arc::new(JointShare { contributors: contributors.to_vec(), decryptors: decryptors.to_vec(), weighted });
        *last = Some(Arc::clone(&joint));
        Ok(joint)
    }
}

/// A hospital's weighted point of a joint secret.
struct JointShare {
    contributors: Vec<u16>,
    decryptors: Vec<u16>,
    weighted: Zeroizing<Poly<Eval>>,
}

impl JointShare {
    fn is_for(&self, contributors: &[u16], decryptors: &[u16]) -> bool {
        self.contributors == contributors && self.decryptors == decryptors
    }

    fn limb(&self, l: usize) -> &[u32] {
        self.weighted.limb(l)
    }
}

/// The blinding of a sum against the coordinator, `F(G, ctx)`: polynomial 0 of
/// this family, in the coefficient domain.
pub(super) fn blinding_expander(params: &Params, group: &MaskKey, context: &ShareContext) -> Expander {
    mask_expander(params, group, "modeA/blind", &context.digest())
}

/// The blinding as a polynomial.
#[cfg(test)]
pub(super) fn blinding(params: &Params, group: &MaskKey, context: &ShareContext) -> Zeroizing<Poly<Coeff>> {
    Zeroizing::new(Poly::uniform(&blinding_expander(params, group, context), 0, params.n, &params.q))
}

/// `F(K, ctx)`, uniform modulo Q, as polynomial 0.
fn mask_expander(params: &Params, key: &MaskKey, domain: &str, ctx: &[u8; 32]) -> Expander {
    Expander::with_context(key.bytes(), domain, params.preset, &[], ctx)
}

/// `lambda_j(T) = product of k / (k - j)` over the other members, modulo q.
fn lagrange(m: &Modulus, set: &[u16], party: u16) -> u32 {
    let (mut numerator, mut denominator) = (1, 1);
    for &k in set.iter().filter(|&&k| k != party) {
        numerator = m.mul(numerator, u32::from(k));
        denominator = m.mul(denominator, m.reduce_i64(i64::from(k) - i64::from(party)));
    }
    m.mul(numerator, m.inv(denominator))
}

/// One hospital's flooded and masked share of one chunk; uniform to anyone
/// who lacks the mask keys of the other decryptors.
#[derive(Clone)]
pub struct DecryptionShare {
    params: &'static Params,
    pub(super) id: ChunkId,
    pub(super) context: [u8; 32],
    pub(super) party: u16,
    pub(super) h: Poly<Coeff>,
}

impl DecryptionShare {
    /// The hospital that made it.
    pub fn party(&self) -> u16 {
        self.party
    }

    /// Digest of the context it is bound to.
    pub fn context(&self) -> [u8; 32] {
        self.context
    }

    /// The bytes that travel; the header's digest is that of the context.
    pub fn to_bytes(&self) -> Vec<u8> {
        object::write(Kind::DecryptionShare, self.params, &self.id, self.context, self.party, &self.h)
    }

    /// Reads a share of the given context.
    ///
    /// # Errors
    /// [`AggregationError::Decode`], [`AggregationError::ForeignObject`] for
    /// another context, or [`AggregationError::NotADecryptor`].
    pub fn from_bytes(bytes: &[u8], layout: &LaneLayout, context: &ShareContext) -> Result<Self, AggregationError> {
        let (id, party, h) = object::read(bytes, Kind::DecryptionShare, Length::Chunk(layout))?;
        let expected = ChunkId { epoch: context.digest(), ..*context.id() };
        if id != expected {
            return Err(id.foreign("decryption share"));
        }
        if !context.decryptors().contains(&party) {
            return Err(AggregationError::NotADecryptor { party });
        }
        let (params, context_digest) = (layout.params(), context.digest());
        Ok(DecryptionShare { params, id: *context.id(), context: context_digest, party, h })
    }

    /// SHA-256 identity of the bytes.
    pub fn identity(&self) -> [u8; 32] {
        wire::identity(&self.to_bytes())
    }
}
