//! Facts about keys, circuits and releases, against f64 and the ideal secret key.

use super::ideal::{Ceremony, noise, toy};
use super::*;
use crate::ckks::{Ciphertext, CkksError, Hoisted};
use crate::error::DecodeError;
use crate::params::Preset;
use crate::stream::Stream;

mod bindings;
mod chosen_sums;
mod circuits;
mod gate;
mod gate_attacks;
mod gates;
mod key_recovery;
mod noise;
mod planes;
mod queries;
mod quorums;
mod refresh;
mod refresh_attacks;
mod refresh_bindings;
mod refresh_ledger;
mod refresh_zeros;
mod refreshes;

fn plan(relin: usize, rotations: &[(i32, usize)]) -> KeyPlan {
    KeyPlan { relin_limbs: relin, rotations: rotations.iter().copied().collect(), ..KeyPlan::default() }
}

pub(super) fn close(found: &[f64], expected: &[f64], bound: f64) {
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() < bound, "slot {i}: {x} against {y}");
    }
}

#[test]
fn encryption_under_a_collective_key_decrypts_under_the_sum_of_secrets() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 5, &plan(0, &[]), true);
    let values = c.random_values(5.0);
    for limbs in 1..=params.q.len() {
        let scale = if limbs == 1 { 2f64.powi(20) } else { params.scale() };
        let ciphertext = c.encrypt(&values, scale, limbs);
        let (rms, _) = noise(&c, &ciphertext, &values);
        // sqrt((1 + h)/12), h = n 2N/3, plus u e + e0 + e1 s over P.
        let h = 5.0 * 2.0 * params.n as f64 / 3.0;
        let model = ((1.0 + h) / 12.0 + 1.0 / 12.0f64).sqrt();
        assert!(rms < 2.0 * model && rms > model / 2.0, "{limbs}: {rms} against {model}");
    }
}

#[test]
fn a_rotation_moves_slot_i_plus_r_to_slot_i() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 2, &plan(0, &[(1, 6), (-3, 6), (4000, 3)]), false);
    let values = c.random_values(3.0);
    let slots = params.slots();
    let top = c.encrypt(&values, params.scale(), 6);
    let hoisted = Hoisted::new(&c.evaluator, &top).unwrap();
    for (steps, limbs) in [(1, 6), (-3, 6), (1, 2), (4000, 3), (4000, 2), (0, 6)] {
        let low = c.evaluator.drop_to(&top, limbs).unwrap();
        let rotated = c.evaluator.rotate(&low, steps, &c.keys).unwrap();
        let expected: Vec<f64> =
            (0..slots as i32).map(|i| values[(i + steps).rem_euclid(slots as i32) as usize]).collect();
        close(&c.reveal(&rotated), &expected, 1e-3);
        if limbs == 6 {
            assert!(hoisted.rotate(steps, &c.keys).unwrap() == rotated);
        }
    }
    assert_eq!(c.evaluator.rotate(&top, 4000, &c.keys).err(), Some(CkksError::KeyTooShort { key: 3, ciphertext: 6 }));
    assert_eq!(c.evaluator.rotate(&top, 2, &c.keys).err(), Some(CkksError::MissingRotation { steps: 2 }));
}

#[test]
fn results_are_the_same_for_any_number_of_threads() {
    let params = Preset::Inf13.params();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut c = Ceremony::run(params, 1, &plan(6, &[(1, 6)]), false);
            let values = c.random_values(1.0);
            let x = c.encrypt(&values, params.scale(), 6);
            let product = c.evaluator.mul(&x, &x).unwrap();
            let product = c.evaluator.relinearise_rescale(&product, &c.keys).unwrap();
            c.evaluator.rotate(&product, 1, &c.keys).unwrap().to_bytes()
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn mismatched_operands_are_refused_with_both_named() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 1, &KeyPlan::default(), false);
    let x = c.encrypt(&[1.0], params.scale(), 6);
    let low = c.evaluator.drop_to(&x, 3).unwrap();
    let other = c.encrypt(&[1.0], params.scale() * (1.0 + 1e-11), 6);
    let near = c.encrypt(&[1.0], params.scale() * (1.0 + 1e-13), 6);
    let e = &c.evaluator;
    assert_eq!(e.add(&x, &low).err(), Some(CkksError::LimbsMismatch { left: 6, right: 3 }));
    assert_eq!(e.mul(&x, &low).err(), Some(CkksError::LimbsMismatch { left: 6, right: 3 }));
    let (left, right) = (x.scale(), other.scale());
    assert_eq!(e.sub(&x, &other).err(), Some(CkksError::ScaleMismatch { left, right }));
    assert!(e.add(&x, &near).is_ok());
    assert_eq!(e.drop_to(&low, 6).err(), Some(CkksError::Raise { limbs: 3, target: 6 }));
    assert_eq!(e.mul_accumulate(&[]).err(), Some(CkksError::NoTerms));
    let product = e.mul(&x, &x).unwrap();
    assert!(matches!(e.mul(&product, &x), Err(CkksError::Parts { expected: 2, found: 3, .. })));
    assert!(matches!(e.relinearise(&x, &c.keys), Err(CkksError::Parts { expected: 3, .. })));
    assert_eq!(e.relinearise(&product, &c.keys).err(), Some(CkksError::MissingRelinearization));
    assert!(matches!(
        crate::ckks::Evaluator::new(Preset::Agg13),
        Err(CkksError::NotForEvaluation { preset: Preset::Agg13 })
    ));
}

#[test]
fn products_at_lower_limbs_are_those_of_what_dropping_keeps() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 1, &KeyPlan::default(), false);
    let (x, y) = (c.encrypt(&[1.0], params.scale(), 6), c.encrypt(&[2.0], params.scale(), 4));
    let e = &c.evaluator;
    for limbs in [1, 3, 4] {
        let [short, shorter] = [&x, &y].map(|factor| e.drop_to(factor, limbs).unwrap());
        let dropped = e.mul_accumulate_all(&[[(&short, &shorter), (&shorter, &short)], [(&short, &short); 2]]).unwrap();
        let found = e.mul_accumulate_all_at(limbs, &[[(&x, &y), (&y, &x)], [(&x, &x); 2]]).unwrap();
        assert!(found.iter().map(crate::ckks::Ciphertext::to_bytes).eq(dropped.iter().map(|it| it.to_bytes())));
        assert!(found.iter().all(|sum| sum.limbs() == limbs));
    }
    let at = |limbs| e.mul_accumulate_all_at(limbs, &[[(&x, &y)]]).err();
    assert_eq!(at(5), Some(CkksError::Raise { limbs: 4, target: 5 }));
    assert_eq!(at(0), Some(CkksError::Limbs { limbs: 0, max: 6 }));
    assert_eq!(e.mul_accumulate_all_at(1, &[&[][..]]).err(), Some(CkksError::NoTerms));
    assert_eq!(e.mul_accumulate_all_at::<&[_]>(1, &[]).map(|sums| sums.len()), Ok(0));
}

#[test]
fn sums_and_plaintext_operations_agree_with_f64() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 2, &plan(6, &[]), false);
    let (x, y) = (c.random_values(2.0), c.random_values(2.0));
    let (cx, cy) = (c.encrypt(&x, params.scale(), 6), c.encrypt(&y, params.scale(), 6));
    let plain = c.encoder.encode(&y, params.scale(), 6).unwrap();
    let map = |f: fn(f64, f64) -> f64| -> Vec<f64> { x.iter().zip(&y).map(|(&a, &b)| f(a, b)).collect() };
    let e = &c.evaluator;
    close(&c.reveal(&e.add(&cx, &cy).unwrap()), &map(|a, b| a + b), 1e-4);
    close(&c.reveal(&e.sub(&cx, &cy).unwrap()), &map(|a, b| a - b), 1e-4);
    close(&c.reveal(&e.add_plain(&cx, &plain).unwrap()), &map(|a, b| a + b), 1e-4);
    close(&c.reveal(&e.mul_plain(&cx, &plain).unwrap()), &map(|a, b| a * b), 1e-4);
    // Two and three polynomials mix, in either order.
    let (product, wide) = (e.mul(&cx, &cy).unwrap(), e.mul_plain(&cx, &plain).unwrap());
    close(&c.reveal(&e.add(&wide, &product).unwrap()), &map(|a, b| 2.0 * a * b), 2e-4);
    close(&c.reveal(&e.sub(&product, &wide).unwrap()), &map(|_, _| 0.0), 2e-4);
}

#[test]
fn incomplete_repeated_and_foreign_key_shares_are_refused() {
    let params = toy(Preset::Inf13, 8);
    let (crs, other) = (Crs::over(params, [1; 32]), Crs::over(params, [2; 32]));
    let mut stream = Stream::from_seed([5; 32]);
    let secrets: Vec<_> = (1..=3).map(|p| ServingSecret::over(params, p, &mut stream).unwrap()).collect();
    let mut sum = GaloisKeySum::new(&crs, 3, 4, 3).unwrap();
    let mut share = |i: usize, crs: &Crs, steps, limbs| {
        GaloisKeyShare::generate(&secrets[i], crs, steps, limbs, &mut stream).unwrap()
    };
    let first = share(0, &crs, 3, 4);
    sum.absorb(&first).unwrap();
    assert_eq!(sum.absorb(&first), Err(CeremonyError::Duplicate { party: 1 }));
    assert!(matches!(sum.absorb(&share(1, &other, 3, 4)), Err(CeremonyError::Epoch { .. })));
    assert_eq!(
        sum.absorb(&share(1, &crs, 4, 4)),
        Err(CeremonyError::Mismatch { field: "rotation steps", ours: 3, theirs: 4 })
    );
    assert_eq!(sum.absorb(&share(1, &crs, 3, 5)), Err(CeremonyError::Mismatch { field: "limbs", ours: 4, theirs: 5 }));
    sum.absorb(&share(2, &crs, 3, 4)).unwrap();
    assert_eq!(sum.finish().err(), Some(CeremonyError::Missing { party: 2, parties: 3 }));
    assert_eq!(GaloisKeySum::new(&crs, 256, 4, 3).err(), Some(CeremonyError::IdentityRotation { steps: 256 }));
    assert_eq!(GaloisKeySum::new(&crs, 1, 7, 3).err(), Some(CeremonyError::Limbs { limbs: 7, max: 6 }));
    assert!(matches!(ServingSecret::over(params, 65, &mut stream), Err(CeremonyError::Party { party: 65, .. })));
}

#[test]
fn malformed_ciphertexts_are_refused() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 1, &KeyPlan::default(), false);
    let ciphertext = c.encrypt(&[1.0, 2.0], params.scale() * 1.25, 3);
    let bytes = ciphertext.to_bytes();
    assert_eq!(bytes.len(), 72 + 2 * 3 * 30 * 8192 / 8);
    let read = |bytes: &[u8]| Ciphertext::from_bytes(bytes, Preset::Inf13);
    assert!(read(&bytes).unwrap() == ciphertext);
    assert!(matches!(Ciphertext::from_bytes(&bytes, Preset::Inf14x30), Err(DecodeError::Preset { .. })));
    // Every header byte but those of the scale is fixed by the shape.
    for offset in (0..32).chain(40..72) {
        let mut bad = bytes.clone();
        bad[offset] ^= 1;
        assert!(read(&bad).is_err(), "byte {offset}");
    }
    for length in [0, 71, 72, bytes.len() - 1] {
        assert!(read(&bytes[..length]).is_err());
    }
    let mut bad = bytes.clone();
    bad[72..76].fill(0xff);
    assert!(matches!(read(&bad), Err(DecodeError::Residue { limb: 0, position: 0, .. })));
}

#[test]
fn malformed_key_shares_are_refused() {
    let params = toy(Preset::Inf13, 8);
    let crs = Crs::over(params, [1; 32]);
    let mut stream = Stream::from_seed([5; 32]);
    let secret = ServingSecret::over(params, 2, &mut stream).unwrap();
    let share = GaloisKeyShare::generate(&secret, &crs, -1, 3, &mut stream).unwrap();
    let bytes = share.to_bytes();
    let read = |bytes: &[u8]| GaloisKeyShare::from_bytes(bytes, &crs);
    assert_eq!(read(&bytes).unwrap().to_bytes(), bytes);
    assert_eq!(share.steps(), params.slots() - 1);
    // A single share is not a key, and not a share of another kind.
    assert!(GaloisKey::from_bytes(&bytes, &crs).is_err());
    assert!(PublicKeyShare::from_bytes(&bytes, &crs).is_err());
    // Sender (12, 13) and steps (16..) may be others; all else is fixed.
    for offset in (0..12).chain(14..16).chain(18..72) {
        let mut bad = bytes.clone();
        bad[offset] ^= 1;
        assert!(read(&bad).is_err(), "byte {offset}");
    }
    let mut bad = bytes.clone();
    bad[16..20].fill(0);
    assert!(matches!(read(&bad), Err(CeremonyError::Decode(DecodeError::Field { field: "steps", value: 0 }))));
    assert!(read(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn a_trusted_holder_decrypts_its_own_key() {
    let params = Preset::Inf13.params();
    let mut c = Ceremony::run(params, 1, &KeyPlan::default(), false);
    let ciphertext = c.encrypt(&[1.5, -2.0], params.scale(), 2);
    let holder = HolderKey::new(c.secrets.remove(0));
    let values = c.encoder.decode(&holder.decrypt(&ciphertext).unwrap()).unwrap();
    close(&values[..3], &[1.5, -2.0, 0.0], 1e-4);
}

#[test]
fn a_key_plan_merges_equal_rotations_at_the_higher_level() {
    let plan = plan(19, &[(-1, 4), (16383, 7), (8, 19)]);
    let normal = plan.normalised(Preset::Inf15x90).unwrap();
    assert_eq!(normal.into_iter().collect::<Vec<_>>(), [(8, 19), (16383, 7)]);
    // 4 x 25 and 2 x 13 limbs of 122,880 bytes.
    assert_eq!(plan.rotation_bytes(Preset::Inf15x90).unwrap(), (100 + 26) * 122_880);
}
