//! Sums over the rows of several hospitals, added without anybody seeing those of one.
//!
//! Hospitals whiten their features together: [`Moments`](crate::Moments) of each add up to those of all rows. They are
//! added by mode A ([`he_agg::aggregation`]), which adds whole numbers of a few bits exactly: [`MomentLanes`] writes
//! moments as such numbers, and reads the pooled moments from their sums.

mod digits;
mod error;
mod moment_lanes;
#[cfg(test)]
mod tests;

pub use error::PooledError;
pub use moment_lanes::MomentLanes;
