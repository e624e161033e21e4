//! A round's sum, before anything that it gives is voted for: hospitals add up themselves what it is made of.
//!
//! Checks of an opened sum see what the coordinator adds alone. With one hospital that tells it the group's key it
//! passes them all: lanes and checksum then fit whatever it added (`he_agg`'s tests of faults). What it cannot change
//! is what the others signed for, so the sum is added up once more from exactly these bodies. A small one is added
//! whole; of a large one each hospital draws chunks, which nobody can know when the digests of the sum stand in the
//! log. The coordinator sees the draw in what is fetched, and has nothing left to choose then: bodies are signed for,
//! the sum is announced, and there is no second announcement.

use crate::facts::{Fact, SumChecked, SumDrawn};
use crate::hospital::draw::{chunks_added, draw};
use crate::hospital::{HospitalMachine, HospitalOutput};
use crate::ids::{Attempt, RoundId};
use crate::message::{HospitalMessage, ModelVote, SumReady};
use crate::reject::Reject;

impl HospitalMachine {
    pub(super) fn on_sum_ready(&mut self, it: &SumReady, out: &mut Vec<HospitalOutput>) {
        let result = self.sum_ready(it, out);
        self.refuse_round(it.round, it.attempt, result, out);
    }

    fn sum_ready(&mut self, it: &SumReady, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let (round, attempt) = (it.round, it.attempt);
        let Ok(Some(state)) = self.current(round, attempt) else { return Ok(()) };
        let of_attempt = state.state(attempt);
        let (requested, is_known) = (of_attempt.requested, of_attempt.announced.is_some());
        let updates = of_attempt.updates.clone();
        let Some(binding) = self.binding(attempt).filter(|_| requested) else { return Ok(()) };
        if it.chunks.len() != binding.chunks as usize {
            return Err(Reject::SumRejected);
        }
        let shares = it.shares_for(&binding, self.signed_roster()?)?;
        let own = self.facts.sent((11, u64::from(round.0), attempt.0));
        if it.shares.iter().any(|head| head.author == self.config.party && Some(head) != own) {
            return Err(Reject::OwnHeadChanged);
        }
        let drawn = match self.facts.sum_drawn(round, attempt).cloned() {
            Some((sum, _)) if sum != it.digest() => return Err(Reject::Contradiction),
            // Said again.
            Some(_) if is_known => return Ok(()),
            Some((_, chunks)) => chunks,
            None => {
                let (sum, of) = (it.digest(), it.chunks.len());
                let chunks = draw(&self.fresh, sum, of, chunks_added(of));
                self.persist(Fact::SumDrawn(SumDrawn { round, attempt, sum, chunks: chunks.clone() }), out);
                chunks
            }
        };
        if let Some(state) = &mut self.round {
            state.opening = true;
            state.state(attempt).announced = Some(it.chunks.clone());
        }
        if self.facts.is_sum_checked(round, attempt) {
            self.open_sum(attempt, out);
        } else {
            let chunks = drawn.iter().filter_map(|chunk| Some((*chunk, *it.chunks.get(*chunk as usize)?))).collect();
            out.push(HospitalOutput::CheckSum { binding, updates, shares, chunks });
        }
        Ok(())
    }

    fn open_sum(&self, attempt: Attempt, out: &mut Vec<HospitalOutput>) {
        let Some(binding) = self.binding(attempt) else { return };
        let Some(state) = &self.round else { return };
        let Some(chunks) = state.attempts.get(&attempt).and_then(|it| it.announced.clone()) else { return };
        out.push(HospitalOutput::OpenSum { binding, purpose: state.open.purpose, chunks });
    }

    pub(super) fn sum_checked(&mut self, round: RoundId, attempt: Attempt, out: &mut Vec<HospitalOutput>) {
        if !self.awaits_sum(round, attempt) {
            return;
        }
        self.persist(Fact::SumChecked(SumChecked { round, attempt }), out);
        self.open_sum(attempt, out);
    }

    /// Says by name why this sum is not opened, and votes against it: nobody waits for this hospital's word.
    pub(super) fn sum_false(
        &mut self,
        round: RoundId,
        attempt: Attempt,
        reject: Reject,
        out: &mut Vec<HospitalOutput>,
    ) {
        if !self.awaits_sum(round, attempt) {
            return;
        }
        if let Some(state) = &mut self.round {
            state.opening = false;
        }
        self.refuse_round(round, attempt, Err(reject), out);
        let vote = ModelVote { round, attempt, model: None };
        let result = self.sign_once(HospitalMessage::ModelVote(vote), out);
        self.refuse_round(round, attempt, result, out);
    }

    /// Whether an announced sum is still to be added up here.
    fn awaits_sum(&mut self, round: RoundId, attempt: Attempt) -> bool {
        let is_checked = self.facts.is_sum_checked(round, attempt);
        let Ok(Some(state)) = self.current(round, attempt) else { return false };
        state.opening && !is_checked
    }
}
