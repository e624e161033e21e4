//! The coordinator's phases: each file feeds one of the protocol's machines and does what it asks for.

mod ceremony;
mod publishing;
mod round;
mod serving;

pub use publishing::PublishedModel;
pub use serving::ServingEnd;
