//! What happens where everybody does what was agreed.

use super::cast::Sent;
use super::cast::{Cast, STEPS, ledger, order, packages, root, shares, sums};
use crate::head::{HeadDecryptor, HeadRefusal};
use he_train::encrypted::{HeadError, RefreshOrder, blinded_sums};

#[test]
fn every_step_goes_on_from_what_hospitals_refreshed_and_the_last_is_under_the_serving_key() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut deciding = cast.deciding(sites, [&next, &serving]);
    let mut run = cast.run();
    let (mut finished, mut last) = (Vec::new(), Vec::new());
    for step in 0..STEPS as u32 {
        let (order, packages) = (order(step), packages(&mut run));
        last.clone_from(&packages);
        let goal = if run.is_last() { &serving } else { &next };
        let sent = shares(&mut deciding, &order, &packages);
        let blinded = sums(&cast, (&order, &mut run), goal, &sent);
        let opened = deciding[1].open(&order, root(&packages), &blinded).unwrap();
        for decryptor in &mut deciding {
            let own = decryptor.refreshed(&order, root(&packages), &sent.masks, &opened).unwrap();
            assert_eq!(own.is_some(), run.is_last(), "step {step}");
            finished.extend(own);
        }
        if !run.is_last() {
            let contexts = cast.terms.contexts(&order, run.take().unwrap(), goal).unwrap();
            run.refreshed(goal.join(&contexts, &sent.masks, &opened).unwrap()).unwrap();
        }
    }
    let bytes: Vec<Vec<Vec<u8>>> =
        finished.iter().map(|head| head.iter().map(he_agg::ckks::Ciphertext::to_bytes).collect()).collect();
    assert_eq!((bytes.len(), &bytes[0]), (2, &bytes[1]), "both hospitals join the same head");
    let weights = cast.weights(&last);
    assert!(cast.shadow.weights.iter().any(|weight| weight.abs() > 0.1), "{:?}", cast.shadow.weights);
    let off = (&weights - &cast.shadow.weights).mapv(f64::abs);
    assert!(off.iter().all(|off| *off < 1e-3), "{weights} {}", cast.shadow.weights);
    // Of the finished head: its first weight, where a head of one class has its largest coefficient.
    let served = cast.serving_secrets().decrypt(&finished[0][0]).unwrap();
    assert!(served.scale() > 2f64.powi(60), "{}", served.scale());
}

#[test]
fn a_hospital_that_starts_again_sends_the_same_bytes_and_pays_for_them_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = {
        let (cast, sites) = Cast::new(folder.path());
        let [next, serving] = cast.goals();
        let decryptor = &mut cast.deciding(sites, [&next, &serving])[0];
        let packages = packages(&mut cast.run());
        let sent = decryptor.share(&order(0), root(&packages)).unwrap();
        (sent[0].share.clone(), sent[0].mask.clone(), cast.terms.flooding)
    };
    // Another process, with what stands on disk.
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let decryptor = &mut cast.deciding(sites, [&next, &serving])[0];
    let again = decryptor.share(&order(0), root(&packages(&mut cast.run()))).unwrap();
    assert_eq!((&again[0].share, &again[0].mask), (&first.0, &first.1));
    assert_eq!(ledger(&folder.path().join("1"), first.2).left(), (1 << 12) - 1);
}

#[test]
fn a_run_goes_on_only_from_a_step_that_was_taken_and_ends_after_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, _) = Cast::new(folder.path());
    let mut run = cast.run();
    let fresh = cast.fresh();
    assert!(matches!(run.refreshed(vec![fresh.clone()]), Err(HeadError::NotTaken { step: 0 })));
    for step in 0..STEPS {
        assert_eq!((run.step(), run.is_last()), (step, step + 1 == STEPS));
        let left = packages(&mut run);
        assert_eq!(packages(&mut run), left, "taken once");
        assert!(matches!(run.refreshed(Vec::new()), Err(HeadError::Count { .. } | HeadError::Finished { .. })));
        let gone_on = run.refreshed(vec![fresh.clone()]);
        assert_eq!(gone_on, if step + 1 < STEPS { Ok(()) } else { Err(HeadError::Finished { steps: STEPS }) });
    }
}

#[test]
fn parts_of_a_refresh_that_are_missing_or_somebody_elses_are_no_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut deciding = cast.deciding(sites, [&next, &serving]);
    let mut run = cast.run();
    let asked = packages(&mut run);
    let sent = shares(&mut deciding, &order(0), &asked);
    let contexts = cast.terms.contexts(&order(0), run.take().unwrap(), &next).unwrap();
    assert!(matches!(blinded_sums(&contexts, &[Vec::new()]), Err(HeadError::Count { found: 0, expected: 1, .. })));
    assert!(matches!(blinded_sums(&contexts, &sent.shares[..1]), Err(HeadError::Ceremony(_))));
    let blinded = sums(&cast, (&order(0), &mut run), &next, &sent);
    let opened = deciding[1].open(&order(0), root(&asked), &blinded).unwrap();
    assert!(next.join(&contexts, &sent.masks, &opened).is_ok());
    let none: Vec<(u16, Vec<Vec<u8>>)> = sent.masks.iter().map(|(party, _)| (*party, Vec::new())).collect();
    let stranger = vec![(9, sent.masks[0].1.clone()), sent.masks[1].clone()];
    assert!(matches!(next.join(&contexts, &none, &opened), Err(HeadError::Count { found: 0, .. })));
    assert!(matches!(next.join(&contexts, &sent.masks, &[]), Err(HeadError::Count { found: 0, .. })));
    assert!(matches!(next.join(&contexts, &sent.masks[..1], &opened), Err(HeadError::Ceremony(_))));
    let unknown = next.join(&contexts, &stranger, &opened);
    assert!(matches!(unknown, Err(HeadError::Hospital { party: 9, hospitals: 3 })));
    assert!(matches!(next.join(&contexts, &sent.masks, &[vec![1, 2]]), Err(HeadError::Bytes(_))));
    // Of another program, all of it is something else.
    let other = he_train::encrypted::RefreshTerms { program: [9; 32], ..cast.terms.clone() };
    let others = other.contexts(&order(0), run.take().unwrap(), &next).unwrap();
    assert!(matches!(blinded_sums(&others, &sent.shares), Err(HeadError::Ceremony(_))));
}

#[test]
fn a_step_whose_opener_is_lost_is_refreshed_in_another_attempt_with_the_zeros_of_all_who_share() {
    let folder = tempfile::tempdir().unwrap();
    let (cast, sites) = Cast::new(folder.path());
    let [next, serving] = cast.goals();
    let mut three: Vec<_> =
        sites.into_iter().map(|site| HeadDecryptor::new(site, cast.run(), next.clone(), serving.clone())).collect();
    let mut run = cast.run();
    let asked = packages(&mut run);
    let left = run.take().unwrap().to_vec();
    three[0].share(&order(0), root(&asked)).unwrap();
    three[1].share(&order(0), root(&asked)).unwrap();
    // Hospital 2 opens nothing any more.
    assert!(matches!(three[0].zeros(0, 0), Err(HeadRefusal::FirstAttempt { step: 1 })));
    assert!(matches!(three[0].zeros(1, 1), Err(HeadRefusal::NotAtHand { asked: 2, at: 1 })));
    let zeros = vec![(1, three[0].zeros(0, 1).unwrap()), (3, three[2].zeros(0, 1).unwrap())];
    let again = RefreshOrder { step: 0, attempt: 1, opener: 3, decryptors: vec![1, 3], zeros };
    for wrong in [
        RefreshOrder { zeros: Vec::new(), ..again.clone() },
        RefreshOrder { zeros: again.zeros[..1].to_vec(), ..again.clone() },
        RefreshOrder { attempt: 0, ..again.clone() },
        RefreshOrder { decryptors: vec![1, 2], ..again.clone() },
    ] {
        assert!(matches!(next.asked(&wrong, &left), Err(HeadError::Zeros { step: 0, .. })));
        assert!(matches!(three[0].packages(&wrong), Err(HeadRefusal::Head(HeadError::Zeros { .. }))));
    }
    let few = RefreshOrder { zeros: vec![(1, Vec::new()), again.zeros[1].clone()], ..again.clone() };
    assert!(matches!(next.asked(&few, &left), Err(HeadError::Count { found: 0, .. })));
    let ciphertexts = next.asked(&again, &left).unwrap();
    let packages: Vec<_> = ciphertexts.iter().map(he_agg::ckks::Ciphertext::to_bytes).collect();
    assert_ne!(packages, asked);
    let refused = three[0].share(&again, root(&asked)).unwrap_err();
    assert!(matches!(refused, HeadRefusal::OtherStep { step: 1 }), "{refused}");
    let mut sent = Sent { shares: Vec::new(), masks: Vec::new() };
    for place in [0, 2] {
        let parts = three[place].share(&again, root(&packages)).unwrap();
        let (shares, masks) = parts.into_iter().map(|part| (part.share, part.mask)).unzip();
        sent.shares.push(shares);
        sent.masks.push((three[place].party(), masks));
    }
    let contexts = cast.terms.contexts(&again, &ciphertexts, &next).unwrap();
    let blinded = blinded_sums(&contexts, &sent.shares).unwrap();
    let opened = three[2].open(&again, root(&packages), &blinded).unwrap();
    run.refreshed(next.join(&contexts, &sent.masks, &opened).unwrap()).unwrap();
    for decryptor in &mut three {
        assert!(decryptor.refreshed(&again, root(&packages), &sent.masks, &opened).unwrap().is_none());
    }
    // All of them, whoever shared, go on from the same, which is what the step left.
    let second: Vec<_> = run.take().unwrap().iter().map(he_agg::ckks::Ciphertext::to_bytes).collect();
    for decryptor in &mut three {
        assert_eq!(decryptor.packages(&order(1)).unwrap(), second);
    }
    let off = (&cast.weights(&packages) - &cast.weights(&asked)).mapv(f64::abs);
    assert!(off.iter().all(|off| *off < 1e-4), "{off}");
}
