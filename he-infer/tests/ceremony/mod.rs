//! A whole key ceremony in one process, for tests.

use he_agg::multiparty::{
    Crs, EvaluationKeys, GaloisKeyShare, GaloisKeySum, KeyPlan, PublicKey, PublicKeyShare, PublicKeySum, R1, R2,
    RelinKeyShare, RelinKeySum, ServingSecret,
};
use he_agg::{Preset, Stream};

pub(crate) struct Ceremony {
    pub(crate) crs: Crs,
    pub(crate) secrets: Vec<ServingSecret>,
    pub(crate) public_key: PublicKey,
    pub(crate) keys: EvaluationKeys,
}

impl Ceremony {
    pub(crate) fn run(preset: Preset, parties: u16, plan: &KeyPlan) -> Self {
        let mut stream = Stream::from_seed([42; 32]);
        let crs = Crs::new(preset, [7; 32]);
        let secrets: Vec<_> =
            (1..=parties).map(|party| ServingSecret::generate(preset, party, &mut stream).unwrap()).collect();
        let mut public = PublicKeySum::new(&crs, parties).unwrap();
        let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, parties).unwrap();
        let mut ephemerals = Vec::new();
        for secret in &secrets {
            public.absorb(&PublicKeyShare::generate(secret, &crs, &mut stream).unwrap()).unwrap();
            let (share, ephemeral) =
                RelinKeyShare::<R1>::generate(secret, &crs, plan.relin_limbs, &mut stream).unwrap();
            first.absorb(&share).unwrap();
            ephemerals.push(ephemeral);
        }
        let between = first.finish().unwrap();
        let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, parties).unwrap();
        for (secret, ephemeral) in secrets.iter().zip(ephemerals) {
            second.absorb(&RelinKeyShare::<R2>::generate(secret, ephemeral, &between, &mut stream).unwrap()).unwrap();
        }
        let mut keys = EvaluationKeys::new(preset);
        keys.set_relinearization(second.finish(between).unwrap()).unwrap();
        for (&steps, &limbs) in &plan.rotations {
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, parties).unwrap();
            for secret in &secrets {
                sum.absorb(&GaloisKeyShare::generate(secret, &crs, steps, limbs, &mut stream).unwrap()).unwrap();
            }
            keys.insert_rotation(sum.finish().unwrap()).unwrap();
        }
        Self { crs, secrets, public_key: public.finish().unwrap(), keys }
    }
}
