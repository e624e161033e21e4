//! A hospital that has read another log: an honest coordinator takes nothing of it, and hears that it goes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::campaign::PauseReason;
use protocol::ceremony::CeremonyFailure;
use protocol::codec::Wire;
use protocol::drive::coordinator::{CoordinatorConfig, CoordinatorDriver, CoordinatorEvent, CoordinatorJob};
use protocol::drive::{Asked, Outside};
use protocol::exchange::{Answer, Call};
use protocol::heads::Seen;
use protocol::log::LogEntry;
use protocol::message::{Hello, HospitalMessage, Refusal, RosterSignature, Scope, SignedMessage};
use protocol::roster::Roster;
use protocol::{Digest, Epoch, Reject};

use crate::party::{Answers, Counter, Jobs, SimClock};
use crate::schedule::Schedule;
use crate::sim_store::SimStore;
use crate::world::{World, party, signing_key, terms};

/// A coordinator that has proposed its roster.
struct Desk {
    driver: CoordinatorDriver<SimStore, Counter, Jobs<CoordinatorJob>, SimClock>,
    answers: Answers,
    asked: u64,
}

impl Desk {
    fn open(roster: Roster, schedule: &Schedule) -> Self {
        let answers = Answers::default();
        let outside = Outside {
            store: SimStore(Rc::default()),
            net: Counter { answers: Rc::clone(&answers), disk: Rc::default() },
            crypto: Jobs { started: Rc::default(), disk: Rc::default() },
            clock: SimClock { now: Rc::new(Cell::new(0)), started: 0, wakes: Rc::new(RefCell::default()) },
        };
        let config = CoordinatorConfig { roster, terms: terms(schedule), key: signing_key(1000), batch_max: 1 };
        let mut driver = CoordinatorDriver::open(config, outside).unwrap();
        driver.start().unwrap();
        Self { driver, answers, asked: 0 }
    }

    /// What hospital 1 is answered.
    fn says(&mut self, seen: Seen, body: HospitalMessage) -> Result<(), Reject> {
        self.asked += 1;
        let message = SignedMessage::sign(&signing_key(1), party(1), Epoch(1), self.asked, seen, body);
        let (asked, call) = (Asked(self.asked), Call::Post(Box::new(message)));
        self.driver.on(CoordinatorEvent::Asked { asked, from: party(1), call });
        let (to, answer) = self.answers.borrow_mut().pop().unwrap();
        assert_eq!(to, asked);
        answer.map(|answer| assert!(matches!(answer, Answer::Accepted), "{answer:?}"))
    }
}

#[test]
fn a_coordinator_takes_nothing_that_was_signed_on_another_log_and_hears_who_cannot_go_on() {
    let schedule = Schedule::of(3);
    let roster = World::run(1, schedule.clone()).roster;
    let mut desk = Desk::open(roster.clone(), &schedule);
    let [entry] = desk.driver.entries() else { panic!("the roster") };
    let proposed = LogEntry::from_bytes(entry).unwrap();
    let on_it = Seen { entries: 1, head: proposed.digest() };
    let other = Seen { entries: 1, head: Digest::of_bytes(b"another first entry") };
    let restored = Seen { entries: 2, head: Digest::of_bytes(b"an entry that the coordinator lost") };
    let hello = || HospitalMessage::Hello(Hello { version: protocol::VERSION, next_entry: 0 });
    let signature = || HospitalMessage::RosterSignature(RosterSignature { roster: roster.digest() });
    for seen in [other, restored] {
        assert_eq!(desk.says(seen, hello()), Err(Reject::LogForked));
        assert_eq!(desk.says(seen, signature()), Err(Reject::LogForked));
    }
    assert_eq!(desk.says(Seen::nothing(), hello()), Ok(()), "it has only come");
    assert_eq!(desk.says(Seen::nothing(), signature()), Err(Reject::LogForked), "nobody asked for it yet");
    assert_eq!(desk.says(on_it, signature()), Ok(()));
    let reject = Reject::LogForked;
    let refusal = Refusal { scope: Scope::Ceremony, number: 1, attempt: 0, reject };
    assert_eq!(desk.says(other, HospitalMessage::Refusal(refusal)), Ok(()));
    let Some(PauseReason::Ceremony(CeremonyFailure::Refused { party: who, reject, .. })) =
        desk.driver.campaign().paused()
    else {
        panic!("{:?}", desk.driver.campaign().paused())
    };
    assert_eq!((*who, *reject), (party(1), Reject::LogForked));
}
