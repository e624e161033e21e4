//! From logits to probabilities, decisions and one-vs-rest scores.

use ndarray::{ArrayView1, ArrayView2};

use super::MetricsError;

/// Class probabilities of one row of logits; they sum to 1.
pub fn softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let top = peak(logits);
    let powers: Vec<f64> = logits.iter().map(|&z| (f64::from(z) - top).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / total).collect()
}

/// The class with the largest logit; the lowest index wins a tie.
pub fn argmax(logits: ArrayView1<'_, f32>) -> usize {
    let mut best = 0;
    for (class, &z) in logits.iter().enumerate() {
        if z > logits[best] {
            best = class;
        }
    }
    best
}

/// Natural logarithm of the probability of `class`.
pub(super) fn log_probability(logits: ArrayView1<'_, f32>, class: usize) -> f64 {
    -scaled_surprise(logits, class, 1.0)
}

/// Negative logarithm of the probability of `class` where all logits are multiplied by `scale`, in nats.
pub(super) fn scaled_surprise(logits: ArrayView1<'_, f32>, class: usize, scale: f64) -> f64 {
    let top = peak(logits) * scale;
    let total: f64 = logits.iter().map(|&z| (f64::from(z) * scale - top).exp()).sum();
    top + total.ln() - f64::from(logits[class]) * scale
}

/// Log-odds of `class` against the rest for every row: ranks like the probability, but does not
/// collapse to ties where the probability rounds to 1.
pub(super) fn log_odds(logits: ArrayView2<'_, f32>, class: usize) -> Vec<f64> {
    logits
        .outer_iter()
        .map(|row| {
            let rest = || row.iter().enumerate().filter(|(k, _)| *k != class).map(|(_, &z)| f64::from(z));
            let top = rest().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = rest().map(|z| (z - top).exp()).sum();
            f64::from(row[class]) - top - total.ln()
        })
        .collect()
}

/// Refuses logits and labels that do not fit each other.
pub(super) fn check(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<(), MetricsError> {
    let (rows, classes) = logits.dim();
    if rows == 0 {
        return Err(MetricsError::NoSamples);
    }
    if classes < 2 {
        return Err(MetricsError::TooFewClasses { classes });
    }
    if rows != labels.len() {
        return Err(MetricsError::LabelCount { logits: rows, labels: labels.len() });
    }
    if let Some(sample) = labels.iter().position(|&l| usize::from(l) >= classes) {
        return Err(MetricsError::LabelOutOfRange { sample, label: labels[sample], classes });
    }
    let broken = logits.outer_iter().position(|row| row.iter().any(|z| !z.is_finite()));
    match broken {
        Some(sample) => Err(MetricsError::NonFinite { sample }),
        None => Ok(()),
    }
}

fn peak(logits: ArrayView1<'_, f32>) -> f64 {
    logits.iter().fold(f64::NEG_INFINITY, |top, &z| top.max(f64::from(z)))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn softmax_of_logarithms_is_their_proportion() {
        let logits = array![1f32.ln(), 2f32.ln(), 5f32.ln()];
        let p = softmax(logits.view());
        for (p, expected) in p.iter().zip([0.125, 0.25, 0.625]) {
            assert!((p - expected).abs() < 1e-6);
        }
        // Odds of the last class: 5 against 3.
        let odds = log_odds(logits.view().insert_axis(ndarray::Axis(0)), 2);
        assert!((odds[0] - (5.0f64 / 3.0).ln()).abs() < 1e-6);
        assert!((log_probability(logits.view(), 1) - 0.25f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn huge_logits_neither_overflow_nor_tie() {
        let logits = array![[900.0f32, 0.0], [901.0, 0.0]];
        assert_eq!(softmax(logits.row(0)), softmax(logits.row(1)));
        let odds = log_odds(logits.view(), 0);
        assert!(odds[1] > odds[0]);
    }
}
