//! report.html: the result in one paragraph, then the evidence, top down.

use maud::{Markup, html};

use super::{
    ReportError, charts, clinic,
    page::{badge, bar, cell, figure, folded, line, page, section, table},
    paired::Paired,
    privacy,
    schema::{Latency, Report, Traffic},
    summary::local_mean,
    trust,
    units::{bytes_text, grouped, milliseconds_text, number_text, seconds_text},
};

/// A longer table of rounds is folded away.
const ROUNDS_UNFOLDED: usize = 12;

/// The whole page.
pub(super) fn render(report: &Report) -> Result<String, ReportError> {
    let body = html! {
        (header(report))
        (figures(report))
        (learning(report)?)
        (quality(report)?)
        (clinic::render(report))
        (serving(report))
        (checks(report))
        (dropouts(report))
        @if let Some(privacy) = &report.privacy { (privacy::render(privacy)) }
        (trusted(report))
        (traffic(report))
        (rounds(report))
        (times(report))
        (parameters(report))
        (footer(report))
    };
    Ok(page(&format!("{} – Consilium report", report.experiment.name), &body))
}

fn header(report: &Report) -> Markup {
    let experiment = &report.experiment;
    html! {
        header {
            p.eyebrow { "Consilium · encrypted federated training" }
            h1 { (experiment.name) }
            @if !experiment.description.is_empty() { p.lead { (experiment.description) } }
            p.result { (result(report)) }
        }
    }
}

/// The result in one paragraph.
fn result(report: &Report) -> String {
    let experiment = &report.experiment;
    let final_ = &report.final_;
    let rounds = report.rounds.len();
    let mut result = format!(
        "{} hospitals trained one model of {} parameters in {rounds} {} without showing each other an image, an update \
         or a sample count. On images that nobody trained on{} it reaches a macro AUC of {} and an accuracy of {} %",
        experiment.hospitals,
        grouped(experiment.parameters),
        if rounds == 1 { "round" } else { "rounds" },
        final_.clinical.split.kind.warning(),
        number_text(final_.auc_macro, 3),
        number_text(final_.accuracy * 100.0, 1),
    );
    if final_.centralised.auc_macro.is_finite() {
        let auc = number_text(final_.centralised.auc_macro, 3);
        result.push_str(&format!("; all data in one place would have reached {auc}"));
    }
    if let Some((_, auc)) = local_mean(report).filter(|(_, auc)| auc.is_finite()) {
        result.push_str(&format!(", a hospital alone {} on average", number_text(auc, 3)));
    }
    result.push_str(". ");
    if report.serving.model_encrypted {
        result.push_str(match experiment.final_step {
            true => "The finished model exists only encrypted",
            false => "The finished model, which hospitals alone know, is served encrypted",
        });
        if report.serving.images > 0 {
            result.push_str(&format!(", and answered {} encrypted images", report.serving.images));
        }
        result.push('.');
    }
    result
}

fn figures(report: &Report) -> Markup {
    let final_ = &report.final_;
    let serving = &report.serving;
    let exact = report.rounds.iter().filter(|round| round.sum_exact).count();
    let up: u64 = report.rounds.iter().map(|round| round.bytes_up).sum();
    let test = format!("test images{}", final_.clinical.split.kind.warning());
    let sums = format!("{exact}/{}", report.rounds.len());
    html! {
        div.figures {
            (figure(number_text(final_.auc_macro, 3), "", &format!("macro AUC, {test}")))
            (figure(number_text(final_.accuracy * 100.0, 1), "%", &format!("accuracy, {test}")))
            (figure(sums, "", "encrypted sums equal to the plaintext ones, bit for bit"))
            @if serving.images > 0 {
                (figure(
                    number_text(serving.argmax_agreement * 100.0, 1),
                    "%",
                    "encrypted answers equal to those in the clear",
                ))
                (figure(milliseconds_text(serving.latency_ms.p50), "", "median time of an encrypted query"))
            }
            (figure(bytes_text(up), "", "ciphertexts and shares sent in training"))
        }
    }
}

fn learning(report: &Report) -> Result<Markup, ReportError> {
    let body = html! {
        div.pictures {
            div { h3 { "Macro AUC on validation images" } (charts::auc(report)?) }
            div { h3 { "Training loss" } (charts::loss(report)?) }
        }
    };
    let lead = format!(
        "After each round, of the model that all hospitals share{}.",
        report.final_.clinical.split.kind.warning()
    );
    Ok(section("Learning curve", &lead, &body))
}

fn quality(report: &Report) -> Result<Markup, ReportError> {
    let final_ = &report.final_;
    let line = |name: Markup, samples: String, accuracy: f64, auc: f64, series: usize| {
        vec![
            name,
            cell(samples),
            cell(number_text(accuracy * 100.0, 1)),
            cell(number_text(auc, 3)),
            // AUC runs from chance, 0.5, to 1.
            bar((auc - 0.5) * 2.0, series),
        ]
    };
    let central = final_.centralised;
    let mut rows = vec![
        line(html! { b { "Federated, encrypted" } }, String::new(), final_.accuracy, final_.auc_macro, 0),
        line(cell("All data in one place"), String::new(), central.accuracy, central.auc_macro, 7),
    ];
    for local in &final_.local_only {
        let name = cell(format!("hospital-{} alone", local.hospital));
        rows.push(line(name, grouped(local.samples), local.accuracy, local.auc_macro, 1));
    }
    let body = html! {
        div.pictures {
            div { h3 { "ROC, each class against the rest" } (charts::roc(report)?) }
            div { h3 { "Reliability, with 95 % intervals; the diagonal is perfect" } (charts::reliability(report)?) }
            div { h3 { "Confusion matrix, rows are the truth" } (charts::confusion(report)?) }
            div { h3 { "All classes together" } (clinic::single_numbers(report)) }
        }
        (clinic::bins(report))
        (table(&["Model", "#Training images", "#Accuracy %", "#Macro AUC", "from chance to perfect"], &rows))
    };
    let lead = format!(
        "{} The baselines exist because this federation is simulated: in a real one, nobody could compute them \
         together.",
        clinic::split_line(&final_.clinical)
    );
    Ok(section("Quality on test images", &lead, &body))
}

fn serving(report: &Report) -> Markup {
    let serving = &report.serving;
    if serving.images == 0 {
        return html! {};
    }
    let delta = if serving.max_abs_delta_logit.is_finite() {
        format!("{:.2e}", serving.max_abs_delta_logit)
    } else {
        "–".to_owned()
    };
    let latency = |one: Latency| {
        format!("{} median, {} at the 95th percentile", milliseconds_text(one.p50), milliseconds_text(one.p95))
    };
    let parts = &serving.parts_ms;
    let mut rows = vec![
        ("Images classified under encryption", serving.images.to_string()),
        ("Same answer as the model in the clear", format!("{} %", number_text(serving.argmax_agreement * 100.0, 1))),
        ("Largest difference of a logit", delta),
    ];
    rows.extend(serving.paired.iter().flat_map(Paired::rows));
    rows.extend([
        ("Time from encrypting to reading the answer", latency(serving.latency_ms)),
        ("– encrypting, at the hospital that asks", latency(parts.encrypt)),
        ("– evaluating, at the coordinator", latency(parts.evaluate)),
        ("– switching to the asker's key, at the decryptors and the coordinator", latency(parts.switch)),
        ("– decrypting, at the hospital that asks", latency(parts.decrypt)),
        ("– network: transfer, polling and waiting", latency(parts.network)),
        ("Query, sent", bytes_text(serving.query_bytes)),
        ("Reply, received", bytes_text(serving.reply_bytes)),
        ("Encrypted model", bytes_text(serving.model_bytes)),
    ]);
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    section(
        "Encrypted inference",
        "The coordinator evaluates an encrypted model on an encrypted image; the hospital that asked reads the answer.",
        &table(&["", "#"], &rows),
    )
}

fn checks(report: &Report) -> Markup {
    let rows: Vec<Vec<Markup>> = report
        .oracles
        .iter()
        .map(|oracle| {
            let word = if oracle.passed { "passed" } else { "failed" };
            vec![badge(oracle.passed, word), html! { code { (oracle.name) } }, cell(&oracle.detail)]
        })
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    section(
        "Self-checks",
        "Made in every run against plaintext values that only a simulation has.",
        &table(&["", "Check", "Finding"], &rows),
    )
}

fn dropouts(report: &Report) -> Markup {
    if report.dropouts.is_empty() {
        return html! {};
    }
    let rows: Vec<Vec<Markup>> = report
        .dropouts
        .iter()
        .map(|loss| {
            let word = if loss.recovered { "recovered" } else { "not recovered" };
            vec![
                badge(loss.recovered, word),
                line(format!("hospital-{}", loss.hospital)),
                cell(loss.round),
                line(&loss.moment),
                cell(&loss.outcome),
            ]
        })
        .collect();
    let body = table(&["", "Hospital", "#Round", "Moment", "What the others did"], &rows);
    section("Lost hospitals", "", &body)
}

fn trusted(report: &Report) -> Markup {
    let rows: Vec<Vec<Markup>> = trust::table(report)
        .into_iter()
        .map(|row| vec![html! { b { (row.who) } }, cell(row.holds), cell(row.learns), cell(row.never)])
        .collect();
    section(
        "Who learns what",
        "If everybody follows the protocol and looks at all that passes by.",
        &table(&["Who", "Holds", "Learns", "Does not learn"], &rows),
    )
}

fn traffic(report: &Report) -> Markup {
    if report.traffic.is_empty() {
        return html! {};
    }
    let lines = |traffic: &[Traffic]| -> Vec<Vec<Markup>> {
        let most = traffic.iter().map(|line| line.bytes).max().unwrap_or(0).max(1);
        let row = |line: &Traffic| {
            vec![
                cell(&line.from),
                cell(&line.to),
                cell(&line.kind),
                cell(grouped(line.messages.try_into().unwrap_or(usize::MAX))),
                cell(bytes_text(line.bytes)),
                bar(line.bytes as f64 / most as f64, if line.from == "coordinator" { 7 } else { 0 }),
            ]
        };
        traffic.iter().map(row).collect()
    };
    let head = ["From", "To", "What", "#Messages", "#Bytes", ""];
    let total: u64 = report.traffic.iter().map(|line| line.bytes).sum();
    let lead = format!("Every message over the connections of this run, {} in all.", bytes_text(total));
    let body = html! {
        (table(&head, &lines(&by_role(&report.traffic))))
        (folded("The same for each hospital", &table(&head, &lines(&report.traffic))))
    };
    section("Who sent what", &lead, &body)
}

/// All hospitals in one line for each kind of message, in the order of first appearance.
fn by_role(traffic: &[Traffic]) -> Vec<Traffic> {
    let role = |party: &str| if party.starts_with("hospital-") { "hospitals".to_owned() } else { party.to_owned() };
    let mut roles: Vec<Traffic> = Vec::new();
    for line in traffic {
        let (from, to) = (role(&line.from), role(&line.to));
        match roles.iter_mut().find(|sum| sum.from == from && sum.to == to && sum.kind == line.kind) {
            Some(sum) => {
                sum.messages += line.messages;
                sum.bytes += line.bytes;
            }
            None => roles.push(Traffic { from, to, ..line.clone() }),
        }
    }
    roles
}

fn rounds(report: &Report) -> Markup {
    let parties = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let rows: Vec<Vec<Markup>> = report
        .rounds
        .iter()
        .map(|round| {
            vec![
                cell(round.round),
                cell(round.attempts),
                cell(parties(&round.uploaded)),
                cell(parties(&round.decryptors)),
                badge(round.sum_exact, if round.sum_exact { "equal" } else { "differs" }),
                cell(number_text(round.loss, 3)),
                cell(number_text(round.auc, 3)),
                cell(bytes_text(round.bytes_up)),
                cell(bytes_text(round.bytes_down)),
                cell(milliseconds_text(round.ms.train)),
                cell(milliseconds_text(round.ms.encrypt)),
                cell(milliseconds_text(round.ms.aggregate)),
                cell(milliseconds_text(round.ms.decrypt)),
            ]
        })
        .collect();
    let head = [
        "#Round",
        "#Attempts",
        "Uploaded",
        "Decrypted",
        "Exact sum",
        "#Loss",
        "#AUC",
        "#Up",
        "#Down",
        "#Train",
        "#Encrypt",
        "#Add",
        "#Decrypt",
    ];
    let mut body = table(&head, &rows);
    if rows.len() > ROUNDS_UNFOLDED {
        body = folded(&format!("All {} rounds", rows.len()), &body);
    }
    section("Rounds", "Numbers under Uploaded and Decrypted are hospitals.", &body)
}

fn times(report: &Report) -> Markup {
    if report.phases.is_empty() {
        return html! {};
    }
    let most = report.phases.iter().map(|phase| phase.seconds).fold(1e-9, f64::max);
    let rows: Vec<Vec<Markup>> = report
        .phases
        .iter()
        .map(|phase| vec![cell(&phase.phase), cell(seconds_text(phase.seconds)), bar(phase.seconds / most, 2)])
        .collect();
    let (threads, cores) = (report.provenance.threads, report.provenance.cores);
    let lead = match threads == cores {
        true => format!("{} on {cores} cores.", seconds_text(report.wall_s)),
        false => format!("{} with {threads} threads on {cores} cores.", seconds_text(report.wall_s)),
    };
    section("Time", &lead, &table(&["Phase", "#Time", ""], &rows))
}

fn parameters(report: &Report) -> Markup {
    let (a, s) = (&report.crypto.aggregation, &report.crypto.serving);
    let row = |role: &str, preset: &str, n: usize, log_qp: f64, limit: u32, depth: String| {
        vec![
            cell(role),
            html! { code { (preset) } },
            cell(grouped(n)),
            cell(number_text(log_qp, 2)),
            cell(limit),
            cell(depth),
        ]
    };
    let rows = [
        row("Training rounds", &a.preset, a.n, a.log_qp, a.limit, "–".to_owned()),
        row("Published model", &s.preset, s.n, s.log_qp, s.limit, s.depth.to_string()),
    ];
    section(
        "Parameters",
        "The modulus of every preset is below the limit for 128-bit classical security at its ring degree.",
        &table(&["Used in", "Preset", "#Ring degree", "#log2 of modulus", "#Limit", "#Levels"], &rows),
    )
}

fn footer(report: &Report) -> Markup {
    let provenance = &report.provenance;
    html! {
        footer {
            p {
                "Consilium " (provenance.version) " · started " (provenance.started) " · " (provenance.machine) " · "
                (provenance.cores) " cores · " (provenance.compute.summary) " · seed " (report.experiment.seed)
                br;
                "command " code { (provenance.command) }
                br;
                "plan " code { (report.experiment.plan_digest) }
                br;
                "Research software, not a medical device."
            }
        }
    }
}
