//! One driver whose store, line, processor and clock are in memory, told what its machine would decide.

mod asking;
mod sending;
mod working;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::*;
use crate::blob::BodyRoot;
use crate::drive::{JobId, ListId};
use crate::facts::{Adopted, CeremonyNonce};
use crate::heads::Seen;
use crate::ids::{Attempt, Epoch, RoundId};
use crate::limits::SEALING_KEY_BYTES;
use crate::message::{Hello, HospitalMessage, SignedMessage, VoidReason};
use crate::party_set::PartySet;
use crate::sealed::SealingKey;
use crate::terms::Terms;

/// What is around the driver.
#[derive(Default)]
struct Around {
    now_ms: u64,
    records: Vec<(Stream, Bytes)>,
    bodies: BTreeMap<BlobId, Bytes>,
    calls: Vec<(CallId, Call)>,
    jobs: VecDeque<(JobId, HospitalJob)>,
}

/// All four ends of it.
#[derive(Clone)]
struct End(Rc<RefCell<Around>>);

impl Store for End {
    fn append(&mut self, stream: Stream, record: &[u8]) -> Result<u64, StoreFault> {
        let records = &mut self.0.borrow_mut().records;
        records.push((stream, Bytes::copy_from_slice(record)));
        Ok(records.iter().filter(|(of, _)| *of == stream).count() as u64 - 1)
    }

    fn read(&self, stream: Stream) -> Result<Vec<Bytes>, StoreFault> {
        let around = self.0.borrow();
        Ok(around.records.iter().filter(|(of, _)| *of == stream).map(|(_, record)| record.clone()).collect())
    }

    fn clear(&mut self, stream: Stream) -> Result<(), StoreFault> {
        self.0.borrow_mut().records.retain(|(of, _)| *of != stream);
        Ok(())
    }

    fn put(&mut self, id: &BlobId, body: &Bytes) -> Result<Digest, StoreFault> {
        self.0.borrow_mut().bodies.insert(*id, body.clone());
        Ok(Digest::of_bytes(body))
    }

    fn get(&self, id: &BlobId) -> Result<Bytes, StoreFault> {
        self.0.borrow().bodies.get(id).cloned().ok_or(StoreFault::Missing { id: *id })
    }

    fn digests(&self, list: ListId) -> Result<Vec<Digest>, StoreFault> {
        let around = self.0.borrow();
        let of_list = around.bodies.iter().filter(|(id, _)| ListId::of(id) == list);
        Ok(of_list.map(|(_, body)| Digest::of_bytes(body)).collect())
    }

    fn root(&self, list: ListId) -> Result<BodyRoot, StoreFault> {
        let around = self.0.borrow();
        let of_list = around.bodies.iter().filter(|(id, _)| ListId::of(id) == list);
        let size_bytes = of_list.map(|(_, body)| body.len() as u64).sum();
        Ok(BodyRoot::of(&self.digests(list)?, size_bytes))
    }

    fn forget(&mut self, list: ListId) -> Result<(), StoreFault> {
        self.0.borrow_mut().bodies.retain(|id, _| ListId::of(id) != list);
        Ok(())
    }
}

impl HospitalNet for End {
    fn call(&mut self, id: CallId, call: Call) {
        self.0.borrow_mut().calls.push((id, call));
    }
}

impl Crypto for End {
    type Job = HospitalJob;
    fn start(&mut self, id: JobId, job: HospitalJob) {
        self.0.borrow_mut().jobs.push_back((id, job));
    }
}

impl Clock for End {
    fn now_ms(&self) -> u64 {
        self.0.borrow().now_ms
    }
    fn wake_at(&mut self, _: u64) {}
}

/// Hospital 1, which is told of the calls it makes, but answered none by itself.
struct Site {
    driver: HospitalDriver<End, End, End, End>,
    around: Rc<RefCell<Around>>,
}

const ANSWER_WITHIN_MS: u64 = 5_000;

impl Site {
    fn open() -> Self {
        let key = key();
        let config = HospitalConfig {
            party: party(1),
            epoch: Epoch(1),
            coordinator: key.verifying_key(),
            membership: Digest([1; 32]),
            sealing: SealingKey::from_bytes(&[1; SEALING_KEY_BYTES]).unwrap(),
            tls_key: Digest([2; 32]),
            terms: Terms::from_bytes(&[0; Terms::BYTES_MIN]).unwrap(),
            earlier: Vec::new(),
        };
        let around = Rc::<RefCell<Around>>::default();
        let end = End(Rc::clone(&around));
        let outside = Outside { store: end.clone(), net: end.clone(), crypto: end.clone(), clock: end };
        let driver = HospitalDriver::open(config, key, [7; 32], ANSWER_WITHIN_MS, outside).unwrap();
        Self { driver, around }
    }

    /// What follows where the machine decides this.
    fn decide(&mut self, outputs: impl IntoIterator<Item = HospitalOutput>) {
        self.driver.outputs.extend(outputs);
        self.on(HospitalEvent::Wake);
    }

    fn on(&mut self, event: HospitalEvent) {
        self.driver.on(event, Doing::Idle).unwrap();
    }

    fn answer(&mut self, call: CallId, answer: Result<Answer, Reject>) {
        self.on(HospitalEvent::Answered { call, answer });
    }

    fn wait(&mut self, ms: u64) {
        self.around.borrow_mut().now_ms += ms;
        self.on(HospitalEvent::Wake);
    }

    /// The calls made since, but for the log.
    fn calls(&self) -> Vec<(CallId, Call)> {
        let calls = &mut self.around.borrow_mut().calls;
        calls.extract_if(.., |(_, call)| !matches!(call, Call::Poll { .. })).collect()
    }

    /// The job under way ends like this.
    fn end_job(&mut self, done: HospitalDone) -> HospitalJob {
        let (job, what) = self.around.borrow_mut().jobs.pop_front().unwrap();
        self.on(HospitalEvent::Done { job, done });
        what
    }

    /// All jobs that can be done, which come to nothing that the machine has to know.
    fn jobs(&mut self) -> Vec<HospitalJob> {
        let mut ended = Vec::new();
        while !self.around.borrow().jobs.is_empty() {
            ended.push(self.end_job(HospitalDone::Nothing));
        }
        ended
    }

    fn was_told(&mut self, note: &HospitalNote) -> bool {
        self.driver.take_notes().contains(note)
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[5; 32]).unwrap()
}

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn sent(body: HospitalMessage) -> HospitalOutput {
    let seen = Seen { entries: 0, head: Digest([0; 32]) };
    HospitalOutput::Send(SignedMessage::sign(&key(), party(1), Epoch(1), 0, seen, body))
}

fn hello() -> HospitalOutput {
    sent(HospitalMessage::Hello(Hello { version: crate::VERSION, next_entry: 0 }))
}

fn train(round: u32) -> HospitalOutput {
    HospitalOutput::Train { round: RoundId(round), purpose: RoundPurpose::Train, base_model: Digest([3; 32]) }
}

fn drop_round(round: u32) -> HospitalOutput {
    HospitalOutput::DropRound { round: RoundId(round), reason: VoidReason::CohortTooSmall { have: 1, need: 2 } }
}

fn encrypt_publish() -> HospitalOutput {
    let [model, program] = [Digest([3; 32]), Digest([4; 32])];
    HospitalOutput::EncryptPublish { attempt: Attempt(1), model, program, cohort: PartySet::default() }
}

fn model_ready() -> HospitalOutput {
    HospitalOutput::ModelReady { model: Digest([3; 32]), program: Digest([4; 32]) }
}

#[test]
fn only_what_is_secret_until_it_is_revealed_is_stored_sealed() {
    let mut site = Site::open();
    let nonce = Fact::Nonce(CeremonyNonce { bytes: [3; 32] });
    let adopted = Fact::Adopted(Adopted { round: RoundId(1), model: Digest([4; 32]) });
    let expected = [(Stream::SealedFacts, nonce.to_bytes().into()), (Stream::Facts, adopted.to_bytes().into())];
    site.decide([HospitalOutput::Persist(nonce), HospitalOutput::Persist(adopted)]);
    assert_eq!(site.around.borrow().records, expected);
}

#[test]
fn of_the_jobs_that_wait_for_the_hours_the_newest_of_each_kind_is_begun() {
    let mut site = Site::open();
    site.driver.train_in(Some(60));
    site.decide([train(1), train(2), encrypt_publish()]);
    assert!(site.jobs().is_empty(), "not now");
    site.driver.train_in(None);
    site.on(HospitalEvent::Wake);
    let jobs = site.jobs();
    let expected = matches!(jobs[..], [HospitalJob::Train { round: RoundId(2) }, HospitalJob::EncryptPublish { .. }]);
    assert!(expected, "{jobs:?}");
}

#[test]
fn whoever_watches_is_told_that_no_job_waits_for_the_hours_any_more_when_the_last_is_of_no_use() {
    let mut site = Site::open();
    let nothing_waits = HospitalNote::HeldBack { seconds: None };
    site.decide([drop_round(1)]);
    assert!(!site.was_told(&nothing_waits), "nothing waited");
    site.driver.train_in(Some(60));
    site.decide([train(2), encrypt_publish()]);
    site.decide([drop_round(2)]);
    assert!(!site.was_told(&nothing_waits), "one still waits");
    site.decide([model_ready()]);
    assert!(site.was_told(&nothing_waits));
}
