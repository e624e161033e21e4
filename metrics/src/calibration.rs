//! Whether stated probabilities mean what they say.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::MetricsError;
use super::reliability::reliability;
use super::scores::{check, softmax};

/// Agreement of probabilities with outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error of the predicted class over 15 bins of equal mass, `0..=1`.
    /// Source: Guo et al., arXiv 1706.04599, equation 3, with equal-mass bins.
    pub expected_error: f64,
    /// Brier score summed over classes, `0..=2`. Source: Brier, Monthly Weather Review 78 (1950).
    pub brier: f64,
}

/// Calibration of the softmax probabilities of `logits`.
///
/// # Errors
/// Logits and labels that do not fit each other.
pub fn calibration(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<Calibration, MetricsError> {
    check(logits, labels)?;
    let samples = labels.len() as f64;
    let mut brier = 0.0;
    for (row, &label) in logits.outer_iter().zip(labels) {
        for (class, p) in softmax(row).iter().enumerate() {
            let target = if class == usize::from(label) { 1.0 } else { 0.0 };
            brier += (p - target).powi(2);
        }
    }
    let bins = reliability(logits, labels)?;
    let gap: f64 = bins.iter().map(|bin| (bin.confidence - bin.right).abs() * bin.count as f64).sum();
    Ok(Calibration { expected_error: gap / samples, brier: brier / samples })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn three_right_out_of_four_at_three_quarters_is_perfectly_calibrated() {
        // 60 samples at probability 3/4, labels repeating right, right, right, wrong: 15 bins of
        // four see one wrong each. Brier per right sample 2/16, per wrong one 18/16: mean 6/16.
        let logits = Array2::from_shape_fn((60, 2), |(_, c)| if c == 0 { 3f32.ln() } else { 0.0 });
        let labels: Vec<u8> = (0..60).map(|i| u8::from(i % 4 == 3)).collect();
        let value = calibration(logits.view(), &labels).unwrap();
        assert!(value.expected_error < 1e-6);
        assert!((value.brier - 0.375).abs() < 1e-6);
    }

    #[test]
    fn certain_and_always_wrong_is_the_worst() {
        let logits = Array2::from_shape_fn((10, 2), |(_, c)| if c == 0 { 60.0 } else { -60.0 });
        let value = calibration(logits.view(), &[1; 10]).unwrap();
        assert!((value.expected_error - 1.0).abs() < 1e-9);
        assert!((value.brier - 2.0).abs() < 1e-9);
    }
}
