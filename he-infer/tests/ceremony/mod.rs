//! A whole key ceremony in one process, and decryption, for tests.

use he_agg::ckks::{Ciphertext, Encoder};
use he_agg::multiparty::{
    Crs, EvaluationKeys, GaloisKeyShare, GaloisKeySum, HolderKey, KeyPlan, PublicKey, PublicKeyShare, PublicKeySum, R1,
    R2, RelinKeyShare, RelinKeySum, ServingSecret,
};
use he_agg::{Preset, Stream};

pub(crate) struct Ceremony {
    pub(crate) public_key: PublicKey,
    pub(crate) keys: EvaluationKeys,
    encoder: Encoder,
    holder: HolderKey,
}

impl Ceremony {
    pub(crate) fn run(preset: Preset, plan: &KeyPlan) -> Self {
        let mut stream = Stream::from_seed([42; 32]);
        let crs = Crs::new(preset, [7; 32]);
        let secret = ServingSecret::generate(preset, 1, &mut stream).unwrap();
        let mut public = PublicKeySum::new(&crs, 1).unwrap();
        public.absorb(&PublicKeyShare::generate(&secret, &crs, &mut stream).unwrap()).unwrap();
        let mut keys = EvaluationKeys::new(preset);
        let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, 1).unwrap();
        let (share, ephemeral) = RelinKeyShare::<R1>::generate(&secret, &crs, plan.relin_limbs, &mut stream).unwrap();
        first.absorb(&share).unwrap();
        let between = first.finish().unwrap();
        let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, 1).unwrap();
        second.absorb(&RelinKeyShare::<R2>::generate(&secret, ephemeral, &between, &mut stream).unwrap()).unwrap();
        keys.set_relinearization(second.finish(between).unwrap()).unwrap();
        for (&steps, &limbs) in &plan.rotations {
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, 1).unwrap();
            sum.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, &mut stream).unwrap()).unwrap();
            keys.insert_rotation(sum.finish().unwrap()).unwrap();
        }
        Self {
            public_key: public.finish().unwrap(),
            keys,
            encoder: Encoder::new(preset).unwrap(),
            holder: HolderKey::new(secret),
        }
    }

    pub(crate) fn reveal(&self, ciphertext: &Ciphertext) -> Vec<f64> {
        self.encoder.decode(&self.holder.decrypt(ciphertext).unwrap()).unwrap()
    }
}
