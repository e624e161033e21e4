//! Decryption by a trusted holder: one party that alone made the collective key.

use crate::ckks::{Ciphertext, CkksError, Plaintext, PublicKey, centred, decrypt, extended_basis};
use crate::multiparty::{CeremonyError, PartySet, ServingSecret};
use crate::params::Params;
use crate::ring::{Eval, Poly};
use crate::stream::Stream;
use zeroize::Zeroizing;

/// log2 of the largest coefficient that a holder refreshes: what a float holds exactly.
const REFRESHED_LOG2: f64 = 52.0;

/// The whole secret of a key ceremony of one party.
///
/// Under the key of several parties it decrypts to noise. What it decrypts must not leave the
/// holder: an approximate result reveals the key (Li, Micciancio, ePrint 2020/1533).
pub struct HolderKey {
    params: &'static Params,
    /// Over the extended basis of all limbs.
    secret: Zeroizing<Poly<Eval>>,
}

impl HolderKey {
    /// Takes over the secret once the ceremony is complete.
    pub fn new(secret: ServingSecret) -> Self {
        Self { params: secret.params(), secret: Zeroizing::new(secret.poly().clone()) }
    }

    /// The whole secret of a ceremony of several parties that all took place here, as in a measurement.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] unless they are parties 1, 2, ...; [`CeremonyError::PresetMismatch`].
    pub fn of_all(secrets: &[ServingSecret]) -> Result<Self, CeremonyError> {
        let [first, others @ ..] = secrets else { return Err(CeremonyError::Missing { party: 1, parties: 1 }) };
        let params = first.params();
        let parties = PartySet::of(&secrets.iter().map(ServingSecret::party).collect::<Vec<_>>())?;
        parties.require_all(parties.len())?;
        let mut secret = Zeroizing::new(first.poly().clone());
        for other in others {
            let (left, right) = (first.preset(), other.preset());
            if left != right {
                return Err(CeremonyError::PresetMismatch { left, right });
            }
            secret.add_assign(other.poly(), &extended_basis(params, params.q.len()));
        }
        Ok(Self { params, secret })
    }

    /// The message with its noise.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Plaintext, CkksError> {
        let (left, right) = (self.params.preset, ciphertext.preset());
        if left != right {
            return Err(CkksError::PresetMismatch { left, right });
        }
        Ok(decrypt(ciphertext, &self.secret, self.params.p.len()))
    }

    /// The same coefficients, message and noise, freshly encrypted with `limbs` primes: what several hospitals do
    /// together where nobody holds the key.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], [`CkksError::Limbs`], [`CkksError::Overflow`] for coefficients beyond 2^52.
    pub fn refresh(
        &self,
        ciphertext: &Ciphertext,
        (public, limbs): (&PublicKey, usize),
        stream: &mut Stream,
    ) -> Result<Ciphertext, CkksError> {
        let Plaintext { params, limbs: from, scale, poly } = self.decrypt(ciphertext)?;
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CkksError::Limbs { limbs, max });
        }
        let basis = &params.q[..from];
        let coefficients = Zeroizing::new(centred(&poly.into_coeff(basis), basis));
        let largest = coefficients.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let limit_log2 = REFRESHED_LOG2.min(params.log_q(limbs) - 1.0);
        if largest.log2() >= limit_log2 {
            return Err(CkksError::Overflow { magnitude_log2: largest.log2(), limit_log2, limbs });
        }
        let whole = Zeroizing::new(coefficients.iter().map(|x| *x as i64).collect::<Vec<_>>());
        let basis = &params.q[..limbs];
        let poly = Poly::from_signed(&whole, basis).into_eval(basis);
        public.encrypt(&Plaintext { params, limbs, scale, poly }, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::{Encoder, Evaluator};
    use crate::multiparty::{Collective, Crs, KeyPlan};
    use crate::params::Preset;

    const PRESET: Preset = Preset::Inf13;

    #[test]
    fn all_secrets_of_a_ceremony_decrypt_and_refresh_what_its_key_encrypted() {
        let mut stream = Stream::from_seed([1; 32]);
        let made = Collective::new(Crs::new(PRESET, [2; 32]), 3, &KeyPlan::default(), &mut stream).unwrap();
        let (encoder, evaluator) = (Encoder::new(PRESET).unwrap(), Evaluator::new(PRESET).unwrap());
        let scale = PRESET.params().scale();
        let plain = encoder.encode(&[0.5, -2.0], scale, 4).unwrap();
        let low = evaluator.drop_to(&made.public.encrypt(&plain, &mut stream).unwrap(), 2).unwrap();
        let holder = HolderKey::of_all(&made.secrets).unwrap();
        let fresh = holder.refresh(&low, (&made.public, 6), &mut stream).unwrap();
        assert_eq!((fresh.limbs(), fresh.scale()), (6, scale));
        let values = encoder.decode(&holder.decrypt(&fresh).unwrap()).unwrap();
        assert!((values[0] - 0.5).abs() < 1e-3 && (values[1] + 2.0).abs() < 1e-3, "{values:?}");

        let large = encoder.encode(&[2f64.powi(24)], scale, 4).unwrap();
        let large = evaluator.drop_to(&made.public.encrypt(&large, &mut stream).unwrap(), 2).unwrap();
        // All of a slot's weight lies in N/2 coefficients: that is 2^54 over 2^12.
        assert!(holder.refresh(&large, (&made.public, 6), &mut stream).is_ok());
        let refused = holder.refresh(&large, (&made.public, 1), &mut stream).err();
        assert!(matches!(refused, Some(CkksError::Overflow { limbs: 1, .. })), "{refused:?}");
        // One prime holds half of itself, 2^29: half of the scale, not three quarters.
        for (value, fits) in [(0.4, true), (0.75, false)] {
            let every = encoder.encode(&vec![value; PRESET.params().slots()], scale, 2).unwrap();
            let every = made.public.encrypt(&every, &mut stream).unwrap();
            assert_eq!(holder.refresh(&every, (&made.public, 1), &mut stream).is_ok(), fits, "{value}");
        }
        for limbs in [0, 7] {
            let refused = holder.refresh(&low, (&made.public, limbs), &mut stream).err();
            assert_eq!(refused, Some(CkksError::Limbs { limbs, max: 6 }));
        }
        assert!(matches!(HolderKey::of_all(&made.secrets[1..]), Err(CeremonyError::Missing { party: 1, .. })));
        assert!(HolderKey::of_all(&[]).is_err());
        let other = ServingSecret::generate(Preset::Inf14x30, 4, &mut stream).unwrap();
        let mixed: Vec<_> = made.secrets.into_iter().chain([other]).collect();
        assert!(matches!(HolderKey::of_all(&mixed), Err(CeremonyError::PresetMismatch { .. })));
    }
}
