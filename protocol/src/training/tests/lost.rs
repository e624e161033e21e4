//! Hospitals that are lost, late, unwilling or wrong in the middle of a refresh.

use super::world::{DEADLINE_MS, World};
use crate::blob::BlobKind;
use crate::cast::party;
use crate::ids::{Attempt, StepId};
use crate::message::{HospitalMessage, LogMessage, Scope};
use crate::reject::Reject;
use crate::training::{TrainingFailure, TrainingInput};

/// What the log says of attempts that came to nothing.
fn voids(world: &World) -> Vec<(u32, u32, Vec<u16>)> {
    let of = |entry: &LogMessage| match entry {
        LogMessage::RefreshVoid(it) => Some((it.step.0, it.attempt.0, it.missing.numbers())),
        _ => None,
    };
    world.log.iter().filter_map(of).collect()
}

#[test]
fn a_lost_decryptor_ends_the_attempt_and_the_next_one_has_zeros_of_all_who_share_in_it() {
    let mut world = World::new(4, 3);
    world.silent = [(2, BlobKind::RefreshMask)].into();
    world.starts();
    assert_eq!(world.machine.waiting_for().numbers(), [2]);
    assert_eq!(voids(&world), []);
    world.says(TrainingInput::PartyGone(party(2)));
    assert_eq!(voids(&world), [(1, 1, vec![2])]);
    let opened = world.opened();
    let second = &opened[1];
    assert_eq!((second.step, second.attempt, second.decryptors.numbers()), (StepId(1), Attempt(2), vec![1, 3, 4]));
    let makers: Vec<_> = second.zeros.iter().map(|zero| zero.author.number()).collect();
    assert_eq!(makers, [1, 3, 4]);
    assert_ne!(second.packages, opened[0].packages);
    assert_eq!(world.kinds()[..6], ["refresh open", "void", "zeros open", "refresh open", "blinded", "done"]);
    // The one that is gone follows all the same, and says so at the end.
    assert_eq!(world.finished(), Some(vec![1, 2, 3, 4]));
    assert_eq!(world.did(2, "add"), 1, "whoever joins adds the zeros as well");
}

#[test]
fn a_late_decryptor_is_lost_with_the_deadline_and_no_earlier() {
    let mut world = World::new(4, 3);
    world.silent = [(1, BlobKind::RefreshShare)].into();
    world.starts();
    world.passes(DEADLINE_MS - 1);
    assert_eq!(voids(&world), []);
    world.passes(1);
    assert_eq!(voids(&world), [(1, 1, vec![1])]);
    assert!(world.finished().is_some());
}

#[test]
fn a_lost_opener_ends_the_attempt_too_since_shares_are_for_it_alone() {
    let mut world = World::new(4, 3);
    world.silent = [(1, BlobKind::RefreshOpening)].into();
    world.starts();
    assert_eq!(world.machine.waiting_for().numbers(), [1]);
    world.says(TrainingInput::PartyGone(party(1)));
    assert_eq!(voids(&world), [(1, 1, vec![1])]);
    assert_ne!(world.opened()[1].opener, party(1));
    assert!(world.finished().is_some());
}

#[test]
fn who_is_lost_before_its_zeros_came_ends_that_attempt_as_well() {
    let mut world = World::new(5, 3);
    world.silent = [(2, BlobKind::RefreshShare), (3, BlobKind::RefreshZero)].into();
    world.starts();
    world.says(TrainingInput::PartyGone(party(2)));
    assert_eq!(world.machine.waiting_for().numbers(), [3]);
    world.says(TrainingInput::PartyGone(party(3)));
    assert_eq!(voids(&world), [(1, 1, vec![2]), (1, 2, vec![3])]);
    assert_eq!(world.opened()[1].attempt, Attempt(3));
    assert!(world.finished().is_some());
}

#[test]
fn too_few_hospitals_wait_for_others_and_go_on_with_them() {
    let mut world = World::new(4, 3);
    world.silent = [(2, BlobKind::RefreshShare), (3, BlobKind::RefreshShare)].into();
    world.starts();
    world.says(TrainingInput::PartyGone(party(2)));
    world.says(TrainingInput::PartyGone(party(3)));
    assert_eq!(world.machine.needs_all().numbers(), [2, 3]);
    let before = world.log.len();
    world.passes(10 * DEADLINE_MS);
    assert_eq!((world.log.len(), world.failure()), (before, None));
    world.silent.clear();
    world.says(TrainingInput::PartyBack(party(3)));
    assert!(world.finished().is_some());
    // Before the first attempt at a step just as well.
    let mut world = World::new(4, 3);
    world.machine.on(0, TrainingInput::PartyGone(party(1)));
    world.machine.on(0, TrainingInput::PartyGone(party(4)));
    world.starts();
    assert_eq!((world.kinds().len(), world.machine.needs_all().numbers()), (0, vec![1, 4]));
    world.says(TrainingInput::PartyBack(party(4)));
    assert_eq!(world.opened()[0].zeros, []);
    assert!(world.finished().is_some());
}

#[test]
fn a_refresh_that_comes_to_nothing_too_often_ends_the_training() {
    let mut world = World::new(4, 3);
    world.silent = (1..=4).map(|number| (number, BlobKind::RefreshShare)).collect();
    world.starts();
    for _ in 0..3 {
        world.passes(DEADLINE_MS);
        (1..=4).for_each(|number| world.says(TrainingInput::PartyBack(party(number))));
    }
    let failure = TrainingFailure::AttemptsExhausted { step: StepId(1), attempts: 3 };
    assert_eq!(world.failure(), Some(failure));
    assert_eq!(voids(&world).len(), 3);
    let asked = world.log.len();
    world.passes(DEADLINE_MS);
    assert_eq!(world.log.len(), asked, "it is over");
}

#[test]
fn a_hospital_whose_own_step_is_another_one_signs_that_and_is_asked_no_more() {
    let mut world = World::new(4, 3);
    world.wrong = [2].into();
    world.starts();
    assert_eq!(world.did(2, "share"), 0);
    let Some(LogMessage::RefreshVoid(void)) = world.log.get(1) else { panic!("{:?}", world.kinds()) };
    let [refusal] = &void.refusals[..] else { panic!("{void:?}") };
    assert_eq!(refusal.author, party(2));
    let HospitalMessage::Refusal(said) = &refusal.body else { panic!("{refusal:?}") };
    assert_eq!((said.scope, said.number, said.attempt), (Scope::Training, 1, 1));
    assert_eq!(said.reject, Reject::StepDiffers);
    assert!(world.opened()[1..].iter().all(|it| !it.decryptors.contains(party(2))));
    // It joins nothing, so it has no word on the head.
    assert_eq!((world.did(2, "join"), world.finished()), (0, None));
    world.passes(DEADLINE_MS);
    assert_eq!(world.finished(), Some(vec![1, 3, 4]));
}

#[test]
fn where_too_many_steps_are_others_nothing_is_refreshed() {
    let mut world = World::new(4, 3);
    world.wrong = [2, 3].into();
    world.starts();
    let (step, reject) = (StepId(1), Reject::StepDiffers);
    assert_eq!(world.failure(), Some(TrainingFailure::Refused { step, refused: 2, need: 3, reject }));
    assert_eq!(world.made("join"), 0);
    // Both refusals are in the log, though the first one had ended the attempt.
    let signed = |entry: &LogMessage| entry.signed().iter().map(|it| it.author.number()).collect::<Vec<_>>();
    assert_eq!(world.kinds(), ["refresh open", "void", "zeros open", "void"]);
    assert_eq!((signed(&world.log[1]), signed(&world.log[3])), (vec![2], vec![3]));
}

#[test]
fn who_sends_what_is_no_part_of_a_refresh_is_asked_no_more() {
    for (number, kind) in [(2, BlobKind::RefreshShare), (3, BlobKind::RefreshMask), (1, BlobKind::RefreshOpening)] {
        let mut world = World::new(4, 3);
        world.unfit = [(number, kind)].into();
        world.starts();
        assert_eq!(voids(&world), [(1, 1, vec![number])], "{kind:?}");
        assert!(world.opened()[1..].iter().all(|it| !it.decryptors.contains(party(number))));
        assert!(world.finished().is_some());
    }
    // Two of four are too many.
    let mut world = World::new(4, 3);
    world.unfit = [(2, BlobKind::RefreshShare), (3, BlobKind::RefreshZero)].into();
    world.starts();
    let (step, reject) = (StepId(1), Reject::BadRefresh);
    assert_eq!(world.failure(), Some(TrainingFailure::Refused { step, refused: 2, need: 3, reject }));
    let mut world = World::new(5, 3);
    world.unfit = [(2, BlobKind::RefreshShare), (3, BlobKind::RefreshZero)].into();
    world.silent = [(4, BlobKind::RefreshZero)].into();
    world.starts();
    assert_eq!(voids(&world)[0], (1, 1, vec![2]));
    let (step, attempt) = (world.machine.step(), Attempt(2));
    assert_eq!(world.machine.waiting_for().numbers(), [4]);
    // A word on somebody who was not asked changes nothing.
    world.says(TrainingInput::Unfit { step, attempt, party: party(2) });
    assert_eq!(world.machine.waiting_for().numbers(), [4]);
}
