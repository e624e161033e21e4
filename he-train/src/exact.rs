//! What a head would be without a limit on steps or on functions.

use nalgebra::DMatrix;
use ndarray::{Array2, Axis};

/// Softmax regression, converged: `steps` of Nesterov's method with the longest safe step, a pull of `decay`. Labels
/// are 1 and 0, a row a sample.
pub fn exact_softmax(features: &Array2<f64>, labels: &Array2<f64>, steps: usize, decay: f64) -> Array2<f64> {
    // Half of the largest curvature of the features bounds that of the loss.
    let rate = 1.0 / (0.5 * largest_curvature(features) + decay);
    let mut weights = Array2::<f64>::zeros((features.ncols(), labels.ncols()));
    let mut ahead = weights.clone();
    for step in 0..steps {
        let next = &ahead - &(softmax_gradient(features, labels, &ahead, decay) * rate);
        ahead = &next + &((&next - &weights) * (step as f64 / (step + 3) as f64));
        weights = next;
    }
    weights
}

/// Of the mean cross-entropy of softmax regression with a pull of `decay`.
pub(crate) fn softmax_gradient(
    features: &Array2<f64>,
    labels: &Array2<f64>,
    weights: &Array2<f64>,
    decay: f64,
) -> Array2<f64> {
    let mut answers = features.dot(weights);
    for mut row in answers.axis_iter_mut(Axis(0)) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|logit| (logit - most).exp());
        let sum = row.sum();
        row /= sum;
    }
    features.t().dot(&(answers - labels)) / features.nrows().max(1) as f64 + weights * decay
}

/// Least squares, solved; `None` where features depend on each other.
pub fn exact_least_squares(features: &Array2<f64>, labels: &Array2<f64>) -> Option<Array2<f64>> {
    let (products, sums) = (features.t().dot(features), features.t().dot(labels));
    let matrix = |of: &Array2<f64>| DMatrix::from_fn(of.nrows(), of.ncols(), |row, column| of[[row, column]]);
    let solved = matrix(&products).cholesky()?.solve(&matrix(&sums));
    Some(Array2::from_shape_fn(sums.dim(), |(row, column)| solved[(row, column)]))
}

/// Largest eigenvalue of the mean product of features, by repeated multiplication.
pub(crate) fn largest_curvature(features: &Array2<f64>) -> f64 {
    let products = features.t().dot(features) / features.nrows().max(1) as f64;
    let mut direction = ndarray::Array1::<f64>::ones(products.ncols());
    let mut length = 0.0;
    for _ in 0..100 {
        direction = products.dot(&direction);
        length = direction.dot(&direction).sqrt();
        if length == 0.0 {
            return 0.0;
        }
        direction /= length;
    }
    // Approached from below.
    1.02 * length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> (Array2<f64>, Array2<f64>) {
        let value = |row: usize, column: usize| ((row * 37 + column * 19) % 29) as f64 / 14.0 - 1.0;
        let features =
            Array2::from_shape_fn((60, 4), |(row, column)| if column == 3 { 1.0 } else { value(row, column) });
        let class =
            |row: usize| usize::from(value(row, 0) > 0.1) + usize::from(value(row, 1) > 0.4 && !row.is_multiple_of(5));
        let labels = Array2::from_shape_fn((60, 3), |(row, column)| if class(row) == column { 1.0 } else { 0.0 });
        (features, labels)
    }

    #[test]
    fn at_the_end_no_weight_could_be_better() {
        let (features, labels) = samples();
        let decay = 1e-2;
        let weights = exact_softmax(&features, &labels, 100, decay);
        let loss = |weights: &Array2<f64>| {
            let mut sum = 0.5 * decay * weights.iter().map(|weight| weight * weight).sum::<f64>();
            for row in 0..60 {
                let logits: Vec<f64> =
                    (0..3).map(|class| (0..4).map(|j| features[[row, j]] * weights[[j, class]]).sum()).collect();
                let all = logits.iter().map(|logit: &f64| logit.exp()).sum::<f64>();
                let own = (0..3).find(|&class| labels[[row, class]] == 1.0).unwrap();
                sum -= (logits[own].exp() / all).ln() / 60.0;
            }
            sum
        };
        let best = loss(&weights);
        for index in 0..12 {
            for by in [-2e-3, 2e-3] {
                let mut moved = weights.clone();
                moved[[index / 3, index % 3]] += by;
                assert!(loss(&moved) > best, "{index} {by}");
            }
        }
        assert!(best < loss(&Array2::zeros((4, 3))) - 0.2);
    }

    #[test]
    fn least_squares_leave_a_rest_that_no_feature_explains() {
        let (features, labels) = samples();
        let weights = exact_least_squares(&features, &labels).unwrap();
        let rest = &labels - &features.dot(&weights);
        assert!(features.t().dot(&rest).iter().all(|product| product.abs() < 1e-9));
        let mut without = features;
        without.column_mut(1).fill(0.0);
        assert_eq!(exact_least_squares(&without, &labels), None);
    }

    #[test]
    fn curvature_is_the_largest_eigenvalue() {
        let (features, _) = samples();
        let products = features.t().dot(&features) / 60.0;
        let eigen = DMatrix::from_fn(4, 4, |row, column| products[[row, column]]).symmetric_eigen();
        let expected = eigen.eigenvalues.max();
        assert!((largest_curvature(&features) / expected - 1.02).abs() < 1e-6);
        assert_eq!(largest_curvature(&Array2::zeros((3, 2))), 0.0);
    }
}
