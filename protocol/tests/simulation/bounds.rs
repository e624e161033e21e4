//! What a coordinator can pile up at a hospital that it lies to and takes nothing from.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use protocol::RoundId;
use protocol::codec::Wire;
use protocol::drive::hospital::{HospitalDriver, HospitalEvent};
use protocol::drive::{CallId, Outside};
use protocol::exchange::{Answer, Call};
use protocol::hospital::HospitalConfig;
use protocol::lease::Doing;
use protocol::log::LogWriter;
use protocol::message::{LogMessage, RoundOpen, RoundPurpose};

use crate::party::{Jobs, Line, SimClock};
use crate::schedule::Schedule;
use crate::sim_store::SimStore;
use crate::world::{hospital_config, party, signing_key};

#[test]
fn what_a_hospital_says_of_lies_waits_within_a_bound_and_no_more_of_them_are_read() {
    let (calls, now) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let outside = Outside {
        store: SimStore(Rc::default()),
        net: Line { calls: Rc::clone(&calls), disk: Rc::default() },
        crypto: Jobs { started: Rc::default(), disk: Rc::default() },
        clock: SimClock { now: Rc::clone(&now), started: 0, wakes: Rc::default() },
    };
    let config: HospitalConfig = hospital_config(party(1), &Schedule::of(5));
    let (terms, model) = (config.terms.digest(), config.terms.initial_model);
    let mut driver = HospitalDriver::open(config, signing_key(1), [1; 32], 1_000, outside).unwrap();
    driver.start(Doing::Idle).unwrap();
    // Every round is one to refuse: there are no keys yet.
    let mut writer = LogWriter::new(signing_key(1000));
    let mut lie = |round| {
        let open = RoundOpen { round: RoundId(round), purpose: RoundPurpose::Train, base_model: model, terms };
        Bytes::from(writer.append(LogMessage::RoundOpen(open)).to_bytes())
    };
    let lies: Vec<Bytes> = (1..=200).map(&mut lie).collect();
    let mut read = Vec::new();
    for _ in 0..8 {
        now.set(now.get() + 10_000);
        driver.on(HospitalEvent::Wake, Doing::Idle).unwrap();
        let asked: Vec<(CallId, Call)> = calls.borrow_mut().drain(..).collect();
        for (call, asked) in asked {
            // What it posts is never answered.
            let Call::Poll { next, .. } = asked else { continue };
            read.push(next);
            let news = lies.iter().skip(usize::try_from(next).unwrap()).take(50).cloned().collect();
            driver.on(HospitalEvent::Answered { call, answer: Ok(Answer::Entries(news)) }, Doing::Idle).unwrap();
        }
    }
    assert!(read.len() > 4, "it goes on asking, so that its lease is kept: {read:?}");
    // Two answers were taken; 64 wait, and what came with the answer that made them so many.
    assert_eq!(read.iter().max(), Some(&100), "{read:?}");
}
