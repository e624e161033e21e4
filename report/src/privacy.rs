//! What a run showed of its patients: planned, spent and left.

use maud::{Markup, html};
use serde::Serialize;

use super::page::{bar, cell, section, table};
use super::units::number_text;

/// How patients were hidden, and what that cost them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrivacyBlock {
    /// Who added the noise: "local", every hospital all of it.
    pub mode: String,
    /// What all rounds may cost.
    pub epsilon: f64,
    /// Probability that it was more.
    pub delta: f64,
    /// Deviation of a step's noise, in what one patient may add.
    pub noise: f64,
    /// Probability of a patient to be drawn for a step.
    pub sampling_rate: f64,
    /// Noisy steps of a round.
    pub steps: u32,
    /// Whether hospitals trained once more for the published model.
    pub final_step: bool,
    /// Where patients' draws and noise came from.
    pub randomness: String,
    /// What each hospital's ledger says.
    pub hospitals: Vec<PrivacySpent>,
}

/// The ledger of one hospital.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrivacySpent {
    /// Its number.
    pub hospital: u16,
    /// The rounds that were charged, in order.
    pub rounds: Vec<u32>,
    /// Epsilon after each of them.
    pub epsilon_after: Vec<f64>,
}

impl PrivacySpent {
    /// Epsilon of all together.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon_after.last().copied().unwrap_or(0.0)
    }
}

impl PrivacyBlock {
    /// The largest epsilon of a hospital.
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.hospitals.iter().map(PrivacySpent::epsilon).fold(0.0, f64::max)
    }
}

/// The page of the budget.
pub(super) fn render(privacy: &PrivacyBlock) -> Markup {
    let factor = privacy.spent().exp();
    let lead = format!(
        "Every hospital added noise to what it trained. Whether any one patient was among those trained on changed the \
         probability of whatever others saw by a factor of at most {}, but for a probability of {}.",
        number_text(factor, if factor < 100.0 { 1 } else { 0 }),
        privacy.delta
    );
    let left = |one: &PrivacySpent| number_text((privacy.epsilon - one.epsilon()).max(0.0), 2);
    let rows: Vec<Vec<Markup>> = privacy
        .hospitals
        .iter()
        .map(|one| {
            vec![
                cell(format!("hospital-{}", one.hospital)),
                cell(one.rounds.len()),
                cell(number_text(one.epsilon(), 2)),
                cell(left(one)),
                bar(one.epsilon() / privacy.epsilon, 1),
            ]
        })
        .collect();
    let head = ["", "#rounds charged", "#ε spent", "#ε left of the plan", ""];
    let last = match privacy.final_step {
        true => {
            "For the published model every hospital trained once more, which is charged like a round and which nobody \
             can check."
        }
        false => "The published model is the one that all members know: nobody trained once more for it.",
    };
    let body = html! {
        (table(&head, &rows))
        ul {
            li {
                "Planned for all rounds together: ε = " (privacy.epsilon) " at δ = " (privacy.delta) "; noise of "
                (number_text(privacy.noise, 4)) " times what a patient may add, at each of " (privacy.steps)
                " steps a round, in which a patient takes part with a probability of " (privacy.sampling_rate) "."
            }
            li { "Each round stands in the hospital's own ledger from before anything of it was encrypted." }
            li { (last) }
            li { "Draws and noise came from " (privacy.randomness) "." }
            li {
                "Not covered: patients whom the model was measured on, images that were asked about, settings that \
                 were tried in other runs, and a patient's images in several hospitals, whose ε add up."
            }
        }
    };
    section("What a patient may show", &lead, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> PrivacyBlock {
        let spent = |hospital, epsilon_after: &[f64]| PrivacySpent {
            hospital,
            rounds: (1..=epsilon_after.len() as u32).collect(),
            epsilon_after: epsilon_after.to_vec(),
        };
        PrivacyBlock {
            mode: "local".to_owned(),
            epsilon: 3.0,
            delta: 1e-5,
            noise: 2.3353,
            sampling_rate: 0.1,
            steps: 5,
            final_step: false,
            randomness: "the operating system".to_owned(),
            hospitals: vec![spent(1, &[1.0, 1.5, 2.0]), spent(2, &[1.0, 1.5]), spent(3, &[])],
        }
    }

    #[test]
    fn the_page_says_what_was_spent_and_is_left_of_each_hospital() {
        let page = render(&block()).into_string();
        // e^2 of the one that spent most.
        assert!(page.contains("a factor of at most 7.4, but for a probability of 0.00001"), "{page}");
        for row in [["3", "2.00", "1.00"], ["2", "1.50", "1.50"], ["0", "0.00", "3.00"]] {
            let cells = row.map(|cell| format!("<td class=\"n\">{cell}</td>")).concat();
            assert!(page.contains(&cells), "{cells}: {page}");
        }
        assert!(page.contains("nobody trained once more for it") && page.contains("Not covered"), "{page}");
        let trained = render(&PrivacyBlock { final_step: true, ..block() }).into_string();
        assert!(trained.contains("which nobody can check"), "{trained}");
        assert_eq!((block().spent(), block().hospitals[2].epsilon()), (2.0, 0.0));
    }
}
