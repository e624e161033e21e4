//! Whose contributions make the model, and whose word on it is waited for.

use super::*;
use crate::cast::{digest, party, roster, signed};
use crate::limits::CHUNKS_MAX;
use crate::message::{Leaving, ModelVerdict, PublishHead, Refusal, Scope};

const COLLECT_MS: u64 = 10_000;
const N: u16 = 5;

/// Five hospitals, any three of which decrypt, around the coordinator's machine.
struct Table {
    machine: PublishMachine,
    now_ms: u64,
    said: Vec<PublishOutput>,
}

fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().map(|number| party(*number)).collect()
}

fn head(attempt: Attempt) -> PublishHead {
    let body = BodyRoot::of(&[digest("chunk 0"), digest("chunk 1")], 300);
    PublishHead { attempt, model: digest("model"), program: digest("program"), body }
}

impl Table {
    fn new() -> Self {
        let roster = roster(N, 3);
        let live = roster.parties();
        let (model, program) = (digest("model"), digest("program"));
        let config = PublishConfig { model, program, min_cohort: 2, collect_ms: COLLECT_MS };
        let machine = PublishMachine::new(roster, live, Attempt::FIRST, config);
        Self { machine, now_ms: 0, said: Vec::new() }
    }

    /// Hospitals are asked for their contributions.
    fn open() -> Self {
        let mut table = Self::new();
        table.hears(PublishInput::Start);
        table
    }

    /// All have contributed.
    fn adding() -> Self {
        let mut table = Self::open();
        (1..=N).for_each(|number| table.contributes(number));
        assert!(matches!(table.said.last(), Some(PublishOutput::Aggregate { count: 2, .. })), "{:?}", table.said);
        table
    }

    /// The model exists, and hospitals add it up as well.
    fn judging() -> Self {
        let mut table = Self::adding();
        table.hears(sum(Attempt::FIRST));
        table
    }

    fn hears(&mut self, input: PublishInput) -> Vec<PublishOutput> {
        let said = self.machine.on(self.now_ms, input);
        self.said.extend(said.iter().cloned());
        said
    }

    fn passes(&mut self, ms: u64) {
        self.now_ms += ms;
        self.hears(PublishInput::Tick);
    }

    fn says(&mut self, number: u16, body: HospitalMessage) -> Vec<PublishOutput> {
        self.hears(PublishInput::Message(signed(number, body)))
    }

    fn rejected(&mut self, number: u16, body: HospitalMessage) -> Option<Reject> {
        self.says(number, body).iter().find_map(|output| match output {
            PublishOutput::Reject { party: of, reject } if *of == party(number) => Some(*reject),
            _ => None,
        })
    }

    fn announces(&mut self, number: u16) {
        self.says(number, HospitalMessage::PublishHead(head(self.machine.attempt)));
    }

    fn stores(&mut self, number: u16, attempt: Attempt) {
        self.hears(PublishInput::BodiesComplete { attempt, party: party(number) });
    }

    fn contributes(&mut self, number: u16) {
        self.announces(number);
        self.stores(number, self.machine.attempt);
    }

    fn agrees(&mut self, number: u16) {
        let (attempt, model, program) = (self.machine.attempt, digest("encrypted model"), digest("program"));
        assert_eq!(
            self.rejected(number, HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program })),
            None
        );
    }

    fn refuses(&mut self, number: u16) {
        let (attempt, reject) = (self.machine.attempt.0, Reject::ModelSumDiffers);
        let refusal = Refusal { scope: Scope::Publish, number: 0, attempt, reject };
        assert_eq!(self.rejected(number, HospitalMessage::Refusal(refusal)), None);
    }

    fn lapses(&mut self, number: u16) {
        self.hears(PublishInput::PartyGone(party(number)));
    }

    fn returns(&mut self, number: u16) {
        self.hears(PublishInput::PartyBack(party(number)));
    }

    fn awaited(&self) -> Vec<u16> {
        self.machine.waiting_for().numbers()
    }

    /// Attempts opened so far, each with its cohort.
    fn opened(&self) -> Vec<(u32, Vec<u16>)> {
        let of = |output: &PublishOutput| match output {
            PublishOutput::Append(LogMessage::PublishOpen(it)) => Some((it.attempt.0, it.cohort.numbers())),
            _ => None,
        };
        self.said.iter().filter_map(of).collect()
    }

    fn failure(&self) -> Option<PublishFailure> {
        self.said.iter().find_map(|output| match output {
            PublishOutput::Failed(failure) => Some(*failure),
            _ => None,
        })
    }

    /// Who has added up what is served now.
    fn served(&self) -> Option<Vec<u16>> {
        self.said.iter().find_map(|output| match output {
            PublishOutput::Published { verified, .. } => Some(verified.numbers()),
            _ => None,
        })
    }
}

fn sum(attempt: Attempt) -> PublishInput {
    PublishInput::Aggregated { attempt, encrypted_model: digest("encrypted model") }
}

#[test]
fn contributions_are_awaited_and_then_the_words_of_those_who_live() {
    let mut table = Table::new();
    assert!(table.awaited().is_empty(), "before the start");
    table.hears(PublishInput::Start);
    table.contributes(2);
    assert_eq!((table.awaited(), table.machine.is_verifying()), (vec![1, 3, 4, 5], false));
    [1, 3, 4, 5].into_iter().for_each(|number| table.contributes(number));
    assert!(table.awaited().is_empty(), "the coordinator adds them");
    table.hears(sum(Attempt::FIRST));
    assert_eq!((table.awaited(), table.machine.is_verifying()), (vec![1, 2, 3, 4, 5], true));
    table.agrees(1);
    table.refuses(2);
    table.lapses(5);
    assert_eq!(table.awaited(), [3, 4]);
    table.agrees(3);
    table.agrees(4);
    assert!(table.awaited().is_empty() && !table.machine.is_verifying());
}

#[test]
fn an_attempt_that_is_open_is_not_opened_again() {
    let mut table = Table::open();
    table.contributes(1);
    assert_eq!(table.hears(PublishInput::Start), []);
    assert_eq!((table.awaited(), table.opened().len()), (vec![2, 3, 4, 5], 1));
}

#[test]
fn bodies_count_for_a_head_of_this_attempt_and_for_nothing_else() {
    let mut table = Table::open();
    table.stores(1, Attempt::FIRST);
    assert_eq!(table.awaited(), [1, 2, 3, 4, 5], "it announced none");
    table.lapses(5);
    table.announces(1);
    table.stores(1, Attempt::FIRST);
    assert_eq!((table.opened().len(), table.awaited()), (2, vec![1, 2, 3, 4]), "those of the first attempt");
    table.stores(1, Attempt(2));
    assert_eq!(table.awaited(), [2, 3, 4]);
}

#[test]
fn a_head_of_another_attempt_or_count_or_beyond_the_limits_is_refused() {
    let mut table = Table::open();
    let message = HospitalMessage::PublishHead;
    assert_eq!(table.rejected(1, message(head(Attempt(2)))), Some(Reject::TooLate));
    let of_count = |count| {
        let chunks = vec![digest("chunk"); count];
        message(PublishHead { body: BodyRoot::of(&chunks, 300), ..head(Attempt::FIRST) })
    };
    assert_eq!(table.rejected(1, of_count(0)), Some(Reject::LimitExceeded));
    assert_eq!(table.rejected(1, of_count(CHUNKS_MAX + 1)), Some(Reject::LimitExceeded));
    assert_eq!(table.rejected(1, of_count(2)), None);
    assert_eq!(table.rejected(2, of_count(1)), Some(Reject::LimitExceeded), "hospital 1 sends two");
    assert_eq!(table.rejected(2, of_count(2)), None);
    let mut full = Table::adding();
    assert_eq!(full.rejected(1, message(head(Attempt::FIRST))), Some(Reject::TooLate));
}

#[test]
fn whoever_announces_two_things_contradicts_itself_and_whoever_repeats_itself_does_not() {
    let mut table = Table::open();
    let first = head(Attempt::FIRST);
    let other = PublishHead { body: BodyRoot { size_bytes: 301, ..first.body }, ..first.clone() };
    let awaits = PublishOutput::AwaitBodies { attempt: Attempt::FIRST, party: party(1), body: first.body };
    assert_eq!(table.says(1, HospitalMessage::PublishHead(first.clone())), [awaits]);
    assert_eq!(table.says(1, HospitalMessage::PublishHead(first)), []);
    assert_eq!(table.rejected(1, HospitalMessage::PublishHead(other)), Some(Reject::Contradiction));
}

#[test]
fn a_sum_is_taken_where_it_is_awaited_and_of_this_attempt() {
    let mut table = Table::open();
    assert_eq!(table.hears(sum(Attempt::FIRST)), []);
    assert_eq!(table.hears(PublishInput::AggregateFailed { attempt: Attempt::FIRST }), []);
    assert_eq!(table.awaited(), [1, 2, 3, 4, 5], "contributions are");
    let mut table = Table::adding();
    assert_eq!(table.hears(sum(Attempt(2))), []);
    assert_eq!(table.hears(PublishInput::AggregateFailed { attempt: Attempt(2) }), []);
    let (attempt, model, program) = (Attempt::FIRST, digest("encrypted model"), digest("program"));
    let published = LogMessage::ModelPublished(ModelPublished { attempt, model, program });
    assert_eq!(table.hears(sum(attempt)).first(), Some(&PublishOutput::Append(published)));
}

#[test]
fn contributions_that_cannot_be_added_up_end_it() {
    let mut table = Table::adding();
    let failed = table.hears(PublishInput::AggregateFailed { attempt: Attempt::FIRST });
    assert_eq!(failed, [PublishOutput::Failed(PublishFailure::Aggregate)]);
    assert_eq!(table.hears(sum(Attempt::FIRST)), [], "it is over");
}

#[test]
fn a_member_that_lapses_or_refuses_or_leaves_costs_the_attempt_and_the_others_start_again() {
    let lost: [fn(&mut Table); 3] = [
        |table| table.lapses(4),
        |table| table.refuses(4),
        |table| {
            let leaving = HospitalMessage::Leaving(Leaving { reject: Reject::Storage });
            assert_eq!(table.rejected(4, leaving), None);
        },
    ];
    for lose in lost {
        let mut table = Table::open();
        table.contributes(1);
        lose(&mut table);
        let void = LogMessage::PublishVoid(PublishVoid { attempt: Attempt::FIRST, missing: set(&[4]) });
        assert!(table.said.contains(&PublishOutput::Append(void)), "{:?}", table.said);
        assert_eq!(table.opened().last(), Some(&(2, vec![1, 2, 3, 5])));
        assert_eq!(table.awaited(), [1, 2, 3, 5], "what was encrypted for the first attempt is of no use");
    }
}

#[test]
fn a_hospital_that_is_back_takes_part_in_the_next_attempt_and_a_stranger_in_none() {
    let mut table = Table::open();
    table.lapses(4);
    table.returns(4);
    table.returns(9);
    assert_eq!(table.awaited(), [1, 2, 3, 5]);
    table.lapses(5);
    assert_eq!(table.opened().last(), Some(&(3, vec![1, 2, 3, 4])));
}

#[test]
fn hospitals_that_come_and_go_have_sixty_four_attempts() {
    let mut table = Table::open();
    let mut away = 4;
    for _ in 0..100 {
        table.returns(away);
        away = 9 - away;
        table.lapses(away);
    }
    assert_eq!(table.failure(), Some(PublishFailure::AttemptsExhausted { attempts: 64 }));
    let attempts: Vec<u32> = table.opened().iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(attempts, (1..=64).collect::<Vec<u32>>());
}

#[test]
fn a_model_is_served_once_all_who_live_have_added_it_up() {
    let mut table = Table::judging();
    (1..=4).for_each(|number| table.agrees(number));
    assert_eq!(table.served(), None, "hospital 5 is at it");
    table.agrees(5);
    assert_eq!(table.served(), Some(vec![1, 2, 3, 4, 5]));
    let mut without = Table::judging();
    (1..=4).for_each(|number| without.agrees(number));
    without.lapses(5);
    assert_eq!(without.served(), Some(vec![1, 2, 3, 4]));
}

#[test]
fn or_once_enough_have_and_the_others_are_late() {
    let mut table = Table::judging();
    [1, 3, 5].into_iter().for_each(|number| table.agrees(number));
    table.passes(COLLECT_MS - 1);
    assert_eq!(table.served(), None);
    table.passes(1);
    assert_eq!(table.served(), Some(vec![1, 3, 5]));
}

#[test]
fn fewer_than_the_threshold_serve_no_model_however_late_the_others_are() {
    let mut table = Table::judging();
    table.agrees(1);
    table.agrees(2);
    (3..=5).for_each(|number| table.lapses(number));
    table.passes(COLLECT_MS);
    assert_eq!((table.served(), table.failure()), (None, None));
    table.returns(3);
    table.agrees(3);
    assert_eq!(table.served(), Some(vec![1, 2, 3]));
}

#[test]
fn a_model_outlives_refusals_while_those_who_do_not_refuse_are_enough() {
    let mut table = Table::judging();
    table.refuses(1);
    table.refuses(2);
    assert_eq!(table.failure(), None);
    let mut served = table;
    (3..=5).for_each(|number| served.agrees(number));
    assert_eq!(served.served(), Some(vec![3, 4, 5]));
    let mut table = Table::judging();
    (1..=3).for_each(|number| table.refuses(number));
    let refused = PublishFailure::Refused { refused: 3, need: 3, reject: Reject::ModelSumDiffers };
    assert_eq!(table.failure(), Some(refused));
}

#[test]
fn nobody_is_indispensable_unless_those_who_live_are_too_few_to_have_added_it_up() {
    let mut table = Table::judging();
    assert_eq!(table.machine.needs_all(), PartySet::EMPTY);
    table.agrees(1);
    table.agrees(2);
    table.lapses(4);
    table.lapses(5);
    assert_eq!(table.machine.needs_all(), PartySet::EMPTY, "hospital 3 may still be the third");
    table.lapses(3);
    assert_eq!(table.machine.needs_all(), set(&[3, 4, 5]));
    table.refuses(3);
    assert_eq!(table.machine.needs_all(), set(&[4, 5]), "it has said what it makes of the model");
    table.returns(4);
    assert_eq!(table.machine.needs_all(), PartySet::EMPTY);
    let mut early = Table::open();
    (1..=3).for_each(|number| early.lapses(number));
    assert!(matches!(early.failure(), Some(PublishFailure::QuorumLost { have: 2, need: 3 })));
    assert_eq!(early.machine.needs_all(), PartySet::EMPTY, "there is no model to serve");
}
