//! An audit of rounds: every rule, broken once, is found at its entry and by its author.

use protocol::message::{
    Abandon, HospitalMessage, LogMessage, Manifest, RoundPurpose, RoundVoid, SignedMessage, UpdateHead, VoidReason,
};
use protocol::terms::Terms;
use protocol::{Attempt, Reject, RoundId};

use crate::federation::{digest, set, terms};
use crate::script::{COORDINATOR, Script, after, audited, by, ceremony, is_found, place, resigned, say};
use crate::serving::messages;

/// A ceremony and one round, closed.
fn trained() -> Vec<LogMessage> {
    after(ceremony(), &[&Script::new(1, "model 0").whole("model 1")])
}

/// The last entry of this log is the first wrong one, by the coordinator.
fn last_is(log: &[LogMessage], reject: Reject) {
    assert_eq!(audited(log, None), Err((log.len() as u64 - 1, COORDINATOR, reject)), "{:?}", log.last());
}

fn goes(log: &[LogMessage]) {
    assert_eq!(audited(log, Some(&terms())), Ok(()));
}

fn manifest(message: &mut LogMessage) -> &mut Manifest {
    match message {
        LogMessage::Manifest(it) => it,
        other => unreachable!("{other:?}"),
    }
}

fn with_head(change: impl Fn(&mut UpdateHead)) -> impl FnOnce(&mut LogMessage) {
    move |it| {
        resigned(&mut manifest(it).heads[2], |body| match body {
            HospitalMessage::UpdateHead(head) => change(head),
            other => unreachable!("{other:?}"),
        });
    }
}

fn abandoned(attempt: u32) -> LogMessage {
    LogMessage::Abandon(Abandon { round: RoundId(1), attempt: Attempt(attempt), lost: set(&[4]) })
}

fn void(round: u32) -> LogMessage {
    let reason = VoidReason::CombineFailed;
    LogMessage::RoundVoid(RoundVoid { round: RoundId(round), reason })
}

#[test]
fn rounds_go_up_from_an_open_epoch_on_and_from_the_model_that_all_hold() {
    let (log, next) = (trained(), Script::new(2, "model 1"));
    goes(&after(log.clone(), &[&next.whole("model 2")]));
    let opened = |script: &Script| after(log.clone(), &[&[script.open()]]);
    last_is(&opened(&Script { round: 1, ..next.clone() }), Reject::RoundNumber);
    last_is(&opened(&Script::new(2, "model 0")), Reject::BaseModelDiffers);
    let other = Terms { rounds: 8, ..terms() };
    last_is(&opened(&Script { terms: other, ..next }), Reject::PlanNotApproved);
    let epoch = place(&log, |it| matches!(it, LogMessage::KeyEpochOpen(_)));
    let first = Script::new(1, "model 0");
    last_is(&after(log[..epoch].to_vec(), &[&[first.open()]]), Reject::OutOfTurn);
    // What the first round names is anybody's guess without the terms, and not with them.
    for script in [Script::new(1, "model 9"), Script { terms: Terms { rounds: 8, ..terms() }, ..first }] {
        let (log, at) = (after(ceremony(), &[&[script.open()]]), ceremony().len() as u64);
        assert_eq!(audited(&log, None), Ok(()));
        let is_base = script.round == 1 && script.base_model == digest("model 9");
        let reject = if is_base { Reject::BaseModelDiffers } else { Reject::PlanNotApproved };
        assert_eq!(audited(&log, Some(&terms())), Err((at, COORDINATOR, reject)));
    }
}

#[test]
fn there_are_as_many_rounds_as_was_approved_of_either_kind() {
    let terms = Terms { rounds: 2, figure_rounds: 1, ..terms() };
    let script = |round, base: &str| Script { terms: terms.clone(), ..Script::new(round, base) };
    let figures = |round, base: &str| Script { purpose: RoundPurpose::Figures, ..script(round, base) };
    let voided = [script(1, "model 0").open(), void(1)];
    let two =
        after(ceremony(), &[&voided, &script(2, "model 0").whole("model 1"), &script(3, "model 1").whole("model 2")]);
    let third = after(two.clone(), &[&[script(4, "model 2").open()]]);
    let at = |log: &[LogMessage]| log.len() as u64 - 1;
    assert_eq!(audited(&third, None), Ok(()), "nobody knows how many there may be");
    assert_eq!(audited(&third, Some(&terms)), Err((at(&third), COORDINATOR, Reject::PlanNotApproved)));
    // Figures change no model.
    let measured = after(two, &[&figures(4, "model 2").whole("figures")]);
    assert_eq!(audited(&measured, Some(&terms)), Ok(()));
    let again = after(measured, &[&[figures(5, "model 2").open()]]);
    assert_eq!(audited(&again, Some(&terms)), Err((at(&again), COORDINATOR, Reject::FiguresAgain)));
}

#[test]
fn every_word_of_a_round_is_of_the_one_that_is_open_and_of_its_attempt() {
    let script = Script::new(1, "model 0");
    let second = Script { attempt: 2, ..script.clone() };
    let mut words = vec![script.sum(), script.closed("model 1"), abandoned(1), void(1)];
    words.extend(script.requested());
    for word in &words {
        last_is(&after(ceremony(), &[std::slice::from_ref(word)]), Reject::RoundNumber);
        last_is(&after(trained(), &[std::slice::from_ref(word)]), Reject::RoundNumber);
        let voided = after(ceremony(), &[&[script.open(), void(1), word.clone()]]);
        last_is(&voided, Reject::RoundNumber);
    }
    let mut later = vec![second.sum(), second.closed("model 1"), abandoned(2), void(2)];
    later.extend(second.requested());
    for word in &later {
        last_is(
            &after(ceremony(), &[&[script.open()], &script.requested(), std::slice::from_ref(word)]),
            Reject::RoundNumber,
        );
    }
    let next = [&[abandoned(1)][..], &second.requested(), &[second.sum(), second.closed("model 1")]].concat();
    goes(&after(ceremony(), &[&[script.open()], &script.requested(), &next]));
    let old = [abandoned(1), script.requested()[0].clone()];
    last_is(&after(ceremony(), &[&[script.open()], &script.requested(), &old]), Reject::RoundNumber);
}

#[test]
fn a_head_of_another_round_base_plan_purpose_or_size_is_its_makers() {
    let log = trained();
    let at = place(&log, |it| matches!(it, LogMessage::Manifest(_)));
    let of_three = (by(3), Reject::ManifestMalformed);
    is_found(&log, at, with_head(|head| head.base_model = digest("another")), of_three);
    is_found(&log, at, with_head(|head| head.terms = digest("another")), of_three);
    is_found(&log, at, with_head(|head| head.purpose = RoundPurpose::Figures), of_three);
    is_found(&log, at, with_head(|head| head.body.size_bytes = u64::MAX), of_three);
    // These it signed for something else, and the coordinator put them here.
    let misplaced = (COORDINATOR, Reject::ManifestMalformed);
    is_found(&log, at, with_head(|head| head.round = RoundId(2)), misplaced);
    is_found(&log, at, with_head(|head| head.attempt = Attempt(2)), misplaced);
    is_found(&log, at, with_head(|head| head.body.count = 2), misplaced);
    let long = |it: &mut LogMessage| with_head(|head| head.body.count = 2)(it);
    let mut other = log[..=at].to_vec();
    long(&mut other[at]);
    let found = audited(&other, Some(&terms()));
    assert_eq!(found, Err((at as u64, by(3), Reject::ManifestMalformed)), "the terms say who is right");
}

#[test]
fn a_manifest_is_sorted_large_enough_and_of_heads_alone() {
    let log = trained();
    let at = place(&log, |it| matches!(it, LogMessage::Manifest(_)));
    let heads = |change: fn(&mut Vec<SignedMessage>)| move |it: &mut LogMessage| change(&mut manifest(it).heads);
    let malformed = (COORDINATOR, Reject::ManifestMalformed);
    is_found(&log, at, heads(|it| it.swap(1, 2)), malformed);
    is_found(&log, at, heads(|it| it[2] = it[1].clone()), malformed);
    let leaving = HospitalMessage::Leaving(protocol::message::Leaving { reject: Reject::Stopping });
    is_found(&log, at, |it| manifest(it).heads[1] = say(2, leaving), malformed);
    is_found(&log, at, heads(|it| it[1].sequence += 1), (COORDINATOR, Reject::BadSignature));
    is_found(&log, at, heads(|it| it.truncate(3)), (COORDINATOR, Reject::CohortTooSmall));
    is_found(&log, at, heads(Vec::clear), (COORDINATOR, Reject::CohortTooSmall));
    // Members may have agreed on more than the threshold.
    let strict = Terms { min_cohort: 5, ..terms() };
    let script = Script { terms: strict.clone(), cohort: vec![1, 2, 3, 4], ..Script::new(1, "model 0") };
    let log = after(ceremony(), &[&script.whole("model 1")]);
    assert_eq!(audited(&log, None), Ok(()));
    let found = audited(&log, Some(&strict));
    assert_eq!(found, Err((ceremony().len() as u64 + 1, COORDINATOR, Reject::CohortTooSmall)));
}

#[test]
fn a_round_keeps_its_cohort_has_one_manifest_an_attempt_and_no_more_attempts_than_approved() {
    let script = Script::new(1, "model 0");
    let four = Script { attempt: 2, cohort: vec![1, 2, 3, 4], ..script.clone() };
    let begun = [&[script.open()][..], &script.requested()].concat();
    last_is(&after(ceremony(), &[&begun, &[abandoned(1), four.requested()[0].clone()]]), Reject::CohortChanged);
    last_is(&after(ceremony(), &[&begun, &script.requested()[..1]]), Reject::Contradiction);
    let mut log = after(ceremony(), &[&[script.open()]]);
    for attempt in 1..=4 {
        let script = Script { attempt, ..script.clone() };
        log.extend(script.requested());
        log.push(abandoned(attempt));
    }
    assert_eq!(audited(&log, None), Ok(()));
    let fourth = place(&log, |it| matches!(it, LogMessage::Manifest(it) if it.attempt == Attempt(4)));
    assert_eq!(audited(&log, Some(&terms())), Err((fourth as u64, COORDINATOR, Reject::RoundNumber)), "of three");
}

#[test]
fn what_t_hospitals_did_not_sign_alike_counts_for_nothing() {
    let log = trained();
    let frozen = place(&log, |it| matches!(it, LogMessage::CohortFrozen(_)));
    let request = place(&log, |it| matches!(it, LogMessage::ShareRequest(_)));
    let closed = place(&log, |it| matches!(it, LogMessage::RoundClosed(_)));
    fn words(message: &mut LogMessage) -> &mut Vec<SignedMessage> {
        match message {
            LogMessage::CohortFrozen(it) => &mut it.signatures,
            LogMessage::ShareRequest(it) => &mut it.acceptances,
            LogMessage::RoundClosed(it) => &mut it.votes,
            other => unreachable!("{other:?}"),
        }
    }
    fn other(body: &mut HospitalMessage, what: usize) {
        let (round, attempt) = (RoundId(2), Attempt(2));
        match (body, what) {
            (HospitalMessage::ManifestSignature(it), 0) => it.manifest = digest("another"),
            (HospitalMessage::ManifestSignature(it), 1) => it.round = round,
            (HospitalMessage::ManifestSignature(it), _) => it.attempt = attempt,
            (HospitalMessage::Acceptance(it), 0) => it.manifest = digest("another"),
            (HospitalMessage::Acceptance(it), 1) => it.round = round,
            (HospitalMessage::Acceptance(it), 2) => it.decryptors = set(&[2, 3, 4, 5]),
            (HospitalMessage::Acceptance(it), _) => it.attempt = attempt,
            (HospitalMessage::ModelVote(it), 0) => it.model = Some(digest("another")),
            (HospitalMessage::ModelVote(it), 1) => it.round = round,
            (HospitalMessage::ModelVote(it), 2) => it.model = None,
            (HospitalMessage::ModelVote(it), _) => it.attempt = attempt,
            (body, _) => unreachable!("{body:?}"),
        }
    }
    for at in [frozen, request, closed] {
        is_found(&log, at, |it| drop(words(it).pop()), (COORDINATOR, Reject::TooFewSignatures));
        is_found(&log, at, |it| words(it)[3] = words(it)[0].clone(), (COORDINATOR, Reject::Contradiction));
        for what in 0..4 {
            let change = |it: &mut LogMessage| resigned(&mut words(it)[1], |body| other(body, what));
            is_found(&log, at, change, (COORDINATOR, Reject::Contradiction));
        }
    }
    // Who accepted without being asked is none of T.
    let by_five = |it: &mut LogMessage| {
        let body = words(it)[3].body.clone();
        words(it)[3] = say(5, body);
    };
    is_found(&log, request, by_five, (COORDINATOR, Reject::TooFewSignatures));
    let renamed = |it: &mut LogMessage| match it {
        LogMessage::CohortFrozen(it) => it.manifest = digest("another"),
        other => unreachable!("{other:?}"),
    };
    is_found(&log, frozen, renamed, (COORDINATOR, Reject::Contradiction));
    // Of a manifest that stands nowhere, however many signed it.
    let elsewhere = |it: &mut LogMessage| {
        words(it).iter_mut().for_each(|word| resigned(word, |body| other(body, 0)));
        renamed(it);
    };
    is_found(&log, frozen, elsewhere, (COORDINATOR, Reject::Contradiction));
}

#[test]
fn no_step_of_an_attempt_comes_early_or_twice() {
    let script = Script::new(1, "model 0");
    let [manifest, frozen, chosen, request] = &script.requested()[..] else { unreachable!("four entries") };
    let (sum, closed, open) = (script.sum(), script.closed("model 1"), script.open());
    let found = |words: &[&LogMessage], reject| {
        let words: Vec<LogMessage> = words.iter().map(|word| (*word).clone()).collect();
        last_is(&after(ceremony(), &[&words]), reject);
    };
    found(&[&open, frozen], Reject::OutOfTurn);
    found(&[&open, manifest, chosen], Reject::OutOfTurn);
    found(&[&open, request], Reject::OutOfTurn);
    found(&[&open, manifest, frozen, request], Reject::OutOfTurn);
    found(&[&open, manifest, frozen, chosen, chosen], Reject::AlreadyAccepted);
    found(&[&open, manifest, frozen, chosen, &sum], Reject::OutOfTurn);
    found(&[&open, manifest, frozen, chosen, request, &closed], Reject::OutOfTurn);
    found(&[&open, manifest, frozen, chosen, request, &sum, &sum], Reject::OutOfTurn);
    for decryptors in [&[1, 2, 3][..], &[1, 2, 3, 4, 5], &[1, 2, 3, 9]] {
        let script = Script { decryptors: decryptors.to_vec(), ..script.clone() };
        let chosen = LogMessage::Decryptors(protocol::message::Decryptors {
            round: RoundId(1),
            attempt: Attempt(1),
            decryptors: set(&script.decryptors),
        });
        found(&[&open, manifest, frozen, &chosen], Reject::DecryptorsWrong);
    }
}

#[test]
fn a_sum_is_of_the_shares_that_t_hospitals_signed_for_just_this_and_a_wrong_one_is_its_makers() {
    let log = trained();
    let at = place(&log, |it| matches!(it, LogMessage::SumReady(_)));
    fn shares(message: &mut LogMessage) -> &mut Vec<SignedMessage> {
        match message {
            LogMessage::SumReady(it) => &mut it.shares,
            other => unreachable!("{other:?}"),
        }
    }
    let with = |change: fn(&mut protocol::message::ShareHead)| {
        move |it: &mut LogMessage| {
            resigned(&mut shares(it)[1], |body| match body {
                HospitalMessage::ShareHead(head) => change(head),
                other => unreachable!("{other:?}"),
            });
        }
    };
    is_found(&log, at, with(|head| head.binding = digest("another")), (by(2), Reject::Contradiction));
    is_found(&log, at, with(|head| head.body.count = 2), (by(2), Reject::Contradiction));
    is_found(&log, at, with(|head| head.attempt = Attempt(2)), (COORDINATOR, Reject::Contradiction));
    is_found(&log, at, with(|head| head.round = RoundId(2)), (COORDINATOR, Reject::Contradiction));
    is_found(&log, at, |it| drop(shares(it).pop()), (COORDINATOR, Reject::TooFewSignatures));
    let chunks = |it: &mut LogMessage| match it {
        LogMessage::SumReady(it) => it.chunks.push(digest("one more")),
        other => unreachable!("{other:?}"),
    };
    is_found(&log, at, chunks, (COORDINATOR, Reject::SumRejected));
}

#[test]
fn cohorts_on_one_model_do_not_differ_by_few() {
    let four = vec![1, 2, 3, 4];
    let other = |round, base: &str| Script { cohort: four.clone(), ..Script::new(round, base) };
    let begun = [&[Script::new(1, "model 0").open()][..], &Script::new(1, "model 0").requested(), &[void(1)]].concat();
    let second = [&[other(2, "model 0").open()][..], &other(2, "model 0").requested()].concat();
    last_is(&after(ceremony(), &[&begun, &second]), Reject::CohortRule);
    // From another model, or where the first sum was never asked for, nothing is learned.
    goes(&after(trained(), &[&other(2, "model 1").whole("model 2")]));
    let unasked = [Script::new(1, "model 0").open(), Script::new(1, "model 0").requested()[0].clone(), void(1)];
    goes(&after(ceremony(), &[&unasked, &other(2, "model 0").whole("model 1")]));
    // The same cohort again gives the same sum.
    let again = [&[Script::new(2, "model 0").open()][..], &Script::new(2, "model 0").requested()].concat();
    goes(&after(ceremony(), &[&begun, &again]));
}

#[test]
fn a_share_beyond_the_flooding_budget_is_its_makers() {
    let tight = Terms { tau_aggregation: 2, ..terms() };
    let script = |round, decryptors: &[u16]| {
        let base_model = digest(&format!("model {}", round - 1));
        let decryptors = decryptors.to_vec();
        Script { terms: tight.clone(), base_model, decryptors, ..Script::new(round, "") }
    };
    let whole = |round, decryptors: &[u16]| script(round, decryptors).whole(&format!("model {round}"));
    let two = after(ceremony(), &[&whole(1, &[1, 2, 3, 4]), &whole(2, &[1, 2, 3, 5])]);
    assert_eq!(audited(&two, Some(&tight)), Ok(()));
    let third = after(two.clone(), &[&whole(3, &[2, 3, 4, 5])]);
    assert_eq!(audited(&third, None), Ok(()));
    let at = third.len() as u64 - 2;
    assert_eq!(audited(&third, Some(&tight)), Err((at, by(2), Reject::BudgetSpent)));
    // Asked again in the same attempt it is charged once.
    let request = place(&two, |it| matches!(it, LogMessage::ShareRequest(_)));
    let again = [&two[..=request], &two[request..]].concat();
    assert_eq!(audited(&again, Some(&tight)), Ok(()));
}

/// What machines say to each other is what the script says.
#[test]
fn the_script_is_what_honest_machines_log() {
    let mut federation = crate::federation::Federation::new();
    federation.shared(RoundPurpose::Train, 1);
    let honest = messages(&federation);
    let script = after(ceremony(), &[&[Script::new(1, "model 0").open()], &Script::new(1, "model 0").requested()]);
    let kind = |message: &LogMessage| std::mem::discriminant(message);
    assert!(honest.iter().map(kind).eq(script.iter().map(kind)));
    assert_eq!(audited(&honest, Some(&terms())), Ok(()));
}
