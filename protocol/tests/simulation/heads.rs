//! Heads that are trained on ciphertexts, by whole federations.

use protocol::Reject;
use protocol::blob::BlobKind;
use protocol::campaign::PauseReason;
use protocol::message::{HospitalMessage, LogMessage};
use protocol::training::TrainingFailure;

use crate::schedule::{Crash, Faults, Planted, Schedule};
use crate::toy_head::STEPS;
use crate::world::World;

fn counted(world: &World, is: impl Fn(&LogMessage) -> bool) -> usize {
    world.entries.iter().filter(|entry| is(&entry.message)).count()
}

fn done(world: &World) -> usize {
    counted(world, |message| matches!(message, LogMessage::RefreshDone(_)))
}

fn voids(world: &World) -> usize {
    counted(world, |message| matches!(message, LogMessage::RefreshVoid(_)))
}

/// Whether a head was trained and asked by everybody.
fn is_asked_by_all(world: &World) -> bool {
    world.published && world.oracle.answers.len() == world.roster.size() && done(world) == STEPS as usize
}

#[test]
fn undisturbed_federations_train_a_head_that_all_have_made_and_ask_it() {
    for parties in [2, 3, 5, 7, 10] {
        let world = World::run(1, Schedule::of_head(parties));
        assert!(is_asked_by_all(&world), "{parties} parties: {:?}", world.paused);
        assert!(world.lapsed.is_empty() && world.paused.is_none() && voids(&world) == 0, "{parties} parties");
        let signers = world.entries.iter().find_map(|entry| match &entry.message {
            LogMessage::ModelVerified(it) => Some(it.verdicts.len()),
            _ => None,
        });
        assert_eq!(signers, Some(usize::from(parties)), "everybody's own");
        assert_eq!((world.rounds.len(), world.oracle.decoded), (1, usize::from(parties)), "of moments");
        world.oracle.whoever_helped_evaluated_once();
    }
}

#[test]
fn what_was_trained_on_is_dropped_once_all_have_the_head() {
    let world = World::run(2, Schedule::of_head(4));
    let kinds = [
        BlobKind::Feature,
        BlobKind::RefreshShare,
        BlobKind::RefreshMask,
        BlobKind::RefreshSum,
        BlobKind::RefreshOpening,
    ];
    assert_eq!(kinds.map(|kind| world.ceremony_bodies(kind)), [(0, 0); 5], "features, and parts of refreshes");
}

#[test]
fn a_hospital_that_takes_other_steps_is_found_by_itself_and_the_others_go_on() {
    let world = World::run(3, Schedule { crashes: vec![Crash::Strays { party: 2 }], ..Schedule::of_head(5) });
    assert!(world.published && done(&world) == STEPS as usize, "{:?}", world.paused);
    assert!(voids(&world) >= 1);
    let said = |entry: &protocol::log::LogEntry| match &entry.message {
        LogMessage::RefreshVoid(it) => it.refusals.iter().any(|signed| {
            signed.author.number() == 2
                && matches!(&signed.body, HospitalMessage::Refusal(it) if it.reject == Reject::StepDiffers)
        }),
        _ => false,
    };
    assert!(world.entries.iter().any(said), "what it signed is in the log");
}

#[test]
fn a_coordinator_that_names_other_packages_than_the_steps_leave_gets_no_share() {
    let world = World::run(4, Schedule { planted: Some(Planted::Strays), ..Schedule::of_head(4) });
    let Some((_, PauseReason::Head(TrainingFailure::Refused { reject, .. }))) = &world.paused else {
        panic!("{:?}", world.paused)
    };
    assert_eq!((*reject, done(&world), world.published), (Reject::StepDiffers, 0, false));
    assert_eq!(world.oracle.refreshes_shared(), 0);
}

#[test]
fn what_is_no_part_of_a_refresh_costs_an_attempt_and_its_maker_is_asked_no_more() {
    for (seed, what) in (0..).zip([BlobKind::RefreshShare, BlobKind::RefreshMask]) {
        let crashes = vec![Crash::GarblesHead { party: 1, what }];
        let world = World::run(seed, Schedule { crashes, ..Schedule::of_head(4) });
        assert!(world.published && done(&world) == STEPS as usize, "{what:?}: {:?}", world.paused);
        assert_eq!(voids(&world), 1, "{what:?}");
    }
}

#[test]
fn a_coordinator_that_dies_at_any_write_of_a_training_ends_with_the_head_of_the_undisturbed_run() {
    let undisturbed = World::run(11, Schedule::of_head(3));
    let head = |world: &World| {
        world.entries.iter().find_map(|entry| match &entry.message {
            LogMessage::ModelPublished(it) => Some(it.model),
            _ => None,
        })
    };
    let mut deaths = 0;
    // The ceremony, of which there is a test of its own, in passing.
    for write in (1..560).filter(|write| *write > 280 || write % 9 == 0) {
        for is_written in [false, true] {
            let crashes = vec![Crash::Coordinator { write, is_written, back_after_ms: 300 }];
            let world = World::run(11, Schedule { crashes, ..Schedule::of_head(3) });
            deaths += world.coordinator_deaths;
            assert!(is_asked_by_all(&world), "write {write}, written: {is_written}: {:?}", world.paused);
            assert_eq!(head(&world), head(&undisturbed), "write {write}, written: {is_written}");
        }
    }
    assert!(deaths > 300, "{deaths} deaths");
}

#[test]
fn a_hospital_that_dies_at_any_write_of_a_training_takes_part_again() {
    let mut deaths = 0;
    for write in (1..240).filter(|write| *write > 100 || write % 7 == 0) {
        for is_written in [false, true] {
            let crashes = vec![Crash::AtWrite { party: 2, write, is_written, back_after_ms: Some(300) }];
            let world = World::run(12, Schedule { crashes, ..Schedule::of_head(3) });
            deaths += world.hospital_deaths;
            assert!(is_asked_by_all(&world), "write {write}, written: {is_written}: {:?}", world.paused);
            assert!(world.lapsed.is_empty(), "back within the patience: write {write}: {:?}", world.lapsed);
        }
    }
    assert!(deaths > 200, "{deaths} deaths");
}

#[test]
fn a_lost_hospital_costs_an_attempt_and_not_the_head() {
    let mut voided = 0;
    for write in (90..240).step_by(4) {
        let crashes = vec![Crash::AtWrite { party: 2, write, is_written: true, back_after_ms: None }];
        let world = World::run(13, Schedule { crashes, ..Schedule::of_head(5) });
        let is_there = counted(&world, |message| matches!(message, LogMessage::FeaturesReady(_))) == 1;
        // The ceremony needs everybody.
        assert!(world.published || !is_there, "write {write}: {:?}", world.paused);
        voided += voids(&world);
    }
    assert!(voided > 2, "{voided} attempts came to nothing");
}

/// The others are too few for leases to lapse, so that it never does: the deadline of the refresh ends the attempt.
#[test]
fn a_hospital_that_is_away_past_a_deadline_without_lapsing_is_asked_again_when_it_calls() {
    let mut voided = 0;
    for write in (110..230).step_by(6) {
        let back_after_ms = Some(5 * Schedule::default().patience_ms);
        let crashes = vec![Crash::AtWrite { party: 2, write, is_written: true, back_after_ms }];
        let world = World::run(14, Schedule { crashes, outlives_cut_off: true, ..Schedule::of_head(2) });
        assert!(is_asked_by_all(&world), "write {write}: {:?}", world.paused);
        voided += voids(&world);
    }
    assert!(voided > 2, "{voided} attempts came to nothing");
}

#[test]
fn random_schedules_of_heads_keep_every_invariant_and_end() {
    let schedules = std::env::var("CONSILIUM_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let (mut published, mut voided, mut deaths) = (0, 0, 0);
    for seed in 0..schedules {
        let world = World::run(seed, Schedule::random_head(seed));
        published += u64::from(world.published);
        voided += voids(&world);
        deaths += world.hospital_deaths + world.coordinator_deaths;
    }
    println!("{schedules} schedules of heads: {published} published, {voided} attempts void, {deaths} deaths");
    assert!(2 * published > schedules && deaths as u64 > schedules / 2, "{published} {deaths}");
    assert!(voided as u64 > schedules / 4, "{voided}");
}

#[test]
fn a_lossy_network_loses_no_head() {
    for seed in 0..12 {
        let faults = Faults { loss_percent: 30, duplicate_percent: 40, delay_ms_max: 120, disk_percent: 0 };
        let world = World::run(seed, Schedule { faults, ..Schedule::of_head(4) });
        assert!(is_asked_by_all(&world), "seed {seed}: {:?}", world.paused);
    }
}
