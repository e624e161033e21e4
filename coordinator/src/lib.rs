//! The coordinator: takes ciphertexts, adds them up, keeps the encrypted model and evaluates it on encrypted images.
//!
//! It holds no key that decrypts anything, and no type of this crate could hold one: it has no edge to images, to the
//! vault or to training. [`Coordinator`] is the process; the protocol's driver and machines say what comes next.

mod aggregation;
mod arithmetic;
pub mod audit;
mod awaited;
mod bodies;
pub mod compute;
mod desk;
mod disk;
mod encrypted_model;
mod error;
mod flow;
pub mod head;
pub mod history;
mod lending;
mod logged;
pub mod members;
mod node;
mod observer;
pub mod proposals;
pub mod registrar;
mod resident_model;
mod serving_engine;
mod serving_keys;
mod standing;
mod times;
mod training_engine;
pub mod welcome;

pub use awaited::Awaited;
pub use error::CoordinatorError;
pub use flow::MemberFlow;
pub use node::{Coordinator, CoordinatorPlan, CoordinatorSetup, Remote, Status, Unstored};
pub use observer::{Observer, Step};
