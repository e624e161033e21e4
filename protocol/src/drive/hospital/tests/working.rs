//! Work in order: what is fetched for it, begun, and given up.

use super::*;
use crate::hospital::ShareBinding;

fn binding(round: u32) -> ShareBinding {
    let (cohort, decryptors) = ([party(1), party(2)].into_iter().collect(), [party(2)].into_iter().collect());
    let (epoch, attempt, manifest) = (Epoch(1), Attempt(1), Digest([7; 32]));
    ShareBinding { epoch, round: RoundId(round), attempt, cohort, decryptors, manifest, chunks: 2 }
}

fn chunk(index: u32) -> Bytes {
    Bytes::copy_from_slice(&index.to_le_bytes())
}

/// Needs so many bodies of this round's sum.
fn open_sum(round: u32, count: u32) -> HospitalOutput {
    let chunks = (0..count).map(|index| Digest::of_bytes(&chunk(index))).collect();
    HospitalOutput::OpenSum { binding: binding(round), purpose: RoundPurpose::Train, chunks }
}

/// Needs of hospital 2 its update and its share, two chunks of each.
fn check_sum(round: u32) -> HospitalOutput {
    let chunks = [0, 1].map(|index| Digest::of_bytes(&chunk(index)));
    let of_two = vec![(party(2), BodyRoot::of(&chunks, 8))];
    let announced = vec![(0, Digest([8; 32])), (1, Digest([9; 32]))];
    HospitalOutput::CheckSum { binding: binding(round), updates: of_two.clone(), shares: of_two, chunks: announced }
}

fn encrypt(round: u32) -> HospitalOutput {
    HospitalOutput::Encrypt { round: RoundId(round), attempt: Attempt(1) }
}

/// What is asked for: of which rounds.
fn rounds(calls: &[(CallId, Call)]) -> Vec<u64> {
    let of = |(_, call): &(CallId, Call)| match call {
        Call::Get { id } => id.round,
        Call::List { list } => list.round,
        _ => panic!("{call:?}"),
    };
    calls.iter().map(of).collect()
}

impl Site {
    /// What the coordinator is told with the next poll; nothing new is in the log.
    fn polls(&mut self) -> Doing {
        self.on(HospitalEvent::Wake);
        let is_poll = |call: &Call| matches!(call, Call::Poll { .. });
        let place = self.around.borrow().calls.iter().position(|(_, call)| is_poll(call)).unwrap();
        let (poll, _) = self.around.borrow_mut().calls.remove(place);
        self.answer(poll, Ok(Answer::Entries(Vec::new())));
        let around = self.around.borrow();
        let said = around.calls.iter().find_map(|(_, call)| match call {
            Call::Poll { doing, .. } => Some(*doing),
            _ => None,
        });
        said.unwrap()
    }

    /// Everything asked for comes.
    fn come(&mut self) {
        for (call, asked) in self.calls() {
            let body = match asked {
                Call::Get { id } => chunk(id.index),
                Call::List { .. } => [0, 1].iter().flat_map(|index| Digest::of_bytes(&chunk(*index)).0).collect(),
                _ => panic!("{asked:?}"),
            };
            self.answer(call, Ok(Answer::Body(body)));
        }
    }
}

#[test]
fn work_for_a_round_without_a_result_is_not_begun_and_that_for_another_is() {
    let figures = |round| HospitalOutput::Train {
        round: RoundId(round),
        purpose: RoundPurpose::Figures,
        base_model: Digest([3; 32]),
    };
    let of = |round| [train(round), figures(round), encrypt(round), check_sum(round), open_sum(round, 1)];
    let mut site = Site::open();
    site.decide([HospitalOutput::CheckDealings { factors: Digest([1; 32]) }]);
    site.decide(of(3).into_iter().chain(of(4)));
    site.decide([drop_round(3)]);
    let jobs = site.jobs();
    let [_, HospitalJob::Train { round: one }, HospitalJob::Count { round: two }, HospitalJob::Encrypt { round, .. }] =
        jobs[..]
    else {
        panic!("{jobs:?}")
    };
    assert_eq!([one, two, round], [RoundId(4); 3]);
    assert_eq!(rounds(&site.calls()), [4, 4], "both lists of its sum");
    let mut site = Site::open();
    site.decide([encrypt(5), open_sum(3, 1), open_sum(4, 1), drop_round(3)]);
    site.jobs();
    assert_eq!(rounds(&site.calls()), [4], "its sum is opened");
}

#[test]
fn four_bodies_are_asked_for_at_once_and_each_that_comes_makes_room_for_one() {
    let mut site = Site::open();
    site.decide([open_sum(3, 6)]);
    let first = site.calls();
    assert_eq!(first.len(), 4);
    site.answer(first[1].0, Ok(Answer::Body(chunk(1))));
    let next = site.calls();
    assert!(matches!(next[..], [(_, Call::Get { id })] if id.index == 4), "{next:?}");
}

#[test]
fn a_jobs_result_is_taken_once_and_not_for_that_of_the_next() {
    let mut site = Site::open();
    site.decide([encrypt(1), encrypt(2), encrypt(3)]);
    let (first, _) = site.around.borrow_mut().jobs.pop_front().unwrap();
    for _ in 0..2 {
        site.on(HospitalEvent::Done { job: first, done: HospitalDone::Nothing });
    }
    let begun: Vec<JobId> = site.around.borrow().jobs.iter().map(|(id, _)| *id).collect();
    assert_eq!(begun.len(), 1, "the second is still under way");
    assert_eq!(site.jobs().len(), 2);
}

#[test]
fn after_a_body_that_is_not_to_be_had_answers_are_taken_for_what_they_answer() {
    let mut site = Site::open();
    site.decide([open_sum(3, 2), open_sum(4, 2), hello()]);
    let of_all = std::mem::take(&mut site.around.borrow_mut().calls);
    let [(first, Call::Get { .. }), (late, Call::Get { .. }), (post, Call::Post(_)), (poll, Call::Poll { .. })] =
        of_all[..]
    else {
        panic!("{of_all:?}")
    };
    site.answer(first, Err(Reject::OutOfTurn));
    site.driver.take_notes();
    // Nothing of round 4, which is what is fetched now.
    assert_eq!(rounds(&site.calls()), [4, 4]);
    site.answer(late, Err(Reject::OutOfTurn));
    assert_eq!(site.driver.take_notes(), []);
    // Calls for other purposes go on.
    for (call, reject) in [(post, Reject::WrongEpoch), (poll, Reject::WrongVersion)] {
        site.answer(call, Err(reject));
        assert!(site.was_told(&HospitalNote::RefusedThere(reject)));
    }
}

#[test]
fn of_a_sum_that_cannot_be_added_up_or_differs_no_more_is_fetched_and_other_work_goes_on() {
    let round = RoundId(3);
    let is_false = HospitalInput::SumFalse { round, attempt: Attempt(1), reject: Reject::RoundSumDiffers };
    for found in [None, Some(HospitalDone::Input(is_false))] {
        let mut site = Site::open();
        site.decide([check_sum(3), check_sum(4), encrypt(3)]);
        site.come();
        match found {
            // A body of the first chunk is not there.
            None => {
                let calls = site.calls();
                assert_eq!(rounds(&calls), [3, 3]);
                site.answer(calls[0].0, Err(Reject::OutOfTurn));
            }
            // The first chunk is another.
            Some(done) => {
                site.come();
                assert!(matches!(site.end_job(done), HospitalJob::AddChunk(summands) if summands.chunk == 0));
            }
        }
        let mut added = Vec::new();
        for _ in 0..3 {
            let calls = site.calls();
            assert!(rounds(&calls).iter().all(|of| *of == 4), "{calls:?}");
            site.around.borrow_mut().calls.extend(calls);
            site.come();
            added.extend(site.jobs());
        }
        let [HospitalJob::AddChunk(one), HospitalJob::AddChunk(two), HospitalJob::Encrypt { .. }] = &added[..] else {
            panic!("{added:?}")
        };
        assert_eq!([one, two].map(|of| (of.binding.round, of.chunk)), [0, 1].map(|chunk| (RoundId(4), chunk)));
    }
}

#[test]
fn each_job_that_ended_and_each_body_or_message_that_went_or_came_is_progress_that_the_coordinator_is_told() {
    let mut site = Site::open();
    assert_eq!(site.polls(), Doing::Idle);
    site.decide([encrypt(1), encrypt(2), open_sum(3, 2)]);
    let working = |done| Doing::Working { done, of: 0 };
    for done in 0..2 {
        assert_eq!(site.polls(), working(done));
        site.end_job(HospitalDone::Nothing);
    }
    for (done, (call, asked)) in (2..).zip(site.calls()) {
        assert_eq!(site.polls(), working(done));
        let Call::Get { id } = asked else { panic!("{asked:?}") };
        site.answer(call, Ok(Answer::Body(chunk(id.index))));
    }
    assert_eq!(site.polls(), working(4));
    site.decide([hello()]);
    let [(post, _)] = site.calls()[..] else { panic!("one message") };
    site.answer(post, Ok(Answer::Accepted));
    assert_eq!(site.polls(), working(5));
    site.jobs();
    assert_eq!(site.polls(), Doing::Idle);
}
