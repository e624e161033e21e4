//! A query is released once, to one asker, from one result, by one set of hospitals.

use crate::aggregation::{Flooding, MemoryLedger, PermitError, TauExhausted};
use crate::multiparty::ideal::Ceremony;
use crate::multiparty::release_tests::{Hospitals, REQUEST, flooded, small};
use crate::multiparty::{
    AnswerShape, CeremonyError, Crs, KeyPlan, PermitRefused, Quorum, ReleaseContext, ReleasePermit, ReleaseRequest,
    ReleaseShare, ReleaseSum,
};
use crate::params::Preset;
use crate::stream::Stream;

const SET: [u16; 3] = [1, 2, 4];

fn ledger(releases: u64) -> MemoryLedger {
    MemoryLedger::new(Flooding::secure(40, releases).unwrap())
}

#[test]
fn whatever_a_query_was_claimed_with_cannot_be_exchanged() {
    let (mut hospitals, result) = small(3);
    let values = hospitals.c.random_values(1.0);
    let other_result = hospitals.c.encrypt(&values, hospitals.c.params.scale(), hospitals.c.params.base_limbs);
    let (crs, quorum) = (&hospitals.c.crs, hospitals.quorum);
    let shape = hospitals.shape(result.scale());
    let new = |quorum, request, shape, set: &[u16]| ReleaseContext::new(crs, quorum, request, shape, set).unwrap();
    let mut ledger = ledger(2);
    let first = new(quorum, REQUEST, shape, &SET);
    assert!(ReleasePermit::claim(&mut ledger, &first, &result).is_ok());
    let stricter = Quorum { threshold: 4, ..quorum };
    let exchanged = [
        ("the program", new(quorum, ReleaseRequest { digest: [4; 32], ..REQUEST }, shape, &SET)),
        ("the asker", new(quorum, ReleaseRequest { asker: 3, ..REQUEST }, shape, &SET)),
        ("the decryptors", new(quorum, REQUEST, shape, &[1, 2, 3])),
        ("one more decryptor", new(quorum, REQUEST, shape, &[1, 2, 3, 4])),
        ("the threshold", new(stricter, REQUEST, shape, &[1, 2, 3, 4])),
        ("the period", new(quorum, REQUEST, AnswerShape { period: 8, ..shape }, &SET)),
        ("the scale", new(quorum, REQUEST, AnswerShape { scale: shape.scale * (1.0 + 1e-15), ..shape }, &SET)),
        ("the range", new(quorum, REQUEST, AnswerShape { value_max: 4.0, ..shape }, &SET)),
    ];
    let shared = hospitals.share((&first, &result), 2, flooded()).unwrap();
    for (what, context) in &exchanged {
        let refused = ReleasePermit::claim(&mut ledger, context, &result);
        let is_conflict = matches!(
            refused,
            Err(PermitRefused::Permit(PermitError::Conflict { key })) if key == first.ledger_key()
        );
        assert!(is_conflict, "{what}");
        // Nor does the share that was made serve the exchanged release.
        let moved = ReleaseSum::new(context).absorb(&shared);
        assert!(matches!(moved, Err(CeremonyError::Context { .. })), "{what}");
        let read = ReleaseShare::from_bytes(&shared.to_bytes(), context).map(drop);
        let has_other_length = matches!(read, Err(CeremonyError::Decode(_))) && *what == "the period";
        assert!(has_other_length || matches!(read, Err(CeremonyError::Context { .. })), "{what}");
    }
    let refused = ReleasePermit::claim(&mut ledger, &first, &other_result);
    assert!(matches!(refused, Err(PermitRefused::Permit(PermitError::Conflict { .. }))));
    // Another epoch's query of the same number is another name, in another ledger key.
    let elsewhere = Crs::over(hospitals.c.params, [8; 32]);
    let foreign = ReleaseContext::new(&elsewhere, quorum, REQUEST, shape, &SET).unwrap();
    assert_ne!(foreign.ledger_key(), first.ledger_key());
    assert!(matches!(hospitals.share((&foreign, &result), 2, flooded()), Err(CeremonyError::Epoch { .. })));
}

#[test]
fn noise_and_masks_are_those_of_one_result() {
    let (mut hospitals, result) = small(3);
    let values = hospitals.c.random_values(1.0);
    let other = hospitals.c.encrypt(&values, hospitals.c.params.scale(), hospitals.c.params.base_limbs);
    let context = hospitals.context(&result, &SET);
    // Shares of two results under one name do not add up, so that their difference tells nothing.
    let mut mixed = ReleaseSum::new(&context);
    for (party, of) in SET.into_iter().zip([&result, &other, &other]) {
        mixed.absorb(&hospitals.share((&context, of), party, flooded()).unwrap()).unwrap();
    }
    for of in [&result, &other] {
        assert!(misreading(&hospitals, &mixed, &context, of) > 1e3);
    }
}

#[test]
fn every_query_is_charged_once_and_a_spent_budget_is_named() {
    let (hospitals, result) = small(3);
    let shape = hospitals.shape(result.scale());
    let new = |query| {
        let request = ReleaseRequest { query, ..REQUEST };
        ReleaseContext::new(&hospitals.c.crs, hospitals.quorum, request, shape, &SET).unwrap()
    };
    let mut ledger = ledger(2);
    for query in [1, 1, 2, 1, 2] {
        assert!(ReleasePermit::claim(&mut ledger, &new(query), &result).is_ok());
    }
    assert_eq!(ledger.left(), 0);
    let refused = ReleasePermit::claim(&mut ledger, &new(3), &result);
    let is_spent = matches!(refused, Err(PermitRefused::Permit(PermitError::Exhausted(TauExhausted { limit: 2 }))));
    assert!(is_spent);
    assert!(ReleasePermit::claim(&mut ledger, &new(2), &result).is_ok());
}

/// Largest difference between what an asker reads and the message, in units of the scale.
fn misreading(
    hospitals: &Hospitals,
    sum: &ReleaseSum<'_>,
    context: &ReleaseContext,
    result: &crate::ckks::Ciphertext,
) -> f64 {
    let differences = hospitals.misreadings(sum, context, result);
    differences.iter().fold(0.0, |m: f64, d| m.max(d.abs())) / result.scale()
}

#[test]
fn foreign_ciphertexts_are_refused_by_type_or_stay_noise() {
    let (hospitals, result) = small(3);
    let context = hospitals.context(&result, &SET);
    let claim = |ciphertext| ReleasePermit::claim(&mut ledger(1), &context, ciphertext).err();
    // Another preset.
    let mut other = Ceremony::run(Preset::Inf13.params(), 1, &KeyPlan::default(), false);
    let foreign = other.encrypt(&[1.0], other.params.scale(), 2);
    let (left, right) = (Preset::Inf15x90, Preset::Inf13);
    let refused = claim(&foreign);
    assert!(matches!(
        refused,
        Some(PermitRefused::Result(error)) if error == CeremonyError::PresetMismatch { left, right }
    ));
    // Above and below the base level.
    let mut c = Ceremony::run(hospitals.c.params, 5, &KeyPlan::default(), false);
    let high = c.encrypt(&[1.0], c.params.scale(), c.params.base_limbs + 1);
    let low = c.evaluator.drop_to(&high, c.params.base_limbs - 1).unwrap();
    for wrong in [&high, &low] {
        let refused = claim(wrong);
        let is_refused =
            matches!(refused, Some(PermitRefused::Result(CeremonyError::NotReleasable { parts: 2, base: 4, .. })));
        assert!(is_refused);
    }
    // Under another collective key the release is well formed and means nothing.
    let params = hospitals.c.params;
    let mut stream = Stream::from_seed([12; 32]);
    let mut unrelated = result.clone();
    for (limb, prime) in params.q[..params.base_limbs].iter().enumerate() {
        stream.fill_uniform(prime.modulus().value(), unrelated.parts[1].limb_mut(limb));
    }
    let sum = hospitals.sum(&context, &unrelated, &SET, flooded());
    assert!(misreading(&hospitals, &sum, &context, &result) > 1e3);
    assert!(matches!(sum.finish(), Err(CeremonyError::AnswerRange { .. })));
}
