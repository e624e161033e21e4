//! What the coordinator shows to hospitals of what others sent for a round, entry by entry of its log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::blob::{BlobId, BlobKind};
use protocol::codec::Wire;
use protocol::drive::coordinator::{CoordinatorConfig, CoordinatorDriver, CoordinatorEvent};
use protocol::drive::{Asked, ListId, Outside, Stream};
use protocol::exchange::{Answer, Call};
use protocol::log::LogEntry;
use protocol::message::LogMessage;
use protocol::{Attempt, Digest, QueryId, Reject, RoundId, StepId};

use crate::party::{Answers, Counter, Jobs, SimClock};
use crate::schedule::{Crash, Moment, Schedule};
use crate::sim_store::{Disk, SimStore};
use crate::toy::Lanes;
use crate::world::{World, hospital_config, party, signing_key};

/// What a coordinator with this log answers to hospital 3.
fn answers(
    world: &World,
    schedule: &Schedule,
    log: &[LogEntry],
    bodies: &[BlobId],
    call: Call,
) -> Result<Answer, Reject> {
    let disk = Rc::new(RefCell::new(Disk::new(1, 0)));
    let log = log.iter().map(|entry| entry.to_bytes().into()).collect();
    disk.borrow_mut().streams.insert(Stream::Log, log);
    disk.borrow_mut().bodies.extend(bodies.iter().map(|id| (*id, Lanes::default().to_bytes())));
    let answers = Answers::default();
    let outside = Outside {
        store: SimStore(Rc::clone(&disk)),
        net: Counter { answers: Rc::clone(&answers), disk: Rc::clone(&disk) },
        crypto: Jobs { started: Rc::default(), disk },
        clock: SimClock { now: Rc::new(Cell::new(0)), started: 0, wakes: Rc::default() },
    };
    let terms = hospital_config(party(3), schedule).terms;
    let config = CoordinatorConfig { roster: world.roster.clone(), terms, key: signing_key(1000), batch_max: 1 };
    let mut driver = CoordinatorDriver::open(config, outside).unwrap();
    driver.on(CoordinatorEvent::Asked { asked: Asked(1), from: party(3), call });
    let (_, answer) = answers.borrow_mut().pop().unwrap();
    answer
}

#[test]
fn what_a_sum_is_made_of_is_shown_when_it_is_announced_and_nothing_else() {
    // Hospital 5 has no update in the sum.
    let crash = Crash::At { party: 5, round: 1, moment: Moment::BeforeUpload, back_after_ms: None };
    let schedule = Schedule { rounds: 1, figure_rounds: 0, crashes: vec![crash], ..Schedule::of(5) };
    let world = World::run(1, schedule.clone());
    let at = world.entries.iter().position(|entry| matches!(entry.message, LogMessage::SumReady(_))).unwrap();
    let LogMessage::SumReady(sum) = &world.entries[at].message else { unreachable!() };
    let decryptors: Vec<u16> = sum.shares.iter().map(|head| head.author.number()).collect();
    assert_eq!(decryptors, [1, 2, 3, 4]);
    let body = |kind, attempt, maker| BlobId::round(kind, RoundId(1), Attempt(attempt), Some(party(maker)), 0);
    let (update, share) = (BlobKind::UpdateChunk, BlobKind::Share);
    let is_shown = |log: &[LogEntry], id: BlobId| {
        let get = answers(&world, &schedule, log, &[id], Call::Get { id });
        let list = answers(&world, &schedule, log, &[id], Call::List { list: ListId::of(&id) });
        assert_eq!(get.is_ok(), list.is_ok(), "{id:?}");
        assert!(get.is_ok() || matches!((get, list), (Err(Reject::OutOfTurn), Err(Reject::OutOfTurn))));
        answers(&world, &schedule, log, &[id], Call::Get { id }).is_ok()
    };
    for cut in 0..=at {
        for id in [body(update, 1, 1), body(share, 1, 1)] {
            assert!(!is_shown(&world.entries[..cut], id), "{id:?} before the sum is announced, at {cut}");
        }
        assert!(is_shown(&world.entries[..cut], body(update, 1, 3)), "its own");
    }
    let log = &world.entries[..=at];
    for maker in [1, 2, 4, 5] {
        assert_eq!(is_shown(log, body(update, 1, maker)), maker != 5, "{maker}");
        assert_eq!(is_shown(log, body(share, 1, maker)), decryptors.contains(&maker), "{maker}");
        assert!(!is_shown(log, body(update, 2, maker)), "the spare of {maker}");
        assert!(!is_shown(log, BlobId { round: 2, ..body(update, 1, maker) }));
        // An answer's boxes are for its asker.
        for (asker, is_ours) in [(3, true), (1, false)] {
            let id = BlobId::query(BlobKind::SwitchShare, QueryId::new(party(asker), 7), Some(party(maker)), 0);
            assert_eq!(is_shown(log, id), is_ours, "{asker}");
        }
    }
    assert!(is_shown(&world.entries, body(update, 1, 1)), "whoever was away catches up");

    // A body more than the head says keeps nobody from reading the others.
    let more = [body(update, 1, 1), BlobId { index: 1, ..body(update, 1, 1) }];
    let list = Call::List { list: ListId::of(&more[0]) };
    let Ok(Answer::Body(digests)) = answers(&world, &schedule, log, &more, list) else { panic!("a list") };
    assert_eq!(digests[..], Digest::of_bytes(&Lanes::default().to_bytes()).0);
}

#[test]
fn of_a_head_features_and_masks_are_shown_to_all_sums_to_their_opener_and_shares_to_nobody() {
    let schedule = Schedule::of_head(5);
    let world = World::run(1, schedule.clone());
    let entry = |is: fn(&LogMessage) -> bool| world.entries.iter().position(|entry| is(&entry.message)).unwrap();
    let ready = entry(|message| matches!(message, LogMessage::FeaturesReady(_)));
    // The first refresh that hospital 3 opens, and one that it does not.
    let opens = |is_own: bool| {
        let of = |entry: &LogEntry| match &entry.message {
            LogMessage::RefreshOpen(it) if (it.opener == party(3)) == is_own => Some((**it).clone()),
            _ => None,
        };
        let at = world.entries.iter().position(|entry| of(entry).is_some()).unwrap();
        (at, of(&world.entries[at]).unwrap())
    };
    let is_shown = |log: &[LogEntry], id: BlobId| {
        let get = answers(&world, &schedule, log, &[id], Call::Get { id }).is_ok();
        let list = answers(&world, &schedule, log, &[id], Call::List { list: ListId::of(&id) }).is_ok();
        assert_eq!(get, list, "{id:?}");
        get
    };
    let feature = BlobId::step(BlobKind::Feature, StepId(0), Attempt(0), Some(party(1)), 0);
    assert!(!is_shown(&world.entries[..ready], feature) && is_shown(&world.entries[..=ready], feature));
    for is_own in [true, false] {
        let (at, open) = opens(is_own);
        let (step, attempt) = (open.step, open.attempt);
        let of = |kind, maker| BlobId::step(kind, step, attempt, maker, 0);
        let other = open.decryptors.iter().find(|maker| *maker != party(3) && *maker != open.opener).unwrap();
        let finished = |message: &LogMessage| matches!(message, LogMessage::RefreshDone(it) if it.step == step);
        let done = world.entries.iter().position(|entry| finished(&entry.message)).unwrap();
        let sums = of(BlobKind::RefreshSum, None);
        assert_eq!(is_shown(&world.entries[..done], sums), is_own, "before it is opened");
        assert!(!is_shown(&world.entries[..=done], sums) && !is_shown(&world.entries[..at], sums));
        let next = BlobId { round: sums.round + 1, ..sums };
        assert!(!is_shown(&world.entries[..done], next), "of another step");
        let [mask, share] = [BlobKind::RefreshMask, BlobKind::RefreshShare].map(|kind| of(kind, Some(other)));
        assert!(!is_shown(&world.entries[..done], mask) && is_shown(&world.entries[..=done], mask));
        assert!(!is_shown(&world.entries, share));
        let opening = of(BlobKind::RefreshOpening, Some(open.opener));
        assert!(is_own || !is_shown(&world.entries[..done], opening));
        assert!(is_shown(&world.entries[..=done], opening));
    }
}
