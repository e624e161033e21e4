//! The key from an approximate decryption (Li, Micciancio, ePrint 2020/1533), and what stops it.
//!
//! Whoever knows a ciphertext (c0, c1) and its exact phase m' = c0 + c1 s divides: s = (m' - c0) /
//! c1. An approximate result is that phase, as long as nothing is added to it. Decoding shows the
//! real parts of the slots, that is m'(X) + m'(1/X), half of the equations: two results are enough.

use super::plan;
use crate::ckks::{Ciphertext, Encoder, Plaintext};
use crate::multiparty::ideal::{Ceremony, toy};
use crate::multiparty::release_tests::{Hospitals, flooded, small};
use crate::multiparty::{AnswerShape, HolderKey, KeyPlan};
use crate::params::{Params, Preset};
use crate::ring::{Automorphism, Eval, Poly};
use crate::sampler;
use crate::stream::Stream;

/// (m' - c0) / c1 modulo every prime; a zero of c1 leaves zero.
fn divided(ciphertext: &Ciphertext, phase: &Plaintext) -> Poly<Eval> {
    let basis = &ciphertext.params.q[..ciphertext.limbs()];
    let mut candidate = phase.poly.clone();
    candidate.sub_assign(&ciphertext.parts()[0], basis);
    candidate.par_limbs(basis, |index, limb, x| {
        let m = limb.modulus();
        for (x, &c1) in x.iter_mut().zip(ciphertext.parts()[1].limb(index)) {
            *x = if c1 == 0 { 0 } else { m.mul(*x, m.inv(c1)) };
        }
    });
    candidate
}

/// The secret from the slots of two results: at every point z of the transform, two equations
/// c1(z) s(z) + c1(1/z) s(1/z) = m'(z) + m'(1/z) - c0(z) - c0(1/z).
fn solved(encoder: &Encoder, results: [(&Ciphertext, &[f64]); 2]) -> Poly<Eval> {
    let (params, limbs) = (results[0].0.params, results[0].0.limbs());
    let basis = &params.q[..limbs];
    let conjugate = Automorphism::new(params.n, 2 * params.n - 1);
    let equations = results.map(|(ciphertext, slots)| {
        let doubled: Vec<f64> = slots.iter().map(|x| 2.0 * x).collect();
        let mut right = encoder.encode(&doubled, ciphertext.scale(), limbs).unwrap().poly;
        let [c0, c1] = [0, 1].map(|part| &ciphertext.parts()[part]);
        right.sub_assign(c0, basis);
        right.sub_assign(&conjugate.apply_eval(c0), basis);
        (c1.clone(), conjugate.apply_eval(c1), right)
    });
    let mut secret = Poly::zero(params.n, limbs);
    secret.par_limbs(basis, |l, limb, s| {
        let m = limb.modulus();
        let [first, second] = equations.each_ref().map(|(a, b, r)| (a.limb(l), b.limb(l), r.limb(l)));
        for (i, s) in s.iter_mut().enumerate() {
            let cross = |x: [u32; 2], y: [u32; 2]| m.sub(m.mul(x[0], y[1]), m.mul(x[1], y[0]));
            let (a, b, r) = ([first.0[i], second.0[i]], [first.1[i], second.1[i]], [first.2[i], second.2[i]]);
            let determinant = cross(a, b);
            *s = if determinant == 0 { 0 } else { m.mul(cross(r, b), m.inv(determinant)) };
        }
    });
    secret
}

/// What an asker makes of a release: the phase, with the coefficients that left as they came.
fn released(hospitals: &Hospitals, result: &Ciphertext, set: &[u16]) -> Plaintext {
    // With room for the flooding at a scale that it drowns.
    let value_max = (100f64.exp2() / result.scale()).max(1024.0);
    let shape = AnswerShape { value_max, ..hospitals.shape(result.scale()) };
    let context = hospitals.context_of(shape, set);
    let left = hospitals.sum(&context, result, set, flooded()).coefficients().unwrap();
    let basis = &result.params.q[..result.limbs()];
    let left: Vec<i128> = left.iter().map(|x| (x * result.scale()).round() as i128).collect();
    let left = Poly::from_signed_wide(&left, basis);
    let mut phase = hospitals.c.decrypt(result);
    let mut coefficients = phase.poly.into_coeff(basis);
    for limb in 0..basis.len() {
        coefficients.limb_mut(limb)[..left.n()].copy_from_slice(left.limb(limb));
    }
    phase.poly = coefficients.into_eval(basis);
    phase
}

/// The attacker's key, if what it computed is a sum of n ternary secrets, alike in every limb.
fn as_key(candidate: Poly<Eval>, c: &Ceremony, parties: i64) -> Option<Vec<i64>> {
    let basis = &c.params.q[..candidate.limbs()];
    let candidate = candidate.into_coeff(basis);
    let centred =
        |limb: usize| -> Vec<i64> { candidate.limb(limb).iter().map(|&x| basis[limb].modulus().centre(x)).collect() };
    let first = centred(0);
    let short = first.iter().all(|x| x.abs() <= parties);
    (short && (1..basis.len()).all(|limb| centred(limb) == first)).then_some(first)
}

/// The collective secret, which the tests alone can form.
fn secret(c: &Ceremony) -> Vec<i64> {
    let specials = c.params.p.len();
    let limb = &c.params.q[0];
    let mut coefficients = c.ideal.limb(specials).to_vec();
    limb.inverse(&mut coefficients);
    coefficients.iter().map(|&x| limb.modulus().centre(x)).collect()
}

/// Nothing of the key: no coefficient is the secret's, and none is as short as one. By chance 256
/// residues of 2^30 hold either in 3e-6 cases.
fn assert_unrelated(candidate: Poly<Eval>, c: &Ceremony) {
    let basis = &c.params.q[..candidate.limbs()];
    let candidate = candidate.into_coeff(basis);
    for (limb, prime) in basis.iter().enumerate() {
        let found: Vec<i64> = candidate.limb(limb).iter().map(|&x| prime.modulus().centre(x)).collect();
        assert_eq!(found.iter().zip(&secret(c)).filter(|(x, y)| x == y).count(), 0);
        assert_eq!(found.iter().filter(|x| x.unsigned_abs() <= c.secrets.len() as u64).count(), 0);
    }
}

#[test]
fn an_unflooded_result_gives_the_collective_key_away_and_a_released_one_does_not() {
    let (hospitals, ciphertext) = small(3);
    let c = &hospitals.c;
    let parties = c.secrets.len() as i64;
    let found = as_key(divided(&ciphertext, &c.decrypt(&ciphertext)), c, parties);
    assert!(found.is_some_and(|found| found == secret(c)));

    // The same ciphertext, released: its asker divides in vain, even where it is told what does not
    // leave. That the flooding is there at its full size, which the security bound is about, is
    // held by `quorums`.
    let read = released(&hospitals, &ciphertext, &[1, 3, 4]);
    assert_unrelated(divided(&ciphertext, &read), c);
    // Yet the answer is in it.
    super::close(&hospitals.read(&ciphertext, &[1, 3, 4], flooded()), &c.reveal(&ciphertext), 1e-6);
}

#[test]
fn the_slots_of_two_unflooded_results_give_the_key_away_and_those_of_two_releases_do_not() {
    let (mut hospitals, _) = small(3);
    let params = hospitals.c.params;
    // At scale 2^30 an f64 holds the whole phase: the attacker's best case.
    let results = [0; 2].map(|_| {
        let values = hospitals.c.random_values(4.0);
        hospitals.c.encrypt(&values, 30f64.exp2(), params.base_limbs)
    });
    let c = &hospitals.c;
    let solve = |slots: [Vec<f64>; 2]| solved(&c.encoder, [(&results[0], &slots[0]), (&results[1], &slots[1])]);
    let unflooded = solve(results.each_ref().map(|result| c.reveal(result)));
    assert!(as_key(unflooded, c, c.secrets.len() as i64).is_some_and(|found| found == secret(c)));
    let slots = results.each_ref().map(|result| {
        let released = released(&hospitals, result, &[1, 3, 4]);
        c.encoder.decode(&released).unwrap()
    });
    assert_unrelated(solve(slots), c);
}

#[test]
fn the_slots_that_a_trusted_holder_reads_are_worth_its_key() {
    // Why what a holder decrypts must not leave it: real presets, and their public interface alone.
    for preset in [Preset::Inf13, Preset::Inf14x30] {
        let params = preset.params();
        let mut c = Ceremony::run(params, 1, &KeyPlan::default(), false);
        let results = [0; 2].map(|_| {
            let values = c.random_values(1.0);
            c.encrypt(&values, params.scale(), params.base_limbs)
        });
        let key = secret(&c);
        let holder = HolderKey::new(c.secrets.remove(0));
        let slots = results.each_ref().map(|result| c.encoder.decode(&holder.decrypt(result).unwrap()).unwrap());
        let found = solved(&c.encoder, [(&results[0], &slots[0]), (&results[1], &slots[1])]);
        assert!(as_key(found, &c, 1).is_some_and(|found| found == key), "{preset}");
    }
}

#[test]
fn small_noise_drawn_afresh_averages_away_and_a_repeated_release_has_the_same_noise() {
    const REPEATS: i64 = 2001;
    let (hospitals, ciphertext) = small(3);
    let c = &hospitals.c;
    let parties = c.secrets.len() as i64;
    let phase = c.decrypt(&ciphertext);
    let mut stream = Stream::from_seed([6; 32]);
    // One error of deviation 3.24 stops the division, 2001 of them average below one half.
    let mut sums = vec![0i64; c.params.n];
    for repeat in 0..REPEATS {
        let errors = sampler::centred_binomial(&mut stream, c.params.n);
        sums.iter_mut().zip(errors.iter()).for_each(|(sum, e)| *sum += e);
        if repeat == 0 {
            let claimed = added(&phase, &sums, c.params);
            assert!(as_key(divided(&ciphertext, &claimed), c, parties).is_none());
        }
    }
    let mean: Vec<i64> = sums.iter().map(|sum| (2 * sum + REPEATS).div_euclid(2 * REPEATS)).collect();
    let averaged = added(&phase, &mean, c.params);
    let found = as_key(divided(&ciphertext, &averaged), c, parties);
    assert!(found.is_some_and(|found| found == secret(c)));
    // The releases of one query differ in nothing, so their mean is the first.
    let [first, second] = [0; 2].map(|_| released(&hospitals, &ciphertext, &[2, 3, 5]).poly);
    assert!(first == second);
}

fn added(phase: &Plaintext, noise: &[i64], params: &Params) -> Plaintext {
    let basis = &params.q[..phase.limbs()];
    let mut sum = phase.clone();
    sum.poly.add_assign(&Poly::from_signed(noise, basis).into_eval(basis), basis);
    sum
}

#[test]
fn a_made_up_ciphertext_reads_the_key_through_any_flooding() {
    // (0, 2^k) decrypts to 2^k s: the release of what is not the transcript's result is fatal, and
    // he-agg can only bind it. The hospitals must have checked the digest before they claim.
    let params = toy(Preset::Inf15x90, 8);
    let mut c = Ceremony::run(params, 5, &plan(0, &[]), false);
    let values = c.random_values(1.0);
    let mut made_up = c.encrypt(&values, params.scale(), params.base_limbs);
    let basis = &params.q[..params.base_limbs];
    let mut constant = vec![0i128; params.n];
    constant[0] = 1 << 90;
    made_up.parts[0] = Poly::zero(params.n, params.base_limbs);
    made_up.parts[1] = Poly::from_signed_wide(&constant, basis).into_eval(basis);
    let hospitals = Hospitals::new(c, 3);
    let context = hospitals.context(&made_up, &[1, 2, 3]);
    let read = hospitals.sum(&context, &made_up, &[1, 2, 3], flooded()).coefficients().unwrap();
    let found: Vec<i64> = read.iter().map(|x| (x * made_up.scale() / 90f64.exp2()).round() as i64).collect();
    // Half of it: the coefficients of all slots.
    assert!(found == secret(&hospitals.c)[..params.slots()]);
}
