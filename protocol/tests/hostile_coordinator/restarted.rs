//! A hospital that comes back: what it did and read before binds it as if it had never been away.

use protocol::facts::{Fact, HospitalFacts, Released};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::message::{LogMessage, ModelVerified, QueryDone, RoundPurpose, RoundVoid, VoidReason};
use protocol::{Attempt, QueryId, Reject, RoundId};

use crate::federation::{Federation, acceptances, digest, heads, hospital, party, refusals, releases, sent, terms};
use crate::serving::{MODEL, published, query, requested, result, signed};

const COHORT: &[u16] = &[1, 2, 3, 4, 5];
const T: &[u16] = &[1, 2, 3, 4];

/// Hospital 1 with what it made durable and these facts, after it has read the log again.
pub(crate) fn comes_back(federation: &Federation, facts: Vec<Fact>) -> (HospitalMachine, Vec<HospitalOutput>) {
    let facts: HospitalFacts = federation.facts[0].iter().cloned().chain(facts).collect();
    let mut machine = hospital(1, facts);
    let entries = federation.log.iter().cloned();
    let outputs = entries.flat_map(|entry| machine.on(0, HospitalInput::Entry(entry))).collect();
    (machine, outputs)
}

fn void(round: u32) -> LogMessage {
    LogMessage::RoundVoid(RoundVoid { round: RoundId(round), reason: VoidReason::CombineFailed })
}

fn is_marked(federation: &Federation) -> bool {
    matches!(federation.facts[0].last(), Some(Fact::ReadUpTo(read)) if read.entries == federation.log.len() as u64)
}

#[test]
fn rounds_that_it_has_seen_do_not_open_again() {
    let mut federation = Federation::new();
    federation.open(3);
    federation.say(void(3));
    assert!(is_marked(&federation));
    federation.hospitals[0] = comes_back(&federation, Vec::new()).0;
    assert_eq!(refusals(&federation.open(3)[..1]), [Reject::RoundNumber]);
    assert_eq!(refusals(&federation.open(4)[..1]), []);
}

#[test]
fn answers_that_others_released_still_count() {
    let mut federation = published();
    let (others, own) = (signed(2, query(2, 0)), signed(3, query(3, 0)));
    federation.say(requested(&others, result(&others), &[2, 3, 4, 5]));
    let shares = federation.say(requested(&own, result(&own), T)).into_iter().flat_map(sent).collect();
    federation.say(LogMessage::QueryDone(QueryDone { query: QueryId::new(party(3), 0), shares }));
    assert!(is_marked(&federation));
    assert_eq!(federation.hospitals[0].answers(), 2);
    assert_eq!(comes_back(&federation, Vec::new()).0.answers(), 2);
}

/// What may have become known of a round is noted before its shares leave, once.
#[test]
fn each_cohort_of_each_round_whose_sum_may_be_known_is_noted_once() {
    let mut federation = Federation::new();
    let revealed = |federation: &Federation| -> Vec<RoundId> {
        let of = |fact: &Fact| match fact {
            Fact::Revealed(revealed) => Some(revealed.round),
            _ => None,
        };
        federation.facts[0].iter().filter_map(of).collect()
    };
    for round in [1, 2] {
        let opened = federation.open_for(RoundPurpose::Train, round);
        federation.freeze(round, 1, heads(opened, 1, COHORT));
        let accepted = acceptances(federation.propose(round, 1, T));
        federation.request(round, 1, accepted.clone());
        federation.request(round, 1, accepted);
        assert!(revealed(&federation).into_iter().eq((1..=round).map(RoundId)), "{:?}", revealed(&federation));
        federation.say(void(round));
    }
}

#[test]
fn shares_that_left_in_one_context_leave_in_no_other() {
    for (binding, reject) in [("another", vec![Reject::AlreadyReleased]), ("this", vec![])] {
        let mut federation = Federation::new();
        let opened = federation.open(1);
        federation.freeze(1, 1, heads(opened, 1, COHORT));
        let accepted = acceptances(federation.propose(1, 1, T));
        let binding = match binding {
            "this" => {
                let mut twin = Federation::new();
                let opened = twin.open(1);
                twin.freeze(1, 1, heads(opened, 1, COHORT));
                let accepted = acceptances(twin.propose(1, 1, T));
                twin.request(1, 1, accepted);
                let of = |fact: &Fact| match fact {
                    Fact::Released(released) => Some(released.binding),
                    _ => None,
                };
                twin.facts[0].iter().find_map(of).unwrap()
            }
            other => digest(other),
        };
        let released = Released { round: RoundId(1), attempt: Attempt(1), binding, chunks: 1 };
        federation.hospitals[0] = comes_back(&federation, vec![Fact::Released(released)]).0;
        let outputs = federation.request(1, 1, accepted);
        assert_eq!(refusals(&outputs[..1]), reject);
        assert_eq!(releases(&outputs[..1]), usize::from(reject.is_empty()), "made again from what is stored");
    }
}

/// A log that says of a model that few added it up, that all did, and that all did: queries may be asked once.
#[test]
fn a_model_is_ready_once_enough_hospitals_have_added_it_up_also_in_a_log_that_is_read_again() {
    let mut federation = published();
    let Some(LogMessage::ModelVerified(all)) = federation.log.pop().map(|entry| entry.message) else {
        panic!("the last entry")
    };
    let mut heard = Federation::with_keys(Some(digest("program")));
    let after_keys = heard.log.len();
    let few = ModelVerified { verdicts: all.verdicts[..1].to_vec() };
    let mut entries: Vec<LogMessage> = federation.log[after_keys..].iter().map(|entry| entry.message.clone()).collect();
    entries.extend([few, all.clone(), all].map(LogMessage::ModelVerified));
    entries.into_iter().for_each(|message| drop(heard.say(message)));
    heard.open(1);
    heard.say(void(1));
    assert!(is_marked(&heard));
    let ready = |output: &HospitalOutput| match output {
        HospitalOutput::ModelReady { model, program } => Some((*model, *program)),
        _ => None,
    };
    let (_, outputs) = comes_back(&heard, Vec::new());
    let found: Vec<_> = outputs.iter().filter_map(ready).collect();
    assert_eq!(found, [(digest(MODEL), digest("program"))]);
}

#[test]
fn shares_are_released_up_to_the_budget_of_the_key_and_not_beyond() {
    let tau = u32::try_from(terms().tau_aggregation).unwrap();
    for (chunks, first) in [(tau, vec![]), (tau + 1, vec![Reject::BudgetSpent])] {
        let mut federation = Federation::new();
        federation.chunks = chunks;
        for (round, expected) in [(1, first), (2, vec![Reject::BudgetSpent])] {
            let opened = federation.open(round);
            federation.freeze(round, 1, heads(opened, 1, COHORT));
            let accepted = acceptances(federation.propose(round, 1, T));
            let outputs = federation.request(round, 1, accepted);
            assert_eq!(refusals(&outputs[..1]), expected, "{chunks} chunks, round {round}");
            assert_eq!(releases(&outputs[..1]), usize::from(expected.is_empty()));
            federation.say(void(round));
        }
    }
}
