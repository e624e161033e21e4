//! A process that goes on where another ended: what it remembers, what it begins again, and a disk that it cannot
//! follow.

use super::*;
use crate::drive::coordinator::inbox::{KeysAdded, ModelAdded, PhaseStart, SumMade};
use crate::drive::coordinator::phase::is_done;
use crate::message::KeyStep;

fn work(table: &Table) -> Vec<CoordinatorJob> {
    table.jobs().into_iter().map(|(_, job)| job).collect()
}

#[test]
fn jobs_without_a_result_are_begun_again_and_no_others() {
    let mut table = Table::inspecting();
    let jobs = table.jobs();
    table.inspected(jobs[1].0, &jobs[1].1);
    table.restarts().unwrap();
    assert_eq!(work(&table), [jobs[0].1.clone(), jobs[2].1.clone()]);
    let jobs = table.jobs();
    jobs.iter().for_each(|(id, job)| table.inspected(*id, job));
    assert_eq!(table.driver.awaited().0, "round 1, collecting signatures of the manifest");
    table.restarts().unwrap();
    assert_eq!(work(&table), []);
    assert_eq!(table.driver.awaited().0, "round 1, collecting signatures of the manifest");
}

#[test]
fn a_result_is_of_the_job_that_asked_for_just_this() {
    let epoch_seed = Digest::default();
    let (cohort, decryptors, manifest) = (PartySet::EMPTY, PartySet::EMPTY, Digest::default());
    let list = |number| ListId::of(&Table::update(number).0);
    let inspect = |number| Inspection { epoch_seed, list: list(number), chunks: 1, cohort, decryptors, manifest };
    let combine = |attempt| {
        let (round, attempt) = (RoundId(1), Attempt(attempt));
        CoordinatorJob::Combine { epoch_seed, round, attempt, cohort, decryptors, manifest, chunks: 1 }
    };
    let add = |attempt| CoordinatorJob::AddModel { epoch_seed, attempt: Attempt(attempt), cohort, count: 1 };
    let jobs = [
        CoordinatorJob::AddKeys { step: KeyStep::Galois, epoch_seed },
        CoordinatorJob::AddKeys { step: KeyStep::Gate, epoch_seed },
        CoordinatorJob::Inspect(inspect(1)),
        CoordinatorJob::Inspect(inspect(2)),
        combine(1),
        combine(2),
        add(1),
        add(2),
    ];
    let results = [
        PhaseInput::Keys(KeysAdded { step: KeyStep::Galois, body: None }),
        PhaseInput::Keys(KeysAdded { step: KeyStep::Gate, body: None }),
        PhaseInput::WellFormed(list(1)),
        PhaseInput::Malformed(list(2)),
        PhaseInput::Sum(SumMade { attempt: Attempt(1), chunks: None }),
        PhaseInput::Sum(SumMade { attempt: Attempt(2), chunks: None }),
        PhaseInput::Model(ModelAdded { attempt: Attempt(1), model: None }),
        PhaseInput::Model(ModelAdded { attempt: Attempt(2), model: None }),
    ];
    for (of, job) in jobs.iter().enumerate() {
        for (place, result) in results.iter().enumerate() {
            assert_eq!(is_done(job, result), of == place, "{job:?}, {result:?}");
        }
        assert!(!is_done(job, &PhaseInput::Complete(list(1))));
    }
}

#[test]
fn what_hospitals_said_is_remembered_and_counted() {
    let mut table = Table::training();
    let message = Box::new(table.signed(1, Table::head(1)));
    assert!(table.does(1, Call::Post(message.clone())).is_ok());
    let refusal = HospitalMessage::Refusal(crate::message::Refusal {
        scope: crate::message::Scope::Query,
        number: 0,
        attempt: 0,
        reject: Reject::BudgetSpent,
    });
    assert_eq!(table.posts(1, refusal), Ok(()));
    let told = table.told();
    table.restarts().unwrap();
    assert_eq!(table.driver.heard_of, BTreeMap::from([(party(1), 2)]));
    assert!(table.does(1, Call::Post(message)).is_ok());
    assert_eq!(table.told(), told, "it was heard");
}

#[test]
fn what_an_operator_ordered_meanwhile_belongs_to_no_machine() {
    let mut table = Table::inspecting();
    table.driver.on(CoordinatorEvent::Order(crate::campaign::OrderKind::Pause));
    for (id, job) in table.jobs() {
        table.inspected(id, &job);
    }
    let [.., LogMessage::Order(_), LogMessage::Manifest(_)] = &table.log()[..] else { unreachable!() };
    table.restarts().unwrap();
    assert_eq!(table.driver.awaited().0, "round 1, collecting signatures of the manifest");
}

#[test]
fn every_phase_has_a_number_and_what_was_told_to_one_is_not_counted_in_the_next() {
    let mut table = Table::training();
    table.driver.heard_of.insert(party(1), 512);
    assert_eq!(table.posts(1, Table::head(1)), Err(Reject::LimitExceeded));
    table.passes(DEADLINE_MS);
    table.driver.on(CoordinatorEvent::Order(crate::campaign::OrderKind::Resume));
    assert_eq!(table.driver.awaited().0, "round 2, collecting updates");
    let training_failed = HospitalMessage::Refusal(crate::message::Refusal {
        scope: crate::message::Scope::Round,
        number: 2,
        attempt: 0,
        reject: Reject::TrainingFailed,
    });
    assert_eq!(table.posts(1, training_failed), Ok(()));
    let phases = table.around.0.borrow().streams[&Stream::Phases].clone();
    let numbers: Vec<u64> = phases.iter().map(|it| PhaseStart::from_bytes(it).unwrap().number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_disk_that_cannot_be_followed_is_named_with_the_place() {
    let damaged = |result: Result<(), ResumeError>| match result {
        Err(ResumeError::Damaged { what, index }) => (what, index),
        other => unreachable!("{other:?}"),
    };
    let mut table = Table::training();
    let phases = |table: &Table, record: Bytes| {
        table.around.0.borrow_mut().streams.get_mut(&Stream::Phases).unwrap().push(record);
    };
    phases(&table, Bytes::from_static(b"no phase"));
    assert_eq!(damaged(table.restarts()), ("phases", 1));
    let mut table = Table::training();
    let beyond = PhaseStart { number: 2, entries: 99, live: PartySet::EMPTY };
    phases(&table, Bytes::from(beyond.to_bytes()));
    assert_eq!(damaged(table.restarts()), ("phases", 2));
    let mut table = Table::training();
    let inbox = Stream::Inbox(table.driver.phase_number);
    table.around.0.borrow_mut().streams.get_mut(&inbox).unwrap().push(Bytes::from_static(b"nothing"));
    assert_eq!(damaged(table.restarts()), ("inbox", 1));
    // The log says another thing than what follows from the same words.
    let mut table = Table::training();
    let mut writer = LogWriter::new(key(COORDINATOR));
    let mut log = table.log();
    let Some(LogMessage::RoundOpen(open)) = log.last_mut() else { unreachable!() };
    open.base_model = Digest([7; 32]);
    let entries = log.into_iter().map(|message| Bytes::from(writer.append(message).to_bytes())).collect();
    table.around.0.borrow_mut().streams.insert(Stream::Log, entries);
    assert_eq!(damaged(table.restarts()), ("inbox", 0));
}

#[test]
fn who_was_lost_stays_lost_until_it_calls_and_who_was_back_is_back() {
    let mut table = Table::training();
    table.driver.on(CoordinatorEvent::PutOut(party(3)));
    table.restarts().unwrap();
    assert_eq!(table.driver.live().numbers(), [1, 2]);
    table.polls(3, 0);
    assert_eq!(table.driver.live().numbers(), [1, 2, 3]);
    table.restarts().unwrap();
    assert_eq!(table.driver.live().numbers(), [1, 2, 3]);
}

#[test]
fn what_was_complete_is_not_told_again() {
    let mut table = Table::inspecting();
    let told = table.told();
    table.restarts().unwrap();
    assert_eq!((table.told(), table.jobs().len()), (told, 3));
    assert!(table.driver.awaited.is_empty());
}
