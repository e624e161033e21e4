//! Sums over the rows of several hospitals, added without anybody seeing those of one.
//!
//! Hospitals whiten their features together: [`Moments`](crate::Moments) of each add up to those of all rows. They are
//! added by mode A ([`he_agg::aggregation`]), which adds whole numbers of a few bits exactly: [`MomentLanes`] writes
//! moments as such numbers, and reads the pooled moments from their sums.
//!
//! What every hospital learns is the sum, and the coordinator learns nothing: how many rows all hospitals have
//! together, the sum of each feature and of each product of two features, and so the common mean and covariance.
//! What several sums of nearly the same hospitals say together is not hidden: two sums whose hospitals differ by one
//! give away that one's moments, so moments are pooled once an epoch. Nor is it hidden if only one hospital has rows
//! at all.

mod digits;
mod error;
mod moment_lanes;
#[cfg(test)]
mod tests;

pub use error::PooledError;
pub use moment_lanes::MomentLanes;
