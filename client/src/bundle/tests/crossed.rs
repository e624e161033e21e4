//! What journal, log and book say of the same thing.

use std::collections::{BTreeMap, BTreeSet};

use protocol::blob::BodyRoot;
use protocol::ids::{Attempt, QueryId, RoundId};
use protocol::message::{KeyStep, QueryHead, ServingShareHead, ShareHead};

use super::*;
use crate::bundle::book::Book;
use crate::bundle::inspect::{ReadLog, not_written_down, things};
use crate::hospital::Object;

/// A head of a share of a serving key.
fn share(step: KeyStep, number: u8, bytes: u64) -> HospitalMessage {
    let body = BodyRoot::of(&[Digest([number; 32])], bytes);
    HospitalMessage::ServingShareHead(ServingShareHead { step, body })
}

fn of(body: HospitalMessage) -> SignedMessage {
    sign(2, 1, Head::nothing(), body)
}

fn book(lines: &[(&str, &str, u64)]) -> Book {
    let sent = |(what, detail, bytes): &(&str, &str, u64)| {
        let (what, detail) = ((*what).to_owned(), (*detail).to_owned());
        format!("{}\n", Sent { at_s: 0, epoch: 4, what, detail, bytes: *bytes })
    };
    let text: String = lines.iter().map(sent).collect();
    Book::read(&mut text.as_bytes()).unwrap()
}

fn log(own: Vec<SignedMessage>, steps: &[KeyStep], asked: &[u64]) -> ReadLog {
    let asked: BTreeSet<QueryId> = asked.iter().map(|number| QueryId(*number)).collect();
    ReadLog { own, steps: steps.iter().copied().collect(), asked, answers: BTreeMap::new(), ..ReadLog::default() }
}

fn shares(attempt: u32, bytes: u64) -> HospitalMessage {
    let body = BodyRoot::of(&[Digest([5; 32])], bytes);
    let (round, attempt) = (RoundId(3), Attempt(attempt));
    HospitalMessage::ShareHead(ShareHead { round, attempt, binding: Digest::default(), body })
}

fn question(query: u64, bytes: u64) -> HospitalMessage {
    let body = BodyRoot::of(&[Digest([6; 32])], bytes);
    HospitalMessage::QueryHead(Box::new(QueryHead {
        query: QueryId(query),
        body,
        model: Digest::default(),
        program: Digest::default(),
    }))
}

#[test]
fn a_thing_that_two_places_name_otherwise_is_named() {
    let own = [of(share(KeyStep::Gate, 1, 10)), of(share(KeyStep::Galois, 2, 10)), of(shares(1, 9))];
    let seen =
        log(vec![of(share(KeyStep::Gate, 1, 10)), of(share(KeyStep::Galois, 3, 10)), of(shares(2, 9))], &[], &[]);
    let mut findings = Vec::new();
    let found: Vec<_> =
        things(&own, &seen, &mut findings).into_iter().map(|it| (it.object, it.is_in_journal, it.is_in_log)).collect();
    let attempt = |number| Object::Shares(RoundId(3), Attempt(number));
    assert_eq!(
        found,
        [
            (Object::KeyShare(KeyStep::Gate), true, true),
            (Object::KeyShare(KeyStep::Galois), true, false),
            (attempt(1), true, false),
            (attempt(2), false, true)
        ]
    );
    let differs = Finding::Differs { object: Object::KeyShare(KeyStep::Galois) };
    assert_eq!(findings, [differs, Finding::NotInJournal { object: attempt(2) }]);
}

#[test]
fn what_others_used_was_written_down_before_it_was_sent() {
    let own = || {
        vec![
            of(share(KeyStep::Gate, 1, 100)),
            of(share(KeyStep::Galois, 2, 200)),
            of(shares(1, 90)),
            of(question(7, 50)),
        ]
    };
    let key = "share of a public key";
    let whole = [
        (key, "round 0 attempt 0 part 0", 120),
        (key, "round 0 attempt 0 part 0", 210),
        ("decryption share of a sum", "round 3 attempt 1 part 0", 60),
        ("decryption share of a sum", "round 3 attempt 1 part 1", 40),
        ("decryption share of a sum", "round 3 attempt 2 part 0", 90),
        ("encrypted question", "round 7 attempt 0 part 0", 60),
    ];
    let used = log(own(), &[KeyStep::Gate, KeyStep::Galois], &[7]);
    assert_eq!(not_written_down(&used, &book(&whole)), []);
    let short =
        |what, round, attempt, signed, written| Finding::NotWrittenDown { what, round, attempt, signed, written };
    let without = |at: usize| {
        let lines: Vec<_> = whole.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, line)| *line).collect();
        not_written_down(&used, &book(&lines))
    };
    assert_eq!(without(0), [short(key, 0, 0, 300, 210)]);
    assert_eq!(without(2), [short("decryption share of a sum", 3, 1, 90, 40)]);
    assert_eq!(without(4), [], "of an attempt that nobody signed for in the log");
    assert_eq!(without(5), [short("encrypted question", 7, 0, 50, 0)]);
    // Sent twice is not two things.
    let twice = [("decryption share of a sum", "round 3 attempt 1 part 0", 60); 2];
    let one = log(vec![of(shares(1, 90))], &[], &[]);
    assert_eq!(not_written_down(&one, &book(&twice)), [short("decryption share of a sum", 3, 1, 90, 60)]);
    // What never arrived may not have left.
    let unused = log(own(), &[KeyStep::Gate], &[]);
    let gate = [whole[0], whole[2], whole[3]];
    assert_eq!(not_written_down(&unused, &book(&gate)), []);
    // The same head in two entries of the log is one thing.
    let doubled = log(vec![of(shares(1, 90)), of(shares(1, 90))], &[], &[]);
    assert_eq!(not_written_down(&doubled, &book(&whole[2..4])), []);
}

#[test]
fn lines_that_are_none_are_counted_and_none_is_read_without_end() {
    let mut text = "no line\n".repeat(2).into_bytes();
    text.extend(vec![b'x'; 10_000]);
    let book = Book::read(&mut text.as_slice()).unwrap();
    assert_eq!((book.lines, book.unreadable), (0, 5));
}
