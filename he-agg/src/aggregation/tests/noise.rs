//! The noise of a training round against its model.

use super::anatomy::{centred, common, mask, rms};
use super::*;
use crate::ring::Poly;
use num_bigint::BigInt;

/// Variance of one error.
const ERROR_VARIANCE: f64 = 10.5;

/// What is left below the lanes of an unblinded sum.
fn below_the_lanes(layout: &LaneLayout, y: &Poly<crate::ring::Coeff>) -> Vec<BigInt> {
    let half = BigInt::from(1) << (layout.guard_bits() - 1);
    let gap = BigInt::from(1) << layout.guard_bits();
    centred(y, layout.params()).into_iter().map(|x| (x + &half) % &gap - &half).collect()
}

/// Measured against model, printed: the tolerances are far inside one bit.
fn check(what: &str, found: f64, model: f64, tolerance: f64) {
    println!("{what:<52} 2^{:.3} model 2^{:.3}", found.log2(), model.log2());
    assert!((found / model - 1.0).abs() < tolerance, "{what}: {found} against {model}");
}

#[test]
fn a_sum_holds_the_errors_of_its_contributors_and_the_flooding_of_its_decryptors() {
    // Ring, hospitals, threshold, contributors; the tolerance is four
    // deviations of a root mean square over N coefficients.
    let cases: [(&'static Params, u16, u16, Vec<u16>, f64); 4] = [
        (Preset::Agg13.params(), 5, 4, vec![1, 2, 4, 5], 0.032),
        (Preset::Agg14.params(), 3, 2, vec![1, 2, 3], 0.022),
        (&TOY13, 16, 11, (1..=16).collect(), 0.18),
        (&TOY14, 64, 43, (10..=64).collect(), 0.18),
    ];
    for (params, n, t, s, tolerance) in cases {
        let mut epoch = Epoch::new(params, n, t, 16, Values::Random);
        let id = epoch.id(1);
        let decryptors: Vec<u16> = (n - t + 1..=n).collect();
        let context = epoch.context(id, &s, &decryptors);
        let sum = epoch.sum(&s, id);
        let shares = epoch.shares(&context);
        let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
        let mut y = blinded.y.clone();
        y.sub_assign(&mask(&epoch.group, "modeA/blind", &context, params), &params.q);
        let name = format!("{} N = {} n = {n} t = {t} |S| = {}", params.preset, params.n, s.len());
        let word = f64::from(epoch.layout.flooding_bits()).exp2();
        let errors = ERROR_VARIANCE * s.len() as f64;
        let model = (f64::from(t) * word * word + errors).sqrt();
        check(&format!("sum: {name}"), rms(&below_the_lanes(&epoch.layout, &y)), model, tolerance);

        // The errors alone, under the summed secrets that nobody holds.
        let mut secret = Poly::zero(params.n, params.q.len());
        for &party in &s {
            secret.add_assign(epoch.hospitals[usize::from(party) - 1].secret.eval(), &params.q);
        }
        secret.mul_assign(&common(&id, params), &params.q);
        let mut ideal = sum.poly().clone();
        ideal.add_assign(&secret.into_coeff(&params.q), &params.q);
        check(&format!("errors: {name}"), rms(&below_the_lanes(&epoch.layout, &ideal)), errors.sqrt(), tolerance);
    }
}

#[test]
fn every_decryptor_floods_in_full_after_its_lagrange_weight() {
    let mut epoch = Epoch::new(&TOY13, 8, 6, 12, Values::Random);
    let decryptors = [1, 3, 4, 6, 7, 8];
    let context = epoch.context(epoch.id(2), &[1, 2, 3, 4, 5, 6, 7], &decryptors);
    let word = f64::from(epoch.layout.flooding_bits()).exp2();
    let mut seen = Vec::new();
    for party in decryptors {
        let bytes = epoch.share(party, &context).to_bytes();
        let z = epoch.flooding_in(&context, party, &bytes);
        assert!(z.iter().all(|z| *z.magnitude() < (BigInt::from(6) << epoch.layout.flooding_bits()).into_parts().1));
        check(&format!("flooding of decryptor {party}"), rms(&z), word, 0.18);
        assert!(!seen.contains(&z), "no two hospitals share their noise");
        seen.push(z);
    }
}
