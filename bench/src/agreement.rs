//! How far encrypted answers are from the plain forward pass, and whether that changes what a clinician would read.

use metrics::{argmax, auc_per_class};
use ndarray::{Array2, ArrayView1};

use super::error::BenchError;

/// A logit that is further off than this is no noise on a message but a message lost in noise.
const LOST: f64 = 1.0;

/// Logits of both ways, image by image.
#[derive(Debug, Default)]
pub struct Pairs {
    classes: usize,
    /// Plain forward pass.
    plain: Vec<f64>,
    /// As decrypted; NaN where there was no answer.
    encrypted: Vec<f64>,
    labels: Vec<u8>,
}

/// What the pairs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Images.
    pub images: usize,
    /// Images whose largest logit is that of the plain forward pass.
    pub agreed: usize,
    /// Answers that were refused, not finite, or lost in noise.
    pub failures: usize,
    /// Largest difference of a logit.
    pub max_delta: f64,
    /// Mean difference of a logit.
    pub mean_delta: f64,
    /// Largest logit of the plain forward pass.
    pub largest: f64,
    /// Share of images decided rightly: plain, encrypted.
    pub accuracy: [f64; 2],
    /// Mean one-vs-rest AUC: plain, encrypted; none where a class is missing everywhere.
    pub auc: Option<[f64; 2]>,
    /// Images that only the plain, and only the encrypted answer decides rightly.
    pub discordant: [usize; 2],
    /// Two-sided exact McNemar test.
    pub mcnemar_p: f64,
}

impl Pairs {
    /// None yet, of a network with `classes` outputs.
    pub fn new(classes: usize) -> Self {
        Self { classes, ..Self::default() }
    }

    /// Adds an image; `encrypted` is none where there was no answer.
    pub fn push(&mut self, plain: &[f64], encrypted: Option<&[f64]>, label: u8) {
        self.plain.extend_from_slice(plain);
        match encrypted {
            Some(logits) if logits.len() == plain.len() => self.encrypted.extend_from_slice(logits),
            _ => self.encrypted.extend(plain.iter().map(|_| f64::NAN)),
        }
        self.labels.push(label);
    }

    /// Compares.
    ///
    /// # Errors
    /// [`BenchError::Metrics`] without images.
    pub fn judge(&self) -> Result<Agreement, BenchError> {
        let rows = |logits: &[f64]| {
            // A lost answer decides for nothing: equal logits, the first class.
            let value = |logit: &f64| if logit.is_finite() { *logit as f32 } else { 0.0 };
            Array2::from_shape_vec((self.labels.len(), self.classes), logits.iter().map(value).collect())
                .unwrap_or_default()
        };
        let (plain, encrypted) = (rows(&self.plain), rows(&self.encrypted));
        let mean = |logits: &Array2<f32>| -> Result<Option<f64>, BenchError> {
            let of_classes: Vec<f64> = auc_per_class(logits.view(), &self.labels)?.into_iter().flatten().collect();
            Ok((!of_classes.is_empty()).then(|| of_classes.iter().sum::<f64>() / of_classes.len() as f64))
        };
        let auc = mean(&plain)?.zip(mean(&encrypted)?).map(|(plain, encrypted)| [plain, encrypted]);
        let mut found = Agreement {
            images: self.labels.len(),
            agreed: 0,
            failures: 0,
            max_delta: 0.0,
            mean_delta: 0.0,
            largest: 0.0,
            accuracy: [0.0; 2],
            auc,
            discordant: [0; 2],
            mcnemar_p: 1.0,
        };
        let (mut sum, mut compared) = (0.0, 0usize);
        for (plain, encrypted) in self.plain.chunks(self.classes).zip(self.encrypted.chunks(self.classes)) {
            let deltas = || plain.iter().zip(encrypted).map(|(plain, encrypted)| (plain - encrypted).abs());
            found.largest = plain.iter().fold(found.largest, |most, logit| most.max(logit.abs()));
            if deltas().all(|delta| delta <= LOST) {
                found.max_delta = deltas().fold(found.max_delta, f64::max);
                sum += deltas().sum::<f64>();
                compared += self.classes;
            } else {
                found.failures += 1;
            }
        }
        found.mean_delta = sum / compared.max(1) as f64;
        let mut right = [0usize; 2];
        for ((plain, encrypted), &label) in plain.outer_iter().zip(encrypted.outer_iter()).zip(&self.labels) {
            let decide = |row: ArrayView1<'_, f32>| argmax(row);
            let (plain, encrypted, label) = (decide(plain), decide(encrypted), usize::from(label));
            found.agreed += usize::from(plain == encrypted);
            match (plain == label, encrypted == label) {
                (true, false) => found.discordant[0] += 1,
                (false, true) => found.discordant[1] += 1,
                _ => {}
            }
            right[0] += usize::from(plain == label);
            right[1] += usize::from(encrypted == label);
        }
        found.accuracy = right.map(|right| right as f64 / found.images.max(1) as f64);
        found.mcnemar_p = mcnemar(found.discordant);
        Ok(found)
    }
}

/// Two-sided exact test that both ways err equally often: a fair coin for every discordant image.
/// Source: McNemar, Psychometrika 12 (1947); the exact form is the binomial test.
fn mcnemar([one, other]: [usize; 2]) -> f64 {
    let (count, fewer) = (one + other, one.min(other));
    let mut term = 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut tail = term;
    for k in 0..fewer {
        term *= (count - k) as f64 / (k + 1) as f64;
        tail += term;
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_counts_what_differs() {
        let mut pairs = Pairs::new(2);
        pairs.push(&[1.0, 0.0], Some(&[0.9, 0.05]), 0);
        pairs.push(&[0.0, 0.1], Some(&[0.1, 0.0]), 1);
        pairs.push(&[0.3, 2.0], None, 1);
        let found = pairs.judge().expect("images");
        assert_eq!((found.images, found.agreed, found.failures), (3, 1, 1));
        assert!((found.max_delta - 0.1).abs() < 1e-12 && (found.mean_delta - 0.0875).abs() < 1e-12, "{found:?}");
        assert_eq!((found.largest, found.discordant), (2.0, [2, 0]));
        assert!((found.accuracy[0] - 1.0).abs() < 1e-12 && (found.accuracy[1] - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((found.auc.map(|auc| auc[0]), found.mcnemar_p), (Some(1.0), 0.5));
    }

    #[test]
    fn a_message_lost_in_noise_is_a_failure() {
        let mut pairs = Pairs::new(2);
        pairs.push(&[1.0, 0.0], Some(&[1e9, -3.0]), 0);
        pairs.push(&[1.0, 0.0], Some(&[f64::INFINITY, 0.0]), 1);
        assert_eq!(pairs.judge().expect("images").failures, 2);
    }

    #[test]
    fn mcnemar_is_the_binomial_test() {
        assert_eq!(mcnemar([0, 0]), 1.0);
        // 2 (1 + 10) / 2^10.
        assert!((mcnemar([9, 1]) - 22.0 / 1024.0).abs() < 1e-15);
        assert_eq!(mcnemar([9, 1]), mcnemar([1, 9]));
        assert_eq!(mcnemar([3, 3]), 1.0);
    }
}
