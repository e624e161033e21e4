//! Any quorum of any number of hospitals releases what the ideal key decrypts.

use super::plan;
use crate::ckks::Ciphertext;
use crate::multiparty::ideal::{Ceremony, toy};
use crate::multiparty::release_tests::{Hospitals, flooded, flooded_bits};
use crate::params::Preset;
use crate::stream::Stream;

/// Checks that a release differs from direct decryption by the flooding of every decryptor.
fn check(hospitals: &Hospitals, ciphertext: &Ciphertext, set: &[u16]) {
    let context = hospitals.context(ciphertext, set);
    let sum = hospitals.sum(&context, ciphertext, set, flooded());
    let differences = hospitals.misreadings(&sum, &context, ciphertext);
    let word = f64::from(flooded_bits(hospitals)).exp2();
    let largest = differences.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
    let rms = (differences.iter().map(|d| d * d).sum::<f64>() / differences.len() as f64).sqrt();
    let deviation = (set.len() as f64).sqrt() * word;
    assert!(largest < 6.5 * deviation, "{set:?}: {largest} at deviation {deviation}");
    // Four deviations of a root mean square over 32 coefficients, and some.
    assert!((rms / deviation - 1.0).abs() < 0.6, "{set:?}: {rms} against {deviation}");
}

#[test]
fn every_quorum_of_up_to_five_hospitals_releases_the_result() {
    for parties in 1..=5u16 {
        let params = toy(Preset::Inf15x90, 6);
        let mut c = Ceremony::run(params, parties, &plan(0, &[]), true);
        for threshold in parties / 2 + 1..=parties {
            let values = c.random_values(4.0);
            let ciphertext = c.encrypt(&values, params.scale(), params.base_limbs);
            let hospitals = Hospitals::new(c, threshold);
            for mask in 0u16..1 << parties {
                let set: Vec<u16> = (1..=parties).filter(|j| mask >> (j - 1) & 1 == 1).collect();
                if set.len() >= usize::from(threshold) {
                    check(&hospitals, &ciphertext, &set);
                }
            }
            c = hospitals.c;
        }
    }
}

#[test]
fn collective_keys_of_up_to_sixty_four_hospitals_compute_and_release() {
    let mut stream = Stream::from_seed([17; 32]);
    for parties in [8, 16, 33, 64u16] {
        let params = toy(Preset::Inf15x90, 6);
        let limbs = params.base_limbs + params.limbs_per_level;
        let mut c = Ceremony::run(params, parties, &plan(limbs, &[(1, limbs)]), false);
        let x = c.random_values(2.0);
        let encrypted = c.encrypt(&x, params.scale(), limbs);
        let rotated = c.evaluator.rotate(&encrypted, 1, &c.keys).unwrap();
        let product = c.evaluator.mul(&encrypted, &rotated).unwrap();
        let result = c.evaluator.relinearise_rescale(&product, &c.keys).unwrap();
        let expected: Vec<f64> = (0..x.len()).map(|i| x[i] * x[(i + 1) % x.len()]).collect();
        for threshold in [parties / 2 + 1, 2 * parties / 3 + 1, parties] {
            let hospitals = Hospitals::new(c, threshold);
            let mut set: Vec<u16> = (1..=parties).collect();
            while set.len() > usize::from(threshold) {
                set.remove(stream.next_u32() as usize % set.len());
            }
            check(&hospitals, &result, &set);
            let values = hospitals.read(&result, &set, flooded());
            let bits = flooded_bits(&hospitals);
            let slot = (f64::from(threshold) * params.n as f64).sqrt() * f64::from(bits).exp2() / result.scale();
            super::close(&values, &expected, 6.0 * slot);
            c = hospitals.c;
        }
    }
}
