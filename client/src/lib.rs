//! See the crate's README.

pub mod metrics;
pub mod train;
