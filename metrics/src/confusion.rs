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

    /// Mean over classes of the harmonic mean of sensitivity and precision, 0 for a class that is never right; classes
    /// that neither occur nor are answered do not count.
    pub fn macro_f1(&self) -> f64 {
        let scores: Vec<f64> = (0..self.counts.len())
            .filter_map(|class| {
                let occurs: u64 = self.counts[class].iter().sum();
                let answered: u64 = self.counts.iter().filter_map(|row| row.get(class)).sum();
                (occurs + answered > 0).then(|| 2.0 * self.counts[class][class] as f64 / (occurs + answered) as f64)
            })
            .collect();
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }

    /// Matthews' correlation coefficient of answer and truth, for any number of classes, -1 to 1; `None` where all
    /// samples have one class or one answer.
    /// Source: Gorodkin, Computational Biology and Chemistry 28 (2004).
    pub fn mcc(&self) -> Option<f64> {
        let classes = self.counts.len();
        let truth: Vec<f64> = self.counts.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
        let answers: Vec<f64> =
            (0..classes).map(|class| self.counts.iter().map(|row| row[class]).sum::<u64>() as f64).collect();
        let all: f64 = truth.iter().sum();
        let right: f64 = (0..classes).map(|class| self.counts[class][class] as f64).sum();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let spread = (all * all - dot(&answers, &answers)) * (all * all - dot(&truth, &truth));
        (spread > 0.0).then(|| (right * all - dot(&truth, &answers)) / spread.sqrt())
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

    /// Every sample of a confusion matrix, as (truth, answer).
    fn pairs(matrix: &ConfusionMatrix) -> Vec<(usize, usize)> {
        let cells =
            matrix.counts.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(a, n)| (t, a, *n)));
        cells.flat_map(|(t, a, n)| std::iter::repeat_n((t, a), n as usize)).collect()
    }

    #[test]
    fn correlation_is_that_of_the_indicators_sample_by_sample() {
        // Gorodkin's definition: covariance of the indicator vectors of truth and answer, summed over classes, by the
        // root of both variances.
        let matrix = ConfusionMatrix { counts: vec![vec![13, 2, 0], vec![4, 9, 1], vec![0, 3, 8]] };
        let pairs = pairs(&matrix);
        let n = pairs.len() as f64;
        let is = |a: usize, b: usize| if a == b { 1.0 } else { 0.0 };
        let mean = |of: &dyn Fn(&(usize, usize)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        let (mut both, mut truth, mut answer) = (0.0, 0.0, 0.0);
        for class in 0..3 {
            let (t, a) = (mean(&|p| is(p.0, class)), mean(&|p| is(p.1, class)));
            both += mean(&|p| (is(p.0, class) - t) * (is(p.1, class) - a));
            truth += mean(&|p| (is(p.0, class) - t).powi(2));
            answer += mean(&|p| (is(p.1, class) - a).powi(2));
        }
        assert!((matrix.mcc().unwrap() - both / (truth * answer).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn two_classes_have_the_textbook_correlation_and_f1() {
        // TP 6, FN 2, FP 1, TN 3 of class 1: (18 - 2) / sqrt(7 * 8 * 4 * 5).
        let matrix = ConfusionMatrix { counts: vec![vec![3, 1], vec![2, 6]] };
        assert!((matrix.mcc().unwrap() - 16.0 / 1120f64.sqrt()).abs() < 1e-12);
        // F1: 2 * 6 / (8 + 7) and 2 * 3 / (4 + 5).
        assert!((matrix.macro_f1() - (12.0 / 15.0 + 6.0 / 9.0) / 2.0).abs() < 1e-12);
        let constant = ConfusionMatrix { counts: vec![vec![4, 0, 0], vec![3, 0, 0], vec![0, 0, 0]] };
        assert_eq!(constant.mcc(), None);
        assert!((constant.macro_f1() - (8.0 / 11.0 + 0.0) / 2.0).abs() < 1e-12);
        let right = ConfusionMatrix { counts: vec![vec![4, 0], vec![0, 9]] };
        assert_eq!((right.mcc(), right.macro_f1()), (Some(1.0), 1.0));
    }
}
