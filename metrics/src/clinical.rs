//! The figures that a clinician asks for, of one model on one set of images, each with what the data leave open.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::scores::{argmax, check, log_odds};
use super::{
    Bootstrap, Calibration, ConfusionMatrix, Decisions, Estimate, MetricsError, OperatingPoint, ReliabilityBin, auc,
    average_precision, calibration, reliability,
};

/// Logits of a set of images, with what is known about each.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// (n, classes).
    pub logits: ArrayView2<'a, f32>,
    /// True class of each image.
    pub labels: &'a [u8],
    /// Patient or series of each image; images that share one are drawn together.
    pub groups: &'a [u32],
}

/// Figures of one class against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Images of the class.
    pub images: usize,
    /// Patients or series with at least one of them.
    pub groups: usize,
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// Average precision; compare it with the share of the class among the images.
    pub auprc: Estimate,
    /// Where the most probable class is the answer.
    pub argmax: Decisions,
    /// At the threshold chosen on validation images; `None` where those do not have the class and others.
    pub operating: Option<AtOperatingPoint>,
}

/// A threshold and what it does on images that it was not chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtOperatingPoint {
    /// The threshold.
    pub point: OperatingPoint,
    /// What it does.
    pub decisions: Decisions,
}

/// All figures of one model on one set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clinical {
    /// Images.
    pub images: usize,
    /// Patients or series; as many as images where nothing is known of them.
    pub groups: usize,
    /// Images in all that thresholds were chosen by.
    pub validation_images: usize,
    /// Bootstrap resamples behind the intervals of AUC and AUPRC.
    pub resamples: usize,
    /// Mean one-vs-rest AUC over the classes that have one.
    pub macro_auc: Estimate,
    /// Mean sensitivity over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes that occur or are answered.
    pub macro_f1: f64,
    /// Matthews' correlation of answer and truth over all classes, -1 to 1; `None` where either is constant.
    pub mcc: Option<f64>,
    /// ECE and Brier score.
    pub calibration: Calibration,
    /// Bins of the reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
    /// By label.
    pub classes: Vec<ClassFigures>,
}

impl Clinical {
    /// Scores `test`; thresholds come from `validation` alone. `seed` and `work_max` as in [`Bootstrap::new`].
    ///
    /// # Errors
    /// No images, fewer than two classes, parts that do not fit each other, logits that are not finite.
    pub fn new(
        test: Scored<'_>,
        validation: Option<Scored<'_>>,
        seed: u64,
        work_max: usize,
    ) -> Result<Self, MetricsError> {
        let Scored { logits, labels, groups } = test;
        let bootstrap = Bootstrap::new(logits, labels, groups, seed, work_max)?;
        if let Some(validation) = validation {
            check(validation.logits, validation.labels)?;
        }
        let confusion = ConfusionMatrix::new(logits, labels)?;
        let answers: Vec<usize> = logits.outer_iter().map(argmax).collect();
        let classes: Vec<ClassFigures> = (0..logits.dim().1)
            .map(|class| {
                let (odds, positive) = (log_odds(logits, class), is(labels, class));
                let chosen = validation
                    .filter(|validation| class < validation.logits.dim().1)
                    .and_then(|v| OperatingPoint::youden(&log_odds(v.logits, class), &is(v.labels, class)));
                let calls = |point: OperatingPoint| odds.iter().map(move |odds| point.calls(*odds));
                ClassFigures {
                    images: positive.iter().filter(|positive| **positive).count(),
                    groups: bootstrap.groups_per_class[class],
                    auc: Estimate { value: auc(&odds, &positive), interval: bootstrap.auc[class] },
                    auprc: Estimate {
                        value: average_precision(&odds, &positive),
                        interval: bootstrap.average_precision[class],
                    },
                    argmax: Decisions::count(answers.iter().map(|a| *a == class).zip(positive.iter().copied())),
                    operating: chosen.map(|point| AtOperatingPoint {
                        point,
                        decisions: Decisions::count(calls(point).zip(positive.iter().copied())),
                    }),
                }
            })
            .collect();
        let defined: Vec<f64> = classes.iter().filter_map(|class| class.auc.value).collect();
        let mean = (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64);
        Ok(Self {
            images: labels.len(),
            groups: bootstrap.groups,
            validation_images: validation.map_or(0, |validation| validation.labels.len()),
            resamples: bootstrap.resamples,
            macro_auc: Estimate { value: mean, interval: bootstrap.macro_auc },
            balanced_accuracy: confusion.balanced_accuracy(),
            macro_f1: confusion.macro_f1(),
            mcc: confusion.mcc(),
            calibration: calibration(logits, labels)?,
            reliability: reliability(logits, labels)?,
            classes,
        })
    }
}

fn is(labels: &[u8], class: usize) -> Vec<bool> {
    labels.iter().map(|&label| usize::from(label) == class).collect()
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;
    use ndarray::Array2;

    use super::super::{Evaluation, WORK_MAX};
    use super::*;

    /// Logits that know the label a little; `per_group` images a patient.
    fn scored(seed: u64, images: usize, classes: usize, per_group: usize) -> (Array2<f32>, Vec<u8>, Vec<u32>) {
        let mut draws = Sampler::new(seed, 9);
        let labels: Vec<u8> = (0..images).map(|image| (image / per_group % classes) as u8).collect();
        let logits = Array2::from_shape_fn((images, classes), |(image, class)| {
            let known = if usize::from(labels[image]) == class { 1.2 } else { 0.0 };
            (draws.normal() + known) as f32
        });
        (logits, labels, (0..images).map(|image| (image / per_group) as u32).collect())
    }

    fn view(set: &(Array2<f32>, Vec<u8>, Vec<u32>)) -> Scored<'_> {
        Scored { logits: set.0.view(), labels: &set.1, groups: &set.2 }
    }

    #[test]
    fn figures_agree_with_the_plain_evaluation_and_lie_in_their_intervals() {
        let (test, validation) = (scored(1, 240, 3, 4), scored(2, 120, 3, 4));
        let figures = Clinical::new(view(&test), Some(view(&validation)), 42, WORK_MAX).unwrap();
        let plain = Evaluation::new(test.0.view(), &test.1).unwrap();
        assert_eq!((figures.images, figures.groups, figures.resamples), (240, 60, 2000));
        assert!((figures.macro_auc.value.unwrap() - plain.macro_auc.unwrap()).abs() < 1e-12);
        assert!(figures.macro_auc.interval.unwrap().contains(plain.macro_auc.unwrap()));
        assert_eq!(figures.calibration, plain.calibration);
        for (class, (found, auc)) in figures.classes.iter().zip(&plain.auc).enumerate() {
            assert!((found.auc.value.unwrap() - auc.unwrap()).abs() < 1e-12);
            assert!(found.auc.interval.unwrap().contains(auc.unwrap()));
            assert!(found.auprc.interval.unwrap().contains(found.auprc.value.unwrap()));
            assert_eq!((found.images, found.groups), (80, 20));
            assert_eq!(found.argmax.sensitivity.value, plain.confusion.sensitivity(class));
            assert_eq!(found.argmax.specificity.value, plain.confusion.specificity(class));
            assert_eq!(found.argmax.positive_predictive.value, plain.confusion.precision(class));
        }
    }

    #[test]
    fn thresholds_come_from_validation_and_never_from_the_test_part() {
        let (test, other, validation) = (scored(1, 240, 3, 4), scored(3, 240, 3, 4), scored(2, 120, 3, 4));
        let points = |test: &_, validation: Option<&_>| -> Vec<Option<OperatingPoint>> {
            let figures = Clinical::new(view(test), validation.map(view), 42, 0).unwrap();
            figures.classes.iter().map(|class| class.operating.map(|at| at.point)).collect()
        };
        assert_eq!(points(&test, Some(&validation)), points(&other, Some(&validation)));
        assert_ne!(points(&test, Some(&validation)), points(&test, Some(&other)));
        assert_eq!(points(&test, None), [None; 3]);
        // A threshold's calls on the test part are those of its rule.
        let figures = Clinical::new(view(&test), Some(view(&validation)), 42, 0).unwrap();
        let at = figures.classes[1].operating.unwrap();
        let called = log_odds(test.0.view(), 1).iter().filter(|odds| **odds >= at.point.log_odds).count();
        assert_eq!(at.decisions.positive_predictive.of, called as u64);
    }

    #[test]
    fn a_class_without_images_has_no_figures_and_harms_no_other() {
        let mut test = scored(1, 60, 3, 1);
        test.1.iter_mut().for_each(|label| *label %= 2);
        let figures = Clinical::new(view(&test), None, 1, 0).unwrap();
        let absent = &figures.classes[2];
        assert_eq!((absent.images, absent.groups), (0, 0));
        assert_eq!(absent.auc, Estimate { value: None, interval: None });
        assert_eq!(absent.argmax.sensitivity.value, None);
        assert!(figures.macro_auc.interval.is_some());
    }

    #[test]
    fn ten_classes_of_640_images_have_two_thousand_resamples() {
        let figures = Clinical::new(view(&scored(5, 640, 10, 1)), None, 7, WORK_MAX).unwrap();
        assert_eq!(figures.resamples, 2000);
        assert!(figures.classes.iter().all(|class| class.auc.interval.is_some()));
    }
}
