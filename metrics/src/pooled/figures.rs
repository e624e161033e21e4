//! The figures that a sum of tallies gives.

use datasets::Normalisation;
use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use super::curve::{Curve, threshold};
use super::tally::{NAT, Part, TEMPERATURES, Tally, sum, temperature};
use crate::{Decisions, Estimate, ImageDistribution, ImageStatistics, Likeness, Rate};

/// Share of a class that the sensitive cut finds on validation images.
const SENSITIVITY: f64 = 0.95;
/// A hospital whose AUC lies by so much or more below that of all together is warned of.
const FAR_BELOW: f64 = 0.05;

/// A cut fixed on validation images, and what it does on test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledPoint {
    /// Probability of the class from which on it is called, before any calibration.
    pub threshold: f64,
    /// What it does on the test images.
    pub decisions: Decisions,
}

/// Figures of one class against the others, on the test images of all hospitals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledClass {
    /// Images of the class.
    pub images: u64,
    /// Area under the ROC curve. The interval takes images as independent, so it is too narrow where a patient has
    /// several.
    pub auc: Estimate,
    /// How far the area may lie from that of the scores themselves, since they are counted in bins.
    pub auc_blur: Option<f64>,
    /// The cut with the largest sensitivity + specificity on validation images.
    pub youden: Option<PooledPoint>,
    /// The highest cut that finds 95 % of the class on validation images.
    pub sensitive: Option<PooledPoint>,
}

/// By what the logits are to be divided, so that probabilities mean what they say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledCalibration {
    /// The temperature, 0.25 to 4. Source: Guo et al., arXiv 1706.04599, §4.2.
    pub temperature: f64,
    /// Mean surprise of the validation images in nats at temperature 1.
    pub before: f64,
    /// The same at this temperature.
    pub after: f64,
}

/// Hospitals whose own AUC lies between two values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AucBand {
    /// The lower one.
    pub from: f64,
    /// The upper one.
    pub to: f64,
    /// How many; not which.
    pub hospitals: u64,
}

/// How unlike the hospitals are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HospitalBands {
    /// Bands with a hospital in them, ascending.
    pub bands: Vec<AucBand>,
    /// Hospitals with too few test images for an AUC of their own.
    pub unranked: u64,
    /// Whether the lowest band lies by 0.05 or more below the area of all together.
    pub is_one_far_below: bool,
}

/// How good a model is on all hospitals' images that it was not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledFigures {
    /// Hospitals whose counts are in the sum.
    pub hospitals: u16,
    /// Test images of all.
    pub test_images: u64,
    /// Validation images of all.
    pub validation_images: u64,
    /// Training images of all, as each hospital declares them; 0 where nobody had them counted.
    #[serde(default)]
    pub training_images: u64,
    /// Patients or series among them, also declared; where a hospital knows of neither, its images.
    #[serde(default)]
    pub training_groups: u64,
    /// Test images whose most probable class is the true one.
    pub accuracy: Rate,
    /// Mean AUC over the classes that have one.
    pub macro_auc: Option<f64>,
    /// Each class against the others.
    pub classes: Vec<PooledClass>,
    /// Test images by true class (row) and most probable class.
    pub confusion: Vec<Vec<u64>>,
    /// `None` without validation images.
    pub calibration: Option<PooledCalibration>,
    /// How the hospitals compare.
    pub by_hospital: HospitalBands,
    /// What the test and validation images look like; `None` of too few, and where nobody had it counted.
    #[serde(default)]
    pub appearance: Option<ImageDistribution>,
}

impl PooledFigures {
    /// How an image, as the model takes it, (channels, height, width), compares with the test and validation images;
    /// `None` where nobody had that counted.
    #[must_use]
    pub fn likeness(&self, image: ArrayView3<'_, f32>, normalisation: Normalisation) -> Option<Likeness> {
        self.appearance.as_ref()?.compare(&ImageStatistics::of(image, normalisation))
    }

    /// The figures of a sum over so many hospitals' tallies.
    #[must_use]
    pub fn new(tally: &Tally, hospitals: u16) -> Self {
        let curve = |part, class| {
            let (own, others) = tally.histograms(part, class);
            Curve { own, others }
        };
        let images = |part| {
            let Curve { own, others } = curve(part, 0);
            own.iter().chain(others).sum::<u64>()
        };
        let (test_images, validation_images) = (images(Part::Test), images(Part::Validation));
        let confusion = tally.confusion();
        let right = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let classes: Vec<PooledClass> =
            (0..tally.classes()).map(|at| class(curve(Part::Validation, at), curve(Part::Test, at))).collect();
        let areas: Vec<f64> = classes.iter().filter_map(|class| class.auc.value).collect();
        let macro_auc = (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64);
        Self {
            hospitals,
            test_images,
            validation_images,
            training_images: tally.trained().images,
            training_groups: tally.trained().groups,
            accuracy: Rate::new(right, test_images),
            macro_auc,
            classes,
            confusion: confusion.into_iter().map(<[u64]>::to_vec).collect(),
            calibration: calibration(tally.surprise(), validation_images),
            by_hospital: by_hospital(tally.bands(), hospitals, macro_auc),
            appearance: tally.statistics().as_ref().and_then(ImageDistribution::new),
        }
    }
}

fn class(validation: Curve<'_>, test: Curve<'_>) -> PooledClass {
    let point = |bin: usize| {
        let [found, missed, mistaken, passed] = test.decided(bin);
        let decisions = Decisions::of_counts(found, missed, mistaken, passed);
        PooledPoint { threshold: threshold(bin), decisions }
    };
    PooledClass {
        images: test.own.iter().sum(),
        auc: test.auc(),
        auc_blur: test.auc_blur(),
        youden: validation.youden().map(point),
        sensitive: validation.sensitive(SENSITIVITY).map(point),
    }
}

/// The temperature of least surprise: the lowest place of the grid, and between its neighbours that of the parabola
/// through all three.
fn calibration(surprise: &[u64], images: u64) -> Option<PooledCalibration> {
    if images == 0 {
        return None;
    }
    let mean = |place: usize| surprise[place] as f64 / NAT / images as f64;
    let lowest = (0..TEMPERATURES).min_by_key(|place| surprise[*place])?;
    let mut shift = 0.0;
    if (1..TEMPERATURES - 1).contains(&lowest) {
        let (left, middle, right) = (mean(lowest - 1), mean(lowest), mean(lowest + 1));
        let bend = left - 2.0 * middle + right;
        if bend > 0.0 {
            shift = ((left - right) / 2.0 / bend).clamp(-0.5, 0.5);
        }
    }
    let (before, after) = (mean(TEMPERATURES / 2), mean(lowest));
    Some(PooledCalibration { temperature: temperature(lowest as f64 + shift), before, after })
}

fn by_hospital(counts: &[u64], hospitals: u16, all: Option<f64>) -> HospitalBands {
    let edges = |band: usize| if band == 0 { (0.0, 0.5) } else { (edge(band - 1), edge(band)) };
    let bands: Vec<AucBand> = (0..counts.len())
        .filter(|band| counts[*band] > 0)
        .map(|band| AucBand { from: edges(band).0, to: edges(band).1, hospitals: counts[band] })
        .collect();
    let ranked = sum(counts).unwrap_or(u64::MAX);
    let lowest = bands.first().map(|band| band.to);
    HospitalBands {
        is_one_far_below: lowest.zip(all).is_some_and(|(lowest, all)| lowest <= all - FAR_BELOW + 1e-9),
        bands,
        unranked: u64::from(hospitals).saturating_sub(ranked),
    }
}

/// The upper edge of a band above the first.
fn edge(band: usize) -> f64 {
    // Twentieths, so that what is printed is what is meant.
    (10.0 + band as f64) / 20.0
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;
    use ndarray::{Array2, Array3};

    use super::super::tally::Answers;
    use super::super::trained::Trained;
    use super::*;
    use crate::{Evaluation, StatisticSums, auc_per_class};

    /// Logits and true classes.
    type Drawn = (Array2<f32>, Vec<u8>);

    /// Logits of images whose true class gets `apart` more, times `scale`.
    fn drawn(count: usize, apart: f64, scale: f64, draws: &mut Sampler) -> Drawn {
        let labels: Vec<u8> = (0..count).map(|_| u8::try_from(draws.below(3)).unwrap()).collect();
        let logits = Array2::from_shape_fn((count, 3), |(at, class)| {
            let own = if usize::from(labels[at]) == class { apart } else { 0.0 };
            ((draws.unit() * 4.0 - 2.0 + own) * scale) as f32
        });
        (logits, labels)
    }

    /// Three hospitals' sum, and all their images together.
    fn three(scale: f64) -> (Tally, [Drawn; 2]) {
        let mut draws = Sampler::new(11, 3);
        let mut counts = vec![0u64; Tally::len_of(3)];
        let mut all = [(Array2::zeros((0, 3)), Vec::new()), (Array2::zeros((0, 3)), Vec::new())];
        for hospital in 0..3 {
            let parts = [200, 300].map(|count| drawn(count + 10 * hospital, 1.0, scale, &mut draws));
            let [validation, test] = parts.each_ref().map(|(logits, labels)| Answers { logits: logits.view(), labels });
            let mut images = StatisticSums::default();
            for image in 0..validation.labels.len() + test.labels.len() {
                let levels =
                    Array3::from_shape_fn((1, 2, 2), |(_, y, x)| ((image + hospital + y + x) % 9) as f32 / 8.0);
                images.add(&ImageStatistics::of(levels.view(), Normalisation { mean: 0.0, std: 1.0 }));
            }
            let tally = Tally::count(3, validation, test, &images, Trained { images: 50, groups: 20 }).unwrap();
            counts.iter_mut().zip(tally.counts()).for_each(|(sum, count)| *sum += count);
            for (all, (logits, labels)) in all.iter_mut().zip(&parts) {
                all.0.append(ndarray::Axis(0), logits.view()).unwrap();
                all.1.extend(labels);
            }
        }
        (Tally::from_sum(3, counts).unwrap(), all)
    }

    #[test]
    fn pooled_figures_are_those_of_all_images_together() {
        let (tally, [(_, validation), (logits, labels)]) = three(1.0);
        let found = PooledFigures::new(&tally, 3);
        let whole = Evaluation::new(logits.view(), &labels).unwrap();
        assert_eq!((found.hospitals, found.test_images), (3, labels.len() as u64));
        assert_eq!(found.validation_images, validation.len() as u64);
        assert_eq!((found.training_images, found.training_groups), (150, 60));
        assert_eq!(found.confusion, whole.confusion.counts);
        assert_eq!(found.accuracy.value, Some(whole.accuracy));
        for (class, exact) in found.classes.iter().zip(auc_per_class(logits.view(), &labels).unwrap()) {
            let (exact, blur) = (exact.unwrap(), class.auc_blur.unwrap());
            assert!((class.auc.value.unwrap() - exact).abs() <= blur && blur < 0.03, "{class:?} {exact}");
            assert!(class.auc.interval.unwrap().contains(exact));
            let sensitivity = class.sensitive.as_ref().unwrap().decisions.sensitivity.value.unwrap();
            assert!((0.88..=1.0).contains(&sensitivity), "{sensitivity}");
            let youden = &class.youden.as_ref().unwrap();
            assert_eq!(youden.decisions.sensitivity.of, class.images);
            assert!(youden.threshold > class.sensitive.as_ref().unwrap().threshold);
        }
        let mean = found.classes.iter().map(|class| class.auc.value.unwrap()).sum::<f64>() / 3.0;
        assert_eq!(found.macro_auc, Some(mean));
        assert_eq!(found.by_hospital.unranked, 0);
        assert_eq!(found.appearance.as_ref().map(|it| it.images), Some((labels.len() + validation.len()) as u64));
        assert_eq!(found.by_hospital.bands.iter().map(|band| band.hospitals).sum::<u64>(), 3);
    }

    #[test]
    fn the_temperature_undoes_what_the_logits_were_scaled_by() {
        let surprise = |logits: &Array2<f32>, labels: &[u8], temperature: f64| {
            let scaled = logits.mapv(|z| (f64::from(z) / temperature) as f32);
            Evaluation::new(scaled.view(), labels).unwrap().cross_entropy
        };
        let mut found = Vec::new();
        for scale in [1.0, 2.0] {
            let (tally, [(logits, labels), _]) = three(scale);
            let it = PooledFigures::new(&tally, 3).calibration.unwrap();
            // Surprise of the images themselves has one minimum, so it lies between these.
            let least = surprise(&logits, &labels, it.temperature);
            for other in [it.temperature * 1.02, it.temperature / 1.02] {
                assert!(least < surprise(&logits, &labels, other), "{} {other}", it.temperature);
            }
            assert!((it.before - surprise(&logits, &labels, 1.0)).abs() < 0.01 && it.after <= it.before);
            found.push(it.temperature);
        }
        assert!((found[1] / found[0] - 2.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn no_images_give_no_figures_and_the_end_of_the_grid_is_the_end() {
        let tally = Tally::from_sum(2, vec![0; Tally::len_of(2)]).unwrap();
        let it = PooledFigures::new(&tally, 4);
        assert_eq!((it.calibration, it.macro_auc, it.accuracy.value), (None, None, None));
        assert_eq!((it.by_hospital.unranked, it.by_hospital.is_one_far_below), (4, false));
        assert_eq!((&it.classes[0].youden, &it.appearance), (&None, &None));
        let falling: Vec<u64> = (0..TEMPERATURES as u64).rev().collect();
        assert_eq!(calibration(&falling, 1).unwrap().temperature, 4.0);
        assert_eq!(calibration(&[7; TEMPERATURES], 1).unwrap().temperature, 0.25);
    }

    #[test]
    fn the_lowest_hospital_is_warned_of_by_its_band_alone() {
        let far = |bands: &[(usize, u64)], all: f64| {
            let mut counts = vec![0; 11];
            bands.iter().for_each(|(band, hospitals)| counts[*band] = *hospitals);
            by_hospital(&counts, 5, Some(all))
        };
        let it = far(&[(6, 1), (9, 3)], 0.9);
        let band = |from, to, hospitals| AucBand { from, to, hospitals };
        assert_eq!(it.bands, [band(0.75, 0.8, 1), band(0.9, 0.95, 3)]);
        assert!(it.is_one_far_below && it.unranked == 1);
        // From 0.8 to 0.85 and 0.9 are 0.05 apart, 0.85 to 0.9 and 0.94 are not.
        assert!(far(&[(7, 1), (9, 3)], 0.9).is_one_far_below && !far(&[(8, 1), (9, 3)], 0.94).is_one_far_below);
        assert_eq!(far(&[(0, 2)], 0.9).bands, [band(0.0, 0.5, 2)]);
        assert!(far(&[(0, 1)], 0.55).is_one_far_below && !far(&[(10, 5)], 0.98).is_one_far_below);
    }
}
