//! What a world makes of the coordinator's disk.

use bytes::Bytes;
use protocol::Reject;
use protocol::blob::{BlobId, BlobKind};
use protocol::drive::Asked;
use protocol::exchange::{Answer, Call};

use super::{Called, World};

impl World {
    /// Bodies of the ceremony that the coordinator still has, of hospitals and of its own.
    pub(crate) fn ceremony_bodies(&self, kind: BlobKind) -> (usize, usize) {
        let disk = self.coordinator_disk.borrow();
        let has = |party| disk.bodies.contains_key(&BlobId::ceremony(kind, party, 0));
        (self.roster.parties().iter().filter(|party| has(Some(*party))).count(), usize::from(has(None)))
    }

    /// Whether the coordinator has just refused a message that it could not store, which it must say of itself too.
    pub(super) fn refused_for_storage(&self) -> bool {
        let is_post = |asked: &Asked| matches!(self.under_way.get(asked), Some(Called { call: Call::Post(_), .. }));
        self.coordinator.as_ref().is_some_and(|process| {
            let answers = process.answers.borrow();
            answers.iter().any(|(asked, answer)| is_post(asked) && matches!(answer, Err(Reject::Storage)))
        })
    }

    /// The answer as it arrives, where the coordinator's bodies of the ceremony are rotten for a while.
    pub(super) fn garbled(&mut self, call: &Call, answer: Result<Answer, Reject>) -> Result<Answer, Reject> {
        let Call::Get { id: BlobId { kind: BlobKind::RelinRoundOne | BlobKind::Gate, .. } } = call else {
            return answer;
        };
        if self.garbles == 0 || answer.is_err() {
            return answer;
        }
        self.garbles -= 1;
        if self.garbles.is_multiple_of(2) {
            Err(Reject::OutOfTurn)
        } else {
            Ok(Answer::Body(Bytes::from_static(b"rot")))
        }
    }
}
