//! Why moments are not pooled.

use he_agg::aggregation::{LANE_BITS_MAX, LANE_BITS_MIN, PARTIES_MAX, PARTIES_MIN};

use super::moment_lanes::{FEATURES_MAX, MomentLanes, ROWS_MAX};

/// Moments that cannot be written as whole numbers, or sums that are not of such numbers.
///
/// What is said of sums is for the hospital's own log: the coordinator gets a bare refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PooledError {
    /// A number of features that is not pooled.
    #[error("{found} features; 1 to {FEATURES_MAX} are whitened together")]
    FeatureCount {
        /// As given.
        found: usize,
    },
    /// Lanes that mode A does not have.
    #[error("lanes of {found} bits; they have {LANE_BITS_MIN} to {LANE_BITS_MAX}")]
    LaneBits {
        /// As given.
        found: u32,
    },
    /// Most rows of a hospital.
    #[error("at most {found} rows of one hospital; it has to be 1 to {ROWS_MAX}")]
    RowsMax {
        /// As given.
        found: u64,
    },
    /// Hospitals.
    #[error("{found} hospitals; {PARTIES_MIN} to {PARTIES_MAX} pool their rows")]
    Hospitals {
        /// As given.
        found: u16,
    },
    /// Rows of another number of features than the hospitals agreed on.
    #[error("rows of {found} features where the hospitals agreed on {expected}; take the features that they take")]
    Features {
        /// As found.
        found: usize,
        /// As agreed on.
        expected: usize,
    },
    /// A hospital with more rows than the hospitals agreed on.
    #[error("{found} rows where the hospitals agreed on at most {max}; leave some out, or agree on more")]
    Rows {
        /// As found.
        found: u64,
        /// As agreed on.
        max: u64,
    },
    /// A feature that is none. Whose it is, is not told.
    #[error(
        "feature {feature} of a row is not a number of at most {} absolute: scale it, or leave the row out",
        MomentLanes::FEATURE_MAX
    )]
    Feature {
        /// From 0.
        feature: usize,
    },
    /// Another number of sums.
    #[error("{found} sums where moments of so many features have {expected}; the round was of something else")]
    Sums {
        /// As found.
        found: usize,
        /// As expected.
        expected: usize,
    },
    /// A sum that the digits of all hospitals cannot have.
    #[error("sum {lane} is more than digits of {hospitals} hospitals add up to; a hospital wrote something else")]
    Digit {
        /// From 0.
        lane: usize,
        /// As agreed on.
        hospitals: u16,
    },
    /// Nobody has rows, or somebody claims too many.
    #[error("the hospitals have {found} rows together; it can be 1 to {max}")]
    TotalRows {
        /// As found.
        found: i128,
        /// What they can have.
        max: u64,
    },
    /// Totals that no rows have.
    #[error(
        "totals of feature {feature} are beyond those of features up to {} absolute; a hospital wrote other ones",
        MomentLanes::FEATURE_MAX
    )]
    Total {
        /// From 0.
        feature: usize,
    },
    /// Less than no variance.
    #[error("feature {feature} of all hospitals varies by less than nothing; a hospital wrote other totals")]
    Variance {
        /// From 0.
        feature: usize,
    },
    /// More covariance than the variances allow.
    #[error(
        "features {first} and {second} of all hospitals vary together more than alone; a hospital wrote other totals"
    )]
    Covariance {
        /// From 0.
        first: usize,
        /// From 0, after the first.
        second: usize,
    },
}
