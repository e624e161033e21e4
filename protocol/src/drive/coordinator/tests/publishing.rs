//! Publishing: contributions in, a model out, and whose contributions are still needed then.

use super::*;
use crate::message::{ModelVerdict, PublishHead, Refusal, RoundClosed, RoundOpen, Scope};

const MODEL: Digest = Digest([5; 32]);
const PLAIN: Digest = Digest([4; 32]);

fn contribution(number: u16) -> (BlobId, Bytes) {
    let id = BlobId::round(BlobKind::PublishChunk, RoundId(0), Attempt::FIRST, Some(party(number)), 0);
    (id, Bytes::from(format!("contribution of {number}")))
}

impl Table {
    /// The model exists, and hospitals add it up.
    fn verifying() -> Self {
        let (round, attempt, model) = (RoundId(1), Attempt::FIRST, PLAIN);
        let open = RoundOpen {
            round,
            purpose: RoundPurpose::Train,
            base_model: terms().initial_model,
            terms: terms().digest(),
        };
        let closed = RoundClosed { round, attempt, model, votes: Vec::new() };
        let mut table = Self::after([LogMessage::RoundOpen(open), LogMessage::RoundClosed(closed)]);
        assert_eq!(table.driver.awaited().0, "publishing");
        for number in 1..=3 {
            let (id, body) = contribution(number);
            let (program, root) = (terms().program, root_of(std::slice::from_ref(&body)));
            let head = PublishHead { attempt, model, program, body: root };
            assert_eq!(table.posts(number, HospitalMessage::PublishHead(head)), Ok(()));
            assert_eq!(table.puts(number, id, &body), Ok(()));
        }
        let (job, CoordinatorJob::AddModel { count: 1, .. }) = table.jobs()[0].clone() else { unreachable!() };
        let added = ModelAdded { attempt, model: Some(MODEL) };
        table.driver.on(CoordinatorEvent::Done { job, result: JobResult::Model(added) });
        assert_eq!(table.driver.awaited().0, "publishing, hospitals add the model up");
        table
    }

    fn verifies(&mut self, number: u16) {
        let verdict = ModelVerdict { attempt: Attempt::FIRST, model: MODEL, program: terms().program };
        assert_eq!(self.posts(number, HospitalMessage::ModelVerdict(verdict)), Ok(()));
    }
}

#[test]
fn contributions_are_forgotten_once_all_hospitals_have_added_the_model_up() {
    let mut table = Table::verifying();
    (1..=3).for_each(|number| table.verifies(number));
    assert_eq!(table.driver.awaited().0, "reading keys and model");
    assert!(table.around.0.borrow().bodies.is_empty());
}

#[test]
fn contributions_are_kept_for_whoever_has_not_added_the_model_up() {
    let mut table = Table::verifying();
    [1, 2].into_iter().for_each(|number| table.verifies(number));
    let (scope, reject) = (Scope::Publish, Reject::Storage);
    let refusal = Refusal { scope, number: 0, attempt: 1, reject };
    assert_eq!(table.posts(3, HospitalMessage::Refusal(refusal)), Ok(()));
    table.passes(DEADLINE_MS);
    assert_eq!(table.driver.awaited().0, "reading keys and model");
    assert_eq!(table.around.0.borrow().bodies.len(), 3);
}

#[test]
fn a_model_that_too_few_can_add_up_any_more_pauses_and_names_who_stands_still() {
    let mut table = Table::verifying();
    let polls = |table: &mut Table, number, done| {
        table.asks(number, Call::Poll { next: 0, doing: Doing::Working { done, of: 99 } });
    };
    [1, 2].into_iter().for_each(|number| polls(&mut table, number, 1));
    [2, 3].into_iter().for_each(|number| table.driver.on(CoordinatorEvent::PutOut(party(number))));
    table.driver.take_notes();
    // Hospital 1 goes on, 2 calls and does not.
    for done in 2.. {
        polls(&mut table, 1, done);
        polls(&mut table, 2, 1);
        table.passes(100);
        if done > 20 || table.driver.campaign().paused().is_some() {
            break;
        }
    }
    let missing = [2, 3].map(party).into_iter().collect();
    let step = "publishing, hospitals add the model up".to_owned();
    let paused = PauseReason::StoodStill { step, missing };
    assert_eq!(table.driver.campaign().paused(), Some(&paused));
    assert_eq!(table.driver.take_notes(), [CoordinatorNote::Paused(paused)]);
    // Its first move ends that.
    polls(&mut table, 2, 2);
    table.passes(1);
    assert_eq!(table.driver.campaign().paused(), None);
}
