//! How a head is trained, the same on plain numbers and on ciphertexts.

/// Most classes: so many stand beside each other in a ciphertext.
const CLASSES_MAX: usize = 16;
/// Most features.
const DIMENSION_MAX: usize = 1_024;
/// Most steps; each one is a refresh by the hospitals.
const STEPS_MAX: usize = 4_096;

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadLoss {
    /// Cross-entropy of one sigmoid a class, each a polynomial of that degree on -range..=range.
    OneVersusRest {
        /// 4k + 1, at most 29.
        degree: usize,
        /// Of logits, above 0.
        range: f64,
    },
    /// Squares of differences.
    Squared,
}

/// Nesterov's accelerated gradient descent from nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// What is made small.
    pub loss: HeadLoss,
    /// 1 to 4,096.
    pub steps: usize,
    /// Rows that lie in one ciphertext, at least 1. The last group may have fewer.
    pub rows_per_group: usize,
    /// Groups of a step, at least 1, taken in turn.
    pub groups_per_batch: usize,
    /// Step length, above 0.
    pub learning_rate: f64,
    /// That of the last three tenths of the steps, above 0.
    pub late_rate: f64,
    /// 0 to below 1.
    pub momentum: f64,
    /// Pull of the weights towards nothing, 0 or above.
    pub weight_decay: f64,
}

/// Why a recipe cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// More classes than stand beside each other.
    #[error("{found} classes; a head has 1 to {CLASSES_MAX}")]
    Classes {
        /// As found.
        found: usize,
    },
    /// Features.
    #[error("{found} features; a head has 2 to {DIMENSION_MAX}, the constant included")]
    Dimension {
        /// As found.
        found: usize,
    },
    /// A polynomial that pushes the wrong way.
    #[error("degree {found} of the sigmoid; it has to be 5, 9, 13, ... or 29, or logits that leave the range run away")]
    Degree {
        /// As written.
        found: usize,
    },
    /// A number out of range.
    #[error("{field} is {found}, it has to be {expected}")]
    Setting {
        /// The field.
        field: &'static str,
        /// As written.
        found: f64,
        /// What may stand there.
        expected: &'static str,
    },
    /// Nothing to train on, or labels that are not as many.
    #[error("{features} rows of features and {labels} of labels")]
    Rows {
        /// Of features.
        features: usize,
        /// Of labels.
        labels: usize,
    },
}

/// Whether a head may have so many features and classes.
pub(crate) fn check_shape(dimension: usize, classes: usize) -> Result<(), RecipeError> {
    if !(1..=CLASSES_MAX).contains(&classes) {
        return Err(RecipeError::Classes { found: classes });
    }
    if !(2..=DIMENSION_MAX).contains(&dimension) {
        return Err(RecipeError::Dimension { found: dimension });
    }
    Ok(())
}

/// Largest rate, for each group of a batch.
const RATE_MAX: f64 = 100.0;
const RATES: &str = "above 0 and at most 100 for each group of a batch";

impl Recipe {
    /// Whether it can be followed with so many rows of features, labels, features and classes.
    ///
    /// # Errors
    /// [`RecipeError`] names the first thing that is wrong.
    pub fn check(
        &self,
        (rows, dimension): (usize, usize),
        (labels, classes): (usize, usize),
    ) -> Result<(), RecipeError> {
        check_shape(dimension, classes)?;
        if rows == 0 || rows != labels {
            return Err(RecipeError::Rows { features: rows, labels });
        }
        let range = match self.loss {
            HeadLoss::OneVersusRest { degree, .. } if degree % 4 != 1 || !(5..=29).contains(&degree) => {
                return Err(RecipeError::Degree { found: degree });
            }
            HeadLoss::OneVersusRest { range, .. } => range,
            HeadLoss::Squared => 1.0,
        };
        let (steps, positive) = (self.steps as f64, f64::MIN_POSITIVE);
        // A step is the rate over its rows: where most places hold none, the rate counts for as many more groups.
        let fastest = RATE_MAX * self.groups_per_batch as f64;
        let settings = [
            ("steps", steps, 1.0, STEPS_MAX as f64, "1 to 4096"),
            ("rows-per-group", self.rows_per_group as f64, 1.0, 8_192.0, "1 to 8192"),
            ("groups-per-batch", self.groups_per_batch as f64, 1.0, 65_536.0, "1 to 65536"),
            ("logit-range", range, 1.0, 64.0, "1 to 64"),
            ("learning-rate", self.learning_rate, positive, fastest, RATES),
            ("late-rate", self.late_rate, positive, fastest, RATES),
            ("momentum", self.momentum, 0.0, 0.999, "0 to 0.999"),
            ("weight-decay", self.weight_decay, 0.0, 1.0, "0 to 1"),
        ];
        match settings.into_iter().find(|(_, found, low, high, _)| !(low..=high).contains(&found)) {
            Some((field, found, _, _, expected)) => Err(RecipeError::Setting { field, found, expected }),
            None => Ok(()),
        }
    }

    /// The recipe whose steps see as many rows and are as long for each, where only `rows` of `places` in all groups
    /// hold one: steps count places.
    #[must_use]
    pub fn spread(self, rows: usize, places: usize) -> Self {
        let stretch = places as f64 / rows.max(1) as f64;
        Self {
            learning_rate: self.learning_rate * stretch,
            late_rate: self.late_rate * stretch,
            weight_decay: self.weight_decay / stretch,
            groups_per_batch: ((self.groups_per_batch as f64 * stretch).round() as usize).max(1),
            ..self
        }
    }

    /// Whether a step, counted from 0, is of the last three tenths.
    pub(crate) fn is_late(&self, step: usize) -> bool {
        10 * step >= 7 * self.steps
    }

    /// Step length of a step, counted from 0.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        if self.is_late(step) { self.late_rate } else { self.learning_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Recipe = Recipe {
        loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
        steps: 30,
        rows_per_group: 512,
        groups_per_batch: 8,
        learning_rate: 0.9,
        late_rate: 0.3,
        momentum: 0.9,
        weight_decay: 1e-3,
    };

    #[test]
    fn what_cannot_be_followed_is_named_with_its_limit() {
        assert_eq!(GOOD.check((100, 256), (100, 10)), Ok(()));
        for classes in [1, 16] {
            assert_eq!(GOOD.check((1, 2), (1, classes)), Ok(()));
        }
        for classes in [0, 17] {
            assert_eq!(GOOD.check((100, 256), (100, classes)), Err(RecipeError::Classes { found: classes }));
        }
        for dimension in [1, 1_025] {
            assert_eq!(GOOD.check((100, dimension), (100, 2)), Err(RecipeError::Dimension { found: dimension }));
        }
        assert_eq!(GOOD.check((0, 8), (0, 2)), Err(RecipeError::Rows { features: 0, labels: 0 }));
        for degree in [1, 3, 4, 7, 15, 33] {
            let recipe = Recipe { loss: HeadLoss::OneVersusRest { degree, range: 24.0 }, ..GOOD };
            assert_eq!(recipe.check((9, 8), (9, 2)), Err(RecipeError::Degree { found: degree }));
        }
        for degree in [5, 9, 29] {
            let recipe = Recipe { loss: HeadLoss::OneVersusRest { degree, range: 24.0 }, ..GOOD };
            assert_eq!(recipe.check((9, 8), (9, 2)), Ok(()));
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let range = |range| Recipe { loss: HeadLoss::OneVersusRest { degree: 13, range }, ..GOOD };
        let wrong = [
            (Recipe { steps: 0, ..GOOD }, "steps"),
            (Recipe { steps: 4_097, ..GOOD }, "steps"),
            (Recipe { rows_per_group: 0, ..GOOD }, "rows-per-group"),
            (Recipe { groups_per_batch: 0, ..GOOD }, "groups-per-batch"),
            (range(0.0), "logit-range"),
            (range(f64::NAN), "logit-range"),
            (range(65.0), "logit-range"),
            (Recipe { learning_rate: 0.0, ..GOOD }, "learning-rate"),
            (Recipe { learning_rate: 801.0, ..GOOD }, "learning-rate"),
            (Recipe { late_rate: 101.0, groups_per_batch: 1, ..GOOD }, "late-rate"),
            (Recipe { late_rate: 0.0, ..GOOD }, "late-rate"),
            (Recipe { momentum: 1.0, ..GOOD }, "momentum"),
            (Recipe { momentum: -0.1, ..GOOD }, "momentum"),
            (Recipe { weight_decay: -0.1, ..GOOD }, "weight-decay"),
            (Recipe { weight_decay: 1.1, ..GOOD }, "weight-decay"),
        ];
        for (recipe, expected) in wrong {
            let Err(RecipeError::Setting { field, .. }) = recipe.check((9, 8), (9, 2)) else { panic!("{expected}") };
            assert_eq!(field, expected);
        }
    }

    #[test]
    fn rows_of_nothing_take_no_length_from_a_step() {
        let spread = GOOD.spread(100, 400);
        let expected =
            Recipe { learning_rate: 3.6, late_rate: 1.2, weight_decay: 2.5e-4, groups_per_batch: 32, ..GOOD };
        assert_eq!(spread, expected);
        assert_eq!(GOOD.spread(100, 101).groups_per_batch, 8);
        assert_eq!(Recipe { groups_per_batch: 1, ..GOOD }.spread(100, 10).groups_per_batch, 1);
        assert!(GOOD.spread(0, 5).learning_rate.is_finite());
        // However few rows there are, what could be followed can be followed.
        let few = Recipe { groups_per_batch: 1, ..GOOD }.spread(96, 4 * 8_192);
        assert_eq!((few.learning_rate > 100.0, few.check((9, 8), (9, 2))), (true, Ok(())));
    }

    #[test]
    fn the_last_three_tenths_of_the_steps_are_shorter() {
        let rates: Vec<f64> = (0..30).map(|step| GOOD.rate(step)).collect();
        assert!(rates[..21].iter().all(|&rate| rate == 0.9) && rates[21..].iter().all(|&rate| rate == 0.3));
    }
}
