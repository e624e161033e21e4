//! A coordinator that adds what it likes: every site adds up the serving keys itself, and computes with nothing else.
//!
//! What the attacks give where nobody checks is `he_agg`'s test of relinearisation key shares.

use he_agg::multiparty::{R2, RelinIntermediate};

use super::*;

/// A body in which one residue is another one.
fn altered(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    Bytes::from(body)
}

#[test]
fn a_public_key_of_the_coordinators_own_is_taken_by_nobody() {
    let mut all = Consortium::with_keys();
    let step = KeyStep::PublicKey;
    let shares = all.shares(step);
    let own = all.sum_of(step, &shares);
    let forged = altered(&own);
    for site in &mut all.sites {
        assert_eq!(add(site, step, &shares, root_of(&forged)), Some(Reject::SumDiffers));
        assert!(site.public_key.is_none());
        assert!(matches!(site.take_sum(step, &forged), Err(HospitalError::NoKeys { .. })));
        assert!(matches!(site.take_sum(step, &own), Err(HospitalError::NoKeys { .. })), "it vouched for none");
    }
    let sum = root_of(&own);
    assert_eq!(add(all.site(1), step, &shares, sum), None);
    assert!(all.site(1).public_key.is_some());
    // After a restart it is fetched, and is the one that was added up.
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    let refused = all.site(1).take_sum(step, &forged);
    assert!(matches!(refused, Err(HospitalError::OtherCeremony { what: "collective public key" })));
    assert!(all.site(1).public_key.is_none());
    all.site(1).take_sum(step, &own).unwrap();
    assert!(all.site(1).public_key.is_some());
}

#[test]
fn no_second_round_of_the_relinearisation_key_is_computed_on_a_sum_that_somebody_names() {
    let mut all = Consortium::with_keys();
    let step = KeyStep::RelinRoundOne;
    let shares = all.shares(step);
    let forged = altered(&all.sum_of(step, &shares));
    for site in &mut all.sites {
        assert_eq!(add(site, step, &shares, root_of(&forged)), Some(Reject::SumDiffers));
        let refused = site.serving_share(KeyStep::RelinRoundTwo);
        assert!(matches!(refused, Err(HospitalError::NoKeys { .. })), "made of a sum of somebody's choice");
        let place = BlobId::ceremony(BlobKind::RelinRoundTwo, Some(site.plan.party), 0);
        assert!(site.outbox.get(&place).is_err());
    }
    all.adds(step);
    let own = all.sum_of(step, &shares);
    let made = all.site(1).serving_share(KeyStep::RelinRoundTwo).unwrap();
    // After a restart the shares may be gone; their sum is fetched, and is the one that was added up.
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    assert!(matches!(all.site(1).take_sum(step, &forged), Err(HospitalError::OtherCeremony { .. })));
    assert!(matches!(all.site(1).serving_share(KeyStep::RelinRoundTwo), Err(HospitalError::NoKeys { .. })));
    all.site(1).take_sum(step, &own).unwrap();
    assert_eq!(all.site(1).serving_share(KeyStep::RelinRoundTwo).unwrap(), made);
}

#[test]
fn the_relinearisation_key_is_added_up_too() {
    let mut all = Consortium::with_keys();
    let first = all.shares(KeyStep::RelinRoundOne);
    let first = all.sum_of(KeyStep::RelinRoundOne, &first);
    all.adds(KeyStep::RelinRoundOne);
    let second = all.shares(KeyStep::RelinRoundTwo);
    let crs = Crs::new(Preset::Inf13, seed().0);
    let limbs = all.sites[0].plan.program.key_plan().relin_limbs;
    let mut sum = RelinKeySum::<R2>::new(&crs, limbs, N).unwrap();
    for (_, share) in &second {
        sum.absorb(&RelinKeyShare::<R2>::from_bytes(share, &crs).unwrap()).unwrap();
    }
    let key = sum.finish(RelinIntermediate::from_bytes(&first, &crs).unwrap()).unwrap().to_bytes(&crs);
    assert_eq!(add(all.site(1), KeyStep::RelinRoundTwo, &second, root_of(&key)), None);
    let refused = add(all.site(2), KeyStep::RelinRoundTwo, &second, root_of(&altered(&key)));
    assert_eq!(refused, Some(Reject::SumDiffers));
}

#[test]
fn a_share_that_is_none_or_another_hospitals_is_not_added() {
    let mut all = Consortium::with_keys();
    for step in [KeyStep::PublicKey, KeyStep::RelinRoundOne] {
        let shares = all.shares(step);
        let sum = root_of(&all.sum_of(step, &shares));
        let refused = |site: &mut Site, from: PartyId, share: &[u8]| {
            assert_eq!(site.add_share(step, from, share).unwrap(), Some(Reject::BadKeyShare), "{step:?}");
            // What was added so far is no sum of anything.
            assert!(matches!(site.finish_sum(step, sum), Err(HospitalError::NoKeys { .. })), "{step:?}");
        };
        let [(first, one), (second, two), _] = &shares[..] else { panic!("three shares") };
        let cut = one.slice(..one.len() - 1);
        let site = all.site(3);
        refused(site, *first, &cut);
        refused(site, *second, one);
        assert_eq!(site.add_share(step, *first, one).unwrap(), None);
        refused(site, *first, one);
        // Of two hospitals there is no sum.
        assert_eq!(site.add_share(step, *first, one).unwrap(), None);
        assert_eq!(site.add_share(step, *second, two).unwrap(), None);
        assert!(site.finish_sum(step, sum).is_err());
    }
    assert!(all.site(3).add_share(KeyStep::Galois, party(1), &[]).is_err(), "nobody adds rotation keys");
}
