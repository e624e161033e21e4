//! The reliability diagram: how often answers of one confidence are right.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::scores::{argmax, check, softmax};

/// Bins of equal mass, as of the expected calibration error.
const BINS: usize = 15;

/// Answers of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean probability of the predicted class, `0..=1`.
    pub confidence: f64,
    /// Share of the answers that are right.
    pub right: f64,
    /// Number of answers.
    pub count: usize,
}

/// At most 15 bins of equal mass (counts differ by at most one), by rising confidence.
///
/// # Errors
/// Logits and labels that do not fit each other.
pub fn reliability(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<Vec<ReliabilityBin>, MetricsError> {
    check(logits, labels)?;
    let mut decided: Vec<(f64, bool)> = logits
        .outer_iter()
        .zip(labels)
        .map(|(row, &label)| {
            let class = argmax(row);
            (softmax(row)[class], class == usize::from(label))
        })
        .collect();
    decided.sort_by(|a, b| a.0.total_cmp(&b.0));
    let samples = decided.len();
    let bins = BINS.min(samples);
    Ok((0..bins)
        .map(|bin| {
            let members = &decided[bin * samples / bins..(bin + 1) * samples / bins];
            let count = members.len() as f64;
            let right = members.iter().filter(|(_, right)| *right).count() as f64;
            let confidence = members.iter().map(|(p, _)| p).sum::<f64>() / count;
            ReliabilityBin { confidence, right: right / count, count: members.len() }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn few_answers_have_a_bin_each_by_rising_confidence() {
        // Odds 4, 1 and 9 for class 0: probabilities 0.8, 0.5 and 0.9.
        let logits = ndarray::array![[4f32.ln(), 0.0], [0.0, 0.0], [9f32.ln(), 0.0]];
        let bins = reliability(logits.view(), &[1, 0, 0]).unwrap();
        let found: Vec<(f64, usize)> = bins.iter().map(|bin| (bin.right, bin.count)).collect();
        assert_eq!(found, [(1.0, 1), (0.0, 1), (1.0, 1)]);
        for (bin, expected) in bins.iter().zip([0.5, 0.8, 0.9]) {
            assert!((bin.confidence - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn bins_have_equal_mass_and_cover_every_answer() {
        let logits = Array2::from_shape_fn((100, 2), |(row, class)| if class == 0 { row as f32 / 20.0 } else { 0.0 });
        let labels: Vec<u8> = (0..100).map(|row| u8::from(row % 4 == 0)).collect();
        let bins = reliability(logits.view(), &labels).unwrap();
        assert_eq!(bins.len(), BINS);
        assert!(bins.iter().all(|bin| (6..=7).contains(&bin.count)));
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<usize>(), 100);
        assert!(bins.is_sorted_by(|a, b| a.confidence <= b.confidence));
        let right: f64 = bins.iter().map(|bin| bin.right * bin.count as f64).sum();
        assert!((right - 75.0).abs() < 1e-9);
    }
}
