//! What leaves the hospital: signed messages and bodies, in order, several bodies of one list at a time.

use std::collections::VecDeque;

use crate::blob::{BlobId, BlobKind, BodyRoot};
use crate::drive::hospital::{AGAIN_MS, HospitalDriver, HospitalJob, HospitalNote, Purpose, QuestionStage};
use crate::drive::{Clock, Crypto, HospitalNet, ListId, Store};
use crate::exchange::{Answer, Call};
use crate::ids::{Digest, QueryId};
use crate::message::{HospitalMessage, SignedMessage};
use crate::reject::Reject;

/// Bodies of one list that are under way at once: enough to fill a line with a long way to the coordinator.
const BODIES_UNDER_WAY_MAX: usize = 4;

/// One thing to send. Only the first in line is under way.
pub(super) enum Outgoing {
    Post(Box<SignedMessage>),
    Upload(Upload),
}

/// A list of stored bodies on its way.
pub(super) struct Upload {
    /// Bodies not begun, or to be sent again.
    waiting: VecDeque<BlobId>,
    root: BodyRoot,
    acknowledged: u32,
    /// Only while this query waits for an answer.
    query: Option<QueryId>,
}

impl Outgoing {
    /// The bodies that a head announced: `first` and those that follow it.
    pub(super) fn upload(first: BlobId, root: BodyRoot, query: Option<QueryId>) -> Self {
        let last = first.index.saturating_add(root.count);
        let waiting = (first.index..last).map(|index| BlobId { index, ..first }).collect();
        Self::Upload(Upload { waiting, root, acknowledged: 0, query })
    }
}

impl<S: Store, N: HospitalNet, C: Crypto<Job = HospitalJob>, K: Clock> HospitalDriver<S, N, C, K> {
    /// Sends what is first in line, as far as it is not under way.
    pub(super) fn send_on(&mut self) {
        if self.clock.now_ms() < self.send_at_ms {
            return;
        }
        loop {
            let is_out = |purpose: &&Purpose| matches!(purpose, Purpose::Post | Purpose::Put { .. });
            let under_way = self.calls.values().filter(is_out).count();
            match self.outgoing.front_mut() {
                None => return,
                Some(Outgoing::Post(_)) if under_way > 0 => return,
                Some(Outgoing::Post(message)) => {
                    let call = Call::Post(message.clone());
                    return self.call(Purpose::Post, call);
                }
                Some(Outgoing::Upload(upload)) => {
                    if upload.query.is_some_and(|query| !self.pending.contains_key(&query)) {
                        upload.waiting.clear();
                    }
                    if under_way >= BODIES_UNDER_WAY_MAX {
                        return;
                    }
                    let Some(id) = upload.waiting.pop_front() else {
                        if under_way > 0 {
                            return;
                        }
                        self.outgoing.pop_front();
                        self.notes.push(HospitalNote::Waiting);
                        continue;
                    };
                    self.put(id);
                }
            }
        }
    }

    fn put(&mut self, id: BlobId) {
        match self.store.get(&id) {
            Ok(body) => {
                let digest = Digest::of_bytes(&body);
                self.call(Purpose::Put { id, digest }, Call::Put { id, body });
            }
            Err(fault) => {
                // Without it the list never completes; the step goes on without this hospital.
                self.notes.push(HospitalNote::Unsendable { id, fault: fault.to_string() });
                self.drop_upload();
            }
        }
    }

    /// The answer to a posted message.
    pub(super) fn posted(&mut self, answer: Result<Answer, Reject>) {
        self.pieces += 1;
        let reject = match answer {
            Err(Reject::Storage | Reject::Stopping) => return self.send_later(),
            Err(reject) => Some(reject),
            Ok(_) => None,
        };
        let Some(Outgoing::Post(message)) = self.outgoing.pop_front() else { return };
        let Some(reject) = reject else { return };
        match &message.body {
            HospitalMessage::QueryHead(head) => self.no_answer(head.query, Some(reject)),
            // Any other refused message is the coordinator's business; the log says how it goes on.
            _ => self.notes.push(HospitalNote::RefusedThere(reject)),
        }
    }

    /// The answer to a body.
    pub(super) fn stored(&mut self, id: BlobId, digest: Digest, answer: Result<Answer, Reject>) {
        self.pieces += 1;
        let Some(Outgoing::Upload(upload)) = self.outgoing.front_mut() else { return };
        match answer {
            Err(Reject::Storage | Reject::Stopping) => {
                upload.waiting.push_back(id);
                self.send_later();
            }
            Ok(Answer::Stored(stored)) if stored == digest => {
                upload.acknowledged += 1;
                let (done, of) = (u64::from(upload.acknowledged), u64::from(upload.root.count.max(1)));
                let size = upload.root.size_bytes;
                let (is_whole, query) = (done == of, upload.query);
                self.notes.push(HospitalNote::Uploaded { bytes: size / of * done, of: size });
                if let Some(query) = query.filter(|_| is_whole) {
                    self.question_is(query, QuestionStage::Sent);
                }
                if is_whole && !is_kept(id.kind) && self.store.forget(ListId::of(&id)).is_err() {
                    // Only space is lost: the body is freed with the epoch.
                    self.notes.push(HospitalNote::Waiting);
                }
            }
            other => {
                let reject = other.err().unwrap_or(Reject::BodyDiffers);
                let query = upload.query;
                self.notes.push(HospitalNote::RefusedThere(reject));
                self.drop_upload();
                if let Some(query) = query {
                    self.no_answer(query, Some(reject));
                }
            }
        }
    }

    fn drop_upload(&mut self) {
        if let Some(Outgoing::Upload(upload)) = self.outgoing.front_mut() {
            upload.waiting.clear();
        }
    }

    fn send_later(&mut self) {
        self.send_at_ms = self.clock.now_ms().saturating_add(AGAIN_MS);
        self.clock.wake_at(self.send_at_ms);
    }

    /// Sends the last messages without waiting for their turn: the participation ends.
    pub(super) fn flush_posts(&mut self) {
        while let Some(next) = self.outgoing.pop_front() {
            if let Outgoing::Post(message) = next {
                self.call(Purpose::Post, Call::Post(message));
            }
        }
    }
}

/// Kinds that exist once, ever: a process that comes back sends the stored bytes again. The others are made again.
fn is_kept(kind: BlobKind) -> bool {
    matches!(kind, BlobKind::Dealing | BlobKind::UpdateChunk | BlobKind::Share | BlobKind::SwitchShare)
}
