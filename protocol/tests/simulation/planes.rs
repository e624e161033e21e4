//! Federations whose questions are made of planes: every hospital makes some, opens most, and checks the others'.

use protocol::PartyId;
use protocol::blob::BlobKind;
use protocol::campaign::PauseReason;
use protocol::ceremony::CeremonyFailure;
use protocol::message::{KeyStep, KeysAsked, LogMessage};
use protocol::{Reject, RoundId};

use crate::schedule::{Crash, Schedule};
use crate::world::World;

fn with_planes(parties: u16) -> Schedule {
    Schedule { planes: true, rounds: 1, ..Schedule::of(parties) }
}

/// The steps of the serving keys, as they were opened.
fn opened(world: &World) -> Vec<KeyStep> {
    let step = |message: &LogMessage| match message {
        LogMessage::ServingStepOpen(open) => Some(open.step),
        _ => None,
    };
    world.entries.iter().filter_map(|entry| step(&entry.message)).collect()
}

#[test]
fn everybody_checks_everybody_elses_planes_and_what_questions_are_compared_with_stays() {
    for parties in [2, 5, 7] {
        let world = World::run(1, with_planes(parties));
        assert!(world.published && world.lapsed.is_empty() && world.paused.is_none(), "{parties} parties");
        assert_eq!(world.oracle.answers.len(), usize::from(parties));
        assert!(KeyStep::steps(KeysAsked { planes: true, training: false }).eq(opened(&world)), "{parties} parties");
        assert_eq!(world.oracle.planes.len(), usize::from(parties));
        for (hospital, of) in &world.oracle.planes {
            assert_eq!(of.len(), usize::from(parties) - 1, "{hospital} checks everybody else's planes");
        }
        assert_eq!(world.ceremony_bodies(BlobKind::Planes), (usize::from(parties), 0));
        assert_eq!(world.ceremony_bodies(BlobKind::PlaneOpening), (0, 0), "of no use once they were checked");
        let without = World::run(1, Schedule { planes: false, ..with_planes(parties) });
        assert!(KeyStep::steps(KeysAsked::default()).eq(opened(&without)) && without.oracle.planes.is_empty());
        assert_eq!(without.models, world.models, "planes change no model");
    }
}

/// Nothing comes after planes that prove nothing, and all read whose they are.
#[test]
fn a_hospital_whose_planes_prove_nothing_is_named_and_ends_the_ceremony() {
    let bends = Crash::Garbles { party: 4, round: 0, what: BlobKind::PlaneOpening };
    let world = World::run(17, Schedule { crashes: vec![bends], ..with_planes(5) });
    let Some((_, PauseReason::Ceremony(failure))) = &world.paused else { panic!("{:?}", world.paused) };
    let CeremonyFailure::Refused { party, of, reject, .. } = failure else { panic!("{failure}") };
    assert_eq!((*of, *reject), (PartyId::new(4), Reject::PlanesWrong));
    let words = failure.to_string();
    assert!(party.number() != 4 && words.contains("refused what hospital-4 sent"), "{words}");
    assert!(!world.published && world.rounds.is_empty());
    assert!(!world.entries.iter().any(|entry| matches!(entry.message, LogMessage::ServingKeysReady(_))));
}

#[test]
fn a_coordinator_that_dies_at_any_write_goes_on_with_the_planes() {
    let undisturbed = World::run(11, with_planes(3));
    let mut deaths = 0;
    for write in 1..130 {
        let is_written = write % 2 == 0;
        let crashes = vec![Crash::Coordinator { write, is_written, back_after_ms: 300 }];
        let world = World::run(11, Schedule { crashes, ..with_planes(3) });
        deaths += world.coordinator_deaths;
        assert!(world.published && world.paused.is_none(), "write {write}: {:?}", world.paused);
        assert_eq!(world.models, undisturbed.models, "write {write}");
    }
    assert!(deaths > 100, "{deaths} deaths");
}

#[test]
fn a_hospital_that_dies_at_any_write_makes_the_same_planes_again() {
    let undisturbed = World::run(12, with_planes(3));
    let mut deaths = 0;
    for write in 1..60 {
        for is_written in [false, true] {
            let crashes = vec![Crash::AtWrite { party: 2, write, is_written, back_after_ms: Some(300) }];
            let world = World::run(12, Schedule { crashes, ..with_planes(3) });
            deaths += world.hospital_deaths;
            let when = format!("write {write}, written: {is_written}: {:?}", world.paused);
            assert!(world.published && world.paused.is_none() && world.lapsed.is_empty(), "{when}");
            assert_eq!((&world.models, world.rounds.contains_key(&RoundId(1))), (&undisturbed.models, true), "{when}");
        }
    }
    assert!(deaths > 60, "{deaths} deaths");
}
