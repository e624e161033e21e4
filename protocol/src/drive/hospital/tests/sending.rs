//! What leaves the hospital, and what becomes of it.

use super::*;
use crate::message::{HospitalMessage, QueryHead};

/// Bytes of one body.
const SIZE: u64 = 4;

impl Site {
    /// Stores so many bodies of a list of its own, and decides to upload them.
    fn uploads(&mut self, kind: BlobKind, count: u32) -> ListId {
        let list = ListId { kind, round: 3, attempt: 1, party: Some(party(1)) };
        let first = u32::from(kind == BlobKind::Dealing);
        for index in first..first + count {
            let body = Bytes::copy_from_slice(&index.to_le_bytes());
            self.around.borrow_mut().bodies.insert(list.body(index), body);
        }
        let body = BodyRoot { root: Digest([6; 32]), count, size_bytes: SIZE * u64::from(count) };
        self.decide([HospitalOutput::Upload { kind, number: 3, attempt: 1, body }]);
        list
    }

    fn stored(&self, list: ListId) -> usize {
        self.around.borrow().bodies.keys().filter(|id| ListId::of(id) == list).count()
    }
}

/// The answer to a body that arrived.
fn taken(call: &Call) -> Result<Answer, Reject> {
    let Call::Put { body, .. } = call else { panic!("{call:?}") };
    Ok(Answer::Stored(Digest::of_bytes(body)))
}

#[test]
fn bodies_are_forgotten_once_all_of_them_arrived_but_for_those_that_are_sent_again_after_a_restart() {
    use BlobKind::{Dealing, Galois, Gate, PublishChunk, Query, Share, SwitchShare, UpdateChunk};
    let of = |kept: bool| move |kind: BlobKind| (kind, kept);
    let kept = [Dealing, UpdateChunk, Share, SwitchShare].map(of(true));
    for (kind, is_kept) in kept.into_iter().chain([Gate, Galois, PublishChunk].map(of(false))) {
        let mut site = Site::open();
        let list = site.uploads(kind, 3);
        let other = ListId { kind: Query, ..list };
        site.around.borrow_mut().bodies.insert(other.body(0), Bytes::new());
        let calls = site.calls();
        for (call, put) in &calls[..2] {
            site.answer(*call, taken(put));
        }
        assert_eq!(site.stored(list), 3, "{kind:?}: one is still under way");
        site.answer(calls[2].0, taken(&calls[2].1));
        assert_eq!(site.stored(list), if is_kept { 3 } else { 0 }, "{kind:?}");
        assert_eq!(site.stored(other), 1, "of another list");
    }
}

#[test]
fn whoever_watches_sees_how_much_of_a_list_arrived() {
    let mut site = Site::open();
    site.uploads(BlobKind::UpdateChunk, 3);
    for arrived in 1..=3 {
        let (call, put) = site.around.borrow_mut().calls.remove(0);
        site.answer(call, taken(&put));
        assert!(site.was_told(&HospitalNote::Uploaded { bytes: arrived * SIZE, of: 3 * SIZE }), "{arrived}");
    }
}

#[test]
fn of_a_list_that_is_refused_or_altered_no_more_is_sent_but_what_follows_it_is() {
    let altered = Ok(Answer::Stored(Digest([0; 32])));
    for (answer, reject) in [(altered, Reject::BodyDiffers), (Err(Reject::OutOfTurn), Reject::OutOfTurn)] {
        let mut site = Site::open();
        site.uploads(BlobKind::PublishChunk, 6);
        site.decide([hello()]);
        let begun = site.calls();
        assert_eq!(begun.len(), 4, "at once");
        site.answer(begun[0].0, answer);
        assert!(site.was_told(&HospitalNote::RefusedThere(reject)));
        assert!(site.calls().is_empty(), "no more of it");
        for (call, put) in &begun[1..] {
            site.answer(*call, taken(put));
        }
        assert!(matches!(site.calls()[..], [(_, Call::Post(_))]), "what follows, once nothing is under way");
    }
}

#[test]
fn of_a_list_of_which_a_body_cannot_be_read_no_more_is_sent() {
    let mut site = Site::open();
    site.decide([hello()]);
    let [(post, _)] = site.calls()[..] else { panic!("one message") };
    let list = site.uploads(BlobKind::UpdateChunk, 3);
    site.around.borrow_mut().bodies.remove(&list.body(1));
    site.answer(post, Ok(Answer::Accepted));
    let calls = site.calls();
    assert!(matches!(calls[..], [(_, Call::Put { id, .. })] if id == list.body(0)), "{calls:?}");
    let notes = site.driver.take_notes();
    assert!(matches!(notes[..], [HospitalNote::Unsendable { id, .. }] if id == list.body(1)), "{notes:?}");
}

#[test]
fn whoever_asked_hears_that_the_question_was_refused() {
    let mut site = Site::open();
    site.decide([model_ready()]);
    site.on(HospitalEvent::Ask { ticket: 9 });
    let jobs = site.jobs();
    let [HospitalJob::LoadModel, HospitalJob::PrepareQuery { query, model, program, .. }] = jobs[..] else {
        panic!("{jobs:?}")
    };
    let head = QueryHead { query, model, program, body: BodyRoot::default() };
    site.decide([sent(HospitalMessage::QueryHead(Box::new(head))), hello()]);
    for expected in [
        HospitalNote::NoAnswer { ticket: 9, query: Some(query), reject: Some(Reject::QuotaExceeded) },
        HospitalNote::RefusedThere(Reject::QuotaExceeded),
    ] {
        let [(post, _)] = site.calls()[..] else { panic!("one message") };
        site.driver.take_notes();
        site.answer(post, Err(Reject::QuotaExceeded));
        assert_eq!(site.driver.take_notes(), [expected]);
    }
}
