//! Objects that decode, since alone they are well formed, but belong to nothing here: whoever
//! takes them next refuses them by name, and arithmetic on them never panics.

use crate::specimens::{Refresh, Serving};
use he_agg::ckks::{Ciphertext, CkksError, Encoder, Evaluator, GaloisKey, Hoisted, RelinearizationKey};
use he_agg::multiparty::{
    CeremonyError, EvaluationKeys, GaloisKeyShare, GaloisKeySum, HolderKey, PublicKeyShare, PublicKeySum, R1,
    RefreshShare, RefreshSum, ReleaseShare, ReleaseSum, RelinKeyShare, RelinKeySum, ServingSecret,
};
use he_agg::wire::{HEADER_BYTES, packed_len};
use he_agg::{Params, Preset, Stream};

fn from_sender(mut bytes: Vec<u8>, sender: u16) -> Vec<u8> {
    bytes[12..14].copy_from_slice(&sender.to_le_bytes());
    bytes
}

#[test]
fn shares_of_strangers_are_refused_by_the_sums() {
    let (s, refresh) = (Serving::new(Preset::Inf13, 2), Refresh::new());
    for sender in [0, 3, 64, 65, u16::MAX] {
        let stranger = |result: Result<(), CeremonyError>| {
            assert!(matches!(result, Err(CeremonyError::Party { party, .. }) if party == sender), "{sender}");
        };
        let bytes = from_sender(s.public_key_share.to_bytes(), sender);
        let share = PublicKeyShare::from_bytes(&bytes, &s.crs).unwrap();
        stranger(PublicKeySum::new(&s.crs, 2).unwrap().absorb(&share));
        let bytes = from_sender(s.relin_one.to_bytes(), sender);
        let share = RelinKeyShare::<R1>::from_bytes(&bytes, &s.crs).unwrap();
        stranger(RelinKeySum::<R1>::new(&s.crs, 2, 2).unwrap().absorb(&share));
        let bytes = from_sender(s.galois_share.to_bytes(), sender);
        let share = GaloisKeyShare::from_bytes(&bytes, &s.crs).unwrap();
        stranger(GaloisKeySum::new(&s.crs, -3, 2, 2).unwrap().absorb(&share));
        let context = s.context();
        let bytes = from_sender(s.release_share(&context).to_bytes().to_vec(), sender);
        let share = ReleaseShare::from_bytes(&bytes, &context).unwrap();
        stranger(ReleaseSum::new(&context).absorb(&share));
        let bytes = from_sender(refresh.share.to_bytes().to_vec(), sender);
        let share = RefreshShare::from_bytes(&bytes, &refresh.context).unwrap();
        stranger(RefreshSum::new(&refresh.context).absorb(&share));
    }
}

/// Key bytes of `limbs` limbs and `per_digit` polynomials per digit, all residues zero.
fn zero_key(bytes: &[u8], limbs: usize, per_digit: usize, params: &Params) -> Vec<u8> {
    let mut key = bytes[..HEADER_BYTES].to_vec();
    let polynomials = limbs.div_ceil(params.alpha) * per_digit;
    (key[8], key[10]) = (limbs as u8, polynomials as u8);
    key.resize(HEADER_BYTES + polynomials * (limbs + params.p.len()) * packed_len(params.n), 0);
    key
}

#[test]
fn evaluation_keys_of_any_level_serve_up_to_it_and_refuse_above() {
    // One limb per digit, and three.
    for preset in [Preset::Inf13, Preset::Inf14x30] {
        let (params, top) = (preset.params(), preset.params().q.len());
        let (s, evaluator) = (Serving::new(preset, top), Evaluator::new(preset).unwrap());
        let (relin, galois) = (s.relin_key.to_bytes(&s.crs), s.galois_key.to_bytes(&s.crs));
        for key in 1..=top {
            let mut keys = EvaluationKeys::new(preset);
            let bytes = zero_key(&relin, key, 2, params);
            keys.set_relinearization(RelinearizationKey::from_bytes(&bytes, &s.crs).unwrap()).unwrap();
            let bytes = zero_key(&galois, key, 1, params);
            keys.insert_rotation(GaloisKey::from_bytes(&bytes, &s.crs).unwrap()).unwrap();
            for ciphertext in 1..=(key + 1).min(top) {
                let x = evaluator.drop_to(&s.ciphertext, ciphertext).unwrap();
                let product = evaluator.mul(&x, &x).unwrap();
                let hoisted = Hoisted::new(&evaluator, &x).unwrap();
                let results = [
                    evaluator.relinearise(&product, &keys).err(),
                    evaluator.rotate(&x, -3, &keys).err(),
                    hoisted.rotate(-3, &keys).err(),
                ];
                let expected = (ciphertext > key).then_some(CkksError::KeyTooShort { key, ciphertext });
                assert!(results.iter().all(|result| *result == expected), "{key} {ciphertext}: {results:?}");
            }
        }
    }
}

#[test]
fn ciphertexts_of_absurd_scale_are_computed_on_or_refused_but_never_panic() {
    let (preset, s) = (Preset::Inf13, Serving::new(Preset::Inf13, 6));
    let (evaluator, encoder) = (Evaluator::new(preset).unwrap(), Encoder::new(preset).unwrap());
    let keys = s.evaluation_keys();
    let holder = HolderKey::new(ServingSecret::generate(preset, 1, &mut Stream::from_seed([5; 32])).unwrap());
    for scale in [5e-324, f64::MIN_POSITIVE, 1e-200, 1.0, 1e200, f64::MAX] {
        let mut bytes = s.result.to_bytes();
        bytes[32..40].copy_from_slice(&scale.to_bits().to_le_bytes());
        let x = Ciphertext::from_bytes(&bytes, preset).unwrap();
        let _ = evaluator.add(&x, &s.result);
        let _ = evaluator.add(&x, &x).unwrap();
        if let Ok(product) = evaluator.mul(&x, &x) {
            let _ = evaluator.relinearise(&product, &keys).unwrap().to_bytes();
            let _ = evaluator.relinearise_rescale(&product, &keys).map(|y| y.to_bytes());
        }
        let _ = evaluator.rescale(&x).map(|y| y.to_bytes());
        let _ = evaluator.rotate(&x, -3, &keys).unwrap();
        let _ = encoder.decode(&holder.decrypt(&x).unwrap());
        let _ = encoder.encode(&[1.0, -1e300], scale, 2);
    }
}
