//! Facts about queries under an asker's own secret.

use super::{close, plan};
use crate::ckks::{CkksError, SeededCiphertext};
use crate::multiparty::ideal::{Ceremony, toy};
use crate::multiparty::{CeremonyError, Crs, QueryKey, QuerySecret};
use crate::params::Preset;

#[test]
fn a_switched_query_decrypts_under_the_collective_key_and_not_before() {
    for (preset, parties) in [(Preset::Inf13, 3), (Preset::Inf14x30, 2), (Preset::Inf15x60, 1)] {
        let params = toy(preset, 9);
        let mut c = Ceremony::run(params, parties, &plan(0, &[]), false);
        let secret = QuerySecret::over(params, &mut c.stream);
        let limbs = params.q.len();
        let key = QueryKey::generate(&secret, &c.public_key, &c.crs, limbs, &mut c.stream).unwrap();
        let values = c.random_values(3.0);
        for limbs in [limbs, params.base_limbs] {
            let plaintext = c.encoder.encode(&values, params.scale(), limbs).unwrap();
            let query = secret.encrypt(&plaintext, &mut c.stream).unwrap();
            let switched = c.evaluator.switch_to_collective(&query, &key).unwrap();
            assert_eq!((switched.limbs(), switched.scale()), (limbs, params.scale()));
            close(&c.reveal(&switched), &values, 1e-3);
            let unswitched = c.encoder.decode(&c.decrypt(&query.expand()));
            // What is not switched is no message of this key, or too large for one.
            assert!(unswitched.is_ok_and(|slots| slots.iter().any(|x| x.abs() > 1e3)));
        }
    }
}

#[test]
fn bytes_keep_queries_and_keys_and_a_second_encryption_has_another_seed() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 2, &plan(0, &[]), false);
    let secret = QuerySecret::generate(Preset::Inf13, &mut c.stream).unwrap();
    let key = QueryKey::generate(&secret, &c.public_key, &c.crs, 4, &mut c.stream).unwrap();
    let read = QueryKey::from_bytes(&key.to_bytes(), &c.crs).unwrap();
    let values = c.random_values(1.0);
    let plaintext = c.encoder.encode(&values, params.scale(), 4).unwrap();
    let query = secret.encrypt(&plaintext, &mut c.stream).unwrap();
    let bytes = query.to_bytes();
    assert_eq!(bytes.len(), 72 + 4 * params.n * 30 / 8);
    let again = SeededCiphertext::from_bytes(&bytes, Preset::Inf13).unwrap();
    let switched = c.evaluator.switch_to_collective(&again, &read).unwrap();
    assert!(switched == c.evaluator.switch_to_collective(&query, &key).unwrap());
    let second = secret.encrypt(&plaintext, &mut c.stream).unwrap();
    assert_ne!(second.seed, query.seed);
}

#[test]
fn queries_and_keys_of_something_else_are_refused() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 1, &plan(0, &[]), false);
    let secret = QuerySecret::generate(Preset::Inf13, &mut c.stream).unwrap();
    let mut generate = |limbs: usize| QueryKey::generate(&secret, &c.public_key, &c.crs, limbs, &mut c.stream);
    let max = params.q.len();
    for limbs in [0, max + 1] {
        assert_eq!(generate(limbs).err(), Some(CeremonyError::Limbs { limbs, max }));
    }
    let key = generate(3).unwrap();
    let plaintext = c.encoder.encode(&[1.0], params.scale(), 4).unwrap();
    let query = secret.encrypt(&plaintext, &mut c.stream).unwrap();
    let error = c.evaluator.switch_to_collective(&query, &key).err();
    assert_eq!(error, Some(CkksError::KeyTooShort { key: 3, ciphertext: 4 }));
    let other = Crs::over(params, [8; 32]);
    assert!(matches!(QueryKey::from_bytes(&key.to_bytes(), &other), Err(CeremonyError::Epoch { .. })));
    let foreign = QuerySecret::generate(Preset::Inf14x30, &mut c.stream).unwrap();
    let error = foreign.encrypt(&plaintext, &mut c.stream).err();
    assert_eq!(error, Some(CkksError::PresetMismatch { left: Preset::Inf14x30, right: Preset::Inf13 }));
    let error = QueryKey::generate(&foreign, &c.public_key, &c.crs, 3, &mut c.stream).err();
    assert_eq!(error, Some(CeremonyError::PresetMismatch { left: Preset::Inf14x30, right: Preset::Inf13 }));
    assert_eq!(
        QuerySecret::generate(Preset::Agg13, &mut c.stream).err(),
        Some(CkksError::NotForEvaluation { preset: Preset::Agg13 })
    );
}
