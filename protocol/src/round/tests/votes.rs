//! The sum, and what hospitals make of it.

use super::*;
use crate::message::ModelVote;

fn model(number: u8) -> Option<Digest> {
    Some(Digest([number; 32]))
}

impl Table {
    fn combining() -> Self {
        let mut table = Self::sharing(0);
        table.shares(4);
        assert_eq!(table.machine.step(), "adding up");
        table
    }

    fn combined(&mut self, attempt: u32, chunks: usize) {
        self.hear(RoundInput::Combined { attempt: Attempt(attempt), chunks: vec![Digest([9; 32]); chunks] });
    }

    fn voting() -> Self {
        let mut table = Self::combining();
        table.combined(1, 1);
        assert_eq!(table.machine.step(), "collecting votes");
        table
    }

    fn vote(&self, model: Option<Digest>) -> HospitalMessage {
        HospitalMessage::ModelVote(ModelVote { round: self.round(), attempt: self.machine.attempt(), model })
    }

    fn votes(&mut self, number: u16, model: Option<Digest>) {
        let vote = self.vote(model);
        assert_eq!(self.takes(number, vote), Ok(()));
    }

    fn void_for(&self) -> Option<&VoidReason> {
        match self.end()? {
            RoundEnd::Void { reason, possibly_revealed: true, .. } => Some(reason),
            _ => None,
        }
    }
}

#[test]
fn a_sum_is_announced_with_the_shares_that_it_is_made_of() {
    let table = Table::voting();
    let ready = table.said.iter().find_map(|output| match output {
        RoundOutput::Append(LogMessage::SumReady(it)) => Some(it),
        _ => None,
    });
    let ready = ready.unwrap();
    assert_eq!((ready.attempt, &ready.chunks), (Attempt::FIRST, &vec![Digest([9; 32])]));
    let of: Vec<u16> = ready.shares.iter().map(|share| share.author.number()).collect();
    assert_eq!(of, [1, 2, 3, 4]);
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4, 5], "all are asked, whoever decrypted");
}

#[test]
fn a_sum_that_comes_before_its_time_or_of_another_attempt_is_none() {
    let mut early = Table::sharing(0);
    early.combined(1, 1);
    early.hear(RoundInput::CombineFailed { attempt: Attempt(1) });
    assert_eq!((early.machine.waiting_for().numbers(), early.end()), (vec![4], None));
    let mut table = Table::combining();
    table.combined(2, 1);
    table.hear(RoundInput::CombineFailed { attempt: Attempt(2) });
    assert_eq!((table.machine.step(), table.end()), ("adding up", None));
}

#[test]
fn a_sum_that_cannot_be_made_or_has_too_few_or_many_chunks_ends_the_round() {
    for chunks in [None, Some(0), Some(2)] {
        let mut table = Table::combining();
        match chunks {
            Some(chunks) => table.combined(1, chunks),
            None => table.hear(RoundInput::CombineFailed { attempt: Attempt(1) }),
        }
        assert_eq!(table.void_for(), Some(&VoidReason::CombineFailed), "{chunks:?}");
    }
}

#[test]
fn t_equal_votes_close_the_round_and_stand_in_its_last_entry() {
    let mut table = Table::voting();
    table.votes(1, model(1));
    table.votes(2, None);
    [3, 4].into_iter().for_each(|number| table.votes(number, model(1)));
    assert_eq!((table.machine.step(), table.end()), ("collecting votes", None), "three of four");
    assert_eq!(table.machine.waiting_for().numbers(), [5]);
    table.votes(5, model(1));
    let Some(RoundEnd::Closed { model: closed, attempt, cohort, decryptors }) = table.end() else { unreachable!() };
    assert_eq!((Some(*closed), *attempt), (model(1), Attempt::FIRST));
    assert_eq!((cohort.numbers(), decryptors.numbers()), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4]));
    let voters = table.said.iter().find_map(|output| match output {
        RoundOutput::Append(LogMessage::RoundClosed(it)) => {
            Some(it.votes.iter().map(|vote| vote.author.number()).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(voters, Some(vec![1, 3, 4, 5]), "of those who decoded it");
}

#[test]
fn a_vote_is_of_this_attempt_and_of_a_sum_that_is_there_and_is_given_once() {
    let mut early = Table::combining();
    let vote = early.vote(model(1));
    assert_eq!(early.takes(1, vote), Err(Reject::OutOfTurn));
    let mut table = Table::voting();
    for (round, attempt) in [(2, 1), (1, 2)] {
        let vote = ModelVote { round: RoundId(round), attempt: Attempt(attempt), model: model(1) };
        assert_eq!(table.takes(1, HospitalMessage::ModelVote(vote)), Err(Reject::TooLate));
    }
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4, 5]);
    let [one, other] = [table.vote(model(1)), table.vote(model(2))];
    table.says_twice_and_otherwise(1, one, other);
}

#[test]
fn a_round_ends_once_so_many_vote_otherwise_that_t_equal_votes_cannot_come() {
    let mut table = Table::voting();
    table.votes(1, None);
    assert_eq!(table.end(), None, "the other four may agree");
    table.votes(2, None);
    assert_eq!(table.void_for(), Some(&VoidReason::SumRejected { rejected: 2 }));
    // Two models are no less a disagreement.
    let mut split = Table::voting();
    (1..=3).for_each(|number| split.votes(number, model(1)));
    split.votes(4, model(2));
    assert_eq!(split.end(), None);
    split.votes(5, model(2));
    assert_eq!(split.void_for(), Some(&VoidReason::SumRejected { rejected: 2 }));
    // Of seven, any five of whom decrypt, two may reject it.
    let mut seven = Table::of(7, 5, 1, 0);
    (1..=7).for_each(|number| seven.uploads(number, 1));
    (1..=7).for_each(|number| seven.signs(number));
    (1..=5).for_each(|number| seven.accepts(number));
    (1..=5).for_each(|number| seven.shares(number));
    seven.combined(1, 1);
    [1, 2].into_iter().for_each(|number| seven.votes(number, None));
    assert_eq!((seven.machine.step(), seven.end()), ("collecting votes", None));
    (3..=7).for_each(|number| seven.votes(number, model(1)));
    assert!(matches!(seven.end(), Some(RoundEnd::Closed { .. })), "{:?}", seven.end());
}

#[test]
fn votes_are_waited_for_until_the_deadline_or_until_too_few_are_there_to_vote() {
    let three = || {
        let mut table = Table::voting();
        (1..=3).for_each(|number| table.votes(number, model(1)));
        table
    };
    let missing = VoidReason::VotesMissing { have: 3, need: 4 };
    let mut late = three();
    late.passes(DEADLINE_MS - 1);
    assert_eq!(late.end(), None);
    late.passes(1);
    assert_eq!(late.void_for(), Some(&missing));
    let mut gone = three();
    gone.lapses(5);
    assert_eq!(gone.end(), None, "the fourth may still vote");
    gone.lapses(4);
    assert_eq!(gone.void_for(), Some(&missing));
    // Whoever has voted may go.
    let mut done = three();
    (1..=3).for_each(|number| done.lapses(number));
    done.votes(4, model(1));
    assert!(matches!(done.end(), Some(RoundEnd::Closed { .. })), "{:?}", done.end());
}
