//! What logits say about an image, in the numbers that a page and a report state.

use metrics::{Likeness, PooledFigures, PooledPoint, argmax, softmax};
use ndarray::Array1;

/// One class of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassAnswer {
    /// Its name.
    pub(crate) name: String,
    /// Calibrated where the hospitals found a temperature.
    pub(crate) probability: f64,
    /// Whether it is called at the operating point, and how good the call is; `None` where nobody measured it.
    pub(crate) call: Option<(bool, PooledPoint)>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// In the model's order.
    pub(crate) classes: Vec<ClassAnswer>,
    /// The most probable one.
    pub(crate) best: usize,
}

impl Answer {
    /// Reads logits, one per class. An operating point is a threshold on the probability before calibration, as the
    /// hospitals measured it: they agreed on the temperature afterwards.
    pub(crate) fn of(logits: &[f64], temperature: f64, classes: &[String], figures: Option<&PooledFigures>) -> Self {
        let narrow = |scale: f64| logits.iter().map(|logit| (logit / scale) as f32).collect::<Array1<f32>>();
        let (raw, scaled) = (softmax(narrow(1.0).view()), softmax(narrow(temperature).view()));
        let best = argmax(narrow(1.0).view());
        let point = |class: usize| figures.and_then(|figures| figures.classes.get(class)?.youden.clone());
        let answers = classes.iter().zip(raw).zip(scaled).enumerate().map(|(class, ((name, raw), probability))| {
            let call = point(class).map(|point| (raw >= point.threshold, point));
            ClassAnswer { name: name.clone(), probability, call }
        });
        Self { classes: answers.collect(), best }
    }

    /// The classes, most probable first.
    pub(crate) fn ranked(&self) -> Vec<&ClassAnswer> {
        let mut ranked: Vec<&ClassAnswer> = self.classes.iter().collect();
        ranked.sort_by(|one, other| other.probability.total_cmp(&one.probability));
        ranked
    }
}

/// What a report says of an image that looks unlike those that its model was measured on; nothing of others.
pub(crate) fn unlike(found: &Likeness) -> Option<String> {
    let words = || {
        let text = "The image does not look like those that the model was measured on";
        format!("{text}: distance {:.1}, theirs is 1 on average.", found.distance)
    };
    found.is_unlike.then(words)
}

#[cfg(test)]
pub(crate) mod tests {
    use metrics::{Decisions, Estimate, HospitalBands, PooledCalibration, PooledClass, Rate};

    use super::*;

    /// Two classes, a temperature of 2, and a call of the second class from a probability of `threshold` on.
    pub(crate) fn figures(threshold: f64) -> PooledFigures {
        let point = PooledPoint { threshold, decisions: Decisions::of_counts(44, 6, 5, 45) };
        let class = PooledClass {
            images: 50,
            auc: Estimate { value: Some(0.94), interval: None },
            auc_blur: None,
            youden: None,
            sensitive: None,
        };
        PooledFigures {
            hospitals: 5,
            test_images: 100,
            training_images: 800,
            training_groups: 250,
            validation_images: 40,
            accuracy: Rate::new(89, 100),
            macro_auc: Some(0.94),
            classes: vec![class.clone(), PooledClass { youden: Some(point), ..class }],
            confusion: vec![vec![45, 5], vec![6, 44]],
            calibration: Some(PooledCalibration { temperature: 2.0, before: 0.41, after: 0.39 }),
            by_hospital: HospitalBands { bands: Vec::new(), unranked: 5, is_one_far_below: false },
            appearance: None,
        }
    }

    fn names() -> Vec<String> {
        vec!["healthy".into(), "ill".into()]
    }

    #[test]
    fn probabilities_are_calibrated_and_calls_are_not() {
        // Odds of 9 to 1 before, of 3 to 1 at a temperature of 2.
        let logits = [0.0, 9.0f64.ln()];
        let called = |threshold| Answer::of(&logits, 2.0, &names(), Some(&figures(threshold)));
        let answer = called(0.8);
        assert!((answer.classes[1].probability - 0.75).abs() < 1e-6, "{answer:?}");
        assert_eq!((answer.best, answer.ranked()[0].name.as_str()), (1, "ill"));
        let is_called = |answer: &Answer| answer.classes[1].call.as_ref().map(|(called, _)| *called);
        assert_eq!((is_called(&answer), is_called(&called(0.95))), (Some(true), Some(false)));
        assert_eq!(answer.classes[0].call, None, "nobody measured an operating point of it");
    }

    #[test]
    fn a_model_without_figures_is_not_calibrated_and_calls_nothing() {
        let answer = Answer::of(&[0.0, 9.0f64.ln()], 1.0, &names(), None);
        assert!((answer.classes[1].probability - 0.9).abs() < 1e-6 && answer.classes[1].call.is_none());
    }
}
