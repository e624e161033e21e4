//! Sums of images' statistics and of their products: all that a mean and a covariance need, and no image.

use super::image_statistics::{ImageStatistics, STEPS};
use super::statistic::Statistic;

const STATISTICS: usize = Statistic::ALL.len();
/// Counts of a sum: images, then each statistic, then each product of two.
pub(crate) const SUMS: usize = 1 + STATISTICS + STATISTICS * (STATISTICS + 1) / 2;
/// What products of many digits are rounded by, and more.
const ROUNDING: f64 = 1e-12;

/// Sums over images. In this order:
///
/// | counts | of |
/// |---|---|
/// | 1 | images |
/// | 19 | each of [`Statistic::ALL`], in 1/127 |
/// | 190 | products of two of them, first and second ascending |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticSums(Vec<u64>);

impl Default for StatisticSums {
    fn default() -> Self {
        Self(vec![0; SUMS])
    }
}

impl StatisticSums {
    /// Adds an image.
    pub fn add(&mut self, image: &ImageStatistics) {
        let values = image.steps();
        self.0[0] += 1;
        for (first, value) in values.iter().enumerate() {
            self.0[1 + first] += u64::from(*value);
            for (second, other) in values.iter().enumerate().skip(first) {
                self.0[product(first, second)] += u64::from(*value) * u64::from(*other);
            }
        }
    }

    /// All counts, in the order of the table above.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.0
    }

    /// Sums that images can have; `None` for others.
    pub(crate) fn checked(counts: &[u64]) -> Option<Self> {
        let sums = Self((counts.len() == SUMS).then(|| counts.to_vec())?);
        let images = u128::from(sums.images());
        let variances: Vec<u128> = (0..STATISTICS)
            .map(|place| {
                let (sum, squares) = (u128::from(sums.first(place)), u128::from(sums.second(place, place)));
                // No value is beyond the range, and squares are at least that of the mean.
                (squares <= u128::from(STEPS) * sum).then(|| (images * squares).checked_sub(sum * sum))?
            })
            .collect::<Option<_>>()?;
        for first in 0..STATISTICS {
            for second in first + 1..STATISTICS {
                // No two numbers vary together more than each alone.
                let product = images * u128::from(sums.second(first, second));
                let together = product.abs_diff(u128::from(sums.first(first)) * u128::from(sums.first(second)));
                let most = variances[first] as f64 * variances[second] as f64;
                (together as f64 * together as f64 <= most * (1.0 + ROUNDING)).then_some(())?;
            }
        }
        Some(sums)
    }

    pub(crate) fn images(&self) -> u64 {
        self.0[0]
    }

    pub(super) fn first(&self, place: usize) -> u64 {
        self.0[1 + place]
    }

    /// `first` is at most `second`.
    pub(super) fn second(&self, first: usize, second: usize) -> u64 {
        self.0[product(first, second)]
    }
}

/// Where the sum of a product is; `first` is at most `second`.
fn product(first: usize, second: usize) -> usize {
    1 + STATISTICS + first * STATISTICS - first * (first + 1) / 2 + second
}

#[cfg(test)]
mod tests {
    use datasets::{Normalisation, Sampler};
    use ndarray::Array3;

    use super::*;

    fn drawn(count: usize) -> (Vec<ImageStatistics>, StatisticSums) {
        let mut draws = Sampler::new(5, 2);
        let image = |_| {
            let (base, reach) = (draws.unit(), draws.unit());
            let levels = Array3::from_shape_fn((3, 6, 6), |_| (base + reach * draws.unit()) as f32);
            ImageStatistics::of(levels.view(), Normalisation { mean: 0.0, std: 1.0 })
        };
        let images: Vec<ImageStatistics> = (0..count).map(image).collect();
        let mut sums = StatisticSums::default();
        images.iter().for_each(|image| sums.add(image));
        (images, sums)
    }

    #[test]
    fn every_product_has_a_place_of_its_own_and_is_summed_there() {
        let (images, sums) = drawn(30);
        let mut places: Vec<usize> = Vec::new();
        for first in 0..STATISTICS {
            let sum: u64 = images.iter().map(|image| u64::from(image.steps()[first])).sum();
            assert_eq!(sums.first(first), sum);
            for second in first..STATISTICS {
                let of = |image: &ImageStatistics| u64::from(image.steps()[first]) * u64::from(image.steps()[second]);
                assert_eq!(sums.second(first, second), images.iter().map(of).sum::<u64>());
                places.push(product(first, second));
            }
        }
        assert_eq!(places, (1 + STATISTICS..SUMS).collect::<Vec<_>>());
        assert_eq!((sums.images(), StatisticSums::checked(sums.counts())), (30, Some(sums.clone())));
        assert_eq!(StatisticSums::checked(&[0; SUMS]), Some(StatisticSums::default()));
    }

    #[test]
    fn sums_that_no_images_have_are_none() {
        let (_, sums) = drawn(30);
        let with = |change: &dyn Fn(&mut Vec<u64>)| {
            let mut counts = sums.counts().to_vec();
            change(&mut counts);
            StatisticSums::checked(&counts)
        };
        assert_eq!(with(&|counts| counts.push(0)), None);
        assert_eq!(with(&|counts| counts[0] = 0), None, "statistics of no image");
        assert_eq!(with(&|counts| counts[1] = u64::MAX), None);
        assert_eq!(with(&|counts| counts[product(0, 0)] = 0), None, "less than the square of the mean");
        assert_eq!(with(&|counts| counts[product(0, 0)] = 127 * counts[1] + 1), None, "more than the range holds");
        assert_eq!(with(&|counts| counts[product(0, 1)] += 30 * 127 * 127), None, "more than each varies alone");
        assert_eq!(with(&|counts| counts[product(0, 1)] = 0), None);
        assert_eq!(with(&|counts| counts[product(17, 18)] = u64::MAX), None);
        // Every image has the same value.
        let beyond = |value: u64| {
            let mut counts = vec![0; SUMS];
            (counts[0], counts[1], counts[product(0, 0)]) = (2, 2 * value, 2 * value * value);
            StatisticSums::checked(&counts)
        };
        assert!(beyond(127).is_some() && beyond(128).is_none());
    }
}
