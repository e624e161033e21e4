//! Collective relinearisation key (RKG), two rounds.
//!
//! ```text
//! round 1, per digit   ( -u_i a + P g s_i + e0_i ,  s_i a + e1_i ),  u_i fresh ternary
//!                      h0 = sum of the first, h1 = sum of the second
//! round 2, per digit   s_i h0 + (u_i - s_i) h1 + e2_i
//! key                  ( sum of round 2, h1 ):  phase P g s^2 + s e0 + u e1 + e2
//! ```
//!
//! Source: Mouchet et al., ePrint 2020/304, protocol 2.

use crate::ckks::{RelinearizationKey, SwitchingKey, add_gadget, digit_count, extended_basis};
use crate::multiparty::key_material::{KeyLabel, KeyMaterial, KeySum, epoch_mismatch};
use crate::multiparty::{CeremonyError, Crs, RelinWitness, ServingSecret};
use crate::params::Params;
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::Stream;
use crate::wire::Kind;
use std::marker::PhantomData;
use zeroize::Zeroizing;

/// The first round: pairs (h0, h1) per digit.
pub enum R1 {}

/// The second round: one polynomial per digit.
pub enum R2 {}

/// [`R1`] or [`R2`].
pub trait RelinRound: sealed::Sealed {
    /// Wire kind of the round's messages.
    #[doc(hidden)]
    const KIND: Kind;
    /// Polynomials per digit.
    #[doc(hidden)]
    const PER_DIGIT: usize;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::R1 {}
    impl Sealed for super::R2 {}
}

impl RelinRound for R1 {
    const KIND: Kind = Kind::RelinearizationOne;
    const PER_DIGIT: usize = 2;
}

impl RelinRound for R2 {
    const KIND: Kind = Kind::RelinearizationTwo;
    const PER_DIGIT: usize = 1;
}

fn label<R: RelinRound>(crs: &Crs, limbs: usize) -> Result<KeyLabel, CeremonyError> {
    let params = crs.params();
    let max = params.q.len();
    if limbs == 0 || limbs > max {
        return Err(CeremonyError::Limbs { limbs, max });
    }
    let polynomials = R::PER_DIGIT * digit_count(params, limbs);
    Ok(KeyLabel { kind: R::KIND, steps: 0, limbs, polynomials })
}

/// One hospital's message in round `R`.
pub struct RelinKeyShare<R> {
    material: KeyMaterial,
    round: PhantomData<R>,
}

/// The mask u_i that ties a hospital's two rounds together; used once, wiped on drop.
pub struct RelinEphemeral {
    epoch: [u8; 32],
    party: u16,
    limbs: usize,
    mask: Zeroizing<Poly<Eval>>,
    /// u_i as integers, and e0 and e1 of each digit: what the share is proved to be made of.
    coefficients: Zeroizing<Vec<i64>>,
    errors: Vec<[Zeroizing<Vec<i64>>; 2]>,
}

/// The sums h0, h1 of the first round, which every hospital needs for the second.
pub struct RelinIntermediate(KeyMaterial);

impl RelinKeyShare<R1> {
    /// The first message, and what the second needs. Once per epoch and limbs.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`], [`CeremonyError::PresetMismatch`].
    pub fn generate(
        secret: &ServingSecret,
        crs: &Crs,
        limbs: usize,
        stream: &mut Stream,
    ) -> Result<(Self, RelinEphemeral), CeremonyError> {
        secret.check_crs(crs)?;
        let params = crs.params();
        let label = label::<R1>(crs, limbs)?;
        let basis = extended_basis(params, limbs);
        let coefficients = sampler::ternary(stream, params.n);
        let mask = Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis));
        let (mut parts, mut errors) = (Vec::with_capacity(label.polynomials), Vec::new());
        for (digit, a) in crs.relinearization(limbs, digit_count(params, limbs)).iter().enumerate() {
            let (mut h0, e0) = error(params, limbs, stream);
            let mut product = Zeroizing::new(a.clone());
            product.mul_assign(&mask, &basis);
            h0.sub_assign(&product, &basis);
            add_gadget(params, limbs, digit, &mut h0, secret.poly());
            let (mut h1, e1) = error(params, limbs, stream);
            h1.mul_add(a, secret.poly(), &basis);
            parts.extend([h0, h1]);
            errors.push([e0, e1]);
        }
        let (epoch, party) = (crs.epoch(), secret.party());
        let material = KeyMaterial { params, epoch, label, sender: party, parts };
        let share = Self { material, round: PhantomData };
        Ok((share, RelinEphemeral { epoch, party, limbs, mask, coefficients, errors }))
    }
}

impl RelinKeyShare<R2> {
    /// The second message; consumes the mask of the first.
    ///
    /// # Errors
    /// [`CeremonyError::Epoch`], or [`CeremonyError::Mismatch`] if mask, sums and secret are not
    /// of one ceremony.
    pub fn generate(
        secret: &ServingSecret,
        ephemeral: RelinEphemeral,
        sums: &RelinIntermediate,
        stream: &mut Stream,
    ) -> Result<Self, CeremonyError> {
        Self::generate_with_witness(secret, ephemeral, sums, stream).map(|(share, _)| share)
    }

    /// As `generate`, with what both messages are proved to be made of.
    ///
    /// # Errors
    /// As `generate`.
    pub fn generate_with_witness(
        secret: &ServingSecret,
        ephemeral: RelinEphemeral,
        sums: &RelinIntermediate,
        stream: &mut Stream,
    ) -> Result<(Self, RelinWitness), CeremonyError> {
        let (params, limbs) = (secret.params(), sums.0.label.limbs);
        if ephemeral.epoch != sums.0.epoch {
            return Err(epoch_mismatch(sums.0.epoch, ephemeral.epoch));
        }
        for (field, ours, theirs) in
            [("limbs", ephemeral.limbs, limbs), ("party", usize::from(secret.party()), usize::from(ephemeral.party))]
        {
            if ours != theirs {
                let (ours, theirs) = (ours as u64, theirs as u64);
                return Err(CeremonyError::Mismatch { field, ours, theirs });
            }
        }
        let basis = extended_basis(params, limbs);
        // u_i - s_i.
        let mut difference = Zeroizing::new((*ephemeral.mask).clone());
        difference.sub_assign(secret.poly(), &basis);
        let one = |pair: &[Poly<Eval>]| {
            let (mut part, e2) = error(params, limbs, stream);
            part.mul_add(&pair[0], secret.poly(), &basis);
            part.mul_add(&pair[1], &difference, &basis);
            (part, e2)
        };
        let (parts, seconds): (Vec<_>, Vec<_>) = sums.0.parts.chunks_exact(2).map(one).unzip();
        let errors = ephemeral.errors.into_iter().zip(seconds).map(|([e0, e1], e2)| [e0, e1, e2]);
        let witness = RelinWitness::new(secret.coefficients(), ephemeral.coefficients, errors);
        let kind = Kind::RelinearizationTwo;
        let label = KeyLabel { kind, steps: 0, limbs, polynomials: parts.len() };
        let (epoch, sender) = (sums.0.epoch, secret.party());
        let material = KeyMaterial { params, epoch, label, sender, parts };
        Ok((Self { material, round: PhantomData }, witness))
    }
}

impl<R: RelinRound> RelinKeyShare<R> {
    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// What a hospital that deviates sends.
    #[cfg(test)]
    pub(crate) fn material_mut(&mut self) -> &mut KeyMaterial {
        &mut self.material
    }

    /// The hospital it comes from.
    pub fn sender(&self) -> u16 {
        self.material.sender
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.material.to_bytes()
    }

    /// Reads a share of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let polynomials = |limbs| R::PER_DIGIT * digit_count(params, limbs);
        let material = KeyMaterial::from_bytes(bytes, crs, R::KIND, polynomials)?;
        Ok(Self { material, round: PhantomData })
    }
}

/// The sum of all shares of one round.
pub struct RelinKeySum<R> {
    sum: KeySum,
    round: PhantomData<R>,
}

impl<R: RelinRound> RelinKeySum<R> {
    /// An empty sum over hospitals 1..=`parties`.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`] or [`CeremonyError::Party`].
    pub fn new(crs: &Crs, limbs: usize, parties: u16) -> Result<Self, CeremonyError> {
        let sum = KeySum::new(crs, label::<R>(crs, limbs)?, parties)?;
        Ok(Self { sum, round: PhantomData })
    }

    /// Adds one share.
    ///
    /// # Errors
    /// A share of another epoch, preset or key, or of a party already in.
    pub fn absorb(&mut self, share: &RelinKeyShare<R>) -> Result<(), CeremonyError> {
        self.sum.absorb(&share.material)
    }
}

impl RelinKeySum<R1> {
    /// The sums for the second round.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`].
    pub fn finish(self) -> Result<RelinIntermediate, CeremonyError> {
        Ok(RelinIntermediate(self.sum.finish()?.1))
    }
}

impl RelinKeySum<R2> {
    /// The relinearisation key; `sums` are those of the first round.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`], or [`CeremonyError::Mismatch`] of limbs.
    pub fn finish(self, sums: &RelinIntermediate) -> Result<RelinearizationKey, CeremonyError> {
        let (crs, material) = self.sum.finish()?;
        if sums.0.epoch != crs.epoch() {
            return Err(epoch_mismatch(sums.0.epoch, crs.epoch()));
        }
        let (ours, theirs) = (material.label.limbs as u64, sums.0.label.limbs as u64);
        if ours != theirs {
            return Err(CeremonyError::Mismatch { field: "limbs", ours, theirs });
        }
        let seconds = sums.0.parts.iter().skip(1).step_by(2).cloned();
        let digits = material.parts.into_iter().zip(seconds).map(|(b, a)| [b, a]).collect();
        let (params, limbs) = (material.params, material.label.limbs);
        Ok(RelinearizationKey { key: SwitchingKey::new(params, limbs, digits) })
    }
}

impl RelinIntermediate {
    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.0
    }

    /// Header and packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Reads the sums of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let share = RelinKeyShare::<R1>::from_bytes(bytes, crs)?;
        share.material.require_sum()?;
        Ok(Self(share.material))
    }
}

impl RelinearizationKey {
    /// Header and both packed halves: this key has no seed.
    pub fn to_bytes(&self, crs: &Crs) -> Vec<u8> {
        let (params, epoch, limbs) = (self.key.params(), crs.epoch(), self.key.limbs());
        let parts: Vec<_> = self.key.digits().flatten().collect();
        let kind = Kind::RelinearizationTwo;
        let label = KeyLabel { kind, steps: 0, limbs, polynomials: parts.len() };
        KeyMaterial { params, epoch, label, sender: 0, parts }.to_bytes()
    }

    /// Reads a key of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let polynomials = |limbs| 2 * digit_count(params, limbs);
        let material = KeyMaterial::from_bytes(bytes, crs, Kind::RelinearizationTwo, polynomials)?;
        material.require_sum()?;
        let limbs = material.label.limbs;
        let mut parts = material.parts.into_iter();
        let mut digits = Vec::new();
        while let (Some(b), Some(a)) = (parts.next(), parts.next()) {
            digits.push([b, a]);
        }
        Ok(Self { key: SwitchingKey::new(params, limbs, digits) })
    }
}

/// A fresh error over the extended basis of `limbs`, and as integers.
fn error(params: &Params, limbs: usize, stream: &mut Stream) -> (Poly<Eval>, Zeroizing<Vec<i64>>) {
    let basis = extended_basis(params, limbs);
    let values = sampler::centred_binomial(stream, params.n);
    (Poly::from_small(&values, &basis).into_eval(&basis), values)
}
