//! report.html of a head: the result in plain words, then how good it is, what it cost and what nobody saw.

use maud::{Markup, html};

use super::{
    ReportError,
    head::{HeadFigures, HeadReport},
    head_charts, head_parts,
    page::{badge, cell, figure, folded, page, section, table},
    units::{bytes_text, compact_text, grouped, milliseconds_text, number_text, percent_text, seconds_text},
};

/// A longer table of steps is folded away.
const STEPS_UNFOLDED: usize = 12;

/// The whole page.
pub(super) fn render(report: &HeadReport) -> Result<String, ReportError> {
    let alarm = html! {
        @if !report.verified() {
            p.alarm role="alert" { "Not verified: a check of this run failed, see Protection." }
        }
    };
    let body = html! {
        (alarm)
        (header(report))
        (figures(report))
        (quality(report))
        (readings(report)?)
        (learning(report)?)
        (times(report)?)
        (head_parts::costs(report))
        (head_parts::serving(report))
        (head_parts::protection(report))
        (head_parts::data(report))
        (head_parts::recipe(report))
        (head_parts::parameters(report))
        (footer(report))
    };
    Ok(page(&format!("{} – Consilium report", report.name), &body))
}

impl HeadReport {
    /// A head reads quantities, or it tells classes apart.
    pub(super) fn has_readings(&self) -> bool {
        !self.quality.outputs.is_empty() || self.quality.shadow.relative_error.is_some()
    }

    /// As many as there were, encrypted or not.
    pub(super) fn hospitals(&self) -> usize {
        self.parameters.as_ref().map_or(self.data.rows_of_hospitals.len(), |it| it.hospitals.into())
    }

    /// `256 features to 10 classes`.
    pub(super) fn shape(&self) -> String {
        let features = grouped(self.data.dimension);
        match (self.data.classes, self.has_readings()) {
            (1, true) => format!("{features} features to 1 reading"),
            (1, false) => format!("{features} features to one answer, yes or no"),
            (many, true) => format!("{features} features to {many} readings"),
            (many, false) => format!("{features} features to {many} classes"),
        }
    }
}

impl HeadFigures {
    /// `accuracy 98.19 %, AUC 0.9662`: those that exist.
    pub(super) fn text(&self) -> String {
        let parts = [
            self.accuracy.map(|share| format!("accuracy {}", percent_text(share, 2))),
            self.auc.map(|auc| format!("AUC {}", number_text(auc, 4))),
            self.relative_error.map(|error| format!("mean relative error {}", percent_text(error, 3))),
            self.r2.map(|r2| format!("R² {}", bounded(r2))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
    }
}

/// R² ends at 1, and has no end below.
pub(super) fn bounded(r2: f64) -> String {
    if r2.abs() < 10.0 { number_text(r2, 4) } else { compact_text(r2) }
}

fn header(report: &HeadReport) -> Markup {
    let eyebrow = match report.parameters {
        Some(_) => "Consilium · a head trained on encrypted features",
        None => "Consilium · a head trained in the clear",
    };
    html! {
        header {
            p.eyebrow { (eyebrow) }
            h1 { (report.name) }
            @if !report.description.is_empty() { p.lead { (report.description) } }
            p.result { (result(report)) }
        }
    }
}

/// The result in one paragraph.
fn result(report: &HeadReport) -> String {
    let (data, quality) = (&report.data, &report.quality);
    let hospitals = match report.hospitals() {
        1 => "One hospital".to_owned(),
        many => format!("{many} hospitals"),
    };
    let steps = match report.steps.len() {
        1 => "1 step".to_owned(),
        many => format!("{} steps", grouped(many)),
    };
    let mut result = format!(
        "{hospitals} trained a head, one layer of weights from {}, in {steps} on {} rows. ",
        report.shape(),
        grouped(data.train_rows)
    );
    let rows = grouped(data.test_rows);
    match (&report.parameters, &quality.encrypted) {
        (None, _) => {
            result
                .push_str("Nothing was encrypted: these are the steps that are taken on ciphertexts, on plain numbers");
            result.push_str(&format!(". On {rows} test rows: {}; ", quality.shadow.text()));
        }
        (Some(_), encrypted) => {
            result.push_str("Features and labels were uploaded encrypted, and every step was taken on ciphertexts. ");
            if report.protection.decryptions_of_head == 0 {
                result.push_str("The protocol never decrypted the head. ");
            }
            match encrypted {
                Some(figures) => result.push_str(&format!("On {rows} test rows it has: {}; ", figures.text())),
                None => result.push_str(&format!("On {rows} test rows it was not measured; ")),
            }
            result.push_str(&format!("the same steps in the clear: {}; ", quality.shadow.text()));
        }
    }
    result.push_str(&format!("the exact solution on the same features: {}.", quality.exact.text()));
    if report.parameters.is_some() {
        result.push_str(" Hospitals take part in every step: the training is interactive.");
    }
    result
}

fn figures(report: &HeadReport) -> Markup {
    let quality = &report.quality;
    let (figures, whose) = match quality.encrypted {
        Some(figures) => (figures, "trained on ciphertexts"),
        None => (quality.shadow, "trained in the clear"),
    };
    let same = quality.same_answers.map(|share| percent_text(share, 2));
    html! {
        div.figures {
            @if let Some(accuracy) = figures.accuracy {
                (figure(percent_text(accuracy, 2), "", &format!("accuracy on test rows, {whose}")))
            }
            @if let Some(auc) = figures.auc {
                (figure(number_text(auc, 4), "", &format!("AUC on test rows, {whose}")))
            }
            @if let Some(error) = figures.relative_error {
                (figure(percent_text(error, 3), "", &format!("mean relative error on test rows, {whose}")))
            }
            @if let Some(same) = same {
                (figure(same, "", "of the answers equal to those of the same steps in the clear"))
            }
            @if let Some(costs) = &report.costs {
                (figure(seconds_text(costs.critical_s), "", "for all steps, each party on a machine of its own"))
                (figure(bytes_text(costs.upload_bytes), "", "of encrypted features and labels, all hospitals"))
            }
            @if report.parameters.is_some() {
                (figure(report.protection.decryptions_of_head, "", "decryptions of the head"))
            }
        }
    }
}

fn quality(report: &HeadReport) -> Markup {
    let compared = compared(report);
    let lead = format!(
        "All on the same features and the same {} test rows, on which nobody trained.",
        grouped(report.data.test_rows)
    );
    let body = html! {
        (heads(report))
        @if !compared.is_empty() {
            h3 { "Differences and logits" }
            (table(&["", "#", ""], &compared))
        }
    };
    section("Quality on test rows", &lead, &body)
}

/// A column of the table of heads.
type Column = (&'static str, fn(&HeadFigures) -> Option<String>);

/// Every head with its figures; a column without any is left out.
fn heads(report: &HeadReport) -> Markup {
    let quality = &report.quality;
    let heads = [
        ("Trained on ciphertexts", quality.encrypted),
        ("In the clear, the same steps", Some(quality.shadow)),
        ("Exact solution, the same features", Some(quality.exact)),
        ("Federated averaging, in the clear", quality.averaged),
    ];
    let heads: Vec<(&str, HeadFigures)> = heads.into_iter().filter_map(|(name, it)| Some((name, it?))).collect();
    let columns: [Column; 4] = [
        ("#Accuracy", |it| it.accuracy.map(|share| percent_text(share, 2))),
        ("#AUC", |it| it.auc.map(|auc| number_text(auc, 4))),
        ("#Mean relative error", |it| it.relative_error.map(|error| percent_text(error, 3))),
        ("#R²", |it| it.r2.map(bounded)),
    ];
    let mut columns: Vec<Column> = columns.into();
    columns.retain(|(_, column)| heads.iter().any(|(_, it)| column(it).is_some()));
    let head: Vec<&str> = std::iter::once("Head").chain(columns.iter().map(|(name, _)| *name)).collect();
    let row = |(name, it): &(&str, HeadFigures)| -> Vec<Markup> {
        let values = columns.iter().map(|(_, column)| cell(column(it).unwrap_or_else(|| "–".to_owned())));
        std::iter::once(cell(name)).chain(values).collect()
    };
    table(&head, &heads.iter().map(row).collect::<Vec<_>>())
}

/// The head trained on ciphertexts beside the same steps in the clear.
fn compared(report: &HeadReport) -> Vec<Vec<Markup>> {
    let quality = &report.quality;
    let mut rows: Vec<Vec<Markup>> = Vec::new();
    if let Some(share) = quality.same_answers {
        let name = "Test answers equal to those of the same steps in the clear";
        rows.push(vec![cell(name), cell(percent_text(share, 2)), cell("")]);
    }
    if let Some(error) = quality.weight_error {
        rows.push(vec![cell("Largest difference of an answer from them"), cell(compact_text(error)), cell("")]);
    }
    if let Some(range) = report.recipe.logit_range {
        let inside = quality.largest_logit <= range;
        rows.push(vec![
            cell("Largest logit of all steps, and the range of the polynomial"),
            cell(format!("{} of {}", compact_text(quality.largest_logit), compact_text(range))),
            badge(inside, if inside { "inside" } else { "outside" }),
        ]);
    }
    rows
}

fn readings(report: &HeadReport) -> Result<Markup, ReportError> {
    let outputs = &report.quality.outputs;
    if outputs.is_empty() {
        return Ok(html! {});
    }
    let rows: Vec<Vec<String>> = outputs
        .iter()
        .map(|one| {
            vec![
                named(&one.name, &one.unit),
                bounded(one.r2),
                percent_text(one.relative_error, 3),
                compact_text(one.bias),
                format!("{} to {}", compact_text(one.limits.0), compact_text(one.limits.1)),
            ]
        })
        .collect();
    let pictures = outputs
        .iter()
        .filter(|one| !one.points.is_empty())
        .map(|one| Ok(html! { div { h3 { (named(&one.name, &one.unit)) } (head_charts::agreement(one)?) } }))
        .collect::<Result<Vec<Markup>, ReportError>>()?;
    let head = ["Reading", "#R²", "#Mean relative error", "#Bias", "#Limits of agreement"];
    let body = html! {
        (table(&head, &rows))
        @if !pictures.is_empty() {
            h3 { "Bland-Altman plots: difference of answer and truth over their mean" }
            div.pictures.small { @for picture in &pictures { (picture) } }
        }
    };
    let lead = "Bias is the mean difference of answer and truth; 95 % of the differences lie between the limits of \
                agreement, if they follow a normal law. Both are in the reading's unit.";
    Ok(section("Readings", lead, &body))
}

/// `heart rate, 1/min`.
fn named(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") }
}

fn learning(report: &HeadReport) -> Result<Markup, ReportError> {
    let range = report.recipe.logit_range;
    let largest = match range {
        Some(_) => "Largest logit, and the range of the polynomial",
        None => "Largest answer",
    };
    let body = html! {
        div.pictures {
            div { h3 { "Training loss" } (head_charts::loss(&report.steps)?) }
            div { h3 { (largest) } (head_charts::logits(&report.steps, range)?) }
        }
        @if !report.steps.is_empty() { (steps(report)) }
    };
    let lead = match report.parameters {
        Some(_) => "Of the same steps in the clear: on ciphertexts, nobody sees a loss.",
        None => "Step by step.",
    };
    Ok(section("Learning curve", lead, &body))
}

/// The numbers of the pictures, for those who cannot see them.
fn steps(report: &HeadReport) -> Markup {
    let encrypted = report.steps.iter().any(|step| step.evaluate_ms.is_some());
    let time = |ms: Option<f64>| cell(ms.map_or_else(|| "–".to_owned(), milliseconds_text));
    let rows: Vec<Vec<Markup>> = report
        .steps
        .iter()
        .map(|step| {
            let mut row = vec![cell(step.step), cell(compact_text(step.loss)), cell(compact_text(step.largest_logit))];
            if encrypted {
                row.extend([step.evaluate_ms, step.verify_ms, step.refresh_ms].map(time));
            }
            row
        })
        .collect();
    let head = ["#Step", "#Loss", "#Largest logit", "#Evaluate", "#Verify", "#Refresh"];
    let body = table(if encrypted { &head } else { &head[..3] }, &rows);
    if rows.len() > STEPS_UNFOLDED { folded(&format!("All {} steps", rows.len()), &body) } else { body }
}

fn times(report: &HeadReport) -> Result<Markup, ReportError> {
    if report.steps.iter().all(|step| step.evaluate_ms.is_none()) {
        return Ok(html! {});
    }
    let lead = "Evaluate: the coordinator takes the step. Verify: a hospital computes it again. Refresh: hospitals \
                turn what it left into ciphertexts with levels for the next one.";
    Ok(section("Time of a step", lead, &html! { div.pictures { div { (head_charts::times(&report.steps)?) } } }))
}

fn footer(report: &HeadReport) -> Markup {
    html! {
        footer {
            p {
                "Consilium " (report.version) " · started " (report.started) " · " (seconds_text(report.wall_s))
                " · seed " (report.seed)
                br;
                "experiment " code { (report.experiment) }
                br;
                "Research software, not a medical device."
            }
        }
    }
}
