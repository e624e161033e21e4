//! Who is asked to release an answer, what ends a query without one, and what the log says was spent.

use super::*;
use crate::cast::{digest, party, roster, signed, terms};
use crate::ids::{Attempt, Epoch};
use crate::message::{Leaving, ModelVerdict, Refusal, Scope, SwitchShareHead};

const DEADLINE_MS: u64 = 4_000;
const N: u16 = 3;

/// Three hospitals, any two of which release an answer, around the coordinator's machine.
struct Table {
    machine: ServingMachine,
    now_ms: u64,
}

fn body(what: &str) -> BodyRoot {
    BodyRoot::of(&[digest(what)], 300)
}

fn head(query: QueryId) -> QueryHead {
    QueryHead { query, program: terms().program, model: digest("model"), body: body("input") }
}

fn query_of(asker: u16, counter: u64) -> QueryId {
    QueryId::new(party(asker), counter)
}

impl Table {
    /// All have added the model up.
    fn new() -> Self {
        let roster = roster(N, 2);
        let (live, terms) = (roster.parties(), terms());
        let program = terms.program;
        let config = ServingConfig { model: digest("model"), terms, batch_max: 4 };
        let machine = ServingMachine::new(roster, live, config, ServingStanding::default());
        let mut table = Self { machine, now_ms: 0 };
        for number in 1..=N {
            let verdict = ModelVerdict { attempt: Attempt::FIRST, model: digest("model"), program };
            table.says(number, HospitalMessage::ModelVerdict(verdict));
        }
        assert_eq!(table.machine.verified(), live);
        table
    }

    fn hears(&mut self, input: ServingInput) -> Vec<ServingOutput> {
        self.machine.on(self.now_ms, input)
    }

    fn passes(&mut self, ms: u64) -> Vec<ServingOutput> {
        self.now_ms += ms;
        self.hears(ServingInput::Tick)
    }

    fn says(&mut self, number: u16, body: HospitalMessage) -> Vec<ServingOutput> {
        let message = signed(number, body);
        self.hears(ServingInput::Message(message))
    }

    fn asks(&mut self, query: QueryId) -> Vec<ServingOutput> {
        self.says(query.asker().unwrap().number(), HospitalMessage::QueryHead(Box::new(head(query))))
    }

    fn stores(&mut self, kind: BlobKind, query: QueryId, number: u16) -> Vec<ServingOutput> {
        self.hears(ServingInput::BodiesComplete { kind, query, party: party(number) })
    }

    /// Takes a query to its evaluation; says who is asked to evaluate it.
    fn opens(&mut self, query: QueryId) -> Vec<u16> {
        self.asks(query);
        let said = self.stores(BlobKind::Query, query, query.asker().unwrap().number());
        let of = |output: &ServingOutput| match output {
            ServingOutput::Append(LogMessage::QueryOpen(it)) => Some(it.decryptors.numbers()),
            _ => None,
        };
        said.iter().find_map(of).unwrap()
    }

    /// Takes a query to the release of its answer; says who is asked for shares.
    fn switches(&mut self, query: QueryId) -> Vec<u16> {
        self.opens(query);
        let said = self.hears(ServingInput::Evaluated { query, result: body("result") });
        requested(&said).unwrap()
    }

    fn share(&self, query: QueryId, result: &str) -> HospitalMessage {
        let head = signed(query.asker().unwrap().number(), HospitalMessage::QueryHead(Box::new(head(query))));
        let Some(Stage::Switching { decryptors, .. }) = self.machine.jobs.get(&query).map(|job| &job.stage) else {
            panic!("{query} has no result")
        };
        let request = SwitchRequest { head, result: body(result), decryptors: *decryptors };
        let binding = SwitchBinding::of(Epoch(1), &request).unwrap().digest();
        HospitalMessage::SwitchShareHead(SwitchShareHead { query, binding, body: body("box") })
    }

    fn refuses(&mut self, number: u16, query: QueryId) -> Vec<ServingOutput> {
        let reject = Reject::EvaluationFailed;
        self.says(
            number,
            HospitalMessage::Refusal(Refusal { scope: Scope::Query, number: query.0, attempt: 0, reject }),
        )
    }

    fn lapses(&mut self, number: u16) {
        self.hears(ServingInput::PartyGone(party(number)));
    }

    fn awaited(&self) -> Vec<u16> {
        self.machine.waiting_for().numbers()
    }
}

fn requested(said: &[ServingOutput]) -> Option<Vec<u16>> {
    said.iter().find_map(|output| match output {
        ServingOutput::Append(LogMessage::SwitchRequest(it)) => Some(it.decryptors.numbers()),
        _ => None,
    })
}

fn failed(query: QueryId, reject: Reject) -> ServingOutput {
    ServingOutput::Append(LogMessage::QueryFailed(QueryFailed { query, reject }))
}

#[test]
fn whoever_has_not_sent_its_share_of_an_answer_is_awaited() {
    let mut table = Table::new();
    let query = query_of(3, 0);
    assert_eq!(table.opens(query), [1, 2]);
    assert!(table.awaited().is_empty(), "there is nothing to release");
    table.hears(ServingInput::Evaluated { query, result: body("result") });
    assert_eq!(table.awaited(), [1, 2]);
    table.says(1, table.share(query, "result"));
    table.stores(BlobKind::SwitchShare, query, 1);
    assert_eq!(table.awaited(), [2]);
    table.says(2, table.share(query, "result"));
    table.stores(BlobKind::SwitchShare, query, 2);
    assert!(table.awaited().is_empty() && table.machine.pending() == 0);
}

#[test]
fn an_answer_counts_as_released_once_shares_are_asked_for() {
    let mut table = Table::new();
    table.opens(query_of(1, 0));
    assert_eq!(table.machine.releases(), 0);
    table.hears(ServingInput::Evaluated { query: query_of(1, 0), result: body("result") });
    assert_eq!(table.machine.releases(), 1);
    table.switches(query_of(1, 1));
    table.lapses(2);
    assert_eq!((table.machine.releases(), table.machine.pending()), (2, 0), "what was asked for may be out");
}

#[test]
fn hospitals_take_turns_in_releasing() {
    let mut table = Table::new();
    let turns: Vec<Vec<u16>> = (0..4).map(|counter| table.switches(query_of(1, counter))).collect();
    assert_eq!(turns, [[1, 2], [2, 3], [1, 3], [1, 2]]);
}

#[test]
fn a_hospital_that_is_back_is_asked_again_and_one_that_leaves_is_not() {
    let mut table = Table::new();
    table.lapses(1);
    assert_eq!(table.opens(query_of(1, 0)), [2, 3]);
    table.hears(ServingInput::PartyBack(party(1)));
    table.hears(ServingInput::EvaluationFailed { query: query_of(1, 0) });
    assert_eq!(table.opens(query_of(1, 1)), [1, 2]);
    table.hears(ServingInput::EvaluationFailed { query: query_of(1, 1) });
    assert_eq!(table.says(2, HospitalMessage::Leaving(Leaving { reject: Reject::Storage })), []);
    assert_eq!(table.opens(query_of(1, 2)), [1, 3]);
}

#[test]
fn whoever_is_refused_reads_of_which_query() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    let refused = |number, query, reject| [ServingOutput::Reject { party: party(number), query, reject }];
    let other = QueryHead { model: digest("another model"), ..head(query) };
    let said = table.says(1, HospitalMessage::QueryHead(Box::new(other)));
    assert_eq!(said, refused(1, Some(query), Reject::UnknownModel));
    table.switches(query);
    assert_eq!(table.says(1, table.share(query, "another")), refused(1, Some(query), Reject::Contradiction));
    let verdict = ModelVerdict { attempt: Attempt::FIRST, model: digest("another model"), program: terms().program };
    assert_eq!(table.says(1, HospitalMessage::ModelVerdict(verdict)), refused(1, None, Reject::UnknownModel));
}

#[test]
fn a_decryptor_that_refuses_costs_the_query_and_nobody_else_does() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    assert_eq!(table.switches(query), [1, 2]);
    assert_eq!(table.refuses(3, query), []);
    assert_eq!(table.awaited(), [1, 2]);
    assert_eq!(table.refuses(2, query), [failed(query, Reject::DecryptorLost)]);
    assert_eq!(table.machine.pending(), 0);
}

#[test]
fn a_query_that_is_said_again_is_admitted_again_and_another_under_its_number_is_not() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    let admitted = ServingOutput::Admitted { party: party(1), query };
    assert_eq!(table.asks(query).first(), Some(&admitted));
    assert_eq!(table.asks(query), [admitted], "its answer may have been lost");
    let other = QueryHead { body: body("another input"), ..head(query) };
    let said = table.says(1, HospitalMessage::QueryHead(Box::new(other)));
    assert_eq!(said, [ServingOutput::Reject { party: party(1), query: Some(query), reject: Reject::Contradiction }]);
    assert_eq!((table.machine.pending(), table.machine.spent.asked_by(party(1))), (1, 1));
}

#[test]
fn a_query_of_exactly_the_largest_size_is_taken() {
    let query = query_of(1, 0);
    let of_size = |size_bytes| {
        let body = BodyRoot { count: 16, size_bytes, ..body("input") };
        Table::new().says(1, HospitalMessage::QueryHead(Box::new(QueryHead { body, ..head(query) })))
    };
    assert_eq!(of_size(QUERY_BYTES_MAX).first(), Some(&ServingOutput::Admitted { party: party(1), query }));
    let reject = Reject::LimitExceeded;
    assert_eq!(of_size(QUERY_BYTES_MAX + 1), [ServingOutput::Reject { party: party(1), query: Some(query), reject }]);
}

#[test]
fn only_the_askers_own_bodies_complete_a_query() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    table.asks(query);
    assert_eq!(table.stores(BlobKind::Query, query, 2), []);
    assert_eq!(table.stores(BlobKind::SwitchShare, query, 1), []);
    let said = table.stores(BlobKind::Query, query, 1);
    let evaluation = Evaluation { query, asker: party(1), body: body("input") };
    assert_eq!(said.last(), Some(&ServingOutput::Evaluate(vec![evaluation])));
}

#[test]
fn a_box_is_part_of_an_answer_if_its_maker_signed_for_it() {
    let mut table = Table::new();
    let query = query_of(3, 0);
    assert_eq!(table.switches(query), [1, 2]);
    table.stores(BlobKind::SwitchShare, query, 1);
    table.says(2, table.share(query, "result"));
    assert_eq!(table.stores(BlobKind::SwitchShare, query, 2), []);
    assert_eq!(table.awaited(), [1]);
    table.says(1, table.share(query, "result"));
    let shares = [1, 2].map(|number| signed(number, table.share(query, "result"))).to_vec();
    let done = ServingOutput::Append(LogMessage::QueryDone(QueryDone { query, shares }));
    assert_eq!(table.stores(BlobKind::SwitchShare, query, 1), [done]);
}

#[test]
fn a_result_that_too_few_could_release_is_not_released() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    table.opens(query);
    table.lapses(2);
    table.lapses(3);
    let said = table.hears(ServingInput::Evaluated { query, result: body("result") });
    assert_eq!(said, [failed(query, Reject::DecryptorLost)]);
    assert_eq!(table.machine.releases(), 0);
}

#[test]
fn a_query_whose_bodies_do_not_come_in_time_ends() {
    let mut table = Table::new();
    let query = query_of(1, 0);
    assert!(table.asks(query).contains(&ServingOutput::WakeAt(DEADLINE_MS)));
    assert_eq!(table.passes(DEADLINE_MS - 1), []);
    assert_eq!(table.passes(1), [failed(query, Reject::TooLate)]);
    assert_eq!(table.machine.pending(), 0);
}

/// What the log's entries come to, whichever of them a restart left there.
#[test]
fn queries_count_from_whatever_the_log_says_of_them_and_answers_from_their_requests() {
    let asked =
        |query: QueryId| signed(query.asker().unwrap().number(), HospitalMessage::QueryHead(head(query).into()));
    let (decryptors, result) = ([party(1), party(2)].into_iter().collect(), body("result"));
    let opened = |query| LogMessage::QueryOpen(Box::new(QueryOpen { head: asked(query), decryptors }));
    let requested =
        |query| LogMessage::SwitchRequest(Box::new(SwitchRequest { head: asked(query), result, decryptors }));
    let failed = |query| LogMessage::QueryFailed(QueryFailed { query, reject: Reject::TooLate });
    let done = |query| LogMessage::QueryDone(QueryDone { query, shares: Vec::new() });
    let stands = |log: &[LogMessage]| {
        let mut standing = ServingStanding::default();
        log.iter().for_each(|entry| standing.learn(entry));
        let asked = [1, 2].map(|asker| standing.asked_by(party(asker)));
        (asked, standing.releases(), standing.interrupted().collect::<Vec<QueryId>>())
    };
    let (one, two, other) = (query_of(1, 1), query_of(1, 2), query_of(2, 1));
    assert_eq!(stands(&[]), ([0, 0], 0, vec![]));
    assert_eq!(stands(&[opened(one)]), ([1, 0], 0, vec![one]));
    assert_eq!(stands(&[failed(one)]), ([1, 0], 0, vec![]), "its bodies never came");
    assert_eq!(stands(&[requested(one)]), ([1, 0], 1, vec![one]));
    assert_eq!(stands(&[opened(one), failed(one), opened(two)]), ([2, 0], 0, vec![two]));
    let log = [opened(one), requested(one), opened(other), done(one), requested(other)];
    assert_eq!(stands(&log), ([1, 1], 2, vec![other]));
}
