//! Shamir points of the serving secrets, over the base limbs only.
//!
//! Results are released at the base level, so nothing else needs sharing; new evaluation keys
//! need all hospitals again. Hospital i deals S_i(Y) = s'_i + sum_d R_d Y^d, R_d uniform, and
//! sends S_i(j) to hospital j; j keeps the sum over all dealers, S(j).
//! Source: Shamir, "How to share a secret", CACM 22 (1979), over R_Q as in Mouchet et al., "An
//! efficient threshold access-structure for RLWE-based multiparty homomorphic encryption",
//! ePrint 2022/780.

use crate::ckks::refuse_other_fields;
use crate::error::DecodeError;
use crate::multiparty::key_material::epoch_mismatch;
use crate::multiparty::{CeremonyError, Crs, PARTIES_MAX, PartySet, ServingSecret};
use crate::params::Params;
use crate::ring::{Domain, Eval, Limb, Poly};
use crate::stream::Stream;
use crate::wire::{HEADER_BYTES, Header, Kind};
use zeroize::Zeroizing;

/// One point of one dealer's secret, or of the sum of several dealers' secrets. Wiped on drop.
pub struct ServingKeyShare {
    params: &'static Params,
    epoch: [u8; 32],
    holder: u16,
    dealers: PartySet,
    point: Zeroizing<Poly<Eval>>,
}

impl ServingSecret {
    /// Deals one point to each of hospitals 1..=`parties`: any `threshold` of them determine the
    /// secret, fewer nothing. Once per epoch; `stream` must be fresh randomness.
    ///
    /// # Errors
    /// [`CeremonyError::Threshold`], [`CeremonyError::Party`], [`CeremonyError::PresetMismatch`].
    pub fn share_points(
        &self,
        crs: &Crs,
        threshold: u16,
        parties: u16,
        stream: &mut Stream,
    ) -> Result<Vec<ServingKeyShare>, CeremonyError> {
        self.check_crs(crs)?;
        let dealers = PartySet::of(&[self.party()])?;
        let everyone = PartySet::all(parties)?;
        check_threshold(threshold, parties)?;
        if self.party() > parties {
            return Err(CeremonyError::Party { party: self.party(), parties });
        }
        let params = self.params();
        let basis = base(params);
        let coefficients: Vec<Zeroizing<Poly<Eval>>> = (1..threshold)
            .map(|_| {
                let mut uniform = Zeroizing::new(Poly::zero(params.n, basis.len()));
                for (index, limb) in basis.iter().enumerate() {
                    stream.fill_uniform(limb.modulus().value(), uniform.limb_mut(index));
                }
                uniform
            })
            .collect();
        let specials = params.p.len();
        let deal = |holder: u16| {
            let mut point = Zeroizing::new(Poly::<Eval>::zero(params.n, basis.len()));
            point.par_limbs(basis, |index, limb, value| {
                // Horner in the holder's number.
                for coefficient in coefficients.iter().rev() {
                    limb.add(value, coefficient.limb(index));
                    limb.mul_scalar(value, u32::from(holder));
                }
                limb.add(value, self.poly().limb(specials + index));
            });
            ServingKeyShare { params, epoch: crs.epoch(), holder, dealers, point }
        };
        Ok(everyone.iter().map(deal).collect())
    }
}

impl ServingKeyShare {
    /// The hospital it belongs to, whose number is the evaluation point.
    pub fn holder(&self) -> u16 {
        self.holder
    }

    /// The hospitals whose secrets it is a point of the sum of.
    pub fn dealers(&self) -> PartySet {
        self.dealers
    }

    /// Adds a point of another dealer for the same holder.
    ///
    /// # Errors
    /// Another epoch, preset or holder, or a dealer already in.
    pub fn absorb(&mut self, other: &ServingKeyShare) -> Result<(), CeremonyError> {
        let (left, right) = (self.params.preset, other.params.preset);
        if left != right {
            return Err(CeremonyError::PresetMismatch { left, right });
        }
        if self.epoch != other.epoch {
            return Err(epoch_mismatch(other.epoch, self.epoch));
        }
        if self.holder != other.holder {
            let (ours, theirs) = (u64::from(self.holder), u64::from(other.holder));
            return Err(CeremonyError::Mismatch { field: "holder", ours, theirs });
        }
        let mut dealers = self.dealers;
        for dealer in other.dealers.iter() {
            dealers.insert(dealer, PARTIES_MAX)?;
        }
        self.point.add_assign(&other.point, base(self.params));
        self.dealers = dealers;
        Ok(())
    }

    /// Secret bytes, only ever for sealing to the holder or for the holder's own vault.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let header = header(self.params, self.epoch, self.holder, self.dealers);
        let capacity = HEADER_BYTES + header.payload_len(self.params.n);
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        header.write(&mut bytes);
        self.point.pack_into(&mut bytes);
        bytes
    }

    /// Reads a share of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let (found, payload) = Header::read(bytes, Kind::ServingShare, params)?;
        if found.epoch != crs.epoch() {
            return Err(epoch_mismatch(found.epoch, crs.epoch()));
        }
        let dealers = PartySet::from_bits(u64::from(found.attempt) | u64::from(found.chunk) << 32);
        let holder = found.sender;
        if holder == 0 || holder > PARTIES_MAX {
            return Err(DecodeError::Field { field: "sender", value: u64::from(holder) }.into());
        }
        if dealers.is_empty() {
            return Err(DecodeError::Field { field: "attempt", value: 0 }.into());
        }
        refuse_other_fields(&found, &header(params, crs.epoch(), holder, dealers))?;
        let point = Zeroizing::new(Poly::unpack(payload, params.n, base(params))?);
        Ok(Self { params, epoch: crs.epoch(), holder, dealers, point })
    }

    pub(crate) fn epoch(&self) -> [u8; 32] {
        self.epoch
    }

    pub(crate) fn point(&self) -> &Poly<Eval> {
        &self.point
    }
}

/// The dealers travel as a bit mask in the attempt and chunk fields.
fn header(params: &Params, epoch: [u8; 32], holder: u16, dealers: PartySet) -> Header {
    Header {
        epoch,
        attempt: dealers.bits() as u32,
        chunk: (dealers.bits() >> 32) as u32,
        sender: holder,
        ..Header::new(Kind::ServingShare, params.preset, Eval::NUMBER, params.base_limbs, 1)
    }
}

/// The primes over which results are released.
pub(crate) fn base(params: &'static Params) -> &'static [Limb] {
    &params.q[..params.base_limbs]
}

/// A threshold must exceed half of the parties, so that two disjoint sets cannot both release.
pub(crate) fn check_threshold(threshold: u16, parties: u16) -> Result<(), CeremonyError> {
    if 2 * threshold > parties && threshold <= parties {
        Ok(())
    } else {
        Err(CeremonyError::Threshold { threshold, parties })
    }
}

/// lambda_j(T) = prod_{k in T, k != j} k / (k - j) modulo each base prime.
pub(crate) fn lagrange(decryptors: PartySet, party: u16, basis: &[Limb]) -> Vec<u32> {
    let factor = |limb: &Limb| {
        let modulus = limb.modulus();
        let mut product = 1;
        for other in decryptors.iter().filter(|&other| other != party) {
            let difference = modulus.reduce_i64(i64::from(other) - i64::from(party));
            let ratio = modulus.mul(u32::from(other), modulus.inv(difference));
            product = modulus.mul(product, ratio);
        }
        product
    };
    basis.iter().map(factor).collect()
}
