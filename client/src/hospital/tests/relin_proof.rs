//! Proofs of relinearisation shares at real sites: what a member that bends its share gets, and what it would get.

use he_agg::multiparty::{
    R2, RelinChallenge, RelinIntermediate, RelinKeyShare, RelinKeySum, RelinProver, RelinStatement,
};
use protocol::drive::hospital::{HospitalDone, HospitalEvent, HospitalJob};
use protocol::drive::{Crypto, JobId};
use protocol::hospital::HospitalInput;
use protocol::limits::RELIN_ANSWERS;
use tokio::sync::{mpsc, oneshot};

use super::super::input::Input;
use super::super::relin_proof::masks;
use super::super::slots::Slots;
use super::super::worker::{Bench, Progress, Tickets};
use super::*;
use protocol::message::KeySet;

/// What all hospitals sent in one step.
type All = [(PartyId, Bytes)];

/// A hospital's openings, as the coordinator shows them to all.
fn openings(site: &Site) -> Vec<Bytes> {
    let id = |index| BlobId::ceremony(BlobKind::RelinAnswer, Some(site.plan.party), index);
    (0..RELIN_ANSWERS).map(|index| site.outbox.get(&id(index)).unwrap()).collect()
}

/// Everybody has added both rounds up, whatever the shares are.
fn add_rounds(all: &mut Consortium, first: &[(PartyId, Bytes)]) -> Vec<(PartyId, Bytes)> {
    let sum = all.sum_of(KeyStep::RelinRoundOne, first);
    for site in &mut all.sites {
        assert_eq!(add(site, KeyStep::RelinRoundOne, first, root_of(&sum)), None);
    }
    let second = all.shares(KeyStep::RelinRoundTwo);
    let key = root_of(&key_of(all, &sum, &second));
    for site in &mut all.sites {
        assert_eq!(add(site, KeyStep::RelinRoundTwo, &second, key), None);
    }
    second
}

fn key_of(all: &Consortium, sum: &[u8], second: &[(PartyId, Bytes)]) -> Bytes {
    let (crs, limbs) = (Crs::new(Preset::Inf13, seed().0), all.sites[0].plan.program.key_plan().relin_limbs);
    let mut key = RelinKeySum::<R2>::new(&crs, limbs, N).unwrap();
    for (_, share) in second {
        key.absorb(&RelinKeyShare::<R2>::from_bytes(share, &crs).unwrap()).unwrap();
    }
    Bytes::from(key.finish(&RelinIntermediate::from_bytes(sum, &crs).unwrap()).unwrap().to_bytes(&crs))
}

/// A ceremony of honest members up to the list of masks and coins: their shares of both rounds, and their masks.
fn up_to_masks() -> (Consortium, [Vec<(PartyId, Bytes)>; 3]) {
    let mut all = Consortium::with_keys();
    let first = all.shares(KeyStep::RelinRoundOne);
    let second = add_rounds(&mut all, &first);
    let bound = all.shares(KeyStep::RelinMasks);
    (all, [first, second, bound])
}

fn add_masks(all: &mut Consortium, masks: &[(PartyId, Bytes)]) {
    for site in &mut all.sites {
        assert_eq!(add(site, KeyStep::RelinMasks, masks, list_of_all(masks)), None);
    }
}

/// What one hospital says of another's openings.
fn checks(site: &Site, of: u16, (first, second): (&All, &All), openings: &[Bytes]) -> Option<Reject> {
    let at = usize::from(of) - 1;
    site.check_proof((KeySet::Serving, party(of)), [&first[at].1, &second[at].1], openings).unwrap()
}

#[test]
fn honest_shares_are_proved_to_all_and_made_again_they_are_the_same() {
    let (mut all, [first, second, bound]) = up_to_masks();
    assert!(matches!(all.site(1).serving_share(KeyStep::RelinAnswers), Err(HospitalError::NoKeys { .. })));
    add_masks(&mut all, &bound);
    let made: Vec<BodyRoot> =
        all.sites.iter_mut().map(|site| site.serving_share(KeyStep::RelinAnswers).unwrap()).collect();
    assert!(made.iter().all(|made| KeyStep::RelinAnswers.is_share_of(*made, usize::from(N))));
    let shown: Vec<Vec<Bytes>> = all.sites.iter().map(openings).collect();
    for checker in 1..=N {
        for of in (1..=N).filter(|of| *of != checker) {
            let shown = &shown[usize::from(of) - 1];
            assert_eq!(checks(all.site(checker), of, (&first, &second), shown), None, "{of} to {checker}");
        }
        let site = all.site(checker);
        assert_eq!(site.finish_sum(KeyStep::RelinAnswers, BodyRoot::default()).unwrap(), None);
        assert!(site.sums.of_round_one(KeySet::Serving).is_none(), "nothing is proved on the sums any more");
    }
    // Another process, with the sums of round one fetched again.
    all.restart(1);
    let sum = all.sum_of(KeyStep::RelinRoundOne, &first);
    let site = all.site(1);
    site.restore_keys(seed()).unwrap();
    site.take_sum(KeyStep::RelinRoundOne, &sum).unwrap();
    site.serving_share(KeyStep::RelinMasks).unwrap();
    let again = site.outbox.get(&BlobId::ceremony(BlobKind::RelinMasks, Some(party(1)), 0)).unwrap();
    assert_eq!(again, bound[0].1, "the same masks and the same coin");
    assert_eq!(site.serving_share(KeyStep::RelinAnswers).unwrap(), made[0]);
    assert_eq!(openings(site), shown[0]);
    // Openings for other coins would show the secrets together with these.
    let mut other = bound.clone();
    let mut coin = other[1].1.to_vec();
    *coin.last_mut().unwrap() ^= 1;
    other[1].1 = coin.into();
    for (from, masks) in &other {
        assert_eq!(site.add_share(KeyStep::RelinMasks, *from, masks).unwrap(), None);
    }
    let refused = site.finish_sum(KeyStep::RelinMasks, list_of_all(&other));
    assert!(matches!(refused, Err(HospitalError::OtherCeremony { what: "list of masks and coins" })));
    site.finish_ceremony().unwrap();
    assert!(site.holdings.digests(masks(KeySet::Serving)).unwrap().is_empty());
}

/// A member that adds a constant of its own to its first share, and does all else as it should: everybody adds up
/// correctly, so without the proof (the twin: all steps before it) the key would hold the collective secret times that
/// constant.
#[test]
fn a_member_that_bends_its_share_is_added_up_by_all_and_named_by_all() {
    let mut all = Consortium::with_keys();
    let mut first = all.shares(KeyStep::RelinRoundOne);
    let mut bent = first[2].1.to_vec();
    // A residue is four bytes less two bits; the lowest bit of one changes.
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    first[2].1 = bent.into();
    let second = add_rounds(&mut all, &first);
    let mut bound = all.shares(KeyStep::RelinMasks);
    // The cheat's own statement is of the bent share, and it knows what honest members know of theirs.
    let crs = Crs::new(Preset::Inf13, seed().0);
    let cheat = all.site(3);
    let (sums, input) = cheat.sums.of_round_one(KeySet::Serving).unwrap();
    let (_, mask) = cheat.relin_round_one(KeySet::Serving, "cheating").unwrap();
    let dealt = cheat.dealt("cheating").unwrap().of(KeySet::Serving, "cheating").unwrap();
    let mut stream = dealt.ceremony.stream("relinearisation, round two", &input.0);
    let (own, witness) = RelinKeyShare::<R2>::generate_with_witness(&dealt.secret, mask, sums, &mut stream).unwrap();
    let bent = RelinKeyShare::<R1>::from_bytes(&first[2].1, &crs).unwrap();
    let statement = RelinStatement::new(&crs, &bent, &own, sums).unwrap();
    let prover = RelinProver::new(&statement, witness, &[9; 32]);
    let coin = bound[2].1[bound[2].1.len() - 32..].to_vec();
    bound[2].1 = [prover.commitment().to_bytes(), coin].concat().into();
    // The coins as every site computes them.
    let mut coins = crs.epoch().to_vec();
    bound.iter().for_each(|(_, masks)| coins.extend_from_slice(masks));
    let coins = Digest::of("consilium relinearisation coins v1", &Digest::of_bytes(&coins));
    let challenge = RelinChallenge::from_digest(&coins.0);
    let answers: Vec<Bytes> =
        prover.answers(&challenge).unwrap().iter().map(|answer| answer.to_bytes().into()).collect();
    add_masks(&mut all, &bound);
    for checker in [1, 2] {
        let named = checks(all.site(checker), 3, (&first, &second), &answers);
        assert_eq!(named, Some(Reject::RelinProofWrong), "at {checker}");
    }
    // An honest member beside it is not named.
    all.site(1).serving_share(KeyStep::RelinAnswers).unwrap();
    let shown = openings(all.site(1));
    assert_eq!(checks(all.site(2), 1, (&first, &second), &shown), None);
}

/// The same at the computing thread: what the driver hears names the member.
#[test]
fn the_machine_hears_whose_proof_is_none() {
    let (mut all, [first, second, bound]) = up_to_masks();
    add_masks(&mut all, &bound);
    let mut shown = Vec::new();
    for site in &mut all.sites {
        site.serving_share(KeyStep::RelinAnswers).unwrap();
        shown.push(openings(site));
    }
    let (opening, slots) = (all.opening.remove(0), Slots::new(1));
    let (progress, tickets, models) = (Arc::new(Progress::default()), Tickets::default(), Vec::new());
    let bench = Bench { site: all.sites.remove(0), opening, slots, progress, tickets, models };
    let (sender, mut inputs) = mpsc::channel(1);
    let mut worker = bench.start(sender, oneshot::channel().0);
    // Hospital 2's own openings, and then those of hospital 3 in its place.
    for (number, answers) in (1..).zip([shown[1].clone(), shown[2].clone()]) {
        let (first, second) = (first[1].1.clone(), second[1].1.clone());
        worker.start(
            JobId(number),
            HospitalJob::CheckProof { set: KeySet::Serving, of: party(2), first, second, answers },
        );
        let Some(Input::Event(HospitalEvent::Done { done, .. })) = inputs.blocking_recv() else { unreachable!() };
        match number {
            1 => assert!(matches!(done, HospitalDone::Nothing), "{done:?}"),
            _ => assert!(
                matches!(
                    done,
                    HospitalDone::Input(HospitalInput::SumWrong {
                        step: KeyStep::RelinAnswers,
                        of: Some(of),
                        reject: Reject::RelinProofWrong,
                    }) if of == party(2)
                ),
                "{done:?}"
            ),
        }
    }
}

#[test]
fn openings_and_shares_that_do_not_belong_together_prove_nothing() {
    let (mut all, [first, second, bound]) = up_to_masks();
    for (masks, why) in [(Bytes::from_static(&[0; 31]), "short"), (bound[0].1.slice(1..), "no masks")] {
        assert_eq!(
            all.site(1).add_share(KeyStep::RelinMasks, party(2), &masks).unwrap(),
            Some(Reject::BadKeyShare),
            "{why}"
        );
    }
    // A list that the coordinator announces and nobody signed for.
    for (from, masks) in &bound {
        assert_eq!(all.site(1).add_share(KeyStep::RelinMasks, *from, masks).unwrap(), None);
    }
    let refused = all.site(1).finish_sum(KeyStep::RelinMasks, list_of_all(&bound[..2])).unwrap();
    assert_eq!(refused, Some(Reject::SumDiffers));
    add_masks(&mut all, &bound);
    for site in &mut all.sites {
        site.serving_share(KeyStep::RelinAnswers).unwrap();
    }
    let shown = openings(all.site(2));
    let at = |shares: &[(PartyId, Bytes)], of: usize| shares[of].1.clone();
    let site = &all.sites[0];
    let check = |first: &[u8], second: &[u8], shown: &[Bytes]| {
        site.check_proof((KeySet::Serving, party(2)), [first, second], shown).unwrap()
    };
    assert_eq!(check(&at(&first, 1), &at(&second, 1), &shown), None);
    assert_eq!(check(&at(&first, 0), &at(&second, 1), &shown), Some(Reject::BadKeyShare), "another's first share");
    assert_eq!(check(&at(&first, 1), &at(&second, 2), &shown), Some(Reject::BadKeyShare), "another's second share");
    assert_eq!(check(&[], &at(&second, 1), &shown), Some(Reject::BadKeyShare));
    assert_eq!(check(&at(&first, 1), &[], &shown), Some(Reject::BadKeyShare));
    assert_eq!(check(&at(&first, 1), &at(&second, 1), &shown[1..]), Some(Reject::RelinProofWrong));
    let of_another = openings(&all.sites[2]);
    assert_eq!(check(&at(&first, 1), &at(&second, 1), &of_another), Some(Reject::RelinProofWrong));
    assert!(all.sites[0].add_share(KeyStep::RelinAnswers, party(1), &[]).is_err(), "openings are not added up");
}
