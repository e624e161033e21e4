//! An audit of publishing and of queries: every rule, broken once, is found at its entry and by its author.

use protocol::limits::{PUBLISH_ATTEMPTS_MAX, QUERY_BYTES_MAX};
use protocol::message::{HospitalMessage, LogMessage, PublishManifest, QueryHead, SignedMessage};
use protocol::terms::Terms;
use protocol::{Attempt, BodyRoot, QueryId, Reject};

use crate::federation::{Federation, body, digest, party, refusals, set, terms};
use crate::script::{COORDINATOR, Script, after, audited, by, is_found, keys, place, publishing, resigned, say};
use crate::serving::{messages, opened, query, requested, result, signed, verdict};
use crate::serving_keys::hears;

const T: &[u16] = &[1, 2, 3, 4];

/// Keys, and a model that four have added up.
fn published() -> Vec<LogMessage> {
    after(keys(), &[&publishing("model 0", set(&[1, 2, 3, 4, 5]))])
}

fn asked(asker: u16, counter: u64) -> SignedMessage {
    signed(asker, query(asker, counter))
}

fn released(asker: u16, counter: u64) -> LogMessage {
    let head = asked(asker, counter);
    requested(&head, result(&head), T)
}

#[test]
fn what_is_published_is_the_model_that_all_hold_under_the_program_that_was_approved() {
    let log = published();
    let at = place(&log, |it| matches!(it, LogMessage::PublishOpen(_)));
    fn open(message: &mut LogMessage) -> &mut protocol::message::PublishOpen {
        match message {
            LogMessage::PublishOpen(it) => it,
            other => unreachable!("{other:?}"),
        }
    }
    let change = |it: &mut LogMessage| open(it).program = digest("another");
    is_found(&log, at, change, (COORDINATOR, Reject::PlanNotApproved));
    let change = |it: &mut LogMessage| open(it).attempt = Attempt(PUBLISH_ATTEMPTS_MAX + 1);
    is_found(&log, at, change, (COORDINATOR, Reject::LimitExceeded));
    for cohort in [set(&[1, 2, 3]), set(&[1, 2, 3, 9])] {
        is_found(&log, at, |it| open(it).cohort = cohort, (COORDINATOR, Reject::CohortTooSmall));
    }
    let strict = Terms { min_cohort: 5, ..terms() };
    let four = after(keys(), &[&publishing("model 0", set(T))]);
    assert_eq!(audited(&four, None), Ok(()));
    assert_eq!(audited(&four, Some(&strict)), Err((at as u64, COORDINATOR, Reject::CohortTooSmall)));
    // After a round it is another model.
    let trained = after(keys(), &[&Script::new(1, "model 0").whole("model 1")]);
    let all = set(&[1, 2, 3, 4, 5]);
    assert_eq!(audited(&after(trained.clone(), &[&publishing("model 1", all)]), Some(&terms())), Ok(()));
    let found = audited(&after(trained.clone(), &[&publishing("model 0", all)]), None);
    assert_eq!(found, Err((trained.len() as u64, COORDINATOR, Reject::BaseModelDiffers)));
}

#[test]
fn a_contribution_to_something_else_is_its_makers_and_a_short_list_the_coordinators() {
    let log = published();
    let at = place(&log, |it| matches!(it, LogMessage::PublishManifest(_)));
    fn manifest(message: &mut LogMessage) -> &mut PublishManifest {
        match message {
            LogMessage::PublishManifest(it) => it,
            other => unreachable!("{other:?}"),
        }
    }
    let with = |change: fn(&mut protocol::message::PublishHead)| {
        move |it: &mut LogMessage| {
            resigned(&mut manifest(it).heads[2], |body| match body {
                HospitalMessage::PublishHead(head) => change(head),
                other => unreachable!("{other:?}"),
            });
        }
    };
    is_found(&log, at, with(|head| head.model = digest("another")), (by(3), Reject::Contradiction));
    is_found(&log, at, with(|head| head.program = digest("another")), (by(3), Reject::Contradiction));
    is_found(&log, at, with(|head| head.attempt = Attempt(2)), (COORDINATOR, Reject::Contradiction));
    is_found(&log, at, |it| drop(manifest(it).heads.pop()), (COORDINATOR, Reject::ManifestMalformed));
    is_found(&log, at, |it| manifest(it).attempt = Attempt(2), (COORDINATOR, Reject::ManifestMalformed));
}

#[test]
fn a_model_follows_its_manifest_once_and_is_verified_by_t() {
    let log = published();
    let [before @ .., open, manifest, model, verified] = &log[..] else { unreachable!("{log:?}") };
    let found = |words: &[&LogMessage]| {
        let words: Vec<LogMessage> = words.iter().map(|word| (*word).clone()).collect();
        let found = audited(&[before, &words].concat(), None);
        let last = (before.len() + words.len()) as u64 - 1;
        found.map_err(|(at, author, reject)| {
            assert_eq!((at, author), (last, COORDINATOR));
            reject
        })
    };
    assert_eq!(found(&[open, manifest, model, verified]), Ok(()));
    assert_eq!(found(&[manifest]), Err(Reject::OutOfTurn));
    assert_eq!(found(&[open, model]), Err(Reject::OutOfTurn));
    assert_eq!(found(&[open, manifest, open, model]), Err(Reject::OutOfTurn));
    assert_eq!(found(&[open, manifest, verified]), Err(Reject::OutOfTurn));
    assert_eq!(found(&[open, manifest, model, model]), Err(Reject::Contradiction));
    let LogMessage::ModelPublished(published) = model else { unreachable!("{model:?}") };
    let (mut attempt, mut program) = (published.clone(), published.clone());
    (attempt.attempt, program.program) = (Attempt(2), digest("another"));
    for other in [attempt, program] {
        assert_eq!(found(&[open, manifest, &LogMessage::ModelPublished(other)]), Err(Reject::OutOfTurn));
    }
    let verified =
        |verdicts: Vec<SignedMessage>| LogMessage::ModelVerified(protocol::message::ModelVerified { verdicts });
    let of = |model: &str, numbers: &[u16]| verified(numbers.iter().map(|of| verdict(*of, model)).collect());
    let few = of(crate::serving::MODEL, &[1, 2, 3]);
    assert_eq!(found(&[open, manifest, model, &few]), Err(Reject::TooFewSignatures));
    assert_eq!(found(&[open, manifest, model, &of("another", T)]), Err(Reject::Contradiction));
    let later = of(crate::serving::MODEL, &[5]);
    assert_eq!(found(&[open, manifest, model, &of(crate::serving::MODEL, T), &later]), Ok(()));
}

#[test]
fn a_question_that_is_none_is_its_askers() {
    let log = published();
    let at = log.len() as u64;
    let found = |asker: u16, head: QueryHead| {
        let head = signed(asker, head);
        let [open, switch] = [opened(&head, T), requested(&head, result(&head), T)]
            .map(|word| audited(&after(log.clone(), &[&[word]]), None));
        assert_eq!(open, switch);
        open
    };
    let by_two = |reject| Err((at, by(2), reject));
    assert_eq!(found(2, query(2, 0)), Ok(()));
    assert_eq!(found(2, query(3, 0)), by_two(Reject::QueryRepeated), "another's number");
    let other = QueryHead { model: digest("another"), ..query(2, 0) };
    assert_eq!(found(2, other), by_two(Reject::UnknownModel));
    let other = QueryHead { program: digest("another"), ..query(2, 0) };
    assert_eq!(found(2, other), by_two(Reject::UnknownModel));
    let of = |count, size_bytes| QueryHead { body: BodyRoot { count, size_bytes, ..body("image") }, ..query(2, 0) };
    assert_eq!(found(2, of(0, 0)), by_two(Reject::LimitExceeded));
    assert_eq!(found(2, of(4096, QUERY_BYTES_MAX)), Ok(()));
    assert_eq!(found(2, of(4096, QUERY_BYTES_MAX + 1)), by_two(Reject::LimitExceeded));
    // What is no question at all only the coordinator can have called one.
    let leaving = say(2, HospitalMessage::Leaving(protocol::message::Leaving { reject: Reject::Stopping }));
    for word in [opened(&leaving, T), requested(&leaving, body("result"), T)] {
        let found = audited(&after(log.clone(), &[&[word]]), None);
        assert_eq!(found, Err((at, COORDINATOR, Reject::Contradiction)));
    }
    // Before there is a model nobody can have asked it.
    let (none, head) = (keys(), signed(2, query(2, 0)));
    let found = audited(&after(none.clone(), &[&[opened(&head, T)]]), None);
    assert_eq!(found, Err((none.len() as u64, by(2), Reject::UnknownModel)));
    assert_eq!(QueryId::new(party(2), 0), query(2, 0).query);
}

#[test]
fn an_answer_is_released_once_by_t_who_verified_the_model() {
    let log = published();
    let at = log.len() as u64;
    let head = asked(2, 0);
    let found = |words: &[LogMessage]| audited(&after(log.clone(), &[words]), None);
    let wrong = |at, reject| Err((at, COORDINATOR, reject));
    for decryptors in [&[1, 2, 3][..], &[1, 2, 3, 4, 5], &[1, 2, 3, 9]] {
        assert_eq!(found(&[opened(&head, decryptors)]), wrong(at, Reject::DecryptorsWrong));
        let all = LogMessage::ModelVerified(protocol::message::ModelVerified {
            verdicts: vec![verdict(5, crate::serving::MODEL)],
        });
        let request = requested(&head, result(&head), decryptors);
        assert_eq!(found(&[all, request]), wrong(at + 1, Reject::DecryptorsWrong), "{decryptors:?}");
    }
    assert_eq!(found(&[opened(&head, &[2, 3, 4, 5])]), Ok(()), "who evaluates need not have said so yet");
    let request = requested(&head, result(&head), &[2, 3, 4, 5]);
    assert_eq!(found(&[request]), wrong(at, Reject::DecryptorsWrong), "5 has not added it up");
    assert_eq!(found(&[released(2, 0), released(2, 1)]), Ok(()));
    assert_eq!(found(&[released(2, 0), released(2, 0)]), wrong(at + 1, Reject::QueryRepeated));
    let mut other = query(2, 0);
    other.body = body("another image");
    let other = signed(2, other);
    let found = found(&[opened(&head, T), requested(&other, result(&other), T)]);
    assert_eq!(found, Err((at + 1, by(2), Reject::Contradiction)), "one question of one number");
}

#[test]
fn no_more_is_released_than_was_approved_in_all_and_to_one() {
    let log = published();
    let at = log.len() as u64;
    let terms = |tau_serving, queries_per_asker_max| Terms { tau_serving, queries_per_asker_max, ..terms() };
    let words = [released(2, 0), released(3, 0), released(2, 1)];
    let found = |terms: &Terms| audited(&after(log.clone(), &[&words]), Some(terms));
    assert_eq!(found(&terms(3, 2)), Ok(()));
    assert_eq!(found(&terms(2, 2)), Err((at + 2, COORDINATOR, Reject::BudgetSpent)));
    assert_eq!(found(&terms(3, 1)), Err((at + 2, COORDINATOR, Reject::QuotaExceeded)));
}

#[test]
fn a_training_on_ciphertexts_is_none_of_what_was_approved() {
    use protocol::StepId;
    use protocol::message::{RefreshBlinded, RefreshDone, RefreshOpen, RefreshVoid, ZerosOpen};
    let (step, attempt, decryptors, opener) = (StepId(1), Attempt(1), set(T), party(1));
    let log = published();
    let packages = body("packages");
    let opening = asked(1, 1);
    let entries = [
        LogMessage::ZerosOpen(ZerosOpen { step, attempt, decryptors }),
        LogMessage::RefreshOpen(Box::new(RefreshOpen {
            step,
            attempt,
            packages,
            zeros: Vec::new(),
            decryptors,
            opener,
        })),
        LogMessage::RefreshBlinded(RefreshBlinded { step, attempt, heads: Vec::new(), sums: packages }),
        LogMessage::RefreshDone(Box::new(RefreshDone { step, attempt, opening })),
        LogMessage::RefreshVoid(RefreshVoid { step, attempt, missing: decryptors, refusals: Vec::new() }),
    ];
    for entry in entries {
        let with = after(log.clone(), &[std::slice::from_ref(&entry)]);
        let found = (log.len() as u64, COORDINATOR, Reject::PlanNotApproved);
        assert_eq!(audited(&with, Some(&terms())), Err(found), "{entry:?}");
        // Nor does a hospital take part in one; what others signed of it would be on another log here.
        if !entry.signed().is_empty() {
            continue;
        }
        let mut heard = messages(&Federation::new());
        heard.push(entry);
        let said = hears(&heard).swap_remove(heard.len() - 1);
        assert_eq!(refusals(&[said]), [Reject::PlanNotApproved]);
    }
}
