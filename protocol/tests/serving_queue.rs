//! The query queue: exact quotas under parallel requests, bounded memory, and no answer twice.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use protocol::blob::{BlobKind, BodyRoot};
use protocol::message::{HospitalMessage, LogMessage, QueryHead, SignedMessage, SwitchShareHead};
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::serving::{ServingConfig, ServingInput, ServingMachine, ServingOutput};
use protocol::signature::SigningKey;
use protocol::{Digest, Epoch, PartyId, PartySet, QueryId, Reject};

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
    let members = (1..=3)
        .map(|number: u16| {
            let mut sealing = vec![0; protocol::limits::SEALING_KEY_BYTES];
            sealing[0] = u8::try_from(number).unwrap();
            let sealing: SealingKey = protocol::codec::Wire::from_bytes(&sealing).unwrap();
            let verifying = key(number).verifying_key();
            let certificate = Digest::of("certificate", &number);
            Member { party: party(number), name: format!("h{number}"), verifying, sealing, certificate }
        })
        .collect();
    let roster = Roster::new(Epoch(1), 2, Digest::default(), key(9).verifying_key(), members).unwrap();
    let (model, program) = (Digest::of("model", &0_u8), Digest::of("program", &0_u8));
    let config =
        ServingConfig { model, program, queries_per_asker_max, releases_max, receive_ms: 1000, switch_ms: 1000 };
    let live = roster.parties();
    ServingMachine::new(roster, live, config)
}

fn ask(asker: u16, counter: u64) -> (QueryId, ServingInput) {
    let query = QueryId::new(party(asker), counter);
    let head = QueryHead {
        query,
        program: Digest::of("program", &0_u8),
        model: Digest::of("model", &0_u8),
        asker_key: Digest::of("asker key", &asker),
        body: body(counter),
    };
    let message = HospitalMessage::QueryHead(head);
    let signed = SignedMessage::sign(&key(asker), party(asker), Epoch(1), counter, message);
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
    assert!(outputs.iter().any(|output| matches!(output, ServingOutput::Evaluate { .. })), "{outputs:?}");
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
    let accepted = (0..1000).filter(|counter| rejected(&machine.on(0, ask(1, *counter).1)).is_none()).count();
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
    assert_eq!((accepted, machine.pending()), (64, 64));
    assert_eq!(rejected(&machine.on(0, ask(2, 0).1)), Some(Reject::RetryAfter));
}

#[test]
fn a_query_is_answered_once_and_its_number_never_again() {
    let mut machine = machine(10, 10);
    let (query, decryptors) = to_switching(&mut machine, 1, 0);
    assert_eq!(decryptors.len(), 2);
    let mut outputs = Vec::new();
    for member in decryptors.iter() {
        let head = SwitchShareHead { query, binding: Digest::default(), body: body(8) };
        let message = HospitalMessage::SwitchShareHead(head);
        let signed = SignedMessage::sign(&key(member.number()), member, Epoch(1), 50, message);
        machine.on(0, ServingInput::Message(signed));
        let complete = ServingInput::BodiesComplete { kind: BlobKind::SwitchShare, query, party: member };
        outputs = machine.on(0, complete);
    }
    assert_eq!(outputs, [ServingOutput::CombineSwitch { query, decryptors }]);
    let outputs = machine.on(0, ServingInput::Combined { query, answer: body(9) });
    assert!(matches!(outputs[..], [ServingOutput::Append(LogMessage::QueryDone(_))]));
    assert_eq!(machine.on(0, ServingInput::Combined { query, answer: body(9) }), []);
    assert_eq!(rejected(&machine.on(0, ask(1, 0).1)), Some(Reject::QueryRepeated));
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
fn a_query_under_another_hospitals_number_is_refused() {
    let mut machine = machine(10, 10);
    let (_, ServingInput::Message(mut signed)) = ask(2, 0) else { panic!("a message") };
    signed = SignedMessage::sign(&key(1), party(1), Epoch(1), 0, signed.body);
    assert_eq!(rejected(&machine.on(0, ServingInput::Message(signed))), Some(Reject::QueryRepeated));
}
