//! A hospital that dies between any two of its outputs: the new process says, word for word, what the old one would
//! have said, asks for work that is at hand, and ends with the same model.
//!
//! One undisturbed run fixes the log. For every point of it, hospital 1 starts again with what was durable there and
//! reads the log from its first entry.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap or panic is a failed test")]

mod cast;
mod federation;
mod site;

use std::collections::BTreeSet;

use protocol::RoundId;
use protocol::blob::BlobKind;
use protocol::codec::Wire;
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::log::{LogEntry, LogWriter};
use protocol::message::LogMessage;

use cast::{key, machine};
use federation::{Federation, LAST_ROUND};
use site::{Site, feed};

fn messages<'a>(outputs: impl Iterator<Item = &'a HospitalOutput>) -> BTreeSet<Vec<u8>> {
    outputs
        .filter_map(|output| match output {
            HospitalOutput::Send(message) => Some(message.to_bytes()),
            _ => None,
        })
        .collect()
}

/// The round that ends with this output.
fn is_over(output: &HospitalOutput) -> Option<RoundId> {
    match output {
        HospitalOutput::AdoptModel { round, .. }
        | HospitalOutput::KeepFigures { round, .. }
        | HospitalOutput::DropRound { round, .. } => Some(*round),
        _ => None,
    }
}

/// The round that this output works on.
fn works_on(output: &HospitalOutput) -> Option<RoundId> {
    match output {
        HospitalOutput::Train { round, .. } | HospitalOutput::Encrypt { round, .. } => Some(*round),
        HospitalOutput::Upload { kind: BlobKind::UpdateChunk | BlobKind::Share, number, .. } => {
            Some(RoundId(u32::try_from(*number).unwrap()))
        }
        HospitalOutput::ReleaseShares(binding)
        | HospitalOutput::CheckSum { binding, .. }
        | HospitalOutput::OpenSum { binding, .. } => Some(binding.round),
        _ => None,
    }
}

#[test]
fn a_hospital_that_dies_between_any_two_outputs_goes_on_as_if_it_had_not() {
    let federation = Federation::run();
    let undisturbed = messages(federation.moments.iter().map(|(_, output)| output));
    let last = &federation.hospitals[0].1;
    assert!(federation.moments.len() > 120, "{} moments", federation.moments.len());
    let mut interrupted = BTreeSet::new();
    for at in 0..=federation.moments.len() {
        let (before, after) = federation.moments.split_at(at);
        let mut site = after.first().map_or(last, |(site, _)| site).after_a_crash();
        let mut process = machine(1, &site.facts);
        let mut outputs = Vec::new();
        for entry in &federation.log {
            feed(&mut process, &mut site, HospitalInput::Entry(entry.clone()), &mut |_, output| {
                outputs.push(output.clone());
            });
        }
        let next = after.first().map(|(_, output)| output);
        let done = before.iter().map(|(_, output)| output);
        assert_eq!(messages(done.chain(&outputs)), undisturbed, "died before output {at}, {next:?}");
        assert_eq!((process.model(), site.model), (last.model, last.model), "died before output {at}, {next:?}");
        assert_eq!(site.figures, last.figures, "died before output {at}, {next:?}");
        assert!(site.ceremony_is_over, "died before output {at}, {next:?}: the serving secret stays in the vault");
        let over: Vec<RoundId> = before.iter().filter_map(|(_, output)| is_over(output)).collect();
        let again = outputs.iter().filter_map(works_on).find(|round| over.contains(round));
        assert_eq!(again, None, "died before output {at}, {next:?}: work on a round that is over");
        let publishes = outputs.iter().any(|output| matches!(output, HospitalOutput::EncryptPublish { .. }));
        assert!(!(publishes && over.contains(&LAST_ROUND)), "died before output {at}, {next:?}: acts on the past");
        interrupted.extend(next.map(|output| format!("{output:?}").split([' ', '(']).next().unwrap().to_owned()));
    }
    // The run must reach every kind of work, or it proves nothing about it.
    let reached = [
        "DealKeys",
        "OpenDealings",
        "CheckDealings",
        "EpochOpened",
        "MakeServingShare",
        "AddShares",
        "CheckProofs",
        "CheckPlanes",
        "ServingKeysComplete",
        "Train",
        "Encrypt",
        "Upload",
        "ReleaseShares",
        "CheckSum",
        "OpenSum",
        "AdoptModel",
        "KeepFigures",
        "DropRound",
        "DropAttempt",
        "EncryptPublish",
        "CheckModel",
        "ModelReady",
        "Evaluate",
        "ReleaseSwitch",
        "Persist",
        "Send",
    ];
    assert_eq!(interrupted, reached.into_iter().map(str::to_owned).collect());
}

#[test]
fn a_second_request_for_a_serving_share_makes_no_second_share() {
    let federation = Federation::run();
    let opened = |entry: &&LogEntry| matches!(entry.message, LogMessage::ServingStepOpen(_));
    let steps: Vec<LogEntry> = federation.log.iter().filter(opened).cloned().collect();
    let first = usize::try_from(steps[0].index).unwrap();
    let mut writer = LogWriter::new(key(99));
    let (mut process, mut site) = (machine(1, &[]), Site::new(1));
    let mut asked = 0;
    let again = federation.log[..=first].iter().chain([&steps[0]]);
    for message in again.map(|entry| entry.message.clone()) {
        let entry = writer.append(message);
        feed(&mut process, &mut site, HospitalInput::Entry(entry), &mut |_, output| {
            asked += usize::from(matches!(output, HospitalOutput::MakeServingShare { .. }));
        });
    }
    assert_eq!(asked, 1);
}

/// Bodies that are made again after a restart may come later than the entry that asks for them.
#[test]
fn a_share_that_is_still_being_made_again_is_uploaded_when_it_is_there() {
    let federation = Federation::run();
    let place =
        |wanted: fn(&LogMessage) -> bool| federation.log.iter().position(|entry| wanted(&entry.message)).unwrap();
    let heads = place(|message| matches!(message, LogMessage::ServingStepHeads(_)));
    let made = |output: &HospitalOutput| matches!(output, HospitalOutput::MakeServingShare { .. });
    let at = federation.moments.iter().position(|(_, output)| made(output)).unwrap();
    // The head was sent, the bodies were not.
    let site = &federation.moments[at + 3].0;
    let mut process = machine(1, &site.facts);
    let mut site = site.after_a_crash();
    let mut late = Vec::new();
    for entry in &federation.log[..=heads] {
        for output in process.on(0, HospitalInput::Entry(entry.clone())) {
            assert!(!matches!(output, HospitalOutput::Upload { kind: BlobKind::Gate, .. }), "too early");
            let answer = site.carry_out(&output);
            if made(&output) { late.extend(answer) } else { assert!(answer.is_none()) }
        }
    }
    let outputs = process.on(0, late.pop().unwrap());
    assert!(outputs.iter().any(|output| matches!(output, HospitalOutput::Upload { kind: BlobKind::Gate, .. })));
}
