//! The coordinator: takes ciphertexts, adds them up, keeps the encrypted model and evaluates it on encrypted images.
//!
//! It holds no key that decrypts anything, and no type of this crate could hold one: it has no edge to images, to the
//! vault or to training. [`Coordinator`] runs the phases; the protocol's machines say what comes next.

mod aggregation;
pub mod audit;
mod bodies;
pub mod compute;
mod coordinator;
mod desk;
mod drive;
mod encrypted_model;
mod error;
mod inbox;
mod log_book;
mod observer;
mod resident_model;
mod serving_engine;
mod serving_keys;
mod standing;

pub use coordinator::{Coordinator, CoordinatorPlan, CoordinatorSetup};
pub use desk::Tap;
pub use drive::{PublishedModel, ServingEnd};
pub use error::CoordinatorError;
pub use observer::{Observer, Step};
