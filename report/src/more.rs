//! The page on a training under MORE: what it came to, and what its server read.

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::page::{cell, figure, page, section, table};
use super::units::{grouped, number_text, seconds_text};

/// What one training came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MoreTraining {
    /// As [`MoreReport::measure`] says.
    pub quality: f64,
    /// Of the training alone.
    pub seconds: f64,
}

/// What the server read, without a key.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MoreAttack {
    /// Of the whole attack.
    pub seconds: f64,
    /// Share of the samples' numbers, 0 to 1.
    pub inputs_read: f64,
    /// Largest error of one.
    pub inputs_error: f64,
    /// Share of the labels' numbers, 0 to 1.
    pub targets_read: f64,
    /// Share of the trained network's weights, 0 to 1.
    pub weights_read: f64,
    /// Largest error of one.
    pub weights_error: f64,
    /// Share of the answers to new samples, 0 to 1.
    pub answers_read: f64,
    /// Largest error of one.
    pub answers_error: f64,
}

/// A reading of generated patients beside what is usual.
#[derive(Debug, Clone, Serialize)]
pub struct UsualRange {
    /// The reading.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What is usual in adults at rest.
    pub usual: (f64, f64),
    /// Of the standard person.
    pub standard: f64,
    /// Of the patients: smallest, 5 %, median, 95 %, largest.
    pub quantiles: [f64; 5],
}

/// Everything but pictures, for programs as for people.
#[derive(Debug, Clone, Serialize)]
pub struct MoreReport {
    /// Stands first and last.
    pub warning: &'static str,
    /// `mnist`, `circulation` or `angiography`.
    pub task: &'static str,
    /// Where the data come from.
    pub data: String,
    /// To draw everything again.
    pub seed: u64,
    /// Samples to train on.
    pub train: usize,
    /// Samples to measure on.
    pub test: usize,
    /// Of the network.
    pub weights: usize,
    /// Numbers that were encrypted.
    pub ciphertexts: usize,
    /// What `quality` is.
    pub measure: &'static str,
    /// On plain numbers.
    pub plain: MoreTraining,
    /// On ciphertexts.
    pub more: MoreTraining,
    /// Times as slow.
    pub slowdown: f64,
    /// Largest difference of a trained weight.
    pub weights_differ: f64,
    /// Largest difference of an answer.
    pub answers_differ: f64,
    /// What the server read.
    pub attack: MoreAttack,
    /// Readings of generated patients; empty for pictures.
    pub plausibility: Vec<UsualRange>,
}

/// What was read, to look at.
#[derive(Debug, Clone)]
pub enum MoreEvidence {
    /// Files in the form of PNG.
    Pictures {
        /// Upper left entries of the ciphertexts.
        seen: Vec<u8>,
        /// What the server read in them.
        read: Vec<u8>,
        /// What had been encrypted.
        truth: Vec<u8>,
        /// Filters of the trained network, as the server read them.
        filters: Vec<u8>,
    },
    /// Readings of a patient in a row, in their units.
    Patients {
        /// Quantities with their units.
        names: Vec<String>,
        /// Upper left entries of the ciphertexts, which have no unit.
        seen: Vec<Vec<f64>>,
        /// What the server read in them.
        read: Vec<Vec<f64>>,
        /// What had been encrypted.
        truth: Vec<Vec<f64>>,
    },
}

impl MoreReport {
    /// For a terminal.
    pub fn text(&self) -> String {
        let attack = &self.attack;
        let line = |name: &str, plain: String, more: String| format!("  {name:<22} {plain:>12} {more:>12}");
        let share = |share: f64| format!("{:.2} %", 100.0 * share);
        let read = |name: &str, part: f64, error: f64| {
            format!("  {name:<22} {:>12}  largest error {}", share(part), small(error))
        };
        let lines = [
            self.data.clone(),
            format!(
                "a network of {} weights, {} samples to train on, {} to test on",
                self.weights, self.train, self.test
            ),
            line("", "plain".to_owned(), "MORE".to_owned()),
            line(self.measure, share(self.plain.quality), share(self.more.quality)),
            line("training", seconds_text(self.plain.seconds), seconds_text(self.more.seconds)),
            format!(
                "  {:.1} times as slow; a trained weight differs by at most {:.1e}",
                self.slowdown, self.weights_differ
            ),
            format!(
                "what the server read of {} ciphertexts in {}, without a key:",
                self.ciphertexts,
                brief(attack.seconds)
            ),
            read("samples", attack.inputs_read, attack.inputs_error),
            format!("  {:<22} {:>12}", "labels", share(attack.targets_read)),
            read("weights", attack.weights_read, attack.weights_error),
            read("answers", attack.answers_read, attack.answers_error),
        ];
        lines.join("\n")
    }

    /// The page.
    pub fn page(&self, evidence: &MoreEvidence) -> String {
        let alarm = html! { p.alarm role="alert" { (self.warning) } };
        let body = html! {
            (alarm)
            header {
                p.eyebrow { "Consilium · research" }
                h1 { "A network trained under MORE: " (self.task) }
                p.result { (self.result()) }
            }
            (self.figures())
            (shown(evidence))
            (self.readings())
            (self.how())
            (self.plausible())
            (alarm)
        };
        page(&format!("MORE, {} – Consilium research", self.task), &body)
    }

    fn result(&self) -> String {
        format!(
            "The same network was trained twice on {} samples: on plain numbers, and on 2x2 matrices that hide them, \
             the scheme of several publications on medical images. Both trainings end in the same weights. Then the \
             server, which has the matrices and nothing else, read what had been encrypted: a number is an eigenvalue \
             of its matrix, and that is no secret.",
            grouped(self.train)
        )
    }

    fn figures(&self) -> Markup {
        let percent = |share: f64| number_text(100.0 * share, 2);
        html! {
            div.figures {
                (figure(percent(self.attack.inputs_read), "%", "of the samples' numbers read by the server"))
                (figure(brief(self.attack.seconds), "", "to read all of them"))
                (figure(percent(self.more.quality), "%", &format!("{}, trained under MORE", self.measure)))
                (figure(percent(self.plain.quality), "%", &format!("{}, trained on plain numbers", self.measure)))
                (figure(number_text(self.slowdown, 1), "×", "as slow as on plain numbers"))
            }
        }
    }

    fn readings(&self) -> Markup {
        let attack = &self.attack;
        let row = |name: &str, count: String, share: String, error: String| vec![name.to_owned(), count, share, error];
        let percent = |share: f64| format!("{} %", number_text(100.0 * share, 2));
        let rows = [
            row(
                "Samples and labels",
                grouped(self.ciphertexts),
                percent(attack.inputs_read.min(attack.targets_read)),
                small(attack.inputs_error),
            ),
            row(
                "Weights of the trained network",
                grouped(self.weights),
                percent(attack.weights_read),
                small(attack.weights_error),
            ),
            row(
                "Answers to new samples",
                grouped(self.test),
                percent(attack.answers_read),
                small(attack.answers_error),
            ),
        ];
        section(
            "What the server has read",
            "Read means: to within 10⁻⁶. No key, no plaintext and no guess at a value went into it.",
            &table(&["", "#How many", "#Read", "#Largest error"], &rows),
        )
    }

    fn how(&self) -> Markup {
        let steps = html! {
            ol {
                li { "All matrices under one key have the same two eigenvectors, the columns of S. One tells both." }
                li { "In their directions every matrix is diag(m, r): its two entries are the number and a blind." }
                li { "Which is which is one question for the whole set. Pictures are smooth and labels follow from \
                      inputs; blinds are and do neither." }
                li { "The same directions open the weights of the trained network, and every answer that it gives." }
            }
            p.lead {
                "Whoever applies a function such as tanh under MORE computes both eigenvalues on the way. A key per \
                 hospital, larger matrices or other blinds change nothing: the number stays an eigenvalue. No \
                 experiment of a federation can choose MORE. Seed " (self.seed) "; data: " (self.data) "."
            }
        };
        section("How", "Four steps of linear algebra.", &steps)
    }

    fn plausible(&self) -> Markup {
        if self.plausibility.is_empty() {
            return html! {};
        }
        let rows: Vec<Vec<String>> = self
            .plausibility
            .iter()
            .map(|one| {
                let digits = if one.usual.1 < 20.0 { 1 } else { 0 };
                let text = |value: f64| number_text(value, digits);
                let mut row = vec![
                    format!("{}, {}", one.name, one.unit),
                    format!("{} to {}", text(one.usual.0), text(one.usual.1)),
                    text(one.standard),
                ];
                row.extend(one.quantiles.map(text));
                row
            })
            .collect();
        section(
            "Are the generated patients plausible?",
            "The standard person has to lie in what is usual in adults at rest; patients are ill and may lie outside.",
            &table(&["Reading", "#Usual", "#Standard person", "#Least", "#5 %", "#Median", "#95 %", "#Largest"], &rows),
        )
    }
}

fn shown(evidence: &MoreEvidence) -> Markup {
    let body = match evidence {
        MoreEvidence::Pictures { seen, read, truth, filters } => html! {
            div.pictures {
                div { h3 { "The ciphertexts' first entries" } (picture(seen, "pictures drowned in noise")) }
                div { h3 { "Read by the server" } (picture(read, "pictures")) }
                div { h3 { "What had been encrypted" } (picture(truth, "the same pictures")) }
                div { h3 { "Filters of the trained network, read by the server" } (picture(filters, "filters")) }
            }
        },
        MoreEvidence::Patients { names, seen, read, truth } => {
            let mut head = vec!["Quantity"];
            let columns = read.iter().enumerate().flat_map(|(index, _)| {
                ["ciphertext", "read", "truth"].map(|what| format!("#Patient {}: {what}", index + 1))
            });
            let columns: Vec<String> = columns.collect();
            head.extend(columns.iter().map(String::as_str));
            let digits = |value: &f64| if value.abs() < 20.0 { 3 } else { 1 };
            let rows: Vec<Vec<Markup>> = names
                .iter()
                .enumerate()
                .map(|(index, name)| {
                    let mut row = vec![cell(name)];
                    for ((seen, read), truth) in seen.iter().zip(read).zip(truth) {
                        for value in [seen, read, truth].map(|row| row.get(index).copied().unwrap_or(f64::NAN)) {
                            row.push(cell(number_text(value, digits(&value))));
                        }
                    }
                    row
                })
                .collect();
            table(&head, &rows)
        }
    };
    section("Look", "The first samples of the training data.", &body)
}

fn picture(png: &[u8], meaning: &str) -> Markup {
    html! { img src=(PreEscaped(format!("data:image/png;base64,{}", STANDARD.encode(png)))) alt=(meaning); }
}

/// `2.2e-16`, or that there is none.
fn small(error: f64) -> String {
    if error.is_finite() { format!("{error:.1e}") } else { "not read".to_owned() }
}

/// Milliseconds below a second.
fn brief(seconds: f64) -> String {
    super::units::milliseconds_text(1000.0 * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(inputs_read: f64) -> MoreReport {
        let training = |seconds| MoreTraining { quality: 0.97, seconds };
        MoreReport {
            warning: "NOT <ENCRYPTED>",
            task: "mnist",
            data: "digits".to_owned(),
            seed: 1,
            train: 20_000,
            test: 2_000,
            weights: 5_338,
            ciphertexts: 15_880_000,
            measure: "accuracy",
            plain: training(1.5),
            more: training(4.5),
            slowdown: 3.0,
            weights_differ: 8.9e-15,
            answers_differ: 4e-15,
            attack: MoreAttack {
                seconds: 0.9,
                inputs_read,
                inputs_error: 2.2e-16,
                targets_read: 1.0,
                weights_read: 0.75,
                weights_error: 2.2e-16,
                answers_read: 0.0,
                answers_error: f64::INFINITY,
            },
            plausibility: Vec::new(),
        }
    }

    fn pictures() -> MoreEvidence {
        let [seen, read, truth, filters] = [1u8, 2, 3, 4].map(|byte| vec![byte; 3]);
        MoreEvidence::Pictures { seen, read, truth, filters }
    }

    #[test]
    fn the_warning_stands_first_and_last_and_pictures_are_inside() {
        let page = report(1.0).page(&pictures());
        let alarm = "<p class=\"alarm\" role=\"alert\">NOT &lt;ENCRYPTED&gt;</p>";
        assert!(page.contains(&format!("<main>{alarm}")) && page.contains(&format!("{alarm}</main>")), "{page}");
        for bytes in ["AQEB", "AgIC", "AwMD", "BAQE"] {
            assert!(page.contains(&format!("src=\"data:image/png;base64,{bytes}\"")), "{page}");
        }
        assert!(
            page.contains("<b>100.00<small>%</small></b>")
                && page.contains("<td class=\"n\">75.00 %</td>")
                && page.contains("not read")
                && !page.contains("plausible")
        );
    }

    #[test]
    fn what_was_not_read_is_not_said_to_be() {
        let half = report(0.5);
        assert!(half.page(&pictures()).contains("<b>50.00<small>%</small></b>"));
        assert!(
            half.text().contains("samples                     50.00 %") && half.text().contains("3.0 times as slow")
        );
    }

    #[test]
    fn patients_stand_in_columns_with_their_units_and_readings_beside_what_is_usual() {
        let mut report = report(1.0);
        report.plausibility = vec![UsualRange {
            name: "systolic",
            unit: "mmHg",
            usual: (90.0, 140.0),
            standard: 118.4,
            quantiles: [61.2, 80.0, 121.6, 160.0, 201.0],
        }];
        let evidence = MoreEvidence::Patients {
            names: vec!["heart rate, 1/min".to_owned(), "stiffness, mmHg/mL".to_owned()],
            seen: vec![vec![0.25, -1.5]],
            read: vec![vec![72.04, 0.0812]],
            truth: vec![vec![72.06]],
        };
        let page = report.page(&evidence);
        let row =
            "<td>heart rate, 1/min</td><td class=\"n\">0.250</td><td class=\"n\">72.0</td><td class=\"n\">72.1</td>";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("<td class=\"n\">0.081</td><td class=\"n\">–</td>"), "{page}");
        assert!(page.contains("Patient 1: truth"));
        let usual =
            "<td>systolic, mmHg</td><td class=\"n\">90 to 140</td><td class=\"n\">118</td><td class=\"n\">61</td>";
        assert!(page.contains(usual), "{page}");
    }
}
