//! The driver at its counter, with everything around it in memory: what each call is answered, what is stored before
//! that, and what a disk without room does to it.

mod counter;
mod publishing;
mod restart;
mod serving;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::blob::BlobId;
use crate::cast::{COORDINATOR, key, party, roster, signed, terms};
use crate::drive::{Asked, Outside};
use crate::exchange::{Answer, Call};
use crate::ids::{Attempt, Epoch, RoundId};
use crate::log::LogEntry;
use crate::message::{
    HospitalMessage, RosterProposed, RoundPurpose, ServingKeysReady, SignedMessage, UpdateHead, VoidReason,
};

const DEADLINE_MS: u64 = 4_000;
const PATIENCE_MS: u64 = 1_000;

/// What surrounds the driver.
#[derive(Default)]
struct Room {
    streams: BTreeMap<Stream, Vec<Bytes>>,
    bodies: BTreeMap<BlobId, Bytes>,
    forgotten: Vec<ListId>,
    /// The disk refuses every write.
    is_full: bool,
    /// Lists cannot be read.
    is_unreadable: bool,
    answers: BTreeMap<Asked, Result<Answer, Reject>>,
    jobs: Vec<(JobId, CoordinatorJob)>,
    now_ms: u64,
}

#[derive(Clone, Default)]
struct Around(Rc<RefCell<Room>>);

fn failed() -> StoreFault {
    StoreFault::Failed { source: Arc::new(std::io::Error::other("no space left")), is_full: true }
}

impl Around {
    fn write<T>(&self, work: impl FnOnce(&mut Room) -> Result<T, StoreFault>) -> Result<T, StoreFault> {
        let mut room = self.0.borrow_mut();
        if room.is_full { Err(failed()) } else { work(&mut room) }
    }

    fn list(&self, list: ListId) -> Result<Vec<Bytes>, StoreFault> {
        let room = self.0.borrow();
        let bodies = room.bodies.iter().filter(|(id, _)| ListId::of(id) == list).map(|(_, body)| body.clone());
        if room.is_unreadable { Err(failed()) } else { Ok(bodies.collect()) }
    }
}

impl Store for Around {
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault> {
        self.write(|room| {
            let records = room.streams.entry(stream).or_default();
            records.push(Bytes::copy_from_slice(record));
            Ok(records.len() as u64 - 1)
        })
    }
    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault> {
        Ok(self.0.borrow().streams.get(&stream).cloned().unwrap_or_default())
    }
    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault> {
        self.write(|room| {
            room.streams.remove(&stream);
            Ok(())
        })
    }
    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault> {
        self.write(|room| {
            let known = room.bodies.entry(*id).or_insert_with(|| body.clone());
            if known == body { Ok(Digest::of_bytes(body)) } else { Err(StoreFault::Differs { id: *id }) }
        })
    }
    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault> {
        self.0.borrow().bodies.get(id).cloned().ok_or(StoreFault::Missing { id: *id })
    }
    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault> {
        Ok(self.list(list)?.iter().map(|body| Digest::of_bytes(body)).collect())
    }
    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault> {
        let bodies = self.list(list)?;
        Ok(if bodies.is_empty() { BodyRoot::default() } else { root_of(&bodies) })
    }
    fn forget(&mut self, list: ListId) -> Result<(), StoreFault> {
        self.write(|room| {
            room.bodies.retain(|id, _| ListId::of(id) != list);
            room.forgotten.push(list);
            Ok(())
        })
    }
}

impl CoordinatorNet for Around {
    fn answer(&mut self, to: Asked, answer: Result<Answer, Reject>) {
        assert!(self.0.borrow_mut().answers.insert(to, answer).is_none(), "every call is answered once");
    }
    fn answer_body(&mut self, to: Asked, id: &BlobId) {
        let answer = self.get(id).map(Answer::Body).map_err(|_| Reject::OutOfTurn);
        self.answer(to, answer);
    }
}

impl Crypto for Around {
    type Job = CoordinatorJob;
    fn start(&mut self, id: JobId, job: CoordinatorJob) {
        self.0.borrow_mut().jobs.push((id, job));
    }
}

impl Clock for Around {
    fn now_ms(&self) -> u64 {
        self.0.borrow().now_ms
    }
    fn wake_at(&mut self, _: u64) {}
}

fn root_of(bodies: &[Bytes]) -> BodyRoot {
    let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
    BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum())
}

/// A driver with three hospitals, any two of whom decrypt.
struct Table {
    around: Around,
    driver: CoordinatorDriver<Around, Around, Around, Around>,
    asked: u64,
}

impl Table {
    /// After a log that holds the roster, the keys and this.
    fn after(log: impl IntoIterator<Item = LogMessage>) -> Self {
        let roster = roster(3, 2);
        let keys = LogMessage::ServingKeysReady(ServingKeysReady { plan: terms().program, verdicts: Vec::new() });
        let mut writer = LogWriter::new(key(COORDINATOR));
        let before = [LogMessage::RosterProposed(RosterProposed { roster: roster.clone() }), keys];
        let entries = before.into_iter().chain(log).map(|message| Bytes::from(writer.append(message).to_bytes()));
        let around = Around::default();
        around.0.borrow_mut().streams.insert(Stream::Log, entries.collect());
        let mut table = Self { driver: Self::opened(&around, roster), around, asked: 0 };
        table.driver.start().unwrap();
        table
    }

    fn opened(around: &Around, roster: Roster) -> CoordinatorDriver<Around, Around, Around, Around> {
        let config = CoordinatorConfig { roster, terms: terms(), key: key(COORDINATOR), batch_max: 1 };
        let [store, net, crypto, clock] = [(); 4].map(|()| around.clone());
        CoordinatorDriver::open(config, Outside { store, net, crypto, clock }).unwrap()
    }

    /// The process ends, and another one goes on over the same disk. Jobs of the old one end with it.
    fn restarts(&mut self) -> Result<(), ResumeError> {
        self.around.0.borrow_mut().jobs.clear();
        self.driver = Self::opened(&self.around, self.driver.roster.clone());
        self.driver.start()
    }

    /// In the first round.
    fn training() -> Self {
        let mut table = Self::after([]);
        let opened = CoordinatorNote::RoundOpened(RoundId(1), RoundPurpose::Train);
        assert_eq!(table.driver.take_notes(), [opened]);
        assert_eq!(table.driver.awaited().0, "round 1, collecting updates");
        table
    }

    /// In the first round, with all updates here and being inspected.
    fn inspecting() -> Self {
        let mut table = Self::training();
        for number in 1..=3 {
            assert_eq!(table.uploads(number), Ok(()));
        }
        assert_eq!(table.jobs().len(), 3);
        table
    }

    fn inspected(&mut self, id: JobId, job: &CoordinatorJob) {
        let CoordinatorJob::Inspect(Inspection { list, .. }) = job else { unreachable!("{job:?}") };
        self.driver.on(CoordinatorEvent::Done { job: id, result: JobResult::Inspected(*list, true) });
    }

    fn asks(&mut self, number: u16, call: Call) -> Asked {
        self.asked += 1;
        let asked = Asked(self.asked);
        self.driver.on(CoordinatorEvent::Asked { asked, from: party(number), call });
        asked
    }

    fn answer(&self, asked: Asked) -> Option<Result<Answer, Reject>> {
        self.around.0.borrow().answers.get(&asked).cloned()
    }

    fn does(&mut self, number: u16, call: Call) -> Result<Answer, Reject> {
        let asked = self.asks(number, call);
        self.answer(asked).unwrap()
    }

    fn signed(&self, number: u16, body: HospitalMessage) -> SignedMessage {
        let seen = self.driver.writer.heads().seen();
        let sequence = self.asked;
        SignedMessage::sign(&key(number), party(number), Epoch(1), sequence, seen, body)
    }

    fn posts(&mut self, number: u16, body: HospitalMessage) -> Result<(), Reject> {
        let message = Box::new(self.signed(number, body));
        self.does(number, Call::Post(message)).map(drop)
    }

    fn puts(&mut self, number: u16, id: BlobId, body: &Bytes) -> Result<(), Reject> {
        self.does(number, Call::Put { id, body: body.clone() }).map(drop)
    }

    fn update(number: u16) -> (BlobId, Bytes) {
        let id = BlobId::round(BlobKind::UpdateChunk, RoundId(1), Attempt::FIRST, Some(party(number)), 0);
        (id, Bytes::from(format!("update of {number}")))
    }

    fn head(number: u16) -> HospitalMessage {
        HospitalMessage::UpdateHead(UpdateHead {
            round: RoundId(1),
            attempt: Attempt::FIRST,
            purpose: RoundPurpose::Train,
            base_model: terms().initial_model,
            terms: terms().digest(),
            body: root_of(&[Self::update(number).1]),
        })
    }

    fn uploads(&mut self, number: u16) -> Result<(), Reject> {
        let (id, body) = Self::update(number);
        self.posts(number, Self::head(number))?;
        self.puts(number, id, &body)
    }

    fn polls(&mut self, number: u16, next: u64) -> Asked {
        self.asks(number, Call::Poll { next, doing: Doing::Idle })
    }

    fn passes(&mut self, ms: u64) {
        self.around.0.borrow_mut().now_ms += ms;
        self.driver.on(CoordinatorEvent::Wake);
    }

    fn disk(&self, is_full: bool) {
        self.around.0.borrow_mut().is_full = is_full;
    }

    fn jobs(&self) -> Vec<(JobId, CoordinatorJob)> {
        self.around.0.borrow().jobs.clone()
    }

    fn log(&self) -> Vec<LogMessage> {
        let entries = self.driver.entries().iter();
        entries.map(|bytes| LogEntry::from_bytes(bytes).unwrap().message).collect()
    }

    /// Records of what the phase under way was told.
    fn told(&self) -> usize {
        let stream = Stream::Inbox(self.driver.phase_number);
        self.around.0.borrow().streams.get(&stream).map_or(0, Vec::len)
    }
}

#[test]
fn whoever_is_awaited_is_shown_with_what_it_does_and_whoever_left_is_not_live() {
    let mut table = Table::training();
    table.asks(2, Call::Poll { next: 0, doing: Doing::Working { done: 3, of: 9 } });
    let (step, awaited) = table.driver.awaited();
    assert_eq!(step, "round 1, collecting updates");
    let working = Doing::Working { done: 3, of: 9 };
    assert_eq!(
        awaited.iter().map(|(party, doing, _)| (party.number(), *doing)).collect::<Vec<_>>(),
        [(1, Doing::Idle), (2, working), (3, Doing::Idle)]
    );
    assert_eq!(table.driver.live().numbers(), [1, 2, 3]);
    table.driver.on(CoordinatorEvent::PutOut(party(3)));
    assert_eq!(table.driver.live().numbers(), [1, 2]);
    assert_eq!(table.driver.awaited().1.len(), 2);
    assert!(table.driver.take_notes().contains(&CoordinatorNote::Lapsed(party(3))));
}

#[test]
fn a_moment_that_a_machine_asked_for_is_told_to_it_once() {
    let mut table = Table::inspecting();
    let before = table.told();
    table.passes(DEADLINE_MS - 1);
    assert_eq!(table.told(), before, "not before it comes");
    table.passes(1);
    assert_eq!(table.told(), before + 1);
    table.passes(1);
    assert_eq!(table.told(), before + 1);
    assert_eq!(table.driver.awaited().0, "round 1, collecting updates", "all came in time");
}

#[test]
fn a_job_that_the_disk_kept_from_ending_is_begun_again_with_the_next_tick() {
    let mut table = Table::inspecting();
    let (id, job) = table.jobs()[0].clone();
    table.driver.on(CoordinatorEvent::Done { job: id, result: JobResult::Again });
    assert_eq!(table.jobs().len(), 3);
    table.passes(1);
    let (again, same) = table.jobs()[3].clone();
    assert_eq!(same, job);
    assert_ne!(again, id);
    // Of the first nobody hears any more.
    let CoordinatorJob::Inspect(Inspection { list, .. }) = job else { unreachable!("{job:?}") };
    let before = table.told();
    table.driver.on(CoordinatorEvent::Done { job: id, result: JobResult::Inspected(list, false) });
    assert_eq!(table.told(), before);
    table.driver.on(CoordinatorEvent::Done { job: again, result: JobResult::Inspected(list, true) });
    assert_eq!(table.told(), before + 1);
}

#[test]
fn a_list_that_could_not_be_read_when_its_last_body_came_is_looked_at_again() {
    let mut table = Table::training();
    assert_eq!(table.posts(1, Table::head(1)), Ok(()));
    let (id, body) = Table::update(1);
    table.around.0.borrow_mut().is_unreadable = true;
    assert_eq!(table.puts(1, id, &body), Ok(()), "it is stored");
    assert_eq!(table.jobs(), []);
    table.around.0.borrow_mut().is_unreadable = false;
    table.passes(1);
    assert_eq!(table.jobs().len(), 1);
    assert!(table.driver.take_notes().iter().any(|note| matches!(note, CoordinatorNote::StoreFault(_))));
}

#[test]
fn on_a_full_disk_nothing_is_taken_and_nothing_that_was_decided_is_lost() {
    let mut table = Table::training();
    assert!(table.driver.is_settled() && table.driver.is_full().is_none());
    table.disk(true);
    assert_eq!(table.uploads(1), Err(Reject::Storage));
    assert!(table.driver.is_full().is_some());
    assert!(table.driver.is_settled(), "who sent it sends it again");
    // What nobody sends again waits for the disk: an order that is to stand in the log, a hospital that is lost.
    let order = Order { kind: crate::campaign::OrderKind::Pause };
    table.driver.on(CoordinatorEvent::Order(order.kind));
    assert!(!table.driver.is_settled());
    let entries = table.log().len();
    table.disk(false);
    assert_eq!(table.uploads(1), Err(Reject::Storage), "first what was decided");
    assert_eq!(table.log()[entries..], [LogMessage::Order(order)]);
    assert!(table.driver.is_settled() && table.driver.is_full().is_none());
    assert_eq!(table.uploads(1), Ok(()));
    table.disk(true);
    let told = table.told();
    table.driver.on(CoordinatorEvent::PutOut(party(3)));
    assert!(!table.driver.is_settled());
    table.disk(false);
    assert_eq!(table.uploads(2), Err(Reject::Storage));
    assert_eq!(table.told(), told + 1, "that it is lost");
    assert_eq!(table.uploads(2), Ok(()));
}

#[test]
fn whoever_ends_it_is_quoted_as_far_as_a_sentence_may_be_long() {
    for reason in ["over".to_owned(), "é".repeat(200), format!("a{}", "é".repeat(200))] {
        let mut table = Table::training();
        assert!(!table.driver.has_stopped());
        table.driver.on(CoordinatorEvent::End { reason: reason.clone() });
        assert!(table.driver.has_stopped());
        let mut longest = String::new();
        for letter in reason.chars() {
            if longest.len() + letter.len_utf8() <= crate::limits::REASON_BYTES_MAX {
                longest.push(letter);
            }
        }
        assert_eq!(table.log().last(), Some(&LogMessage::Stop(Stop { reason: longest })));
        assert_eq!(table.driver.take_notes().last(), Some(&CoordinatorNote::Stopped { releases: 0 }));
    }
}

#[test]
fn after_the_end_the_last_entries_are_read_and_nothing_else_happens() {
    let mut table = Table::training();
    table.driver.on(CoordinatorEvent::End { reason: "over".to_owned() });
    let entries = table.log().len();
    let asked = table.polls(1, entries as u64 - 1);
    assert!(matches!(table.answer(asked), Some(Ok(Answer::Entries(read))) if read.len() == 1));
    assert_eq!(table.posts(1, Table::head(1)), Ok(()), "a farewell, as far as anybody can tell");
    let (id, body) = Table::update(1);
    assert_eq!(table.puts(1, id, &body), Err(Reject::Stopping));
    assert!(matches!(table.does(1, Call::Get { id }), Err(Reject::Stopping)));
    assert!(matches!(table.does(1, Call::List { list: ListId::of(&id) }), Err(Reject::Stopping)));
    assert_eq!((table.log().len(), table.around.0.borrow().bodies.len()), (entries, 0));
}

#[test]
fn a_round_without_hospitals_pauses_the_campaign_until_it_is_ordered_to_go_on() {
    let mut table = Table::training();
    for number in [1, 2] {
        table.driver.on(CoordinatorEvent::PutOut(party(number)));
    }
    let reason = VoidReason::QuorumLost { have: 1, need: 2 };
    let paused = PauseReason::Round { round: RoundId(1), reason };
    assert_eq!(table.driver.campaign().paused(), Some(&paused));
    assert_eq!(table.driver.take_notes().last(), Some(&CoordinatorNote::Paused(paused)));
    assert_eq!(table.driver.awaited(), ("waiting for an order".to_owned(), Vec::new()));
    assert_eq!(table.posts(3, Table::head(3)), Err(Reject::OutOfTurn), "there is nothing to say anything of");
    table.polls(1, 0);
    table.polls(2, 0);
    assert_eq!(table.driver.live().numbers(), [1, 2, 3], "they are back");
    table.driver.on(CoordinatorEvent::Order(crate::campaign::OrderKind::Resume));
    assert_eq!(table.driver.awaited().0, "round 2, collecting updates");
}
