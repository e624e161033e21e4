//! A coordinator that names sums of serving keys: hospitals compute with what they add up themselves, or not at all.

use protocol::blob::{BlobKind, ListId};
use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput, CeremonyStep};
use protocol::facts::Fact;
use protocol::heads::Seen;
use protocol::hospital::{HospitalInput, HospitalOutput, ProofOf};
use protocol::limits::{RELIN_ANSWERS, RELIN_ANSWERS_BYTES_MAX};
use protocol::log::LogWriter;
use protocol::message::{
    HospitalMessage, KeySet, KeyStep, KeysAsked, LogMessage, Refusal, Scope, ServingShareHead, ServingStepDone,
    ServingStepOpen, SignedMessage,
};
use protocol::verifier::Verifier;
use protocol::{BodyRoot, Epoch, PartyId, Reject};

use crate::federation::{
    Federation, N, body, digest, hospital, instead, key, key_share, key_sum, members, party, refusals, roster,
};

/// The log of an honest ceremony.
fn honest() -> Vec<LogMessage> {
    let federation = Federation::with_keys(Some(digest("program")));
    federation.log.iter().map(|entry| entry.message.clone()).collect()
}

fn is_open(message: &LogMessage, of: KeyStep) -> bool {
    matches!(message, LogMessage::ServingStepOpen(it) if it.step == of)
}

fn is_done(message: &LogMessage, of: KeyStep) -> bool {
    matches!(message, LogMessage::ServingStepDone(it) if it.step == of)
}

fn done(step: KeyStep, sum: &str) -> LogMessage {
    LogMessage::ServingStepDone(ServingStepDone { step, body: body(sum) })
}

/// What hospital 1 does, entry by entry, while its work is done at once.
pub(crate) fn hears(messages: &[LogMessage]) -> Vec<Vec<HospitalOutput>> {
    hears_after([], messages)
}

/// The same after a restart with these facts.
fn hears_after(facts: impl IntoIterator<Item = Fact>, messages: &[LogMessage]) -> Vec<Vec<HospitalOutput>> {
    let mut writer = LogWriter::new(key(99));
    let mut federation = Federation {
        writer: LogWriter::new(key(99)),
        log: Vec::new(),
        hospitals: vec![hospital(1, facts.into_iter().collect())],
        facts: vec![Vec::new()],
        chunks: 1,
    };
    let entries = messages.iter().map(|message| writer.append(message.clone()));
    entries.map(|entry| federation.input(1, HospitalInput::Entry(entry))).collect()
}

fn makes(outputs: &[Vec<HospitalOutput>], of: KeyStep) -> bool {
    outputs.iter().flatten().any(|output| matches!(output, HospitalOutput::MakeServingShare { step } if *step == of))
}

#[test]
fn sums_are_added_of_what_all_signed_for_before_anything_is_computed_with_them() {
    let log = honest();
    let outputs = hears(&log);
    assert_eq!(refusals(&outputs), []);
    let added: Vec<(usize, &HospitalOutput)> = outputs
        .iter()
        .enumerate()
        .flat_map(|(at, outputs)| outputs.iter().map(move |output| (at, output)))
        .filter(|(_, output)| matches!(output, HospitalOutput::AddShares { .. } | HospitalOutput::CheckProofs { .. }))
        .collect();
    let signed = |step: KeyStep| -> Vec<(PartyId, BodyRoot)> {
        (1..=N).map(|number| (party(number), key_share(step, number))).collect()
    };
    let expected: Vec<HospitalOutput> = KeyStep::steps(KeysAsked::default())
        .map(|step| {
            let (shares, sum) = (signed(step), key_sum(step));
            if step == KeyStep::RelinAnswers {
                let of = |number| ProofOf {
                    set: KeySet::Serving,
                    party: party(number),
                    first: key_share(KeyStep::RelinRoundOne, number),
                    second: key_share(KeyStep::RelinRoundTwo, number),
                    answers: key_share(step, number),
                };
                return HospitalOutput::CheckProofs { step, proofs: (2..=N).map(of).collect(), sum };
            }
            HospitalOutput::AddShares { step, drawn: (0..shares[0].1.count).collect(), shares, sum }
        })
        .collect();
    assert!(added.iter().map(|(_, output)| *output).eq(&expected), "{added:?}");
    for (step, output) in KeyStep::steps(KeysAsked::default()).zip(&added) {
        let Some(next) = KeyStep::steps(KeysAsked::default()).find(|next| next.input() == Some(step)) else { continue };
        let opened = log.iter().position(|message| is_open(message, next)).unwrap();
        assert!(output.0 < opened, "{step:?} is added before {next:?} is made");
    }
}

#[test]
fn no_step_follows_on_a_sum_that_nobody_is_bound_to() {
    for (input, step) in [
        (KeyStep::Gate, KeyStep::GateKey),
        (KeyStep::RelinRoundOne, KeyStep::RelinRoundTwo),
        (KeyStep::RelinRoundTwo, KeyStep::RelinMasks),
        (KeyStep::RelinMasks, KeyStep::RelinAnswers),
    ] {
        let mut log = honest();
        log.retain(|message| !is_done(message, input));
        let opened = log.iter().position(|message| is_open(message, step)).unwrap();
        let outputs = hears(&log[..=opened]);
        assert_eq!(refusals(&outputs), [Reject::SumDiffers], "{step:?}");
        assert!(!makes(&outputs, step));
        assert!(matches!(outputs[opened].last(), Some(HospitalOutput::Stop { .. })));

        // Right at the beginning, when the epoch has just opened.
        let begin = log.iter().position(|message| is_open(message, KeyStep::Gate)).unwrap();
        let mut early = log[..begin].to_vec();
        early.push(LogMessage::ServingStepOpen(ServingStepOpen { step, plan: digest("program") }));
        let outputs = hears(&early);
        assert_eq!(refusals(&outputs), [Reject::SumDiffers], "{step:?}");
        assert!(!makes(&outputs, step));
    }
}

/// Everybody has a gate of its own, so there is no sum to announce: only what all signed for.
#[test]
fn another_list_of_gates_than_all_signed_for_is_refused() {
    let log = honest();
    for step in [KeyStep::Gate, KeyStep::GateKey, KeyStep::RelinMasks, KeyStep::RelinAnswers] {
        let closed = log.iter().position(|message| is_done(message, step)).unwrap();
        let mut other = log[..closed].to_vec();
        other.push(done(step, "another list"));
        let outputs = hears(&other);
        assert_eq!(refusals(&outputs), [Reject::SumDiffers], "{step:?}");
        let works = |output: &HospitalOutput| {
            matches!(output, HospitalOutput::AddShares { .. } | HospitalOutput::CheckProofs { .. })
        };
        assert!(!outputs[closed].iter().any(works));
        assert_eq!(audited(&other), Err((closed as u64, Reject::SumDiffers)), "{step:?}");
    }
}

/// A member that signs for more or fewer bodies than a share has is told so, and may send a right one.
#[test]
fn the_coordinator_takes_no_share_of_another_number_of_bodies() {
    let config = CeremonyConfig { serving_plan: Some(digest("program")), planes: false, training_plan: None };
    let mut machine = CeremonyMachine::new(roster(members()), config);
    machine.on(CeremonyInput::Start);
    for message in honest() {
        let said = match message {
            LogMessage::RosterSigned(it) => it.signatures,
            LogMessage::CommitSet(it) => it.commits,
            LogMessage::RevealSet(it) => it.reveals,
            LogMessage::DealingsReady(it) => it.dealings,
            LogMessage::KeyEpochOpen(it) => it.digests,
            LogMessage::DealingsChecked(it) => it.checks,
            _ => continue,
        };
        for message in said {
            let party = message.author;
            machine.on(CeremonyInput::Message(message));
            let list = ListId { kind: BlobKind::Dealing, round: 0, attempt: 0, party: Some(party) };
            machine.on(CeremonyInput::BodiesComplete { list });
        }
    }
    assert_eq!(machine.step(), CeremonyStep::ServingHeads(KeyStep::Gate));
    let mut heads = |body| {
        let head = HospitalMessage::ServingShareHead(ServingShareHead { step: KeyStep::Gate, body });
        machine.on(CeremonyInput::Message(SignedMessage::sign(&key(2), party(2), Epoch(1), 50, Seen::nothing(), head)))
    };
    let refused = CeremonyOutput::Reject { party: party(2), reject: Reject::LimitExceeded };
    assert_eq!(heads(body("one body")), [refused]);
    assert_eq!(heads(key_share(KeyStep::Gate, 2)), []);
}

/// A gate that lacks somebody's part would leave that hospital without a key.
#[test]
fn a_share_of_another_number_of_bodies_is_refused() {
    let log = honest();
    for (step, wrong) in [
        (KeyStep::Gate, key_share(KeyStep::RelinRoundOne, 2)),
        (KeyStep::GateKey, key_share(KeyStep::Gate, 2)),
        (KeyStep::RelinRoundOne, key_share(KeyStep::Gate, 2)),
        (KeyStep::RelinMasks, key_share(KeyStep::Gate, 2)),
        // One mask is not opened.
        (KeyStep::RelinAnswers, BodyRoot { count: RELIN_ANSWERS - 1, ..key_share(KeyStep::RelinAnswers, 2) }),
        // Whoever checks has them in memory together.
        (
            KeyStep::RelinAnswers,
            BodyRoot { size_bytes: RELIN_ANSWERS_BYTES_MAX + 1, ..key_share(KeyStep::RelinAnswers, 2) },
        ),
    ] {
        let is_heads = |message: &LogMessage| matches!(message, LogMessage::ServingStepHeads(it) if it.step == step);
        let at = log.iter().position(is_heads).unwrap();
        let LogMessage::ServingStepHeads(mut heads) = log[at].clone() else { unreachable!() };
        let place = heads.heads.iter().position(|head| head.author == party(2)).unwrap();
        let body = HospitalMessage::ServingShareHead(ServingShareHead { step, body: wrong });
        heads.heads[place] = instead(&heads.heads[place], body);
        let other = [&log[..at], &[LogMessage::ServingStepHeads(heads)]].concat();
        assert_eq!(refusals(&hears(&other)), [Reject::BadKeyShare], "{step:?}");
        assert_eq!(audited(&other), Err((at as u64, Reject::BadKeyShare)), "{step:?}");
    }
}

#[test]
fn a_sum_before_its_shares_and_a_second_sum_are_refused() {
    let log = honest();
    for step in KeyStep::steps(KeysAsked::default()) {
        let place = |is: fn(&LogMessage, KeyStep) -> bool| log.iter().position(|message| is(message, step)).unwrap();
        let (opened, closed) = (place(is_open), place(is_done));
        let heads = |message: &LogMessage| matches!(message, LogMessage::ServingStepHeads(it) if it.step == step);
        let mut early = log[..=opened].to_vec();
        assert!(!early.iter().any(heads));
        early.push(LogMessage::ServingStepDone(ServingStepDone { step, body: key_sum(step) }));
        assert_eq!(refusals(&hears(&early)), [Reject::OutOfTurn], "{step:?}");

        let mut again = log[..=closed].to_vec();
        again.push(log[closed].clone());
        let outputs = hears(&again);
        assert_eq!((refusals(&outputs), outputs[closed + 1].len()), (vec![], 0), "{step:?}: the same says nothing new");
        again.push(done(step, "another sum"));
        let outputs = hears(&again);
        assert_eq!(refusals(&outputs), [Reject::Contradiction], "{step:?}");
        assert!(matches!(outputs[closed + 2].last(), Some(HospitalOutput::Stop { .. })), "{step:?}");
    }
}

/// A member that signed for two shares, and a coordinator that shows one of them first.
#[test]
fn a_second_list_of_heads_is_refused_and_the_same_again_is_not() {
    let log = honest();
    let step = KeyStep::RelinRoundOne;
    let is_heads = |message: &LogMessage| matches!(message, LogMessage::ServingStepHeads(it) if it.step == step);
    let at = log.iter().position(is_heads).unwrap();
    let LogMessage::ServingStepHeads(first) = &log[at] else { unreachable!() };
    let mut second = first.clone();
    second.heads.reverse();
    let again = [&log[..=at], &[LogMessage::ServingStepHeads(second.clone())]].concat();
    assert_eq!(refusals(&hears(&again)), [], "in another order they are the same");
    let head = ServingShareHead { step, body: body("another share of 2") };
    let place = second.heads.iter().position(|head| head.author == party(2)).unwrap();
    second.heads[place] = instead(&second.heads[place], HospitalMessage::ServingShareHead(head));
    let other = [&log[..=at], &[LogMessage::ServingStepHeads(second)]].concat();
    let outputs = hears(&other);
    assert_eq!(refusals(&outputs), [Reject::Contradiction]);
    assert!(matches!(outputs[at + 1].last(), Some(HospitalOutput::Stop { .. })));
}

/// The first wrong entry of a log, as an audit finds it.
fn audited(messages: &[LogMessage]) -> Result<(), (u64, Reject)> {
    let (mut writer, mut verifier) = (LogWriter::new(key(99)), Verifier::new(key(99).verifying_key()));
    let mut entries = messages.iter().map(|message| writer.append(message.clone()));
    entries.try_for_each(|entry| verifier.check(&entry)).map_err(|error| (error.index, error.reject))
}

#[test]
fn an_audit_finds_what_hospitals_refuse() {
    let log = honest();
    let found = audited;
    assert_eq!(found(&log), Ok(()));
    let place = |is: &dyn Fn(&LogMessage) -> bool| log.iter().position(is).unwrap();
    let (opened, closed) = (
        place(&|message| is_open(message, KeyStep::RelinRoundOne)),
        place(&|message| is_done(message, KeyStep::RelinRoundOne)),
    );
    let early = [&log[..=opened], &[done(KeyStep::RelinRoundOne, "sum")]].concat();
    assert_eq!(found(&early), Err((opened as u64 + 1, Reject::OutOfTurn)));
    let again = [&log[..=closed], &[log[closed].clone()]].concat();
    assert_eq!(found(&again), Ok(()));
    let other = [&log[..=closed], &[done(KeyStep::RelinRoundOne, "another sum")]].concat();
    assert_eq!(found(&other), Err((closed as u64 + 1, Reject::Contradiction)));
    let without = [&log[..closed], &log[closed + 1..]].concat();
    assert_eq!(found(&without), Err((closed as u64, Reject::SumDiffers)));
}

/// After a restart the log is read again, and the coordinator may show another one.
#[test]
fn another_sum_than_was_added_up_before_a_restart_is_refused() {
    let federation = Federation::with_keys(Some(digest("program")));
    let log = honest();
    let place = |step| log.iter().position(|message| is_done(message, step)).unwrap();
    // Died when round one was added.
    let is_of_then = |fact: &&Fact| {
        !matches!(fact, Fact::ReadUpTo(_)) && !matches!(fact, Fact::KeySum(sum) if sum.step > KeyStep::RelinRoundOne)
    };
    let facts: Vec<Fact> = federation.facts[0].iter().filter(is_of_then).cloned().collect();
    for step in [KeyStep::Gate, KeyStep::GateKey, KeyStep::RelinRoundOne] {
        let at = place(step);
        let again = hears_after(facts.iter().cloned(), &log[..=at]);
        let sum = key_sum(step);
        // What is on this site's own disk is not fetched.
        let fetched =
            if step == KeyStep::RelinRoundOne { vec![HospitalOutput::FetchSum { step, sum }] } else { vec![] };
        assert_eq!((refusals(&again), &again[at]), (vec![], &fetched), "{step:?}");
        let mut other = log[..at].to_vec();
        other.push(done(step, "another sum"));
        let outputs = hears_after(facts.iter().cloned(), &other);
        assert_eq!(refusals(&outputs), [Reject::Contradiction], "{step:?}");
        assert!(!outputs[at].iter().any(|output| matches!(output, HospitalOutput::FetchSum { .. })));
    }
    // The second round was not added before: its shares are still there.
    let at = place(KeyStep::RelinRoundTwo);
    let outputs = hears_after(facts.iter().cloned(), &log[..=at]);
    assert!(matches!(outputs[at].first(), Some(HospitalOutput::AddShares { step: KeyStep::RelinRoundTwo, .. })));
    let all = federation.facts[0].iter().filter(|fact| !matches!(fact, Fact::ReadUpTo(_)));
    let outputs = hears_after(all.cloned(), &log[..=at]);
    assert_eq!(outputs[at], [], "nothing is computed with it any more");
}

#[test]
fn a_sum_that_is_wrong_ends_the_participation_by_its_name() {
    for (reject, of) in [
        (Reject::SumDiffers, None),
        (Reject::BadKeyShare, Some(3)),
        (Reject::RelinProofWrong, Some(4)),
        (Reject::MasksOverflow, Some(1)),
    ] {
        let mut federation = Federation::with_keys(Some(digest("program")));
        let (step, named) = (KeyStep::Gate, of.map(party));
        let outputs = federation.input(1, HospitalInput::SumWrong { step, of: named, reject });
        assert_eq!(refusals(std::slice::from_ref(&outputs)), [reject]);
        let expected = Refusal { scope: Scope::Ceremony, number: of.map_or(0, u64::from), attempt: 0, reject };
        let said = outputs.iter().any(|output| {
            matches!(output, HospitalOutput::Send(message)
                if message.body == HospitalMessage::Refusal(expected.clone()))
        });
        assert!(said && matches!(outputs.last(), Some(HospitalOutput::Stop { .. })));
    }
}

#[test]
fn a_share_of_a_step_that_is_not_under_way_is_signed_by_nobody() {
    let mut federation = Federation::with_keys(Some(digest("program")));
    let late = HospitalInput::ServingShareMade { step: KeyStep::GateKey, body: body("another share") };
    assert_eq!(federation.hospitals[0].on(0, late), []);
}
