//! A coordinator that leaves the planes of questions out, asks for some that nobody approved, or shows others than were
//! signed for.

use protocol::facts::{Fact, HospitalFacts};
use protocol::hospital::{HospitalInput, HospitalOutput, PlanesOf};
use protocol::limits::{PLANE_SEEDS_BYTES_MAX, PLANES_BODIES, PLANES_BYTES_MAX, PLANES_MAX};
use protocol::log::LogWriter;
use protocol::message::{
    HospitalMessage, KeyStep, KeyVerdict, KeysAsked, LogMessage, Refusal, Scope, ServingKeysReady, ServingShareHead,
    ServingStepDone, ServingStepOpen, SignedMessage,
};
use protocol::terms::Terms;
use protocol::{BodyRoot, Epoch, Reject};

use crate::federation::{
    Federation, N, body, digest, hospital_under, instead, key, key_share, key_sum, party, refusals, sent, terms,
};
use crate::script::{COORDINATOR, audited, by, keys, place};
use crate::serving::messages;

/// What members approve who want planes.
fn with_planes() -> Terms {
    Terms { planes: 16, ..terms() }
}

fn honest() -> Vec<LogMessage> {
    messages(&Federation::under(&with_planes()))
}

/// What hospital 1 does under these terms, entry by entry, while its work is done at once.
fn hears(terms: &Terms, facts: HospitalFacts, log: &[LogMessage]) -> Vec<Vec<HospitalOutput>> {
    let mut writer = LogWriter::new(key(99));
    let mut federation = Federation {
        writer: LogWriter::new(key(99)),
        log: Vec::new(),
        hospitals: vec![hospital_under(1, facts, terms.clone())],
        facts: vec![Vec::new()],
        chunks: 1,
    };
    let entries = log.iter().map(|message| writer.append(message.clone()));
    entries.map(|entry| federation.input(1, HospitalInput::Entry(entry))).collect()
}

fn fresh(log: &[LogMessage]) -> Vec<Vec<HospitalOutput>> {
    hears(&with_planes(), HospitalFacts::default(), log)
}

fn is_open(message: &LogMessage, of: KeyStep) -> bool {
    matches!(message, LogMessage::ServingStepOpen(it) if it.step == of)
}

fn is_heads(message: &LogMessage, of: KeyStep) -> bool {
    matches!(message, LogMessage::ServingStepHeads(it) if it.step == of)
}

fn is_done(message: &LogMessage, of: KeyStep) -> bool {
    matches!(message, LogMessage::ServingStepDone(it) if it.step == of)
}

fn open(step: KeyStep) -> LogMessage {
    LogMessage::ServingStepOpen(ServingStepOpen { step, plan: digest("program") })
}

fn verdicts(outputs: Vec<Vec<HospitalOutput>>) -> Vec<KeyVerdict> {
    let verdict = |message: SignedMessage| match message.body {
        HospitalMessage::KeyVerdict(verdict) => Some(verdict),
        _ => None,
    };
    outputs.into_iter().flat_map(sent).filter_map(verdict).collect()
}

#[test]
fn planes_are_taken_up_and_checked_before_keys_are_signed_for() {
    let log = honest();
    assert_eq!(audited(&log, Some(&with_planes())), Ok(()));
    assert_eq!(audited(&log, None), Ok(()));
    let outputs = fresh(&log);
    assert_eq!(refusals(&outputs), []);
    let place_of = |step| place(&log, |it| is_done(it, step));
    let signed = |step| (1..=N).map(|number| (party(number), key_share(step, number))).collect::<Vec<_>>();
    let (step, drawn) = (KeyStep::Planes, (0..PLANES_BODIES).collect());
    let add = HospitalOutput::AddShares { step, shares: signed(step), sum: key_sum(step), drawn };
    assert_eq!(outputs[place_of(step)][0], add);
    let step = KeyStep::PlaneOpenings;
    let of = |number| PlanesOf { party: party(number), seeds: key_share(step, number) };
    let check = HospitalOutput::CheckPlanes { planes: (2..=N).map(of).collect(), sum: key_sum(step) };
    assert_eq!(outputs[place_of(step)][0], check);
    let sums = KeyStep::steps(KeysAsked { planes: true, training: false }).map(key_sum).collect();
    assert_eq!(verdicts(outputs), [KeyVerdict { plan: digest("program"), sums }]);
}

#[test]
fn a_coordinator_that_leaves_planes_out_gets_no_verdict() {
    let mut federation = Federation::misled(&with_planes(), &terms());
    assert!(is_done(&federation.log.last().unwrap().message, KeyStep::Galois), "it has every share of every key");
    let is_verdict = |fact: &Fact| matches!(fact, Fact::Sent(it) if matches!(it.body, HospitalMessage::KeyVerdict(_)));
    assert!(!federation.facts.iter().flatten().any(is_verdict));
    // Not even the verdicts of all the others on keys without planes are taken for one.
    let sums: Vec<BodyRoot> = KeyStep::steps(KeysAsked::default()).map(key_sum).collect();
    let verdict = HospitalMessage::KeyVerdict(KeyVerdict { plan: digest("program"), sums });
    let seen = federation.seen();
    let sign = |number| SignedMessage::sign(&key(number), party(number), Epoch(1), 300, seen, verdict.clone());
    let (plan, verdicts) = (digest("program"), (1..=N).map(sign).collect());
    let outputs = federation.say(LogMessage::ServingKeysReady(ServingKeysReady { plan, verdicts }));
    assert_eq!(refusals(&outputs), [Reject::SumDiffers; N as usize]);
    assert!(!outputs.concat().contains(&HospitalOutput::ServingKeysComplete));
    let (log, ready) = (messages(&federation), federation.log.len() as u64 - 1);
    assert_eq!(audited(&log, Some(&with_planes())), Err((ready, COORDINATOR, Reject::OutOfTurn)));
    assert_eq!(audited(&log, Some(&terms())), Ok(()), "under other terms it would do");
    assert_eq!(audited(&log, None), Ok(()));
}

#[test]
fn planes_without_their_openings_are_half_of_what_was_approved() {
    let mut half = honest();
    let step = KeyStep::PlaneOpenings;
    half.retain(|it| !(is_open(it, step) || is_heads(it, step) || is_done(it, step)));
    let ready = place(&half, |it| matches!(it, LogMessage::ServingKeysReady(_))) as u64;
    for terms in [Some(&with_planes()), None] {
        assert_eq!(audited(&half, terms), Err((ready, COORDINATOR, Reject::OutOfTurn)));
    }
}

#[test]
fn planes_that_nobody_approved_are_not_made() {
    let log = keys();
    let after = place(&log, |it| is_done(it, KeyStep::GateKey));
    for step in [KeyStep::Planes, KeyStep::PlaneOpenings] {
        let log = [&log[..=after], &[open(step)]].concat();
        let outputs = hears(&terms(), HospitalFacts::default(), &log);
        assert_eq!(refusals(&outputs), [Reject::OutOfTurn], "{step:?}");
        let makes = HospitalOutput::MakeServingShare { step };
        assert!(!outputs.concat().contains(&makes));
        assert!(matches!(outputs[after + 1].last(), Some(HospitalOutput::Stop { .. })));
        let expected = Err((after as u64 + 1, COORDINATOR, Reject::OutOfTurn));
        assert_eq!(audited(&log, Some(&terms())), expected, "{step:?}");
    }
    // The word of all that they made them changes nothing.
    let whole = honest();
    let at = place(&whole, |it| is_open(it, KeyStep::Planes)) as u64;
    assert_eq!(audited(&whole, Some(&terms())), Err((at, COORDINATOR, Reject::OutOfTurn)));
}

#[test]
fn planes_follow_the_gate_keys_and_openings_follow_the_planes() {
    let log = honest();
    for (input, step) in [(KeyStep::GateKey, KeyStep::Planes), (KeyStep::Planes, KeyStep::PlaneOpenings)] {
        let mut early = log[..=place(&log, |it| is_open(it, step))].to_vec();
        early.retain(|message| !is_done(message, input));
        let at = early.len() - 1;
        let outputs = fresh(&early);
        assert_eq!(refusals(&outputs), [Reject::SumDiffers], "{step:?}");
        assert!(!outputs.concat().contains(&HospitalOutput::MakeServingShare { step }));
        assert_eq!(audited(&early, Some(&with_planes())), Err((at as u64, COORDINATOR, Reject::SumDiffers)));
    }
    let done = |step| LogMessage::ServingStepDone(ServingStepDone { step, body: key_sum(step) });
    for step in [KeyStep::Planes, KeyStep::PlaneOpenings] {
        let opened = place(&log, |it| is_open(it, step));
        let early = [&log[..=opened], &[done(step)]].concat();
        assert_eq!(refusals(&fresh(&early)), [Reject::OutOfTurn], "{step:?}: before anybody is bound");
    }
}

#[test]
fn another_list_of_planes_or_of_openings_than_all_signed_for_is_refused() {
    let log = honest();
    for step in [KeyStep::Planes, KeyStep::PlaneOpenings] {
        let closed = place(&log, |it| is_done(it, step));
        let other = LogMessage::ServingStepDone(ServingStepDone { step, body: body("another list") });
        let first = [&log[..closed], std::slice::from_ref(&other)].concat();
        let outputs = fresh(&first);
        assert_eq!(refusals(&outputs), [Reject::SumDiffers], "{step:?}");
        let works = |output: &HospitalOutput| {
            matches!(output, HospitalOutput::AddShares { .. } | HospitalOutput::CheckPlanes { .. })
        };
        assert!(!outputs[closed].iter().any(works));
        assert_eq!(audited(&first, None), Err((closed as u64, COORDINATOR, Reject::SumDiffers)), "{step:?}");
        let second = [&log[..=closed], &[other]].concat();
        assert_eq!(refusals(&fresh(&second)), [Reject::Contradiction], "{step:?}");
    }
}

/// A member that signed for two lots of planes could open of each what the coins let it.
#[test]
fn two_heads_of_one_maker_are_refused_and_are_its_own_contradiction() {
    let log = honest();
    for step in [KeyStep::Planes, KeyStep::PlaneOpenings] {
        let at = place(&log, |it| is_heads(it, step));
        let LogMessage::ServingStepHeads(mut second) = log[at].clone() else { unreachable!() };
        let other = BodyRoot { root: digest("other planes"), ..key_share(step, 2) };
        let head = HospitalMessage::ServingShareHead(ServingShareHead { step, body: other });
        second.heads[1] = instead(&second.heads[1], head);
        let twice = [&log[..=at], &[LogMessage::ServingStepHeads(second)]].concat();
        let outputs = fresh(&twice);
        assert_eq!(refusals(&outputs), [Reject::Contradiction], "{step:?}");
        assert!(matches!(outputs[at + 1].last(), Some(HospitalOutput::Stop { .. })));
        assert_eq!(audited(&twice, None), Err((at as u64 + 1, by(2), Reject::Contradiction)), "{step:?}");
    }
}

#[test]
fn planes_and_openings_of_another_number_or_too_large_are_refused_and_their_makers() {
    let log = honest();
    let planes = |count, size_bytes| (KeyStep::Planes, count, size_bytes, PLANES_BYTES_MAX);
    let openings = |count, size_bytes| (KeyStep::PlaneOpenings, count, size_bytes, PLANE_SEEDS_BYTES_MAX);
    for (step, count, size_bytes, bytes_max) in [
        planes(PLANES_BODIES - 1, 1),
        planes(PLANES_BODIES + 1, 1),
        planes(PLANES_BODIES, PLANES_BYTES_MAX + 1),
        planes(PLANES_BODIES, PLANES_BYTES_MAX),
        openings(0, 1),
        openings(1 + 1, 1),
        openings(1, PLANE_SEEDS_BYTES_MAX + 1),
        openings(1, PLANE_SEEDS_BYTES_MAX),
    ] {
        let at = place(&log, |it| is_heads(it, step));
        let mut changed = log[..=at].to_vec();
        let LogMessage::ServingStepHeads(heads) = &mut changed[at] else { unreachable!() };
        let share = BodyRoot { count, size_bytes, ..key_share(step, 2) };
        let head = HospitalMessage::ServingShareHead(ServingShareHead { step, body: share });
        heads.heads[1] = instead(&heads.heads[1], head);
        let what = format!("{step:?}: {count} bodies of {size_bytes} bytes");
        let is_most = size_bytes == bytes_max;
        let (expected, found) = match is_most {
            true => (vec![], Ok(())),
            false => (vec![Reject::BadKeyShare], Err((at as u64, by(2), Reject::BadKeyShare))),
        };
        assert_eq!((refusals(&fresh(&changed)), audited(&changed, None)), (expected, found), "{what}");
    }
}

/// What was checked before a restart is not asked for again, and nothing else may take its place.
#[test]
fn after_a_restart_planes_are_what_was_checked() {
    let federation = Federation::under(&with_planes());
    let log = messages(&federation);
    let of_then = |until: KeyStep| -> HospitalFacts {
        let is_of_then =
            |fact: &&Fact| !matches!(fact, Fact::ReadUpTo(_)) && !matches!(fact, Fact::KeySum(sum) if sum.step > until);
        federation.facts[0].iter().filter(is_of_then).cloned().collect()
    };
    let again = |until, step| {
        let at = place(&log, |it| is_done(it, step));
        let outputs = hears(&with_planes(), of_then(until), &log[..=at]);
        assert_eq!(refusals(&outputs), []);
        outputs[at].first().cloned()
    };
    assert!(matches!(again(KeyStep::GateKey, KeyStep::Planes), Some(HospitalOutput::AddShares { .. })));
    assert_eq!(again(KeyStep::Planes, KeyStep::Planes), None, "on this site's disk");
    let check = again(KeyStep::Planes, KeyStep::PlaneOpenings);
    assert!(matches!(check, Some(HospitalOutput::CheckPlanes { planes, .. }) if planes.len() == 4));
    assert_eq!(again(KeyStep::PlaneOpenings, KeyStep::PlaneOpenings), None, "checked for good");
}

#[test]
fn planes_that_prove_nothing_end_the_participation_with_their_makers_number() {
    let mut federation = Federation::under(&with_planes());
    let (step, reject) = (KeyStep::PlaneOpenings, Reject::PlanesWrong);
    let outputs = federation.input(1, HospitalInput::SumWrong { step, of: Some(party(4)), reject });
    let refusal = HospitalMessage::Refusal(Refusal { scope: Scope::Ceremony, number: 4, attempt: 0, reject });
    assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })));
    assert!(sent(outputs).iter().any(|message| message.body == refusal));
    assert_eq!(reject.code(), 54);
}

#[test]
fn no_ceremony_begins_under_terms_whose_planes_nobody_can_open_in_groups() {
    let log = &honest()[..1];
    for (planes, fits) in [(PLANES_MAX, true), (PLANES_MAX + 8, false), (12, false)] {
        let terms = Terms { planes, ..terms() };
        let outputs = hears(&terms, HospitalFacts::default(), log);
        let (expected, found) = match fits {
            true => (vec![], Ok(())),
            false => (vec![Reject::LimitExceeded], Err((0, COORDINATOR, Reject::LimitExceeded))),
        };
        assert_eq!((refusals(&outputs), audited(log, Some(&terms))), (expected, found), "{planes} planes");
    }
}
