//! A coordinator that adds what it likes: every site adds up the serving keys itself, and computes with nothing else.
//!
//! What the attacks give where nobody checks is `he_agg`'s test of relinearisation key shares.

use he_agg::Stream;
use he_agg::multiparty::{GateKey, GateSecret, GateSeed, GateShare, GateSum, R2, RelinIntermediate, ServingSecret};

use protocol::drive::hospital::Parts;
use protocol::message::{KeySet, KeysAsked};

use super::super::key_sums::{gate_keys, own_gate};

use super::*;

/// A body in which one residue is another one.
fn altered(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    Bytes::from(body)
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
    let key = sum.finish(&RelinIntermediate::from_bytes(&first, &crs).unwrap()).unwrap().to_bytes(&crs);
    assert_eq!(add(all.site(1), KeyStep::RelinRoundTwo, &second, root_of(&key)), None);
    let refused = add(all.site(2), KeyStep::RelinRoundTwo, &second, root_of(&altered(&key)));
    assert_eq!(refused, Some(Reject::SumDiffers));
}

#[test]
fn a_share_that_is_none_or_another_hospitals_is_not_added() {
    let mut all = Consortium::with_keys();
    let step = KeyStep::RelinRoundOne;
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
    assert!(all.site(3).add_share(KeyStep::Galois, party(1), &[]).is_err(), "nobody adds rotation keys");
}

/// A gate key tells its maker's secret to whoever has two of one gate, so there is one gate, and one key of it.
#[test]
fn a_gate_is_added_of_shares_meant_for_it_and_its_key_is_the_same_after_every_restart() {
    let mut all = Consortium::with_keys();
    let early = all.site(1).serving_share(KeyStep::GateKey);
    assert!(matches!(early, Err(HospitalError::NoKeys { .. })), "of no gate there is no key");
    all.shares(KeyStep::Gate);
    let [own, of_another] = [1, 2].map(|asker| all.gate_of(asker));
    let site = all.site(1);
    let refused = site.add_share(KeyStep::Gate, party(1), &of_another[0].1).unwrap();
    assert_eq!(refused, Some(Reject::BadKeyShare), "a share of another's gate");
    let refused = site.add_share(KeyStep::Gate, party(1), &own[1].1).unwrap();
    assert_eq!(refused, Some(Reject::BadKeyShare), "a share of another's making");
    assert_eq!(add(site, KeyStep::Gate, &own, BodyRoot::default()), None);
    let made = site.serving_share(KeyStep::GateKey).unwrap();

    // A maker that signed for two: the second gate is refused for ever.
    let mut others = own.clone();
    others[2].1 = altered(&own[2].1);
    for _ in 0..2 {
        for (from, share) in &others {
            assert_eq!(all.site(1).add_share(KeyStep::Gate, *from, share).unwrap(), None);
        }
        let refused = all.site(1).finish_sum(KeyStep::Gate, BodyRoot::default());
        assert!(matches!(refused, Err(HospitalError::OtherCeremony { what: "gate of this hospital" })));
        all.restart(1);
        all.site(1).restore_keys(seed()).unwrap();
        assert_eq!(all.site(1).serving_share(KeyStep::GateKey).unwrap(), made);
    }
    // One that lies where the right one was held is not taken for it.
    let site = all.site(1);
    let other = site.holdings.write(&others[2].1).unwrap();
    site.holdings.keep(own_gate(KeySet::Serving), &[other]).unwrap();
    assert!(matches!(site.serving_share(KeyStep::GateKey), Err(HospitalError::OtherCeremony { .. })));
}

/// A gate key of other secrets than the hospitals': of as many limbs as somebody likes.
pub(super) fn other_key(asker: u16, limbs: usize) -> Vec<u8> {
    let crs = Crs::new(Preset::Inf13, seed().0);
    let stream = |number: u8| Stream::from_seed([number; 32]);
    let mut sum = GateSum::new(&crs, asker, limbs, N).unwrap();
    let seeds: Vec<_> = (1..=N).map(|maker| (maker, GateSeed::generate(&mut stream(maker as u8)))).collect();
    for (maker, seed) in &seeds {
        let secret = ServingSecret::generate(Preset::Inf13, *maker, &mut stream(10)).unwrap();
        sum.absorb(&GateShare::generate(&secret, &crs, asker, limbs, seed, &mut stream(20)).unwrap()).unwrap();
    }
    let secret = GateSecret::generate(Preset::Inf13, asker, &mut stream(30)).unwrap();
    let seeds: Vec<_> = seeds.iter().map(|(maker, seed)| (*maker, seed)).collect();
    GateKey::generate(&secret, &crs, &sum.finish().unwrap(), &seeds, &mut stream(40)).unwrap().to_bytes()
}

#[test]
fn gate_keys_are_those_that_their_makers_signed_for_and_serve_the_program() {
    let mut all = Consortium::with_keys();
    let list = all.gates();
    let keys = all.shares(KeyStep::GateKey);
    let limbs = all.sites[0].plan.program.gate_limbs();
    let held = |site: &Site| site.holdings.digests(gate_keys(KeySet::Serving)).unwrap();
    let before = held(all.site(1));
    assert_eq!(before, keys.iter().map(|(_, key)| Digest::of_bytes(key)).collect::<Vec<_>>());
    let site = all.site(1);
    let refused = [
        (party(2), keys[0].1.clone(), "another's"),
        (party(2), keys[1].1.slice(1..), "no key at all"),
        (party(2), Bytes::from(other_key(2, limbs - 1)), "of too few limbs"),
    ];
    for (from, key, why) in refused {
        assert_eq!(site.add_share(KeyStep::GateKey, from, &key).unwrap(), Some(Reject::BadKeyShare), "{why}");
    }
    let mut others = keys.clone();
    others[1].1 = altered(&keys[1].1);
    assert_eq!(add(site, KeyStep::GateKey, &others, list), Some(Reject::SumDiffers));
    assert_eq!(add(site, KeyStep::GateKey, &keys[..2], list), Some(Reject::SumDiffers));
    assert_eq!(held(site), before, "what was held stays");
}

#[test]
fn a_site_whose_plan_has_no_head_makes_and_takes_no_keys_of_a_training() {
    let mut all = Consortium::new().dealt();
    let shares = all.shares(KeyStep::Gate);
    let site = all.site(1);
    let none = |result: Result<(), HospitalError>| assert!(matches!(result, Err(HospitalError::NoKeys { .. })));
    for step in KeyStep::steps(KeysAsked { planes: false, training: true }) {
        if step.set() == KeySet::Training {
            none(site.serving_share(step).map(drop));
            none(site.add_share(step, party(2), &shares[1].1).map(drop));
        }
    }
    none(site.check_proof((KeySet::Training, party(2)), [&[], &[]], &[]).map(drop));
    none(site.add_parts(Parts::Rotations(KeySet::Training), 0, &shares));
    none(site.take_part(Parts::Rotations(KeySet::Training), 0, &[party(2)], &[]));
    assert!(site.add_share(KeyStep::Gate, party(1), &shares[0].1).is_ok(), "those of serving it does");
}
