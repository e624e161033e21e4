//! A coordinator that names sums, models and results of its own, in a whole federation: what it gets is a refusal.

use protocol::blob::BlobKind;
use protocol::campaign::PauseReason;
use protocol::ceremony::CeremonyFailure;
use protocol::log::LogEntry;
use protocol::message::{KeyStep, LogMessage, VoidReason};
use protocol::publish::PublishFailure;
use protocol::{PartyId, Reject};

use crate::schedule::{Crash, Planted, Schedule};
use crate::toy_hospital::ROTATIONS;
use crate::world::World;

/// The coordinator's own sums of round one would open the serving secret.
#[test]
fn sums_of_serving_keys_that_the_coordinator_names_end_the_ceremony_before_anything_is_computed_with_them() {
    for (step, next) in [
        (KeyStep::RelinRoundOne, KeyStep::RelinRoundTwo),
        (KeyStep::RelinRoundTwo, KeyStep::RelinMasks),
        (KeyStep::Galois, KeyStep::Galois),
    ] {
        let world = World::run(17, Schedule { planted: Some(Planted::Names(step)), ..Schedule::of(5) });
        let Some((_, PauseReason::Ceremony(CeremonyFailure::Refused { reject, .. }))) = &world.paused else {
            panic!("{step:?}: {:?}", world.paused)
        };
        assert_eq!(*reject, Reject::SumDiffers, "{step:?}");
        assert!(!world.published && world.rounds.is_empty());
        let heads = |entry: &&LogEntry| matches!(&entry.message, LogMessage::ServingStepHeads(it) if it.step == next);
        let made = world.entries.iter().find(heads);
        assert!(step == next || made.is_none(), "{step:?}: shares of {next:?} were made");
    }
}

/// A member that bends its share cannot open what the coins ask for: no key is made, and all read whose fault it is.
#[test]
fn a_hospital_that_proves_nothing_is_named_and_ends_the_ceremony() {
    let bends = Crash::Garbles { party: 4, round: 0, what: BlobKind::RelinAnswer };
    let world = World::run(17, Schedule { crashes: vec![bends], ..Schedule::of(5) });
    let Some((_, PauseReason::Ceremony(failure))) = &world.paused else { panic!("{:?}", world.paused) };
    let CeremonyFailure::Refused { party, of, reject, .. } = failure else { panic!("{failure}") };
    assert_eq!((*of, *reject), (PartyId::new(4), Reject::RelinProofWrong));
    let words = failure.to_string();
    assert!(party.number() != 4 && words.contains("refused what hospital-4 sent"), "{words}");
    assert!(!world.published && world.rounds.is_empty());
    let is_ready = |entry: &LogEntry| matches!(entry.message, LogMessage::ServingKeysReady(_));
    assert!(!world.entries.iter().any(is_ready));
}

/// Nobody knows who draws which: the coordinator alters one of eight; those of ten hospitals who added it end it.
#[test]
fn an_altered_part_of_the_rotation_keys_is_found_by_whoever_draws_it() {
    let world = World::run(17, Schedule { planted: Some(Planted::Names(KeyStep::Galois)), ..Schedule::of(10) });
    let Some((_, PauseReason::Ceremony(CeremonyFailure::Refused { reject, .. }))) = &world.paused else {
        panic!("{:?}", world.paused)
    };
    assert_eq!((*reject, world.published), (Reject::SumDiffers, false));
    let altered = ROTATIONS / 2;
    let took = world.oracle.taken.values().filter(|taken| taken.contains(&altered)).count();
    assert!((1..10).contains(&took), "{took} hospitals did not draw it");
}

/// With one hospital that knows the group's key the coordinator makes sums that pass every check of an opened one:
/// where hospitals take its word they adopt what nobody trained (below the oracle sees it).
#[test]
fn sums_of_rounds_that_are_not_those_of_what_hospitals_signed_are_opened_by_nobody() {
    for (lie, expected) in [
        (Planted::Steers, Reject::RoundSumDiffers),
        (Planted::Drops, Reject::RoundSumDiffers),
        (Planted::Doubles, Reject::RoundSumDiffers),
        (Planted::Swaps, Reject::RoundSumDiffers),
        (Planted::Alters, Reject::BodyDiffers),
    ] {
        let world = World::run(17, Schedule { planted: Some(lie), ..Schedule::of(5) });
        assert!(world.oracle.closed.is_empty() && world.oracle.decoded == 0, "{lie:?}");
        assert!(!world.oracle.voids.is_empty() && !world.published, "{lie:?}: {:?}", world.paused);
        for (round, reason) in &world.oracle.voids {
            if let VoidReason::SumRejected { rejected } = reason {
                let refused = &world.oracle.refused[round];
                assert!(refused.len() >= usize::from(*rejected) && *rejected > 1, "{lie:?}: {refused:?}");
                assert!(refused.iter().all(|(_, reject)| *reject == expected), "{lie:?}: {refused:?}");
            }
        }
        let first = world.oracle.voids.values().next();
        assert!(matches!(first, Some(VoidReason::SumRejected { .. })), "{lie:?}: {first:?}");
    }
}

#[test]
fn a_model_that_is_one_contribution_is_neither_served_nor_asked() {
    let world = World::run(17, Schedule { planted: Some(Planted::Singles), ..Schedule::of(5) });
    let Some((_, PauseReason::Publish(PublishFailure::Refused { refused, need, reject }))) = &world.paused else {
        panic!("{:?}", world.paused)
    };
    assert!(*refused > 5 - *need && *reject == Reject::ModelSumDiffers, "{refused} {need} {reject}");
    assert!(world.oracle.answers.is_empty());
    let is_served = |entry: &LogEntry| matches!(entry.message, LogMessage::ModelVerified(_) | LogMessage::QueryOpen(_));
    assert!(!world.entries.iter().any(is_served));
}

#[test]
fn results_of_the_coordinators_own_are_released_by_nobody() {
    let world = World::run(17, Schedule { planted: Some(Planted::Results), ..Schedule::of(5) });
    assert!(world.published && world.oracle.answers.is_empty());
    let (mut requested, mut failed) = (0, 0);
    for entry in &world.entries {
        match &entry.message {
            LogMessage::SwitchRequest(_) => requested += 1,
            LogMessage::QueryFailed(_) => failed += 1,
            LogMessage::QueryDone(done) => panic!("{done:?}"),
            _ => {}
        }
    }
    assert!(requested >= 5 && requested == failed, "{requested} {failed}");
}

/// What the oracle says of a bug between driver and bytes.
pub(crate) fn noticed(schedule: Schedule) -> String {
    let found = std::panic::catch_unwind(|| drop(World::run(13, schedule)));
    let panic = found.expect_err("the oracle does not notice");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn the_oracle_fails_where_an_update_is_dropped_doubled_swapped_or_added() {
    for bug in [Planted::Drops, Planted::Doubles, Planted::Swaps, Planted::Steers] {
        // Hospitals that add sums up themselves would not open one.
        let message = noticed(Schedule { planted: Some(bug), trusting: true, ..Schedule::of(5) });
        assert!(message.contains("decodes another sum than the manifest"), "{bug:?}: {message}");
    }
}
