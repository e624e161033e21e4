//! Questions of this site's own people, from their ticket to the answer or the reason why there is none.

use crate::blob::{BlobId, BlobKind, BodyRoot};
use crate::drive::hospital::outgoing::Outgoing;
use crate::drive::hospital::wanted::Wanted;
use crate::drive::hospital::work::{Then, Work};
use crate::drive::hospital::{HospitalDriver, HospitalJob, HospitalNote, QuestionStage};
use crate::drive::{Clock, Crypto, HospitalNet, Store, Stream};
use crate::hospital::{HospitalInput, SwitchBinding};
use crate::ids::{PartyId, QueryId};
use crate::limits::QUERIES_QUEUED_PER_ASKER_MAX;
use crate::message::QueryHead;

/// A question whose answer is awaited.
pub(super) struct Pending {
    pub(super) ticket: u64,
    due_ms: u64,
}

impl Work {
    pub(super) fn evaluate(asker: PartyId, head: Box<QueryHead>) -> Self {
        let place = |index| BlobId::query(BlobKind::Query, head.query, Some(asker), index);
        let wanted = (0..head.body.count).map(|index| Wanted::together(place(index))).collect();
        Self::Fetch { wanted, then: Then::Evaluate { asker, head } }
    }

    pub(super) fn answer(ticket: u64, binding: Box<SwitchBinding>, boxes: &[(PartyId, BodyRoot)]) -> Self {
        let place = |maker| BlobId::query(BlobKind::SwitchShare, binding.query, Some(maker), 0);
        let wanted = boxes.iter().map(|(maker, root)| Wanted::single(place(*maker), *root)).collect();
        let makers = boxes.iter().map(|(maker, _)| *maker).collect();
        Self::Fetch { wanted, then: Then::Answer { ticket, binding, makers } }
    }
}

impl<S: Store, N: HospitalNet, C: Crypto<Job = HospitalJob>, K: Clock> HospitalDriver<S, N, C, K> {
    /// Takes the next question, if the model is published and not too many are under way.
    pub(super) fn ask_next(&mut self) {
        let Some((model, program)) = self.published else { return };
        while self.preparing.is_none() && self.pending.len() < QUERIES_QUEUED_PER_ASKER_MAX {
            let Some(ticket) = self.questions.pop_front() else { return };
            // On disk before it is used, so that a number is never used again.
            let Ok(taken) = self.store.append(Stream::Queries, &[]) else {
                self.notes.push(HospitalNote::NoAnswer { ticket, query: None, reject: None });
                continue;
            };
            let query = QueryId::new(self.party, taken + 1);
            self.preparing = Some(query);
            let due_ms = self.clock.now_ms().saturating_add(self.answer_within_ms);
            self.pending.insert(query, Pending { ticket, due_ms });
            self.clock.wake_at(due_ms);
            self.work.push_back(Work::Ready(HospitalJob::PrepareQuery { ticket, query, model, program }));
        }
    }

    /// A question is encrypted.
    pub(super) fn asked(&mut self, ask: HospitalInput) {
        let Some(query) = self.preparing.take() else { return };
        if self.pending.contains_key(&query) {
            self.feed(ask);
        }
    }

    /// Sends the encrypted images; nothing of a refused query.
    pub(super) fn upload_query(&mut self, query: QueryId, body: BodyRoot) {
        if !self.pending.contains_key(&query) {
            return;
        }
        let first = BlobId::query(BlobKind::Query, query, Some(self.party), 0);
        self.outgoing.push_back(Outgoing::upload(first, body, Some(query)));
    }

    /// The shares of an answer are there: fetches and opens them, if somebody still waits for it.
    pub(super) fn open_answer(&mut self, binding: Box<SwitchBinding>, boxes: &[(PartyId, BodyRoot)]) {
        self.question_is(binding.query, QuestionStage::Released);
        if let Some(pending) = self.pending.get(&binding.query) {
            self.work.push_back(Work::answer(pending.ticket, binding, boxes));
        }
    }

    /// Tells whoever asked how far the question is.
    pub(super) fn question_is(&mut self, query: QueryId, stage: QuestionStage) {
        if let Some(Pending { ticket, .. }) = self.pending.get(&query) {
            self.notes.push(HospitalNote::Question { ticket: *ticket, stage });
        }
    }

    /// Ends one question without an answer.
    pub(super) fn no_answer(&mut self, query: QueryId, reject: Option<crate::reject::Reject>) {
        if let Some(Pending { ticket, .. }) = self.pending.remove(&query) {
            self.notes.push(HospitalNote::NoAnswer { ticket, query: Some(query), reject });
        }
    }

    /// Ends the wait for answers that are overdue, for example because the coordinator restarted meanwhile.
    pub(super) fn give_up_overdue(&mut self) {
        let now_ms = self.clock.now_ms();
        let overdue = self.pending.iter().filter(|(_, pending)| now_ms >= pending.due_ms);
        let overdue: Vec<QueryId> = overdue.map(|(query, _)| *query).collect();
        overdue.into_iter().for_each(|query| self.no_answer(query, None));
    }
}
