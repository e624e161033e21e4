//! Who may ask what, and what each call is answered.

use super::*;
use crate::drive::coordinator::desk::{MESSAGES_PER_PHASE_MAX, may_read};
use crate::message::{Hello, Leaving, QueryHead};

fn entries(answer: Option<Result<Answer, Reject>>) -> Option<usize> {
    match answer? {
        Ok(Answer::Entries(entries)) => Some(entries.len()),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_poll_waits_for_an_entry_or_for_an_eighth_of_the_patience() {
    let mut table = Table::training();
    let length = table.log().len() as u64;
    let behind = table.polls(1, length - 1);
    assert_eq!(entries(table.answer(behind)), Some(1));
    let waits = table.polls(1, length);
    table.passes(PATIENCE_MS / 8 - 1);
    assert!(table.answer(waits).is_none());
    table.passes(1);
    assert_eq!(entries(table.answer(waits)), Some(0));
    let waits = table.polls(2, length);
    assert!(table.answer(waits).is_none());
    table.driver.on(CoordinatorEvent::Order(crate::campaign::OrderKind::Pause));
    assert_eq!(entries(table.answer(waits)), Some(1));
}

#[test]
fn whoever_polls_twice_has_the_older_question_answered_empty() {
    let mut table = Table::training();
    let length = table.log().len() as u64;
    let [older, newer] = [table.polls(1, length), table.polls(1, length)];
    assert_eq!(entries(table.answer(older)), Some(0));
    assert!(table.answer(newer).is_none());
}

#[test]
fn a_message_is_its_senders_own_and_of_the_log_that_it_has_read() {
    let mut table = Table::training();
    let message = Box::new(table.signed(1, Table::head(1)));
    assert!(matches!(table.does(2, Call::Post(message.clone())), Err(Reject::BadSignature)));
    let mut forged = message.clone();
    forged.sequence += 1;
    assert!(matches!(table.does(1, Call::Post(forged)), Err(Reject::BadSignature)));
    let mut seen = message.seen;
    seen.head = Digest([7; 32]);
    let other = SignedMessage::sign(&key(1), party(1), Epoch(1), 1, seen, Table::head(1));
    assert!(table.does(1, Call::Post(Box::new(other))).is_err());
    // That it leaves is heard whatever it has read.
    let leaving = HospitalMessage::Leaving(Leaving { reject: Reject::Stopping });
    let other = SignedMessage::sign(&key(1), party(1), Epoch(1), 1, seen, leaving);
    assert!(table.does(1, Call::Post(Box::new(other))).is_ok());
    assert_eq!(table.driver.live().numbers(), [2, 3]);
}

#[test]
fn a_message_that_comes_again_is_taken_once_and_a_greeting_not_at_all() {
    let mut table = Table::training();
    let message = Box::new(table.signed(1, Table::head(1)));
    let before = table.told();
    for _ in 0..2 {
        assert!(table.does(1, Call::Post(message.clone())).is_ok());
        assert_eq!(table.told(), before + 1);
    }
    let hello = HospitalMessage::Hello(Hello { version: crate::VERSION, next_entry: 0 });
    assert_eq!(table.posts(2, hello), Ok(()));
    assert_eq!(table.told(), before + 1);
}

#[test]
fn no_hospital_fills_the_disk_with_messages() {
    let mut table = Table::training();
    table.driver.heard_of.insert(party(1), MESSAGES_PER_PHASE_MAX - 1);
    assert_eq!(table.posts(1, Table::head(1)), Ok(()), "the last that it may send");
    let before = table.told();
    assert_eq!(table.posts(1, Table::head(1)), Err(Reject::LimitExceeded));
    assert_eq!(table.told(), before);
    assert_eq!(table.posts(2, Table::head(2)), Ok(()), "others may");
}

#[test]
fn what_the_machine_refuses_its_sender_hears() {
    let mut table = Table::training();
    let HospitalMessage::UpdateHead(mut head) = Table::head(1) else { unreachable!() };
    head.base_model = Digest([7; 32]);
    assert_eq!(table.posts(1, HospitalMessage::UpdateHead(head)), Err(Reject::BaseModelDiffers));
    assert_eq!(table.posts(1, Table::head(1)), Ok(()));
}

#[test]
fn nothing_is_asked_of_a_model_while_it_is_trained() {
    let mut table = Table::training();
    let body = root_of(&[Bytes::from_static(b"image")]);
    let query = QueryId::new(party(1), 0);
    let head = QueryHead { query, program: terms().program, model: Digest::default(), body };
    assert_eq!(table.posts(1, HospitalMessage::QueryHead(Box::new(head))), Err(Reject::RetryAfter));
}

#[test]
fn a_body_is_its_senders_own_of_a_kind_that_hospitals_make_and_never_changes() {
    let mut table = Table::training();
    let (id, body) = Table::update(1);
    assert_eq!(table.puts(2, id, &body), Err(Reject::OutOfTurn));
    assert_eq!(table.puts(1, BlobId { party: None, ..id }, &body), Err(Reject::OutOfTurn));
    for kind in [BlobKind::SumChunk, BlobKind::QueryResult, BlobKind::RefreshSum] {
        assert_eq!(table.puts(1, BlobId { kind, ..id }, &body), Err(Reject::OutOfTurn), "{kind:?}");
    }
    assert_eq!(table.puts(1, id, &body), Ok(()));
    assert_eq!(table.puts(1, id, &body), Ok(()), "it may come again");
    assert_eq!(table.puts(1, id, &Bytes::from_static(b"another")), Err(Reject::BodyDiffers));
}

/// Of hospital 1's bodies, and of the coordinator's.
#[test]
fn bodies_are_read_by_their_maker_and_by_those_for_whom_they_are_made() {
    let own = |kind| BlobId { kind, round: 0, attempt: 0, party: Some(party(1)), index: 0 };
    for kind in [BlobKind::UpdateChunk, BlobKind::Share, BlobKind::Query] {
        assert!(may_read(&own(kind), party(1)) && !may_read(&own(kind), party(2)), "{kind:?}");
    }
    let of_keys = [
        BlobKind::RelinRoundOne,
        BlobKind::RelinRoundTwo,
        BlobKind::Galois,
        BlobKind::RelinMasks,
        BlobKind::RelinAnswer,
        BlobKind::Gate,
        BlobKind::GateKey,
        BlobKind::Planes,
        BlobKind::PlaneOpening,
    ];
    for kind in of_keys.into_iter().chain([BlobKind::PublishChunk]) {
        assert!(may_read(&own(kind), party(1)) && may_read(&own(kind), party(2)), "{kind:?}: all add them up");
    }
    for kind in [BlobKind::SumChunk, BlobKind::QueryResult] {
        assert!(may_read(&BlobId { party: None, ..own(kind) }, party(2)), "{kind:?}");
    }
    assert!(
        !may_read(&BlobId { party: None, ..own(BlobKind::RefreshSum) }, party(2)),
        "its opener alone, as the log says"
    );
    let dealt = BlobId { index: 2, ..own(BlobKind::Dealing) };
    assert!(may_read(&dealt, party(2)) && !may_read(&dealt, party(3)) && !may_read(&dealt, party(1)));
    let share = BlobId { round: QueryId::new(party(2), 5).0, ..own(BlobKind::SwitchShare) };
    assert!(may_read(&share, party(1)) && may_read(&share, party(2)) && !may_read(&share, party(3)));
}

#[test]
fn nobody_reads_an_update_of_another_before_its_sum_is_announced() {
    let mut table = Table::training();
    let (id, body) = Table::update(1);
    assert_eq!(table.puts(1, id, &body), Ok(()));
    assert!(matches!(table.does(1, Call::Get { id }), Ok(Answer::Body(read)) if read == body));
    assert!(matches!(table.does(2, Call::Get { id }), Err(Reject::OutOfTurn)));
    let list = ListId::of(&id);
    let digest = Digest::of_bytes(&body).0;
    assert!(matches!(table.does(1, Call::List { list }), Ok(Answer::Body(read)) if read[..] == digest));
    assert!(matches!(table.does(2, Call::List { list }), Err(Reject::OutOfTurn)));
    table.driver.shown.learn(&LogMessage::Manifest(crate::message::Manifest {
        round: RoundId(1),
        attempt: Attempt::FIRST,
        heads: vec![table.signed(1, Table::head(1))],
    }));
    let (round, attempt) = (RoundId(1), Attempt::FIRST);
    let sum = crate::message::SumReady { round, attempt, chunks: Vec::new(), shares: Vec::new() };
    table.driver.shown.learn(&LogMessage::SumReady(sum));
    assert!(matches!(table.does(2, Call::Get { id }), Ok(Answer::Body(read)) if read == body));
    // What its maker sent beyond what its head says keeps nobody from reading that.
    assert_eq!(table.puts(1, BlobId { index: 1, ..id }, &body), Ok(()));
    assert!(matches!(table.does(2, Call::List { list }), Ok(Answer::Body(read)) if read[..] == digest));
}
