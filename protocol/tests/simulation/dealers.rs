//! A hospital that deals points that lie on no polynomial: the ceremony ends, and all read whose they were.

use protocol::campaign::PauseReason;
use protocol::ceremony::CeremonyFailure;
use protocol::log::LogEntry;
use protocol::message::LogMessage;
use protocol::verifier::Author;
use protocol::{PartySet, Reject};

use crate::lies::noticed;
use crate::schedule::{Crash, Schedule};
use crate::world::{World, party};

fn misdeals(parties: u16, dealer: u16, receivers: &[u16]) -> Schedule {
    let crashes = receivers.iter().map(|receiver| Crash::Misdeals { dealer, receiver: *receiver }).collect();
    Schedule { crashes, ..Schedule::of(parties) }
}

fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().map(|number| party(*number)).collect()
}

#[test]
fn a_dealer_whose_points_lie_on_no_polynomial_is_named_before_anything_is_built_on_them() {
    // Of five hospitals four decrypt: nobody's value is the odd one.
    for (parties, receivers, beside) in [(5, &[2_u16][..], &[][..]), (7, &[2], &[2]), (7, &[2, 5], &[])] {
        let world = World::run(17, misdeals(parties, 3, receivers));
        let Some((_, PauseReason::Ceremony(failure))) = &world.paused else { panic!("{:?}", world.paused) };
        let expected = CeremonyFailure::DealingsOff { dealers: set(&[3]), receivers: set(beside) };
        assert_eq!(*failure, expected, "{parties} hospitals, dealt wrongly to {receivers:?}");
        let said = failure.to_string();
        assert!(said.contains("the points of hospitals 3") && said.contains("the log has the evidence"), "{said}");
        // Every hospital reads the evidence, and so does an audit.
        let mut refused = world.oracle.ceremony_refused.clone();
        refused.sort();
        let all: Vec<_> = (1..=parties).map(|number| (party(number), Reject::DealingOff)).collect();
        assert_eq!(refused, all);
        let found = world.oracle.found.expect("an audit finds it");
        assert_eq!((found.author, found.reject), (Author::Hospital(party(3)), Reject::DealingOff));
        assert!(!world.published && world.rounds.is_empty());
        let is_built_on = |entry: &LogEntry| matches!(entry.message, LogMessage::ServingStepOpen(_));
        assert!(!world.entries.iter().any(is_built_on));
    }
}

/// Where hospitals show what they should have been dealt the ceremony goes on, and what the wrong points open is not
/// what was encrypted.
#[test]
fn without_the_check_a_round_goes_on_and_opens_something_else() {
    let message = noticed(Schedule { trusting: true, ..misdeals(5, 3, &[1]) });
    assert!(message.contains("decodes another sum than the manifest"), "{message}");
}
