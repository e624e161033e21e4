//! An audit of a head's training: every rule, broken once, is found at its entry and by its author.

use protocol::message::{
    FeaturesHead, FeaturesReady, HospitalMessage, LogMessage, ModelPublished, ModelVerdict, ModelVerified,
    RefreshBlinded, RefreshDone, RoundPurpose,
};
use protocol::terms::Terms;
use protocol::{Attempt, Reject, StepId};

use crate::federation::{Federation, body, digest, set, terms};
use crate::heads::{T, features, features_open, head_terms, refresh_heads, refresh_open, under_head, with_moments};
use crate::script::{COORDINATOR, Script, after, audited, by, ceremony, keys, publishing, resigned, say};
use crate::serving::messages;

/// A whole training, after its keys.
fn trained() -> (Vec<LogMessage>, Vec<LogMessage>) {
    let (step, attempt) = (StepId::FIRST, Attempt::FIRST);
    let heads = (1..=5).map(|number| say(number, HospitalMessage::FeaturesHead(features(number)))).collect();
    let (shares, opening) = refresh_heads();
    let shares = T.iter().zip(shares).map(|(number, head)| say(*number, head)).collect();
    let (model, program) = (digest("head"), digest("program"));
    let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program });
    let verdicts = T.iter().map(|number| say(*number, verdict.clone())).collect();
    let training = vec![
        features_open(),
        LogMessage::FeaturesReady(FeaturesReady { heads, rows: 500, program: digest("steps") }),
        LogMessage::RefreshOpen(Box::new(refresh_open())),
        LogMessage::RefreshBlinded(RefreshBlinded { step, attempt, heads: shares, sums: body("sums") }),
        LogMessage::RefreshDone(Box::new(RefreshDone {
            step,
            attempt,
            opening: say(1, HospitalMessage::OpeningHead(opening)),
        })),
        LogMessage::ModelPublished(ModelPublished { attempt, model, program }),
        LogMessage::ModelVerified(ModelVerified { verdicts }),
    ];
    (messages(&Federation::under(&under_head())), training)
}

/// What an audit finds of these entries after the keys: of the last one.
fn found(entries: &[&LogMessage], terms: Option<&Terms>) -> Result<(), (protocol::verifier::Author, Reject)> {
    let (keys, _) = trained();
    let entries: Vec<LogMessage> = entries.iter().map(|entry| (*entry).clone()).collect();
    let last = (keys.len() + entries.len()) as u64 - 1;
    audited(&after(keys, &[&entries]), terms).map_err(|(at, author, reject)| {
        assert_eq!(at, last, "{reject}");
        (author, reject)
    })
}

#[test]
fn a_training_is_audited_with_the_terms_and_without() {
    let (keys, training) = trained();
    let log = after(keys, &[&training]);
    assert_eq!(audited(&log, Some(&under_head())), Ok(()));
    assert_eq!(audited(&log, None), Ok(()));
}

#[test]
fn a_training_that_nobody_approved_is_found() {
    let (_, training) = trained();
    let refused = Err((COORDINATOR, Reject::PlanNotApproved));
    let none = after(keys(), &[&training[..1]]);
    let at = none.len() as u64 - 1;
    assert_eq!(audited(&none, Some(&terms())), Err((at, COORDINATOR, Reject::PlanNotApproved)));
    let mut other = head_terms();
    other.recipe = digest("another");
    let other = Terms { head: Some(other), ..under_head() };
    assert_eq!(found(&[&training[0]], Some(&other)), refused);
    // Nor are parts of a head published.
    let parts = publishing("model 0", set(T));
    assert_eq!(found(&[&parts[0]], Some(&under_head())), refused);
    assert_eq!(found(&[&training[0], &parts[0]], None), refused);
}

#[test]
fn a_training_needs_the_keys_first_and_takes_its_entries_in_their_order() {
    let (_, training) = trained();
    let [open, ready, refresh, blinded, done, published, _] = &training[..] else { unreachable!("{training:?}") };
    let out_of_turn = Err((COORDINATOR, Reject::OutOfTurn));
    let unopened: Vec<LogMessage> = ceremony().into_iter().take(3).chain([open.clone()]).collect();
    let at = unopened.len() as u64 - 1;
    assert_eq!(audited(&unopened, Some(&under_head())), Err((at, COORDINATOR, Reject::OutOfTurn)));
    for terms in [Some(under_head()), None] {
        let found = |entries: &[&LogMessage]| found(entries, terms.as_ref());
        assert_eq!(found(&[ready]), out_of_turn, "not asked for");
        assert_eq!(found(&[open, ready, ready]), out_of_turn);
        assert_eq!(found(&[open, ready, open]), out_of_turn);
        assert_eq!(found(&[open, refresh]), out_of_turn, "on nothing");
        assert_eq!(found(&[open, ready, blinded]), out_of_turn);
        assert_eq!(found(&[open, ready, refresh, done]), out_of_turn);
        assert_eq!(found(&[open, ready, published]), out_of_turn, "no step was taken");
        assert_eq!(found(&[open, ready, refresh, blinded, published]), out_of_turn);
        let twice = found(&[open, ready, refresh, blinded, done, published, published]);
        assert_eq!(twice, Err((COORDINATOR, Reject::Contradiction)));
    }
}

#[test]
fn a_head_with_a_round_of_moments_is_not_trained_before_it() {
    let (_, training) = trained();
    assert_eq!(found(&[&training[0]], Some(&with_moments())), Err((COORDINATOR, Reject::OutOfTurn)));
    let moments = Script { purpose: RoundPurpose::Moments, terms: with_moments(), ..Script::new(1, "model 0") };
    let moments = moments.whole("moments");
    let (keys, _) = trained();
    let log = after(keys, &[&moments, &training]);
    assert_eq!(audited(&log, Some(&with_moments())), Ok(()));
    let again = Script { purpose: RoundPurpose::Moments, terms: with_moments(), ..Script::new(2, "model 0") };
    let (keys, _) = trained();
    let log = after(keys, &[&moments, &[again.open()]]);
    let at = log.len() as u64 - 1;
    assert_eq!(audited(&log, Some(&with_moments())), Err((at, COORDINATOR, Reject::FiguresAgain)));
}

#[test]
fn all_steps_are_taken_before_a_head_is_published_by_the_program_that_was_approved() {
    let (_, training) = trained();
    let before: Vec<&LogMessage> = training[..5].iter().collect();
    let mut two = head_terms();
    two.steps = 2;
    let two = Terms { head: Some(two), ..under_head() };
    let all = [&before[..], &[&training[5]]].concat();
    assert_eq!(found(&all, Some(&two)), Err((COORDINATOR, Reject::OutOfTurn)));
    let LogMessage::ModelPublished(published) = &training[5] else { unreachable!("{training:?}") };
    let (mut attempt, mut program) = (published.clone(), published.clone());
    (attempt.attempt, program.program) = (Attempt(2), digest("another"));
    for (other, reject) in [(attempt, Reject::OutOfTurn), (program, Reject::PlanNotApproved)] {
        let other = LogMessage::ModelPublished(other);
        let all = [&before[..], &[&other]].concat();
        assert_eq!(found(&all, Some(&under_head())), Err((COORDINATOR, reject)));
    }
}

#[test]
fn what_is_trained_on_is_what_enough_signed_for_and_has_the_bodies_of_its_groups() {
    let (_, training) = trained();
    let LogMessage::FeaturesReady(ready) = &training[1] else { unreachable!("{training:?}") };
    let found = |changed: FeaturesReady, terms: Option<&Terms>| {
        found(&[&training[0], &LogMessage::FeaturesReady(changed)], terms)
    };
    let with = |change: fn(&mut FeaturesHead)| {
        let mut changed = ready.clone();
        resigned(&mut changed.heads[2], |body| match body {
            HospitalMessage::FeaturesHead(head) => change(head),
            other => unreachable!("{other:?}"),
        });
        changed
    };
    let groups = with(|head| head.groups = 2);
    assert_eq!(found(groups.clone(), Some(&under_head())), Err((by(3), Reject::LimitExceeded)));
    assert_eq!(found(groups, None), Ok(()), "whose terms are not at hand");
    let rows = with(|head| head.rows = 499);
    assert_eq!(found(rows, None), Err((COORDINATOR, Reject::Contradiction)));
    let short = |count: usize| FeaturesReady { heads: ready.heads[..count].to_vec(), ..ready.clone() };
    let mut swapped = ready.clone();
    swapped.heads.swap(1, 2);
    assert_eq!(found(swapped, None), Err((COORDINATOR, Reject::ManifestMalformed)));
    assert_eq!(found(short(3), None), Err((COORDINATOR, Reject::CohortTooSmall)));
    assert_eq!(found(short(4), None), Ok(()));
    let strict = Terms { min_cohort: 5, ..under_head() };
    assert_eq!(found(short(4), Some(&strict)), Err((COORDINATOR, Reject::CohortTooSmall)));
}

#[test]
fn shares_of_another_refresh_and_packages_of_another_number_are_found() {
    let (_, training) = trained();
    let LogMessage::RefreshBlinded(blinded) = &training[3] else { unreachable!("{training:?}") };
    let before: Vec<&LogMessage> = training[..3].iter().collect();
    let mut other = blinded.clone();
    resigned(&mut other.heads[1], |body| match body {
        HospitalMessage::RefreshHead(head) => head.binding = digest("another refresh"),
        other => unreachable!("{other:?}"),
    });
    let mut few = blinded.clone();
    few.heads.pop();
    for (changed, reject) in [(other, Reject::Contradiction), (few, Reject::TooFewSignatures)] {
        let changed = LogMessage::RefreshBlinded(changed);
        let all = [&before[..], &[&changed]].concat();
        assert_eq!(found(&all, None), Err((COORDINATOR, reject)));
    }
    let mut many = refresh_open();
    many.packages.count = 2;
    let many = LogMessage::RefreshOpen(Box::new(many));
    let all = [&training[0], &training[1], &many];
    assert_eq!(found(&all, Some(&under_head())), Err((COORDINATOR, Reject::LimitExceeded)));
}
