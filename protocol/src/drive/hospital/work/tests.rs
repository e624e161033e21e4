//! What is fetched has to be what was signed for.

use super::*;
use crate::exchange::Call;
use crate::hospital::PlanesOf;
use crate::ids::QueryId;
use crate::ids::StepId;
use crate::ids::{Attempt, Epoch};
use crate::limits::REFRESH_BODY_BYTES_MAX;
use crate::message::KeySet;
use crate::party_set::PartySet;

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn root(bodies: &[Bytes]) -> BodyRoot {
    let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
    BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum())
}

fn listed(bodies: &[Bytes]) -> Bytes {
    bodies.iter().flat_map(|body| Digest::of_bytes(body).0).collect()
}

fn bodies(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

const FINISH: HospitalJob = HospitalJob::FinishModel { attempt: Attempt(1), model: Digest([5; 32]) };

#[test]
fn a_lists_digests_are_those_under_its_signed_root() {
    let (own, other) = (bodies(&["one", "two"]), bodies(&["one", "three"]));
    let list = Parts::Model(Attempt(1)).of(party(2));
    let wanted = Wanted::list(list, root(&own));
    assert!(matches!(wanted.call(), Call::List { list: of } if of == list));
    assert!(wanted.is(&listed(&own)));
    let cut = listed(&own).slice(1..);
    for wrong in [listed(&other), listed(&own[..1]), cut, Bytes::new()] {
        assert!(!wanted.is(&wrong));
    }
    let body = Wanted::digest(list.body(1), Digest::of_bytes(b"two"));
    assert!(matches!(body.call(), Call::Get { id } if id == list.body(1)));
    assert!(body.is(&own[1]) && !body.is(&other[1]));
}

/// One part of a sum: its index and makers, `None` in place of those of a part that is taken.
type Walked = (u32, Option<Vec<PartyId>>);

/// Parts of a sum in the order of their work, then what ends it.
fn walked(first: Work) -> (Vec<Walked>, HospitalJob) {
    let (mut walked, mut rest) = (Vec::new(), first);
    loop {
        rest = match rest {
            Work::Parts(left) => {
                let (part, rest) = left.next();
                let Work::Fetch { wanted, then } = part else { panic!("a part") };
                let places: Vec<_> = wanted.iter().map(|wanted| (wanted.id.index, wanted.id.party)).collect();
                walked.push(match then {
                    Then::AddParts { index, makers, .. } => {
                        assert!(places.iter().copied().eq(makers.iter().map(|maker| (index, Some(*maker)))));
                        (index, Some(makers))
                    }
                    Then::TakePart { index, makers, .. } => {
                        assert_eq!((places, makers), (vec![(index, None)], vec![party(1), party(3)]));
                        (index, None)
                    }
                    _ => panic!("a part"),
                });
                rest
            }
            Work::Ready(job) => return (walked, job),
            Work::Fetch { .. } | Work::Chunks(_) | Work::Features(_) => panic!("a fetch of its own"),
        };
    }
}

/// The work on a sum of what parties 1 and 3 bring, once the lists are there.
fn listed_parts(lists: Vec<Bytes>, drawn: Vec<u32>) -> Work {
    Then::Parts { parts: Parts::Model(Attempt(1)), makers: vec![party(1), party(3)], drawn, finish: FINISH }.next(lists)
}

#[test]
fn every_part_is_fetched_of_every_maker_and_then_the_sum_is_finished() {
    let all = || vec![0, 1, 2];
    let then = |lists| walked(listed_parts(lists, all()));
    let (one, two) = (listed(&bodies(&["a", "b", "c"])), listed(&bodies(&["d", "e", "f"])));
    let (parts, finish) = then(vec![one.clone(), two]);
    assert_eq!(parts, [0, 1, 2].map(|index| (index, Some(vec![party(1), party(3)]))));
    assert!(matches!(finish, HospitalJob::FinishModel { attempt: Attempt(1), .. }));
    // Where makers do not bring equally many, or nothing, nothing is added: the last job says what is wrong.
    for lists in [vec![one, listed(&bodies(&["d"]))], vec![Bytes::new(), Bytes::new()]] {
        assert_eq!(then(lists).0, []);
    }
}

#[test]
fn parts_that_were_not_drawn_are_taken_from_the_announced_sum() {
    let (one, two) = (bodies(&["a", "b", "c"]), bodies(&["d", "e", "f"]));
    let sum = bodies(&["ad", "be", "cf"]);
    let makers = [(party(1), root(&one)), (party(3), root(&two))];
    let check = |drawn: &[u32]| Work::check_model(Attempt(1), &makers, root(&sum).root, drawn.to_vec());
    let Work::Fetch { wanted, then } = check(&[0, 2]) else { panic!("lists first") };
    let lists = [listed(&one), listed(&two), listed(&sum)];
    assert!(wanted.len() == 3 && wanted.iter().zip(&lists).all(|(wanted, list)| wanted.is(list)));
    let of_sum = ListId { kind: BlobKind::PublishChunk, round: 0, attempt: 1, party: None };
    assert!(matches!(wanted[2].call(), Call::List { list } if list == of_sum));
    assert!(!wanted[2].is(&lists[0]) && !wanted[2].is(&lists[2].slice(1..)) && then.is_waited_for());
    let both = Some(vec![party(1), party(3)]);
    let parts = walked(then.next(lists.to_vec())).0;
    assert_eq!(parts, [(0, both.clone()), (1, None), (2, both)]);
    // What is taken is what was announced, and is given to the job with whose it is said to be.
    let taken = Work::taken(Parts::Rotations(KeySet::Serving), 1, vec![party(3)], Digest::of_bytes(b"be"));
    let Work::Fetch { wanted, then } = taken else { panic!("a body") };
    assert!(wanted[0].is(&sum[1]) && !wanted[0].is(&sum[0]) && then.is_waited_for());
    let Work::Ready(HospitalJob::TakePart { parts: Parts::Rotations(KeySet::Serving), index: 1, makers: of, body }) =
        then.next(vec![sum[1].clone()])
    else {
        panic!("a part to take")
    };
    assert_eq!((of, body), (vec![party(3)], sum[1].clone()));
    // A sum of another number of parts has none to be taken.
    for wrong in [&sum[..2], &[]] {
        let lists = vec![lists[0].clone(), lists[1].clone(), listed(wrong)];
        assert_eq!(walked(listed_parts(lists, vec![0, 2])).0, []);
    }
    // Whoever adds all of it asks for no list of the sum.
    let Work::Fetch { wanted, .. } = check(&[0, 1, 2]) else { panic!("lists first") };
    assert_eq!(wanted.len(), 2);
}

#[test]
fn every_drawn_chunk_of_a_sum_is_fetched_of_every_maker_by_its_signed_digest() {
    let parties = |numbers: &[u16]| numbers.iter().map(|number| party(*number)).collect::<PartySet>();
    let binding = ShareBinding {
        epoch: Epoch(1),
        round: RoundId(3),
        attempt: Attempt(2),
        cohort: parties(&[1, 2]),
        decryptors: parties(&[2]),
        manifest: Digest([7; 32]),
        chunks: 3,
    };
    let (one, two, share) = (bodies(&["a", "b", "c"]), bodies(&["d", "e", "f"]), bodies(&["g", "h", "i"]));
    let (updates, shares) = ([(party(1), root(&one)), (party(2), root(&two))], [(party(2), root(&share))]);
    let announced = |chunk: u32| (chunk, Digest([chunk as u8; 32]));
    let work = Work::check_sum(binding.clone(), &updates, &shares, vec![announced(0), announced(2)]);
    assert!(work.is_of(RoundId(3)) && !work.is_of(RoundId(4)));
    let Work::Fetch { wanted, then } = work else { panic!("lists first") };
    let lists = [listed(&one), listed(&two), listed(&share)];
    assert!(wanted.iter().zip(&lists).all(|(wanted, list)| wanted.is(list)) && !wanted[0].is(&lists[1]));
    let mut next = Some(then.next(lists.to_vec()));
    for (chunk, is_last) in [(0, false), (2, true)] {
        let Some(Work::Chunks(left)) = next else { panic!("more chunks") };
        let (work, rest) = left.next().unwrap();
        assert!(work.is_of(RoundId(3)) && rest.as_ref().is_none_or(|rest| rest.is_of(RoundId(3))));
        let Work::Fetch { wanted, then } = work else { panic!("its bodies") };
        let of_chunk = [&one, &two, &share].map(|bodies| bodies[chunk as usize].clone());
        assert!(wanted.iter().zip(&of_chunk).all(|(wanted, body)| wanted.is(body)));
        let places: Vec<_> = wanted.iter().map(|wanted| (wanted.id.kind, wanted.id.party, wanted.id.index)).collect();
        let [update, of_t] = [BlobKind::UpdateChunk, BlobKind::Share];
        assert_eq!(places, [(update, 1), (update, 2), (of_t, 2)].map(|(kind, it)| (kind, Some(party(it)), chunk)));
        assert!(wanted.iter().all(|wanted| (wanted.id.round, wanted.id.attempt) == (3, 2)));
        let Work::Ready(HospitalJob::AddChunk(Summands { chunk: of, sum, is_last: last, updates, shares, .. })) =
            then.next(of_chunk.to_vec())
        else {
            panic!("a chunk to add")
        };
        assert_eq!(((of, sum), last), (announced(chunk), is_last));
        let [first, second, third] = of_chunk;
        assert_eq!((updates, shares), (vec![(party(1), first), (party(2), second)], vec![(party(2), third)]));
        next = rest;
    }
    assert!(next.is_none());
}

fn query(parts: &[Bytes]) -> Box<QueryHead> {
    let query = QueryId::new(party(2), 4);
    Box::new(QueryHead { query, program: Digest([1; 32]), model: Digest([2; 32]), body: root(parts) })
}

#[test]
fn a_query_is_evaluated_as_its_asker_signed_for_it() {
    let image = bodies(&["first half", "second half"]);
    let then = || Then::Evaluate { asker: party(2), head: query(&image) };
    assert!(then().fits(&image));
    let swapped = [image[1].clone(), image[0].clone()];
    for wrong in [&swapped[..], &image[..1], &[]] {
        assert!(!then().fits(wrong));
    }
    // More than was announced is not waited for.
    let got = |bodies: &[&Bytes]| bodies.iter().map(|body| Some((*body).clone())).chain([None]).collect::<Vec<_>>();
    let long = Bytes::from(vec![0; 22]);
    assert!(!then().is_too_much(&got(&[&image[0], &image[1]])[..2]));
    assert!(then().is_too_much(&got(&[&long])));
}

/// Of what everybody brings to all gates, a hospital fetches what is meant for its own.
#[test]
fn of_shares_of_gates_only_the_own_is_fetched() {
    let gates = bodies(&["for one", "for two", "for three"]);
    let mut steps = Work::add_shares(party(2), KeyStep::Gate, vec![(party(3), root(&gates))], root(&gates), vec![0]);
    assert!(matches!(steps.pop(), Some(Work::Ready(HospitalJob::FinishSum { step: KeyStep::Gate, .. }))));
    let Some(Work::Fetch { wanted, then }) = steps.pop() else { panic!("no fetch") };
    assert!(steps.is_empty() && wanted[0].is(&listed(&gates)) && then.is_waited_for());
    let list = ListId { kind: BlobKind::Gate, round: 0, attempt: 0, party: Some(party(3)) };
    assert!(matches!(wanted[0].call(), Call::List { list: of } if of == list));
    let Work::Fetch { wanted, then } = then.next(vec![listed(&gates)]) else { panic!("no second fetch") };
    assert!(matches!(wanted[0].call(), Call::Get { id } if id == list.body(1)));
    assert!(wanted.len() == 1 && wanted[0].is(&gates[1]) && !wanted[0].is(&gates[0]));
    assert!(matches!(then, Then::AddShare { step: KeyStep::Gate, from } if from == party(3)));
}

/// A proof is fetched as its hospital signed for it: both shares, the list, then the openings, and no more bytes of
/// them than it stated, since they are in memory together.
#[test]
fn a_proof_is_what_its_hospital_signed_for_and_no_longer() {
    let openings = bodies(&["a seed", "a masked secret"]);
    let [first, second] = ["first", "second"].map(|text| Bytes::from_static(text.as_bytes()));
    let [of_first, of_second] = [&first, &second].map(|share| root(std::slice::from_ref(share)));
    let set = KeySet::Training;
    let proof = ProofOf { set, party: party(3), first: of_first, second: of_second, answers: root(&openings) };
    let mut steps = Work::check_proofs(KeyStep::TrainingRelinAnswers, vec![proof], root(&openings));
    let finish = steps.pop();
    assert!(matches!(finish, Some(Work::Ready(HospitalJob::FinishSum { step: KeyStep::TrainingRelinAnswers, .. }))));
    let Some(Work::Fetch { wanted, then }) = steps.pop() else { panic!("no fetch") };
    assert!(steps.is_empty() && wanted.len() == 3 && then.is_waited_for());
    let found = [first.clone(), second.clone(), listed(&openings)];
    assert!(wanted.iter().zip(&found).all(|(wanted, body)| wanted.is(body)));
    assert!(!wanted[0].is(&second) && !wanted[1].is(&first) && !wanted[2].is(&listed(&openings[..1])));
    let Work::Fetch { wanted, then } = then.next(found.to_vec()) else { panic!("no second fetch") };
    assert!(wanted.iter().zip(&openings).all(|(wanted, body)| wanted.is(body)) && wanted.len() == 2);
    assert!(!wanted[0].is(&openings[1]) && then.is_waited_for());
    let place = KeyStep::TrainingRelinAnswers.body(Some(party(3)), 1);
    assert!(matches!(wanted[1].call(), Call::Get { id } if id == place));
    let got: Vec<Option<Bytes>> = openings.iter().cloned().map(Some).collect();
    assert!(!then.is_too_much(&got));
    let long = vec![got[0].clone(), Some(Bytes::from(vec![0; 16]))];
    assert!(then.is_too_much(&long), "one byte more than it signed for");
    let Work::Ready(HospitalJob::CheckProof { set: KeySet::Training, of, first: one, second: two, answers }) =
        then.next(openings.clone())
    else {
        panic!("no job")
    };
    assert!(of == party(3) && (one, two) == (first, second) && answers == openings);
}

/// What a hospital is bound to of its planes goes to one job with all bodies, in order.
#[test]
fn planes_are_what_their_hospital_signed_for_and_no_longer() {
    let bound = bodies(&["a key", "a coin", "digests of planes"]);
    let of = |number| (party(number), root(&bound));
    let mut steps = Work::add_shares(party(2), KeyStep::Planes, vec![of(2), of(3)], root(&bound), vec![0, 1, 2]);
    let Some(Work::Ready(HospitalJob::FinishSum { step, sum })) = steps.pop() else { panic!("no end") };
    assert_eq!((step, sum, steps.len()), (KeyStep::Planes, root(&bound), 2));
    for (work, maker) in steps.into_iter().zip([2, 3]) {
        let list = ListId { kind: BlobKind::Planes, round: 0, attempt: 0, party: Some(party(maker)) };
        let Work::Fetch { wanted, then } = work else { panic!("no list") };
        assert!(matches!(wanted[0].call(), Call::List { list: of } if of == list));
        assert!(wanted.len() == 1 && wanted[0].is(&listed(&bound)) && !wanted[0].is(&listed(&bound[..2])));
        assert!(then.is_waited_for());
        let Work::Fetch { wanted, then } = then.next(vec![listed(&bound)]) else { panic!("no bodies") };
        let places: Vec<_> = wanted.iter().map(|wanted| wanted.id).collect();
        assert_eq!(places, [0, 1, 2].map(|index| list.body(index)));
        assert!(wanted.iter().zip(&bound).all(|(wanted, body)| wanted.is(body)) && !wanted[0].is(&bound[1]));
        let mut got: Vec<Option<Bytes>> = bound.iter().cloned().map(Some).collect();
        assert!(then.is_waited_for() && !then.is_too_much(&got));
        got[0] = Some(Bytes::from(vec![0; bound[0].len() + 1]));
        assert!(then.is_too_much(&got), "one byte more than it signed for");
        let Work::Ready(HospitalJob::AddPlanes { from, key, coin, digests }) = then.next(bound.clone()) else {
            panic!("no job")
        };
        assert_eq!((from, [key, coin, digests].as_slice()), (party(maker), &bound[..]));
    }
}

#[test]
fn the_seeds_of_opened_planes_are_those_that_their_hospital_signed_for() {
    let seeds = bodies(&["seeds of planes"]);
    let planes = [PlanesOf { party: party(3), seeds: root(&seeds) }];
    let mut steps = Work::check_planes(&planes, root(&seeds));
    let Some(Work::Ready(HospitalJob::FinishSum { step, sum })) = steps.pop() else { panic!("no end") };
    assert_eq!((step, sum, steps.len()), (KeyStep::PlaneOpenings, root(&seeds), 1));
    let Some(Work::Fetch { wanted, then }) = steps.pop() else { panic!("no seeds") };
    let place = BlobId::ceremony(BlobKind::PlaneOpening, Some(party(3)), 0);
    assert!(wanted.len() == 1 && wanted[0].id == place && then.is_waited_for());
    assert!(wanted[0].is(&seeds[0]) && !wanted[0].is(&bodies(&["others"])[0]));
    let Work::Ready(HospitalJob::CheckPlanes { of, seeds: found }) = then.next(seeds.clone()) else { panic!("no job") };
    assert_eq!((of, &found), (party(3), &seeds[0]));
}

/// Features come group after group, hospital after hospital, as each signed for them, and no group with more bytes than
/// its bodies may have.
#[test]
fn features_are_fetched_group_by_group_as_their_hospitals_signed_for_them() {
    let [one, three] = [["a", "b", "c", "d"], ["e", "f", "g", "h"]].map(|names| bodies(&names));
    let uploads = vec![(party(1), 2, root(&one)), (party(3), 2, root(&three))];
    let mut rest = Some(FeaturesLeft::all(uploads, 900));
    let mut fetched = Vec::new();
    let last = loop {
        let Some(Work::Features(left)) = rest.take() else { panic!("no features") };
        let (next, after) = left.next();
        rest = after;
        match next {
            Work::Fetch { wanted, then: then @ Then::FeaturesList { of, .. } } => {
                let own = if of == party(1) { &one } else { &three };
                assert!(wanted[0].is(&listed(own)) && !wanted[0].is(&listed(&own[1..])) && then.is_waited_for());
                rest = Some(then.next(vec![listed(own)]));
            }
            Work::Fetch { wanted, then: then @ Then::Features { .. } } => {
                assert!(then.is_waited_for());
                let body = usize::try_from(REFRESH_BODY_BYTES_MAX).unwrap();
                let got = |size| vec![Some(Bytes::from(vec![0; body])), Some(Bytes::from(vec![0; size]))];
                assert!(!then.is_too_much(&got(body)) && then.is_too_much(&got(body + 1)));
                let places: Vec<(u32, Option<PartyId>)> = wanted.iter().map(|it| (it.id.index, it.id.party)).collect();
                let Work::Ready(HospitalJob::Head(HeadJob::AddFeatures { of, group, bodies })) =
                    then.next(if wanted[0].id.party == Some(party(1)) { one.clone() } else { three.clone() })
                else {
                    panic!("no job")
                };
                assert_eq!(bodies.len(), 4, "whatever was fetched");
                fetched.push((of.number(), group, places));
            }
            Work::Ready(job) => break job,
            _ => panic!("something else"),
        }
    };
    let at = |number: u16, first: u32| vec![(first, Some(party(number))), (first + 1, Some(party(number)))];
    assert_eq!(fetched, [(1, 0, at(1, 0)), (1, 1, at(1, 2)), (3, 0, at(3, 0)), (3, 1, at(3, 2))]);
    let HospitalJob::Head(HeadJob::Prepare { groups, rows: 900 }) = last else { panic!("{last:?}") };
    assert_eq!(groups, [(party(1), 2), (party(3), 2)]);
}

/// A task has the lists that others bring to it, each as its maker signed for it.
#[test]
fn a_task_of_a_training_has_every_list_that_it_needs_in_order() {
    let (step, attempt) = (StepId(2), Attempt(3));
    let ready = Work::train_head(TrainingTask::Take { step });
    assert!(matches!(ready, Work::Ready(HospitalJob::Head(HeadJob::Do { bodies, .. })) if bodies.is_empty()));
    let [one, three] = [["a", "b"], ["c", "d"]].map(|names| bodies(&names));
    let zeros = vec![(party(1), root(&one)), (party(3), root(&three))];
    let Work::Fetch { wanted, then } = Work::train_head(TrainingTask::AddZeros { step, attempt, zeros }) else {
        panic!("no lists")
    };
    assert!(wanted[0].is(&listed(&one)) && wanted[1].is(&listed(&three)) && !wanted[1].is(&listed(&one)));
    assert!(wanted.len() == 2 && then.is_waited_for());
    let Work::Fetch { wanted, then } = then.next(vec![listed(&one), listed(&three)]) else { panic!("no bodies") };
    let all = [&one[..], &three[..]].concat();
    assert!(wanted.len() == 4 && wanted.iter().zip(&all).all(|(wanted, body)| wanted.is(body)) && then.is_waited_for());
    let list = |number| ListId { kind: BlobKind::RefreshZero, round: 2, attempt: 3, party: Some(party(number)) };
    assert_eq!(wanted[3].id, list(3).body(1));
    let large = Some(Bytes::from(vec![0; usize::try_from(REFRESH_BODY_BYTES_MAX).unwrap()]));
    let fits = vec![large; 4];
    let mut much = fits.clone();
    much[0] = much[0].as_ref().map(|body| [&body[..], &[0]].concat().into());
    assert!(!then.is_too_much(&fits) && then.is_too_much(&much));
    let Work::Ready(HospitalJob::Head(HeadJob::Do { bodies, .. })) = then.next(all) else { panic!("no job") };
    assert_eq!(bodies, [(list(1), one), (list(3), three)]);
}
