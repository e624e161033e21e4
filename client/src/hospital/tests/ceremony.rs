//! The key ceremony under kills: the same boxes, keys and shares, and no second ones.

use std::collections::BTreeMap;

use protocol::dealings::{DealingCheck, OffDealings};
use protocol::hospital::HospitalInput;
use protocol::sealed::BoxContext;
use zeroize::Zeroizing;

use super::super::dealing::Dealing;
use super::super::key_crs::KeyCrs;
use super::super::key_sums::{gate_keys, own_gate};
use super::*;
use protocol::message::{KeySet, KeysAsked};

/// The key share of one step, made by a process that has lived since dealing and by one that is killed before each
/// step.
fn shares(all: &mut Consortium, twin: Site, root: &Path) -> Site {
    let mut twin = twin;
    let round_one = all.shares(KeyStep::RelinRoundOne);
    let sum = root_of(&all.sum_of(KeyStep::RelinRoundOne, &round_one));
    // On disk, so once is enough.
    for number in 1..=N {
        all.site(number).restore_keys(seed()).unwrap();
    }
    all.shares(KeyStep::Gate);
    let gate = all.gate_of(1);
    twin.restore_keys(seed()).unwrap();
    for site in [all.site(1), &mut twin] {
        assert_eq!(add(site, KeyStep::Gate, &gate, BodyRoot::default()), None);
    }
    let adds = |site: &mut Site| {
        site.restore_keys(seed()).unwrap();
        assert_eq!(add(site, KeyStep::RelinRoundOne, &round_one, sum), None);
    };
    adds(all.site(1));
    for site in &mut all.sites[1..] {
        site.restore_keys(seed()).unwrap();
        assert_eq!(add(site, KeyStep::RelinRoundOne, &round_one, sum), None);
    }
    let masks = all.shares(KeyStep::RelinMasks);
    for site in [all.site(1), &mut twin] {
        assert_eq!(add(site, KeyStep::RelinMasks, &masks, list_of_all(&masks)), None);
    }
    for step in KeyStep::steps(KeysAsked::default()) {
        twin = reopened(twin, root);
        adds(&mut twin);
        let made = all.site(1).serving_share(step).unwrap();
        assert_eq!(twin.serving_share(step).unwrap(), made, "{step:?}");
        twin = reopened(twin, root);
        adds(&mut twin);
        assert_eq!(twin.serving_share(step).unwrap(), made, "{step:?}, made again");
    }
    twin
}

#[test]
fn a_site_killed_between_any_two_steps_of_the_ceremony_makes_the_same_boxes_keys_and_shares() {
    let mut all = Consortium::new();
    all.deal();
    let (root, mut twin) = all.twin(1, "twin");
    let (roster, boxes) = (all.roster.clone(), all.boxes_for(1));
    let dealt = all.site(1).deal_keys(&roster, seed()).unwrap();
    assert_eq!(twin.deal_keys(&roster, seed()).unwrap(), dealt, "the stored boxes are the boxes");
    assert_eq!(dealt.0, boxes_of(&all.sites[0]).iter().map(|sealed| Digest::of_bytes(sealed)).collect::<Vec<_>>());

    twin = reopened(twin, &root);
    let opened = twin.open_dealings(&roster, &all.opening[0], &boxes).unwrap();
    assert!(opened.is_some());
    for number in 1..=N {
        let boxes = all.boxes_for(number);
        let at = usize::from(number) - 1;
        assert_eq!(all.sites[at].open_dealings(&roster, &all.opening[at], &boxes).unwrap(), opened);
    }
    let keys = |site: &Site| site.vault.get("epoch-keys").unwrap();
    assert_eq!(keys(&twin), keys(&all.sites[0]));
    // Opened again after a crash before the digest was sent: no second secret behind errors and flooding.
    twin = reopened(twin, &root);
    assert_eq!(twin.open_dealings(&roster, &all.opening[0], &boxes).unwrap(), opened);
    assert_eq!(keys(&twin), keys(&all.sites[0]));
    shares(&mut all, twin, &root);
}

fn boxes_of(site: &Site) -> Vec<Bytes> {
    let place = |number: u16| BlobId::ceremony(BlobKind::Dealing, Some(site.plan.party), u32::from(number));
    (1..=N).map(|number| site.outbox.get(&place(number)).unwrap()).collect()
}

#[test]
fn a_site_killed_while_it_deals_keeps_the_boxes_it_stored_and_deals_the_same_points() {
    let mut all = Consortium::new();
    all.deal();
    let (_, mut twin) = all.twin(1, "twin");
    // As if the crash had come before the last box was on record.
    let last = BlobId::ceremony(BlobKind::Dealing, Some(party(1)), 3);
    twin.journal.remove("epoch-1-outbox", &last.to_bytes()).unwrap();
    let roster = all.roster.clone();
    twin.deal_keys(&roster, seed()).unwrap();
    let (first, again) = (boxes_of(&all.sites[0]), boxes_of(&twin));
    assert_eq!(first[..2], again[..2]);
    assert_ne!(first[2], again[2], "sealing is randomised");
    let context = BoxContext { epoch: Epoch(1), dealer: party(1), receiver: party(3), label: "dealing" };
    let plain = |sealed: &[u8]| Zeroizing::new(all.opening[2].open(&context, sealed).unwrap().to_vec());
    assert_eq!(plain(&first[2]), plain(&again[2]));
    let crs = KeyCrs::new(&twin.plan, seed());
    assert!(Dealing::from_bytes(&plain(&again[2]), &twin.plan.layout, &crs, 1, 3).is_ok());
}

#[test]
fn another_epoch_seed_or_another_sum_is_refused_after_a_restart_as_before() {
    let mut all = Consortium::with_keys();
    let roster = all.roster.clone();
    let step = KeyStep::RelinRoundOne;
    let shares = all.shares(step);
    let sum = root_of(&all.sum_of(step, &shares));
    assert_eq!(add(all.site(1), step, &shares, sum), None);
    all.site(1).serving_share(KeyStep::RelinRoundTwo).unwrap();
    // A sum of shares that decode: one residue of the last is another one, and its maker signed for both.
    let mut others = shares.clone();
    let mut other = others[2].1.to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    others[2].1 = Bytes::from(other);
    let other = root_of(&all.sum_of(step, &others));
    for _ in 0..2 {
        let refused = all.site(1).deal_keys(&roster, Digest([0x77; 32]));
        assert!(matches!(refused, Err(HospitalError::OtherCeremony { what: "epoch seed" })));
        all.site(1).restore_keys(seed()).unwrap();
        for (from, share) in &others {
            assert_eq!(all.site(1).add_share(step, *from, share).unwrap(), None);
        }
        let refused = all.site(1).finish_sum(step, other);
        assert!(matches!(refused, Err(HospitalError::OtherCeremony { .. })));
        all.restart(1);
    }
    all.site(1).restore_keys(seed()).unwrap();
    assert_eq!(add(all.site(1), step, &shares, sum), None);
    all.site(1).serving_share(KeyStep::RelinRoundTwo).unwrap();
}

/// What all show of their dealings, for one seed.
fn shown(all: &Consortium, factors: Digest) -> BTreeMap<PartyId, DealingCheck> {
    let check = |site: &Site| match site.check_dealings(factors).unwrap() {
        HospitalInput::DealingsCombined { check } => (site.plan.party, check),
        other => panic!("{other:?}"),
    };
    all.sites.iter().map(check).collect()
}

/// Any two of three determine what hospital 2 dealt, so the third one's point is seen to be off, of either secret.
#[test]
fn dealings_are_shown_to_fit_alike_after_a_restart_and_a_point_that_is_off_names_its_dealer() {
    let mut all = Consortium::with_keys();
    let factors = Digest([0x0f; 32]);
    let honest = shown(&all, factors);
    assert!(honest.values().all(|check| check.is_of(usize::from(N))));
    assert!(OffDealings::of(&honest, 2).is_none());
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    assert_eq!(shown(&all, factors), honest);
    assert_ne!(shown(&all, Digest([0x10; 32])), honest);
    let record = all.site(3).vault.get("epoch-1-dealt-by-2").unwrap();
    // The first residue of the training point, and of the serving point behind it.
    let training = u32::from_le_bytes(record[..4].try_into().unwrap()) as usize;
    for at in [4 + 200, 4 + training + 4 + 200] {
        let mut other = record.to_vec();
        other[at] ^= 1;
        all.site(3).vault.put("epoch-1-dealt-by-2", &other).unwrap();
        let off = OffDealings::of(&shown(&all, factors), 2);
        assert_eq!(off.dealers.numbers(), [2], "byte {at}");
    }
}

#[test]
fn when_all_keys_exist_nothing_of_the_ceremony_stays() {
    let mut all = Consortium::with_keys();
    all.gates();
    all.site(1).serving_share(KeyStep::Galois).unwrap();
    assert!(all.site(1).dealt.is_none(), "the serving secret is not kept in memory");
    let holds = |site: &Site, list| site.holdings.digests(list).unwrap().len();
    assert_eq!(
        (holds(all.site(1), own_gate(KeySet::Serving)), holds(all.site(1), gate_keys(KeySet::Serving))),
        (1, usize::from(N))
    );
    let gate = all.site(1).holdings.digests(own_gate(KeySet::Serving)).unwrap()[0];
    all.site(1).finish_ceremony().unwrap();
    assert_eq!(
        (holds(all.site(1), own_gate(KeySet::Serving)), holds(all.site(1), gate_keys(KeySet::Serving))),
        (0, usize::from(N))
    );
    assert!(all.site(1).holdings.read(gate).is_err(), "the gate's bytes are gone");
    all.site(1).finish_ceremony().unwrap();
    let roster = all.roster.clone();
    for _ in 0..2 {
        let site = all.site(1);
        assert!(!site.vault.contains("epoch-1-ceremony") && !site.vault.contains("epoch-1-dealt-by-2"));
        assert!(matches!(site.serving_share(KeyStep::Gate), Err(HospitalError::NoKeys { .. })));
        let place = BlobId::ceremony(BlobKind::Dealing, Some(party(1)), 2);
        assert!(matches!(site.outbox.get(&place), Err(HospitalError::Store(_))), "the box's bytes are gone");
        all.restart(1);
    }
    // The keys themselves stay.
    all.site(1).restore_keys(seed()).unwrap();
    // A round is opened only when all keys exist, so the first training comes to the same.
    all.site(2).train(RoundId(1)).unwrap();
    assert!(!all.site(2).vault.contains("epoch-1-ceremony"));
    // Boxes that are gone are not dealt anew under other keys.
    assert!(all.site(1).deal_keys(&roster, seed()).is_err());
    assert!(!all.site(1).vault.contains("epoch-1-ceremony"));
}

#[test]
fn boxes_from_a_secret_that_is_gone_are_not_followed_by_other_keys() {
    let mut all = Consortium::new();
    all.deal();
    all.site(1).vault.remove("epoch-1-ceremony").unwrap();
    let roster = all.roster.clone();
    assert!(matches!(all.site(1).deal_keys(&roster, seed()), Err(HospitalError::NoKeys { .. })));
    assert!(!all.site(1).vault.contains("epoch-1-ceremony"));
}
