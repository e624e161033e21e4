//! The keys that a head is trained under: a second set, by the plan that was approved with the head, or none.

use protocol::Reject;
use protocol::facts::HospitalFacts;
use protocol::hospital::{HospitalInput, HospitalOutput, ProofOf};
use protocol::log::LogWriter;
use protocol::message::{Key, KeySet, KeyStep, LogMessage};
use protocol::terms::Terms;
use protocol::training::HeadTerms;

use crate::federation::{Federation, N, digest, hospital_under, key, key_share, key_sum, party, refusals, terms};
use crate::heads::{features_open, head_terms, under_head};
use crate::script::{COORDINATOR, audited, place};
use crate::serving::messages;

/// The log of an honest ceremony under a head.
fn honest() -> Vec<LogMessage> {
    messages(&Federation::under(&under_head()))
}

fn opened(log: &[LogMessage], step: KeyStep) -> usize {
    place(log, |message| matches!(message, LogMessage::ServingStepOpen(open) if open.step == step))
}

/// What the first hospital, under these terms, does after each of these entries, while its work is done at once.
fn hears(log: &[LogMessage], terms: Terms) -> Vec<Vec<HospitalOutput>> {
    let mut writer = LogWriter::new(key(99));
    let mut alone = Federation {
        writer: LogWriter::new(key(99)),
        log: Vec::new(),
        hospitals: vec![hospital_under(1, HospitalFacts::default(), terms)],
        facts: vec![Vec::new()],
        chunks: 1,
    };
    let entries = log.iter().map(|message| writer.append(message.clone()));
    entries.map(|entry| alone.input(1, HospitalInput::Entry(entry))).collect()
}

#[test]
fn every_hospital_adds_both_sets_up_and_signs_for_all_of_it_once() {
    let log = honest();
    assert_eq!(audited(&log, Some(&under_head())), Ok(()));
    assert_eq!(audited(&log, None), Ok(()));
    let outputs = hears(&log, under_head());
    assert_eq!(refusals(&outputs), []);
    let asked = under_head().keys_asked();
    let is_added = |output: &&HospitalOutput| {
        matches!(output, HospitalOutput::AddShares { .. } | HospitalOutput::CheckProofs { .. })
    };
    let added: Vec<KeyStep> = outputs
        .iter()
        .flatten()
        .filter(is_added)
        .map(|output| match output {
            HospitalOutput::AddShares { step, .. } | HospitalOutput::CheckProofs { step, .. } => *step,
            other => unreachable!("{other:?}"),
        })
        .collect();
    assert!(KeyStep::steps(asked).eq(added));
    // Proofs are of the shares of their own set.
    let proofs = outputs.iter().flatten().find_map(|output| match output {
        HospitalOutput::CheckProofs { step: KeyStep::TrainingRelinAnswers, proofs, sum } => {
            Some((proofs.clone(), *sum))
        }
        _ => None,
    });
    let of = |number: u16| {
        let share = |key| key_share(KeyStep::of(KeySet::Training, key).unwrap(), number);
        let [first, second, answers] = [Key::RelinRoundOne, Key::RelinRoundTwo, Key::RelinAnswers].map(share);
        ProofOf { set: KeySet::Training, party: party(number), first, second, answers }
    };
    assert_eq!(proofs, Some(((2..=N).map(of).collect(), key_sum(KeyStep::TrainingRelinAnswers))));
    let uploads: Vec<(u64, protocol::BlobKind)> = outputs
        .iter()
        .flatten()
        .filter_map(|output| match output {
            HospitalOutput::Upload { kind, number, .. } if *kind != protocol::BlobKind::Dealing => {
                Some((*number, *kind))
            }
            _ => None,
        })
        .collect();
    let expected = KeyStep::steps(asked).map(|step| (step.round(), step.blob_kind()));
    assert!(expected.eq(uploads), "the sets' bodies lie apart");
    let LogMessage::ServingKeysReady(ready) = log.last().unwrap() else { panic!("no end") };
    assert_eq!((ready.plan, ready.verdicts.len()), (digest("program"), usize::from(N)));
}

#[test]
fn keys_of_a_training_that_was_not_approved_are_not_made() {
    let log = honest();
    let at = opened(&log, KeyStep::TrainingGate);
    let other = HeadTerms { keys: digest("another plan"), ..head_terms() };
    for terms in [terms(), Terms { head: Some(other), ..under_head() }] {
        let said = hears(&log[..=at], terms.clone());
        assert_eq!(refusals(&said[at..]), [Reject::PlanNotApproved]);
        let makes = |output: &HospitalOutput| match output {
            HospitalOutput::MakeServingShare { step } => step.set() == KeySet::Training,
            _ => false,
        };
        assert!(!said.iter().flatten().any(makes));
        assert_eq!(audited(&log[..=at], Some(&terms)), Err((at as u64, COORDINATOR, Reject::PlanNotApproved)));
    }
    let mut second = log[..=at].to_vec();
    let LogMessage::ServingStepOpen(open) = &log[at] else { panic!("no step") };
    let mut changed = open.clone();
    (changed.step, changed.plan) = (KeyStep::TrainingRelinRoundOne, digest("another plan"));
    second.push(LogMessage::ServingStepOpen(changed));
    assert_eq!(audited(&second, None), Err((at as u64 + 1, COORDINATOR, Reject::PlanNotApproved)), "one plan of a set");
}

#[test]
fn keys_are_made_of_their_own_set_alone() {
    // The second round of a training is of the first of a training, whatever there is of serving.
    let log = honest();
    let (first, second) = (opened(&log, KeyStep::TrainingRelinRoundOne), opened(&log, KeyStep::TrainingRelinRoundTwo));
    let without: Vec<LogMessage> = [&log[..first], &log[second..=second]].concat();
    let said = hears(&without, under_head());
    assert_eq!(refusals(&said[first..]), [Reject::SumDiffers]);
    assert_eq!(audited(&without, Some(&under_head())), Err((first as u64, COORDINATOR, Reject::SumDiffers)));
}

#[test]
fn nothing_is_trained_before_all_keys_were_added_up() {
    let log = honest();
    let without_verdicts = &log[..log.len() - 1];
    let mut early = without_verdicts.to_vec();
    early.push(features_open());
    let at = early.len() as u64 - 1;
    assert_eq!(audited(&early, Some(&under_head())), Err((at, COORDINATOR, Reject::OutOfTurn)));
    // A hospital that has not added all of it up itself makes no features.
    let at = opened(&log, KeyStep::TrainingGalois);
    let mut early = log[..at].to_vec();
    early.push(features_open());
    let said = hears(&early, under_head());
    assert_eq!(refusals(&said[at..]), [Reject::OutOfTurn]);
}
