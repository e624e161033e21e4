//! How good a head is, and what it could be.

use he_train::{HeadLoss, Recipe, exact_least_squares, exact_softmax};
use metrics::auc;
use ndarray::{Array2, ArrayView1, Axis, concatenate};
use report::HeadFigures;

use super::data::{DealtRows, Rows};
use super::error::HeadRunError;

/// Steps of the exact solution, and its pull: far more than any recipe takes.
const EXACT_STEPS: usize = 300;
pub(super) const EXACT_DECAY: f64 = 1e-4;

/// What no recipe can be better than, on the same features.
pub(super) fn exact(recipe: &Recipe, data: &DealtRows) -> Result<Array2<f64>, HeadRunError> {
    let Rows { features, labels } = &data.train;
    match recipe.loss {
        HeadLoss::Squared => exact_least_squares(features, labels).ok_or(HeadRunError::Dependent),
        // Of two classes, the other one too.
        HeadLoss::OneVersusRest { .. } if labels.ncols() == 1 => {
            let both = concatenate![Axis(1), labels.mapv(|label| 1.0 - label), labels.view()];
            let weights = exact_softmax(features, &both, EXACT_STEPS, EXACT_DECAY);
            Ok((&weights.column(1) - &weights.column(0)).insert_axis(Axis(1)))
        }
        HeadLoss::OneVersusRest { .. } => Ok(exact_softmax(features, labels, EXACT_STEPS, EXACT_DECAY)),
    }
}

/// Share of the test rows for which two heads choose alike, and what their answers differ by.
pub(super) fn alike(data: &DealtRows, one: &Array2<f64>, other: &Array2<f64>) -> (f64, Array2<f64>) {
    let answers = [one, other].map(|weights| data.test.features.dot(weights));
    let same = answers[0].outer_iter().zip(answers[1].outer_iter()).filter(|(a, b)| chosen(*a) == chosen(*b)).count();
    (same as f64 / answers[0].nrows().max(1) as f64, (&answers[0] - &answers[1]).mapv(f64::abs))
}

/// The class of an answer; of one number, whether it is above 0.
pub(super) fn chosen(answer: ArrayView1<'_, f64>) -> usize {
    if answer.len() == 1 {
        return usize::from(answer[0] > 0.0);
    }
    answer.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
}

/// What weights do on the test part: the share of right answers with the AUC of two classes, or the mean relative error
/// of readings.
pub(super) fn figures(data: &DealtRows, weights: &Array2<f64>) -> HeadFigures {
    let (answers, labels) = (data.test.features.dot(weights), &data.test.labels);
    if let Some(scale) = &data.scale {
        let relative_error = Some(scale.relative_error(answers.view(), labels.view()));
        return HeadFigures { relative_error, ..HeadFigures::default() };
    }
    let pairs = answers.outer_iter().zip(labels.outer_iter());
    let right = pairs.filter(|(answer, label)| chosen(*answer) == chosen(*label)).count();
    let accuracy = Some(right as f64 / answers.nrows().max(1) as f64);
    if labels.ncols() > 1 {
        return HeadFigures { accuracy, ..HeadFigures::default() };
    }
    let positive: Vec<bool> = labels.iter().map(|label| *label > 0.5).collect();
    HeadFigures {
        accuracy,
        auc: auc(&answers.iter().copied().collect::<Vec<_>>(), &positive),
        ..HeadFigures::default()
    }
}
