//! The hospital: its vault, its release ledger, its training and its side of the protocol.
//!
//! [`hospital::Hospital`] is the process; [`train`] fits the network to local images; [`vault`] and [`ledger`] keep
//! what must never leave or happen twice; [`metrics`] measures a model, [`model_file`] keeps a trained one.

pub mod hospital;
pub mod ledger;
pub mod metrics;
pub mod model_file;
pub mod train;
pub mod vault;
