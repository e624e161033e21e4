//! The short table on a head that ends its training in the terminal.

use super::{
    charts::short,
    head::{HeadCosts, HeadReport, HeadServing},
    head_parts::median,
    units::{bytes_text, compact_text, milliseconds_text, percent_text, seconds_text},
};

/// No line is longer, in characters.
const COLUMNS: usize = 100;

type Line = (&'static str, String);

/// The result in a few aligned lines, without a last newline.
#[must_use]
pub fn head_summary(report: &HeadReport) -> String {
    let data = &report.data;
    let mut lines = quality(report);
    if report.parameters.is_some() {
        lines.extend(step(report));
    }
    lines.extend(report.costs.as_ref().map(|costs| spent(report, costs)).unwrap_or_default());
    lines.extend(report.serving.as_ref().map(served));
    if report.parameters.is_some() {
        lines.extend(protected(report));
    }
    let checks = report.checks();
    let failed: Vec<&str> = checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
    lines.push((
        "self-checks",
        match failed.as_slice() {
            [] => format!("{} of {} passed", checks.len(), checks.len()),
            failed => format!("FAILED: {}", failed.join(", ")),
        },
    ));
    lines.push(("time", seconds_text(report.wall_s)));
    let how = if report.parameters.is_some() { "on ciphertexts" } else { "in the clear" };
    // Names come from a file; the rest of the line must have its place all the same.
    let title = format!("{}: a head trained {how}", short(&report.name, 60));
    let shape = format!(
        "  {}, {} rows of {} hospitals, {} steps",
        report.shape(),
        data.train_rows,
        report.hospitals(),
        report.steps.len()
    );
    let lines = lines.into_iter().map(|(name, value)| format!("  {name:<24} {value}"));
    let lines: Vec<String> = [title, shape].into_iter().chain(lines).map(|line| fitting(&line)).collect();
    lines.join("\n")
}

/// One line of a terminal: no controls, and not too long.
fn fitting(line: &str) -> String {
    short(&line.replace(char::is_control, "\u{fffd}"), COLUMNS)
}

fn quality(report: &HeadReport) -> Vec<Line> {
    let quality = &report.quality;
    let mut lines: Vec<Line> = Vec::new();
    lines.extend(quality.encrypted.map(|it| ("on ciphertexts", it.text())));
    lines.push(("in the clear, same steps", quality.shadow.text()));
    lines.push(("exact, same features", quality.exact.text()));
    lines.extend(quality.averaged.map(|it| ("federated averaging", it.text())));
    if let Some(share) = quality.same_answers {
        let largest = quality
            .weight_error
            .map_or_else(String::new, |error| format!(", largest difference {}", compact_text(error)));
        lines.push(("same answers as there", format!("{}{largest}", percent_text(share, 2))));
    }
    let largest = compact_text(quality.largest_logit);
    lines.extend(report.recipe.logit_range.map(|range| {
        let outside = if quality.largest_logit <= range { "" } else { ", OUTSIDE" };
        ("largest logit", format!("{largest} of {}{outside}", compact_text(range)))
    }));
    lines
}

fn step(report: &HeadReport) -> Option<Line> {
    let of = |part: fn(&super::HeadStep) -> Option<f64>| median(report.steps.iter().filter_map(part));
    let parts = [
        ("evaluate", of(|step| step.evaluate_ms)),
        ("verify", of(|step| step.verify_ms)),
        ("refresh", of(|step| step.refresh_ms)),
    ];
    let parts: Vec<String> =
        parts.iter().filter_map(|(name, ms)| Some(format!("{name} {}", milliseconds_text((*ms)?)))).collect();
    (!parts.is_empty()).then(|| ("a step, median", parts.join(", ")))
}

fn spent(report: &HeadReport, costs: &HeadCosts) -> Vec<Line> {
    let predicted = costs.predicted_step_ms.map(milliseconds_text);
    let mut lines: Vec<Line> = predicted.map(|text| ("a step as predicted", text)).into_iter().collect();
    lines.extend([
        (
            "all steps",
            format!(
                "{} with a machine for each party, {} in this process",
                seconds_text(costs.critical_s),
                seconds_text(costs.here_s)
            ),
        ),
        (
            "uploads",
            format!(
                "{} in {} ciphertexts, {} to encrypt, {} to lift",
                bytes_text(costs.upload_bytes),
                costs.ciphertexts,
                seconds_text(costs.encrypt_s),
                seconds_text(costs.lift_s)
            ),
        ),
    ]);
    lines.extend(report.parameters.as_ref().map(|it| {
        ("keys", format!("{} of each hospital, {}", bytes_text(it.key_bytes as u64), seconds_text(costs.keys_s)))
    }));
    lines
}

fn served(serving: &HeadServing) -> Line {
    let right = serving.right.map_or_else(String::new, |right| format!(", {right} right"));
    let time = 1000.0 * median(serving.query_s.iter().copied()).unwrap_or(f64::NAN);
    let off = compact_text(serving.off);
    (
        "encrypted questions",
        format!("{}{right}, {} median, logits off by {off}", serving.queries, milliseconds_text(time)),
    )
}

fn protected(report: &HeadReport) -> Vec<Line> {
    let protection = &report.protection;
    let opened = if protection.opened_to_measure { "; the simulation opened it, to measure it" } else { "" };
    let mut lines = vec![("decryptions of the head", format!("{}{opened}", protection.decryptions_of_head))];
    lines.push((
        "found at the coordinator",
        match protection.needles {
            0 if protection.found.is_empty() => "nothing was looked for".to_owned(),
            needles => {
                format!("{} of {needles} needles in {}", protection.found.len(), bytes_text(protection.scanned_bytes))
            }
        },
    ));
    lines.extend(report.parameters.as_ref().map(|it| {
        let by = match it.verifiers {
            0 => "no hospital computed a step again".to_owned(),
            verifiers => format!(
                "{} of {} steps, by {verifiers} of {} hospitals, {} refused",
                protection.verified_steps,
                report.steps.len(),
                it.hospitals,
                protection.refused_steps
            ),
        };
        ("verified", by)
    }));
    lines.extend(report.parameters.as_ref().map(|it| {
        let refresh = format!("{} of {} hospitals refresh", it.threshold, it.hospitals);
        ("in every step", format!("{refresh}: the training is interactive"))
    }));
    lines
}
