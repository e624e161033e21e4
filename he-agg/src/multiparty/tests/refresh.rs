//! Facts about honest refreshes: what comes out, its noise, its bytes.

use super::noise::{Model, SIGMA};
use super::refreshes::{LOG_N, Training, float, ledger, request};
use crate::backend::Cpu;
use crate::backend::parity::tests::Composed;
use crate::ckks::{Ciphertext, Evaluator};
use crate::multiparty::ideal::toy;
use crate::multiparty::{RefreshContext, RefreshRequest, Refreshed};
use crate::params::Preset;

/// Every set of at least the threshold.
fn quorums(parties: u16, threshold: u16) -> impl Iterator<Item = Vec<u16>> {
    let sets = (0u16..1 << parties).map(move |mask| (1..=parties).filter(|j| mask >> (j - 1) & 1 == 1).collect());
    sets.filter(move |set: &Vec<u16>| set.len() >= usize::from(threshold))
}

/// Checks limbs, scale and noise of a refresh, and that the message is there.
fn check(training: &Training, context: &RefreshContext, ciphertext: &Ciphertext) {
    let fresh = training.refresh(context);
    let gates = training.gates();
    let set: Vec<u16> = context.decryptors().iter().collect();
    assert_eq!((fresh.limbs(), fresh.parts().len(), fresh.preset()), (gates.limbs, 2, gates.c.params.preset));
    let (factor, stride) = if training.serving.is_some() { (60f64.exp2(), 2) } else { (1.0, 1) };
    assert_eq!(fresh.scale(), ciphertext.scale() * factor);
    let model = Model::of(&gates.c);
    let (switch, members) = (model.switch(gates.limbs, model.gate_key()), set.len() as f64);
    // An error and an inner product for each mask and the opening, one rounding for the opening and one for all masks.
    let product = switch.powi(2) - model.rounding().powi(2) + SIGMA * SIGMA;
    let lifted = (members + 1.0) * product + 2.0 * model.rounding().powi(2);
    let errors: Vec<f64> = training.errors(ciphertext, &fresh).iter().map(float).collect();
    for (place, error) in errors.iter().enumerate() {
        // An error of every decryptor, which went through the embedding.
        let shared = if place % stride == 0 { members * (SIGMA * factor).powi(2) } else { 0.0 };
        let deviation = (lifted + shared).sqrt();
        assert!(error.abs() < 7.0 * deviation, "{set:?}, {place}: {error} at deviation {deviation}");
    }
    let placed: Vec<f64> = errors.iter().copied().step_by(stride).collect();
    let rms = (placed.iter().map(|x| x * x).sum::<f64>() / placed.len() as f64).sqrt();
    let deviation = (lifted + members * (SIGMA * factor).powi(2)).sqrt();
    assert!((rms / deviation).log2().abs() < 1.0, "{set:?}: {rms} against {deviation}");
}

#[test]
fn every_quorum_refreshes_to_full_limbs_within_the_predicted_noise() {
    for (parties, threshold) in [(3, 2), (4, 3), (5, 3)] {
        let mut training = Training::new(parties, threshold);
        for set in quorums(parties, threshold) {
            let ciphertext = training.ciphertext();
            for opener in [1, parties] {
                let request = RefreshRequest { opener, ..request() };
                let context = training.try_context(request, &ciphertext, &set).unwrap();
                check(&training, &context, &ciphertext);
            }
        }
    }
}

#[test]
fn every_quorum_refreshes_into_a_ring_twice_as_large_under_a_serving_key() {
    for (parties, threshold) in [(3, 2), (4, 3)] {
        let mut training = Training::with_serving(parties, threshold);
        for set in quorums(parties, threshold) {
            let ciphertext = training.ciphertext();
            check(&training, &training.context(&ciphertext, &set), &ciphertext);
        }
    }
}

#[test]
fn the_slots_that_come_out_under_a_serving_key_are_those_that_went_in_twice() {
    let mut training = Training::with_serving(3, 2);
    let ciphertext = training.ciphertext();
    let slots = training.own.c.reveal(&ciphertext);
    let fresh = training.refresh(&training.context(&ciphertext, &[1, 3]));
    let found = training.gates().c.reveal(&fresh);
    assert_eq!(found.len(), 2 * slots.len());
    super::close(&found[..slots.len()], &slots, 1e-2);
    super::close(&found[slots.len()..], &slots, 1e-2);
}

#[test]
fn the_real_parameters_are_refreshed_under_themselves() {
    let mut training = Training::over(Preset::Trn14.params(), 2, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2]);
    // 39 + log2(24 2^14 2^12) / 2 + 48 / 2.
    assert_eq!(context.flooding_log2(), 79);
    assert_eq!(context.bound, 12 * (1 << 79) + (1 << 40));
    check(&training, &context, &ciphertext);
}

#[test]
fn messages_up_to_the_bound_of_either_sign_are_refreshed() {
    let training = Training::new(3, 2);
    let params = training.own.c.params;
    let basis = &params.q[..params.base_limbs];
    let edge = (1_i128 << 39) - 64;
    let values: Vec<i128> = (0..params.n).map(|i| [edge, -edge, 0, 1][i % 4]).collect();
    let first = crate::ring::Poly::from_signed_wide(&values, basis).into_eval(basis);
    // An encryption whose second polynomial is public: the first makes up for it.
    let mut blank = Training::new(3, 2).ciphertext();
    let phase = training.own.c.decrypt(&blank).poly;
    blank.parts[0].sub_assign(&phase, basis);
    blank.parts[0].add_assign(&first, basis);
    check(&training, &training.context(&blank, &[2, 3]), &blank);
}

#[test]
fn everything_repeats_its_bytes_and_shares_add_up_in_any_order() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2, 4]);
    let (shares, mut again) = (training.all_shares(&context), training.all_shares(&context));
    again.reverse();
    for ((share, mask), (other, same)) in shares.iter().zip(again.iter().rev()) {
        assert_eq!(share.to_bytes(), other.to_bytes());
        assert_eq!(mask.digest(), same.digest());
    }
    let sum = training.sum(&context, &shares).unwrap();
    assert_eq!(training.sum(&context, &again).unwrap().to_bytes(), sum.to_bytes());
    let opening = training.open(&context, &sum, 1, &mut ledger()).unwrap();
    assert_eq!(training.open(&context, &sum, 1, &mut ledger()).unwrap().digest(), opening.digest());
    let fresh = training.fresh(&context, &shares, &opening).unwrap();
    assert!(training.fresh(&context, &again, &opening).unwrap() == fresh);
    // Nothing of it is that of another attempt.
    let other = training.try_context(RefreshRequest { attempt: 2, ..request() }, &ciphertext, &[1, 2, 4]).unwrap();
    for ((share, mask), (other, unlike)) in shares.iter().zip(training.all_shares(&other)) {
        assert_ne!(share.to_bytes()[72..], other.to_bytes()[72..]);
        assert_ne!(mask.digest(), unlike.digest());
    }
}

#[test]
fn the_fresh_ciphertext_has_the_same_bits_on_another_backend() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[2, 3]);
    let shares = training.all_shares(&context);
    let opening = training.open(&context, &training.sum(&context, &shares).unwrap(), 1, &mut ledger()).unwrap();
    let here = training.fresh(&context, &shares, &opening).unwrap();
    let backend = Composed(Cpu::new(toy(Preset::Trn14, LOG_N)));
    let keys: Vec<_> = training.own.keys.iter().map(|key| key.upload(&backend).unwrap()).collect();
    let mut fresh = Refreshed::new(Evaluator::on(backend).unwrap(), &context).unwrap();
    fresh.absorb_opening(&opening, &keys[0]).unwrap();
    fresh.absorb_mask(&shares[1].1, &keys[2]).unwrap();
    fresh.absorb_mask(&shares[0].1, &keys[1]).unwrap();
    let elsewhere = Ciphertext::download(&[&fresh.finish().unwrap()], &backend).unwrap();
    assert!(elsewhere[0] == here);
}

#[test]
fn a_refreshed_ciphertext_is_computed_on_and_refreshed_again() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let slots = training.own.c.reveal(&ciphertext);
    let first = training.refresh(&training.context(&ciphertext, &[1, 2]));
    let low = training.own.c.evaluator.drop_to(&first, training.own.c.params.base_limbs).unwrap();
    let next = training.try_context(RefreshRequest { step: 6, ..request() }, &low, &[2, 3]).unwrap();
    super::close(&training.own.c.reveal(&training.refresh(&next)), &slots, 0.1);
}
