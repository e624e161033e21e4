//! The sections of the page on a head that are tables: costs, serving, protection, data, recipe, parameters.

use maud::{Markup, html};

use super::{
    head::{HeadParameters, HeadReport},
    page::{badge, bar, cell, section, table},
    units::{bytes_text, compact_text, grouped, milliseconds_text, seconds_text},
};

/// More that was found is counted.
const FOUND_LISTED: usize = 20;

/// A table of names and values.
fn facts(rows: Vec<(&str, String)>) -> Markup {
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["", "#"], &rows)
}

/// The one in the middle of those that exist.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().saturating_sub(1) / 2)?, values.get(values.len() / 2)?);
    Some(low + (high - low) / 2.0)
}

pub(super) fn costs(report: &HeadReport) -> Markup {
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(parameters) = &report.parameters {
        rows.push(("Key shares of one hospital", bytes_text(parameters.key_bytes as u64)));
    }
    if let Some(costs) = &report.costs {
        rows.extend([
            ("Making keys", seconds_text(costs.keys_s)),
            ("Encrypted features and labels, all hospitals", bytes_text(costs.upload_bytes)),
            ("– in ciphertexts", grouped(costs.ciphertexts)),
            ("– encrypting them", seconds_text(costs.encrypt_s)),
            ("– lifting them to the training key", seconds_text(costs.lift_s)),
        ]);
    }
    if let Some(moments) = report.moments {
        rows.push(("Encrypted sums for whitening, one hospital", bytes_text(moments.ciphertext_bytes)));
        rows.push(("– in chunks", grouped(moments.chunks)));
    }
    if let Some(costs) = &report.costs {
        let measured = median(report.steps.iter().filter_map(|step| step.evaluate_ms)).unwrap_or(f64::NAN);
        rows.extend([
            ("Refreshes", grouped(costs.refreshes)),
            ("Share of one decryptor in one step", bytes_text(costs.share_bytes)),
            ("A step, median", milliseconds_text(measured)),
            ("All steps, each party on a machine of its own", seconds_text(costs.critical_s)),
            ("All steps, in this process", seconds_text(costs.here_s)),
        ]);
        let predicted = costs.predicted_step_ms.map(milliseconds_text);
        rows.extend(predicted.map(|text| ("A step, as counted operations predict it", text)));
    }
    if rows.is_empty() {
        return html! {};
    }
    section("Costs", "In the order in which they arise.", &facts(rows))
}

pub(super) fn serving(report: &HeadReport) -> Markup {
    let Some(serving) = &report.serving else { return html! {} };
    let time = median(serving.query_s.iter().copied()).unwrap_or(f64::NAN);
    let mut rows = vec![
        ("Parameters", serving.preset.clone()),
        ("Ring degree", grouped(serving.n)),
        ("log2 of modulus", serving.log_qp.to_string()),
        ("Last refresh, under the serving key", seconds_text(serving.handover_s)),
        ("Making a model of what it left", seconds_text(serving.transfer_s)),
        ("Ciphertexts of the model", grouped(serving.ciphertexts)),
        ("Encrypted questions", grouped(serving.queries)),
        ("Time of one to evaluate, median", milliseconds_text(1000.0 * time)),
        ("Largest error of an answer's logit", compact_text(serving.off)),
    ];
    rows.extend(serving.right.map(|right| ("Answered right", format!("{right} of {}", serving.queries))));
    let lead = "The head that answers has never been decrypted: the last refresh moves it under the serving key.";
    let lead = if report.protection.decryptions_of_head == 0 { lead } else { "The finished head at work." };
    section("Encrypted inference", lead, &facts(rows))
}

pub(super) fn protection(report: &HeadReport) -> Markup {
    let protection = &report.protection;
    let rows: Vec<Vec<Markup>> = report
        .checks()
        .into_iter()
        .map(|check| {
            let word = if check.passed { "passed" } else { "failed" };
            vec![badge(check.passed, word), cell(check.name), cell(check.detail)]
        })
        .collect();
    let more = protection.found.len().saturating_sub(FOUND_LISTED);
    let body = html! {
        @match &report.parameters {
            Some(parameters) => {
                (table(&["", "Check", "Finding"], &rows))
                (promises(report, parameters))
            }
            None => {
                p.lead { "Nothing was encrypted in this run: it is what encrypted training is compared with." }
                @if !report.verified() { (table(&["", "Check", "Finding"], &rows)) }
            }
        }
        @if !protection.found.is_empty() {
            h3 { "Found where nothing should be" }
            ul {
                @for found in protection.found.iter().take(FOUND_LISTED) { li { code { (found) } } }
                @if more > 0 { li { "and " (grouped(more)) " more" } }
            }
        }
    };
    section("Protection", "", &body)
}

/// What holds, and against whom it does not.
fn promises(report: &HeadReport, parameters: &HeadParameters) -> Markup {
    let (threshold, hospitals) = (parameters.threshold, parameters.hospitals);
    html! {
        ul {
            @if report.protection.opened_to_measure {
                li { "In this simulation the head was opened with all hospitals' secrets, to measure it." }
            }
            li {
                "Hospitals take part in every step (the training is interactive): " (threshold) " of the " (hospitals)
                " refresh the encrypted weights, and without them it does not go on."
            }
            li {
                (threshold) " of the " (hospitals) " hospitals together can decrypt everything that was encrypted in \
                 this training, uploaded features included. Fewer do not have the shares that it takes."
            }
            @if parameters.verifiers == 0 {
                li {
                    "No hospital computed the steps again. This protects against a coordinator that follows the \
                     protocol, and against no other."
                }
            }
        }
    }
}

pub(super) fn data(report: &HeadReport) -> Markup {
    let data = &report.data;
    let most = data.rows_of_hospitals.iter().copied().max().unwrap_or(0).max(1);
    let rows: Vec<Vec<Markup>> = (1..)
        .zip(&data.rows_of_hospitals)
        .map(|(hospital, rows): (usize, _)| {
            vec![cell(format!("hospital-{hospital}")), cell(grouped(*rows)), bar(*rows as f64 / most as f64, 0)]
        })
        .collect();
    let named = if report.has_readings() { "Readings" } else { "Classes" };
    let lead = format!(
        "{}{} rows to train on, {} to measure on.",
        if data.description.is_empty() { String::new() } else { format!("{}: ", data.description) },
        grouped(data.train_rows),
        grouped(data.test_rows)
    );
    let body = html! {
        @if !data.names.is_empty() { p.lead { (named) ": " (data.names.join(", ")) } }
        @if !rows.is_empty() { (table(&["Hospital", "#Training rows", ""], &rows)) }
    };
    section("Data", &lead, &body)
}

pub(super) fn recipe(report: &HeadReport) -> Markup {
    let recipe = &report.recipe;
    let mut rows = vec![
        ("Numbers of a row", grouped(report.data.raw_features)),
        ("Features of a row, the constant included", grouped(report.data.dimension)),
        ("Made uncorrelated first", if recipe.whitened { "yes" } else { "no" }.to_owned()),
    ];
    rows.extend(recipe.degree.map(|degree| ("Degree of the polynomial for the sigmoid", degree.to_string())));
    rows.extend(recipe.logit_range.map(|range| ("It is good for logits up to", compact_text(range))));
    rows.extend([
        ("Steps", grouped(recipe.steps)),
        ("Rows in one ciphertext", grouped(recipe.rows_per_group)),
        ("Groups of rows", grouped(recipe.groups)),
        ("Groups of a step", grouped(recipe.groups_per_batch)),
        ("Step length", compact_text(recipe.learning_rate)),
        ("Step length of the last steps", compact_text(recipe.late_rate)),
        ("Momentum", compact_text(recipe.momentum)),
        ("Pull of the weights towards nothing", compact_text(recipe.weight_decay)),
    ]);
    let lead = format!(
        "The same on ciphertexts and in the clear. Made small: {}. Features: {}.",
        recipe.loss.trim_end_matches('.'),
        recipe.features.trim_end_matches('.')
    );
    section("Recipe", &lead, &facts(rows))
}

pub(super) fn parameters(report: &HeadReport) -> Markup {
    let Some(parameters) = &report.parameters else { return html! {} };
    let rows = vec![
        ("Preset", parameters.preset.clone()),
        ("Ring degree", grouped(parameters.n)),
        ("log2 of modulus", parameters.log_qp.to_string()),
        ("Security", parameters.security.clone()),
        ("Rotation keys", grouped(parameters.rotation_keys)),
        ("Statistical security of a refresh", format!("2^-{}", parameters.refresh_bits)),
        ("– for so many refreshes", grouped(usize::try_from(parameters.tau).unwrap_or(usize::MAX))),
        ("Hospitals", parameters.hospitals.to_string()),
        ("Hospitals that a refresh takes", parameters.threshold.to_string()),
        ("Hospitals that compute a step again before any share leaves", parameters.verifiers.to_string()),
    ];
    section("Parameters", "Of the key under which the head was trained.", &facts(rows))
}
