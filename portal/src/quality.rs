//! How the model did on the cases whose truth was recorded here.

use metrics::{ConfusionMatrix, Rate, softmax};
use ndarray::{Array1, Array2};

use crate::book::{Case, CaseState};

/// Figures on labelled cases of one model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quality {
    /// Cases.
    pub(crate) cases: u64,
    /// Share of right answers.
    pub(crate) accuracy: Rate,
    /// By class: how many of the class are found, and how many of its answers are right.
    pub(crate) classes: Vec<ClassQuality>,
    /// Mean over classes that occur of their F1.
    pub(crate) macro_f1: Option<f64>,
    /// Root of the mean squared difference between a class's calibrated probability and 1 where it is true, 0 where it
    /// is not, over all cases and classes.
    pub(crate) rmse: f64,
    /// `confusion[truth][answer]`.
    pub(crate) confusion: Vec<Vec<u64>>,
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassQuality {
    /// Its name.
    pub(crate) name: String,
    /// Share of the class that is found.
    pub(crate) recall: Rate,
    /// Share of its answers that are right.
    pub(crate) precision: Rate,
    /// Harmonic mean of both; `None` where the class neither occurs nor is answered.
    pub(crate) f1: Option<f64>,
}

impl Quality {
    /// Counts the answered and labelled ones among cases of one model; `None` where there is none.
    pub(crate) fn of(cases: &[Case]) -> Option<Self> {
        let judged: Vec<(&Case, &Vec<f64>, usize)> = cases
            .iter()
            .filter_map(|case| match (&case.state, &case.label) {
                (CaseState::Answered { logits, .. }, Some(label)) => Some((case, logits, label.class)),
                _ => None,
            })
            .collect();
        let names = &judged.first()?.0.classes;
        let mut logits = Array2::<f32>::zeros((judged.len(), names.len()));
        let mut labels = Vec::with_capacity(judged.len());
        let mut squares = 0.0;
        for (mut row, (case, found, label)) in logits.outer_iter_mut().zip(&judged) {
            row.iter_mut().zip(found.iter()).for_each(|(cell, logit)| *cell = *logit as f32);
            labels.push(u8::try_from(*label).ok()?);
            let scaled: Array1<f32> = found.iter().map(|logit| (logit / case.temperature) as f32).collect();
            let difference = |(class, share): (usize, f64)| share - f64::from(u8::from(class == *label));
            squares += softmax(scaled.view()).into_iter().enumerate().map(difference).map(|it| it * it).sum::<f64>();
        }
        let counts = ConfusionMatrix::new(logits.view(), &labels).ok()?.counts;
        let count = |cells: &mut dyn Iterator<Item = u64>| cells.sum::<u64>();
        let class = |(index, name): (usize, &String)| {
            let hits = counts[index][index];
            let truth = count(&mut counts[index].iter().copied());
            let answers = count(&mut counts.iter().map(|row| row[index]));
            let f1 = (truth + answers > 0).then(|| 2.0 * hits as f64 / (truth + answers) as f64);
            ClassQuality { name: name.clone(), recall: Rate::new(hits, truth), precision: Rate::new(hits, answers), f1 }
        };
        let classes: Vec<ClassQuality> = names.iter().enumerate().map(class).collect();
        let occurring: Vec<f64> =
            classes.iter().filter(|class| class.recall.of > 0).filter_map(|class| class.f1).collect();
        let right = count(&mut (0..names.len()).map(|index| counts[index][index]));
        Some(Self {
            cases: judged.len() as u64,
            accuracy: Rate::new(right, judged.len() as u64),
            macro_f1: (!occurring.is_empty()).then(|| occurring.iter().sum::<f64>() / occurring.len() as f64),
            classes,
            rmse: (squares / (judged.len() * names.len()) as f64).sqrt(),
            confusion: counts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Labelled;
    use crate::report::tests::case;

    fn labelled(ill_odds: f64, class: Option<usize>) -> Case {
        let label = class.map(|class| Labelled { class, by: "ada".into(), at_s: 0 });
        let state = CaseState::Answered { logits: vec![0.0, ill_odds.ln()], total_ms: 1.0, reply_bytes: 1 };
        Case { temperature: 1.0, state, label, ..case() }
    }

    #[test]
    fn figures_are_those_of_the_labelled_cases() {
        // Odds of 3 are a probability of three quarters.
        let cases = [
            labelled(3.0, Some(1)),
            labelled(3.0, Some(1)),
            labelled(3.0, Some(0)),
            labelled(1.0 / 3.0, Some(1)),
            labelled(1.0 / 3.0, Some(0)),
            labelled(3.0, None),
        ];
        let found = Quality::of(&cases).unwrap();
        assert_eq!((found.cases, found.accuracy.hits, found.confusion.clone()), (5, 3, vec![vec![1, 1], vec![1, 2]]));
        let ill = &found.classes[1];
        assert_eq!((ill.recall.hits, ill.recall.of, ill.precision.of), (2, 3, 3));
        assert!((ill.f1.unwrap() - 2.0 / 3.0).abs() < 1e-12 && (found.classes[0].f1.unwrap() - 0.5).abs() < 1e-12);
        assert!((found.macro_f1.unwrap() - 7.0 / 12.0).abs() < 1e-12);
        // Three cases are off by a quarter, two by three quarters, in both classes.
        assert!((found.rmse - ((3.0 / 16.0 + 18.0 / 16.0) / 5.0f64).sqrt()).abs() < 1e-6, "{}", found.rmse);
        assert!(Quality::of(&cases[5..]).is_none());
    }

    #[test]
    fn a_class_that_never_occurs_is_in_no_mean() {
        let found = Quality::of(&[labelled(3.0, Some(1)), labelled(0.3, Some(1))]).unwrap();
        assert_eq!(found.classes[0].recall.value, None);
        assert!((found.macro_f1.unwrap() - 2.0 / 3.0).abs() < 1e-12, "of the class that occurs alone");
    }
}
