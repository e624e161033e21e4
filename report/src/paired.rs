//! The published model, encrypted and in the clear, on the same images.

use metrics::{Evaluation, McNemar, MetricsError};
use ndarray::Array2;
use serde::Serialize;

use super::{schema::Quality, units::number_text};

/// What encryption costs in quality: both figures are of the images that were asked, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// The model in the clear.
    pub plain: Quality,
    /// The encrypted model.
    pub encrypted: Quality,
    /// Absolute difference of the macro AUCs.
    pub abs_delta_auc: f64,
    /// First is in the clear, second is encrypted.
    pub mcnemar: McNemar,
}

impl Paired {
    /// Compares logits `(n, classes)` of the same `n` images.
    ///
    /// # Errors
    /// No images, parts that do not fit each other, logits that are not finite.
    pub fn of(plain: &Array2<f32>, encrypted: &Array2<f32>, labels: &[u8]) -> Result<Self, MetricsError> {
        let quality = |logits: &Array2<f32>| -> Result<Quality, MetricsError> {
            let evaluation = Evaluation::new(logits.view(), labels)?;
            Ok(Quality { accuracy: evaluation.accuracy, auc_macro: evaluation.macro_auc.unwrap_or(f64::NAN) })
        };
        let (in_clear, under_encryption) = (quality(plain)?, quality(encrypted)?);
        let right = |logits: &Array2<f32>| -> Vec<bool> {
            let rows = logits.outer_iter().zip(labels);
            rows.map(|(row, label)| metrics::argmax(row) == usize::from(*label)).collect()
        };
        Ok(Self {
            plain: in_clear,
            encrypted: under_encryption,
            abs_delta_auc: (in_clear.auc_macro - under_encryption.auc_macro).abs(),
            mcnemar: McNemar::count(right(plain).into_iter().zip(right(encrypted))),
        })
    }

    /// Rows of the report's table: name and value.
    pub(super) fn rows(&self) -> [(&'static str, String); 3] {
        let both = |one: f64, other: f64, factor: f64, digits: usize| {
            format!("{} / {}", number_text(one * factor, digits), number_text(other * factor, digits))
        };
        let McNemar { only_first_right, only_second_right, p_value } = self.mcnemar;
        let (plain, encrypted) = (self.plain, self.encrypted);
        let delta =
            if self.abs_delta_auc.is_finite() { format!("{:.1e}", self.abs_delta_auc) } else { "–".to_owned() };
        [
            (
                "Accuracy % on these images, in the clear / encrypted",
                both(plain.accuracy, encrypted.accuracy, 100.0, 1),
            ),
            (
                "Macro AUC on these images, in the clear / encrypted",
                format!("{}, difference {delta}", both(plain.auc_macro, encrypted.auc_macro, 1.0, 4)),
            ),
            (
                "Right only in the clear / only encrypted (McNemar's exact test)",
                format!("{only_first_right} / {only_second_right}, p = {}", number_text(p_value, 3)),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn noise_that_changes_an_answer_is_counted() {
        let plain = array![[1.0f32, 0.0], [0.2, 0.1], [0.0, 1.0], [0.3, 0.4]];
        let mut noisy = plain.clone();
        let labels = [0, 0, 1, 1];
        let same = Paired::of(&plain, &noisy, &labels).expect("fits");
        assert_eq!((same.abs_delta_auc, same.mcnemar.p_value), (0.0, 1.0));
        assert_eq!(same.plain, Quality { accuracy: 1.0, auc_macro: 1.0 });
        noisy[[1, 1]] = 0.9;
        let worse = Paired::of(&plain, &noisy, &labels).expect("fits");
        assert_eq!((worse.mcnemar.only_first_right, worse.mcnemar.only_second_right), (1, 0));
        // Its log-odds of -0.7 now lie below the -0.1 of one image of class 1: one of four pairs is lost.
        assert_eq!((worse.encrypted.accuracy, worse.abs_delta_auc), (0.75, 0.25));
    }
}
