//! Rounds of figures: one per key epoch, and nobody's update is added to others' figures.

use protocol::facts::Fact;
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::message::{HospitalMessage, LogMessage, Manifest, RoundClosed, RoundPurpose, SumReady};
use protocol::verifier::Verifier;
use protocol::{Attempt, Reject, RoundId};

use crate::federation::{Federation, digest, heads, instead, key, refusals, sent};

/// Runs a round of figures to its end; returns what the hospitals say to it.
fn close(federation: &mut Federation, round: u32) -> Vec<Vec<HospitalOutput>> {
    let shares = federation.shared(RoundPurpose::Figures, round);
    let (round, attempt, model) = (RoundId(round), Attempt(1), digest("figures"));
    federation.say(LogMessage::SumReady(SumReady { round, attempt, chunks: vec![digest("sum")], shares }));
    let mut votes = Vec::new();
    for number in 1..=5 {
        votes.extend(sent(federation.input(number, HospitalInput::SumOpened { round, attempt, model: Some(model) })));
    }
    federation.say(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes }))
}

#[test]
fn figures_are_kept_and_asked_for_only_as_often_as_was_approved() {
    let mut federation = Federation::new();
    let kept = close(&mut federation, 1);
    let expected = HospitalOutput::KeepFigures { round: RoundId(1), figures: digest("figures") };
    assert!(kept.iter().all(|outputs| outputs.contains(&expected)), "{kept:?}");
    assert!(federation.hospitals.iter().all(|hospital| hospital.model() == digest("model 0")), "no model changes");
    let updates = |fact: &&Fact| matches!(fact, Fact::Revealed(_));
    let figures = |fact: &&Fact| matches!(fact, Fact::RevealedFigures(_));
    let facts = federation.facts[0].iter();
    assert_eq!((facts.clone().filter(updates).count(), facts.filter(figures).count()), (0, 1), "no updates are known");
    assert_eq!(refusals(&federation.open_for(RoundPurpose::Figures, 2)), [Reject::FiguresAgain; 5]);
    assert_eq!(refusals(&federation.open(3)), [], "training may go on");
}

#[test]
fn heads_of_another_purpose_are_refused_by_everybody() {
    let mut federation = Federation::new();
    let opened = federation.open_for(RoundPurpose::Figures, 1);
    assert_eq!(refusals(&opened), []);
    let mut all = heads(opened, 1, &[1, 2, 3, 4, 5]);
    let HospitalMessage::UpdateHead(head) = &mut all[4].body else { panic!("{:?}", all[4]) };
    assert_eq!(head.purpose, RoundPurpose::Figures);
    head.purpose = RoundPurpose::Train;
    all[4] = instead(&all[4], all[4].body.clone());
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads: all };
    let refused = refusals(&federation.say(LogMessage::Manifest(manifest)));
    assert_eq!(refused, [Reject::ManifestMalformed; 5]);
    let mut verifier = Verifier::new(key(99).verifying_key());
    let (last, before) = federation.log.split_last().unwrap();
    before.iter().for_each(|entry| verifier.check(entry).unwrap());
    assert_eq!(verifier.check(last).map_err(|error| error.reject), Err(Reject::ManifestMalformed));
}
