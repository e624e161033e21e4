//! The drivers: how each role carries out what its machines decide. One driver per role, and nothing else does it.
//!
//! A driver is synchronous. It takes one event, lets a machine decide, and carries the outputs out in order over four
//! traits: [`Store`] (what must outlive the process), [`HospitalNet`] or [`CoordinatorNet`] (calls), [`Crypto`] (work
//! that takes long) and [`Clock`]. A process implements them with SQLite, files, QUIC and threads; a test with maps and
//! a queue in simulated time. Both run the same lines, so a fault in a driver shows in both.
//!
//! Invariant: a driver sees digests, lengths and opaque bytes, never a ciphertext's inside, and no secret.

mod alarm;
pub mod coordinator;
pub mod hospital;
mod net;
mod store;

pub use crate::blob::ListId;
pub use alarm::Alarm;
pub use net::{Asked, CallId, CoordinatorNet, HospitalNet};
pub use store::{Store, StoreFault, Stream};

/// The four things over which a driver works.
pub struct Outside<S, N, C, K> {
    /// Durable storage.
    pub store: S,
    /// Calls.
    pub net: N,
    /// Long work.
    pub crypto: C,
    /// Time.
    pub clock: K,
}

/// A job that was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Where long work happens. A job comes back to the driver as an event that names its id.
pub trait Crypto {
    /// What can be asked for.
    type Job;
    /// Begins a job; returns at once.
    fn start(&mut self, id: JobId, job: Self::Job);
}

/// Time, which only ever grows.
pub trait Clock {
    /// Milliseconds since some moment that stays the same for the life of the driver.
    fn now_ms(&self) -> u64;
    /// Asks for an event at or after this time; an earlier one asked for before still comes.
    fn wake_at(&mut self, at_ms: u64);
}
