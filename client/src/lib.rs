//! The hospital: its vault, its release ledger, its training and its side of the protocol.
//!
//! [`hospital::Hospital`] is the process; [`counter`] is where the hospital's own programs ask; [`train`] fits the
//! network to local images; [`vault`] and [`ledger`] keep what must never leave or happen twice; [`model_file`] keeps a
//! trained model.

pub mod archive;
pub mod bundle;
pub mod check;
pub mod consent;
pub mod counter;
pub mod data_sets;
pub mod earlier;
pub mod enrolment;
pub mod features;
pub mod handover;
pub mod head;
pub mod hospital;
pub mod hours;
pub mod ledger;
mod log_copy;
pub mod model_file;
pub mod models;
pub mod own_audit;
pub mod plan;
pub mod policy;
pub mod privacy_ledger;
pub mod questions;
mod records;
pub mod sent_log;
pub mod service;
pub mod site_file;
pub mod train;
pub mod vault;
