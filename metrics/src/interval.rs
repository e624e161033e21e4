//! A figure with the range that the data leave open.

use serde::{Deserialize, Serialize};

/// A two-sided 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound, not below the lower one.
    pub high: f64,
}

/// A figure and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure on the data as they are; `None` where it is undefined.
    pub value: Option<f64>,
    /// Its interval; `None` where the data do not say how far the figure may be off.
    pub interval: Option<Interval>,
}

impl Interval {
    /// Whether `value` lies between the bounds, bounds included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
