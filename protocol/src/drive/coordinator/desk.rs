//! The coordinator's counter: who may ask what, and what each call is answered.

use bytes::Bytes;

use crate::blob::{BlobId, BlobKind};
use crate::drive::coordinator::inbox::PhaseInput;
use crate::drive::coordinator::{CoordinatorDriver, CoordinatorJob};
use crate::drive::{Asked, Clock, CoordinatorNet, Crypto, ListId, Store, StoreFault};
use crate::exchange::{Answer, Call};
use crate::ids::{Digest, PartyId, QueryId};
use crate::lease::Doing;
use crate::message::{HospitalMessage, SignedMessage};
use crate::reject::Reject;
use crate::terms::Terms;
use crate::training::HeadTerms;

/// Longest wait of a poll for news.
const POLL_MS_MAX: u64 = 15_000;
/// Messages of one hospital that a phase remembers: more than any honest one sends, so that nobody fills the disk.
pub(super) const MESSAGES_PER_PHASE_MAX: u32 = 512;

/// A poll that waits for news.
pub(super) struct Waiting {
    asked: Asked,
    next: u64,
    due_ms: u64,
}

impl<S: Store, N: CoordinatorNet, C: Crypto<Job = CoordinatorJob>, K: Clock> CoordinatorDriver<S, N, C, K> {
    /// Hospitals that are still to read the last entry may do so; everything else is over.
    pub(super) fn last_words(&mut self, asked: Asked, call: &Call) {
        let answer = match call {
            Call::Poll { next, .. } => Ok(self.entries_from(*next)),
            // What a hospital says in farewell changes nothing any more.
            Call::Post(_) => Ok(Answer::Accepted),
            Call::Put { .. } | Call::Get { .. } | Call::List { .. } => Err(Reject::Stopping),
        };
        self.net.answer(asked, answer);
    }

    pub(super) fn asked(&mut self, asked: Asked, from: PartyId, call: Call) {
        let answer = match call {
            Call::Poll { next, doing } => return self.poll(asked, from, next, doing),
            Call::Post(message) if self.phase.is_loading() && is_query(&message) => {
                return self.hold_query(asked, from, *message);
            }
            Call::Post(message) => self.post(from, *message).map(|()| Answer::Accepted),
            Call::Put { id, body } => self.put(from, &id, &body).map(Answer::Stored),
            Call::Get { id } if self.may_get(&id, from) => return self.net.answer_body(asked, &id),
            Call::List { list } => match self.shown.bodies(list, self.terms.chunks, from) {
                Some(bodies) => self.digests(list, bodies as usize),
                None if may_read(&list.body(0), from) => self.digests(list, usize::MAX),
                None => Err(Reject::OutOfTurn),
            },
            Call::Get { .. } => Err(Reject::OutOfTurn),
        };
        self.net.answer(asked, answer);
    }

    fn may_get(&self, id: &BlobId, reader: PartyId) -> bool {
        let is_shown = self.shown.bodies(ListId::of(id), self.terms.chunks, reader).is_some();
        may_read(id, reader) || is_shown || self.phase.may_evaluate(id, reader)
    }

    /// At most so many: whoever sends more than its head says keeps nobody from reading what it says.
    fn digests(&mut self, list: ListId, most: usize) -> Result<Answer, Reject> {
        let digests = self.store.digests(list).map_err(|fault| self.fault(&fault))?;
        Ok(Answer::digests(&digests[..digests.len().min(most)]))
    }

    pub(super) fn poll_ms(&self) -> u64 {
        (self.terms.patience_ms / 8).clamp(1, POLL_MS_MAX)
    }

    fn poll(&mut self, asked: Asked, from: PartyId, next: u64, doing: Doing) {
        let now_ms = self.clock.now_ms();
        let owes = self.phase.waiting_for().contains(from);
        let event = self.leases.called(now_ms, from, doing, owes);
        self.lease_events(event);
        let due_ms = now_ms.saturating_add(self.poll_ms());
        if let Some(replaced) = self.polls.insert(from, Waiting { asked, next, due_ms }) {
            // Its sender asks twice: the older question is answered empty.
            self.net.answer(replaced.asked, Ok(Answer::Entries(Vec::new())));
        }
    }

    pub(super) fn answer_polls(&mut self) {
        let now_ms = self.clock.now_ms();
        let length = self.entries.len() as u64;
        let ready = |waiting: &Waiting| waiting.next < length || now_ms >= waiting.due_ms;
        let due: Vec<PartyId> = self.polls.iter().filter(|(_, it)| ready(it)).map(|(party, _)| *party).collect();
        for party in due {
            if let Some(waiting) = self.polls.remove(&party) {
                let answer = self.entries_from(waiting.next);
                self.net.answer(waiting.asked, Ok(answer));
            }
        }
    }

    fn entries_from(&self, next: u64) -> Answer {
        let start = usize::try_from(next).unwrap_or(usize::MAX).min(self.entries.len());
        let rest = &self.entries[start..];
        let fitting = Answer::entries_that_fit(rest.iter().map(Bytes::len));
        Answer::Entries(rest[..fitting].to_vec())
    }

    fn checked(&self, from: PartyId, message: &SignedMessage) -> Result<(), Reject> {
        if message.author != from {
            return Err(Reject::BadSignature);
        }
        message.verify(&self.roster)?;
        match &message.body {
            // Bind nobody and stand in no entry: that a hospital cannot go on is heard whatever log it has read.
            HospitalMessage::Refusal(_) | HospitalMessage::Leaving(_) => Ok(()),
            _ => self.writer.heads().check(message),
        }
    }

    fn hold_query(&mut self, asked: Asked, from: PartyId, message: SignedMessage) {
        match self.checked(from, &message) {
            Ok(()) => self.hold(asked, message),
            Err(reject) => self.net.answer(asked, Err(reject)),
        }
    }

    fn post(&mut self, from: PartyId, message: SignedMessage) -> Result<(), Reject> {
        self.checked(from, &message)?;
        match &message.body {
            // Says only who is there, which the call did.
            HospitalMessage::Hello(_) => return Ok(()),
            _ if self.is_busy() => return Err(Reject::Storage),
            _ => {}
        }
        let leaves = matches!(message.body, HospitalMessage::Leaving(_));
        let taken = self.take(from, message);
        if leaves {
            let event = self.leases.left(from);
            self.lease_events(event);
        }
        taken
    }

    fn take(&mut self, from: PartyId, message: SignedMessage) -> Result<(), Reject> {
        if self.phase.is_serving() {
            return self.serving_message(message);
        }
        if is_query(&message) {
            // Nothing is served yet, or not now.
            return Err(Reject::RetryAfter);
        }
        if !self.phase.is_told() {
            return Err(Reject::OutOfTurn);
        }
        let digest = Digest::of("consilium heard message", &message);
        if self.heard.contains(&digest) {
            return Ok(());
        }
        let count = self.heard_of.entry(from).or_default();
        if *count >= messages_max(&self.terms) {
            return Err(Reject::LimitExceeded);
        }
        *count += 1;
        // Stored before its sender hears that it was taken.
        self.tell(PhaseInput::Message(message)).map_err(|fault| self.own_fault(&fault))?;
        self.heard.insert(digest);
        let event = self.leases.delivered(self.clock.now_ms(), from);
        self.lease_events(event);
        match self.phase.take_reject(from) {
            Some(reject) => Err(reject),
            None => Ok(()),
        }
    }

    fn put(&mut self, from: PartyId, id: &BlobId, body: &Bytes) -> Result<Digest, Reject> {
        if id.party != Some(from) || !is_sent_by_hospitals(id.kind) {
            return Err(Reject::OutOfTurn);
        }
        let digest = self.store.put(id, body).map_err(|fault| match fault {
            StoreFault::Differs { .. } => Reject::BodyDiffers,
            StoreFault::Quota { .. } => Reject::LimitExceeded,
            other => self.fault(&other),
        })?;
        let event = self.leases.delivered(self.clock.now_ms(), from);
        self.lease_events(event);
        self.look_at(ListId::of(id));
        Ok(digest)
    }
}

/// More messages of one hospital than any phase under these terms has reason for.
fn messages_max(terms: &Terms) -> u32 {
    // Of each attempt at each step zeros, shares and an opening.
    let of_steps = |head: &HeadTerms| head.steps.saturating_mul(head.attempts_max).saturating_mul(3);
    MESSAGES_PER_PHASE_MAX.saturating_add(terms.head.as_ref().map_or(0, of_steps))
}

/// Kinds that a hospital makes and the coordinator takes.
fn is_sent_by_hospitals(kind: BlobKind) -> bool {
    !matches!(kind, BlobKind::SumChunk | BlobKind::QueryResult | BlobKind::RefreshSum)
}

/// What a hospital may fetch: boxes for itself, what the coordinator made, what every hospital adds up itself (shares
/// of serving keys, contributions to the published model), and the boxes of the answers to its own queries. What round
/// sums are made of is shown once they are announced, others' queries to those who evaluate them, while they do.
pub(super) fn may_read(id: &BlobId, reader: PartyId) -> bool {
    match (id.kind, id.party) {
        (BlobKind::Dealing, _) => id.index == u32::from(reader.number()),
        // Blinded from the coordinator, and not from those who know the group's key.
        (BlobKind::RefreshSum, None) => false,
        (_, None) => true,
        (BlobKind::RelinRoundOne | BlobKind::RelinRoundTwo | BlobKind::Galois, Some(_)) => true,
        (BlobKind::RelinMasks | BlobKind::RelinAnswer, Some(_)) => true,
        (BlobKind::Gate | BlobKind::GateKey | BlobKind::Planes | BlobKind::PlaneOpening, Some(_)) => true,
        (BlobKind::PublishChunk, Some(_)) => true,
        (BlobKind::SwitchShare, Some(maker)) => maker == reader || QueryId(id.round).asker() == Some(reader),
        (_, Some(maker)) => maker == reader,
    }
}

fn is_query(message: &SignedMessage) -> bool {
    matches!(message.body, HospitalMessage::QueryHead(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast;

    #[test]
    fn a_phase_remembers_as_many_messages_as_the_steps_of_a_head_may_take() {
        let with = |head| messages_max(&Terms { head, ..cast::terms() });
        // Two steps of three attempts with three messages each.
        assert_eq!((with(None), with(Some(cast::head_terms()))), (512, 512 + 18));
    }
}
