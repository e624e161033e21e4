//! Hospitals and coordinator of a training, with lists of bodies in place of ciphertexts.

mod lost;
mod words;
mod world;

pub(super) use world::{head, list, packages, terms};

use super::*;
use crate::cast::party;
use world::{DEADLINE_MS, World};

#[test]
fn every_step_is_refreshed_by_t_hospitals_and_all_who_follow_agree_on_the_head() {
    let mut world = World::new(4, 3);
    world.starts();
    assert_eq!(world.finished(), Some(vec![1, 2, 3, 4]));
    let opened = world.opened();
    let sets: Vec<_> = opened.iter().map(|it| (it.step.0, it.attempt.0, it.decryptors.numbers())).collect();
    assert_eq!(sets, [(1, 1, vec![1, 2, 3]), (2, 1, vec![2, 3, 4]), (3, 1, vec![1, 3, 4])]);
    let openers: Vec<_> = opened.iter().map(|it| it.opener.number()).collect();
    assert_eq!(openers, [1, 2, 3]);
    assert!(opened.iter().all(|it| it.zeros.is_empty()));
    // In every step all of T share once, one opens, and everybody joins.
    assert_eq!((world.made("share"), world.made("open"), world.made("join")), (9, 3, 12));
    let kinds = world.kinds();
    assert_eq!(kinds[..3], ["refresh open", "blinded", "done"]);
    assert_eq!(kinds[9..], ["published", "verified"]);
}

#[test]
fn who_follows_later_takes_the_finished_steps_and_shares_in_the_others() {
    let mut world = World::new(4, 3);
    world.away = [4].into();
    world.machine.on(0, TrainingInput::PartyGone(party(4)));
    world.starts_and_stops_after(2);
    assert_eq!(world.opened().len(), 2);
    let before = world.made("share");
    world.away.clear();
    world.joins_again(4);
    assert_eq!(world.made("share"), before, "of steps that are finished nothing is shared");
    assert_eq!(world.followers[3].step(), StepId(3));
    world.says(TrainingInput::PartyBack(party(4)));
    world.goes_on();
    assert_eq!(world.opened()[2].decryptors.numbers(), [1, 3, 4]);
    assert_eq!(world.finished(), Some(vec![1, 2, 3, 4]));
}

#[test]
fn t_words_on_the_head_are_enough_where_the_others_are_late_or_gone() {
    let mut world = World::new(4, 3);
    world.mute_verdicts = [2].into();
    world.starts();
    assert_eq!(world.finished(), None);
    assert_eq!(world.machine.waiting_for().numbers(), [2]);
    assert_eq!(world.machine.needs_all().numbers(), [0_u16; 0], "three are enough");
    world.passes(DEADLINE_MS);
    assert_eq!(world.finished(), Some(vec![1, 3, 4]));
    let mut world = World::new(4, 3);
    world.mute_verdicts = [2].into();
    world.starts();
    world.says(TrainingInput::PartyGone(party(2)));
    assert_eq!(world.finished(), Some(vec![1, 3, 4]));
}

#[test]
fn where_too_few_live_who_could_agree_on_the_head_the_others_are_waited_for() {
    let mut world = World::new(4, 3);
    world.mute_verdicts = [1, 2].into();
    world.starts();
    world.says(TrainingInput::PartyGone(party(1)));
    assert_eq!(world.machine.needs_all().numbers(), [0_u16; 0], "2 may still agree");
    world.says(TrainingInput::PartyGone(party(2)));
    assert_eq!(world.machine.needs_all().numbers(), [1, 2]);
    assert_eq!(world.finished(), None);
}

#[test]
fn a_head_that_too_many_made_otherwise_is_not_served() {
    let mut world = World::new(4, 3);
    world.other_heads = [1, 4].into();
    world.starts();
    assert_eq!(world.finished(), None);
    let reject = Reject::HeadDiffers;
    assert_eq!(world.failure(), Some(TrainingFailure::NotAgreed { refused: 2, need: 3, reject }));
    let mut world = World::new(4, 3);
    world.other_heads = [1].into();
    world.starts();
    assert_eq!(world.finished(), Some(vec![2, 3, 4]));
}
