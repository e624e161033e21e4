//! Puts the figures of a finished run together, and makes its self-checks.

use std::path::Path;

use coordinator::compute::Compute;
use datasets::Dataset;
use experiment::Experiment;
use he_infer::{Conditions, ShadowExecutor};
use metrics::Evaluation;
use ndarray::{Array2, Axis};
use report::{
    ClinicalQuality, Crypto, ExperimentBlock, Final, Latency, Oracle, Paired, PhaseTime, Prediction, Provenance,
    Report, RunOutcome, Serving, ServingParts, Traffic, bytes_text,
};

use super::baselines::Baselines;
use super::error::FederationError;
use super::progress::Progress;
use super::run::Asked;
use super::spending;
use super::watch::{LogScan, Watch};
use crate::computing::{compute_report, device_bytes};
use crate::event::{Event, EventSender};
use crate::oracle::{Finding, OracleError};

/// Encrypted and plaintext logits may always differ by so much: far below what changes a diagnosis.
const DELTA_LOGIT: f64 = 1e-2;
/// And by so many deviations of the error that the plan predicts, flooding included: of a thousand million logits two
/// are further off.
const DEVIATIONS: f64 = 6.0;
/// Share of equal answers below which a published model is not to be trusted.
const AGREEMENT_MIN: f64 = 0.999;

/// Everything a run left.
pub(super) struct Finished<'a> {
    pub(super) experiment: &'a Experiment,
    /// The run's folder.
    pub(super) out: &'a Path,
    pub(super) dataset: &'a Dataset,
    pub(super) progress: Progress,
    pub(super) baselines: Baselines,
    pub(super) parameters: &'a [f32],
    pub(super) logits: Array2<f32>,
    pub(super) evaluation: Evaluation,
    pub(super) clinical: ClinicalQuality,
    pub(super) asked: Vec<Asked>,
    pub(super) downloads: Vec<(u16, u64)>,
    pub(super) watch: &'a Watch,
    pub(super) folder_scan: (usize, u64, Vec<Finding>),
    /// Entries of the coordinator's log, or what is wrong with it.
    pub(super) log_check: Result<usize, String>,
    pub(super) log_scan: Option<LogScan>,
    pub(super) control: bool,
    pub(super) needles: usize,
    pub(super) phases: Vec<PhaseTime>,
    pub(super) compute: &'a Compute,
    pub(super) wall_s: f64,
}

/// The report and the predictions.
///
/// # Errors
/// [`FederationError::Oracle`] where the plaintext model cannot be evaluated.
pub(super) fn report(run: Finished<'_>, events: &EventSender) -> Result<RunOutcome, FederationError> {
    let agreement = Agreement::of(&run)?;
    let oracles = oracles(&run, &agreement);
    for oracle in &oracles {
        events.send(Event::Checked { oracle: oracle.name.clone(), passed: oracle.passed });
    }
    let evaluation = &run.evaluation;
    let final_ = Final {
        accuracy: evaluation.accuracy,
        auc_macro: evaluation.macro_auc.unwrap_or(f64::NAN),
        auc_per_class: evaluation.auc.iter().map(|auc| auc.unwrap_or(f64::NAN)).collect(),
        confusion: evaluation.confusion.counts.clone(),
        roc: evaluation
            .roc
            .iter()
            .map(|points| points.iter().map(|p| [p.false_positive_rate, p.true_positive_rate]).collect())
            .collect(),
        centralised: run.baselines.centralised,
        local_only: run.baselines.local_only.clone(),
        clinical: run.clinical.clone(),
        pooled: run.watch.figures(),
    };
    let summary = run.experiment.program().summary();
    let parts_ms = parts(&run);
    let serving = Serving {
        images: run.asked.len(),
        argmax_agreement: agreement.argmax,
        max_abs_delta_logit: agreement.max_abs_delta_logit,
        paired: agreement.paired,
        images_per_query: run.experiment.program().images(),
        latency_ms: percentiles(queries(&run).map(|one| one.answered.latency.as_secs_f64() * 1e3).collect()),
        evaluate_ms: parts_ms.evaluate,
        device: device_bytes(run.watch.serving_moved()),
        parts_ms,
        query_bytes: run.asked.first().map_or(0, |asked| asked.answered.query_bytes),
        reply_bytes: run.asked.first().map_or(0, |asked| asked.answered.reply_bytes),
        leak_bits_per_answer: run.experiment.leak_bits_per_answer(),
        leak_bits: run.experiment.leak_bits_per_answer().saturating_mul(queries(&run).count() as u64),
        model_bytes: summary.model_bytes as u64,
        model_encrypted: run.folder_scan.2.is_empty() && run.control,
    };
    let privacy = spending::of_run(run.experiment, run.out)?;
    let predictions = predictions(&run);
    let traffic = traffic(&run);
    let report = Report {
        schema: 1,
        experiment: ExperimentBlock::of(run.experiment),
        crypto: Crypto::of(run.experiment),
        rounds: run.progress.rounds,
        final_,
        serving,
        privacy,
        oracles,
        dropouts: run.progress.dropouts,
        traffic,
        phases: run.phases,
        provenance: Provenance::here(rayon::current_num_threads(), compute_report(run.compute)),
        wall_s: run.wall_s,
    };
    Ok(RunOutcome { report, predictions })
}

/// How encrypted and plaintext answers of the published model compare.
struct Agreement {
    argmax: f64,
    max_abs_delta_logit: f64,
    /// Above which something is wrong.
    limit: f64,
    paired: Option<Paired>,
}

impl Agreement {
    fn of(run: &Finished<'_>) -> Result<Self, FederationError> {
        let shadow_failed = |error: he_infer::InputError| OracleError::Shadow(error.to_string());
        let program = run.experiment.program();
        let shadow = ShadowExecutor::new(program, run.parameters).map_err(shadow_failed)?;
        let (mut equal, mut worst) = (0usize, 0.0f64);
        let (mut in_clear, mut under_encryption, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for asked in &run.asked {
            let image = run.dataset.test.images.index_axis(Axis(0), asked.index);
            let packed = program.pack_all(image).map_err(shadow_failed)?;
            let slots = shadow.run_all(&packed).map_err(shadow_failed)?;
            let plain = program.read_logits(&slots).map_err(shadow_failed)?;
            let encrypted = &asked.logits;
            equal += usize::from(argmax(&plain) == argmax(encrypted));
            worst = plain.iter().zip(encrypted).map(|(a, b)| (a - b).abs()).fold(worst, f64::max);
            in_clear.extend(plain.iter().map(|logit| *logit as f32));
            under_encryption.extend(encrypted.iter().map(|logit| *logit as f32));
            labels.push(run.dataset.test.labels[asked.index]);
        }
        let classes = program.network().classes();
        let shape = (labels.len(), classes);
        let rows = |logits| Array2::from_shape_vec(shape, logits).ok();
        let argmax = if run.asked.is_empty() { f64::NAN } else { equal as f64 / run.asked.len() as f64 };
        let paired = match (rows(in_clear), rows(under_encryption)) {
            (Some(plain), Some(encrypted)) if !labels.is_empty() => Some(Paired::of(&plain, &encrypted, &labels)?),
            _ => None,
        };
        let limit = delta_limit(run.experiment).map_err(shadow_failed)?;
        Ok(Self { argmax, max_abs_delta_logit: worst, limit, paired })
    }
}

/// The largest difference of encrypted and plaintext logits that noise and flooding explain.
fn delta_limit(experiment: &Experiment) -> Result<f64, he_infer::InputError> {
    let (publish, federation) = (experiment.publish(), experiment.federation());
    // A policy that does not fit its preset was refused with the experiment.
    let flooding = publish.release.policy().flooding_log2(publish.preset).ok().flatten();
    let hospitals = federation.hospitals;
    let flooding = flooding.map(|log2| (log2, federation.threshold));
    let conditions = Conditions { key_parts: hospitals, contributions: hospitals, flooding };
    let predicted = experiment.program().predict_typical_gated_error(conditions)?;
    Ok(DELTA_LOGIT.max(DEVIATIONS * predicted))
}

fn oracles(run: &Finished<'_>, agreement: &Agreement) -> Vec<Oracle> {
    let rounds = &run.progress.rounds;
    let exact = rounds.iter().filter(|round| round.sum_exact).count();
    let (messages, bytes, found) = run.watch.scanned();
    let (files, file_bytes, found_in_files) = &run.folder_scan;
    let describe = |findings: &[Finding]| match findings.first() {
        None => "nothing found".to_owned(),
        Some(first) => format!("FOUND {} in {} at byte {}", first.secret, first.place, first.offset),
    };
    let oracle = |name: &str, passed: bool, detail: String| Oracle { name: name.to_owned(), passed, detail };
    let mut oracles = vec![
        oracle(
            "sum_exact",
            exact == rounds.len() && !rounds.is_empty(),
            format!("{exact} of {} decrypted sums equal the plaintext integer sums, value for value", rounds.len()),
        ),
        oracle(
            "serving_agreement",
            agreement.argmax >= AGREEMENT_MIN && agreement.max_abs_delta_logit <= agreement.limit,
            format!(
                "{} images: equal answers {:.1} %, largest logit difference {:.1e} (limit {:.1e})",
                run.asked.len(),
                agreement.argmax * 100.0,
                agreement.max_abs_delta_logit,
                agreement.limit
            ),
        ),
        oracle(
            "transcript",
            run.log_check.is_ok(),
            match &run.log_check {
                Ok(entries) => format!("{entries} entries of the coordinator's log: chain, signatures and rules hold"),
                Err(wrong) => format!("the coordinator's log does not hold: {wrong}"),
            },
        ),
        oracle(
            "messages_scanned",
            found.is_empty(),
            format!("{messages} messages, {:.0} MB to the coordinator: {}", bytes as f64 / 1e6, describe(&found)),
        ),
        oracle(
            "coordinator_scanned",
            found_in_files.is_empty(),
            format!(
                "{files} files, {:.0} MB at the coordinator: {}",
                *file_bytes as f64 / 1e6,
                describe(found_in_files)
            ),
        ),
        oracle(
            "scan_control",
            run.control,
            format!("{} windows of weights, updates and key shares searched for; planted ones are found", run.needles),
        ),
    ];
    oracles.extend(run.log_scan.as_ref().map(|log| {
        let found: Vec<Finding> = log.found.iter().cloned().collect();
        oracle(
            "log_scanned",
            found.is_empty() && log.control,
            format!(
                "{} of the log, {} windows of weights, updates, keys, passphrases and pixels: {}",
                bytes_text(log.bytes),
                log.windows,
                describe(&found)
            ),
        )
    }));
    oracles
}

/// One of the images of each query: its times are those of the query.
fn queries<'a>(run: &'a Finished<'_>) -> impl Iterator<Item = &'a Asked> {
    run.asked.iter().filter(|asked| asked.place == 0)
}

/// Where the time of the answered queries went. Each party measures its own work; the network has the rest.
fn parts(run: &Finished<'_>) -> ServingParts {
    let ms = |took: std::time::Duration| took.as_secs_f64() * 1e3;
    let of = |part: &dyn Fn(&Asked) -> f64| percentiles(queries(run).map(part).collect());
    let evaluate = |asked: &Asked| run.watch.served(asked.answered.query).evaluate;
    let switch = |asked: &Asked| run.watch.served(asked.answered.query).share;
    let computed =
        |asked: &Asked| ms(asked.answered.encrypt) + evaluate(asked) + switch(asked) + ms(asked.answered.decrypt);
    ServingParts {
        encrypt: of(&|asked| ms(asked.answered.encrypt)),
        network: of(&|asked| (ms(asked.answered.latency) - computed(asked)).max(0.0)),
        evaluate: of(&evaluate),
        switch: of(&switch),
        decrypt: of(&|asked| ms(asked.answered.decrypt)),
    }
}

fn percentiles(mut sorted: Vec<f64>) -> Latency {
    sorted.sort_by(f64::total_cmp);
    // Nearest rank.
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    };
    Latency { p50: at(50), p95: at(95) }
}

fn predictions(run: &Finished<'_>) -> Vec<Prediction> {
    let test = &run.dataset.test;
    (0..test.len())
        .map(|index| {
            let asked = run.asked.iter().find(|asked| asked.index == index);
            Prediction {
                name: test.names.get(index).cloned().unwrap_or_default(),
                label: test.labels[index],
                logits: run.logits.row(index).iter().map(|value| f64::from(*value)).collect(),
                encrypted_logits: asked.map(|asked| asked.logits.clone()),
                asker: asked.map(|asked| asked.asker),
            }
        })
        .collect()
}

fn traffic(run: &Finished<'_>) -> Vec<Traffic> {
    let mut rows: Vec<Traffic> = run
        .watch
        .traffic()
        .into_iter()
        .map(|((party, kind), (messages, bytes))| Traffic {
            from: format!("hospital-{party}"),
            to: "coordinator".to_owned(),
            kind: kind.to_owned(),
            messages,
            bytes,
        })
        .collect();
    let requests = run.watch.requests();
    rows.extend(run.downloads.iter().map(|(party, bytes)| Traffic {
        from: "coordinator".to_owned(),
        to: format!("hospital-{party}"),
        kind: "log, sealed boxes, public keys, blinded sums, answers".to_owned(),
        messages: requests.get(party).copied().unwrap_or(0),
        bytes: *bytes,
    }));
    rows
}

fn argmax(logits: &[f64]) -> usize {
    logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_may_be_off_by_what_the_plan_predicts_and_not_by_what_changes_a_diagnosis() {
        let limit = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            delta_limit(&Experiment::parse("demo.toml", experiment::DEMO, &changes).unwrap()).unwrap()
        };
        // Deviations of 2.8e-3, and of 3.7e-3 where questions are made of planes.
        let (images, planes) = (limit(&[]), limit(&["publish.questions=planes", "publish.quota=4"]));
        assert!(images > 1.2e-2 && images < planes && planes < 4e-2, "{images} {planes}");
    }
}
