//! The short table that ends a run in the terminal.

use std::fmt::Write;

use metrics::Interval;

use super::{
    card,
    privacy::PrivacyBlock,
    quality::SplitKind,
    schema::Report,
    units::{bytes_text, milliseconds_text, number_text, seconds_text},
};

/// The result in a few aligned lines, without a last newline.
pub fn summary(report: &Report) -> String {
    let final_ = &report.final_;
    let serving = &report.serving;
    let experiment = &report.experiment;
    let mut lines: Vec<(&str, String)> = Vec::new();
    let federated = match final_.clinical.figures.macro_auc.interval {
        Some(Interval { low, high }) => {
            format!("{}   95 % CI {low:.3} to {high:.3}", quality(final_.accuracy, final_.auc_macro))
        }
        None => quality(final_.accuracy, final_.auc_macro),
    };
    let slices = final_.clinical.split.kind == SplitKind::Slice;
    lines.push((if slices { "federated, slice-level" } else { "federated model" }, federated));
    lines.push(("all data in one place", quality(final_.centralised.accuracy, final_.centralised.auc_macro)));
    if let Some((accuracy, auc)) = local_mean(report) {
        lines.push(("each hospital alone, mean", quality(accuracy, auc)));
    }
    if let Some(pooled) = &final_.pooled {
        lines.push(("added up by the hospitals", card::headline(pooled)));
    }
    let exact = report.rounds.iter().filter(|round| round.sum_exact).count();
    let rounds = report.rounds.len();
    let up: u64 = report.rounds.iter().map(|round| round.bytes_up).sum();
    lines.push(("encrypted rounds", format!("{rounds}, of which {exact} equal the plaintext integer sum bit for bit")));
    lines.push(("sent by hospitals", format!("{} in training", bytes_text(up))));
    if let Some(privacy) = &report.privacy {
        let (spent, PrivacyBlock { epsilon, delta, .. }) = (number_text(privacy.spent(), 2), privacy);
        lines.push(("patients hidden", format!("ε {spent} of {epsilon} spent, at δ {delta}")));
    }
    for loss in &report.dropouts {
        let state = if loss.recovered { "recovered" } else { "not recovered" };
        lines.push(("lost", format!("hospital-{} in round {} ({}): {state}", loss.hospital, loss.round, loss.moment)));
    }
    if serving.images > 0 {
        let agree = number_text(serving.argmax_agreement * 100.0, 1);
        let delta = if serving.max_abs_delta_logit.is_finite() {
            format!("{:.1e}", serving.max_abs_delta_logit)
        } else {
            "–".to_owned()
        };
        lines.push((
            "encrypted inference",
            format!(
                "{} images, {agree} % same answer as in the clear, largest logit difference {delta}",
                serving.images
            ),
        ));
        let latency = serving.latency_ms;
        lines.push((
            "per encrypted query",
            format!(
                "{} median, {} p95, {} up, {} down",
                milliseconds_text(latency.p50),
                milliseconds_text(latency.p95),
                bytes_text(serving.query_bytes),
                bytes_text(serving.reply_bytes)
            ),
        ));
    }
    let computed = report.provenance.compute.summary.trim_start_matches("computing on ");
    lines.push(("computed on", computed.to_owned()));
    let failed: Vec<&str> =
        report.oracles.iter().filter(|oracle| !oracle.passed).map(|oracle| oracle.name.as_str()).collect();
    let checks = report.oracles.len();
    lines.push((
        "self-checks",
        if failed.is_empty() {
            format!("{checks} of {checks} passed")
        } else {
            format!("FAILED: {}", failed.join(", "))
        },
    ));
    lines.push(("time", seconds_text(report.wall_s)));
    let mut text = format!(
        "{}: {} hospitals, threshold {}, {} parameters\n",
        experiment.name, experiment.hospitals, experiment.threshold, experiment.parameters
    );
    for (name, value) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<26} {value}");
    }
    text.trim_end().to_owned()
}

fn quality(accuracy: f64, auc: f64) -> String {
    format!("accuracy {}   macro AUC {}", number_text(accuracy, 3), number_text(auc, 3))
}

/// Mean over the hospitals, of those numbers that exist.
pub(super) fn local_mean(report: &Report) -> Option<(f64, f64)> {
    let mean = |values: Vec<f64>| {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let local = &report.final_.local_only;
    let accuracy = mean(local.iter().map(|one| one.accuracy).collect())?;
    let auc = mean(local.iter().map(|one| one.auc_macro).collect()).unwrap_or(f64::NAN);
    Some((accuracy, auc))
}
