//! What sums of statistics say about the images of all, and how far from them an image lies.

use serde::{Deserialize, Serialize};

use super::image_statistics::{ImageStatistics, STEPS};
use super::statistic::Statistic;
use super::statistic_sums::StatisticSums;

const STATISTICS: usize = Statistic::ALL.len();
/// Fewer images say too little about nineteen numbers and how they go together.
const IMAGES_MIN: u64 = 50;
/// Added to each variance: what never varied among the images may vary by a hundredth of the range.
const VARIANCE_LEAST: f64 = 1e-4;
/// So many times as far, in squares, as the images lie from their mean on average, and an image is unlike them.
const FAR: f64 = 4.0;

/// Means and covariances of the statistics of many images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageDistribution {
    /// How many images.
    pub images: u64,
    /// Of each of [`Statistic::ALL`], 0 to 1.
    means: [f64; STATISTICS],
    /// Of each with each.
    covariances: [[f64; STATISTICS]; STATISTICS],
}

/// How one image compares with many.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Squared Mahalanobis distance from the mean of the images, in the mean of theirs: 1 is usual.
    pub distance: f64,
    /// Whether the image is unlike them: the distance is above 4.
    pub is_unlike: bool,
    /// What sets the image apart most.
    pub most: Statistic,
    /// That of the image, 0 to 1.
    pub value: f64,
    /// The mean of the others'.
    pub usual: f64,
    /// Their standard deviation.
    pub spread: f64,
}

impl ImageDistribution {
    /// `None` of fewer than 50 images.
    #[must_use]
    pub fn new(sums: &StatisticSums) -> Option<Self> {
        let images = sums.images();
        if images < IMAGES_MIN {
            return None;
        }
        let (count, step) = (images as f64, f64::from(STEPS));
        let means = std::array::from_fn(|place| sums.first(place) as f64 / count / step);
        let covariance = |one: usize, other: usize| {
            let product = sums.second(one.min(other), one.max(other)) as f64;
            let of_means = sums.first(one) as f64 * sums.first(other) as f64;
            (product - of_means / count) / count / (step * step)
        };
        let covariances = std::array::from_fn(|one| std::array::from_fn(|other| covariance(one, other)));
        Some(Self { images, means, covariances })
    }

    /// How an image compares with these. Source of the distance: Lee et al., arXiv 1807.03888, §2.1, here over
    /// statistics of the image in place of a network's features, which nobody sees.
    ///
    /// `None` where covariances are none: they were read from somewhere else than sums of images.
    #[must_use]
    pub fn compare(&self, image: &ImageStatistics) -> Option<Likeness> {
        let triangle = self.triangle()?;
        let offset: [f64; STATISTICS] = std::array::from_fn(|place| image.value(place) - self.means[place]);
        let squared = |vector: [f64; STATISTICS]| solved(&triangle, vector).iter().map(|part| part * part).sum::<f64>();
        // The mean of the images themselves: the trace of their covariance times the inverse of what it became.
        let unit = |place: usize| std::array::from_fn(|at| f64::from(u8::from(at == place)));
        let usual: f64 = (0..STATISTICS).map(|place| 1.0 - VARIANCE_LEAST * squared(unit(place))).sum();
        let distance = squared(offset) / usual.max(f64::MIN_POSITIVE);
        let apart = |place: usize| offset[place].abs() / self.deviation(place);
        let most = (0..STATISTICS).max_by(|one, other| apart(*one).total_cmp(&apart(*other)))?;
        Some(Likeness {
            distance,
            is_unlike: distance > FAR,
            most: Statistic::ALL[most],
            value: image.value(most),
            usual: self.means[most],
            spread: self.covariances[most][most].max(0.0).sqrt(),
        })
    }

    fn deviation(&self, place: usize) -> f64 {
        (self.covariances[place][place].max(0.0) + VARIANCE_LEAST).sqrt()
    }

    /// Cholesky's factor of the covariance with the least variance added.
    fn triangle(&self) -> Option<Triangle> {
        let mut factor: Triangle = [[0.0; STATISTICS]; STATISTICS];
        for row in 0..STATISTICS {
            for column in 0..=row {
                let known: f64 = (0..column).map(|at| factor[row][at] * factor[column][at]).sum();
                let rest = self.covariances[row][column] - known;
                factor[row][column] = if row == column {
                    let square = rest + VARIANCE_LEAST;
                    (square > 0.0 && square.is_finite()).then(|| square.sqrt())?
                } else {
                    rest / factor[column][column]
                };
            }
        }
        Some(factor)
    }
}

type Triangle = [[f64; STATISTICS]; STATISTICS];

/// What the lower triangle takes to the vector.
fn solved(triangle: &Triangle, vector: [f64; STATISTICS]) -> [f64; STATISTICS] {
    let mut found = [0.0; STATISTICS];
    for row in 0..STATISTICS {
        let known: f64 = (0..row).map(|at| triangle[row][at] * found[at]).sum();
        found[row] = (vector[row] - known) / triangle[row][row];
    }
    found
}

#[cfg(test)]
mod tests {
    use datasets::{Normalisation, Sampler};
    use ndarray::Array3;

    use super::*;

    /// A dark image with a brighter middle, of some contrast.
    fn ordinary(draws: &mut Sampler) -> ImageStatistics {
        let (base, middle) = (0.2 + 0.05 * draws.normal(), 0.6 + 0.05 * draws.normal());
        let levels = Array3::from_shape_fn((1, 12, 12), |(_, y, x)| {
            let level = if (3..9).contains(&y) && (3..9).contains(&x) { middle } else { base };
            (level + 0.02 * draws.normal()) as f32
        });
        ImageStatistics::of(levels.view(), Normalisation { mean: 0.0, std: 1.0 })
    }

    fn distribution(count: usize) -> (Vec<ImageStatistics>, Option<ImageDistribution>) {
        let mut draws = Sampler::new(8, 1);
        let images: Vec<ImageStatistics> = (0..count).map(|_| ordinary(&mut draws)).collect();
        let mut sums = StatisticSums::default();
        images.iter().for_each(|image| sums.add(image));
        (images, ImageDistribution::new(&sums))
    }

    #[test]
    fn images_lie_at_one_from_themselves_on_average() {
        let (images, found) = distribution(400);
        let found = found.unwrap();
        let compared: Vec<Likeness> = images.iter().map(|image| found.compare(image).unwrap()).collect();
        let distances: Vec<f64> = compared.iter().map(|one| one.distance).collect();
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        let far = compared.iter().filter(|one| one.is_unlike);
        assert!(far.clone().all(|one| one.distance > 4.0) && (1..20).contains(&far.count()));
        assert!(compared.iter().all(|one| one.is_unlike || one.distance <= 4.0));
    }

    #[test]
    fn what_an_image_is_set_apart_by_is_said() {
        let found = distribution(400).1.unwrap();
        let of = |levels: Array3<f32>| {
            found.compare(&ImageStatistics::of(levels.view(), Normalisation { mean: 0.0, std: 1.0 })).unwrap()
        };
        let mut draws = Sampler::new(9, 1);
        let like = found.compare(&ordinary(&mut draws)).unwrap();
        assert!(!like.is_unlike && like.distance < FAR, "{like:?}");
        // The same picture in colours: nothing else about it differs.
        let coloured = of(Array3::from_shape_fn((3, 12, 12), |(channel, y, x)| {
            let level = if (3..9).contains(&y) && (3..9).contains(&x) { 0.6 } else { 0.2 };
            level + [0.15, 0.0, -0.15][channel]
        }));
        assert!(coloured.is_unlike, "{coloured:?}");
        assert_eq!((coloured.most, coloured.usual, coloured.spread), (Statistic::Colour, 0.0, 0.0));
        // A tint of one step among images that have none is less than a border that is far too light.
        let tinted = of(Array3::from_shape_fn((3, 12, 12), |(channel, y, x)| {
            let level = if (3..9).contains(&y) && (3..9).contains(&x) { 0.6 } else { 0.5 };
            level + [0.005, 0.0, 0.0][channel]
        }));
        assert!(!matches!(tinted.most, Statistic::Colour | Statistic::Red | Statistic::Blue), "{tinted:?}");
        let noise = of(Array3::from_shape_fn((1, 12, 12), |_| draws.unit() as f32));
        assert!(noise.is_unlike && noise.distance > 100.0, "{noise:?}");
        let negative =
            of(Array3::from_shape_fn(
                (1, 12, 12),
                |(_, y, x)| {
                    if (3..9).contains(&y) && (3..9).contains(&x) { 0.4 } else { 0.8 }
                },
            ));
        assert!(negative.is_unlike && (negative.value - negative.usual).abs() > 4.0 * negative.spread, "{negative:?}");
    }

    /// Solves a system by elimination.
    fn eliminated(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
        let size = rows.len();
        for at in 0..size {
            let best = (at..size).max_by(|one, other| rows[*one][at].abs().total_cmp(&rows[*other][at].abs())).unwrap();
            rows.swap(at, best);
            let pivot = rows[at].clone();
            for (place, row) in rows.iter_mut().enumerate().filter(|(place, _)| *place != at) {
                let share = row[at] / pivot[at];
                assert!(share.is_finite(), "{place}");
                row.iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= share * pivot);
            }
        }
        (0..size).map(|at| rows[at][size] / rows[at][at]).collect()
    }

    #[test]
    fn distances_are_those_of_the_covariance_of_the_images() {
        let (images, found) = distribution(200);
        let found = found.unwrap();
        let count = images.len() as f64;
        let mean = |place: usize| images.iter().map(|image| image.value(place)).sum::<f64>() / count;
        let means: Vec<f64> = (0..STATISTICS).map(mean).collect();
        let covariance = |one: usize, other: usize| {
            let product =
                |image: &ImageStatistics| (image.value(one) - means[one]) * (image.value(other) - means[other]);
            images.iter().map(product).sum::<f64>() / count + if one == other { VARIANCE_LEAST } else { 0.0 }
        };
        let distance = |image: &ImageStatistics| {
            let offset: Vec<f64> = (0..STATISTICS).map(|place| image.value(place) - means[place]).collect();
            let row = |one: usize| (0..STATISTICS).map(|other| covariance(one, other)).chain([offset[one]]).collect();
            let solved = eliminated((0..STATISTICS).map(row).collect());
            offset.iter().zip(solved).map(|(offset, solved)| offset * solved).sum::<f64>()
        };
        let usual = images.iter().map(distance).sum::<f64>() / count;
        for image in &images[..20] {
            let (found, expected) = (found.compare(image).unwrap().distance, distance(image) / usual);
            assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn few_images_and_numbers_of_elsewhere_compare_with_nothing() {
        assert!(distribution(49).1.is_none() && distribution(50).1.is_some());
        let (images, found) = distribution(50);
        let found = found.unwrap();
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let mut other = found.clone();
            other.covariances[3][3] = wrong;
            assert_eq!(other.compare(&images[0]), None, "{wrong}");
        }
    }
}
