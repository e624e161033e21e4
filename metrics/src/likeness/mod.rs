//! Whether an image looks like those that a model was measured on: a few numbers about each image, their sums over all
//! hospitals, and how far one image lies from what the sums say.

mod distribution;
mod image_statistics;
mod statistic;
mod statistic_sums;

pub use distribution::{ImageDistribution, Likeness};
pub use image_statistics::ImageStatistics;
pub use statistic::Statistic;
pub(crate) use statistic_sums::SUMS;
pub use statistic_sums::StatisticSums;
