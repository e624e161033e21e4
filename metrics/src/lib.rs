//! How good a model is, in the figures a clinician's report states.
//!
//! All metrics take logits `(n, classes)` and true labels; [`Evaluation`] computes the plain ones together,
//! [`Clinical`] those that a report states, with their intervals. They are plain functions of numbers: nothing here
//! knows where the logits came from, so the same report describes a local model, a decrypted one and answers to
//! encrypted queries.

mod auc;
mod bootstrap;
mod calibration;
mod clinical;
mod confusion;
mod error;
mod evaluation;
mod interval;
mod likeness;
mod mcnemar;
mod operating_point;
mod pooled;
mod precision_recall;
mod ranking;
mod reliability;
mod roc;
mod scores;
mod wilson;

pub use auc::{auc, auc_per_class};
pub use bootstrap::{Bootstrap, RESAMPLES, WORK_MAX};
pub use calibration::{Calibration, calibration};
pub use clinical::{AtOperatingPoint, ClassFigures, Clinical, Scored};
pub use confusion::ConfusionMatrix;
pub use error::MetricsError;
pub use evaluation::Evaluation;
pub use interval::{Estimate, Interval};
pub use likeness::{ImageDistribution, ImageStatistics, Likeness, Statistic, StatisticSums};
pub use mcnemar::McNemar;
pub use operating_point::{Decisions, OperatingPoint};
pub use pooled::{
    Answers, AucBand, CountDigits, HospitalBands, PooledCalibration, PooledClass, PooledFigures, PooledPoint, Tally,
    Trained,
};
pub use precision_recall::average_precision;
pub use reliability::{ReliabilityBin, reliability};
pub use roc::{ROC_POINTS_MAX, RocPoint, roc_curve};
pub use scores::{argmax, softmax};
pub use wilson::{Rate, wilson};
