//! Serving: what waits while the model is read, what is begun, and what is forgotten.

use super::*;
use crate::hospital::SwitchBinding;
use crate::limits::QUERIES_AUDITED_MAX;
use crate::message::{
    ModelPublished, ModelVerdict, ModelVerified, PublishOpen, QueryDone, QueryFailed, QueryHead, SwitchShareHead,
};

const MODEL: Digest = Digest([5; 32]);

fn ask(number: u16, counter: u64) -> HospitalMessage {
    let body = root_of(&[image()]);
    let query = QueryId::new(party(number), counter);
    HospitalMessage::QueryHead(Box::new(QueryHead { query, program: terms().program, model: MODEL, body }))
}

fn image() -> Bytes {
    Bytes::from_static(b"image")
}

/// A model that these have added up.
fn published(verified: &[u16]) -> Vec<LogMessage> {
    let (attempt, program) = (Attempt::FIRST, terms().program);
    let cohort = [1, 2, 3].map(party).into_iter().collect();
    let verdict =
        |number| signed(number, HospitalMessage::ModelVerdict(ModelVerdict { attempt, model: MODEL, program }));
    vec![
        LogMessage::PublishOpen(PublishOpen { attempt, model: Digest::default(), program, cohort }),
        LogMessage::ModelPublished(ModelPublished { attempt, model: MODEL, program }),
        LogMessage::ModelVerified(ModelVerified { verdicts: verified.iter().copied().map(verdict).collect() }),
    ]
}

impl Table {
    fn loading() -> Self {
        let table = Self::after(published(&[1, 2, 3]));
        assert_eq!(table.driver.awaited().0, "reading keys and model");
        table
    }

    fn loads(&mut self, is_loaded: bool) {
        let job = self.jobs().last().unwrap().0;
        self.driver.on(CoordinatorEvent::Done { job, result: JobResult::Loaded(is_loaded) });
    }

    fn serving() -> Self {
        let mut table = Self::loading();
        table.loads(true);
        assert_eq!(table.driver.awaited().0, "serving");
        table
    }

    /// Asks, and waits for the evaluation; the job's number.
    fn asks_the_model(&mut self, number: u16, counter: u64) -> JobId {
        assert_eq!(self.posts(number, ask(number, counter)), Ok(()));
        let query = QueryId::new(party(number), counter);
        let id = BlobId::query(BlobKind::Query, query, Some(party(number)), 0);
        assert_eq!(self.puts(number, id, &image()), Ok(()));
        let (job, CoordinatorJob::Evaluate(batch)) = self.jobs().last().unwrap().clone() else {
            unreachable!("{:?}", self.jobs())
        };
        assert_eq!(batch.len(), 1);
        job
    }
}

#[test]
fn queries_wait_while_keys_and_model_are_read() {
    let mut table = Table::loading();
    let message = Box::new(table.signed(1, ask(1, 0)));
    assert!(matches!(table.does(2, Call::Post(message.clone())), Err(Reject::BadSignature)));
    let held = table.asks(1, Call::Post(message));
    assert!(table.answer(held).is_none() && table.driver.releases().is_none());
    table.driver.on(CoordinatorEvent::Done { job: JobId(99), result: JobResult::Loaded(true) });
    assert!(table.answer(held).is_none(), "that was another job");
    table.loads(true);
    assert!(matches!(table.answer(held), Some(Ok(Answer::Accepted))));
    assert_eq!(table.driver.releases(), Some(0));
    let notes = table.driver.take_notes();
    assert!(notes.iter().any(|note| matches!(note, CoordinatorNote::Serving(it) if it.digest == MODEL)), "{notes:?}");
}

#[test]
fn a_model_that_cannot_be_read_is_served_to_nobody() {
    let mut table = Table::loading();
    let message = Box::new(table.signed(1, ask(1, 0)));
    let held = table.asks(1, Call::Post(message));
    table.loads(false);
    assert!(matches!(table.answer(held), Some(Err(Reject::UnknownModel))));
    assert!(table.driver.take_notes().contains(&CoordinatorNote::CannotServe));
    assert_eq!(table.driver.awaited().0, "waiting for an order");
}

#[test]
fn no_more_queries_are_held_than_may_queue() {
    let mut table = Table::loading();
    let message = table.signed(1, ask(1, 0));
    for _ in 0..crate::limits::QUERIES_QUEUED_MAX {
        let held = table.asks(1, Call::Post(Box::new(message.clone())));
        assert!(table.answer(held).is_none());
    }
    assert!(matches!(table.does(1, Call::Post(Box::new(message))), Err(Reject::RetryAfter)));
}

#[test]
fn an_answer_that_is_asked_for_counts_as_released() {
    let mut table = Table::serving();
    let job = table.asks_the_model(1, 0);
    let query = QueryId::new(party(1), 0);
    let result = root_of(&[Bytes::from_static(b"result")]);
    table.driver.on(CoordinatorEvent::Done { job, result: JobResult::Evaluated(query, Some(result)) });
    assert!(matches!(table.log().last(), Some(LogMessage::SwitchRequest(it)) if it.head.body == ask(1, 0)));
    assert_eq!(table.driver.releases(), Some(1));
    assert_eq!(table.driver.awaited().1.len(), 2, "of two hospitals a share is awaited");
    table.driver.on(CoordinatorEvent::End { reason: "over".to_owned() });
    assert_eq!(table.driver.take_notes().last(), Some(&CoordinatorNote::Stopped { releases: 1 }));
}

/// Everything that was stored for a query: the image, the result, and the shares of whoever sent one.
fn stored_for(query: QueryId) -> BTreeSet<ListId> {
    let list = |kind, party| ListId { kind, round: query.0, attempt: 0, party };
    let shares = (1..=3).map(|number| list(BlobKind::SwitchShare, Some(party(number))));
    shares.chain([list(BlobKind::QueryResult, None), list(BlobKind::Query, query.asker())]).collect()
}

#[test]
fn of_a_query_that_failed_nothing_is_kept() {
    let mut table = Table::serving();
    let job = table.asks_the_model(1, 0);
    let query = QueryId::new(party(1), 0);
    assert_eq!(table.around.0.borrow().bodies.len(), 1);
    table.driver.on(CoordinatorEvent::Done { job, result: JobResult::Evaluated(query, None) });
    assert!(matches!(table.log().last(), Some(LogMessage::QueryFailed(it)) if it.query == query));
    let forgotten: BTreeSet<ListId> = table.around.0.borrow().forgotten.iter().copied().collect();
    assert!(forgotten.is_superset(&stored_for(query)), "{forgotten:?}");
    assert!(table.around.0.borrow().bodies.is_empty());
}

#[test]
fn what_a_restart_interrupted_fails_and_is_not_released_again() {
    let mut before = Table::serving();
    let job = before.asks_the_model(1, 0);
    let query = QueryId::new(party(1), 0);
    let result = root_of(&[Bytes::from_static(b"result")]);
    before.driver.on(CoordinatorEvent::Done { job, result: JobResult::Evaluated(query, Some(result)) });
    let mut table = Table::after(before.log().split_off(2));
    table.loads(true);
    let failed = QueryFailed { query, reject: Reject::DecryptorLost };
    assert_eq!(table.log().last(), Some(&LogMessage::QueryFailed(failed)));
    assert_eq!(table.driver.releases(), Some(1), "its shares may be out");
    let forgotten: BTreeSet<ListId> = table.around.0.borrow().forgotten.iter().copied().collect();
    assert!(forgotten.is_superset(&stored_for(query)), "{forgotten:?}");
}

/// Who is to decrypt the answer to the newest query.
fn chosen(table: &Table) -> Vec<u16> {
    let of = |message: &LogMessage| match message {
        LogMessage::QueryOpen(it) => Some(it.decryptors.numbers()),
        _ => None,
    };
    table.log().iter().rev().find_map(of).unwrap()
}

#[test]
fn an_image_is_shown_to_its_asker_and_to_those_who_evaluate_it() {
    let mut table = Table::serving();
    table.asks_the_model(1, 0);
    let chosen = chosen(&table);
    let id = BlobId::query(BlobKind::Query, QueryId::new(party(1), 0), Some(party(1)), 0);
    for number in 1..=3 {
        let may = number == 1 || chosen.contains(&number);
        assert_eq!(table.does(number, Call::Get { id }).is_ok(), may, "{number}, of {chosen:?}");
    }
    let other = BlobId { index: 0, ..BlobId::query(BlobKind::Query, QueryId::new(party(1), 1), Some(party(1)), 0) };
    assert_eq!(table.puts(1, other, &image()), Ok(()));
    assert!(matches!(table.does(3, Call::Get { id: other }), Err(Reject::OutOfTurn)), "nobody asked that");
}

#[test]
fn another_question_under_the_number_of_one_contradicts_it() {
    let mut table = Table::serving();
    table.asks_the_model(1, 0);
    let HospitalMessage::QueryHead(mut other) = ask(1, 0) else { unreachable!() };
    other.body = root_of(&[Bytes::from_static(b"another image")]);
    assert_eq!(table.posts(1, HospitalMessage::QueryHead(other)), Err(Reject::Contradiction));
}

#[test]
fn whoever_is_lost_evaluates_nothing_until_it_is_back() {
    for lost in 1..=3 {
        let mut table = Table::serving();
        let others: Vec<u16> = (1..=3).filter(|number| *number != lost).collect();
        table.driver.on(CoordinatorEvent::PutOut(party(lost)));
        let job = table.asks_the_model(others[0], 0);
        assert_eq!(chosen(&table), others);
        let query = QueryId::new(party(others[0]), 0);
        table.driver.on(CoordinatorEvent::Done { job, result: JobResult::Evaluated(query, None) });
        // One comes back and another goes: two are left of three.
        table.polls(lost, 0);
        table.driver.on(CoordinatorEvent::PutOut(party(others[1])));
        table.asks_the_model(others[0], 1);
        assert!(chosen(&table).contains(&lost), "{lost}");
    }
}

#[test]
fn contributions_are_forgotten_once_the_last_hospital_has_added_the_model_up() {
    let mut table = Table::after(published(&[1]));
    table.loads(true);
    let verdict = ModelVerdict { attempt: Attempt::FIRST, model: MODEL, program: terms().program };
    for (number, forgotten) in [(2, 0), (3, 3)] {
        assert_eq!(table.posts(number, HospitalMessage::ModelVerdict(verdict.clone())), Ok(()));
        assert_eq!(table.around.0.borrow().forgotten.len(), forgotten);
    }
    assert!(table.around.0.borrow().forgotten.iter().all(|list| list.kind == BlobKind::PublishChunk));
}

/// Answers a question; the shares are of both who were chosen.
fn answers(table: &mut Table, number: u16, counter: u64) {
    let job = table.asks_the_model(number, counter);
    let query = QueryId::new(party(number), counter);
    let result = root_of(&[Bytes::from_static(b"result")]);
    table.driver.on(CoordinatorEvent::Done { job, result: JobResult::Evaluated(query, Some(result)) });
    let Some(LogMessage::SwitchRequest(request)) = table.log().pop() else { unreachable!() };
    let binding = SwitchBinding::of(Epoch(1), &request).unwrap().digest();
    for member in request.decryptors.iter() {
        let share = Bytes::from_static(b"share");
        let head = SwitchShareHead { query, binding, body: root_of(std::slice::from_ref(&share)) };
        assert_eq!(table.posts(member.number(), HospitalMessage::SwitchShareHead(head)), Ok(()));
        let id = BlobId::query(BlobKind::SwitchShare, query, Some(member), 0);
        assert_eq!(table.puts(member.number(), id, &share), Ok(()));
    }
    assert!(matches!(table.log().last(), Some(LogMessage::QueryDone(done)) if done.query == query));
}

#[test]
fn of_the_newest_answers_ciphertexts_are_kept_for_audits_and_of_older_ones_nothing() {
    let done = |counter: usize| {
        let query = QueryId::new(party(2), counter as u64);
        LogMessage::QueryDone(QueryDone { query, shares: Vec::new() })
    };
    let log = published(&[1, 2, 3]).into_iter().chain((1..QUERIES_AUDITED_MAX).map(done));
    let mut table = Table::after(log);
    table.loads(true);
    answers(&mut table, 1, 0);
    assert_eq!(table.around.0.borrow().forgotten, [], "as many as are kept");
    answers(&mut table, 1, 1);
    let forgotten: BTreeSet<ListId> = table.around.0.borrow().forgotten.iter().copied().collect();
    assert!(forgotten.is_superset(&stored_for(QueryId::new(party(2), 1))), "{forgotten:?}");
    assert!(forgotten.iter().all(|list| list.round == QueryId::new(party(2), 1).0), "and of no other");
    assert!(!table.around.0.borrow().bodies.is_empty());
}
