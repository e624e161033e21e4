//! Consilium's protocol: messages, their signatures and encoding, and the state machines of both roles.
//!
//! The machines are sans-I/O: `on(now_ms, input) -> outputs`. Time, randomness and storage results are arguments, so a
//! whole federation runs inside one test in simulated time. They see digests and lengths, never a ciphertext; `net` and
//! `store` move opaque bytes.

pub mod blob;
pub mod campaign;
#[cfg(test)]
mod cast;
pub mod ceremony;
pub mod codec;
pub mod consent;
pub mod dealings;
pub mod drive;
pub mod enrolment;
pub mod exchange;
pub mod facts;
pub mod features;
pub mod heads;
pub mod hospital;
pub mod ids;
pub mod lease;
pub mod limits;
pub mod local;
pub mod log;
pub mod membership;
pub mod message;
pub mod net;
pub mod party_set;
pub mod publish;
pub mod reject;
pub mod roster;
pub mod round;
pub mod sealed;
pub mod serving;
pub mod signature;
pub mod store;
pub mod terms;
pub mod text;
pub mod training;
mod verdicts;
pub mod verifier;
pub mod weight;

pub use blob::{BlobId, BlobKind, BodyRoot};
pub use ids::{Attempt, Digest, Epoch, PartyId, QueryId, RoundId, StepId};
pub use party_set::PartySet;
pub use reject::Reject;
pub use weight::WeightClass;

/// Version of messages and log. A changed byte is a new version.
pub const VERSION: u16 = 12;
/// The oldest version of a peer that is heard beside it. A change that keeps what an older peer may not do raises it to
/// [`VERSION`]; every change so far did. After any other change the version before goes on being spoken.
pub const VERSION_MIN: u16 = VERSION;
