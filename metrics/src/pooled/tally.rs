//! What one hospital counts on images that it does not train on, so that the sum over hospitals says how good a model
//! is. Only sums of several hospitals' tallies are ever shown to anyone.

use ndarray::ArrayView2;

use super::score_bin::{BINS, bin_of};
use super::trained::Trained;
use crate::likeness::{SUMS, StatisticSums};
use crate::scores::{argmax, check, log_odds, scaled_surprise};
use crate::{MetricsError, auc_per_class};

/// Temperatures that surprise is summed at.
pub(super) const TEMPERATURES: usize = 41;
/// Units of one nat in a sum of surprise: fine enough that rounding moves no minimum, coarse enough for 32 bits.
pub(super) const NAT: f64 = 1024.0;
/// Most surprise that one image counts for, in nats: an image that is worse is no worse.
const NATS_MAX: f64 = 16.0;
/// Bands of a hospital's own AUC: below 0.5, then steps of 0.05 up to 1.
pub(super) const BANDS: usize = 11;
/// Counts of [`Trained`].
const TRAINED: usize = 2;
/// Fewest images of a class, and of the others, before a hospital's own AUC of that class is worth a band.
const RANKED_MIN: usize = 10;

/// Counts and sums, one hospital's or, added up, all hospitals'. In this order:
///
/// | counts | of |
/// |---|---|
/// | `classes x 2 x BINS` | scores on test images, by class: those of the class, then the others |
/// | `classes x 2 x BINS` | the same on validation images |
/// | `classes x classes` | test images by true class and most probable class |
/// | `TEMPERATURES` | surprise of the validation images at each temperature, in 1/1024 nat |
/// | `BANDS` | 1 in the band of this hospital's own AUC on its test images |
/// | `SUMS` | statistics of the test and validation images, as [`StatisticSums`] have them |
/// | 2 | training images, and patients or series among them, as this hospital declares |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    classes: usize,
    counts: Vec<u64>,
}

/// Answers of a model on images whose classes are known.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// (n, classes); n may be 0.
    pub logits: ArrayView2<'a, f32>,
    /// True class of each image.
    pub labels: &'a [u8],
}

impl Tally {
    /// How many counts there are for a model of so many classes.
    #[must_use]
    pub fn len_of(classes: usize) -> usize {
        4 * classes * BINS + classes * classes + TEMPERATURES + BANDS + SUMS + TRAINED
    }

    /// One hospital's tally. A part without images counts nothing. `images` are of both parts together.
    ///
    /// # Errors
    /// [`MetricsError`]: answers and labels that do not fit each other.
    pub fn count<'a>(
        classes: usize,
        validation: Answers<'a>,
        test: Answers<'a>,
        images: &StatisticSums,
        trained: Trained,
    ) -> Result<Self, MetricsError> {
        let mut tally = Self { classes, counts: vec![0; Self::len_of(classes)] };
        for (part, answers) in [(Part::Validation, validation), (Part::Test, test)] {
            if answers.labels.is_empty() && answers.logits.dim().0 == 0 {
                continue;
            }
            check(answers.logits, answers.labels)?;
            if answers.logits.dim().1 != classes {
                return Err(MetricsError::OtherClasses { found: answers.logits.dim().1, expected: classes });
            }
            for class in 0..classes {
                for (score, label) in log_odds(answers.logits, class).into_iter().zip(answers.labels) {
                    let place = tally.place(part, class, usize::from(*label) == class, bin_of(score));
                    tally.counts[place] += 1;
                }
            }
            match part {
                Part::Test => tally.count_test(answers)?,
                Part::Validation => tally.count_surprise(answers),
            }
        }
        let start = tally.statistics_at();
        tally.counts[start..start + SUMS].copy_from_slice(images.counts());
        let start = tally.trained_at();
        tally.counts[start..].copy_from_slice(&[trained.images, trained.groups]);
        Ok(tally)
    }

    fn count_test(&mut self, Answers { logits, labels }: Answers<'_>) -> Result<(), MetricsError> {
        let start = self.confusion_at();
        for (row, label) in logits.outer_iter().zip(labels) {
            self.counts[start + usize::from(*label) * self.classes + argmax(row)] += 1;
        }
        let of = |class: usize| labels.iter().filter(|label| usize::from(**label) == class).count();
        let is_ranked = |class: usize| of(class) >= RANKED_MIN && labels.len() - of(class) >= RANKED_MIN;
        let all = auc_per_class(logits, labels)?;
        let ranked: Vec<f64> =
            all.into_iter().enumerate().filter(|(class, _)| is_ranked(*class)).filter_map(|(_, auc)| auc).collect();
        if !ranked.is_empty() {
            let band = self.bands_at() + band_of(ranked.iter().sum::<f64>() / ranked.len() as f64);
            self.counts[band] += 1;
        }
        Ok(())
    }

    fn count_surprise(&mut self, Answers { logits, labels }: Answers<'_>) {
        let start = self.surprise_at();
        for (row, label) in logits.outer_iter().zip(labels) {
            for step in 0..TEMPERATURES {
                let nats = scaled_surprise(row, usize::from(*label), 1.0 / temperature(step as f64));
                self.counts[start + step] += (nats.min(NATS_MAX) * NAT).round() as u64;
            }
        }
    }

    /// A sum of tallies, as it was opened.
    ///
    /// # Errors
    /// [`MetricsError::NoTally`] where the counts contradict each other: some hospital counted wrongly.
    pub fn from_sum(classes: usize, counts: Vec<u64>) -> Result<Self, MetricsError> {
        if counts.len() != Self::len_of(classes) {
            return Err(MetricsError::NoTally { what: "their number is another" });
        }
        let tally = Self { classes, counts };
        let images = |part, class| {
            let (own, others) = tally.histograms(part, class);
            (sum(own), sum(others))
        };
        let mut counted = Some(0u64);
        for part in [Part::Test, Part::Validation] {
            let (own, others) = images(part, 0);
            let all = own.zip(others).and_then(|(own, others)| own.checked_add(others));
            let mut of_classes = Some(0u64);
            for class in 0..classes {
                let (own, others) = images(part, class);
                of_classes = of_classes.zip(own).and_then(|(sum, own)| sum.checked_add(own));
                if own.zip(others).and_then(|(own, others)| own.checked_add(others)) != all || all.is_none() {
                    return Err(MetricsError::NoTally { what: "classes were counted on different images" });
                }
            }
            if of_classes != all {
                return Err(MetricsError::NoTally { what: "the classes have other images than all together" });
            }
            counted = counted.zip(all).and_then(|(sum, all)| sum.checked_add(all));
        }
        for (class, row) in tally.confusion().iter().enumerate() {
            if sum(row) != images(Part::Test, class).0 {
                return Err(MetricsError::NoTally { what: "the answers are not those of the test images" });
            }
        }
        let statistics = tally.statistics().ok_or(MetricsError::NoTally { what: "no images have such statistics" })?;
        if counted != Some(statistics.images()) {
            return Err(MetricsError::NoTally { what: "the statistics are of other images than the answers" });
        }
        if !tally.trained().is_possible() {
            return Err(MetricsError::NoTally { what: "no training images have so many patients" });
        }
        Ok(tally)
    }

    /// All counts, in the order of the table above.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Classes of the model.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Scores of a class' own images and of the others, by bin.
    pub(super) fn histograms(&self, part: Part, class: usize) -> (&[u64], &[u64]) {
        let start = self.place(part, class, true, 0);
        (&self.counts[start..start + BINS], &self.counts[start + BINS..start + 2 * BINS])
    }

    pub(super) fn confusion(&self) -> Vec<&[u64]> {
        self.counts[self.confusion_at()..self.surprise_at()].chunks(self.classes).collect()
    }

    pub(super) fn surprise(&self) -> &[u64] {
        &self.counts[self.surprise_at()..self.bands_at()]
    }

    pub(super) fn bands(&self) -> &[u64] {
        &self.counts[self.bands_at()..self.statistics_at()]
    }

    /// `None` where no images have such sums.
    pub(super) fn statistics(&self) -> Option<StatisticSums> {
        StatisticSums::checked(&self.counts[self.statistics_at()..self.trained_at()])
    }

    /// What was trained on.
    pub(super) fn trained(&self) -> Trained {
        let at = self.trained_at();
        Trained { images: self.counts[at], groups: self.counts[at + 1] }
    }

    fn place(&self, part: Part, class: usize, own: bool, bin: usize) -> usize {
        let part = match part {
            Part::Test => 0,
            Part::Validation => self.classes,
        };
        ((part + class) * 2 + usize::from(!own)) * BINS + bin
    }

    fn confusion_at(&self) -> usize {
        4 * self.classes * BINS
    }

    fn surprise_at(&self) -> usize {
        self.confusion_at() + self.classes * self.classes
    }

    fn bands_at(&self) -> usize {
        self.surprise_at() + TEMPERATURES
    }

    fn statistics_at(&self) -> usize {
        self.bands_at() + BANDS
    }

    fn trained_at(&self) -> usize {
        self.statistics_at() + SUMS
    }
}

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Test,
    Validation,
}

/// The temperature at a place of the grid: a quarter at 0, one in the middle, four at the end.
pub(super) fn temperature(place: f64) -> f64 {
    (4.0 * place / (TEMPERATURES - 1) as f64 - 2.0).exp2()
}

/// The sum; `None` where it is beyond all bounds.
pub(super) fn sum(counts: &[u64]) -> Option<u64> {
    counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count))
}

fn band_of(auc: f64) -> usize {
    // A cast takes what is below a half to the first band. The last one holds 1.
    if auc < 0.5 { 0 } else { (((auc - 0.5) / 0.05 + 1e-9) as usize + 1).min(BANDS - 1) }
}

#[cfg(test)]
mod tests {
    use datasets::Normalisation;
    use ndarray::{Array2, Array3, array};

    use super::*;
    use crate::ImageStatistics;

    const TRAINED_ON: Trained = Trained { images: 7, groups: 3 };

    fn none() -> Array2<f32> {
        Array2::zeros((0, 2))
    }

    /// Of so many images.
    fn statistics(images: usize) -> StatisticSums {
        let mut sums = StatisticSums::default();
        for image in 0..images {
            let levels = Array3::from_elem((1, 2, 2), image as f32 / 8.0);
            sums.add(&ImageStatistics::of(levels.view(), Normalisation { mean: 0.0, std: 1.0 }));
        }
        sums
    }

    fn answers<'a>(logits: &'a Array2<f32>, labels: &'a [u8]) -> Answers<'a> {
        Answers { logits: logits.view(), labels }
    }

    #[test]
    fn every_image_is_counted_once_for_each_class_and_at_each_temperature() {
        let logits = array![[0.0f32, 2.0], [1.0, 0.0], [0.0, -1.0]];
        let labels = [1, 1, 0];
        let tally =
            Tally::count(2, answers(&logits, &labels), answers(&logits, &labels), &statistics(6), TRAINED_ON).unwrap();
        for part in [Part::Test, Part::Validation] {
            let (own, others) = tally.histograms(part, 1);
            assert_eq!((own[bin_of(2.0)], own[bin_of(-1.0)], others[bin_of(-1.0)]), (1, 1, 1));
            assert_eq!((sum(own), sum(others)), (Some(2), Some(1)));
            let (own, others) = tally.histograms(part, 0);
            assert_eq!((own[bin_of(1.0)], others[bin_of(1.0)], others[bin_of(-2.0)]), (1, 1, 1));
        }
        assert_eq!(tally.confusion(), [&[1, 0], &[1, 1]]);
        // At temperature 1: ln(1 + e^-2) + ln(1 + e) + ln(1 + e^-1), each rounded to 1/1024.
        let nats = [(-2f64).exp().ln_1p(), 1f64.exp().ln_1p(), (-1f64).exp().ln_1p()];
        let expected: f64 = nats.iter().map(|nats| (nats * NAT).round()).sum();
        assert_eq!(tally.surprise()[TEMPERATURES / 2], expected as u64);
        assert_eq!((temperature(0.0), temperature(20.0), temperature(40.0)), (0.25, 1.0, 4.0));
        assert_eq!(sum(tally.bands()), Some(0), "three images rank nobody");
        assert_eq!(Tally::from_sum(2, tally.counts().to_vec()), Ok(tally));
    }

    #[test]
    fn a_part_without_images_counts_nothing() {
        let logits = array![[0.0f32, 2.0]];
        let tally = Tally::count(2, answers(&none(), &[]), answers(&logits, &[1]), &statistics(1), TRAINED_ON).unwrap();
        assert_eq!((sum(tally.surprise()), sum(tally.confusion()[1])), (Some(0), Some(1)));
        let tally = Tally::count(2, answers(&logits, &[1]), answers(&none(), &[]), &statistics(1), TRAINED_ON).unwrap();
        assert!(sum(tally.surprise()) > Some(0) && tally.confusion() == [&[0, 0], &[0, 0]]);
        let other = Tally::count(3, answers(&logits, &[1]), answers(&none(), &[]), &statistics(1), TRAINED_ON);
        assert_eq!(other, Err(MetricsError::OtherClasses { found: 2, expected: 3 }));
        let unpaired = Tally::count(2, answers(&none(), &[1]), answers(&none(), &[]), &statistics(0), TRAINED_ON);
        assert_eq!(unpaired, Err(MetricsError::NoSamples));
    }

    #[test]
    fn a_hospital_stands_in_the_band_of_its_own_auc_if_it_has_images_enough() {
        let bands = |positives: usize, negatives: usize, wrong: usize| {
            let labels: Vec<u8> = (0..positives + negatives).map(|at| u8::from(at < positives)).collect();
            // As many positives as are wrong score below all negatives.
            let score = |at: usize| {
                if at < wrong {
                    -1.0
                } else if at < positives {
                    1.0
                } else {
                    0.0
                }
            };
            let logits =
                Array2::from_shape_fn((labels.len(), 2), |(at, class)| if class == 1 { score(at) } else { 0.0 });
            let tally = Tally::count(
                2,
                answers(&none(), &[]),
                answers(&logits, &labels),
                &statistics(labels.len()),
                TRAINED_ON,
            )
            .unwrap();
            tally.bands().iter().position(|count| *count == 1)
        };
        assert_eq!((bands(10, 10, 0), bands(9, 10, 0), bands(10, 9, 0)), (Some(10), None, None));
        // AUC 0.9, 0.5, 0.4.
        assert_eq!((bands(10, 10, 1), bands(10, 10, 5), bands(10, 10, 6)), (Some(9), Some(1), Some(0)));
        assert_eq!([0.5, 0.55, 0.6, 0.95, 0.999_999, 1.0].map(band_of), [1, 2, 3, 10, 10, 10]);
    }

    #[test]
    fn an_image_counts_for_no_more_surprise_than_the_most() {
        let logits = array![[1000.0f32, 0.0]];
        let tally = Tally::count(2, answers(&logits, &[1]), answers(&none(), &[]), &statistics(1), TRAINED_ON).unwrap();
        assert_eq!(tally.surprise(), [(NATS_MAX * NAT) as u64; TEMPERATURES]);
    }

    #[test]
    fn counts_that_contradict_each_other_are_no_tally() {
        let logits = array![[0.0f32, 2.0], [1.0, 0.0], [0.0, -1.0]];
        let labels = [1, 1, 0];
        let good =
            Tally::count(2, answers(&logits, &labels), answers(&logits, &labels), &statistics(6), TRAINED_ON).unwrap();
        let refused = |change: &dyn Fn(&mut Vec<u64>)| {
            let mut counts = good.counts().to_vec();
            change(&mut counts);
            Tally::from_sum(2, counts).is_err()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|counts| counts.push(0)));
        for part in [Part::Test, Part::Validation] {
            for (class, own) in [(0, true), (0, false), (1, true), (1, false)] {
                let place = good.place(part, class, own, 7);
                assert!(refused(&|counts| counts[place] += 1), "{part:?} {class} {own}");
                assert!(refused(&|counts| counts[place] = u64::MAX), "{part:?} {class} {own}");
            }
            // As many images for each class, but more in the classes than there are.
            let places = [good.place(part, 0, true, 3), good.place(part, 1, true, 3)];
            assert!(refused(&|counts| places.iter().for_each(|place| counts[*place] += 1)), "{part:?}");
        }
        for place in good.confusion_at()..good.surprise_at() {
            assert!(refused(&|counts| counts[place] += 1));
        }
        // Sums that images have, of one more, and sums that none have.
        let start = good.statistics_at();
        assert!(refused(&|counts| counts[start..start + SUMS].copy_from_slice(statistics(7).counts())));
        assert!(refused(&|counts| counts[start + 1] = u64::MAX));
        // More patients than training images, or images of nobody.
        let start = good.trained_at();
        assert_eq!(good.counts()[start..], [7, 3]);
        assert!(!refused(&|counts| counts[start + 1] = 7));
        assert!(!refused(&|counts| counts[start..].fill(0)));
        assert!(refused(&|counts| counts[start + 1] = 8));
        assert!(refused(&|counts| counts[start + 1] = 0));
        assert!(refused(&|counts| counts[start] = 0));
    }
}
