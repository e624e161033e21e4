//! Collective keys as one process makes them: of one party that holds them all, or of several that share them.

use he_agg::{
    Preset, Stream,
    multiparty::{
        Crs, EvaluationKeys, GaloisKeyShare, GaloisKeySum, HolderKey, KeyPlan, PublicKey, PublicKeyShare, PublicKeySum,
        QueryKey, QuerySecret, R1, R2, RelinKeyShare, RelinKeySum, ServingSecret,
    },
};

use super::error::BenchError;

/// A key holder's secret with the public keys of a plan.
pub struct Holder {
    crs: Crs,
    /// Decrypts.
    pub secret: HolderKey,
    /// Encrypts.
    pub public: PublicKey,
    /// Computes.
    pub keys: EvaluationKeys,
    /// What the keys take on the wire.
    pub sizes: KeySizes,
}

/// The keys of a ceremony, with everybody's secrets.
pub struct Collective {
    /// What the parts were made with.
    pub crs: Crs,
    /// Of party 1, 2, ...
    pub secrets: Vec<ServingSecret>,
    /// Encrypts.
    pub public: PublicKey,
    /// Computes.
    pub keys: EvaluationKeys,
    /// What the keys take on the wire.
    pub sizes: KeySizes,
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

impl Holder {
    /// Makes the keys that `plan` asks for.
    ///
    /// # Errors
    /// What a ceremony says; none is expected to.
    pub fn new(preset: Preset, plan: &KeyPlan, stream: &mut Stream) -> Result<Self, BenchError> {
        let Collective { crs, mut secrets, public, keys, sizes } = Collective::new(preset, 1, plan, stream)?;
        let secret = HolderKey::new(secrets.remove(0));
        Ok(Self { crs, secret, public, keys, sizes })
    }

    /// An asker's secret for queries of up to `limbs` limbs, and the key that switches them to this holder's.
    ///
    /// # Errors
    /// What the library says; nothing is expected.
    pub fn query_key(&self, limbs: usize, stream: &mut Stream) -> Result<(QuerySecret, QueryKey), BenchError> {
        let secret = QuerySecret::generate(self.public.preset(), stream)?;
        let key = QueryKey::generate(&secret, &self.public, &self.crs, limbs, stream)?;
        Ok((secret, key))
    }
}

impl Collective {
    /// Makes the keys that `plan` asks for, from the parts of `parties` parties, at least one.
    ///
    /// # Errors
    /// What a ceremony says, for more parties than it takes.
    pub fn new(preset: Preset, parties: u16, plan: &KeyPlan, stream: &mut Stream) -> Result<Self, BenchError> {
        let crs = Crs::new(preset, stream.seed());
        let secrets = (1..=parties.max(1))
            .map(|party| ServingSecret::generate(preset, party, stream))
            .collect::<Result<Vec<_>, _>>()?;
        let mut public = PublicKeySum::new(&crs, parties)?;
        for secret in &secrets {
            public.absorb(&PublicKeyShare::generate(secret, &crs, stream)?)?;
        }
        let public = public.finish()?;
        let mut sizes = KeySizes { public: public.to_bytes(&crs).len(), ..KeySizes::default() };
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
            let relinearization = second.finish(first)?;
            sizes.relinearization = relinearization.to_bytes(&crs).len();
            keys.set_relinearization(relinearization)?;
        }
        for (&steps, &limbs) in &plan.rotations {
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, parties)?;
            for secret in &secrets {
                sum.absorb(&GaloisKeyShare::generate(secret, &crs, steps, limbs, stream)?)?;
            }
            let rotation = sum.finish()?;
            let bytes = rotation.to_bytes(&crs).len();
            sizes.rotation = sizes.rotation.max(bytes);
            sizes.rotations += bytes;
            keys.insert_rotation(rotation)?;
        }
        Ok(Self { crs, secrets, public, keys, sizes })
    }
}
