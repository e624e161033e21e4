//! How good a model is, in the figures a clinician's report states.
//!
//! All metrics take logits `(n, classes)` and true labels; [`Evaluation`] computes them together.
//! They are plain functions of numbers: nothing here knows where the logits came from, so the
//! same report describes a local model, a decrypted one and answers to encrypted queries.

mod auc;
mod calibration;
mod confusion;
mod error;
mod evaluation;
mod roc;
mod scores;

pub use auc::{auc, auc_per_class};
pub use calibration::{Calibration, calibration};
pub use confusion::ConfusionMatrix;
pub use error::MetricsError;
pub use evaluation::Evaluation;
pub use roc::{ROC_POINTS_MAX, RocPoint, roc_curve};
pub use scores::{argmax, softmax};
