//! Planes at real sites: made, opened, checked, and questions made of those that stay closed.

use he_agg::Stream;
use he_agg::aggregation::PermitError;
use he_agg::multiparty::{GateSecret, PlaneDigests, PlaneKey, PlaneMaker, PlaneSeed};
use he_infer::ModelError;
use ndarray::Array3;
use protocol::drive::hospital::{HospitalDone, HospitalEvent, HospitalJob};
use protocol::drive::{Crypto, JobId};
use protocol::hospital::HospitalInput;
use protocol::message::{HospitalMessage, QueryHead};
use protocol::store::JournalError;
use tokio::sync::{mpsc, oneshot};

use super::super::input::Input;
use super::super::own_audit::Again;
use super::super::planes::planes;
use super::super::slots::Slots;
use super::super::worker::{Bench, Progress, Tickets};
use super::evaluation::{Question, Serving, crs};
use super::own_audit::{again, audited, key_head};
use super::*;

/// Questions of each hospital.
const QUESTIONS: u64 = 2;

/// What each hospital is bound to, in order.
type Bound = Vec<[Bytes; 3]>;

/// Three sites with the keys of an epoch whose questions are made of planes, and their gate keys.
fn consortium() -> (Consortium, BodyRoot) {
    let program = program().with_planes(PixelRange::new(-2.0, 2.0).unwrap());
    let count = u32::try_from(program.plane_count(QUESTIONS)).unwrap();
    let mut all = Consortium::over(program, count).dealt();
    let list = all.gates();
    (all, list)
}

fn bodies(site: &Site) -> [Bytes; 3] {
    let id = |index| BlobId::ceremony(BlobKind::Planes, Some(site.plan.party), index);
    [0, 1, 2].map(|index| site.outbox.get(&id(index)).unwrap())
}

fn seeds(site: &Site) -> Bytes {
    site.outbox.get(&BlobId::ceremony(BlobKind::PlaneOpening, Some(site.plan.party), 0)).unwrap()
}

/// Everybody makes its planes; what all are bound to.
fn bound(all: &mut Consortium) -> Bound {
    let count = usize::from(N);
    let made: Vec<BodyRoot> = all.sites.iter_mut().map(|site| site.serving_share(KeyStep::Planes).unwrap()).collect();
    assert!(made.iter().all(|made| KeyStep::Planes.is_share_of(*made, count)));
    all.sites.iter().map(bodies).collect()
}

fn list(bound: &Bound) -> BodyRoot {
    let digests = |bodies: &[Bytes; 3]| {
        let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
        BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum())
    };
    BodyRoot::of_lists(&bound.iter().map(digests).collect::<Vec<_>>())
}

/// One site takes up what all are bound to.
fn takes(site: &mut Site, bound: &Bound, announced: BodyRoot) -> Result<Option<Reject>, HospitalError> {
    for (number, bodies) in (1..).zip(bound) {
        if let Some(reject) = site.add_planes(party(number), bodies.each_ref().map(|body| &body[..]))? {
            return Ok(Some(reject));
        }
    }
    site.finish_sum(KeyStep::Planes, announced)
}

/// All take up what all are bound to, and open what the coins say.
fn opened(all: &mut Consortium, bound: &Bound) -> Vec<Bytes> {
    for site in &mut all.sites {
        assert_eq!(takes(site, bound, list(bound)).unwrap(), None);
    }
    for site in &mut all.sites {
        assert!(KeyStep::PlaneOpenings.is_share_of(site.serving_share(KeyStep::PlaneOpenings).unwrap(), 3));
    }
    all.sites.iter().map(seeds).collect()
}

/// Sites that serve, whose questions are made of planes.
fn serving() -> Serving {
    let (mut all, gates) = consortium();
    let bound = bound(&mut all);
    let seeds = opened(&mut all, &bound);
    for checker in 1..=N {
        for of in (1..=N).filter(|of| *of != checker) {
            assert_eq!(all.site(checker).check_planes(party(of), &seeds[usize::from(of) - 1]).unwrap(), None);
        }
        assert_eq!(all.site(checker).finish_sum(KeyStep::PlaneOpenings, BodyRoot::default()).unwrap(), None);
    }
    Serving::of(all, gates)
}

fn refused(site: &mut Site, question: &Question) -> String {
    match question.at(site) {
        Err(error @ HospitalError::NotEvaluated { .. }) => error.to_string(),
        other => panic!("{:?}", other.map_err(|error| error.to_string())),
    }
}

#[test]
fn a_question_is_made_of_its_own_planes_and_all_compute_the_same_of_it() {
    let mut serving = serving();
    let questions = [1, 2].map(|counter| serving.ask(counter));
    for question in &questions {
        assert_eq!(question.parts.len(), 5);
        assert_eq!(question.parts[4].len(), Preset::Inf13.params().slots());
        let results = [0, 1, 2].map(|at| question.at(&mut serving.all.sites[at]).unwrap());
        assert!(results.iter().all(|result| *result == results[0]));
    }
    assert!(questions[0].parts.iter().zip(&questions[1].parts).all(|(one, other)| one != other));
    // Evaluators go on after their ceremony is over and after a restart.
    let before = questions[0].at(serving.all.site(3)).unwrap();
    serving.all.site(3).finish_ceremony().unwrap();
    serving.all.restart(3);
    serving.all.site(3).restore_keys(seed()).unwrap();
    assert_eq!(questions[0].at(serving.all.site(3)).unwrap(), before);
    // So do askers: the same planes, and the same turns.
    serving.all.site(2).finish_ceremony().unwrap();
    serving.all.restart(2);
    serving.all.site(2).restore_keys(seed()).unwrap();
    assert_eq!(serving.ask(2).parts, questions[1].parts);
}

#[test]
fn planes_are_turned_once_and_for_as_many_questions_as_there_are() {
    let mut serving = serving();
    let first = serving.ask(1);
    let site = serving.all.site(2);
    let mut prepare = |counter, pixel: f32| {
        site.prepare_query(QueryId::new(party(2), counter), &[Array3::from_elem((1, 6, 6), pixel)]).map(|it| it.body)
    };
    assert_eq!(prepare(1, 0.2).unwrap(), first.head.body, "the same image again");
    let source = |made: Result<BodyRoot, HospitalError>| match made {
        Err(HospitalError::Crypto { source, .. }) => source,
        other => panic!("{:?}", other.map_err(|error| error.to_string())),
    };
    // Two turns of one plane would show the difference of two images.
    let conflict = source(prepare(1, 0.9));
    assert!(matches!(conflict.downcast_ref::<PermitError<JournalError>>(), Some(PermitError::Conflict { .. })));
    for counter in [0, QUESTIONS + 1, 1 << 40] {
        let none = source(prepare(counter, 0.2));
        assert!(matches!(none.downcast_ref(), Some(ModelError::NoPlanesLeft { most: QUESTIONS, .. })), "{counter}");
    }
    assert!(prepare(QUESTIONS, 0.2).is_ok());
    assert!(matches!(prepare(2, 3.0), Err(HospitalError::PixelBeyond { .. })));
}

/// The attack that planes are for, and its like: whatever an asker sends in place of the planes that it was given.
#[test]
fn nothing_is_evaluated_but_the_planes_that_stayed_closed_for_the_question() {
    let mut serving = serving();
    let (first, second) = (serving.ask(1), serving.ask(2));
    let parts = |change: &dyn Fn(&mut Vec<Bytes>)| {
        let mut parts = first.parts.clone();
        change(&mut parts);
        Question { head: first.head.clone(), parts }
    };
    // Any plaintext, under the asker's own key: what would be too large for a pixel by 2^64.
    let asker = &serving.all.sites[1];
    let key = PlaneKey::from_bytes(&bodies(asker)[0], &crs()).unwrap();
    let own = PlaneMaker::new(&key, &crs()).unwrap().encrypt(&PlaneSeed::from_bytes([1; 32])).unwrap();
    let other = "is another than its maker was bound to";
    let cases = [
        (parts(&|parts| parts[1] = own.to_bytes().into()), other),
        (parts(&|parts| parts[1] = parts[0].clone()), other),
        (parts(&|parts| parts.swap(2, 3)), other),
        (parts(&|parts| parts[..4].clone_from_slice(&second.parts[..4])), other),
        (numbered(&first, 2), other),
        (numbered(&first, QUESTIONS + 1), "has no planes"),
        (numbered(&first, 0), "has no planes"),
        (parts(&|parts| drop(parts.pop())), "4 bodies"),
        (parts(&|parts| parts.push(parts[0].clone())), "6 bodies"),
        (parts(&|parts| parts[0] = parts[0].slice(1..)), "sent the query"),
        (parts(&|parts| parts[4] = parts[4].slice(1..)), "slots where a ciphertext has"),
    ];
    for at in [0, 2] {
        for (number, (question, why)) in cases.iter().enumerate() {
            let said = refused(&mut serving.all.sites[at], question);
            assert!(said.contains(why), "{number}: {said}");
        }
    }
    // Another hospital's planes, asked as one's own.
    let stolen = serving.all.sites[0].evaluate(party(1), &first.head, &first.parts);
    assert!(matches!(stolen, Err(HospitalError::NotEvaluated { .. })));
    // Any turns are a question.
    let turned = parts(&|parts| parts[4] = vec![27; parts[4].len()].into());
    assert!(turned.at(serving.all.site(1)).is_ok());
}

/// The same question under another number.
fn numbered(question: &Question, counter: u64) -> Question {
    let head = QueryHead { query: QueryId::new(party(2), counter), ..question.head.clone() };
    Question { head, parts: question.parts.clone() }
}

#[test]
fn what_a_hospital_is_bound_to_is_read_before_it_counts_and_compared_with_what_all_signed_for() {
    let (mut all, _) = consortium();
    let bound = bound(&mut all);
    let site = all.site(1);
    let other = |change: &dyn Fn(&mut Bound)| {
        let mut other = bound.clone();
        change(&mut other);
        other
    };
    let cut = |body: &Bytes| body.slice(1..);
    for wrong in [
        other(&|all| all[1][0] = cut(&all[1][0])),
        other(&|all| all[1][1] = cut(&all[1][1])),
        other(&|all| all[1][2] = cut(&all[1][2])),
        other(&|all| all[1][2] = all[1][2].slice(32 * 8..)),
        other(&|all| all[1][0] = all[2][0].clone()),
    ] {
        assert_eq!(takes(site, &wrong, list(&wrong)).unwrap(), Some(Reject::BadKeyShare));
    }
    let mut lower = Stream::from_seed([1; 32]);
    let secret = GateSecret::generate(Preset::Inf13, 2, &mut lower).unwrap();
    let limbs = site.plan.program.input_limbs() - 1;
    let lower = PlaneKey::generate(&secret, &crs(), limbs, &mut lower).unwrap().to_bytes();
    let wrong = other(&|all| all[1][0] = lower.clone().into());
    assert_eq!(takes(site, &wrong, list(&wrong)).unwrap(), Some(Reject::BadKeyShare), "for questions of another level");
    let announced = list(&other(&|all| all.swap(0, 1)));
    assert_eq!(takes(site, &bound, announced).unwrap(), Some(Reject::SumDiffers));
    assert!(site.holdings.digests(planes()).unwrap().is_empty(), "nothing of it is kept");
    assert!(matches!(site.serving_share(KeyStep::PlaneOpenings), Err(HospitalError::NoKeys { .. })));
    assert!(site.add_share(KeyStep::Planes, party(1), &bound[0][0]).is_err(), "planes are not added up");
    assert_eq!(takes(site, &bound, list(&bound)).unwrap(), None);
    // Openings for other coins would open what questions are made of.
    let wrong = other(&|all| all[2][1] = vec![7; 32].into());
    let refused = takes(site, &wrong, list(&wrong));
    assert!(matches!(refused, Err(HospitalError::OtherCeremony { what: "list of planes and coins" })));
}

#[test]
fn a_site_killed_between_two_steps_makes_the_same_planes_and_opens_the_same() {
    let (mut all, _) = consortium();
    let bound = bound(&mut all);
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    all.site(1).serving_share(KeyStep::Planes).unwrap();
    assert_eq!(bodies(all.site(1)), bound[0]);
    let shown = opened(&mut all, &bound);
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    all.site(1).serving_share(KeyStep::PlaneOpenings).unwrap();
    assert_eq!(seeds(all.site(1)), shown[0]);
    assert_eq!(shown[0].len() as u64, 32 * 7 * all.sites[0].plan.program.plane_groups(QUESTIONS));
}

/// A member that is bound to planes of which all are malformed, at the computing thread: what the driver hears.
#[test]
fn malformed_planes_are_named_where_they_are_opened() {
    let (mut all, _) = consortium();
    let mut bound = bound(&mut all);
    // Other planes under the digests' places: of another pool, so that no seed gives them.
    let key = PlaneKey::from_bytes(&bound[2][0], &crs()).unwrap();
    let maker = PlaneMaker::new(&key, &crs()).unwrap();
    let other = PlaneDigests::of_pool(&maker, &[9; 32], 8, &|| ()).unwrap();
    bound[2][2] = other.to_bytes().into();
    let shown = opened(&mut all, &bound);
    let honest = all.site(1).check_planes(party(2), &shown[1]).unwrap();
    assert_eq!(honest, None);
    assert_eq!(all.site(1).check_planes(party(2), &shown[2]).unwrap(), Some(Reject::PlanesWrong), "others' seeds");
    assert_eq!(all.site(1).check_planes(party(2), &shown[1][32..]).unwrap(), Some(Reject::PlanesWrong), "one less");

    let (opening, slots) = (all.opening.remove(0), Slots::new(1));
    let (progress, tickets, models) = (Arc::new(Progress::default()), Tickets::default(), Vec::new());
    let bench = Bench { site: all.sites.remove(0), opening, slots, progress, tickets, models };
    let (sender, mut inputs) = mpsc::channel(1);
    let mut worker = bench.start(sender, oneshot::channel().0);
    let mut says = |job| {
        worker.start(JobId(1), job);
        let Some(Input::Event(HospitalEvent::Done { done, .. })) = inputs.blocking_recv() else { unreachable!() };
        match done {
            HospitalDone::Input(HospitalInput::SumWrong { step, of: Some(of), reject }) => Some((step, of, reject)),
            HospitalDone::Nothing => None,
            other => panic!("{other:?}"),
        }
    };
    let opened = |of, at: usize| HospitalJob::CheckPlanes { of: party(of), seeds: shown[at].clone() };
    assert_eq!(says(opened(3, 2)), Some((KeyStep::PlaneOpenings, party(3), Reject::PlanesWrong)));
    assert_eq!(says(opened(2, 1)), None);
    let [key, coin, _] = bound[1].clone();
    let cut = HospitalJob::AddPlanes { from: party(2), key, coin, digests: Bytes::new() };
    assert_eq!(says(cut), Some((KeyStep::Planes, party(2), Reject::BadKeyShare)));
}

#[test]
fn an_audit_makes_planes_and_seeds_again_after_the_ceremony() {
    let (mut all, _) = consortium();
    let bound = bound(&mut all);
    opened(&mut all, &bound);
    let steps = [KeyStep::Planes, KeyStep::PlaneOpenings];
    let signed = steps.map(|step| all.site(1).serving_share(step).unwrap());
    all.site(1).plan.keeps_ceremony = true;
    all.site(1).finish_ceremony().unwrap();
    let mut auditor = audited(&all, "auditor");
    for (step, body) in steps.into_iter().zip(signed) {
        assert_eq!(again(&mut auditor, &key_head(step, body)).unwrap(), Again::Made(body), "{step:?}");
    }
    // Without the list of coins nobody can say what was to be opened.
    all.site(1).holdings.forget(planes()).unwrap();
    let found = again(&mut audited(&all, "without"), &key_head(steps[1], signed[1])).unwrap();
    assert!(matches!(found, Again::NotKept(why) if why.contains("coins")), "{found:?}");
    let question = QueryHead {
        query: QueryId::new(party(1), 1),
        program: Digest([1; 32]),
        model: Digest([1; 32]),
        body: signed[0],
    };
    let found = again(&mut auditor, &HospitalMessage::QueryHead(Box::new(question))).unwrap();
    assert!(matches!(found, Again::NotKept(why) if why.contains("is in range")), "{found:?}");
}
