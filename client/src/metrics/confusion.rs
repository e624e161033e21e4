//! Counts of true against predicted classes and what follows from them.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::scores::{argmax, check};

/// Counts per true class (row) and predicted class (column).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// `counts[truth][predicted]`.
    pub counts: Vec<Vec<u64>>,
}

impl ConfusionMatrix {
    /// Counts the largest logit of every sample against its label.
    ///
    /// # Errors
    /// Logits and labels that do not fit each other.
    pub fn new(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<ConfusionMatrix, MetricsError> {
        check(logits, labels)?;
        let classes = logits.dim().1;
        let mut counts = Array2::<u64>::zeros((classes, classes));
        for (row, &label) in logits.outer_iter().zip(labels) {
            counts[[usize::from(label), argmax(row)]] += 1;
        }
        let counts = counts.outer_iter().map(|row| row.to_vec()).collect();
        Ok(ConfusionMatrix { counts })
    }

    /// Share of samples on the diagonal.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.counts.len()).map(|k| self.counts[k][k]).sum();
        let all: u64 = self.counts.iter().flatten().sum();
        right as f64 / all.max(1) as f64
    }

    /// Share of a class that is found; `None` for a class without samples.
    pub fn sensitivity(&self, class: usize) -> Option<f64> {
        let row = self.counts.get(class)?;
        let all: u64 = row.iter().sum();
        (all > 0).then(|| row[class] as f64 / all as f64)
    }

    /// Share of the other classes that is not mistaken for `class`; `None` without others.
    pub fn specificity(&self, class: usize) -> Option<f64> {
        let others = || self.counts.iter().enumerate().filter(|(k, _)| *k != class);
        let all: u64 = others().flat_map(|(_, row)| row).sum();
        let taken: u64 = others().filter_map(|(_, row)| row.get(class)).sum();
        (all > 0 && class < self.counts.len()).then(|| (all - taken) as f64 / all as f64)
    }

    /// Share of the predictions of `class` that are right; `None` without predictions.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let all: u64 = self.counts.iter().filter_map(|row| row.get(class)).sum();
        (all > 0).then(|| self.counts[class][class] as f64 / all as f64)
    }

    /// Mean sensitivity over the classes that occur.
    pub fn balanced_accuracy(&self) -> f64 {
        let found: Vec<f64> = (0..self.counts.len()).filter_map(|k| self.sensitivity(k)).collect();
        found.iter().sum::<f64>() / found.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_are_truth_and_ratios_follow() {
        let logits = array![
            [1.0f32, 0.0, 0.0], // 0 as 0
            [0.0, 1.0, 0.0],    // 0 as 1
            [0.0, 1.0, 0.0],    // 1 as 1
            [1.0, 0.0, 0.0],    // 1 as 0
            [0.0, 1.0, 0.0],    // 1 as 1
        ];
        let matrix = ConfusionMatrix::new(logits.view(), &[0, 0, 1, 1, 1]).unwrap();
        assert_eq!(matrix.counts, vec![vec![1, 1, 0], vec![1, 2, 0], vec![0, 0, 0]]);
        assert!((matrix.accuracy() - 0.6).abs() < 1e-12);
        assert_eq!(matrix.sensitivity(1), Some(2.0 / 3.0));
        assert_eq!(matrix.specificity(1), Some(0.5));
        assert_eq!(matrix.precision(1), Some(2.0 / 3.0));
        assert_eq!(matrix.sensitivity(2), None);
        assert_eq!(matrix.precision(2), None);
        assert_eq!(matrix.sensitivity(3), None);
        assert!((matrix.balanced_accuracy() - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
