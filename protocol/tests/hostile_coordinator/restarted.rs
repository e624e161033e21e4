//! A hospital that comes back: what it did and read before binds it as if it had never been away.

use protocol::facts::{Fact, HospitalFacts, Released};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::message::{LogMessage, RoundPurpose, RoundVoid, VoidReason};
use protocol::{Attempt, Reject, RoundId};

use crate::federation::{Federation, acceptances, digest, heads, hospital, refusals, releases};
use crate::serving::{answered, published, query, requested, result, signed};

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
    federation.say(requested(&own, result(&own), T));
    federation.say(LogMessage::QueryDone(answered(&own, result(&own), T, T)));
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
