//! A coordinator that has results released: each hospital evaluates the query itself, and releases its own result or
//! none.

use protocol::facts::Fact;
use protocol::heads::Seen;
use protocol::hospital::{HospitalInput, HospitalOutput, SwitchBinding};
use protocol::limits::{ANSWER_BYTES_MAX, QUERIES_EVALUATED_MAX, QUERY_BYTES_MAX};
use protocol::message::{HospitalMessage, LogMessage, QueryDone, QueryFailed, QueryHead, SignedMessage, SwitchRequest};
use protocol::{BodyRoot, Epoch, QueryId, Reject};

use crate::federation::{body, digest, key, party, refusals, set, terms};
use crate::serving::{
    MODEL, answered, answers, audit_told, boxed, evaluated, hears, messages, model_seen, opened, published, query,
    released, requested, result, share, signed,
};

const T: &[u16] = &[1, 2, 3, 4];

#[test]
fn a_result_is_released_by_those_who_computed_the_same_and_once() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    let outputs = federation.say(opened(&head, T));
    assert_eq!((evaluated(&outputs), released(&outputs), refusals(&outputs)), (4, 0, vec![]));
    let outputs = federation.say(requested(&head, result(&head), T));
    assert_eq!((evaluated(&outputs), released(&outputs), refusals(&outputs)), (0, 4, vec![]));
    assert_eq!(audit_told(&messages(&federation)), Ok(()));
}

#[test]
fn a_result_of_the_coordinators_own_is_released_by_nobody() {
    let mut federation = published();
    let before: Vec<usize> = federation.facts.iter().map(Vec::len).collect();
    for (counter, decryptors) in [(0, T), (1, &[2, 3, 4, 5][..])] {
        let head = signed(2, query(2, counter));
        federation.say(opened(&head, decryptors));
        let outputs = federation.say(requested(&head, body("(0, 2^k)"), decryptors));
        assert_eq!((released(&outputs), refusals(&outputs)), (0, vec![Reject::ResultDiffers; 4]));
        // Neither is what another query gave.
        let other = signed(3, query(3, counter));
        let outputs = federation.say(requested(&other, result(&head), decryptors));
        assert_eq!((released(&outputs), refusals(&outputs)), (0, vec![Reject::ResultDiffers; 4]));
    }
    let switched =
        |(facts, before): (&Vec<Fact>, &usize)| facts[*before..].iter().any(|fact| matches!(fact, Fact::Switched(_)));
    assert!(!federation.facts.iter().zip(&before).any(switched), "and it costs the asker nothing");
}

#[test]
fn nothing_is_released_before_it_is_computed() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    let outputs = hears(&mut federation, opened(&head, T));
    assert!(matches!(&outputs[..], [HospitalOutput::Evaluate { asker, .. }] if *asker == party(2)), "{outputs:?}");
    assert_eq!(hears(&mut federation, requested(&head, result(&head), T)), []);
    let evaluated = HospitalInput::Evaluated { query: QueryId::new(party(2), 0), result: result(&head) };
    let outputs = federation.hospitals[0].on(0, evaluated);
    let [HospitalOutput::Persist(Fact::Switched(fact)), HospitalOutput::ReleaseSwitch(binding)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!((fact.binding, binding.result), (binding.digest(), result(&head)));
}

#[test]
fn who_was_not_asked_to_evaluate_evaluates_before_it_releases() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    federation.say(opened(&head, T));
    let outputs = federation.say(requested(&head, result(&head), &[2, 3, 4, 5]));
    assert_eq!((evaluated(&outputs), released(&outputs)), (1, 4), "hospital 5 came for hospital 1");
}

#[test]
fn a_query_that_cannot_be_evaluated_is_refused_by_name() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    hears(&mut federation, opened(&head, T));
    let query = QueryId::new(party(2), 0);
    let failed = HospitalInput::EvaluationFailed { query, reject: Reject::EvaluationFailed };
    let outputs = federation.hospitals[0].on(0, failed.clone());
    assert_eq!(refusals(&[outputs]), [Reject::EvaluationFailed]);
    assert_eq!(federation.hospitals[0].on(0, failed), [], "once");
}

#[test]
fn another_request_for_one_query_is_refused_before_and_after_its_release() {
    for is_computed in [false, true] {
        let mut federation = published();
        let head = signed(2, query(2, 0));
        let says = |federation: &mut crate::federation::Federation, message| match is_computed {
            true => federation.say(message).swap_remove(0),
            false => hears(federation, message),
        };
        says(&mut federation, opened(&head, T));
        says(&mut federation, requested(&head, result(&head), T));
        let other = says(&mut federation, requested(&head, result(&head), &[1, 3, 4, 5]));
        assert_eq!(refusals(std::slice::from_ref(&other)), [Reject::AlreadyReleased], "{other:?}");
        assert_eq!(released(&[other]), 0);
    }
}

/// An answered query is forgotten here but for the fact, and so is one of a process that ended.
#[test]
fn another_request_for_an_answered_query_is_refused_for_ever() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    assert_eq!(released(&federation.say(requested(&head, result(&head), T))), 4);
    answers(&mut federation, answered(&head, result(&head), T, T));
    let outputs = federation.say(requested(&head, result(&head), &[1, 3, 4, 5]));
    assert_eq!(refusals(&outputs), [Reject::AlreadyReleased; 3]);
    assert_eq!(released(&outputs), 1, "hospital 5 releases its first");
}

#[test]
fn two_questions_under_one_number_are_a_contradiction() {
    let mut federation = published();
    federation.say(opened(&signed(2, query(2, 0)), T));
    let other = signed(2, QueryHead { body: body("another image"), ..query(2, 0) });
    let outputs = federation.say(opened(&other, T));
    assert_eq!((evaluated(&outputs), refusals(&outputs)), (0, vec![Reject::Contradiction; 4]));
    let outputs = federation.say(requested(&other, result(&other), T));
    assert_eq!((released(&outputs), refusals(&outputs)), (0, vec![Reject::Contradiction; 4]));
}

/// Every head that is refused, and the name of the refusal.
fn refused_heads() -> Vec<(SignedMessage, Reject)> {
    let large = BodyRoot { size_bytes: QUERY_BYTES_MAX + 1, count: 4_000, ..body("image") };
    let endless = BodyRoot { count: u32::MAX, ..body("image") };
    let none = BodyRoot { count: 0, ..body("image") };
    let head = |change: &dyn Fn(&mut QueryHead)| {
        let mut head = query(2, 0);
        change(&mut head);
        signed(2, head)
    };
    let foreign = HospitalMessage::QueryHead(Box::new(query(2, 0)));
    let sign = |number: u16, by: u16, epoch| {
        SignedMessage::sign(&key(by), party(number), Epoch(epoch), 900, model_seen(), foreign.clone())
    };
    let refusal = protocol::message::Leaving { reject: Reject::Stopping };
    let no_query =
        SignedMessage::sign(&key(2), party(2), Epoch(1), 900, model_seen(), HospitalMessage::Leaving(refusal));
    vec![
        (head(&|head| head.model = digest("one hospital's part")), Reject::UnknownModel),
        (head(&|head| head.program = digest("another program")), Reject::UnknownModel),
        (head(&|head| head.body = large), Reject::LimitExceeded),
        (head(&|head| head.body = endless), Reject::LimitExceeded),
        (head(&|head| head.body = none), Reject::LimitExceeded),
        (head(&|head| head.query = QueryId::new(party(3), 0)), Reject::QueryRepeated),
        (sign(2, 3, 1), Reject::BadSignature),
        (sign(2, 2, 2), Reject::WrongEpoch),
        (sign(6, 2, 1), Reject::UnknownParty),
        (no_query, Reject::Contradiction),
    ]
}

#[test]
fn questions_that_no_member_asked_of_the_verified_model_are_neither_evaluated_nor_released() {
    for (head, reject) in refused_heads() {
        for message in [opened(&head, T), requested(&head, body("result"), T)] {
            let mut federation = published();
            let outputs = federation.say(message);
            let found = (evaluated(&outputs), released(&outputs), refusals(&outputs));
            assert_eq!(found, (0, 0, vec![reject; 4]), "{head:?}");
        }
    }
}

#[test]
fn a_set_of_decryptors_that_is_none_releases_nothing() {
    for decryptors in [&[1, 2, 3][..], &[1, 2, 3, 4, 5], &[1, 2, 3, 9]] {
        let mut federation = published();
        let head = signed(2, query(2, 0));
        let outputs = federation.say(requested(&head, result(&head), decryptors));
        assert_eq!(released(&outputs), 0);
        let named = decryptors.iter().filter(|number| **number <= 5).count();
        assert_eq!(refusals(&outputs), vec![Reject::DecryptorsWrong; named]);
    }
}

#[test]
fn a_query_beyond_the_askers_quota_or_the_budget_is_not_even_evaluated() {
    let mut federation = published();
    let most = terms().queries_per_asker_max;
    assert!(most == terms().tau_serving);
    for counter in 0..most {
        let head = signed(2, query(2, counter));
        assert_eq!(released(&federation.say(requested(&head, result(&head), T))), 4, "{counter}");
        answers(&mut federation, answered(&head, result(&head), T, T));
    }
    let outputs = federation.say(opened(&signed(2, query(2, most)), T));
    assert_eq!((evaluated(&outputs), refusals(&outputs)), (0, vec![Reject::BudgetSpent; 4]));
    let outputs = federation.say(opened(&signed(3, query(3, 0)), &[2, 3, 4, 5]));
    assert_eq!(evaluated(&outputs), 1, "hospital 5 released nothing yet");
}

#[test]
fn the_quota_is_each_askers_own_and_looked_at_again_when_the_result_is_there() {
    let mut terms = terms();
    (terms.tau_serving, terms.queries_per_asker_max) = (100, 1);
    let mut federation = published();
    let facts = federation.facts[0].iter().cloned().collect();
    federation.hospitals[0] = crate::federation::hospital_under(1, facts, terms);
    let log = federation.log.clone();
    for entry in log {
        federation.input(1, HospitalInput::Entry(entry));
    }
    // Two are opened at once, so that neither is over the quota yet.
    let (one, two) = (signed(2, query(2, 0)), signed(2, query(2, 1)));
    for head in [&one, &two] {
        let outputs = hears(&mut federation, requested(head, result(head), T));
        assert!(matches!(&outputs[..], [HospitalOutput::Evaluate { .. }]), "{outputs:?}");
    }
    let mut answers = [(0, &one), (1, &two)].map(|(counter, head)| {
        let query = QueryId::new(party(2), counter);
        federation.input(1, HospitalInput::Evaluated { query, result: result(head) })
    });
    assert_eq!((released(&answers[..1]), released(&answers[1..])), (1, 0));
    assert_eq!(refusals(&answers[1..]), [Reject::QuotaExceeded]);
    answers[0].clear();
    let third = signed(2, query(2, 2));
    let outputs = hears(&mut federation, opened(&third, T));
    assert_eq!(refusals(&[outputs]), [Reject::QuotaExceeded]);
    let other = signed(3, query(3, 0));
    assert_eq!(evaluated(&[hears(&mut federation, opened(&other, T))]), 1, "another asker has its own");
}

/// Hospital 1 under a plan that bounds what answers carry: two answers of 100 bits, and not three.
fn bounded(facts: Vec<Fact>) -> crate::federation::Federation {
    let mut terms = terms();
    (terms.tau_serving, terms.queries_per_asker_max, terms.leak_bits_per_answer) = (100, 100, 100);
    terms.leak_bits_max = 299;
    let mut federation = published();
    let facts = federation.facts[0].iter().cloned().chain(facts).collect();
    federation.hospitals[0] = crate::federation::hospital_under(1, facts, terms);
    let log = federation.log.clone();
    for entry in log {
        federation.input(1, HospitalInput::Entry(entry));
    }
    federation
}

#[test]
fn answers_that_would_carry_more_than_the_plan_allows_are_refused_whoever_asked_and_released_the_others() {
    let mut federation = bounded(Vec::new());
    assert_eq!(federation.hospitals[0].answers(), 0);
    // One that this hospital releases, one that others release: both count, and each once.
    let one = signed(2, query(2, 0));
    for _ in 0..2 {
        let entry = federation.writer.append(requested(&one, result(&one), T));
        let outputs = federation.input(1, HospitalInput::Entry(entry));
        assert_eq!((released(std::slice::from_ref(&outputs)), refusals(&[outputs])), (1, vec![]));
    }
    let two = signed(3, query(3, 0));
    let entry = federation.writer.append(requested(&two, result(&two), &[2, 3, 4, 5]));
    federation.input(1, HospitalInput::Entry(entry));
    assert_eq!(federation.hospitals[0].answers(), 2);
    let of_each = [(party(2), 1), (party(3), 1)];
    assert_eq!(federation.hospitals[0].answers_by_asker(), of_each.into_iter().collect());
    for third in [signed(2, query(2, 1)), signed(4, query(4, 0))] {
        for message in [opened(&third, T), requested(&third, result(&third), T)] {
            let entry = federation.writer.append(message);
            let outputs = federation.input(1, HospitalInput::Entry(entry));
            let found = [outputs];
            let refused = vec![Reject::LeakBudgetSpent];
            assert_eq!((evaluated(&found), released(&found), refusals(&found)), (0, 0, refused));
        }
    }
    // What was released is known after a restart, before the log is read again.
    let switched = |fact: &&Fact| matches!(fact, Fact::Switched(_));
    let facts: Vec<Fact> = federation.facts[0].iter().filter(switched).cloned().collect();
    assert_eq!(facts.len(), 1);
    let restarted = bounded(facts);
    assert_eq!(restarted.hospitals[0].answers(), 1);
}

#[test]
fn a_coordinator_that_opens_without_end_is_refused() {
    let mut federation = published();
    let most = QUERIES_EVALUATED_MAX as u64;
    for counter in 0..most {
        let outputs = hears(&mut federation, opened(&signed(2, query(2, counter)), T));
        assert_eq!(evaluated(&[outputs]), 1);
    }
    let next = opened(&signed(2, query(2, most)), T);
    assert_eq!(refusals(&[hears(&mut federation, next)]), [Reject::RetryAfter]);
    let failed = QueryFailed { query: QueryId::new(party(2), 0), reject: Reject::TooLate };
    hears(&mut federation, LogMessage::QueryFailed(failed));
    let next = opened(&signed(2, query(2, most)), T);
    assert_eq!(evaluated(&[hears(&mut federation, next)]), 1, "what failed makes room");
}

/// A restart reads again what is not marked as acted upon: the other query's share may not have left yet.
#[test]
fn nothing_is_marked_as_over_while_another_query_is_under_way() {
    let mut federation = published();
    let heads = [0, 1].map(|counter| signed(2, query(2, counter)));
    for head in &heads {
        hears(&mut federation, requested(head, result(head), T));
    }
    let marks = |outputs: &[HospitalOutput]| {
        outputs.iter().any(|output| matches!(output, HospitalOutput::Persist(Fact::ReadUpTo(_))))
    };
    for (counter, head) in (0..).zip(&heads) {
        let query = QueryId::new(party(2), counter);
        federation.hospitals[0].on(0, HospitalInput::Evaluated { query, result: result(head) });
        let done = answered(head, result(head), T, T);
        assert_eq!(marks(&hears(&mut federation, LogMessage::QueryDone(done))), counter == 1);
    }
    let foreign = QueryDone { query: QueryId::new(party(3), 9), shares: Vec::new() };
    assert!(!marks(&hears(&mut federation, LogMessage::QueryDone(foreign))), "it had no part in that one");
}

/// Answers that are none, and the name of the refusal; of a query of hospital 1.
fn refused_answers(head: &SignedMessage) -> Vec<(QueryDone, Reject)> {
    let own = result(head);
    let request = SwitchRequest { head: head.clone(), result: own, decryptors: set(T) };
    let binding = SwitchBinding::of(Epoch(1), &request).unwrap();
    let whole = answered(head, own, T, T);
    let with = |change: &dyn Fn(&mut Vec<SignedMessage>)| {
        let mut done = whole.clone();
        change(&mut done.shares);
        done
    };
    let foreign = SignedMessage::sign(&key(3), party(4), Epoch(1), 950, Seen::nothing(), whole.shares[3].body.clone());
    let large = BodyRoot { size_bytes: ANSWER_BYTES_MAX + 1, ..boxed(&binding) };
    vec![
        (QueryDone { shares: Vec::new(), ..whole.clone() }, Reject::DecryptorsWrong),
        (answered(head, own, T, &[1, 2, 3]), Reject::DecryptorsWrong),
        (answered(head, own, T, &[1, 2, 3, 5]), Reject::DecryptorsWrong),
        (answered(head, own, T, &[1, 2, 3, 4, 5]), Reject::DecryptorsWrong),
        (answered(head, own, T, &[1, 2, 3, 4, 4]), Reject::Contradiction),
        (answered(head, body("another result"), T, T), Reject::Contradiction),
        (answered(head, own, &[2, 3, 4, 5], T), Reject::Contradiction),
        (with(&|shares| shares[3] = foreign.clone()), Reject::BadSignature),
        (with(&|shares| shares[3] = share(&binding, 4, large)), Reject::Contradiction),
        (
            with(&|shares| shares[3] = share(&binding, 4, BodyRoot { count: 2, ..boxed(&binding) })),
            Reject::Contradiction,
        ),
        (with(&|shares| shares[3] = head.clone()), Reject::Contradiction),
    ]
}

/// Has hospital 1 ask, and says its signed question.
fn asks(federation: &mut crate::federation::Federation) -> SignedMessage {
    let QueryHead { query, program, model, body } = query(1, 0);
    let outputs = federation.input(1, HospitalInput::Ask { query, program, model, body });
    let sent = outputs.into_iter().find_map(|output| match output {
        HospitalOutput::Send(message) => Some(message),
        _ => None,
    });
    sent.unwrap()
}

fn failures(outputs: &[HospitalOutput]) -> Vec<Reject> {
    assert!(!outputs.iter().any(|output| matches!(output, HospitalOutput::OpenAnswer { .. })), "{outputs:?}");
    let failed = outputs.iter().filter_map(|output| match output {
        HospitalOutput::AnswerFailed { reject, .. } => Some(*reject),
        _ => None,
    });
    failed.collect()
}

#[test]
fn an_asker_opens_the_boxes_that_all_decryptors_signed_for_and_no_others() {
    let mut federation = published();
    let head = asks(&mut federation);
    hears(&mut federation, requested(&head, result(&head), T));
    let done = answered(&head, result(&head), T, T);
    let outputs = hears(&mut federation, LogMessage::QueryDone(done.clone()));
    let opened = outputs.iter().find_map(|output| match output {
        HospitalOutput::OpenAnswer { binding, boxes } => Some((binding.result, binding.asker, boxes.clone())),
        _ => None,
    });
    let (own, asker, boxes) = opened.unwrap();
    assert_eq!((own, asker), (result(&head), party(1)));
    let makers: Vec<u16> = boxes.iter().map(|(maker, _)| maker.number()).collect();
    assert_eq!(makers, T);
    assert!(
        !hears(&mut federation, LogMessage::QueryDone(done)).iter().any(|output| {
            matches!(output, HospitalOutput::OpenAnswer { .. } | HospitalOutput::AnswerFailed { .. })
        })
    );
    for place in 0..refused_answers(&head).len() {
        let mut federation = published();
        let head = asks(&mut federation);
        hears(&mut federation, requested(&head, result(&head), T));
        let (done, reject) = refused_answers(&head).swap_remove(place);
        let outputs = hears(&mut federation, LogMessage::QueryDone(done));
        assert_eq!(failures(&outputs), [reject], "{place}");
    }
}

#[test]
fn an_answer_to_a_question_that_was_never_put_to_decryptors_is_none() {
    let mut federation = published();
    let head = asks(&mut federation);
    let done = LogMessage::QueryDone(answered(&head, result(&head), T, T));
    assert_eq!(failures(&hears(&mut federation, done.clone())), [Reject::Contradiction]);
    // Nor is one to another question under its number.
    let mut federation = published();
    let head = asks(&mut federation);
    let other = signed(1, QueryHead { body: body("another image"), ..query(1, 0) });
    hears(&mut federation, requested(&other, result(&head), T));
    let done = LogMessage::QueryDone(answered(&other, result(&head), T, T));
    assert_eq!(failures(&hears(&mut federation, done)), [Reject::Contradiction]);
}

#[test]
fn an_audit_finds_answers_that_not_all_decryptors_signed_for() {
    let federation = published();
    let log = messages(&federation);
    let end = log.len() as u64;
    let found = |rest: &[LogMessage]| audit_told(log.iter().chain(rest));
    let head = signed(1, query(1, 0));
    let request = requested(&head, result(&head), T);
    let done = LogMessage::QueryDone(answered(&head, result(&head), T, T));
    assert_eq!(found(&[request.clone(), done.clone()]), Ok(()));
    assert_eq!(found(std::slice::from_ref(&done)), Err((end, Reject::OutOfTurn)));
    assert_eq!(found(&[request.clone(), done.clone(), done.clone()]), Err((end + 2, Reject::OutOfTurn)));
    let failed = QueryFailed { query: QueryId::new(party(1), 0), reject: Reject::DecryptorLost };
    let failed = LogMessage::QueryFailed(failed);
    assert_eq!(found(&[request.clone(), failed, done]), Err((end + 2, Reject::OutOfTurn)));
    for (place, (done, reject)) in refused_answers(&head).into_iter().enumerate() {
        assert_eq!(found(&[request.clone(), LogMessage::QueryDone(done)]), Err((end + 1, reject)), "{place}");
    }
}

#[test]
fn an_audit_finds_results_that_could_not_have_been_released() {
    let federation = published();
    let log = messages(&federation);
    let end = log.len() as u64;
    let found = |rest: &[LogMessage]| audit_told(log.iter().chain(rest));
    let head = signed(2, query(2, 0));
    let (open, request) = (opened(&head, T), requested(&head, result(&head), T));
    assert_eq!(found(&[open.clone(), request.clone()]), Ok(()));
    assert_eq!(found(&[request.clone(), request.clone()]), Err((end + 1, Reject::QueryRepeated)));
    assert_eq!(found(&[opened(&head, &[1, 2, 3])]), Err((end, Reject::DecryptorsWrong)));
    assert_eq!(found(&[requested(&head, result(&head), &[1, 2, 3])]), Err((end, Reject::DecryptorsWrong)));
    for (head, reject) in refused_heads() {
        if reject != Reject::LimitExceeded {
            assert_eq!(found(&[opened(&head, T)]), Err((end, reject)), "{head:?}");
            assert_eq!(found(&[requested(&head, body("result"), T)]), Err((end, reject)), "{head:?}");
        }
    }
    // Hospital 5 has not said that it added the model up.
    let mut fewer = log.clone();
    let Some(LogMessage::ModelVerified(verified)) = fewer.last_mut() else { panic!("{:?}", log.last()) };
    verified.verdicts.pop();
    let by_five = requested(&head, result(&head), &[2, 3, 4, 5]);
    assert_eq!(audit_told(fewer.iter().chain([&request])), Ok(()));
    assert_eq!(audit_told(fewer.iter().chain([&by_five])), Err((end, Reject::DecryptorsWrong)));
    assert!(!MODEL.is_empty());
}

#[test]
fn a_query_may_be_as_large_as_the_limit_says_and_no_larger() {
    for (size_bytes, refused) in [(QUERY_BYTES_MAX, vec![]), (QUERY_BYTES_MAX + 1, vec![Reject::LimitExceeded])] {
        let mut federation = published();
        let count = 8;
        let large = QueryHead { body: BodyRoot { count, size_bytes, ..body("image") }, ..query(2, 0) };
        let outputs = hears(&mut federation, opened(&signed(2, large), T));
        assert_eq!(refusals(std::slice::from_ref(&outputs)), refused);
        assert_eq!(evaluated(&[outputs]), usize::from(refused.is_empty()));
    }
}

#[test]
fn what_was_computed_in_vain_is_over_when_its_query_failed_and_failed_for_its_asker_alone() {
    let mut federation = published();
    let head = signed(2, query(2, 0));
    hears(&mut federation, opened(&head, T));
    federation.input(1, HospitalInput::Evaluated { query: QueryId::new(party(2), 0), result: result(&head) });
    let failed = QueryFailed { query: QueryId::new(party(2), 0), reject: Reject::TooLate };
    let outputs = hears(&mut federation, LogMessage::QueryFailed(failed));
    assert!(matches!(&outputs[..], [HospitalOutput::Persist(Fact::ReadUpTo(_))]), "{outputs:?}");
}

#[test]
fn a_site_asks_under_its_own_numbers_and_under_each_once() {
    let mut federation = published();
    let mut asks = |head: QueryHead| {
        let QueryHead { query, program, model, body } = head;
        federation.hospitals[0].on(0, HospitalInput::Ask { query, program, model, body })
    };
    let repeated = |query: QueryId| [HospitalOutput::AnswerFailed { query, reject: Reject::QueryRepeated }];
    assert_eq!(asks(query(2, 0)), repeated(QueryId::new(party(2), 0)), "another's");
    assert!(asks(query(1, 0)).iter().any(|output| matches!(output, HospitalOutput::Send(_))));
    assert_eq!(asks(query(1, 0)), repeated(QueryId::new(party(1), 0)));
}
