//! An asker's gate secret, what it encrypts, and the key that turns it to the collective secret.
//!
//! ```text
//! per digit   b_A = Z'_A + a' r_A + P g_j k_A + e',  r_A = sum of r_iA:  the key is (b_A, a)
//! c0 = m + e - a_q k_A,   a_q = expand(crs, label, limbs)
//! ```
//!
//! The phase of b_A is P g_j k_A with the noise of n + 1 errors. Towards all others together, r_AA
//! hides k_A. A gadget is 0 or 1 modulo every prime, so one key at the most limbs at which anything
//! enters serves queries and weights at all lower ones.

use crate::aggregation::VaultSecret;
use crate::backend::{Backend, Cpu, Outcome};
use crate::ckks::{Evaluator, GatedCiphertext, SwitchingKey, add_gadget, digit_count, extended_basis};
use crate::error::DecodeError;
use crate::multiparty::key_material::{KeyLabel, KeyMaterial, epoch_mismatch};
use crate::multiparty::{CeremonyError, Crs, Gate, GatePermit, GateSeed, PARTIES_MAX, PartySet};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::{Expander, Stream};
use crate::wire::{Kind, identity};
use zeroize::Zeroizing;

/// k_A, a hospital's ternary secret for all that it encrypts in one epoch; wiped on drop.
///
/// A secret of its own, never a serving secret. To keep it over a restart, keep the seed of the
/// stream it was generated from.
pub struct GateSecret {
    params: &'static Params,
    party: u16,
    /// Over the extended basis of all limbs.
    poly: Zeroizing<Poly<Eval>>,
}

impl GateSecret {
    /// A fresh secret of hospital `party`, in 1..=64; `stream` must be fresh randomness.
    ///
    /// # Errors
    /// [`CeremonyError::Party`]; an aggregation preset is refused.
    pub fn generate(preset: Preset, party: u16, stream: &mut Stream) -> Result<Self, CeremonyError> {
        Evaluator::new(preset)?;
        Self::over(preset.params(), party, stream)
    }

    pub(crate) fn over(params: &'static Params, party: u16, stream: &mut Stream) -> Result<Self, CeremonyError> {
        PartySet::of(&[party])?;
        let basis = extended_basis(params, params.q.len());
        let coefficients = sampler::ternary(stream, params.n);
        let poly = Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis));
        Ok(Self { params, party, poly })
    }

    /// The hospital's number.
    pub fn party(&self) -> u16 {
        self.party
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    #[cfg(test)]
    pub(crate) fn poly(&self) -> &Poly<Eval> {
        &self.poly
    }

    /// c0 = m + e - a_q k: the noise is e alone, one sigma. The error is expanded from the vault and
    /// from all that the permit is for, so that a repeat gives the same bytes.
    ///
    /// # Errors
    /// A permit for another hospital's label or another preset.
    pub fn encrypt(&self, permit: GatePermit<'_>, vault: &VaultSecret) -> Result<GatedCiphertext, CeremonyError> {
        let GatePermit { crs, label, plaintext, digest } = permit;
        for right in [crs.preset(), plaintext.preset()] {
            self.check_preset(right)?;
        }
        if label.asker != self.party {
            let (ours, theirs) = (u64::from(self.party), u64::from(label.asker));
            return Err(CeremonyError::Mismatch { field: "asker", ours, theirs });
        }
        let (params, limbs, scale) = (self.params, plaintext.limbs(), plaintext.scale());
        let basis = &params.q[..limbs];
        let secret = vault.expose_bytes();
        let random = Expander::with_context(&secret, "serving/gated-error", params.preset, &[], &digest);
        let error = sampler::centred_binomial(&mut random.sampler(0), params.n);
        let mut c0 = Poly::from_small(&error, basis).into_eval(basis);
        c0.add_assign(&plaintext.poly, basis);
        // The secret starts with its residues modulo P.
        let mut product = Zeroizing::new(crs.gated(label, limbs));
        product.par_limbs(basis, |index, limb, x| limb.mul(x, self.poly.limb(params.p.len() + index)));
        c0.sub_assign(&product, basis);
        Ok(GatedCiphertext { params, limbs, scale, c0 })
    }

    /// k over the first prime of P and the first `limbs` of Q.
    pub(super) fn over_planes(&self, limbs: usize) -> Poly<Eval> {
        let mut small = Poly::unset(self.params.n, limbs + 1);
        let special = self.params.p.len();
        for (index, from) in [0].into_iter().chain(special..special + limbs).enumerate() {
            small.limb_mut(index).copy_from_slice(self.poly.limb(from));
        }
        small
    }

    pub(super) fn check_preset(&self, right: Preset) -> Result<(), CeremonyError> {
        let left = self.params.preset;
        if left == right { Ok(()) } else { Err(CeremonyError::PresetMismatch { left, right }) }
    }
}

/// The switching key from one hospital's gate secret to the collective one. Public.
pub struct GateKey<B: Backend = Cpu> {
    epoch: [u8; 32],
    asker: u16,
    pub(super) key: SwitchingKey<B>,
}

impl GateKey {
    /// The key of the gate's asker, from the seeds that all hospitals dealt to it, its own among
    /// them. Once per epoch: the masks cancel in b, so two keys of one epoch and limbs show the
    /// difference of their secrets, and fresh seeds would not help. Store the bytes, and after a lost
    /// vault wait for the next epoch.
    ///
    /// # Errors
    /// A gate of another hospital, epoch or preset; seeds of not exactly hospitals 1..=n, which the
    /// asker is one of.
    pub fn generate(
        secret: &GateSecret,
        crs: &Crs,
        gate: &Gate,
        seeds: &[(u16, &GateSeed)],
        stream: &mut Stream,
    ) -> Result<Self, CeremonyError> {
        let (params, asker, limbs) = (secret.params, secret.party, gate.limbs());
        secret.check_preset(crs.preset())?;
        // An epoch is of one preset.
        if gate.0.epoch != crs.epoch() {
            return Err(epoch_mismatch(gate.0.epoch, crs.epoch()));
        }
        if gate.asker() != asker {
            let (ours, theirs) = (u64::from(asker), u64::from(gate.asker()));
            return Err(CeremonyError::Mismatch { field: "asker", ours, theirs });
        }
        // Without its own seed, the others could take the whole mask away.
        let makers = PartySet::of(&seeds.iter().map(|(maker, _)| *maker).collect::<Vec<_>>())?;
        makers.require_all(asker.max(makers.len()))?;
        let basis = extended_basis(params, limbs);
        let mut mask = Zeroizing::new(Poly::<Eval>::zero(params.n, basis.len()));
        for (maker, seed) in seeds {
            mask.add_assign(&seed.mask(crs, *maker, asker, limbs), &basis);
        }
        let [halves, masks] = crs.gate(asker, limbs, digit_count(params, limbs));
        let mut digits = Vec::with_capacity(halves.len());
        for (digit, ((a, masking), shares)) in halves.into_iter().zip(masks).zip(&gate.0.parts).enumerate() {
            let error = sampler::centred_binomial(stream, params.n);
            let mut b = Poly::from_small(&error, &basis).into_eval(&basis);
            b.add_assign(shares, &basis);
            b.mul_add(&masking, &mask, &basis);
            add_gadget(params, limbs, digit, &mut b, &secret.poly);
            digits.push([b, a]);
        }
        Ok(Self { epoch: crs.epoch(), asker, key: SwitchingKey::new(params, limbs, digits) })
    }

    /// Header and the packed first halves; the second ones are the epoch's.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: Vec<_> = self.key.digits().map(|[b, _]| b).collect();
        let label = KeyLabel { kind: Kind::GateKey, steps: 0, limbs: self.limbs(), polynomials: parts.len() };
        KeyMaterial { params: self.key.params(), epoch: self.epoch, label, sender: self.asker, parts }.to_bytes()
    }

    /// Reads a key of this epoch and expands its second halves.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let material = KeyMaterial::from_bytes(bytes, crs, Kind::GateKey, |limbs| digit_count(params, limbs))?;
        let (asker, limbs) = (material.sender, material.label.limbs);
        if asker == 0 || asker > PARTIES_MAX {
            return Err(DecodeError::Field { field: "sender", value: u64::from(asker) }.into());
        }
        let [halves, _] = crs.gate(asker, limbs, material.label.polynomials);
        let digits = material.parts.into_iter().zip(halves).map(|(b, a)| [b, a]).collect();
        Ok(Self { epoch: crs.epoch(), asker, key: SwitchingKey::new(params, limbs, digits) })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }

    /// A copy that lives on `backend`, in one transfer.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError).
    pub fn upload<B: Backend>(&self, backend: &B) -> Outcome<GateKey<B>> {
        Ok(GateKey { epoch: self.epoch, asker: self.asker, key: self.key.upload(backend)? })
    }
}

impl<B: Backend> GateKey<B> {
    /// The hospital whose secret it switches from.
    pub fn asker(&self) -> u16 {
        self.asker
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.key.params().preset
    }

    /// The most limbs of a ciphertext it serves.
    pub fn limbs(&self) -> usize {
        self.key.limbs()
    }

    pub(super) fn check_epoch(&self, crs: &Crs) -> Result<(), CeremonyError> {
        if self.epoch == crs.epoch() { Ok(()) } else { Err(epoch_mismatch(self.epoch, crs.epoch())) }
    }
}
