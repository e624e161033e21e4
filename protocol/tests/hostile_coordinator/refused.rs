//! Refusals that no other script reaches, and that every refusal is reached by one.

use std::path::Path;

use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::message::{
    DealingsDigest, DealingsReady, DealingsSent, HospitalMessage, KeyCommit, KeyEpochOpen, KeyReveal, LogMessage,
    Manifest, ModelVote, RoundClosed, RoundPurpose, SignedMessage, SumReady,
};
use protocol::{Attempt, Epoch, Reject, RoundId};

use crate::federation::{Federation, body, digest, heads, instead, key, party, refusals};
use crate::serving::messages;
use crate::serving_keys::hears;

/// What hospital 1 says to the entry in place of the honest one, in a ceremony that was honest until then.
fn ceremony(change: impl Fn(&mut LogMessage) -> bool) -> Vec<HospitalOutput> {
    let mut log = messages(&Federation::new());
    let at = log.iter_mut().position(change).expect("an entry to change");
    hears(&log[..=at]).swap_remove(at)
}

fn ends(outputs: Vec<HospitalOutput>, reject: Reject) {
    assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })), "{outputs:?}");
    assert_eq!(refusals(&[outputs]), [reject]);
}

#[test]
fn nonces_that_were_not_committed_to_by_all_before_make_no_epoch() {
    type Change = fn(&mut LogMessage) -> bool;
    let other =
        |of: &SignedMessage| instead(of, HospitalMessage::KeyCommit(KeyCommit { commitment: digest("another nonce") }));
    let commits = |message: &mut LogMessage, change: &dyn Fn(&mut Vec<SignedMessage>)| match message {
        LogMessage::CommitSet(it) => {
            change(&mut it.commits);
            true
        }
        _ => false,
    };
    ends(ceremony(|message| commits(message, &|it| it[0] = other(&it[0]))), Reject::CommitmentBroken);
    ends(ceremony(|message| commits(message, &|it| drop(it.pop()))), Reject::CommitmentBroken);
    ends(ceremony(|message| commits(message, &|it| it.swap(2, 3))), Reject::CommitmentBroken);
    let reveals: [Change; 2] = [
        |message| match message {
            LogMessage::RevealSet(it) => it.reveals.pop().is_some(),
            _ => false,
        },
        |message| match message {
            LogMessage::RevealSet(it) => {
                let reveal = HospitalMessage::KeyReveal(KeyReveal { nonce: [7; 32] });
                it.reveals[2] = instead(&it.reveals[2], reveal);
                true
            }
            _ => false,
        },
    ];
    for change in reveals {
        let outputs = ceremony(change);
        assert!(!outputs.iter().any(|output| matches!(output, HospitalOutput::DealKeys { .. })));
        ends(outputs, Reject::CommitmentBroken);
    }
    // Another's commitment is not known to be wrong before its nonce is.
    let taken = ceremony(|message| commits(message, &|it| it[2] = other(&it[2])));
    assert_eq!(refusals(&[taken]), []);
}

#[test]
fn work_that_a_site_did_not_do_is_refused_by_its_name() {
    let round = RoundId(1);
    for (input, reject) in [
        (HospitalInput::TrainingFailed { round }, Reject::TrainingFailed),
        (HospitalInput::FiguresWithheld { round }, Reject::FiguresWithheld),
        (HospitalInput::PrivacySpent { round }, Reject::PrivacyBudget),
    ] {
        assert_eq!(refusals(&[Federation::new().input(1, input)]), [reject]);
    }
}

#[test]
fn dealings_that_are_short_out_of_order_or_not_this_hospitals_own_are_not_opened() {
    type Change = fn(&mut DealingsReady);
    let resigned: Change = |it| {
        let HospitalMessage::DealingsSent(own) = &it.dealings[0].body else { panic!("{it:?}") };
        let mut boxes = own.boxes.clone();
        boxes[3] = digest("another box");
        let sent = DealingsSent { boxes, size_bytes: own.size_bytes };
        it.dealings[0] = instead(&it.dealings[0], HospitalMessage::DealingsSent(sent));
    };
    let scripts: [Change; 3] = [|it| drop(it.dealings.pop()), |it| it.dealings.swap(3, 4), resigned];
    for change in scripts {
        let outputs = ceremony(|message| match message {
            LogMessage::DealingsReady(it) => {
                change(it);
                true
            }
            _ => false,
        });
        assert!(!outputs.iter().any(|output| matches!(output, HospitalOutput::OpenDealings { .. })));
        ends(outputs, Reject::BadDealing);
    }
}

#[test]
fn a_dealing_that_does_not_open_is_refused_by_its_name() {
    let mut federation = Federation::new();
    assert_eq!(refusals(&[federation.input(1, HospitalInput::DealingsBad)]), [Reject::BadDealing]);
}

#[test]
fn an_epoch_does_not_open_where_hospitals_received_different_dealings() {
    let other = |it: &mut KeyEpochOpen, change: &dyn Fn(&mut DealingsDigest)| {
        let HospitalMessage::DealingsDigest(mut digests) = it.digests[2].body.clone() else { panic!("{it:?}") };
        change(&mut digests);
        it.digests[2] = instead(&it.digests[2], HospitalMessage::DealingsDigest(digests));
    };
    let changes: [&dyn Fn(&mut KeyEpochOpen); 3] = [
        &|it| other(it, &|digests| digests.group = digest("another group")),
        &|it| other(it, &|digests| digests.received = digest("other boxes")),
        &|it| drop(it.digests.pop()),
    ];
    for change in changes {
        let outputs = ceremony(|message| match message {
            LogMessage::KeyEpochOpen(it) => {
                change(it);
                true
            }
            _ => false,
        });
        assert!(!outputs.iter().any(|output| matches!(output, HospitalOutput::EpochOpened { .. })));
        ends(outputs, Reject::DealingsDisagree);
    }
}

#[test]
fn a_second_manifest_of_the_same_cohort_is_not_signed() {
    let mut federation = Federation::new();
    let all = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
    federation.freeze(1, 1, all.clone());
    let mut other = all;
    let HospitalMessage::UpdateHead(head) = &mut other[1].body else { panic!("{other:?}") };
    head.body = body("another update of 2");
    other[1] = instead(&other[1], other[1].body.clone());
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads: other };
    let outputs = federation.say(LogMessage::Manifest(manifest));
    let expected = [1, 2, 3, 4, 5].map(|number| match number {
        2 => Reject::OwnHeadChanged,
        _ => Reject::ManifestAlreadySigned,
    });
    assert_eq!(refusals(&outputs), expected);
}

/// A round whose shares are out, and a sum of so many chunks.
fn shared(chunks: usize) -> (Federation, LogMessage) {
    let mut federation = Federation::new();
    let shares = federation.shared(RoundPurpose::Train, 1);
    let chunks = vec![digest("sum"); chunks];
    (federation, LogMessage::SumReady(SumReady { round: RoundId(1), attempt: Attempt(1), chunks, shares }))
}

#[test]
fn a_sum_of_another_number_of_chunks_is_not_opened() {
    for chunks in [0, 2] {
        let (mut federation, sum) = shared(chunks);
        let outputs = federation.say(sum);
        assert!(!outputs.iter().flatten().any(|output| matches!(output, HospitalOutput::OpenSum { .. })));
        assert_eq!(refusals(&outputs), [Reject::SumRejected; 5]);
    }
    let (mut federation, sum) = shared(1);
    assert_eq!(refusals(&federation.say(sum)), []);
}

#[test]
fn a_model_that_this_hospital_did_not_decode_is_not_adopted() {
    let (round, attempt) = (RoundId(1), Attempt(1));
    let opened = |model: &str| HospitalInput::SumOpened { round, attempt, model: Some(digest(model)) };
    let closed = |model: &str, seen| {
        let vote = |number| {
            let vote = ModelVote { round, attempt, model: Some(digest(model)) };
            SignedMessage::sign(&key(number), party(number), Epoch(1), 50, seen, HospitalMessage::ModelVote(vote))
        };
        let votes = (2..=5).map(vote).collect();
        LogMessage::RoundClosed(RoundClosed { round, attempt, model: digest(model), votes })
    };
    let adopts =
        |outputs: &[HospitalOutput]| outputs.iter().any(|output| matches!(output, HospitalOutput::AdoptModel { .. }));
    // Whether it had decoded its own before the round was closed, or after.
    for is_early in [true, false] {
        for (model, expected) in [("ours", vec![]), ("theirs", vec![Reject::ModelDiffers])] {
            let (mut federation, sum) = shared(1);
            federation.say(sum);
            let seen = federation.seen();
            let mut outputs = Vec::new();
            if is_early {
                outputs.extend(federation.input(1, opened("ours")));
            }
            outputs.extend(federation.say(closed(model, seen)).swap_remove(0));
            if !is_early {
                outputs.extend(federation.input(1, opened("ours")));
            }
            assert_eq!((adopts(&outputs), refusals(&[outputs])), (expected.is_empty(), expected), "{is_early} {model}");
        }
    }
}

/// Of a refusal that no test knows, nobody knows whether it is ever said.
#[test]
fn every_refusal_is_asserted_by_a_test() {
    fn read(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut tests = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    read(&root.join("tests"), &mut tests);
    read(&root.join("src/net/tests"), &mut tests);
    read(&root.join("src/training/tests"), &mut tests);
    read(&root.join("src/training/follower"), &mut tests);
    read(&root.join("../client/src/hospital/tests"), &mut tests);
    let never_said = Reject::EncryptionInterrupted;
    let is_named = |reject: &&Reject| {
        let name = format!("Reject::{reject:?}");
        tests.match_indices(&name).any(|(at, _)| !tests[at + name.len()..].starts_with(char::is_alphanumeric))
    };
    let unnamed: Vec<&Reject> =
        Reject::ALL.iter().filter(|reject| **reject != never_said && !is_named(reject)).collect();
    assert_eq!(unnamed, Vec::<&Reject>::new());
}

/// Whoever is missing could choose its share when it has seen the others'.
#[test]
fn shares_of_a_key_that_lack_somebody_or_are_not_this_hospitals_own_are_not_answered() {
    let log = messages(&Federation::with_keys(Some(digest("program"))));
    let at = log.iter().position(|message| matches!(message, LogMessage::ServingStepHeads(_))).unwrap();
    type Change<'a> = &'a dyn Fn(&mut Vec<SignedMessage>);
    let changes: [Change<'_>; 2] = [&|it| drop(it.pop()), &|it| {
        it[0] = SignedMessage::sign(&key(1), party(1), Epoch(1), 99, it[0].seen, it[0].body.clone());
    }];
    for change in changes {
        let mut log = log[..=at].to_vec();
        let LogMessage::ServingStepHeads(it) = &mut log[at] else { panic!("{log:?}") };
        change(&mut it.heads);
        let outputs = hears(&log).swap_remove(at);
        assert!(!outputs.iter().any(|output| matches!(output, HospitalOutput::Upload { .. })), "{outputs:?}");
        ends(outputs, Reject::CommitmentBroken);
    }
}
