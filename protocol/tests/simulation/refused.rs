//! What a hospital does with each refusal: some calls are made again, some never.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::Reject;
use protocol::drive::hospital::{HospitalDriver, HospitalEvent, HospitalJob, HospitalNote};
use protocol::drive::{CallId, Outside};
use protocol::exchange::Call;
use protocol::lease::Doing;
use protocol::message::HospitalMessage;

use crate::party::{Jobs, Line, SimClock};
use crate::sim_store::{Disk, SimStore};
use crate::world::World;

/// A hospital that has just said hello and polls.
struct Lone {
    driver: HospitalDriver<SimStore, Line, Jobs<HospitalJob>, SimClock>,
    calls: Rc<RefCell<Vec<(CallId, Call)>>>,
    now: Rc<Cell<u64>>,
}

impl Lone {
    fn start() -> Self {
        let disk = Rc::new(RefCell::new(Disk::new(1, 0)));
        let (calls, now) = (Rc::<RefCell<Vec<_>>>::default(), Rc::new(Cell::new(0)));
        let outside = Outside {
            store: SimStore(Rc::clone(&disk)),
            net: Line { calls: Rc::clone(&calls), disk: Rc::clone(&disk) },
            crypto: Jobs { started: Rc::default(), disk },
            clock: SimClock { now: Rc::clone(&now), started: 0, wakes: Rc::default() },
        };
        let (config, key) = World::lone_hospital();
        let driver = HospitalDriver::open(config, key, [7; 32], 60_000, outside).unwrap();
        let mut lone = Self { driver, calls, now };
        lone.driver.start(Doing::Idle).unwrap();
        lone
    }

    /// The calls under way of this kind, which are taken as answered.
    fn take(&self, is_meant: fn(&Call) -> bool) -> Vec<(CallId, Call)> {
        let (meant, others) = self.calls.borrow_mut().drain(..).partition(|(_, call)| is_meant(call));
        *self.calls.borrow_mut() = others;
        meant
    }

    /// Refuses the one call of this kind; the calls of this kind that follow within a minute.
    fn refuse(&mut self, is_meant: fn(&Call) -> bool, reject: Reject) -> usize {
        let [(call, _)] = self.take(is_meant)[..] else { panic!("one call") };
        self.driver.on(HospitalEvent::Answered { call, answer: Err(reject) }, Doing::Idle).unwrap();
        assert!(self.take(is_meant).is_empty(), "not at once");
        self.now.set(self.now.get() + 60_000);
        self.driver.on(HospitalEvent::Wake, Doing::Idle).unwrap();
        self.take(is_meant).len()
    }

    fn heard(&mut self, reject: Reject) -> bool {
        let notes = self.driver.take_notes();
        notes.iter().any(|note| matches!(note, HospitalNote::RefusedThere(found) if *found == reject))
    }
}

fn is_post(call: &Call) -> bool {
    matches!(call, Call::Post(_))
}

fn is_poll(call: &Call) -> bool {
    matches!(call, Call::Poll { .. })
}

#[test]
fn a_message_is_sent_again_where_nobody_could_take_it_and_only_there() {
    // The desk is not open yet; the process is about to end.
    for reject in [Reject::Storage, Reject::Stopping] {
        let mut lone = Lone::start();
        assert_eq!(lone.refuse(is_post, reject), 1, "{reject}");
        assert!(!lone.heard(reject));
    }
    // An epoch that never was, another release, not a member.
    for reject in [Reject::WrongEpoch, Reject::WrongVersion, Reject::UnknownParty] {
        let mut lone = Lone::start();
        assert_eq!(lone.refuse(is_post, reject), 0, "{reject}");
        assert!(lone.heard(reject));
    }
}

#[test]
fn the_log_is_asked_for_again_whatever_is_refused() {
    for reject in [Reject::Storage, Reject::Stopping, Reject::WrongEpoch, Reject::WrongVersion] {
        let mut lone = Lone::start();
        assert_eq!(lone.refuse(is_poll, reject), 1, "an older coordinator is brought up to date, a lost one restored");
        assert!(lone.heard(reject) && !lone.driver.has_ended());
    }
}

#[test]
fn a_hospital_that_leaves_says_so_and_does_nothing_any_more() {
    let mut lone = Lone::start();
    let [(hello, _)] = lone.take(is_post)[..] else { panic!("one call") };
    lone.driver.on(HospitalEvent::Leave, Doing::Idle).unwrap();
    let posted = lone.take(is_post);
    let Some((_, Call::Post(message))) = posted.last() else { panic!("a call") };
    assert!(matches!(message.body, HospitalMessage::Leaving(_)) && lone.driver.has_ended());
    lone.take(is_poll);
    lone.now.set(60_000);
    for event in [HospitalEvent::Answered { call: hello, answer: Err(Reject::Storage) }, HospitalEvent::Wake] {
        lone.driver.on(event, Doing::Idle).unwrap();
    }
    assert!(lone.calls.borrow().is_empty());
}
