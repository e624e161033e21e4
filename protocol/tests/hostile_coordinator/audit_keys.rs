//! An audit of the ceremony: every rule, broken once, is found at its entry and by its author.

use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    HospitalMessage, KeyStep, KeysAsked, LogMessage, RosterProposed, RosterSigned, ServingShareHead, SignedMessage,
    Stop,
};
use protocol::roster::Roster;
use protocol::verifier::{Approved, Verifier};
use protocol::{Digest, Epoch, Reject};

use crate::federation::{body, digest, key, key_share, members, party, terms};
use crate::script::{COORDINATOR, audited, by, ceremony, is_found, keys, place, resigned, say};

/// The hospitals' words in an entry.
fn words(message: &mut LogMessage) -> &mut Vec<SignedMessage> {
    match message {
        LogMessage::CommitSet(it) => &mut it.commits,
        LogMessage::RevealSet(it) => &mut it.reveals,
        LogMessage::DealingsReady(it) => &mut it.dealings,
        LogMessage::KeyEpochOpen(it) => &mut it.digests,
        LogMessage::ServingStepHeads(it) => &mut it.heads,
        other => unreachable!("{other:?}"),
    }
}

/// The entries that need a word of all hospitals, in order, with what hospitals call one that is short.
fn of_all(log: &[LogMessage]) -> [(usize, Reject); 5] {
    [
        (place(log, |it| matches!(it, LogMessage::CommitSet(_))), Reject::CommitmentBroken),
        (place(log, |it| matches!(it, LogMessage::RevealSet(_))), Reject::CommitmentBroken),
        (place(log, |it| matches!(it, LogMessage::DealingsReady(_))), Reject::BadDealing),
        (place(log, |it| matches!(it, LogMessage::KeyEpochOpen(_))), Reject::DealingsDisagree),
        (place(log, |it| matches!(it, LogMessage::ServingStepHeads(_))), Reject::CommitmentBroken),
    ]
}

/// The entries of a log, with one altered after it was signed.
fn entries(log: &[LogMessage], change: impl FnOnce(&mut Vec<LogEntry>)) -> Result<(), (u64, Reject)> {
    let (mut writer, mut verifier) = (LogWriter::new(key(99)), Verifier::new(key(99).verifying_key()));
    let mut entries: Vec<LogEntry> = log.iter().map(|message| writer.append(message.clone())).collect();
    change(&mut entries);
    let found = entries.iter().try_for_each(|entry| verifier.check(entry));
    found.map_err(|error| {
        assert_eq!(error.author, COORDINATOR, "nobody else writes entries");
        (error.index, error.reject)
    })
}

#[test]
fn a_chain_that_breaks_doubles_forks_or_is_signed_by_another_is_found() {
    let log = ceremony();
    assert_eq!(entries(&log, |_| ()), Ok(()));
    assert_eq!(entries(&log, |it| drop(it.remove(2))), Err((3, Reject::LogGap)));
    assert_eq!(entries(&log, |it| it.insert(2, it[1].clone())), Err((1, Reject::LogForked)), "read before");
    assert_eq!(entries(&log, |it| it[2].previous = digest("another past")), Err((2, Reject::LogForked)));
    let foreign = |it: &mut Vec<LogEntry>| {
        let mut other = LogWriter::new(key(98));
        assert!(it[..2].iter().all(|entry| other.follow(entry)));
        it[2] = other.next(it[2].message.clone());
    };
    assert_eq!(entries(&log, foreign), Err((2, Reject::BadSignature)));
}

#[test]
fn nothing_stands_before_a_roster_that_all_signed() {
    let log = ceremony();
    let [LogMessage::RosterProposed(proposed), LogMessage::RosterSigned(_), ..] = &log[..] else {
        unreachable!("{log:?}")
    };
    let stop = || LogMessage::Stop(Stop { reason: "it ends".to_owned() });
    let found = |log: &[LogMessage]| audited(log, None);
    assert_eq!(found(&log[1..]), Err((0, COORDINATOR, Reject::OutOfTurn)));
    assert_eq!(found(&[log[0].clone(), log[2].clone()]), Err((1, COORDINATOR, Reject::OutOfTurn)));
    assert_eq!(found(&[log[0].clone(), stop()]), Ok(()), "whoever does not sign ends it");
    assert_eq!(found(&[log[0].clone(), log[0].clone()]), Err((1, COORDINATOR, Reject::Contradiction)));
    let other = |coordinator: u16, parameters: &str, members| {
        let coordinator = key(coordinator).verifying_key();
        let roster = Roster::new(Epoch(1), 4, digest(parameters), coordinator, members).unwrap();
        [LogMessage::RosterProposed(RosterProposed { roster })]
    };
    let wrong = Err((0, COORDINATOR, Reject::RosterWrong));
    assert_eq!(found(&other(98, "parameters", members())), wrong);
    assert_eq!(audited(&other(99, "parameters", members()), Some(&terms())), Ok(()));
    assert_eq!(audited(&other(99, "other parameters", members()), Some(&terms())), wrong);
    let mut renamed = members();
    renamed[4].name = "hospital 9".to_owned();
    assert_eq!(audited(&other(99, "parameters", renamed.clone()), Some(&terms())), wrong);
    // Whoever has no membership to compare with takes any.
    let mut writer = LogWriter::new(key(99));
    let approved = Approved { terms: terms(), membership: None };
    let mut verifier = Verifier::new(key(99).verifying_key()).approving(approved);
    assert!(verifier.check(&writer.append(other(99, "parameters", renamed)[0].clone())).is_ok());
    // Of another roster nobody's signature counts.
    let signed = |roster: Digest, numbers: std::ops::RangeInclusive<u16>| {
        let signature = HospitalMessage::RosterSignature(protocol::message::RosterSignature { roster });
        let signatures = numbers.map(|number| say(number, signature.clone())).collect();
        [log[0].clone(), LogMessage::RosterSigned(RosterSigned { signatures })]
    };
    let own = proposed.roster.digest();
    assert_eq!(found(&signed(own, 1..=5)), Ok(()));
    assert_eq!(found(&signed(own, 1..=4)), Err((1, COORDINATOR, Reject::TooFewSignatures)));
    assert_eq!(found(&signed(digest("another"), 1..=5)), Err((1, COORDINATOR, Reject::Contradiction)));
}

#[test]
fn words_that_are_forged_strangers_or_of_another_epoch_are_found_wherever_they_stand() {
    let log = keys();
    for (at, _) in of_all(&log) {
        is_found(&log, at, |it| words(it)[2].sequence += 1, (COORDINATOR, Reject::BadSignature));
        is_found(&log, at, |it| words(it)[2].author = party(9), (COORDINATOR, Reject::UnknownParty));
        let of_two = |it: &mut LogMessage| {
            let message = &mut words(it)[2];
            *message = SignedMessage::sign(&key(3), party(3), Epoch(2), 9, message.seen, message.body.clone());
        };
        is_found(&log, at, of_two, (COORDINATOR, Reject::WrongEpoch));
    }
}

#[test]
fn a_step_of_all_lacks_nobody_and_has_nobody_twice_and_nothing_else_in_it() {
    let log = keys();
    for (at, incomplete) in of_all(&log) {
        is_found(&log, at, |it| drop(words(it).pop()), (COORDINATOR, incomplete));
        is_found(&log, at, |it| words(it).swap(1, 2), (COORDINATOR, incomplete));
        is_found(&log, at, |it| words(it)[3] = words(it)[2].clone(), (COORDINATOR, Reject::Contradiction));
        let leaving = HospitalMessage::Leaving(protocol::message::Leaving { reject: Reject::Stopping });
        is_found(&log, at, |it| words(it)[1] = say(2, leaving), (COORDINATOR, Reject::Contradiction));
    }
}

#[test]
fn no_step_comes_before_the_one_that_it_follows() {
    let log = keys();
    let steps = of_all(&log);
    for pair in steps.windows(2) {
        let (before, (at, _)) = (pair[0].0, pair[1]);
        let short = [&log[..before], &log[before + 1..=at]].concat();
        // Without an open epoch it is the check of dealings that comes too early.
        let index = if at == steps[4].0 { before } else { at - 1 };
        assert_eq!(audited(&short, None), Err((index as u64, COORDINATOR, Reject::OutOfTurn)), "{:?}", log[at]);
    }
    let open = place(&log, |it| matches!(it, LogMessage::KeyEpochOpen(_)));
    let short = [&log[..open], &log[open + 2..]].concat();
    assert_eq!(audited(&short, None), Err((open as u64, COORDINATOR, Reject::PlanNotApproved)), "nothing was dealt");
    let (first, _) = steps[0];
    let again = [&log[..=first], &log[first..=first]].concat();
    assert_eq!(audited(&again, None), Err((first as u64 + 1, COORDINATOR, Reject::Contradiction)));
    // A step of the keys that was not opened.
    let (heads, _) = steps[4];
    let unopened = [&log[..heads - 1], &log[heads..=heads]].concat();
    assert_eq!(audited(&unopened, None), Err((heads as u64 - 1, COORDINATOR, Reject::OutOfTurn)));
}

#[test]
fn a_nonce_that_was_not_committed_to_is_its_makers() {
    let log = ceremony();
    let at = place(&log, |it| matches!(it, LogMessage::RevealSet(_)));
    let change = |it: &mut LogMessage| {
        resigned(&mut words(it)[2], |body| match body {
            HospitalMessage::KeyReveal(reveal) => reveal.nonce[0] ^= 1,
            other => unreachable!("{other:?}"),
        });
    };
    is_found(&log, at, change, (by(3), Reject::CommitmentBroken));
}

#[test]
fn a_dealing_that_lacks_somebodys_box_is_its_dealers() {
    let log = ceremony();
    let at = place(&log, |it| matches!(it, LogMessage::DealingsReady(_)));
    let change = |it: &mut LogMessage| {
        resigned(&mut words(it)[3], |body| match body {
            HospitalMessage::DealingsSent(sent) => drop(sent.boxes.pop()),
            other => unreachable!("{other:?}"),
        });
    };
    is_found(&log, at, change, (by(4), Reject::BadDealing));
}

#[test]
fn whoever_received_other_boxes_than_were_dealt_is_named_and_of_different_groups_nobody() {
    let log = ceremony();
    let at = place(&log, |it| matches!(it, LogMessage::KeyEpochOpen(_)));
    let differs = |what: fn(&mut protocol::message::DealingsDigest)| {
        move |it: &mut LogMessage| {
            resigned(&mut words(it)[1], |body| match body {
                HospitalMessage::DealingsDigest(digest) => what(digest),
                other => unreachable!("{other:?}"),
            });
        }
    };
    is_found(&log, at, differs(|it| it.received = digest("other boxes")), (by(2), Reject::DealingsDisagree));
    is_found(&log, at, differs(|it| it.group = digest("another")), (COORDINATOR, Reject::DealingsDisagree));
}

#[test]
fn two_words_of_one_hospital_for_one_step_are_its_own_contradiction() {
    let log = keys();
    let (at, _) = of_all(&log)[4];
    let mut other = log[at].clone();
    let head = ServingShareHead { step: KeyStep::Gate, body: key_share(KeyStep::Gate, 1) };
    words(&mut other)[1] = say(2, HospitalMessage::ServingShareHead(head));
    let twice = [&log[..=at], &[other]].concat();
    assert_eq!(audited(&twice, None), Err((at as u64 + 1, by(2), Reject::Contradiction)));
}

#[test]
fn a_share_of_a_key_that_is_none_is_its_makers_and_one_of_another_step_the_coordinators() {
    let log = keys();
    for step in KeyStep::steps(KeysAsked::default()) {
        let at = place(&log, |it| matches!(it, LogMessage::ServingStepHeads(heads) if heads.step == step));
        let (wrong, other) = match step {
            KeyStep::Gate => (body("one body"), KeyStep::GateKey),
            KeyStep::Galois => (protocol::BodyRoot::of(&[], 0), KeyStep::Gate),
            _ => (key_share(KeyStep::Gate, 2), KeyStep::Galois),
        };
        let share = |step, body| HospitalMessage::ServingShareHead(ServingShareHead { step, body });
        is_found(&log, at, |it| words(it)[1] = say(2, share(step, wrong)), (by(2), Reject::BadKeyShare));
        // Another step's head for the first time, and not the one that it signed there.
        if other > step {
            let elsewhere = share(other, key_share(other, 2));
            let change = |it: &mut LogMessage| words(it)[1] = say(2, elsewhere);
            is_found(&log, at, change, (COORDINATOR, Reject::Contradiction));
        }
    }
}

#[test]
fn keys_are_of_the_one_program_that_was_approved() {
    let log = keys();
    let other = digest("another program");
    let is_open = |it: &LogMessage, of: KeyStep| matches!(it, LogMessage::ServingStepOpen(open) if open.step == of);
    let change = |it: &mut LogMessage| match it {
        LogMessage::ServingStepOpen(open) => open.plan = other,
        LogMessage::ServingKeysReady(ready) => ready.plan = other,
        other => unreachable!("{other:?}"),
    };
    let second = place(&log, |it| is_open(it, KeyStep::GateKey));
    is_found(&log, second, change, (COORDINATOR, Reject::PlanNotApproved));
    let ready = place(&log, |it| matches!(it, LogMessage::ServingKeysReady(_)));
    is_found(&log, ready, change, (COORDINATOR, Reject::PlanNotApproved));
    let first = place(&log, |it| is_open(it, KeyStep::Gate));
    let mut log = log[..=first].to_vec();
    change(&mut log[first]);
    let at = first as u64;
    assert_eq!(audited(&log, Some(&terms())), Err((at, COORDINATOR, Reject::PlanNotApproved)));
    assert_eq!(audited(&log, None), Ok(()), "without the terms any program may be the one");
}

/// What the earlier scripts of sums change, with the author; see `serving_keys` and `published`.
#[test]
fn sums_and_readiness_are_the_coordinators() {
    let log = keys();
    let done = place(&log, |it| matches!(it, LogMessage::ServingStepDone(it) if it.step == KeyStep::Gate));
    let change = |it: &mut LogMessage| match it {
        LogMessage::ServingStepDone(done) => done.body = body("another list"),
        other => unreachable!("{other:?}"),
    };
    is_found(&log, done, change, (COORDINATOR, Reject::SumDiffers));
    let last = place(&log, |it| matches!(it, LogMessage::ServingStepDone(it) if it.step == KeyStep::Galois));
    let ready = place(&log, |it| matches!(it, LogMessage::ServingKeysReady(_)));
    let early = [&log[..last], &log[ready..=ready]].concat();
    assert_eq!(audited(&early, None), Err((last as u64, COORDINATOR, Reject::OutOfTurn)));
}
