//! The `[train]` table: how every hospital trains locally.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;
use super::choices::{ClassWeighting, OptimizerKind};
use super::range::{SettingError, check_range};

/// Largest accepted batch; bounds the memory of one step.
const BATCH_SIZE_MAX: usize = 4096;

/// Local training settings. Unknown keys are refused; every key has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrainSettings {
    /// `"adamw"` or `"sgd"`; its state starts empty in every fit.
    pub optimizer: OptimizerKind,
    /// Peak step size, `(0, 10]`. The caller passes the value of the round to `fit`;
    /// [`TrainSettings::learning_rate_at`] gives it.
    pub learning_rate: f64,
    /// Momentum of `"sgd"`, `[0, 1)`; unused by `"adamw"`.
    pub momentum: f64,
    /// Decoupled weight decay per step, times the learning rate, `[0, 1]`.
    pub weight_decay: f64,
    /// Images per step, `1..=4096`. An epoch is cut into near-equal batches of at most this size.
    pub batch_size: usize,
    /// Largest Euclidean norm of the whole gradient, above 0. Polynomial activations diverge
    /// without it at hospitals with few classes.
    pub gradient_clip: f64,
    /// Pull of a fit towards the parameters it started from, `[0, 10]`: adds `proximal / 2 |w - start|^2` to the loss,
    /// so that a hospital with unlike images does not drag the common model away. 0 for none.
    pub proximal: f64,
    /// Weight of `mean(relu(|x| - range-limit)^2)` over every input of a quadratic activation,
    /// `[0, 100]`.
    pub range_penalty: f64,
    /// Where the range penalty starts, above 0.
    pub range_limit: f64,
    /// `"balanced"`, `"logit-adjusted"` or `"none"`.
    pub class_weights: ClassWeighting,
    /// Random distortions of the training images.
    pub augmentation: Augmentation,
}

impl Default for TrainSettings {
    fn default() -> TrainSettings {
        TrainSettings {
            optimizer: OptimizerKind::AdamW,
            learning_rate: 3e-3,
            momentum: 0.9,
            weight_decay: 1e-3,
            batch_size: 64,
            gradient_clip: 1.0,
            proximal: 0.0,
            range_penalty: 0.01,
            range_limit: 4.0,
            class_weights: ClassWeighting::Balanced,
            augmentation: Augmentation::default(),
        }
    }
}

impl TrainSettings {
    /// Checks every range.
    ///
    /// # Errors
    /// [`SettingError`] with the first key that is out of range.
    pub fn check(&self) -> Result<(), SettingError> {
        TrainSettings::check_learning_rate(self.learning_rate)?;
        check_range("momentum", self.momentum, "0 <= x < 1", |v| (0.0..1.0).contains(&v))?;
        check_range("weight-decay", self.weight_decay, "0 to 1", |v| (0.0..=1.0).contains(&v))?;
        check_range("batch-size", self.batch_size as f64, "1 to 4096", |v| v >= 1.0 && v <= BATCH_SIZE_MAX as f64)?;
        check_range("gradient-clip", self.gradient_clip, "above 0", |v| v > 0.0 && v.is_finite())?;
        check_range("proximal", self.proximal, "0 to 10", |v| (0.0..=10.0).contains(&v))?;
        check_range("range-penalty", self.range_penalty, "0 to 100", |v| (0.0..=100.0).contains(&v))?;
        check_range("range-limit", self.range_limit, "above 0", |v| v > 0.0 && v.is_finite())?;
        self.augmentation.check()
    }

    /// Checks one learning rate, the peak or that of a round.
    ///
    /// # Errors
    /// [`SettingError`] where it is out of range.
    pub fn check_learning_rate(rate: f64) -> Result<(), SettingError> {
        check_range("learning-rate", rate, "above 0, at most 10", |v| v > 0.0 && v <= 10.0)
    }

    /// The learning rate of `round` (from 0) out of `rounds`: half a cosine from the peak down to
    /// 1 % of it, so that the last rounds settle.
    pub fn learning_rate_at(&self, round: usize, rounds: usize) -> f64 {
        let progress = round as f64 / rounds.max(1) as f64;
        let cosine = 0.5 * (1.0 + (PI * progress.min(1.0)).cos());
        self.learning_rate * (0.01 + 0.99 * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_check() {
        assert_eq!(TrainSettings::default().check(), Ok(()));
    }

    #[test]
    fn out_of_range_settings_are_named() {
        let settings = TrainSettings { momentum: 1.0, ..TrainSettings::default() };
        let error = settings.check().unwrap_err();
        assert_eq!(error.to_string(), "training setting momentum = 1 is out of range; allowed: 0 <= x < 1");
        let settings = TrainSettings { proximal: -0.1, ..TrainSettings::default() };
        let error = settings.check().unwrap_err();
        assert_eq!(error.to_string(), "training setting proximal = -0.1 is out of range; allowed: 0 to 10");
        let settings = TrainSettings { learning_rate: f64::NAN, ..TrainSettings::default() };
        assert!(settings.check().is_err());
    }

    #[test]
    fn learning_rate_falls_from_its_peak_along_a_cosine() {
        let settings = TrainSettings { learning_rate: 1.0, ..TrainSettings::default() };
        assert!((settings.learning_rate_at(0, 10) - 1.0).abs() < 1e-12);
        // Half way the cosine is zero: 0.01 + 0.99 / 2.
        assert!((settings.learning_rate_at(5, 10) - 0.505).abs() < 1e-12);
        assert!(settings.learning_rate_at(9, 10) < 0.04);
    }
}
