//! A coordinator that names sums of serving keys: hospitals compute with what they add up themselves, or not at all.

use protocol::facts::Fact;
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::log::LogWriter;
use protocol::message::{
    HospitalMessage, KeyStep, LogMessage, ServingShareHead, ServingStepDone, ServingStepOpen, SignedMessage,
};
use protocol::verifier::Verifier;
use protocol::{BodyRoot, Epoch, PartyId, Reject};

use crate::federation::{Federation, N, body, digest, hospital, key, party, refusals};

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
        .filter(|(_, output)| matches!(output, HospitalOutput::AddShares { .. }))
        .collect();
    let signed = |step: KeyStep| -> Vec<(PartyId, BodyRoot)> {
        (1..=N).map(|number| (party(number), body(&format!("serving share {step:?} of {number}")))).collect()
    };
    let expected = KeyStep::ALL.map(|step| {
        let (shares, sum) = (signed(step), body(&format!("sum {step:?}")));
        HospitalOutput::AddShares { step, shares, sum }
    });
    assert!(added.iter().map(|(_, output)| *output).eq(&expected), "{added:?}");
    let opened = log.iter().position(|message| is_open(message, KeyStep::RelinRoundTwo)).unwrap();
    assert!(added[1].0 < opened, "round one is added before round two is made");
}

#[test]
fn no_second_round_follows_a_first_one_that_nobody_is_bound_to() {
    let mut log = honest();
    log.retain(|message| !is_done(message, KeyStep::RelinRoundOne));
    let opened = log.iter().position(|message| is_open(message, KeyStep::RelinRoundTwo)).unwrap();
    let outputs = hears(&log[..=opened]);
    assert_eq!(refusals(&outputs), [Reject::SumDiffers]);
    assert!(!makes(&outputs, KeyStep::RelinRoundTwo));
    assert!(matches!(outputs[opened].last(), Some(HospitalOutput::Stop { .. })));

    // Right at the beginning, when the epoch has just opened.
    let begin = log.iter().position(|message| is_open(message, KeyStep::PublicKey)).unwrap();
    let mut early = log[..begin].to_vec();
    let (step, plan) = (KeyStep::RelinRoundTwo, digest("program"));
    early.push(LogMessage::ServingStepOpen(ServingStepOpen { step, plan }));
    let outputs = hears(&early);
    assert_eq!(refusals(&outputs), [Reject::SumDiffers]);
    assert!(!makes(&outputs, step));
}

#[test]
fn a_sum_before_its_shares_and_a_second_sum_are_refused() {
    let log = honest();
    for step in KeyStep::ALL {
        let place = |is: fn(&LogMessage, KeyStep) -> bool| log.iter().position(|message| is(message, step)).unwrap();
        let (opened, closed) = (place(is_open), place(is_done));
        let heads = |message: &LogMessage| matches!(message, LogMessage::ServingStepHeads(it) if it.step == step);
        let mut early = log[..=opened].to_vec();
        assert!(!early.iter().any(heads));
        early.push(done(step, &format!("sum {step:?}")));
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
    let other = SignedMessage::sign(&key(2), party(2), Epoch(1), 99, HospitalMessage::ServingShareHead(head));
    let place = second.heads.iter().position(|head| head.author == party(2)).unwrap();
    second.heads[place] = other;
    let other = [&log[..=at], &[LogMessage::ServingStepHeads(second)]].concat();
    let outputs = hears(&other);
    assert_eq!(refusals(&outputs), [Reject::Contradiction]);
    assert!(matches!(outputs[at + 1].last(), Some(HospitalOutput::Stop { .. })));
}

/// Of an epoch that this site knows from before it added anything up, it takes no key.
#[test]
fn a_public_key_that_was_not_added_up_here_is_not_fetched_from_history() {
    let federation = Federation::with_keys(Some(digest("program")));
    let fetches = |facts: &[Fact]| {
        let outputs = hears_after(facts.iter().cloned(), &honest());
        assert_eq!(refusals(&outputs), []);
        outputs.into_iter().flatten().filter(|output| matches!(output, HospitalOutput::FetchSum { .. })).count()
    };
    let all = &federation.facts[0];
    assert!(all.iter().any(|fact| matches!(fact, Fact::ReadUpTo(_))), "all of it is history");
    assert_eq!(fetches(all), 1);
    let is_no_sum = |fact: &&Fact| !matches!(fact, Fact::KeySum(_));
    assert_eq!(fetches(&all.iter().filter(is_no_sum).cloned().collect::<Vec<_>>()), 0);
}

#[test]
fn an_audit_finds_what_hospitals_refuse() {
    let log = honest();
    let found = |messages: &[LogMessage]| {
        let (mut writer, mut verifier) = (LogWriter::new(key(99)), Verifier::new(key(99).verifying_key()));
        let mut entries = messages.iter().map(|message| writer.append(message.clone()));
        entries.try_for_each(|entry| verifier.check(&entry)).map_err(|error| (error.index, error.reject))
    };
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
    for step in [KeyStep::PublicKey, KeyStep::RelinRoundOne] {
        let at = place(step);
        let again = hears_after(facts.iter().cloned(), &log[..=at]);
        let sum = body(&format!("sum {step:?}"));
        assert_eq!((refusals(&again), &again[at]), (vec![], &vec![HospitalOutput::FetchSum { step, sum }]));
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
    for reject in [Reject::SumDiffers, Reject::BadKeyShare] {
        let mut federation = Federation::with_keys(Some(digest("program")));
        let outputs = federation.input(1, HospitalInput::SumWrong { step: KeyStep::PublicKey, reject });
        assert_eq!(refusals(std::slice::from_ref(&outputs)), [reject]);
        let said = outputs.iter().any(|output| {
            matches!(output, HospitalOutput::Send(message)
                if matches!(&message.body, HospitalMessage::Refusal(refusal) if refusal.reject == reject))
        });
        assert!(said && matches!(outputs.last(), Some(HospitalOutput::Stop { .. })));
    }
}
