//! A coordinator that shows hospitals different logs: what was signed on one of them stands in no other.
//!
//! The twin of every script is the same log with members that sign for it as well: nothing but the head in their
//! signatures tells it from the one that is refused.

use std::collections::BTreeSet;

use protocol::campaign::{Order, OrderKind};
use protocol::codec::Wire;
use protocol::heads::Seen;
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    HospitalMessage, LogMessage, Manifest, RoundClosed, RoundOpen, RoundPurpose, SignedMessage, SumReady,
};
use protocol::{Attempt, Reject, RoundId};

use crate::accomplices::{resign, signed_mut};
use crate::federation::{Federation, digest, heads, key, party, refusals, sent, terms};
use crate::serving::{answered, answers, audit, messages, opened, published, query, requested, result, signed};
use crate::serving_keys::hears;

/// The same messages as a log of their own: what was signed on another one is signed anew.
pub(crate) fn retold<'a>(messages: impl IntoIterator<Item = &'a LogMessage>) -> Vec<LogEntry> {
    let mut writer = LogWriter::new(key(99));
    let mut told = Vec::new();
    for message in messages {
        let mut message = message.clone();
        resign(&mut message, writer.heads(), |party| key(party.number()));
        told.push(writer.append(message));
    }
    told
}

/// A log in which hospitals sign everything that can stand in one.
fn honest() -> Federation {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    federation.say(opened(&head, &[1, 2, 3, 4]));
    federation.say(requested(&head, result(&head), &[1, 2, 3, 4]));
    let done = answered(&head, result(&head), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    answers(&mut federation, done);
    let shares = federation.shared(RoundPurpose::Train, 1);
    let (round, attempt, model) = (RoundId(1), Attempt(1), digest("ours"));
    federation.say(LogMessage::SumReady(SumReady { round, attempt, chunks: vec![digest("sum")], shares }));
    let opened = || HospitalInput::SumOpened { round, attempt, model: Some(model) };
    let votes = (1..=5).flat_map(|number| sent(federation.input(number, opened()))).collect();
    federation.say(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes }));
    federation
}

/// The name of the entry that asks for a message.
fn asked_by(body: &HospitalMessage) -> &'static str {
    match body {
        HospitalMessage::RosterSignature(_) => "RosterProposed",
        HospitalMessage::KeyCommit(_) => "RosterSigned",
        HospitalMessage::KeyReveal(_) => "CommitSet",
        HospitalMessage::DealingsSent(_) => "RevealSet",
        HospitalMessage::DealingsDigest(_) => "DealingsReady",
        HospitalMessage::DealingCheck(_) => "KeyEpochOpen",
        HospitalMessage::ServingShareHead(_) => "ServingStepOpen",
        HospitalMessage::KeyVerdict(_) => "ServingStepDone",
        HospitalMessage::UpdateHead(_) => "RoundOpen",
        HospitalMessage::ManifestSignature(_) => "Manifest",
        HospitalMessage::Acceptance(_) => "Decryptors",
        HospitalMessage::ShareHead(_) => "ShareRequest",
        HospitalMessage::SwitchShareHead(_) => "SwitchRequest",
        HospitalMessage::ModelVote(_) => "SumReady",
        HospitalMessage::PublishHead(_) => "PublishOpen",
        HospitalMessage::ModelVerdict(_) | HospitalMessage::QueryHead(_) => "ModelPublished",
        other => unreachable!("{other:?} stands in no log"),
    }
}

/// How far a log was read when `message`, in its entry `at`, was asked for: up to the newest entry that asks for such.
fn asked(log: &[LogEntry], at: usize, message: &SignedMessage) -> Seen {
    let asks = |entry: &&LogEntry| {
        let name = format!("{:?}", entry.message);
        name.split(['(', ' ']).next() == Some(asked_by(&message.body))
    };
    let entry = log[..at].iter().rev().find(asks).unwrap();
    Seen { entries: entry.index + 1, head: entry.digest() }
}

/// Where a member signs something in `log`: the entry, the place in it, and what it signs.
fn signatures(log: &[LogEntry]) -> Vec<(usize, usize, SignedMessage)> {
    let of = |(at, entry): (usize, &LogEntry)| {
        let all = entry.message.signed().iter().cloned().enumerate();
        all.map(|(place, signed)| (at, place, signed)).collect::<Vec<_>>()
    };
    log.iter().enumerate().flat_map(of).collect()
}

/// What hospital 1 and an audit say to a log up to entry `at`, where a member has signed having seen something else.
fn judged(log: &[LogMessage], (at, place): (usize, usize), seen: Seen) -> (Vec<Reject>, bool, Option<(u64, Reject)>) {
    let mut log = log[..=at].to_vec();
    let signed = &mut signed_mut(&mut log[at])[place];
    let SignedMessage { author, epoch, sequence, body, .. } = signed.clone();
    *signed = SignedMessage::sign(&key(author.number()), author, epoch, sequence, seen, body);
    let outputs = hears(&log);
    let stops = matches!(outputs[at].last(), Some(HospitalOutput::Stop { .. }));
    (refusals(&outputs), stops, audit(&log).err())
}

#[test]
fn every_message_names_the_head_that_asked_for_it() {
    let federation = honest();
    let mut kinds = BTreeSet::new();
    for (at, _, signed) in signatures(&federation.log) {
        assert_eq!(signed.seen, asked(&federation.log, at, &signed), "{signed:?}");
        kinds.insert(signed.body.to_bytes()[0]);
    }
    // All but a greeting, a switch share's head, a refusal and a farewell, which stand in no entry.
    assert!(kinds.into_iter().eq((2..=15).chain(18..=19).chain([24])));
    assert_eq!(audit(&messages(&federation)), Ok(()));
    assert_eq!(refusals(&hears(&messages(&federation))), []);
}

#[test]
fn what_was_signed_on_another_log_is_refused_wherever_it_appears() {
    let federation = honest();
    let log = messages(&federation);
    // The coordinator showed its author this log, but for one entry that says nothing.
    let nothing = LogMessage::Order(Order { kind: OrderKind::Pause });
    let forked = retold(std::iter::once(&nothing).chain(&log));
    let others = signatures(&federation.log).into_iter().filter(|(_, _, signed)| signed.author == party(2));
    let mut found = 0;
    for (at, place, signed) in others {
        let entries = signed.seen.entries;
        let seen = Seen { entries, head: forked[usize::try_from(entries).unwrap() - 1].digest() };
        let expected = (vec![Reject::LogForked], true, Some((at as u64, Reject::LogForked)));
        assert_eq!(judged(&log, (at, place), seen), expected, "{signed:?}");
        assert_eq!(judged(&log, (at, place), signed.seen), (vec![], false, None), "the twin: {signed:?}");
        found += 1;
    }
    // One of each kind, of the serving shares one for each key, and a query twice.
    assert!(found >= 20, "{found}");
}

#[test]
fn what_was_signed_before_it_was_asked_for_is_refused() {
    let federation = honest();
    let log = messages(&federation);
    for (at, place, signed) in signatures(&federation.log).into_iter().filter(|it| it.2.author == party(2)) {
        let entries = signed.seen.entries - 1;
        let head =
            entries.checked_sub(1).map_or(Seen::nothing().head, |newest| federation.log[newest as usize].digest());
        let (said, stops, audited) = judged(&log, (at, place), Seen { entries, head });
        assert_eq!((said, stops), (vec![Reject::LogForked], true), "{signed:?}");
        assert_eq!(audited, Some((at as u64, Reject::LogForked)), "{signed:?}");
        // Whoever read further, up to the entry before, signs for this log as well.
        let read = Seen { entries: at as u64, head: federation.log[at - 1].digest() };
        let is_repeat = matches!(log[at], LogMessage::SwitchRequest(_));
        assert!(is_repeat || judged(&log, (at, place), read) == (vec![], false, None), "{signed:?}");
        // And nobody has read the entry that it stands in.
        let ahead = Seen { entries: at as u64 + 1, head: federation.log[at].digest() };
        assert_eq!(judged(&log, (at, place), ahead).0, [Reject::LogForked], "{signed:?}");
    }
}

/// Neither hospital 2, which was shown another order, nor the others can know before one signs and the others read it.
#[test]
fn a_fork_shown_to_one_hospital_ends_with_the_next_round() {
    let mut federation = Federation::new();
    let mut alone = LogWriter::new(key(99));
    assert!(federation.log.iter().all(|entry| alone.follow(entry)));
    let order = |kind| LogMessage::Order(Order { kind });
    let lie = alone.append(order(OrderKind::Resume));
    assert_eq!(federation.input(2, HospitalInput::Entry(lie)), []);
    federation.say(order(OrderKind::Pause));
    let (base_model, terms) = (digest("model 0"), terms().digest());
    let open = RoundOpen { round: RoundId(1), purpose: RoundPurpose::Train, base_model, terms };
    let open = LogMessage::RoundOpen(open);
    let shown = federation.input(2, HospitalInput::Entry(alone.append(open.clone())));
    let mut opened = federation.say(open);
    assert_eq!(opened[1], [], "it has read an entry of this number");
    opened[1] = shown;
    let heads = heads(opened, 1, &[1, 2, 3, 4, 5]);
    assert_eq!((heads.len(), alone.heads().check(&heads[1])), (5, Ok(())), "on its own log nothing is wrong");
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads };
    let outputs = federation.say(LogMessage::Manifest(manifest));
    assert_eq!(refusals(&outputs), [Reject::LogForked; 5]);
    assert!(outputs.iter().all(|outputs| matches!(outputs.last(), Some(HospitalOutput::Stop { .. }))));
}
