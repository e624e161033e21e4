//! A whole key ceremony in one process: of one party that holds the whole key, or of several for measurements and
//! tests.
//!
//! Real hospitals never meet in one process; their driver takes the same steps one message at a time.

use std::sync::Arc;

use super::{
    CeremonyError, Crs, EvaluationKeys, GaloisKeyShare, GaloisKeySum, GateKey, GateSecret, GateSeed, GateShare,
    GateSum, KeyPlan, PublicKey, PublicKeyShare, PublicKeySum, R1, R2, RelinKeyShare, RelinKeySum, ServingKeyShare,
    ServingSecret,
};
use crate::stream::Stream;

/// The keys of a ceremony, with everybody's secrets.
pub struct Collective {
    /// What the parts were made with.
    pub crs: Crs,
    /// Of party 1, 2, ...
    pub secrets: Vec<ServingSecret>,
    /// Encrypts.
    pub public: PublicKey,
    /// Computes, for whoever needs it.
    pub keys: Arc<EvaluationKeys>,
}

/// Bytes of keys on the wire; 0 for a key that the plan does not ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeySizes {
    /// The public key.
    pub public: usize,
    /// The relinearisation key.
    pub relinearization: usize,
    /// The largest rotation key.
    pub rotation: usize,
    /// All rotation keys.
    pub rotations: usize,
}

impl Collective {
    /// A gate secret of `asker`, one of the parties, and its key of `limbs` limbs, which all take part in.
    ///
    /// # Errors
    /// What a ceremony says, for another party or more limbs than there are.
    pub fn gate(&self, asker: u16, limbs: usize, stream: &mut Stream) -> Result<(GateSecret, GateKey), CeremonyError> {
        let seeds: Vec<(u16, GateSeed)> =
            self.secrets.iter().map(|secret| (secret.party(), GateSeed::generate(stream))).collect();
        let parties = u16::try_from(seeds.len()).unwrap_or(u16::MAX);
        let mut gate = GateSum::new(&self.crs, asker, limbs, parties)?;
        for (secret, (_, seed)) in self.secrets.iter().zip(&seeds) {
            gate.absorb(&GateShare::generate(secret, &self.crs, asker, limbs, seed, stream)?)?;
        }
        let secret = GateSecret::generate(self.crs.preset(), asker, stream)?;
        let seeds: Vec<(u16, &GateSeed)> = seeds.iter().map(|(party, seed)| (*party, seed)).collect();
        let key = GateKey::generate(&secret, &self.crs, &gate.finish()?, &seeds, stream)?;
        Ok((secret, key))
    }

    /// Every party's point of the sum of all secrets, which `threshold` of them determine.
    ///
    /// # Errors
    /// [`CeremonyError::Threshold`].
    pub fn deal(&self, threshold: u16, stream: &mut Stream) -> Result<Vec<ServingKeyShare>, CeremonyError> {
        let parties = u16::try_from(self.secrets.len()).unwrap_or(u16::MAX);
        let mut held: Vec<ServingKeyShare> = Vec::new();
        for secret in &self.secrets {
            let dealt = secret.share_points(&self.crs, threshold, parties, stream)?;
            if held.is_empty() {
                held = dealt;
            } else {
                held.iter_mut().zip(&dealt).try_for_each(|(sum, point)| sum.absorb(point))?;
            }
        }
        Ok(held)
    }

    /// Makes the keys that `plan` asks for, from the parts of `parties` parties, at least one.
    ///
    /// # Errors
    /// What a ceremony says, for more parties than it takes.
    pub fn new(crs: Crs, parties: u16, plan: &KeyPlan, stream: &mut Stream) -> Result<Self, CeremonyError> {
        let preset = crs.preset();
        let parties = parties.max(1);
        let secrets =
            (1..=parties).map(|party| ServingSecret::generate(preset, party, stream)).collect::<Result<Vec<_>, _>>()?;
        let mut public = PublicKeySum::new(&crs, parties)?;
        for secret in &secrets {
            public.absorb(&PublicKeyShare::generate(secret, &crs, stream)?)?;
        }
        let mut keys = EvaluationKeys::new(preset);
        if plan.relin_limbs > 0 {
            let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, parties)?;
            let mut masks = Vec::with_capacity(secrets.len());
            for secret in &secrets {
                let (share, mask) = RelinKeyShare::<R1>::generate(secret, &crs, plan.relin_limbs, stream)?;
                first.absorb(&share)?;
                masks.push(mask);
            }
            let first = first.finish()?;
            let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, parties)?;
            for (secret, mask) in secrets.iter().zip(masks) {
                second.absorb(&RelinKeyShare::<R2>::generate(secret, mask, &first, stream)?)?;
            }
            keys.set_relinearization(second.finish(&first)?)?;
        }
        for (steps, limbs) in plan.normalised(preset)? {
            // Below 2^15.
            let steps = steps as i32;
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, parties)?;
            for secret in &secrets {
                sum.absorb(&GaloisKeyShare::generate(secret, &crs, steps, limbs, stream)?)?;
            }
            keys.insert_rotation(sum.finish()?)?;
        }
        Ok(Self { public: public.finish()?, crs, secrets, keys: Arc::new(keys) })
    }

    /// What the keys take on the wire.
    pub fn sizes(&self) -> KeySizes {
        let preset = self.crs.preset();
        let mut sizes = KeySizes { public: self.public.to_bytes(&self.crs).len(), ..KeySizes::default() };
        if let Ok(key) = self.keys.relinearization(preset) {
            sizes.relinearization = key.to_bytes(&self.crs).len();
        }
        for key in self.keys.rotation_steps().filter_map(|steps| self.keys.rotation(preset, steps).ok()) {
            let bytes = key.to_bytes(&self.crs).len();
            sizes.rotation = sizes.rotation.max(bytes);
            sizes.rotations += bytes;
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::Encoder;
    use crate::multiparty::HolderKey;
    use crate::params::Preset;

    #[test]
    fn everybody_gets_a_point_that_all_dealt() {
        let mut stream = Stream::from_seed([1; 32]);
        let crs = Crs::new(Preset::Inf13, [2; 32]);
        let made = Collective::new(crs, 4, &KeyPlan::default(), &mut stream).unwrap();
        let points = made.deal(3, &mut stream).unwrap();
        assert_eq!(points.iter().map(ServingKeyShare::holder).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(points.iter().all(|point| point.dealers().iter().eq(1..=4)));
        assert!(matches!(made.deal(2, &mut stream), Err(CeremonyError::Threshold { .. })));
    }

    #[test]
    fn one_party_alone_decrypts_and_sizes_are_of_the_planned_keys() {
        let mut stream = Stream::from_seed([1; 32]);
        let plan = KeyPlan { relin_limbs: 0, rotations: [(1, 2), (2, 3)].into(), ..KeyPlan::default() };
        let made = Collective::new(Crs::new(Preset::Inf13, [2; 32]), 0, &plan, &mut stream).unwrap();
        let sizes = made.sizes();
        assert_eq!(sizes.relinearization, 0);
        assert!(sizes.public > 0 && sizes.rotation > 0 && sizes.rotations < 2 * sizes.rotation);
        let params = Preset::Inf13.params();
        let encoder = Encoder::new(Preset::Inf13).unwrap();
        let plain = encoder.encode(&[0.5; 4], params.scale(), params.q.len()).unwrap();
        let ciphertext = made.public.encrypt(&plain, &mut stream).unwrap();
        let holder = HolderKey::new(made.secrets.into_iter().next().unwrap());
        let values = encoder.decode(&holder.decrypt(&ciphertext).unwrap()).unwrap();
        assert!((values[3] - 0.5).abs() < 1e-2, "{}", values[3]);
    }
}
