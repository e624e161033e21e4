//! The steps of a recipe on plain numbers: what the ciphertexts will hold, and whether they can.

use ndarray::{Array2, s};

use crate::polynomial::OddPolynomial;
use crate::recipe::{HeadLoss, Recipe, RecipeError};

/// Share of the polynomial's range that logits may use: noise and other data need the rest.
const SHARE: f64 = 0.95;

/// A head, and what its logits needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// Features times classes.
    pub weights: Array2<f64>,
    /// Largest logit of any row in any step, absolute.
    pub logit_max: f64,
    /// Largest weight ahead after any step, absolute: what a refresh has to carry.
    pub weight_max: f64,
    /// Of every step.
    pub trace: Vec<ShadowStep>,
}

/// What a step saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShadowStep {
    /// Mean square of what the answers to its rows were off by, over places and classes.
    pub error: f64,
    /// Largest logit, absolute.
    pub logit_max: f64,
}

/// Why a recipe leads nowhere.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// The recipe itself.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Logits where the polynomial is no sigmoid.
    #[error(
        "in step {step} a logit was {found:.1}, above {SHARE} of the range {range}: lower the rate, or widen the range"
    )]
    Range {
        /// From 1.
        step: usize,
        /// Absolute.
        found: f64,
        /// As written.
        range: f64,
    },
    /// Numbers that are none.
    #[error("in step {step} a logit is no number: lower the rate")]
    Diverged {
        /// From 1.
        step: usize,
    },
}

/// Follows `recipe`. Features and labels have one row a sample; labels 1 and 0, or numbers for [`HeadLoss::Squared`].
///
/// # Errors
/// [`ShadowError`].
pub fn shadow(recipe: &Recipe, features: &Array2<f64>, labels: &Array2<f64>) -> Result<Shadow, ShadowError> {
    recipe.check(features.dim(), labels.dim())?;
    let (rows, dimension) = features.dim();
    let groups = rows.div_ceil(recipe.rows_per_group);
    let sigmoid = match recipe.loss {
        HeadLoss::OneVersusRest { degree, range } => {
            Some(OddPolynomial::sigmoid(degree, range).ok_or(RecipeError::Degree { found: degree })?)
        }
        HeadLoss::Squared => None,
    };
    let batch = groups.min(recipe.groups_per_batch);
    // Whoever adds ciphertexts knows how many there are, not how many rows of the last one are empty.
    let size = (batch * recipe.rows_per_group) as f64;
    let mut ahead = Array2::<f64>::zeros((dimension, labels.ncols()));
    let mut weights = ahead.clone();
    let mut weight_max = 0.0f64;
    let mut trace = Vec::with_capacity(recipe.steps);
    for step in 0..recipe.steps {
        let (mut squares, mut logit_max) = (0.0, 0.0f64);
        let mut gradient = Array2::<f64>::zeros(ahead.dim());
        for turn in 0..batch {
            let first = (step * batch + turn) % groups * recipe.rows_per_group;
            let own = s![first..rows.min(first + recipe.rows_per_group), ..];
            let (features, labels) = (features.slice(own), labels.slice(own));
            let logits = features.dot(&ahead);
            for &logit in &logits {
                if !logit.is_finite() {
                    return Err(ShadowError::Diverged { step: step + 1 });
                }
                logit_max = logit_max.max(logit.abs());
            }
            let answers = match &sigmoid {
                Some(sigmoid) => logits.mapv(|logit| sigmoid.at(logit)),
                None => logits,
            };
            let errors = answers - labels;
            squares += errors.iter().map(|error| error * error).sum::<f64>();
            gradient += &features.t().dot(&errors);
        }
        match &sigmoid {
            Some(sigmoid) if logit_max > SHARE * sigmoid.range() => {
                return Err(ShadowError::Range { step: step + 1, found: logit_max, range: sigmoid.range() });
            }
            _ => {}
        }
        trace.push(ShadowStep { error: squares / (size * labels.ncols() as f64), logit_max });
        let rate = recipe.rate(step);
        let next = &ahead * (1.0 - rate * recipe.weight_decay) - gradient * (rate / size);
        ahead = &next + &((&next - &weights) * recipe.momentum);
        weight_max = ahead.iter().fold(weight_max, |most, weight| most.max(weight.abs()));
        weights = next;
    }
    let logit_max = trace.iter().fold(0.0, |most: f64, step| most.max(step.logit_max));
    Ok(Shadow { weights, logit_max, weight_max, trace })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe {
        loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
        steps: 9,
        rows_per_group: 4,
        groups_per_batch: 2,
        learning_rate: 0.8,
        late_rate: 0.25,
        momentum: 0.9,
        weight_decay: 0.01,
    };

    /// 18 rows of 3 features, the last of them 1, and 2 classes.
    fn samples() -> (Array2<f64>, Array2<f64>) {
        let value = |row: usize, column: usize| ((row * 31 + column * 17) % 23) as f64 / 11.0 - 1.0;
        let features =
            Array2::from_shape_fn((18, 3), |(row, column)| if column == 2 { 1.0 } else { value(row, column) });
        let labels = Array2::from_shape_fn((18, 2), |(row, class)| {
            let is_first = value(row, 0) + 0.3 * value(row, 1) > 0.0;
            if is_first == (class == 0) { 1.0 } else { 0.0 }
        });
        (features, labels)
    }

    #[test]
    fn every_step_says_what_it_was_off_by_before_it() {
        let (features, labels) = samples();
        let recipe = Recipe { loss: HeadLoss::Squared, ..RECIPE };
        let run = shadow(&recipe, &features, &labels).unwrap();
        assert_eq!(run.trace.len(), 9);
        // Nothing is known yet: of the first 8 rows, each is one of two classes.
        assert_eq!((run.trace[0].error, run.trace[0].logit_max), (0.5, 0.0));
        assert!(run.trace[8].error < 0.3, "{:?}", run.trace);
        assert!(run.trace.iter().all(|step| step.logit_max <= run.logit_max));
        assert!(run.trace.iter().any(|step| step.logit_max == run.logit_max));
        // Empty places count, as they do for the coordinator: the third step has 2 of 8 rows and then the first 4.
        let third = shadow(&Recipe { steps: 3, ..recipe }, &features, &labels).unwrap();
        assert_eq!(third.trace[..], run.trace[..3]);
    }

    /// The same steps, number by number: batches of 8 rows out of groups of 4, the last group with 2.
    fn by_hand(recipe: &Recipe, answer: &dyn Fn(f64) -> f64) -> (Vec<[f64; 2]>, f64) {
        let (features, labels) = samples();
        let order: Vec<Vec<usize>> =
            vec![(0..4).collect(), (4..8).collect(), (8..12).collect(), (12..16).collect(), vec![16, 17]];
        let (mut w, mut v, mut most) = (vec![[0.0; 2]; 3], vec![[0.0; 2]; 3], 0.0f64);
        for step in 0..recipe.steps {
            let rows = [2 * step, 2 * step + 1].map(|turn| order[turn % 5].clone()).concat();
            let rate = if step < 7 { recipe.learning_rate } else { recipe.late_rate };
            let mut gradient = [[0.0; 2]; 3];
            for row in rows {
                for class in 0..2 {
                    let logit: f64 = (0..3).map(|j| features[[row, j]] * w[j][class]).sum();
                    for j in 0..3 {
                        gradient[j][class] += features[[row, j]] * (answer(logit) - labels[[row, class]]) / 8.0;
                    }
                }
            }
            for j in 0..3 {
                for class in 0..2 {
                    let next = w[j][class] - rate * (recipe.weight_decay * w[j][class] + gradient[j][class]);
                    w[j][class] = next + recipe.momentum * (next - v[j][class]);
                    v[j][class] = next;
                    most = most.max(w[j][class].abs());
                }
            }
        }
        (v, most)
    }

    #[test]
    fn steps_are_those_written_down_number_by_number() {
        let (features, labels) = samples();
        let sigmoid = OddPolynomial::sigmoid(13, 24.0).unwrap();
        let squared = Recipe { loss: HeadLoss::Squared, learning_rate: 0.2, ..RECIPE };
        let cases: [(Recipe, &dyn Fn(f64) -> f64); 2] = [(RECIPE, &|x| sigmoid.at(x)), (squared, &|x| x)];
        for (recipe, answer) in cases {
            let found = shadow(&recipe, &features, &labels).unwrap();
            let (by_hand, most) = by_hand(&recipe, answer);
            assert!((found.weight_max - most).abs() < 1e-12, "{} {most}", found.weight_max);
            for (row, expected) in found.weights.outer_iter().zip(by_hand) {
                for (found, expected) in row.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                }
            }
            assert!(found.logit_max > 0.1 && found.logit_max < 24.0);
        }
    }

    #[test]
    fn logits_that_leave_the_range_are_noticed_in_their_step() {
        let (features, labels) = samples();
        let fast = Recipe { learning_rate: 60.0, steps: 50, ..RECIPE };
        let Err(ShadowError::Range { step, found, range }) = shadow(&fast, &features, &labels) else {
            panic!("noticed")
        };
        assert!(step > 1 && found > 0.95 * 24.0 && range == 24.0);
        // The step before is still within.
        let shorter = Recipe { steps: 50, ..fast };
        assert!(
            matches!(shadow(&shorter, &features, &labels), Err(ShadowError::Range { step: again, .. }) if again == step)
        );
        let wild = Recipe { loss: HeadLoss::Squared, learning_rate: 100.0, late_rate: 100.0, steps: 2_000, ..RECIPE };
        assert!(matches!(shadow(&wild, &features, &labels), Err(ShadowError::Diverged { .. })));
        assert!(matches!(
            shadow(&RECIPE, &features, &labels.slice(s![..17, ..]).to_owned()),
            Err(ShadowError::Recipe(RecipeError::Rows { features: 18, labels: 17 }))
        ));
    }
}
