//! The campaign over growing and resumed logs.

use super::*;
use crate::message::{ModelPublished, PublishOpen, RoundClosed, RoundOpen, RoundVoid, ServingKeysReady};

fn terms() -> Terms {
    let digest = |name: &str| Digest::of_bytes(name.as_bytes());
    Terms {
        experiment: digest("experiment"),
        parameters: digest("parameters"),
        program: digest("program"),
        initial_model: digest("initial"),
        rounds: 2,
        chunks: 1,
        min_cohort: 2,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 100,
        tau_serving: 100,
        queries_per_asker_max: 10,
        patience_ms: 1_000,
        round_deadline_ms: 4_000,
        query_deadline_ms: 4_000,
    }
}

fn model(number: u32) -> Digest {
    Digest::of("model", &number)
}

fn keys() -> LogMessage {
    LogMessage::ServingKeysReady(ServingKeysReady { plan: Digest::default() })
}

fn open(round: u32, base_model: Digest) -> LogMessage {
    LogMessage::RoundOpen(RoundOpen { round: RoundId(round), base_model, terms: terms().digest() })
}

fn closed(round: u32) -> LogMessage {
    let votes = Vec::new();
    LogMessage::RoundClosed(RoundClosed { round: RoundId(round), attempt: Attempt::FIRST, model: model(round), votes })
}

fn void(round: u32, reason: VoidReason) -> LogMessage {
    LogMessage::RoundVoid(RoundVoid { round: RoundId(round), reason })
}

const LATE: VoidReason = VoidReason::CombineFailed;

#[test]
fn a_log_that_grows_entry_by_entry_says_what_a_resumed_one_says() {
    let cohort: PartySet = [1, 2, 3].into_iter().filter_map(crate::ids::PartyId::new).collect();
    let program = terms().program;
    let entries = [
        keys(),
        open(1, terms().initial_model),
        closed(1),
        open(2, model(1)),
        void(2, LATE),
        open(3, model(1)),
        closed(3),
        LogMessage::PublishOpen(PublishOpen { attempt: Attempt(1), model: model(3), program, cohort }),
        LogMessage::PublishOpen(PublishOpen { attempt: Attempt(2), model: model(3), program, cohort }),
        LogMessage::ModelPublished(ModelPublished { attempt: Attempt(2), model: model(9), program }),
    ];
    let round = |round, base_model| Next::Round { round: RoundId(round), base_model };
    let publish = |first| Next::Publish { model: model(3), first: Attempt(first) };
    let served = PublishedModel { digest: model(9), attempt: Attempt(2), cohort };
    let expected = [
        round(1, terms().initial_model),
        round(2, terms().initial_model),
        round(2, model(1)),
        round(3, model(1)),
        round(3, model(1)),
        round(4, model(1)),
        publish(1),
        publish(2),
        publish(3),
        Next::Serve(served),
    ];
    let mut growing = CampaignMachine::new(terms());
    assert_eq!(growing.next(), Next::Ceremony);
    for (length, expected) in (1..).zip(expected) {
        growing.learn(&entries[length - 1]);
        assert_eq!(growing.next(), expected, "after {length} entries");
        assert_eq!(CampaignMachine::resume(terms(), &entries[..length]).next(), expected, "resumed after {length}");
    }
}

#[test]
fn three_void_rounds_in_a_row_pause_and_a_closed_one_counts_anew() {
    let mut machine = CampaignMachine::resume(terms(), &[keys()]);
    for round in [1, 2] {
        machine.learn(&void(round, LATE));
    }
    assert!(matches!(machine.next(), Next::Round { .. }));
    machine.learn(&closed(3));
    for round in [4, 5] {
        machine.learn(&void(round, LATE));
    }
    assert!(matches!(machine.next(), Next::Round { .. }), "the closed round began the count anew");
    machine.learn(&void(6, LATE));
    assert_eq!(machine.next(), Next::Wait(PauseReason::Round { round: RoundId(6), reason: LATE }));
    machine.learn(&LogMessage::Order(Order { kind: OrderKind::Resume }));
    machine.learn(&void(7, LATE));
    assert!(matches!(machine.next(), Next::Round { .. }), "a resumed campaign tries three times again");
}

#[test]
fn too_few_hospitals_pause_at_once_and_a_restart_goes_on() {
    let lost = VoidReason::QuorumLost { have: 3, need: 4 };
    let log = [keys(), open(1, terms().initial_model), void(1, lost)];
    let mut machine = CampaignMachine::new(terms());
    log.iter().for_each(|message| machine.learn(message));
    assert_eq!(machine.next(), Next::Wait(PauseReason::Round { round: RoundId(1), reason: lost }));
    let resumed = CampaignMachine::resume(terms(), &log);
    assert_eq!(resumed.next(), Next::Round { round: RoundId(2), base_model: terms().initial_model });
}

#[test]
fn orders_pause_resume_and_publish_early() {
    let order = |kind| LogMessage::Order(Order { kind });
    let mut machine = CampaignMachine::resume(terms(), &[keys()]);
    machine.learn(&order(OrderKind::Publish));
    assert!(matches!(machine.next(), Next::Round { .. }), "there is nothing trained to publish");
    machine.learn(&closed(1));
    machine.learn(&order(OrderKind::Pause));
    assert_eq!(machine.next(), Next::Wait(PauseReason::Ordered));
    machine.learn(&order(OrderKind::Resume));
    machine.learn(&order(OrderKind::Publish));
    assert_eq!(machine.next(), Next::Publish { model: model(1), first: Attempt(1) });
}
