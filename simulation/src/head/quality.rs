//! How good a head is, and what it could be.

use he_train::{HeadLoss, Recipe, exact_least_squares, exact_softmax};
use metrics::auc;
use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};
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
fn chosen(answer: ArrayView1<'_, f64>) -> usize {
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

/// How many of the first test rows were answered right; of readings there is no such thing.
pub(super) fn right(data: &DealtRows, answers: &[Array1<f64>]) -> Option<usize> {
    let pairs = answers.iter().zip(data.test.labels.outer_iter());
    data.scale.is_none().then(|| pairs.filter(|(answer, label)| chosen(answer.view()) == chosen(*label)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// One feature and the constant; the label follows the feature, but for the last row.
    fn pair() -> DealtRows {
        let features = array![[1.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [-0.5, 1.0]];
        let labels = array![[1.0], [0.0], [1.0], [1.0]];
        let rows = || Rows { features: features.clone(), labels: labels.clone() };
        DealtRows {
            train: rows(),
            hospitals: vec![(0..4).collect()],
            test: rows(),
            scale: None,
            made: String::new(),
            names: Vec::new(),
            description: String::new(),
        }
    }

    #[test]
    fn answers_of_two_classes_are_judged_by_their_sign() {
        let (data, along, against) = (pair(), array![[1.0], [0.0]], array![[-1.0], [0.0]]);
        let found = figures(&data, &along);
        // Of three with the label and one without, every pair is ranked right.
        assert_eq!((found.accuracy, found.auc, found.relative_error), (Some(0.75), Some(1.0), None));
        assert_eq!(figures(&data, &against).accuracy, Some(0.25));
        let (same, off) = alike(&data, &along, &against);
        assert_eq!((same, off.iter().copied().fold(0.0, f64::max)), (0.0, 4.0));
        assert_eq!(alike(&data, &along, &along).0, 1.0);
        let answers = |values: &[f64]| values.iter().map(|value| array![*value]).collect::<Vec<_>>();
        assert_eq!(right(&data, &answers(&[0.5, 0.5, 0.1])), Some(2));
        assert_eq!(right(&data, &answers(&[-0.5])), Some(0));
    }

    #[test]
    fn classes_are_judged_by_their_largest_answer() {
        let labels = array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
        let mut data = pair();
        data.test.labels.clone_from(&labels);
        // Above nothing the second class, below it the first.
        let found = figures(&data, &array![[-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]);
        assert_eq!((found.accuracy, found.auc), (Some(0.5), None));
        assert_eq!(right(&data, &[array![0.0, 2.0, 1.0], array![0.0, 2.0, 1.0]]), Some(1));
    }

    #[test]
    fn the_exact_head_of_two_classes_has_one_column_and_follows_the_feature() {
        let loss = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };
        let recipe = Recipe {
            loss,
            steps: 1,
            rows_per_group: 4,
            groups_per_batch: 1,
            learning_rate: 0.1,
            late_rate: 0.1,
            momentum: 0.5,
            weight_decay: 0.0,
        };
        let mut data = pair();
        data.train.labels[[3, 0]] = 0.0;
        let weights = exact(&recipe, &data).unwrap();
        assert!(weights.dim() == (2, 1) && weights[[0, 0]] > 1.0, "{weights}");
        // Of several classes as many columns, and of readings the exact solution of the equations.
        data.train.labels = array![[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(exact(&recipe, &data).unwrap().dim(), (2, 2));
        data.train.labels = array![[3.0], [-1.0], [5.0], [0.0]];
        let line = exact(&Recipe { loss: HeadLoss::Squared, ..recipe }, &data).unwrap();
        assert!((line[[0, 0]] - 2.0).abs() < 1e-9 && (line[[1, 0]] - 1.0).abs() < 1e-9, "{line}");
    }
}
