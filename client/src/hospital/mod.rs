//! A hospital: follows the coordinator's log, does what its own machine allows, and keeps its keys and images to itself.
//!
//! [`Hospital`] talks to the network; [`site`] computes and stores; the protocol's `HospitalMachine` decides.

mod adoption;
mod ceremony;
mod ceremony_secret;
mod dealing;
mod error;
mod fault;
mod inquiry;
mod keyring;
mod link;
mod local_round;
mod observer;
mod outbox;
mod parameters;
mod plan;
mod query;
mod query_keys;
mod runtime;
pub mod sealed;
mod serving;
mod site;
#[cfg(test)]
mod tests;

pub use error::HospitalError;
pub use fault::{Fault, Moment};
pub use observer::{Activity, Observer, Timed, Witness};
pub use parameters::parameters_digest;
pub use plan::HospitalPlan;
pub use query::{Answered, Asker};
pub use runtime::{Hospital, HospitalEnd, HospitalSetup};
