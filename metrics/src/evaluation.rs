//! All metrics of one model on one set of samples.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::scores::{log_odds, log_probability};
use super::{Calibration, ConfusionMatrix, MetricsError, RocPoint, auc_per_class, calibration, roc_curve};

/// The figures of one model on one split, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of samples.
    pub samples: usize,
    /// Share of samples whose largest logit is their label.
    pub accuracy: f64,
    /// Mean sensitivity over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean one-vs-rest AUC over the classes that have one; `None` if none has.
    pub macro_auc: Option<f64>,
    /// One-vs-rest AUC per class; `None` for a class that does not occur.
    pub auc: Vec<Option<f64>>,
    /// Mean cross-entropy in nats, unweighted.
    pub cross_entropy: f64,
    /// Counts, rows = truth.
    pub confusion: ConfusionMatrix,
    /// Calibration of the probabilities.
    pub calibration: Calibration,
    /// ROC curve per class, at most 200 points each.
    pub roc: Vec<Vec<RocPoint>>,
}

impl Evaluation {
    /// Scores logits `(n, classes)` against `n` labels.
    ///
    /// # Errors
    /// No samples, fewer than two classes, labels out of range, logits that are not finite.
    pub fn new(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<Evaluation, MetricsError> {
        let confusion = ConfusionMatrix::new(logits, labels)?;
        let auc = auc_per_class(logits, labels)?;
        let defined: Vec<f64> = auc.iter().flatten().copied().collect();
        let mean = defined.iter().sum::<f64>() / defined.len().max(1) as f64;
        let surprise: f64 =
            logits.outer_iter().zip(labels).map(|(row, &label)| -log_probability(row, usize::from(label))).sum();
        let roc = (0..logits.dim().1)
            .map(|class| {
                let positive: Vec<bool> = labels.iter().map(|&l| usize::from(l) == class).collect();
                roc_curve(&log_odds(logits, class), &positive)
            })
            .collect();
        Ok(Evaluation {
            samples: labels.len(),
            accuracy: confusion.accuracy(),
            balanced_accuracy: confusion.balanced_accuracy(),
            macro_auc: (!defined.is_empty()).then_some(mean),
            auc,
            cross_entropy: surprise / labels.len() as f64,
            calibration: calibration(logits, labels)?,
            confusion,
            roc,
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn figures_of_a_small_example_match_those_made_by_hand() {
        let logits = array![[2f32.ln(), 0.0], [0.0, 3f32.ln()], [1f32.ln(), 0.0]];
        // Probabilities of the labels: 2/3, 3/4 and 1/2; the tie goes to class 0.
        let value = Evaluation::new(logits.view(), &[0, 1, 1]).unwrap();
        let expected = -((2.0f64 / 3.0).ln() + 0.75f64.ln() + 0.5f64.ln()) / 3.0;
        assert!((value.cross_entropy - expected).abs() < 1e-6);
        assert!((value.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(value.confusion.counts, vec![vec![1, 0], vec![1, 1]]);
        assert_eq!(value.macro_auc, Some(1.0));
        assert_eq!(value.roc.len(), 2);
    }

    #[test]
    fn unusable_inputs_are_refused_by_name() {
        let logits = array![[1.0f32, 0.0]];
        let refused = |logits: &Array2<f32>, labels: &[u8]| Evaluation::new(logits.view(), labels).unwrap_err();
        assert_eq!(refused(&logits, &[2]), MetricsError::LabelOutOfRange { sample: 0, label: 2, classes: 2 });
        assert_eq!(refused(&logits, &[0, 1]), MetricsError::LabelCount { logits: 1, labels: 2 });
        assert_eq!(refused(&array![[f32::NAN, 0.0]], &[0]), MetricsError::NonFinite { sample: 0 });
        let empty = Array2::zeros((0, 2));
        assert_eq!(refused(&empty, &[]), MetricsError::NoSamples);
    }
}
