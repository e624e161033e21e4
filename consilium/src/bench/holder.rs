//! The keys of one party that holds them all: what a program is timed under. Threshold release is timed elsewhere.

use he_agg::{
    Preset, Stream,
    multiparty::{
        Crs, EvaluationKeys, GaloisKeyShare, GaloisKeySum, HolderKey, KeyPlan, PublicKey, PublicKeyShare, PublicKeySum,
        R1, R2, RelinKeyShare, RelinKeySum, ServingSecret,
    },
};

use super::error::BenchError;

/// Every key belongs to this many parties.
const PARTIES: u16 = 1;

/// A key holder's secret with the public keys of a plan.
pub struct Holder {
    /// Decrypts.
    pub secret: HolderKey,
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
}

impl Holder {
    /// Makes the keys that `plan` asks for.
    ///
    /// # Errors
    /// What a ceremony says; none is expected to.
    pub fn new(preset: Preset, plan: &KeyPlan, stream: &mut Stream) -> Result<Self, BenchError> {
        let crs = Crs::new(preset, stream.seed());
        let secret = ServingSecret::generate(preset, PARTIES, stream)?;
        let mut public = PublicKeySum::new(&crs, PARTIES)?;
        public.absorb(&PublicKeyShare::generate(&secret, &crs, stream)?)?;
        let public = public.finish()?;
        let mut sizes = KeySizes { public: public.to_bytes(&crs).len(), ..KeySizes::default() };
        let mut keys = EvaluationKeys::new(preset);
        if plan.relin_limbs > 0 {
            let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, PARTIES)?;
            let (share, mask) = RelinKeyShare::<R1>::generate(&secret, &crs, plan.relin_limbs, stream)?;
            first.absorb(&share)?;
            let first = first.finish()?;
            let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, PARTIES)?;
            second.absorb(&RelinKeyShare::<R2>::generate(&secret, mask, &first, stream)?)?;
            let relinearization = second.finish(first)?;
            sizes.relinearization = relinearization.to_bytes(&crs).len();
            keys.set_relinearization(relinearization)?;
        }
        for (&steps, &limbs) in &plan.rotations {
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, PARTIES)?;
            sum.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, stream)?)?;
            let rotation = sum.finish()?;
            sizes.rotation = sizes.rotation.max(rotation.to_bytes(&crs).len());
            keys.insert_rotation(rotation)?;
        }
        Ok(Self { secret: HolderKey::new(secret), public, keys, sizes })
    }
}
