//! The query queue: exact quotas under parallel requests, bounded memory, and no answer twice.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::heads::Seen;
use protocol::hospital::SwitchBinding;
use protocol::limits::{ANSWER_BYTES_MAX, QUERY_BYTES_MAX};
use protocol::message::{
    HospitalMessage, LogMessage, ModelVerdict, ModelVerified, QueryDone, QueryFailed, QueryHead, Refusal, Scope,
    SignedMessage, SwitchRequest, SwitchShareHead,
};
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::serving::{Evaluation, ServingConfig, ServingInput, ServingMachine, ServingOutput, ServingStanding};
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::{Attempt, Digest, Epoch, PartyId, PartySet, QueryId, Reject, WeightClass};

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&Digest::of("key", &number).0).unwrap()
}

fn body(what: u64) -> BodyRoot {
    BodyRoot::of(&[Digest::of("body", &what)], 100)
}

fn machine(queries_per_asker_max: u64, releases_max: u64) -> ServingMachine {
    machine_after(verified(&[1, 2, 3]), queries_per_asker_max, releases_max)
}

/// After these hospitals have added the model up.
fn verified(numbers: &[u16]) -> ServingStanding {
    let mut spent = ServingStanding::default();
    let verdicts = numbers.iter().map(|number| verdict(*number)).collect();
    spent.learn(&LogMessage::ModelVerified(ModelVerified { verdicts }));
    spent
}

fn verdict(number: u16) -> SignedMessage {
    let (model, program) = (Digest::of("model", &0_u8), Digest::of("program", &0_u8));
    let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt: Attempt(1), model, program });
    SignedMessage::sign(&key(number), party(number), Epoch(1), 7, Seen::nothing(), verdict)
}

fn machine_after(spent: ServingStanding, queries_per_asker_max: u64, releases_max: u64) -> ServingMachine {
    machine_under(spent, |terms| {
        (terms.queries_per_asker_max, terms.tau_serving) = (queries_per_asker_max, releases_max)
    })
}

fn machine_under(spent: ServingStanding, change: impl FnOnce(&mut Terms)) -> ServingMachine {
    let members = (1..=3)
        .map(|number: u16| {
            let mut sealing = vec![0; protocol::limits::SEALING_KEY_BYTES];
            sealing[0] = u8::try_from(number).unwrap();
            let sealing: SealingKey = protocol::codec::Wire::from_bytes(&sealing).unwrap();
            let verifying = key(number).verifying_key();
            let tls_key = Digest::of("TLS key", &number);
            let (name, organisation, weight) = (format!("h{number}"), "Clinic".to_owned(), WeightClass::ONE);
            Member { party: party(number), name, organisation, weight, verifying, sealing, tls_key }
        })
        .collect();
    let roster = Roster::new(Epoch(1), 2, Digest::default(), key(9).verifying_key(), members).unwrap();
    let mut terms = Terms {
        experiment: Digest::default(),
        parameters: Digest::default(),
        program: Digest::of("program", &0_u8),
        initial_model: Digest::default(),
        rounds: 1,
        figure_rounds: 0,
        chunks: 1,
        min_cohort: 2,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 100,
        tau_serving: 1000,
        queries_per_asker_max: 100,
        planes: 0,
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: 1_000,
        round_deadline_ms: 1_000,
        query_deadline_ms: 1_000,
        head: None,
    };
    change(&mut terms);
    let config = ServingConfig { model: Digest::of("model", &0_u8), terms, batch_max: 4 };
    let live = roster.parties();
    ServingMachine::new(roster, live, config, spent)
}

fn ask(asker: u16, counter: u64) -> (QueryId, ServingInput) {
    let query = QueryId::new(party(asker), counter);
    let head = QueryHead {
        query,
        program: Digest::of("program", &0_u8),
        model: Digest::of("model", &0_u8),
        body: body(counter),
    };
    let message = HospitalMessage::QueryHead(Box::new(head));
    let signed = SignedMessage::sign(&key(asker), party(asker), Epoch(1), counter, Seen::nothing(), message);
    (query, ServingInput::Message(signed))
}

fn rejected(outputs: &[ServingOutput]) -> Option<Reject> {
    outputs.iter().find_map(|output| match output {
        ServingOutput::Reject { reject, .. } => Some(*reject),
        _ => None,
    })
}

/// Takes a query to the switch request and returns T.
fn to_switching(machine: &mut ServingMachine, asker: u16, counter: u64) -> (QueryId, PartySet) {
    let (query, input) = ask(asker, counter);
    assert_eq!(rejected(&machine.on(0, input)), None);
    let complete = ServingInput::BodiesComplete { kind: BlobKind::Query, query, party: party(asker) };
    let outputs = machine.on(0, complete);
    assert!(outputs.iter().any(|output| matches!(output, ServingOutput::Evaluate(_))), "{outputs:?}");
    let outputs = machine.on(0, ServingInput::Evaluated { query, result: body(7) });
    let decryptors = outputs.iter().find_map(|output| match output {
        ServingOutput::Append(LogMessage::SwitchRequest(it)) => Some(it.decryptors),
        _ => None,
    });
    (query, decryptors.expect("a switch request"))
}

#[test]
fn a_thousand_parallel_requests_get_exactly_the_quota() {
    let mut machine = machine(20, 1000);
    let accepted = (0..1000)
        .filter(|counter| {
            let (query, input) = ask(1, *counter);
            let taken = rejected(&machine.on(0, input)).is_none();
            // Answered or not, it counts; ended, it makes room in the queue.
            machine.on(0, ServingInput::EvaluationFailed { query });
            taken
        })
        .count();
    assert_eq!(accepted, 20);
    assert_eq!(rejected(&machine.on(0, ask(1, 5000).1)), Some(Reject::QuotaExceeded));
    assert_eq!(rejected(&machine.on(0, ask(2, 0).1)), None, "another hospital's quota is its own");
}

#[test]
fn the_release_budget_counts_queries_on_their_way() {
    let mut machine = machine(100, 3);
    let accepted = (0..10).filter(|counter| rejected(&machine.on(0, ask(1, *counter).1)).is_none()).count();
    assert_eq!(accepted, 3);
    assert_eq!(rejected(&machine.on(0, ask(2, 0).1)), Some(Reject::BudgetSpent));
}

#[test]
fn a_full_queue_says_retry_after_and_keeps_its_bound() {
    let mut machine = machine(1000, 100_000);
    let accepted = (0..200).filter(|counter| rejected(&machine.on(0, ask(1, *counter).1)).is_none()).count();
    assert_eq!((accepted, machine.pending()), (16, 16));
    assert_eq!(rejected(&machine.on(0, ask(1, 300).1)), Some(Reject::RetryAfter));
    assert_eq!(rejected(&machine.on(0, ask(2, 0).1)), None, "one hospital cannot fill the queue");
}

fn evaluated(outputs: &[ServingOutput]) -> Vec<QueryId> {
    let batches = outputs.iter().filter_map(|output| match output {
        ServingOutput::Evaluate(batch) => Some(batch),
        _ => None,
    });
    batches.flatten().map(|Evaluation { query, .. }| *query).collect()
}

#[test]
fn waiting_queries_are_evaluated_together_and_hospitals_take_turns() {
    let mut machine = machine(100, 100);
    let mut queries = Vec::new();
    for (asker, counter) in [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 0), (3, 0)] {
        let (query, input) = ask(asker, counter);
        assert!(machine.on(0, input).contains(&ServingOutput::Admitted { party: party(asker), query }));
        queries.push(query);
    }
    let mut first = Vec::new();
    for query in &queries {
        let party = query.asker().unwrap();
        first.extend(evaluated(
            &machine.on(0, ServingInput::BodiesComplete { kind: BlobKind::Query, query: *query, party }),
        ));
    }
    assert_eq!(first, queries[..1], "an idle machine starts at once; the others wait together");
    let next = machine.on(0, ServingInput::EvaluationFailed { query: first[0] });
    assert_eq!(
        evaluated(&next),
        [queries[6], queries[7], queries[1], queries[2]],
        "four, and nobody waits for hospital 1"
    );
    assert_eq!(evaluated(&machine.on(0, ServingInput::Evaluated { query: queries[6], result: body(7) })), []);
}

#[test]
fn quotas_budget_and_numbers_outlive_a_restart() {
    let mut first = machine(2, 3);
    let mut log: Vec<LogMessage> = Vec::new();
    let (released, _) = to_switching(&mut first, 1, 0);
    let mut spent = verified(&[1, 2, 3]);
    let (query, input) = ask(1, 1);
    first.on(0, input);
    let complete = ServingInput::BodiesComplete { kind: BlobKind::Query, query, party: party(1) };
    for input in [complete, ServingInput::Evaluated { query, result: body(3) }] {
        let appended = first.on(0, input).into_iter().filter_map(|output| match output {
            ServingOutput::Append(message) => Some(message),
            _ => None,
        });
        log.extend(appended);
    }
    log.iter().for_each(|message| spent.learn(message));
    assert_eq!((spent.releases(), spent.asked_by(party(1))), (1, 1), "only the second query's entries were learned");
    assert_eq!(spent.interrupted().collect::<Vec<_>>(), [query]);
    let mut second = machine_after(spent, 2, 3);
    assert_eq!(rejected(&second.on(0, ask(1, 1).1)), Some(Reject::QueryRepeated));
    assert_eq!(rejected(&second.on(0, ask(1, 2).1)), None);
    assert_eq!(rejected(&second.on(0, ask(1, 3).1)), Some(Reject::QuotaExceeded));
    assert_eq!(rejected(&second.on(0, ask(2, 1).1)), None);
    assert_eq!(rejected(&second.on(0, ask(2, 2).1)), Some(Reject::BudgetSpent));
    assert_ne!(released, query);
}

#[test]
fn a_query_is_answered_once_and_its_number_never_again() {
    let mut machine = machine(10, 10);
    let (query, decryptors) = to_switching(&mut machine, 1, 0);
    assert_eq!(decryptors.len(), 2);
    let mut outputs = Vec::new();
    let mut heads = Vec::new();
    for member in decryptors.iter() {
        let signed = share_head(&binding(1, 0, decryptors), member, body(8));
        heads.push(signed.clone());
        machine.on(0, ServingInput::Message(signed));
        assert_eq!(outputs, [], "one box is no answer");
        let complete = ServingInput::BodiesComplete { kind: BlobKind::SwitchShare, query, party: member };
        outputs = machine.on(0, complete);
    }
    assert_eq!(outputs, [ServingOutput::Append(LogMessage::QueryDone(QueryDone { query, shares: heads }))]);
    assert_eq!(machine.pending(), 0);
    assert_eq!(rejected(&machine.on(0, ask(1, 0).1)), Some(Reject::QueryRepeated));
}

/// What shares of the answer to a query of [`ask`] are bound to.
fn binding(asker: u16, counter: u64, decryptors: PartySet) -> SwitchBinding {
    let (_, ServingInput::Message(head)) = ask(asker, counter) else { unreachable!("a message") };
    SwitchBinding::of(Epoch(1), &SwitchRequest { head, result: body(7), decryptors }).unwrap()
}

fn share_head(binding: &SwitchBinding, member: PartyId, body: BodyRoot) -> SignedMessage {
    let head = SwitchShareHead { query: binding.query, binding: binding.digest(), body };
    let message = HospitalMessage::SwitchShareHead(head);
    SignedMessage::sign(&key(member.number()), member, Epoch(1), 50, Seen::nothing(), message)
}

#[test]
fn a_box_of_another_context_or_size_or_of_another_hospital_is_refused() {
    let mut machine = machine(10, 10);
    let (_, decryptors) = to_switching(&mut machine, 1, 0);
    let ours = binding(1, 0, decryptors);
    let member = decryptors.first().unwrap();
    let outside = set(&[1, 2, 3]).minus(decryptors).first().unwrap();
    let foreign = SwitchBinding { result: body(8), ..ours.clone() };
    let large = BodyRoot { size_bytes: ANSWER_BYTES_MAX + 1, ..body(8) };
    let cases = [
        (share_head(&foreign, member, body(8)), Some(Reject::Contradiction)),
        (share_head(&ours, member, large), Some(Reject::LimitExceeded)),
        (share_head(&ours, member, BodyRoot { count: 2, ..body(8) }), Some(Reject::LimitExceeded)),
        (share_head(&ours, outside, body(8)), Some(Reject::OutOfTurn)),
        (share_head(&ours, member, body(8)), None),
        (share_head(&ours, member, body(9)), Some(Reject::Contradiction)),
    ];
    for (head, reject) in cases {
        assert_eq!(rejected(&machine.on(0, ServingInput::Message(head.clone()))), reject, "{head:?}");
    }
}

#[test]
fn what_all_answers_carry_is_bounded_with_those_on_their_way() {
    let mut machine = machine_under(verified(&[1, 2, 3]), |terms| {
        (terms.leak_bits_per_answer, terms.leak_bits_max) = (80, 399);
    });
    to_switching(&mut machine, 1, 0);
    let accepted = (1..10).filter(|counter| rejected(&machine.on(0, ask(2, *counter).1)).is_none()).count();
    assert_eq!(accepted, 3, "four of 80 bits, and not five");
    assert_eq!(rejected(&machine.on(0, ask(1, 99).1)), Some(Reject::LeakBudgetSpent));
}

#[test]
fn a_lost_decryptor_or_deadline_fails_the_query_and_never_switches_again() {
    for lost in [true, false] {
        let mut machine = machine(10, 10);
        let (query, decryptors) = to_switching(&mut machine, 1, 0);
        let gone = decryptors.first().unwrap();
        let outputs =
            if lost { machine.on(5, ServingInput::PartyGone(gone)) } else { machine.on(1000, ServingInput::Tick) };
        let failed = outputs.iter().any(|output| {
            matches!(output, ServingOutput::Append(LogMessage::QueryFailed(it))
                if it.query == query && it.reject == Reject::DecryptorLost)
        });
        assert!(failed && machine.pending() == 0, "{outputs:?}");
        assert_eq!(machine.on(6, ServingInput::Evaluated { query, result: body(7) }), []);
    }
}

#[test]
fn a_query_larger_than_any_is_refused() {
    for (count, size_bytes) in [(4_000, QUERY_BYTES_MAX + 1), (0, 0), (u32::MAX, 1)] {
        let (_, ServingInput::Message(signed)) = ask(1, 0) else { panic!("a message") };
        let HospitalMessage::QueryHead(mut head) = signed.body else { panic!("a query") };
        head.body = BodyRoot { count, size_bytes, ..head.body };
        let signed =
            SignedMessage::sign(&key(1), party(1), Epoch(1), 0, Seen::nothing(), HospitalMessage::QueryHead(head));
        let outputs = machine(10, 10).on(0, ServingInput::Message(signed));
        assert_eq!(rejected(&outputs), Some(Reject::LimitExceeded));
    }
}

#[test]
fn a_query_under_another_hospitals_number_is_refused() {
    let mut machine = machine(10, 10);
    let (_, ServingInput::Message(mut signed)) = ask(2, 0) else { panic!("a message") };
    signed = SignedMessage::sign(&key(1), party(1), Epoch(1), 0, Seen::nothing(), signed.body);
    assert_eq!(rejected(&machine.on(0, ServingInput::Message(signed))), Some(Reject::QueryRepeated));
}

fn opened(outputs: &[ServingOutput]) -> Vec<PartySet> {
    let sets = outputs.iter().filter_map(|output| match output {
        ServingOutput::Append(LogMessage::QueryOpen(it)) => Some(it.decryptors),
        _ => None,
    });
    sets.collect()
}

fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().map(|number| party(*number)).collect()
}

/// Takes a query to its evaluation; says who is asked to evaluate it.
fn to_evaluating(machine: &mut ServingMachine, asker: u16, counter: u64) -> (QueryId, PartySet) {
    let (query, input) = ask(asker, counter);
    machine.on(0, input);
    let complete = ServingInput::BodiesComplete { kind: BlobKind::Query, query, party: party(asker) };
    (query, opened(&machine.on(0, complete))[0])
}

fn requested(outputs: &[ServingOutput]) -> Option<PartySet> {
    outputs.iter().find_map(|output| match output {
        ServingOutput::Append(LogMessage::SwitchRequest(it)) => Some(it.decryptors),
        _ => None,
    })
}

#[test]
fn only_hospitals_that_added_the_model_up_are_asked() {
    let mut machine = machine_after(verified(&[1, 3]), 10, 10);
    for counter in 0..3 {
        let (query, evaluating) = to_evaluating(&mut machine, 2, counter);
        assert_eq!(evaluating, set(&[1, 3]));
        assert_eq!(requested(&machine.on(0, ServingInput::Evaluated { query, result: body(7) })), Some(evaluating));
    }
    let outputs = machine.on(0, ServingInput::Message(verdict(2)));
    let said = ServingOutput::Append(LogMessage::ModelVerified(ModelVerified { verdicts: vec![verdict(2)] }));
    assert_eq!((outputs, machine.verified()), (vec![said], set(&[1, 2, 3])));
    assert_eq!(machine.on(0, ServingInput::Message(verdict(2))), [], "once");
    let sets: Vec<PartySet> = (3..6).map(|counter| to_switching(&mut machine, 2, counter).1).collect();
    assert!(sets.iter().any(|set| set.contains(party(2))), "{sets:?}");
}

#[test]
fn a_query_is_shown_to_those_who_evaluate_it_and_for_as_long_as_they_do() {
    let mut machine = machine(10, 10);
    let (query, input) = ask(1, 0);
    let shown = |machine: &ServingMachine, kind, query: QueryId| -> PartySet {
        let id = BlobId::query(kind, query, Some(party(1)), 0);
        (1..=3).map(party).filter(|reader| machine.may_evaluate(&id, *reader)).collect()
    };
    machine.on(0, input);
    assert_eq!(shown(&machine, BlobKind::Query, query), set(&[]));
    let complete = ServingInput::BodiesComplete { kind: BlobKind::Query, query, party: party(1) };
    let evaluating = opened(&machine.on(0, complete))[0];
    assert_eq!(shown(&machine, BlobKind::Query, query), evaluating);
    assert_eq!(shown(&machine, BlobKind::Query, QueryId::new(party(1), 1)), set(&[]));
    assert_eq!(shown(&machine, BlobKind::SwitchShare, query), set(&[]));
    let lost = evaluating.first().unwrap();
    machine.on(0, ServingInput::PartyGone(lost));
    machine.on(0, ServingInput::Evaluated { query, result: body(7) });
    assert!(!shown(&machine, BlobKind::Query, query).contains(lost), "who was replaced evaluates no more");
    machine.on(0, ServingInput::PartyBack(lost));
    machine.on(5_000, ServingInput::Tick);
    assert_eq!(shown(&machine, BlobKind::Query, query), set(&[]));
}

#[test]
fn a_verdict_on_another_model_counts_for_nothing() {
    let mut machine = machine_after(verified(&[1, 3]), 10, 10);
    let (model, program) = (Digest::of("model", &1_u8), Digest::of("program", &0_u8));
    let other = HospitalMessage::ModelVerdict(ModelVerdict { attempt: Attempt(1), model, program });
    let other = SignedMessage::sign(&key(2), party(2), Epoch(1), 7, Seen::nothing(), other);
    assert_eq!(rejected(&machine.on(0, ServingInput::Message(other))), Some(Reject::UnknownModel));
    assert_eq!(machine.verified(), set(&[1, 3]));
}

#[test]
fn who_is_lost_or_refuses_while_it_evaluates_is_replaced() {
    for refuses in [true, false] {
        let mut machine = machine(10, 10);
        // The rotation has moved on by then.
        let (before, _) = to_switching(&mut machine, 1, 7);
        let (query, evaluating) = to_evaluating(&mut machine, 1, 0);
        let lost = evaluating.first().unwrap();
        let refusal = Refusal { scope: Scope::Query, number: query.0, attempt: 0, reject: Reject::EvaluationFailed };
        let refusal = HospitalMessage::Refusal(refusal);
        let refusal = SignedMessage::sign(&key(lost.number()), lost, Epoch(1), 50, Seen::nothing(), refusal);
        let input = if refuses { ServingInput::Message(refusal) } else { ServingInput::PartyGone(lost) };
        // What it was to release is over, where it is gone.
        let failed = QueryFailed { query: before, reject: Reject::DecryptorLost };
        let over = if refuses { vec![] } else { vec![ServingOutput::Append(LogMessage::QueryFailed(failed))] };
        assert_eq!(machine.on(0, input), over);
        let decryptors = requested(&machine.on(0, ServingInput::Evaluated { query, result: body(7) })).unwrap();
        let kept = evaluating.minus([lost].into_iter().collect());
        assert!(kept.is_subset(decryptors) && decryptors.len() == 2, "{evaluating} {decryptors}");
        assert!(!decryptors.contains(lost));
    }
}

#[test]
fn who_evaluates_already_stays() {
    let mut machine = machine(10, 10);
    let (first, _) = to_evaluating(&mut machine, 1, 0);
    let complete = |query| ServingInput::BodiesComplete { kind: BlobKind::Query, query, party: party(2) };
    for counter in [0, 1] {
        let (query, input) = ask(2, counter);
        machine.on(0, input);
        machine.on(0, complete(query));
    }
    // Two are opened together, for two sets; the second is evaluated first.
    let outputs = machine.on(0, ServingInput::EvaluationFailed { query: first });
    let sets = opened(&outputs);
    assert!(sets.len() == 2 && sets[0] != sets[1], "{sets:?}");
    let query = QueryId::new(party(2), 1);
    assert_eq!(requested(&machine.on(0, ServingInput::Evaluated { query, result: body(7) })), Some(sets[1]));
}
