//! What a coordinator that cheats gets: nothing.

use he_agg::Preset;
use he_agg::aggregation::PermitError;
use he_agg::ckks::Ciphertext;
use he_agg::multiparty::{CeremonyError, GateHolderError};

use super::cast::{Cast, ledger, order, packages, root, shares, sums};
use crate::head::HeadRefusal;
use he_train::encrypted::{HeadError, RefreshOrder};

/// Packages that no step left, among them the one that would read the key: c = (0, 2^k) shares S itself.
fn forgeries(cast: &Cast, honest: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let honest = Ciphertext::from_bytes(&honest[0], Preset::Trn14).unwrap();
    let double = cast.evaluator().add(&honest, &honest).unwrap();
    let nothing = Ciphertext::zero(Preset::Trn14, honest.limbs(), honest.scale()).unwrap();
    vec![vec![double.to_bytes()], vec![nothing.to_bytes()], vec![vec![0; 9]]]
}

#[test]
fn packages_that_no_step_left_get_no_share_and_the_honest_ones_still_do() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let decryptor = &mut cast.deciding(sites, [&next, &serving])[0];
    let honest = packages(&mut cast.run());
    let (order, none) = (order(0), Vec::new());
    for forged in forgeries(&cast, &honest).into_iter().chain([none, [honest.clone(), honest.clone()].concat()]) {
        let forged = root(&forged);
        for refused in [
            decryptor.share(&order, forged).unwrap_err(),
            decryptor.open(&order, forged, &honest).unwrap_err(),
            decryptor.refreshed(&order, forged, &[], &[]).unwrap_err(),
        ] {
            assert!(matches!(refused, HeadRefusal::OtherStep { step: 1 }), "{refused}");
        }
    }
    assert_eq!(ledger(&folder.path().join("1"), cast.terms.flooding).left(), 1 << 12, "nothing was claimed");
    assert_eq!(decryptor.packages(&order).unwrap(), honest);
    assert_eq!(decryptor.share(&order, root(&honest)).unwrap().len(), 1);
}

#[test]
fn steps_that_are_not_at_hand_get_no_share() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut deciding = cast.deciding(sites, [&next, &serving]);
    let mut run = cast.run();
    let first = packages(&mut run);
    for asked in [1, 2, u32::MAX] {
        let refused = deciding[0].share(&order(asked), root(&first)).unwrap_err();
        let expected = u64::from(asked) + 1;
        assert!(matches!(refused, HeadRefusal::NotAtHand { asked, at: 1 } if asked == expected), "{refused}");
    }
    let sent = shares(&mut deciding, &order(0), &first);
    let blinded = sums(&cast, (&order(0), &mut run), &next, &sent);
    let opened = deciding[1].open(&order(0), root(&first), &blinded).unwrap();
    deciding[0].refreshed(&order(0), root(&first), &sent.masks, &opened).unwrap();
    let refused = deciding[0].share(&order(0), root(&first)).unwrap_err();
    assert!(matches!(refused, HeadRefusal::NotAtHand { asked: 1, at: 2 }), "{refused}");
}

#[test]
fn a_second_share_of_a_step_is_refused_for_other_decryptors_openers_and_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let decryptor = &mut cast.deciding(sites, [&next, &serving])[0];
    let honest = packages(&mut cast.run());
    decryptor.share(&order(0), root(&honest)).unwrap();
    for other in [RefreshOrder { decryptors: vec![1, 3], ..order(0) }, RefreshOrder { opener: 3, ..order(0) }] {
        let refused = decryptor.share(&other, root(&honest)).unwrap_err();
        assert!(matches!(refused, HeadRefusal::Permit(PermitError::Conflict { .. })), "{other:?}: {refused}");
    }
    for (wrong, few) in [(vec![1], true), (vec![1, 9], false)] {
        let refused = decryptor.share(&RefreshOrder { decryptors: wrong, ..order(0) }, root(&honest)).unwrap_err();
        assert!(matches!(&refused, HeadRefusal::Head(_)), "{few}: {refused}");
    }
}

#[test]
fn sums_that_somebody_shifted_are_an_alarm_and_no_second_one_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut deciding = cast.deciding(sites, [&next, &serving]);
    let mut run = cast.run();
    let honest = packages(&mut run);
    let sent = shares(&mut deciding, &order(0), &honest);
    let blinded = sums(&cast, (&order(0), &mut run), &next, &sent);
    // A decryptor's share instead of the sum: uniform to everybody.
    let mut shifted = blinded.clone();
    let (end, share) = (shifted[0].len(), &sent.shares[0][0]);
    shifted[0][end - 4_096..].copy_from_slice(&share[share.len() - 4_096..]);
    let alarm = deciding[1].open(&order(0), root(&honest), &shifted).unwrap_err();
    let out_of_range = |it: &HeadRefusal<_>| {
        matches!(it, HeadRefusal::Holder(GateHolderError::Ceremony(CeremonyError::RefreshRange { .. })))
    };
    assert!(out_of_range(&alarm), "{alarm}");
    let second = deciding[1].open(&order(0), root(&honest), &blinded).unwrap_err();
    assert!(matches!(second, HeadRefusal::Permit(PermitError::Conflict { .. })), "{second}");
    let none = deciding[1].open(&order(0), root(&honest), &[]).unwrap_err();
    assert!(matches!(none, HeadRefusal::Sums { found: 0, expected: 1, .. }), "{none}");
}

#[test]
fn uploads_in_part_or_damaged_are_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, _) = Cast::new(folder.path());
    assert!(cast.lift(&cast.sent).is_ok());
    for (found, part) in [(0, &cast.sent[..0]), (cast.sent.len() - 1, &cast.sent[1..])] {
        let refused = cast.lift(part).err();
        assert!(matches!(refused, Some(HeadError::Count { what: "a group", found: it, .. }) if it == found), "{found}");
    }
    let damaged: Vec<Vec<u8>> = cast.sent.iter().map(|bytes| bytes[1..].to_vec()).collect();
    assert!(matches!(cast.lift(&damaged), Err(HeadError::Bytes(_))));
    let refused = cast.run_over(&std::sync::Arc::from([])).err();
    assert!(matches!(refused, Some(HeadError::Count { what: "groups", found: 0, expected: 1 })), "{refused:?}");
}

#[test]
fn others_hear_what_concerns_them_of_a_refusal_and_nothing_of_this_hospitals_own_faults() {
    use he_agg::aggregation::{LedgerKey, TauExhausted, Use};
    use protocol::Reject;
    type Refusal = HeadRefusal<std::io::Error>;
    let key = LedgerKey { purpose: Use::Refresh, epoch: [1; 32], round: 1, attempt: 0, chunk: 0 };
    let spent = || PermitError::Exhausted(TauExhausted { limit: 7 });
    let broken = || PermitError::Ledger(std::io::Error::other("the disk"));
    let range = CeremonyError::RefreshRange { bound_log2: 86.0 };
    let missing = || CeremonyError::Missing { party: 1, parties: 3 };
    let cases: [(Refusal, Option<Reject>); 12] = [
        (HeadRefusal::OtherStep { step: 1 }, Some(Reject::StepDiffers)),
        (HeadRefusal::NotAtHand { asked: 2, at: 1 }, Some(Reject::OutOfTurn)),
        (HeadRefusal::FirstAttempt { step: 1 }, Some(Reject::OutOfTurn)),
        (HeadRefusal::Sums { step: 1, found: 0, expected: 1 }, Some(Reject::BadRefresh)),
        (HeadError::Hospital { party: 9, hospitals: 3 }.into(), Some(Reject::BadRefresh)),
        (missing().into(), Some(Reject::BadRefresh)),
        (PermitError::Conflict { key }.into(), Some(Reject::AlreadyReleased)),
        (spent().into(), Some(Reject::BudgetSpent)),
        (GateHolderError::Permit(spent()).into(), Some(Reject::BudgetSpent)),
        (GateHolderError::Ceremony(range).into(), Some(Reject::RefreshRange)),
        (broken().into(), None),
        (GateHolderError::Ceremony(missing()).into(), None),
    ];
    for (refusal, expected) in cases {
        assert_eq!(refusal.reject(), expected, "{refusal}");
    }
}

#[test]
fn what_is_no_part_of_a_refresh_is_told_by_its_shape_its_scale_and_its_sender() {
    use he_train::encrypted::are_shares;
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut deciding = cast.deciding(sites, [&next, &serving]);
    let mut run = cast.run();
    let honest = packages(&mut run);
    let sent = shares(&mut deciding, &order(0), &honest);
    let left = run.take().unwrap().to_vec();
    let contexts = cast.terms.contexts(&order(0), &left, &next).unwrap();
    let zeros = deciding[0].zeros(0, 1).unwrap();
    let (own, masks) = (&sent.shares[0], &sent.masks[0].1);
    assert!(are_shares(&contexts, 1, own) && next.are_parts(&contexts, masks) && next.are_zeros(&left, &zeros));
    assert!(!are_shares(&contexts, 2, own), "another's");
    let others = cast.terms.contexts(&RefreshOrder { opener: 1, ..order(0) }, &left, &next).unwrap();
    assert!(!are_shares(&others, 1, own), "of another refresh");
    let damaged: Vec<Vec<u8>> = own.iter().map(|bytes| bytes[1..].to_vec()).collect();
    for wrong in [&damaged, &zeros, masks, &Vec::new(), &[own.clone(), own.clone()].concat()] {
        assert!(!are_shares(&contexts, 1, wrong));
    }
    // Zeros have the primes of what a step leaves, masks those of what is fresh.
    for wrong in [&damaged, own, &zeros, &Vec::new(), &[masks.clone(), masks.clone()].concat()] {
        assert!(!next.are_parts(&contexts, wrong));
    }
    for wrong in [&damaged, own, masks, &Vec::new()] {
        assert!(!next.are_zeros(&left, wrong));
    }
    let scaled = [left[0].clone().scaled_by(0.5).unwrap()];
    assert!(!next.are_zeros(&scaled, &zeros), "at another scale");
    let contexts = cast.terms.contexts(&order(0), &scaled, &next).unwrap();
    assert!(!next.are_parts(&contexts, masks), "at another scale");
}
