//! Queries under the asker's own secret: one polynomial and a seed instead of two polynomials.
//!
//! The asker encrypts under a secret of its own, and once per session hands over a switching key
//! from that secret to the collective one: encryptions of P g_j s' under the collective *public*
//! key, so that no hospital takes part. The evaluator switches each query once, at its top level.
//! Towards the holder of all other secrets, s' is hidden by ring-LWE like a message; it must be a
//! secret of its own, never a hospital's, whose part of s the collective secret contains.

use crate::backend::{Backend, Digits, KeySwitch};
use crate::ckks::{
    Ciphertext, CkksError, Evaluator, Plaintext, PublicKey, SeededCiphertext, SwitchingKey, add_gadget, check_key,
    digit_count, extended_basis, only, second_half,
};
use crate::multiparty::key_material::{KeyLabel, KeyMaterial};
use crate::multiparty::{CeremonyError, Crs};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::Stream;
use crate::wire::Kind;
use zeroize::Zeroizing;

/// An asker's ternary secret for queries, fresh for every session; wiped on drop.
pub struct QuerySecret {
    params: &'static Params,
    /// Over the extended basis of all limbs.
    pub(crate) poly: Zeroizing<Poly<Eval>>,
}

impl QuerySecret {
    /// A fresh secret; `stream` must be fresh randomness.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for an aggregation preset.
    pub fn generate(preset: Preset, stream: &mut Stream) -> Result<Self, CkksError> {
        Evaluator::new(preset)?;
        Ok(Self::over(preset.params(), stream))
    }

    pub(crate) fn over(params: &'static Params, stream: &mut Stream) -> Self {
        let basis = extended_basis(params, params.q.len());
        let coefficients = sampler::ternary(stream, params.n);
        Self { params, poly: Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis)) }
    }

    /// c0 = m + e - a s' with a fresh seed for `a`: the noise is e alone, one sigma.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn encrypt(&self, plaintext: &Plaintext, stream: &mut Stream) -> Result<SeededCiphertext, CkksError> {
        let (left, right) = (self.params.preset, plaintext.preset());
        if left != right {
            return Err(CkksError::PresetMismatch { left, right });
        }
        let (params, limbs) = (self.params, plaintext.limbs());
        let basis = &params.q[..limbs];
        let seed = stream.seed();
        let error = sampler::centred_binomial(stream, params.n);
        let mut c0 = Poly::from_small(&error, basis).into_eval(basis);
        c0.add_assign(&plaintext.poly, basis);
        // The secret starts with its residues modulo P.
        let a = second_half(params, limbs, &seed);
        let mut product = Zeroizing::new(a);
        product.par_limbs(basis, |index, limb, x| limb.mul(x, self.poly.limb(params.p.len() + index)));
        c0.sub_assign(&product, basis);
        Ok(SeededCiphertext { params, limbs, scale: plaintext.scale(), seed, c0 })
    }
}

/// A switching key from an asker's secret to the collective one, for queries of up to some limbs.
pub struct QueryKey {
    epoch: [u8; 32],
    key: SwitchingKey,
}

impl QueryKey {
    /// Per digit j (u b + e0 + P g_j s', u a + e1) modulo P Q_l, with (b, a) the public key of the
    /// epoch. Its noise is u e + e0 + e1 s, about that of a relinearisation key.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`], [`CeremonyError::PresetMismatch`].
    pub fn generate(
        secret: &QuerySecret,
        public: &PublicKey,
        crs: &Crs,
        limbs: usize,
        stream: &mut Stream,
    ) -> Result<Self, CeremonyError> {
        let params = secret.params;
        for right in [public.preset(), crs.preset()] {
            if params.preset != right {
                return Err(CeremonyError::PresetMismatch { left: params.preset, right });
            }
        }
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CeremonyError::Limbs { limbs, max });
        }
        let basis = extended_basis(params, limbs);
        let small = |values: &[i64]| Zeroizing::new(Poly::from_small(values, &basis).into_eval(&basis));
        let digits = (0..digit_count(params, limbs)).map(|digit| {
            let u = small(&sampler::ternary(stream, params.n));
            let mut pair = [&public.b, &public.a].map(|half| {
                let error = sampler::centred_binomial(stream, params.n);
                let mut sum = Poly::from_small(&error, &basis).into_eval(&basis);
                sum.mul_add(&u, half, &basis);
                sum
            });
            add_gadget(params, limbs, digit, &mut pair[0], &secret.poly);
            pair
        });
        let digits = digits.collect();
        Ok(Self { epoch: crs.epoch(), key: SwitchingKey::new(params, limbs, digits) })
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.key.params().preset
    }

    #[cfg(test)]
    pub(crate) fn switching_key(&self) -> &SwitchingKey {
        &self.key
    }

    /// The most limbs of a query it serves.
    pub fn limbs(&self) -> usize {
        self.key.limbs()
    }

    /// Header and both packed halves of every digit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: Vec<_> = self.key.digits().flatten().collect();
        let label = KeyLabel { kind: Kind::QueryKey, steps: 0, limbs: self.limbs(), polynomials: parts.len() };
        KeyMaterial { params: self.key.params(), epoch: self.epoch, label, sender: 0, parts }.to_bytes()
    }

    /// Reads a key for the collective secret of this epoch.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Epoch`].
    pub fn from_bytes(bytes: &[u8], crs: &Crs) -> Result<Self, CeremonyError> {
        let params = crs.params();
        let material = KeyMaterial::from_bytes(bytes, crs, Kind::QueryKey, |limbs| 2 * digit_count(params, limbs))?;
        material.require_sum()?;
        let mut parts = material.parts.into_iter();
        let digits = std::iter::from_fn(|| Some([parts.next()?, parts.next()?])).collect();
        Ok(Self { epoch: crs.epoch(), key: SwitchingKey::new(params, material.label.limbs, digits) })
    }
}

impl Evaluator {
    /// A query under the asker's secret as a ciphertext under the collective one: one key switch.
    ///
    /// # Errors
    /// A query or key of another preset, a key trimmed below the query.
    pub fn switch_to_collective(&self, query: &SeededCiphertext, key: &QueryKey) -> Result<Ciphertext, CkksError> {
        self.check_preset(query.preset())?;
        self.check_preset(key.preset())?;
        check_key(&key.key, query.limbs)?;
        let SeededCiphertext { params, limbs, scale, .. } = *query;
        let digits = &second_half(params, limbs, &query.seed);
        let addends = [Some(&query.c0), None];
        let switch = KeySwitch { digits: Digits::Of(digits), key: &key.key, own: None, addends, automorphism: None };
        let parts = only(self.backend.key_switch(limbs, limbs, &[switch])?)?;
        Ok(Ciphertext { params, limbs, scale, parts: parts.into() })
    }
}
