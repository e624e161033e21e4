//! report.html: the result in one paragraph, then the evidence, top down.

use super::{
    ReportError, charts, clinic,
    page::{badge, bar, escape, figure, folded, page, section, table},
    paired::Paired,
    schema::{Latency, Report, Traffic},
    summary::local_mean,
    trust,
    units::{bytes_text, milliseconds_text, number_text, seconds_text},
};

/// A longer table of rounds is folded away.
const ROUNDS_UNFOLDED: usize = 12;

/// The whole page.
pub(super) fn render(report: &Report) -> Result<String, ReportError> {
    let mut body = header(report);
    body.push_str(&figures(report));
    body.push_str(&learning(report)?);
    body.push_str(&quality(report)?);
    body.push_str(&clinic::render(report));
    body.push_str(&serving(report));
    body.push_str(&checks(report));
    body.push_str(&dropouts(report));
    body.push_str(&trusted(report));
    body.push_str(&traffic(report));
    body.push_str(&rounds(report));
    body.push_str(&times(report));
    body.push_str(&parameters(report));
    body.push_str(&footer(report));
    Ok(page(&format!("{} – Consilium report", report.experiment.name), &body))
}

fn header(report: &Report) -> String {
    let experiment = &report.experiment;
    let final_ = &report.final_;
    let rounds = report.rounds.len();
    let mut result = format!(
        "{} hospitals trained one model of {} parameters in {rounds} {} without showing each other an image, an update or a sample count. On images that nobody trained on{} it reaches a macro AUC of {} and an accuracy of {} %",
        experiment.hospitals,
        grouped(experiment.parameters),
        if rounds == 1 { "round" } else { "rounds" },
        final_.clinical.split.kind.warning(),
        number_text(final_.auc_macro, 3),
        number_text(final_.accuracy * 100.0, 1),
    );
    if final_.centralised.auc_macro.is_finite() {
        result.push_str(&format!(
            "; all data in one place would have reached {}",
            number_text(final_.centralised.auc_macro, 3)
        ));
    }
    if let Some((_, auc)) = local_mean(report).filter(|(_, auc)| auc.is_finite()) {
        result.push_str(&format!(", a hospital alone {} on average", number_text(auc, 3)));
    }
    result.push_str(". ");
    if report.serving.model_encrypted {
        result.push_str("The finished model exists only encrypted");
        if report.serving.images > 0 {
            result.push_str(&format!(", and answered {} encrypted images", report.serving.images));
        }
        result.push('.');
    }
    let description = if experiment.description.is_empty() {
        String::new()
    } else {
        format!("<p class=\"lead\">{}</p>", escape(&experiment.description))
    };
    format!(
        "<header><p class=\"eyebrow\">Consilium · encrypted federated training</p><h1>{}</h1>{description}<p class=\"result\">{}</p></header>\n",
        escape(&experiment.name),
        escape(&result)
    )
}

fn figures(report: &Report) -> String {
    let final_ = &report.final_;
    let serving = &report.serving;
    let exact = report.rounds.iter().filter(|round| round.sum_exact).count();
    let up: u64 = report.rounds.iter().map(|round| round.bytes_up).sum();
    let mut html = String::from("<div class=\"figures\">\n");
    let test = format!("test images{}", final_.clinical.split.kind.warning());
    html.push_str(&figure(number_text(final_.auc_macro, 3), "", &format!("macro AUC, {test}")));
    html.push_str(&figure(number_text(final_.accuracy * 100.0, 1), "%", &format!("accuracy, {test}")));
    html.push_str(&figure(
        format!("{exact}/{}", report.rounds.len()),
        "",
        "encrypted sums equal to the plaintext ones, bit for bit",
    ));
    if serving.images > 0 {
        let agreement = number_text(serving.argmax_agreement * 100.0, 1);
        html.push_str(&figure(agreement, "%", "encrypted answers equal to those in the clear"));
        html.push_str(&figure(milliseconds_text(serving.latency_ms.p50), "", "median time of an encrypted query"));
    }
    html.push_str(&figure(bytes_text(up), "", "ciphertexts and shares sent in training"));
    html.push_str("</div>\n");
    html
}

fn learning(report: &Report) -> Result<String, ReportError> {
    let body = format!(
        "<div class=\"pictures\"><div><h3>Macro AUC on validation images</h3>{}</div><div><h3>Training loss</h3>{}</div></div>\n",
        charts::auc(report)?,
        charts::loss(report)?
    );
    let lead = format!(
        "After each round, of the model that all hospitals share{}.",
        report.final_.clinical.split.kind.warning()
    );
    Ok(section("Learning curve", &lead, &body))
}

fn quality(report: &Report) -> Result<String, ReportError> {
    let final_ = &report.final_;
    let mut body = format!(
        "<div class=\"pictures\"><div><h3>ROC, each class against the rest</h3>{}</div><div><h3>Reliability, with 95 % intervals; the diagonal is perfect</h3>{}</div><div><h3>Confusion matrix, rows are the truth</h3>{}</div><div><h3>All classes together</h3>{}</div></div>\n{}",
        charts::roc(report)?,
        charts::reliability(report)?,
        charts::confusion(report)?,
        clinic::single_numbers(report),
        clinic::bins(report),
    );
    let line = |name: String, samples: String, accuracy: f64, auc: f64, series: usize| {
        vec![
            name,
            samples,
            number_text(accuracy * 100.0, 1),
            number_text(auc, 3),
            // AUC runs from chance, 0.5, to 1.
            bar((auc - 0.5) * 2.0, series),
        ]
    };
    let mut rows = vec![
        line("<b>Federated, encrypted</b>".to_owned(), String::new(), final_.accuracy, final_.auc_macro, 0),
        line(
            "All data in one place".to_owned(),
            String::new(),
            final_.centralised.accuracy,
            final_.centralised.auc_macro,
            7,
        ),
    ];
    for local in &final_.local_only {
        let name = format!("hospital-{} alone", local.hospital);
        rows.push(line(name, grouped(local.samples), local.accuracy, local.auc_macro, 1));
    }
    body.push_str(&table(&["Model", "#Training images", "#Accuracy %", "#Macro AUC", "from chance to perfect"], &rows));
    let lead = format!(
        "{} The baselines exist because this federation is simulated: in a real one, nobody could compute them together.",
        clinic::split_line(&final_.clinical)
    );
    Ok(section("Quality on test images", &lead, &body))
}

fn serving(report: &Report) -> String {
    let serving = &report.serving;
    if serving.images == 0 {
        return String::new();
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
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), escape(&value)]).collect();
    section(
        "Encrypted inference",
        "The coordinator evaluates an encrypted model on an encrypted image; the hospital that asked reads the answer.",
        &table(&["", "#"], &rows),
    )
}

fn checks(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .oracles
        .iter()
        .map(|oracle| {
            let word = if oracle.passed { "passed" } else { "failed" };
            vec![badge(oracle.passed, word), format!("<code>{}</code>", escape(&oracle.name)), escape(&oracle.detail)]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    section(
        "Self-checks",
        "Made in every run against plaintext values that only a simulation has.",
        &table(&["", "Check", "Finding"], &rows),
    )
}

fn dropouts(report: &Report) -> String {
    if report.dropouts.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = report
        .dropouts
        .iter()
        .map(|loss| {
            let word = if loss.recovered { "recovered" } else { "not recovered" };
            vec![
                badge(loss.recovered, word),
                format!("<span class=\"line\">hospital-{}</span>", loss.hospital),
                loss.round.to_string(),
                format!("<span class=\"line\">{}</span>", escape(&loss.moment)),
                escape(&loss.outcome),
            ]
        })
        .collect();
    let body = table(&["", "Hospital", "#Round", "Moment", "What the others did"], &rows);
    section("Lost hospitals", "", &body)
}

fn trusted(report: &Report) -> String {
    let rows: Vec<Vec<String>> = trust::table(report)
        .into_iter()
        .map(|row| {
            vec![format!("<b>{}</b>", escape(&row.who)), escape(&row.holds), escape(&row.learns), escape(&row.never)]
        })
        .collect();
    section(
        "Who learns what",
        "If everybody follows the protocol and looks at all that passes by.",
        &table(&["Who", "Holds", "Learns", "Does not learn"], &rows),
    )
}

fn traffic(report: &Report) -> String {
    if report.traffic.is_empty() {
        return String::new();
    }
    let lines = |traffic: &[Traffic]| -> Vec<Vec<String>> {
        let most = traffic.iter().map(|line| line.bytes).max().unwrap_or(0).max(1);
        let row = |line: &Traffic| {
            vec![
                escape(&line.from),
                escape(&line.to),
                escape(&line.kind),
                grouped(line.messages.try_into().unwrap_or(usize::MAX)),
                escape(&bytes_text(line.bytes)),
                bar(line.bytes as f64 / most as f64, if line.from == "coordinator" { 7 } else { 0 }),
            ]
        };
        traffic.iter().map(row).collect()
    };
    let head = ["From", "To", "What", "#Messages", "#Bytes", ""];
    let total: u64 = report.traffic.iter().map(|line| line.bytes).sum();
    let lead = format!("Every message over the connections of this run, {} in all.", bytes_text(total));
    let mut body = table(&head, &lines(&by_role(&report.traffic)));
    body.push_str(&folded("The same for each hospital", &table(&head, &lines(&report.traffic))));
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

fn rounds(report: &Report) -> String {
    let parties = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let rows: Vec<Vec<String>> = report
        .rounds
        .iter()
        .map(|round| {
            vec![
                round.round.to_string(),
                round.attempts.to_string(),
                parties(&round.uploaded),
                parties(&round.decryptors),
                badge(round.sum_exact, if round.sum_exact { "equal" } else { "differs" }),
                number_text(round.loss, 3),
                number_text(round.auc, 3),
                escape(&bytes_text(round.bytes_up)),
                escape(&bytes_text(round.bytes_down)),
                escape(&milliseconds_text(round.ms.train)),
                escape(&milliseconds_text(round.ms.encrypt)),
                escape(&milliseconds_text(round.ms.aggregate)),
                escape(&milliseconds_text(round.ms.decrypt)),
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

fn times(report: &Report) -> String {
    if report.phases.is_empty() {
        return String::new();
    }
    let most = report.phases.iter().map(|phase| phase.seconds).fold(1e-9, f64::max);
    let rows: Vec<Vec<String>> = report
        .phases
        .iter()
        .map(|phase| vec![escape(&phase.phase), escape(&seconds_text(phase.seconds)), bar(phase.seconds / most, 2)])
        .collect();
    let (threads, cores) = (report.provenance.threads, report.provenance.cores);
    let lead = match threads == cores {
        true => format!("{} on {cores} cores.", seconds_text(report.wall_s)),
        false => format!("{} with {threads} threads on {cores} cores.", seconds_text(report.wall_s)),
    };
    section("Time", &lead, &table(&["Phase", "#Time", ""], &rows))
}

fn parameters(report: &Report) -> String {
    let (a, s) = (&report.crypto.aggregation, &report.crypto.serving);
    let row = |role: &str, preset: &str, n: usize, log_qp: f64, limit: u32, depth: String| {
        vec![
            role.to_owned(),
            format!("<code>{}</code>", escape(preset)),
            grouped(n),
            number_text(log_qp, 2),
            limit.to_string(),
            depth,
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

fn footer(report: &Report) -> String {
    let provenance = &report.provenance;
    format!(
        "<footer><p>Consilium {} · started {} · {} · {} cores · {} · seed {}<br>command <code>{}</code><br>plan <code>{}</code><br>Research software, not a medical device.</p></footer>\n",
        escape(&provenance.version),
        escape(&provenance.started),
        escape(&provenance.machine),
        provenance.cores,
        escape(&provenance.compute.summary),
        report.experiment.seed,
        escape(&provenance.command),
        escape(&report.experiment.plan_digest),
    )
}

/// `12345` as `12 345`, with narrow spaces that do not break.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
