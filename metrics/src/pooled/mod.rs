//! How good a model is on the images of all hospitals, from sums of counts that show nobody's own.

mod count_digits;
mod curve;
mod figures;
mod score_bin;
mod tally;
mod trained;

pub use count_digits::CountDigits;
pub use figures::{AucBand, HospitalBands, PooledCalibration, PooledClass, PooledFigures, PooledPoint};
pub use tally::{Answers, Tally};
pub use trained::Trained;
