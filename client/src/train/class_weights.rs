//! How rare classes are kept from being ignored.

use experiment::train::ClassWeighting;

/// Heaviest class over lightest: a hospital with one example of a class must not train on that
/// example alone.
const RATIO_MAX: f64 = 20.0;

/// Samples that a class counts as having where it has none: keeps the logarithm finite.
const COUNT_MIN: f64 = 0.5;

/// One weight per class, the smallest weight of a present class being 1 and the largest at
/// most 20. `labels` must lie below `classes`.
pub(super) fn weights(weighting: ClassWeighting, labels: &[u8], classes: usize) -> Vec<f64> {
    let counts = counts(labels, classes);
    let most = counts.iter().copied().max().unwrap_or(0) as f64;
    match weighting {
        ClassWeighting::None | ClassWeighting::LogitAdjusted => vec![1.0; classes],
        ClassWeighting::Balanced => counts.iter().map(|&count| (most / count.max(1) as f64).min(RATIO_MAX)).collect(),
    }
}

/// What is added to each class's logit while training, at most 0; `None` for nothing. `labels` must lie below
/// `classes`.
pub(super) fn logit_offsets(weighting: ClassWeighting, labels: &[u8], classes: usize) -> Option<Vec<f32>> {
    match weighting {
        ClassWeighting::None | ClassWeighting::Balanced => None,
        ClassWeighting::LogitAdjusted => {
            let total = labels.len().max(1) as f64;
            let offset = |count| ((count as f64).max(COUNT_MIN) / total).ln() as f32;
            Some(counts(labels, classes).into_iter().map(offset).collect())
        }
    }
}

/// One weight per class where classes have these shares: what [`weights`] would be, over its mean, so that a loss is as
/// large as that of a batch.
pub(super) fn of_prior(weighting: ClassWeighting, prior: &[f64]) -> Vec<f32> {
    let most = prior.iter().copied().fold(0.0, f64::max);
    let weight = |share: f64| match weighting {
        ClassWeighting::None | ClassWeighting::LogitAdjusted => 1.0,
        ClassWeighting::Balanced => (most / share).min(RATIO_MAX),
    };
    let mean: f64 = prior.iter().map(|share| share * weight(*share)).sum();
    prior.iter().map(|share| (weight(*share) / mean) as f32).collect()
}

/// What [`logit_offsets`] would be where classes have these shares.
pub(super) fn offsets_of_prior(weighting: ClassWeighting, prior: &[f64]) -> Option<Vec<f32>> {
    match weighting {
        ClassWeighting::None | ClassWeighting::Balanced => None,
        ClassWeighting::LogitAdjusted => Some(prior.iter().map(|share| share.ln() as f32).collect()),
    }
}

fn counts(labels: &[u8], classes: usize) -> Vec<usize> {
    let mut counts = vec![0usize; classes];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_inverse_to_the_counts() {
        let labels = [0, 0, 0, 0, 1, 1, 2];
        let balanced = weights(ClassWeighting::Balanced, &labels, 3);
        assert_eq!(balanced, vec![1.0, 2.0, 4.0]);
        assert_eq!(weights(ClassWeighting::None, &labels, 3), vec![1.0; 3]);
    }

    #[test]
    fn a_single_example_does_not_dominate() {
        let mut labels = vec![0u8; 500];
        labels.push(1);
        assert_eq!(weights(ClassWeighting::Balanced, &labels, 2), vec![1.0, 20.0]);
    }

    #[test]
    fn a_prior_weighs_classes_as_counts_of_its_shares_would_over_their_mean() {
        let prior = [0.5, 0.25, 0.25];
        let expected: Vec<f32> =
            weights(ClassWeighting::Balanced, &[0, 0, 1, 2], 3).iter().map(|w| *w as f32).collect();
        let found = of_prior(ClassWeighting::Balanced, &prior);
        // The mean weight of a patient is 1.5.
        assert_eq!(found, expected.iter().map(|weight| weight / 1.5).collect::<Vec<_>>());
        let rare = of_prior(ClassWeighting::Balanced, &[0.999, 0.001]);
        assert!((rare[1] / rare[0] - 20.0).abs() < 1e-4, "{rare:?}");
        assert_eq!(of_prior(ClassWeighting::None, &prior), [1.0; 3]);
        assert_eq!(of_prior(ClassWeighting::LogitAdjusted, &prior), [1.0; 3]);
        let offsets = offsets_of_prior(ClassWeighting::LogitAdjusted, &prior);
        assert_eq!(offsets, logit_offsets(ClassWeighting::LogitAdjusted, &[0, 0, 1, 2], 3));
        assert_eq!(offsets_of_prior(ClassWeighting::Balanced, &prior), None);
    }

    #[test]
    fn logit_offsets_are_the_logarithms_of_the_local_frequencies() {
        let offsets = logit_offsets(ClassWeighting::LogitAdjusted, &[0, 0, 0, 1], 3).unwrap();
        for (offset, expected) in offsets.iter().zip([0.75f32, 0.25, 0.125]) {
            assert!((offset - expected.ln()).abs() < 1e-6);
        }
        assert_eq!(weights(ClassWeighting::LogitAdjusted, &[0, 0, 0, 1], 3), vec![1.0; 3]);
        assert_eq!(logit_offsets(ClassWeighting::Balanced, &[0, 1], 2), None);
    }
}
