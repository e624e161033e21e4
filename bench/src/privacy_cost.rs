//! What hiding patients costs: how much of a budget each round spends, and how large the noise is.

use experiment::{Experiment, NOISE_DELTA, Privacy};
use privacy::RenyiCosts;
use serde::Serialize;

/// Patients that a step should have: of fewer it sees little but noise.
const DRAWN_MIN: f64 = 20.0;
/// Patients of a hospital below which noise of its own drowns what it trains.
const PATIENTS_FEW: u32 = 500;

/// The privacy of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrivacyCost {
    /// Who adds the noise: "local", every hospital all of it.
    pub mode: &'static str,
    /// What all fits may cost.
    pub epsilon: f64,
    /// Probability that it was more.
    pub delta: f64,
    /// Probability of a patient to be drawn for a step.
    pub sampling_rate: f64,
    /// Steps of a fit.
    pub steps: u32,
    /// Deviation of a step's noise, in what one patient may add.
    pub noise: f64,
    /// The same in whole numbers.
    pub deviation: f64,
    /// Largest length of a patient's whole numbers.
    pub sensitivity: f64,
    /// Epsilon after each fit: one a round, and the last for the published model where hospitals train for it.
    pub epsilon_after: Vec<f64>,
    /// Whether hospitals train once more for the published model.
    pub final_step: bool,
}

impl PrivacyCost {
    /// Of a plan; `None` where it hides nobody.
    #[must_use]
    pub fn of(experiment: &Experiment) -> Option<Self> {
        let privacy = experiment.privacy()?;
        let final_step = experiment.publish().final_step;
        let fits = Privacy::fits(experiment.federation().rounds, final_step);
        let each = privacy.step.costs(privacy.local_steps);
        let mut sum = RenyiCosts::NOTHING;
        let after = |fit: u32| {
            sum = &sum + &each;
            sum.epsilon(privacy.delta - f64::from(fit) * NOISE_DELTA)
        };
        Some(Self {
            mode: "local",
            epsilon: privacy.epsilon,
            delta: privacy.delta,
            sampling_rate: privacy.sampling_rate,
            steps: privacy.local_steps,
            noise: privacy.step.noise(),
            deviation: (Privacy::NOISE.variance() as f64).sqrt(),
            sensitivity: (privacy.clipping.squared() as f64).sqrt(),
            epsilon_after: (1..=fits).map(after).collect(),
            final_step,
        })
    }

    /// For people.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let fits = self.epsilon_after.len();
        let some =
            [1, fits / 4, fits / 2, fits].into_iter().filter(|fit| *fit > 0).collect::<std::collections::BTreeSet<_>>();
        let after = |fit: usize| format!("{:.2} after {fit}", self.epsilon_after[fit - 1]);
        let all: Vec<String> = some.into_iter().map(after).collect();
        let least = (DRAWN_MIN / self.sampling_rate).ceil();
        let last = match self.final_step {
            true => "the last of them for the published model, which nobody can check",
            false => "none more for the published model",
        };
        vec![
            (
                "privacy",
                format!(
                    "epsilon {} at delta {} for a patient, of {fits} fits of {} steps; {last}",
                    self.epsilon, self.delta, self.steps
                ),
            ),
            ("", format!("epsilon {}; a site whose bound is lower sits out the rounds beyond it", all.join(", "))),
            (
                "",
                format!(
                    "each hospital adds noise of {:.4} times what a patient may add (deviation {:.0}, length {:.0})",
                    self.noise, self.deviation, self.sensitivity
                ),
            ),
            (
                "",
                format!(
                    "hospitals with fewer than {PATIENTS_FEW} patients train little but noise; with fewer than {least} \
                     a step sees fewer than {DRAWN_MIN}"
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../configs/pneumonia-private.toml");

    fn cost(changes: &[&str]) -> PrivacyCost {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        PrivacyCost::of(&Experiment::parse("x.toml", FILE, &changes).unwrap()).unwrap()
    }

    #[test]
    fn rounds_spend_what_the_whole_may_cost_and_no_more() {
        let cost = cost(&[]);
        assert_eq!((cost.mode, cost.epsilon_after.len(), cost.final_step), ("local", 40, false));
        assert!(cost.epsilon_after.is_sorted() && cost.epsilon_after[39] <= cost.epsilon);
        // As much as the steps of noise multipliers allow: half of what is left would be more than one.
        assert!(cost.epsilon_after[39] > 0.999 * cost.epsilon, "{:?}", cost.epsilon_after);
        assert!((cost.sensitivity * cost.noise / cost.deviation - 1.0).abs() < 1e-4, "{cost:?}");
        let text = cost.lines().into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        assert!(text.contains("of 40 fits of 5 steps; none more"), "{text}");
        assert!(text.contains(" after 1, ") && text.contains(" after 10, ") && text.contains("after 40;"), "{text}");
        assert!(text.contains("fewer than 200 a step"), "{text}");
    }

    #[test]
    fn no_plan_refuses_its_own_last_round() {
        for epsilon in ["0.5", "1.0", "2.0", "3.0", "5.0", "8.0", "20.0"] {
            for more in ["federation.rounds=400", "privacy.local-steps=1", "publish.final-step=train"] {
                let cost = cost(&[&format!("privacy.epsilon={epsilon}"), more]);
                let last = cost.epsilon_after.last().copied().unwrap();
                assert!(last <= cost.epsilon, "{epsilon} {more}: {last}");
            }
        }
    }

    #[test]
    fn the_fit_for_the_published_model_is_the_last() {
        let cost = cost(&["publish.final-step=train"]);
        assert_eq!(cost.epsilon_after.len(), 41);
        assert!(cost.lines()[0].1.contains("nobody can check"));
        let one = super::PrivacyCost { epsilon_after: vec![1.0], ..cost };
        assert!(one.lines()[1].1.starts_with("epsilon 1.00 after 1;"), "{:?}", one.lines());
    }

    #[test]
    fn a_plan_that_hides_nobody_has_none() {
        assert_eq!(PrivacyCost::of(&Experiment::parse("demo.toml", experiment::DEMO, &[]).unwrap()), None);
    }
}
