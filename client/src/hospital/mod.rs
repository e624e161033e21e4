//! A hospital: follows the coordinator's log, does what its own machine allows, and keeps its keys and images to
//! itself.
//!
//! [`Hospital`] is the process; [`site`] computes and stores; the protocol's driver and machine decide.

mod adoption;
mod ceremony;
mod ceremony_secret;
mod dealing;
mod dealt_keys;
mod dealt_points;
mod error;
mod evaluation;
mod features;
mod figures;
mod gates;
mod holdings;
mod images;
mod input;
mod key_crs;
mod key_sums;
mod keyring;
mod line;
mod local_round;
mod logged;
mod node;
mod observer;
mod outbox;
mod own_audit;
mod parameters;
mod part_sums;
mod plan;
mod planes;
mod query;
mod relin_proof;
mod round_sum;
pub mod sealed;
mod serving;
mod site;
mod site_store;
mod slots;
mod spending;
#[cfg(test)]
mod tests;
mod training;
mod transport;
mod weights;
mod worker;

pub use adoption::current_model;
pub(crate) use adoption::facts_name;
#[cfg(test)]
pub(crate) use adoption::put_model;
pub use error::HospitalError;
pub use images::{HeldOut, SiteImages, SiteRows};
pub use keyring::epoch_keys;
pub use node::{Hospital, HospitalEnd, HospitalSetup, Killer};
pub use observer::{Activity, Observer, Timed};
pub(crate) use own_audit::AuditedSite;
pub use own_audit::{Again, Object};
pub use parameters::parameters_digest;
pub use plan::{HospitalPlan, OwnPatients, PlannedHead, PlannedPrivacy};
pub use query::{Answered, Asker, Envelope, QuestionStep, SAMPLE_BYTES, STEPS_WAITING_MAX};
pub use slots::Slots;
pub use transport::Transport;
pub use weights::Weights;
