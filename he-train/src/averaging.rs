//! The same head as federated averaging trains it: what pooled steps are compared with.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::exact::{largest_curvature, softmax_gradient};

/// Federated averaging of softmax regression: in every round each hospital takes `local_steps` full gradient steps on
/// its rows from the common weights, and the hospitals' weights are averaged by their rows. Labels are 1 and 0.
///
/// Source: McMahan et al., AISTATS 2017 (arXiv 1602.05629), algorithm 1, with a batch of all rows of a hospital.
pub fn averaged_softmax(
    (features, labels): (&Array2<f64>, &Array2<f64>),
    hospitals: &[Vec<usize>],
    (rounds, local_steps): (usize, usize),
    decay: f64,
) -> Array2<f64> {
    let own: Vec<_> = hospitals
        .iter()
        .filter(|rows| !rows.is_empty())
        .map(|rows| (features.select(Axis(0), rows), labels.select(Axis(0), rows)))
        .collect();
    let all: f64 = own.iter().map(|(features, _)| features.nrows() as f64).sum();
    let rates: Vec<f64> = own.iter().map(|(features, _)| 1.0 / (0.5 * largest_curvature(features) + decay)).collect();
    let mut common = Array2::<f64>::zeros((features.ncols(), labels.ncols()));
    for _ in 0..rounds {
        let local = |((features, labels), rate): (&(Array2<f64>, Array2<f64>), &f64)| {
            let mut weights = common.clone();
            for _ in 0..local_steps {
                weights = &weights - &(softmax_gradient(features, labels, &weights, decay) * *rate);
            }
            weights * (features.nrows() as f64 / all)
        };
        let parts: Vec<Array2<f64>> = own.par_iter().zip(&rates).map(local).collect();
        // In the order of the hospitals, so that a sum has the same bits every time.
        common = parts.into_iter().fold(Array2::zeros(common.dim()), |sum, part| sum + part);
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> (Array2<f64>, Array2<f64>) {
        let value = |row: usize, column: usize| ((row * 37 + column * 19) % 29) as f64 / 14.0 - 1.0;
        let features =
            Array2::from_shape_fn((40, 3), |(row, column)| if column == 2 { 1.0 } else { value(row, column) });
        let labels = Array2::from_shape_fn(
            (40, 2),
            |(row, class)| {
                if (value(row, 0) > 0.1) == (class == 1) { 1.0 } else { 0.0 }
            },
        );
        (features, labels)
    }

    #[test]
    fn one_hospital_alone_takes_the_steps_of_gradient_descent() {
        let (features, labels) = samples();
        let found = averaged_softmax((&features, &labels), &[(0..40).collect(), Vec::new()], (3, 2), 0.01);
        let rate = 1.0 / (0.5 * largest_curvature(&features) + 0.01);
        let mut weights = Array2::<f64>::zeros((3, 2));
        for _ in 0..6 {
            let mut gradient = &weights * 0.01;
            for (x, y) in features.outer_iter().zip(labels.outer_iter()) {
                let logits: Vec<f64> = weights.columns().into_iter().map(|w| x.dot(&w)).collect();
                let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
                for ((feature, class), gradient) in gradient.indexed_iter_mut() {
                    *gradient += x[feature] * (logits[class].exp() / sum - y[class]) / 40.0;
                }
            }
            weights = weights - gradient * rate;
        }
        assert!((found - weights).iter().all(|off| off.abs() < 1e-12));
    }

    #[test]
    fn hospitals_count_by_their_rows() {
        let (features, labels) = samples();
        let [first, second] = [(0..10).collect::<Vec<_>>(), (10..40).collect()];
        let of = |hospitals: &[Vec<usize>]| averaged_softmax((&features, &labels), hospitals, (1, 4), 0.0);
        let [a, b] = [&first, &second].map(|rows| of(std::slice::from_ref(rows)));
        let both = of(&[first, second]);
        assert!((both - (a * 0.25 + b * 0.75)).iter().all(|off| off.abs() < 1e-12));
    }
}
