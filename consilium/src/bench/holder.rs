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
        let mut keys = EvaluationKeys::new(preset);
        let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, PARTIES)?;
        let (share, mask) = RelinKeyShare::<R1>::generate(&secret, &crs, plan.relin_limbs, stream)?;
        first.absorb(&share)?;
        let first = first.finish()?;
        let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, PARTIES)?;
        second.absorb(&RelinKeyShare::<R2>::generate(&secret, mask, &first, stream)?)?;
        keys.set_relinearization(second.finish(first)?)?;
        for (&steps, &limbs) in &plan.rotations {
            let mut rotation = GaloisKeySum::new(&crs, steps, limbs, PARTIES)?;
            rotation.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, stream)?)?;
            keys.insert_rotation(rotation.finish()?)?;
        }
        Ok(Self { secret: HolderKey::new(secret), public: public.finish()?, keys })
    }
}
