//! How rare classes are kept from being ignored.

use serde::{Deserialize, Serialize};

/// Heaviest class over lightest: a hospital with one example of a class must not train on that
/// example alone.
const RATIO_MAX: f64 = 20.0;

/// Weights of the classes in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeighting {
    /// All classes count alike per sample.
    None,
    /// A sample counts inversely to the frequency of its class at this hospital.
    Balanced,
}

impl ClassWeighting {
    /// One weight per class, the smallest weight of a present class being 1 and the largest at
    /// most 20. `labels` must lie below `classes`.
    pub(super) fn weights(self, labels: &[u8], classes: usize) -> Vec<f64> {
        let mut counts = vec![0usize; classes];
        for &label in labels {
            counts[usize::from(label)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(0) as f64;
        match self {
            ClassWeighting::None => vec![1.0; classes],
            ClassWeighting::Balanced => {
                counts.iter().map(|&count| (most / count.max(1) as f64).min(RATIO_MAX)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_inverse_to_the_counts() {
        let labels = [0, 0, 0, 0, 1, 1, 2];
        let weights = ClassWeighting::Balanced.weights(&labels, 3);
        assert_eq!(weights, vec![1.0, 2.0, 4.0]);
        assert_eq!(ClassWeighting::None.weights(&labels, 3), vec![1.0; 3]);
    }

    #[test]
    fn a_single_example_does_not_dominate() {
        let mut labels = vec![0u8; 500];
        labels.push(1);
        assert_eq!(ClassWeighting::Balanced.weights(&labels, 2), vec![1.0, 20.0]);
    }
}
