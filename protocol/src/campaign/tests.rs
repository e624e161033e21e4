//! The campaign over growing and resumed logs.

use super::*;
use crate::cast::{self, roster, signed};
use crate::message::{
    HospitalMessage, KeyReveal, ModelPublished, ModelVerified, PublishOpen, RevealSet, RosterProposed, RoundClosed,
    RoundOpen, RoundPurpose, RoundVoid, ServingKeysReady,
};

fn terms() -> Terms {
    Terms { rounds: 2, attempts_max: 3, attempts_ahead: 1, ..cast::terms() }
}

fn model(number: u32) -> Digest {
    Digest::of("model", &number)
}

fn keys() -> LogMessage {
    LogMessage::ServingKeysReady(ServingKeysReady { plan: Digest::default(), verdicts: Vec::new() })
}

fn open(round: u32, base_model: Digest) -> LogMessage {
    LogMessage::RoundOpen(RoundOpen {
        round: RoundId(round),
        purpose: RoundPurpose::Train,
        base_model,
        terms: terms().digest(),
    })
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
        LogMessage::ModelVerified(ModelVerified { verdicts: Vec::new() }),
        LogMessage::ModelVerified(ModelVerified { verdicts: Vec::new() }),
    ];
    let round = |round, base_model| Next::Round { round: RoundId(round), purpose: RoundPurpose::Train, base_model };
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
        publish(3),
        Next::Serve(served),
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
fn a_resumed_campaign_knows_its_hospitals_its_randomness_its_terms_and_what_it_published() {
    let roster = roster(2, 2);
    let nonces = [[7; 32], [8; 32]];
    let reveal = |(number, nonce)| signed(number, HospitalMessage::KeyReveal(KeyReveal { nonce }));
    let reveals = RevealSet { reveals: (1..).zip(nonces).map(reveal).collect() };
    let proposed = LogMessage::RosterProposed(RosterProposed { roster: roster.clone() });
    let cohort = PartySet::EMPTY;
    let (attempt, program) = (Attempt(1), terms().program);
    let log = [
        proposed,
        LogMessage::RevealSet(reveals),
        keys(),
        LogMessage::PublishOpen(PublishOpen { attempt, model: model(1), program, cohort }),
        LogMessage::ModelPublished(ModelPublished { attempt, model: model(2), program }),
        LogMessage::ModelVerified(ModelVerified { verdicts: Vec::new() }),
    ];
    let before = CampaignMachine::new(terms());
    assert_eq!((before.roster(), before.epoch_seed(), before.published()), (None, Digest::default(), None));
    let machine = CampaignMachine::resume(terms(), &log);
    assert_eq!(machine.roster(), Some(&roster));
    assert_eq!(machine.epoch_seed(), crate::ceremony::epoch_seed(&roster, &nonces));
    assert_eq!(machine.published(), Some(PublishedModel { digest: model(2), attempt, cohort }));
    assert_eq!(machine.terms(), &terms());
}

#[test]
fn a_pause_for_a_reason_of_its_own_lasts_until_somebody_goes_on() {
    let mut machine = CampaignMachine::resume(terms(), &[keys()]);
    machine.pause(PauseReason::Ordered);
    assert_eq!((machine.next(), machine.paused()), (Next::Wait(PauseReason::Ordered), Some(&PauseReason::Ordered)));
    machine.go_on();
    assert!(matches!(machine.next(), Next::Round { .. }));
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
    machine.restart();
    assert_eq!(
        machine.next(),
        Next::Round { round: RoundId(2), purpose: RoundPurpose::Train, base_model: terms().initial_model }
    );
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
    machine.restart();
    assert_eq!(machine.next(), Next::Wait(PauseReason::Ordered), "a restart is no order");
    machine.learn(&order(OrderKind::Resume));
    machine.learn(&order(OrderKind::Publish));
    assert_eq!(machine.next(), Next::Publish { model: model(1), first: Attempt(1) });
}

fn with_figures() -> Terms {
    Terms { figure_rounds: 1, ..terms() }
}

fn open_figures(round: u32) -> LogMessage {
    let (purpose, base_model) = (RoundPurpose::Figures, model(2));
    LogMessage::RoundOpen(RoundOpen { round: RoundId(round), purpose, base_model, terms: with_figures().digest() })
}

fn trained() -> CampaignMachine {
    let log = [keys(), open(1, terms().initial_model), closed(1), open(2, model(1)), closed(2)];
    CampaignMachine::resume(with_figures(), &log)
}

#[test]
fn figures_are_added_up_once_after_training_and_change_no_model() {
    let figures = |round| Next::Round { round: RoundId(round), purpose: RoundPurpose::Figures, base_model: model(2) };
    let mut machine = trained();
    assert_eq!(machine.next(), figures(3));
    for (message, next) in [
        (open_figures(3), figures(4)),
        (void(3, LATE), figures(4)),
        (open_figures(4), figures(5)),
        (closed(4), Next::Publish { model: model(2), first: Attempt(1) }),
    ] {
        machine.learn(&message);
        assert_eq!(machine.next(), next, "after {message:?}");
    }
    assert_eq!(machine.closed(), 2, "a round of figures trains nothing");
    // Also where the operator publishes early.
    let mut early = CampaignMachine::resume(with_figures(), &[keys(), open(1, terms().initial_model), closed(1)]);
    early.learn(&LogMessage::Order(Order { kind: OrderKind::Publish }));
    let purpose = RoundPurpose::Figures;
    assert_eq!(early.next(), Next::Round { round: RoundId(2), purpose, base_model: model(1) });
}

#[test]
fn figures_are_given_up_before_a_campaign_pauses_for_them() {
    let mut machine = trained();
    for round in 3..3 + VOID_ROUNDS_MAX {
        assert!(matches!(machine.next(), Next::Round { purpose: RoundPurpose::Figures, .. }), "{round}");
        machine.learn(&open_figures(round));
        machine.learn(&void(round, VoidReason::CohortTooSmall { have: 1, need: 2 }));
    }
    assert_eq!(machine.next(), Next::Publish { model: model(2), first: Attempt(1) });
    // Too few hospitals for anything: nothing could be published either.
    let mut alone = trained();
    alone.learn(&open_figures(3));
    alone.learn(&void(3, VoidReason::QuorumLost { have: 1, need: 2 }));
    assert!(matches!(alone.next(), Next::Wait(PauseReason::Round { .. })));
}
