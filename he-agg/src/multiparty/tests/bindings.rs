//! A query is released once, to one asker, from one result, by one set of hospitals.

use crate::aggregation::{Flooding, MemoryLedger, PermitError, TauExhausted};
use crate::ckks::{CkksError, coefficient_differences};
use crate::multiparty::ideal::Ceremony;
use crate::multiparty::release_tests::{Hospitals, flooded, small};
use crate::multiparty::{
    AskerKey, AskerPublicKey, CeremonyError, Crs, KeyPlan, KeySwitchShare, Quorum, SwitchContext, SwitchPermit,
    SwitchSum,
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
    let other_asker = AskerKey::over(hospitals.c.params, &mut Stream::from_seed([77; 32]));
    let (crs, quorum) = (&hospitals.c.crs, hospitals.quorum);
    let (ours, theirs) = (hospitals.asker.public(), other_asker.public());
    let new =
        |quorum, query, result, asker, set: &[u16]| SwitchContext::new(crs, quorum, query, result, asker, set).unwrap();
    let mut ledger = ledger(2);
    let first = new(quorum, (7, [3; 32]), &result, ours, &SET);
    assert!(SwitchPermit::claim(&mut ledger, &first).is_ok());
    let stricter = Quorum { threshold: 4, ..quorum };
    let exchanged = [
        ("the program", new(quorum, (7, [4; 32]), &result, ours, &SET)),
        ("the result", new(quorum, (7, [3; 32]), &other_result, ours, &SET)),
        ("the asker's key", new(quorum, (7, [3; 32]), &result, theirs, &SET)),
        ("the decryptors", new(quorum, (7, [3; 32]), &result, ours, &[1, 2, 3])),
        ("one more decryptor", new(quorum, (7, [3; 32]), &result, ours, &[1, 2, 3, 4])),
        ("the threshold", new(stricter, (7, [3; 32]), &result, ours, &[1, 2, 3, 4])),
    ];
    let shared = hospitals.share(&first, 2, flooded()).unwrap();
    for (what, context) in &exchanged {
        let refused = SwitchPermit::claim(&mut ledger, context);
        assert!(matches!(refused, Err(PermitError::Conflict { key }) if key == first.ledger_key()), "{what}");
        // Nor does the share that was made serve the exchanged release.
        let moved = SwitchSum::new(context).absorb(&shared);
        assert!(matches!(moved, Err(CeremonyError::Context { .. })), "{what}");
        let read = KeySwitchShare::from_bytes(&shared.to_bytes(), context).map(drop);
        assert!(matches!(read, Err(CeremonyError::Context { .. })), "{what}");
    }
    // Another epoch's query of the same number is another name, in another ledger key.
    let elsewhere = Crs::over(hospitals.c.params, [8; 32]);
    let foreign = SwitchContext::new(&elsewhere, quorum, (7, [3; 32]), &result, ours, &SET).unwrap();
    assert_ne!(foreign.ledger_key(), first.ledger_key());
    assert!(matches!(hospitals.share(&foreign, 2, flooded()), Err(CeremonyError::Epoch { .. })));
}

#[test]
fn every_query_is_charged_once_and_a_spent_budget_is_named() {
    let (hospitals, result) = small(3);
    let new = |query| {
        let asker = hospitals.asker.public();
        SwitchContext::new(&hospitals.c.crs, hospitals.quorum, (query, [3; 32]), &result, asker, &SET).unwrap()
    };
    let mut ledger = ledger(2);
    for query in [1, 1, 2, 1, 2] {
        assert!(SwitchPermit::claim(&mut ledger, &new(query)).is_ok());
    }
    assert_eq!(ledger.left(), 0);
    let refused = SwitchPermit::claim(&mut ledger, &new(3));
    assert!(matches!(refused, Err(PermitError::Exhausted(TauExhausted { limit: 2 }))));
    assert!(SwitchPermit::claim(&mut ledger, &new(2)).is_ok());
}

/// Largest difference between what an asker reads and the message, in units of the scale.
fn misreading(hospitals: &Hospitals, read: &crate::ckks::Plaintext, result: &crate::ckks::Ciphertext) -> f64 {
    let direct = hospitals.c.decrypt(result);
    let differences = coefficient_differences(read, &direct);
    differences.iter().fold(0.0, |m: f64, d| m.max(d.abs())) / result.scale()
}

#[test]
fn a_key_in_the_askers_place_would_read_the_answer_so_it_is_bound_by_its_digest() {
    let (hospitals, result) = small(3);
    let rogue = AskerKey::over(hospitals.c.params, &mut Stream::from_seed([66; 32]));
    // Hospitals that took the coordinator's key for the asker's would answer the coordinator.
    let context = |asker| {
        let (crs, quorum) = (&hospitals.c.crs, hospitals.quorum);
        SwitchContext::new(crs, quorum, (1, [3; 32]), &result, asker, &SET).unwrap()
    };
    let deceived = context(rogue.public());
    let mut sum = SwitchSum::new(&deceived);
    for party in SET {
        sum.absorb(&hospitals.share(&deceived, party, flooded()).unwrap()).unwrap();
    }
    let answer = sum.finish().unwrap();
    assert!(misreading(&hospitals, &rogue.decrypt(&answer).unwrap(), &result) < 1e-6);
    assert!(misreading(&hospitals, &hospitals.asker.decrypt(&answer).unwrap(), &result) > 1e6);
    // The roster's digest tells the two apart, whichever byte was exchanged.
    assert_ne!(deceived.digest(), context(hospitals.asker.public()).digest());
    let signed = hospitals.asker.public().digest();
    assert_ne!(rogue.public().digest(), signed);

    let key = AskerKey::generate(Preset::Inf13, &mut Stream::from_seed([5; 32])).unwrap();
    let (bytes, signed) = (key.public().to_bytes(), key.public().digest());
    for place in (0..72).chain((72..bytes.len()).step_by(997)) {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        if let Ok(altered) = AskerPublicKey::from_bytes(&altered, Preset::Inf13) {
            assert_ne!(altered.digest(), signed, "byte {place}");
        }
    }
}

#[test]
fn foreign_ciphertexts_are_refused_by_type_or_stay_noise() {
    let (hospitals, result) = small(3);
    let (crs, quorum) = (&hospitals.c.crs, hospitals.quorum);
    let new = |ciphertext, asker| SwitchContext::new(crs, quorum, (1, [0; 32]), ciphertext, asker, &SET).err();
    let ours = hospitals.asker.public();
    // Another preset, in the ciphertext or in the asker's key.
    let mut other = Ceremony::run(Preset::Inf13.params(), 1, &KeyPlan::default(), false);
    let foreign = other.encrypt(&[1.0], other.params.scale(), 2);
    let (left, right) = (Preset::Inf15x90, Preset::Inf13);
    assert_eq!(new(&foreign, ours), Some(CeremonyError::PresetMismatch { left, right }));
    let stranger = AskerKey::over(other.params, &mut Stream::from_seed([4; 32]));
    assert_eq!(new(&result, stranger.public()), Some(CeremonyError::PresetMismatch { left, right }));
    let mismatch = CkksError::PresetMismatch { left: right, right: left };
    assert_eq!(stranger.decrypt(&result).err(), Some(mismatch));
    // Above and below the base level.
    let mut c = Ceremony::run(hospitals.c.params, 5, &KeyPlan::default(), false);
    let high = c.encrypt(&[1.0], c.params.scale(), c.params.base_limbs + 1);
    let low = c.evaluator.drop_to(&high, c.params.base_limbs - 1).unwrap();
    for wrong in [&high, &low] {
        assert!(matches!(new(wrong, ours), Some(CeremonyError::NotReleasable { parts: 2, base: 4, .. })));
    }
    // Under another collective key the release is well formed and means nothing.
    let params = hospitals.c.params;
    let mut stream = Stream::from_seed([12; 32]);
    let mut unrelated = result.clone();
    for (limb, prime) in params.q[..params.base_limbs].iter().enumerate() {
        stream.fill_uniform(prime.modulus().value(), unrelated.parts[1].limb_mut(limb));
    }
    let released = hospitals.release(&unrelated, &SET, flooded());
    let read = hospitals.asker.decrypt(&released).unwrap();
    assert!(misreading(&hospitals, &read, &result) > 1e6);
}
