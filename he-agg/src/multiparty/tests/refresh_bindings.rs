//! A refresh is of one ciphertext, by one set, opened by one hospital, into one key: everything else is refused.

use super::refreshes::{Training, flooding, ledger, request, vault};
use crate::aggregation::{Flooding, ReleaseLedger, Use};
use crate::ckks::{Ciphertext, CkksError};
use crate::multiparty::ideal::{Ceremony, toy};
use crate::multiparty::{
    BlindedRefresh, CeremonyError, Crs, GateHolder, GateHolderError, Gated, KeyPlan, OpeningPermit, Quorum,
    RefreshContext, RefreshEmbedding, RefreshKeys, RefreshPermit, RefreshRequest, RefreshShare, RefreshSum,
    RefreshTarget, Refreshed,
};
use crate::params::Preset;
use std::collections::{BTreeMap, BTreeSet};

fn ceremony<T, E>(result: Result<T, GateHolderError<E>>) -> Option<CeremonyError> {
    match result {
        Err(GateHolderError::Ceremony(error)) => Some(error),
        _ => None,
    }
}

/// Contexts that differ from the first in one thing each.
fn exchanged(training: &mut Training, ciphertext: &Ciphertext) -> Vec<(&'static str, RefreshContext)> {
    let other = training.ciphertext();
    let mut first_half = ciphertext.clone();
    first_half.parts[0] = other.parts[0].clone();
    let scaled = Ciphertext { scale: ciphertext.scale * 2.0, ..ciphertext.clone() };
    let (crs, set, request) = (&training.own.c.crs, [1, 2, 4], request());
    let of = |request, ciphertext: &Ciphertext, set: &[u16]| training.try_context(request, ciphertext, set).unwrap();
    let new = |quorum, target| RefreshContext::new(crs, quorum, request, ciphertext.clone(), target, &set).unwrap();
    let elsewhere = Crs::over(training.own.c.params, [8; 32]);
    let same = RefreshEmbedding::SameRing;
    let target = |crs: &Crs, limbs| RefreshTarget::new(crs, limbs, same).unwrap();
    let double = Crs::over(toy(Preset::Inf15x90, super::refreshes::LOG_N + 1), [7; 32]);
    let doubled = |factor_log2| RefreshTarget::new(&double, 7, RefreshEmbedding::DoubledRing { factor_log2 }).unwrap();
    let quorum = training.quorum;
    let under =
        |crs: &Crs| RefreshContext::new(crs, quorum, request, ciphertext.clone(), training.target(), &set).unwrap();
    vec![
        ("the key", under(&elsewhere)),
        ("the ciphertext", of(request, &other, &set)),
        ("its first polynomial", of(request, &first_half, &set)),
        ("its scale", of(request, &scaled, &set)),
        ("the program", of(RefreshRequest { program: [4; 32], ..request }, ciphertext, &set)),
        ("the step", of(RefreshRequest { step: 6, ..request }, ciphertext, &set)),
        ("the attempt", of(RefreshRequest { attempt: 2, ..request }, ciphertext, &set)),
        ("the part", of(RefreshRequest { part: 3, ..request }, ciphertext, &set)),
        ("the opener", of(RefreshRequest { opener: 2, ..request }, ciphertext, &set)),
        (
            "the security",
            of(RefreshRequest { flooding: Flooding::secure(49, 4096).unwrap(), ..request }, ciphertext, &set),
        ),
        ("the refreshes", of(RefreshRequest { flooding: flooding(4095), ..request }, ciphertext, &set)),
        ("the message", of(RefreshRequest { message_log2: 38, ..request }, ciphertext, &set)),
        ("the decryptors", of(request, ciphertext, &[1, 2, 3])),
        ("one more decryptor", of(request, ciphertext, &[1, 2, 3, 4])),
        ("the parties", new(Quorum { parties: 5, threshold: 3 }, training.target())),
        ("the target's limbs", new(quorum, target(crs, 10))),
        ("the target's key", new(quorum, target(&elsewhere, 11))),
        ("the target's ring", new(quorum, doubled(0))),
        ("the factor", new(quorum, doubled(60))),
    ]
}

#[test]
fn a_share_and_a_sum_are_bound_to_everything_that_the_context_says() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let first = training.context(&ciphertext, &[1, 2, 4]);
    let shares = training.all_shares(&first);
    let sum = training.sum(&first, &shares).unwrap();
    let mut digests = BTreeSet::from([first.digest()]);
    for (what, context) in exchanged(&mut training, &ciphertext) {
        assert!(digests.insert(context.digest()), "{what}");
        let is_foreign = |error: Option<CeremonyError>| matches!(error, Some(CeremonyError::Context { .. }));
        let (share, bytes) = (&shares[0].0, shares[0].0.to_bytes());
        assert!(is_foreign(RefreshSum::new(&context).absorb(share).err()), "{what}");
        assert!(is_foreign(RefreshShare::from_bytes(&bytes, &context).err()), "{what}");
        assert!(is_foreign(BlindedRefresh::from_bytes(&sum.to_bytes(), &context).err()), "{what}");
        assert!(is_foreign(ceremony(training.open(&context, &sum, 1, &mut ledger()))), "{what}");
        // A permit for one does not serve another.
        let permit = RefreshPermit::claim(&mut ledger(), &first).unwrap();
        assert!(is_foreign(ceremony(training.share_with(permit, &context, 1, &mut ledger()))), "{what}");
    }
    // A threshold that the same set still meets.
    let stricter = Quorum { threshold: 4, ..training.quorum };
    let everyone = [1, 2, 3, 4];
    let of = |quorum| {
        RefreshContext::new(&training.own.c.crs, quorum, request(), ciphertext.clone(), training.target(), &everyone)
            .unwrap()
            .digest()
    };
    assert_ne!(of(stricter), of(training.quorum));
}

#[test]
fn a_sum_refuses_missing_doubled_and_foreign_shares() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2, 4]);
    let shares = training.all_shares(&context);
    for left_out in 0..3 {
        let mut sum = RefreshSum::new(&context);
        for (share, _) in shares.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, share)| share) {
            sum.absorb(share).unwrap();
        }
        let party = shares[left_out].0.sender();
        assert_eq!(sum.finish().err(), Some(CeremonyError::Missing { party, parties: 3 }));
    }
    let mut sum = RefreshSum::new(&context);
    sum.absorb(&shares[1].0).unwrap();
    assert_eq!(sum.absorb(&shares[1].0), Err(CeremonyError::Duplicate { party: 2 }));
    // A share in this very context that names a hospital outside T.
    for sender in [0, 3, 5, 64, 65, u16::MAX] {
        let mut bytes = shares[0].0.to_bytes();
        bytes[12..14].copy_from_slice(&sender.to_le_bytes());
        let stranger = RefreshShare::from_bytes(&bytes, &context).unwrap();
        assert_eq!(sum.absorb(&stranger), Err(CeremonyError::Party { party: sender, parties: 3 }));
    }
    // The refused ones left no trace.
    for at in [0, 2] {
        sum.absorb(&shares[at].0).unwrap();
    }
    assert_eq!(sum.absorbed(), context.decryptors());
    assert_eq!(sum.finish().unwrap().to_bytes(), training.sum(&context, &shares).unwrap().to_bytes());
}

#[test]
fn a_fresh_ciphertext_takes_every_mask_and_the_opening_exactly_once() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2, 4]);
    let shares = training.all_shares(&context);
    let opening = training.open(&context, &training.sum(&context, &shares).unwrap(), 1, &mut ledger()).unwrap();
    let (keys, evaluator) = (&training.own.keys, training.own.c.evaluator);
    let new = || Refreshed::new(evaluator, &context).unwrap();
    for left_out in 0..3 {
        let mut fresh = new();
        for (at, (share, mask)) in shares.iter().enumerate().filter(|(at, _)| *at != left_out) {
            assert!(at != left_out);
            fresh.absorb_mask(mask, &keys[usize::from(share.sender()) - 1]).unwrap();
        }
        fresh.absorb_opening(&opening, &keys[0]).unwrap();
        let party = shares[left_out].0.sender();
        assert_eq!(fresh.finish().err(), Some(CeremonyError::Missing { party, parties: 3 }));
    }
    let mut fresh = new();
    for (share, mask) in &shares {
        let key = &keys[usize::from(share.sender()) - 1];
        fresh.absorb_mask(mask, key).unwrap();
        assert_eq!(fresh.absorb_mask(mask, key), Err(CeremonyError::Duplicate { party: share.sender() }));
    }
    assert_eq!(fresh.absorb_mask(&shares[0].1, &keys[2]), Err(CeremonyError::Party { party: 3, parties: 3 }));
    let wrong = Err(CeremonyError::Mismatch { field: "opener", ours: 1, theirs: 2 });
    assert_eq!(fresh.absorb_opening(&opening, &keys[1]), wrong);
    let short = crate::ckks::GatedCiphertext::zero_over(training.own.c.params, 10, opening.scale()).unwrap();
    let scaled = crate::ckks::GatedCiphertext::zero_over(training.own.c.params, 11, 2.0 * opening.scale()).unwrap();
    let limbs = CeremonyError::Ckks(CkksError::LimbsMismatch { left: 11, right: 10 });
    assert_eq!(fresh.absorb_opening(&short, &keys[0]), Err(limbs.clone()));
    let scale = fresh.absorb_opening(&scaled, &keys[0]);
    assert!(matches!(scale, Err(CeremonyError::Ckks(CkksError::ScaleMismatch { .. }))));
    assert_eq!(new().absorb_mask(&short, &keys[0]), Err(limbs));
    assert!(matches!(new().absorb_mask(&scaled, &keys[0]), Err(CeremonyError::Ckks(CkksError::ScaleMismatch { .. }))));
    fresh.absorb_opening(&opening, &keys[0]).unwrap();
    assert_eq!(fresh.absorb_opening(&opening, &keys[0]), Err(CeremonyError::Duplicate { party: 1 }));
    assert_eq!(fresh.absorbed(), context.decryptors());
    assert!(fresh.finish().unwrap() == training.fresh(&context, &shares, &opening).unwrap());
    // Without the opening.
    let mut fresh = new();
    shares.iter().for_each(|(share, mask)| {
        fresh.absorb_mask(mask, &keys[usize::from(share.sender()) - 1]).unwrap();
    });
    assert_eq!(fresh.finish().err(), Some(CeremonyError::Missing { party: 1, parties: 3 }));
    // On an evaluator of another preset.
    let other = Ceremony::run(toy(Preset::Inf13, 5), 1, &KeyPlan::default(), false).evaluator;
    assert!(matches!(
        Refreshed::new(other, &context).err(),
        Some(CeremonyError::Ckks(CkksError::PresetMismatch { .. }))
    ));
}

#[test]
fn only_the_opener_opens_behind_its_gate_of_the_target_key() {
    let mut training = Training::with_serving(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[2, 3]);
    let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
    let wrong = ceremony(training.open(&context, &sum, 2, &mut ledger()));
    assert_eq!(wrong, Some(CeremonyError::Mismatch { field: "asker", ours: 1, theirs: 2 }));
    // The gate of the key that is trained under.
    let mut ledger = ledger();
    let permit = OpeningPermit::claim(&mut ledger, &context, &sum).unwrap();
    let (vault, own) = (vault(1), &training.own);
    let mut gate = GateHolder { secret: &own.secrets[0], crs: &own.c.crs, vault: &vault, ledger: &mut ledger };
    let refused = ceremony(sum.open(permit, &context, &training.group(), &mut gate));
    assert!(matches!(refused, Some(CeremonyError::Epoch { .. })));
    // The permit for another sum.
    let mut shifted = training.sum(&context, &training.all_shares(&context)).unwrap();
    shifted.coefficients.limb_mut(0)[0] ^= 1;
    let permit = OpeningPermit::claim(&mut super::refreshes::ledger(), &context, &shifted).unwrap();
    let mut ledger = super::refreshes::ledger();
    let refused = ceremony(sum.open(permit, &context, &training.group(), &mut training.holder(1, &vault, &mut ledger)));
    assert!(matches!(refused, Some(CeremonyError::Context { .. })));
}

#[test]
fn shares_are_made_of_whole_keys_of_this_epoch_by_members_with_all_pair_keys() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2, 4]);
    let outside = ceremony(training.share(&context, 3, &mut ledger()));
    assert_eq!(outside, Some(CeremonyError::Missing { party: 3, parties: 4 }));
    let (vault, group, pairs) = (vault(1), training.group(), training.own.c.pair_keys(1));
    let share = |key, pairs: &BTreeMap<_, _>, holder: u16| {
        let mut ledger = ledger();
        let permit = RefreshPermit::claim(&mut ledger, &context).unwrap();
        let keys = RefreshKeys { key, pairs, group: &group, vault: &vault };
        let made = RefreshShare::generate(permit, &context, keys, &mut training.holder(holder, &vault, &mut ledger));
        let is_unclaimed =
            ledger.claim(&context.label(Gated::RefreshMask, 1).ledger_key(training.own.c.crs.epoch()), [0; 32]);
        (ceremony(made), is_unclaimed.unwrap() == crate::aggregation::Claim::Stored([0; 32]))
    };
    // Nothing is claimed for a mask that is never made.
    let mut lacking = training.own.c.pair_keys(1);
    lacking.remove(&4);
    let missing = CeremonyError::MissingPairKey { party: 4 };
    assert_eq!(share(&training.shares[0], &lacking, 1), (Some(missing), true));
    let mismatch = CeremonyError::Mismatch { field: "asker", ours: 1, theirs: 2 };
    assert_eq!(share(&training.shares[0], &pairs, 2), (Some(mismatch), true));
    // A point of one dealer alone.
    let mut stream = crate::stream::Stream::from_seed([8; 32]);
    let c = &training.own.c;
    let dealt = c.secrets[0].share_points(&c.crs, 3, 4, &mut stream).unwrap();
    assert_eq!(share(&dealt[0], &pairs, 1), (Some(CeremonyError::Missing { party: 2, parties: 4 }), true));
    // Of another epoch.
    let foreign = c.secrets[0].share_points(&Crs::over(c.params, [8; 32]), 3, 4, &mut stream).unwrap();
    let refused = share(&foreign[0], &pairs, 1);
    assert!(matches!(refused, (Some(CeremonyError::Epoch { .. }), true)));
    // Behind a gate to another key than the target's.
    let other = Ceremony::run(c.params, 1, &KeyPlan::default(), false);
    let elsewhere = Crs::over(c.params, [8; 32]);
    assert_eq!(other.crs.epoch(), c.crs.epoch());
    let mut ledger = ledger();
    let permit = RefreshPermit::claim(&mut ledger, &context).unwrap();
    let keys = RefreshKeys { key: &training.shares[0], pairs: &pairs, group: &group, vault: &vault };
    let gate = &training.own.secrets[0];
    let mut gate = GateHolder { secret: gate, crs: &elsewhere, vault: &vault, ledger: &mut ledger };
    let refused = ceremony(RefreshShare::generate(permit, &context, keys, &mut gate));
    assert!(matches!(refused, Some(CeremonyError::Epoch { .. })));
}

#[test]
fn what_is_no_refresh_gets_no_context() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let request = request();
    let of = |request, ciphertext: &Ciphertext, set: &[u16]| training.try_context(request, ciphertext, set).err();
    let set = [1, 2, 4];
    assert_eq!(of(request, &ciphertext, &[1, 2]), Some(CeremonyError::TooFewDecryptors { found: 2, threshold: 3 }));
    assert_eq!(of(request, &ciphertext, &[1, 2, 2]), Some(CeremonyError::Duplicate { party: 2 }));
    assert_eq!(of(request, &ciphertext, &[1, 2, 5]), Some(CeremonyError::Party { party: 5, parties: 4 }));
    for opener in [0, 5] {
        let wrong = RefreshRequest { opener, ..request };
        assert_eq!(of(wrong, &ciphertext, &set), Some(CeremonyError::Party { party: opener, parties: 4 }));
    }
    let c = &training.own.c;
    let product = c.evaluator.mul(&ciphertext, &ciphertext).unwrap();
    assert_eq!(of(request, &product, &set), Some(CeremonyError::NotRefreshable { parts: 3, limbs: 3, base: 3 }));
    let low = c.evaluator.drop_to(&ciphertext, 2).unwrap();
    assert_eq!(of(request, &low, &set), Some(CeremonyError::NotRefreshable { parts: 2, limbs: 2, base: 3 }));
    let (crs, quorum) = (&c.crs, training.quorum);
    let new = |crs: &Crs, quorum, ciphertext: &Ciphertext, target| {
        RefreshContext::new(crs, quorum, request, ciphertext.clone(), target, &set).err()
    };
    let lax = Quorum { threshold: 2, parties: 4 };
    let refused = new(crs, lax, &ciphertext, training.target());
    assert_eq!(refused, Some(CeremonyError::Threshold { threshold: 2, parties: 4 }));
    // Presets that are released, or that neither happens to.
    let mut other = Ceremony::run(toy(Preset::Inf14x30, 6), 1, &KeyPlan::default(), false);
    let released = other.encrypt(&[1.0], 20f64.exp2(), 2);
    let refused = new(&other.crs, quorum, &released, training.target());
    assert_eq!(refused, Some(CeremonyError::NotForRefresh { preset: Preset::Inf14x30 }));
    let refused = new(crs, quorum, &released, training.target());
    let (left, right) = (Preset::Trn14, Preset::Inf14x30);
    assert_eq!(refused, Some(CeremonyError::PresetMismatch { left, right }));
    assert!(Preset::ALL.iter().all(|preset| !(preset.releases() && preset.refreshes())));
}

#[test]
fn targets_that_do_not_take_the_message_are_refused() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let (c, same) = (&training.own.c, RefreshEmbedding::SameRing);
    let doubled = |factor_log2| RefreshEmbedding::DoubledRing { factor_log2 };
    for limbs in [0, 12] {
        let refused = RefreshTarget::new(&c.crs, limbs, same).err();
        assert_eq!(refused, Some(CeremonyError::Limbs { limbs, max: 11 }));
    }
    let aggregation = Crs::over(toy(Preset::Agg13, 6), [7; 32]);
    let refused = RefreshTarget::new(&aggregation, 1, same).err();
    let preset = Preset::Agg13;
    assert_eq!(refused, Some(CeremonyError::Ckks(CkksError::NotForEvaluation { preset })));
    let new = |crs: &Crs, limbs, embedding| {
        let target = RefreshTarget::new(crs, limbs, embedding).unwrap();
        let (own, quorum) = (&training.own.c.crs, training.quorum);
        RefreshContext::new(own, quorum, request(), ciphertext.clone(), target, &[1, 2, 4]).err()
    };
    let ring = |log_n| Crs::over(toy(Preset::Inf15x90, log_n), [7; 32]);
    for (crs, embedding, expected) in [(&ring(7), same, 64), (&ring(6), doubled(0), 128), (&ring(8), doubled(60), 128)]
    {
        let found = crs.params().n;
        assert_eq!(new(crs, 4, embedding), Some(CeremonyError::RefreshRing { from: 64, expected, found }));
    }
    // 2^39 and a bit of noise in half of 2^60 or of 2^30; 2^(39 + 1 + f) in half of four primes, 2^118.98.
    assert_eq!(new(&c.crs, 2, same), None);
    assert!(matches!(new(&c.crs, 1, same), Some(CeremonyError::Ckks(CkksError::Overflow { limbs: 1, .. }))));
    assert_eq!(new(&ring(7), 4, doubled(78)), None);
    for factor_log2 in [79, 1000, u32::MAX] {
        let refused = new(&ring(7), 4, doubled(factor_log2));
        assert!(matches!(refused, Some(CeremonyError::Ckks(CkksError::Overflow { limbs: 4, .. }))), "{factor_log2}");
    }
}

#[test]
fn flooding_that_does_not_fit_half_the_modulus_is_refused_with_its_numbers() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let params = training.own.c.params;
    let modulus_log2 = params.log_q(params.base_limbs);
    let mut seen = [0; 2];
    for security in 40..=128 {
        let flooding = Flooding::secure(security, 4096).unwrap();
        let made = training.try_context(RefreshRequest { flooding, ..request() }, &ciphertext, &[1, 2, 4]);
        let flooding_log2 = (39.0 + 0.5 * (24.0 * params.n as f64 * 4096.0).log2() + 0.5 * f64::from(security)).ceil();
        let fits = (18.0 * flooding_log2.exp2() + 40f64.exp2()).log2() < modulus_log2 - 1.0;
        seen[usize::from(fits)] += 1;
        let refusal = CeremonyError::RefreshTooLarge {
            message_log2: 39,
            flooding_log2: flooding_log2 as u32,
            decryptors: 3,
            security_bits: security,
            refreshes: 4096,
            modulus_log2,
        };
        assert_eq!(made.err(), (!fits).then_some(refusal), "{security}");
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
    for message_log2 in [60, 117, 118, 127, 128, 300, u32::MAX] {
        let made = training.try_context(RefreshRequest { message_log2, ..request() }, &ciphertext, &[1, 2, 4]);
        assert!(
            matches!(
                made.err(),
                Some(CeremonyError::RefreshTooLarge { .. } | CeremonyError::Ckks(CkksError::Overflow { .. }))
            ),
            "{message_log2}"
        );
    }
    // 64 of 64 flood: 2^87.6 in half of 2^89.97.
    let crs = Crs::new(Preset::Trn14, [1; 32]);
    let target = RefreshTarget::new(&crs, 11, RefreshEmbedding::SameRing).unwrap();
    let real = Preset::Trn14.params();
    let parts = vec![crate::ring::Poly::zero(real.n, 3), crate::ring::Poly::zero(real.n, 3)];
    let zero = Ciphertext { params: real, limbs: 3, scale: 1.0, parts };
    let quorum = Quorum { threshold: 64, parties: 64 };
    let all: Vec<u16> = (1..=64).collect();
    let new = |flooding| {
        let request = RefreshRequest { flooding, ..request() };
        RefreshContext::new(&crs, quorum, request, zero.clone(), target.clone(), &all)
    };
    assert!(new(flooding(4096)).is_ok());
    assert!(matches!(new(flooding(1 << 16)).err(), Some(CeremonyError::RefreshTooLarge { flooding_log2: 81, .. })));
}

#[test]
fn labels_of_a_refresh_are_told_apart_by_what_they_hold_and_by_its_numbers() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let (epoch, mut keys, mut digests) = (training.own.c.crs.epoch(), BTreeSet::new(), BTreeSet::new());
    for (step, attempt, part) in [(5, 1, 2), (5, 3, 2), (1, 5, 2), (5, 2, 1), (2, 1, 5), (5, 1, 3)] {
        let request = RefreshRequest { step, attempt, part, ..request() };
        let context = training.try_context(request, &ciphertext, &[1, 2]).unwrap();
        let gated = [Gated::Query, Gated::Weight, Gated::Feature, Gated::RefreshMask, Gated::Refreshed];
        for what in gated.into_iter().chain([Gated::RefreshZero]) {
            let label = context.label(what, 1);
            assert!(keys.insert(label.ledger_key(epoch)));
            let half = training.own.c.crs.gated(label, 3);
            assert!(digests.insert(half.residues()[..8].to_vec()));
        }
        for purpose in [Use::Refresh, Use::RefreshOpening] {
            assert!(keys.insert(context.ledger_key(purpose)));
        }
    }
}
