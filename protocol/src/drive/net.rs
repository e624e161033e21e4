//! Calls, as each side sees them.

use crate::blob::BlobId;
use crate::exchange::{Answer, Call};
use crate::reject::Reject;

/// A call that a hospital made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A call that the coordinator was asked; every one is answered once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked(pub u64);

/// The hospital's line to the coordinator.
pub trait HospitalNet {
    /// Sends a call, again and again until it is answered or refused: repeats have no second effect. The answer comes
    /// back as an event that names `id`.
    fn call(&mut self, id: CallId, call: Call);
}

/// The coordinator's counter.
pub trait CoordinatorNet {
    /// Answers a call. Whoever asked may be gone; then the answer is forgotten.
    fn answer(&mut self, to: Asked, answer: Result<Answer, Reject>);

    /// Answers a call with a stored body, which its caller may have; [`Reject::OutOfTurn`] where there is none. It is
    /// not read before this returns: others' turns do not wait for a disk.
    fn answer_body(&mut self, to: Asked, id: &BlobId);
}
