//! The files of a run, from invented numbers.

use std::path::Path;

use polars::prelude::{ParquetReader, SerReader};

use super::*;
use crate::experiment::{DEMO, Experiment};

/// A run that never took place, with every block filled.
fn outcome() -> RunOutcome {
    let experiment = Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid");
    let rounds = (1..=8u32)
        .map(|round| {
            let t = f64::from(round);
            Round {
                round,
                attempts: if round == 4 { 2 } else { 1 },
                uploaded: if round == 6 { vec![1, 3, 4, 5] } else { vec![1, 2, 3, 4, 5] },
                decryptors: if round == 4 { vec![1, 3, 4, 5] } else { vec![1, 2, 3, 4] },
                sum_exact: true,
                loss: 1.09 * (-0.22 * t).exp() + 0.18,
                auc: 0.945 - 0.42 * (-0.45 * t).exp(),
                bytes_up: 5 * 215_084 + 4 * 215_084,
                bytes_down: 5 * 215_084,
                ms: RoundTimes { train: 812.0 + t, encrypt: 6.1, aggregate: 1.4, decrypt: 41.0 },
            }
        })
        .collect();
    let curve = |bend: f64| (0..=40).map(|x| f64::from(x) / 40.0).map(|x| [x, x.powf(bend)]).collect::<Vec<_>>();
    let local =
        |hospital: u16, accuracy: f64, auc_macro: f64| LocalQuality { hospital, samples: 134, accuracy, auc_macro };
    let line = |from: &str, to: &str, kind: &str, messages: u64, bytes: u64| Traffic {
        from: from.to_owned(),
        to: to.to_owned(),
        kind: kind.to_owned(),
        messages,
        bytes,
    };
    let oracle = |name: &str, detail: &str| Oracle { name: name.to_owned(), passed: true, detail: detail.to_owned() };
    let phase = |phase: &str, seconds: f64| PhaseTime { phase: phase.to_owned(), seconds };
    let mut traffic: Vec<Traffic> =
        (1..=5).map(|j| line(&format!("hospital-{j}"), "coordinator", "update ciphertext", 8, 8 * 215_084)).collect();
    traffic.push(line("hospital-1", "coordinator", "evaluation key share", 22, 98_400_000));
    traffic.push(line("coordinator", "hospital-1", "blinded sum", 8, 8 * 215_084));
    let report = Report {
        schema: 1,
        experiment: ExperimentBlock::of(&experiment),
        crypto: Crypto::of(&experiment),
        rounds,
        final_: Final {
            accuracy: 0.842,
            auc_macro: 0.941,
            auc_per_class: vec![0.952, 0.961, 0.911],
            confusion: vec![vec![88, 3, 7], vec![2, 91, 5], vec![11, 9, 80]],
            roc: vec![curve(0.08), curve(0.06), curve(0.14)],
            centralised: Quality { accuracy: 0.871, auc_macro: 0.958 },
            local_only: vec![
                local(1, 0.66, 0.81),
                local(2, 0.61, 0.77),
                local(3, 0.7, 0.84),
                local(4, 0.64, 0.79),
                local(5, 0.58, f64::NAN),
            ],
        },
        serving: Serving {
            images: 10,
            argmax_agreement: 1.0,
            max_abs_delta_logit: 3.1e-5,
            latency_ms: Latency { p50: 1834.0, p95: 2011.0 },
            evaluate_ms: Latency { p50: 1500.0, p95: 1700.0 },
            query_bytes: 4_669_440,
            reply_bytes: 983_040,
            model_bytes: 214_000_000,
            model_encrypted: true,
        },
        oracles: vec![
            oracle("sum_exact", "8 of 8 decrypted sums equal the plaintext integer sums of the same updates."),
            oracle("argmax_agreement", "10 of 10 encrypted answers equal the plaintext ones; largest logit difference 3.1e-5."),
            oracle("no_plaintext_at_coordinator", "0 of 41 216 needles found in 312 MB of files and messages of the coordinator."),
        ],
        dropouts: vec![DropOutReport {
            hospital: 2,
            round: 4,
            moment: "before-share".to_owned(),
            recovered: true,
            outcome: "The attempt was given up; the same updates were encrypted again under fresh randomness and opened by hospitals 1, 3, 4 and 5.".to_owned(),
        }],
        traffic,
        phases: vec![
            phase("data", 0.9),
            phase("connecting", 0.3),
            phase("key ceremony", 8.4),
            phase("8 rounds", 11.0),
            phase("publishing", 4.2),
            phase("encrypted inference", 18.9),
            phase("checking", 6.0),
        ],
        provenance: Provenance {
            version: "0.1.0".to_owned(),
            command: "consilium demo".to_owned(),
            started: "2026-11-20T14:03:07Z".to_owned(),
            machine: "linux x86_64".to_owned(),
            cores: 2,
        },
        wall_s: 49.8,
    };
    let predictions = (0..6u8)
        .map(|index| Prediction {
            name: format!("patient-{index}"),
            label: index % 3,
            logits: vec![1.0, f64::from(index), -1.0],
            encrypted_logits: (index < 2).then(|| vec![1.0, f64::from(index) + 1e-4, -1.0]),
            asker: (index < 2).then_some(3),
        })
        .collect();
    RunOutcome { report, predictions }
}

#[test]
fn the_json_has_the_agreed_shape() {
    let value = serde_json::to_value(outcome().report).expect("JSON");
    let keys = |path: &str| -> Vec<String> {
        let object = value.pointer(path).and_then(|value| value.as_object()).unwrap_or_else(|| panic!("{path}"));
        object.keys().cloned().collect()
    };
    let has = |path: &str, wanted: &str| {
        let found = keys(path);
        for key in wanted.split(' ') {
            assert!(found.iter().any(|name| name == key), "{path} lacks {key}: {found:?}");
        }
    };
    assert_eq!(value["schema"], 1);
    has("", "schema experiment crypto rounds final serving wall_s");
    has("/experiment", "name seed hospitals threshold parameters");
    has("/crypto/aggregation", "preset n log_qp limit");
    has("/crypto/serving", "preset n log_qp limit depth");
    has("/rounds/0", "round uploaded decryptors sum_exact loss auc bytes_up bytes_down ms");
    has("/rounds/0/ms", "train encrypt aggregate decrypt");
    has("/final", "accuracy auc_macro auc_per_class confusion centralised local_only");
    has("/final/centralised", "accuracy auc_macro");
    has("/final/local_only/0", "hospital accuracy auc_macro");
    has(
        "/serving",
        "images argmax_agreement max_abs_delta_logit latency_ms evaluate_ms query_bytes reply_bytes model_bytes model_encrypted",
    );
    has("/serving/latency_ms", "p50 p95");
    assert_eq!(value["rounds"][5]["uploaded"], serde_json::json!([1, 3, 4, 5]));
    assert_eq!(value["crypto"]["serving"]["limit"], 868);
}

#[test]
fn a_number_that_does_not_exist_is_null() {
    let value = serde_json::to_value(outcome().report).expect("JSON");
    assert!(value["final"]["local_only"][4]["auc_macro"].is_null());
    let text = serde_json::to_string(&outcome().report).expect("JSON");
    assert!(text.contains("\"auc_macro\":null"));
}

#[test]
fn the_page_fetches_nothing() {
    let page = html::render(&outcome().report).expect("page");
    for forbidden in ["http", "src=", "href=", "url(", "@import", "<script", "<link", "<img"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<svg ").count(), 4);
}

#[test]
fn the_page_escapes_what_comes_from_outside() {
    let mut outcome = outcome();
    let evil = "<script>alert('x')</script>&\"";
    let report = &mut outcome.report;
    evil.clone_into(&mut report.experiment.name);
    evil.clone_into(&mut report.experiment.description);
    evil.clone_into(&mut report.experiment.classes[0]);
    evil.clone_into(&mut report.oracles[0].detail);
    evil.clone_into(&mut report.dropouts[0].outcome);
    evil.clone_into(&mut report.traffic[0].kind);
    evil.clone_into(&mut report.provenance.command);
    let page = html::render(report).expect("page");
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
}

#[test]
fn a_run_without_rounds_or_queries_still_has_a_page() {
    let mut outcome = outcome();
    let report = &mut outcome.report;
    report.rounds.clear();
    report.serving.images = 0;
    report.dropouts.clear();
    report.traffic.clear();
    report.final_.confusion.clear();
    report.final_.roc.clear();
    report.final_.auc_per_class.clear();
    report.final_.local_only.clear();
    let page = html::render(report).expect("page");
    assert!(page.contains("no round yet"));
    assert!(!page.contains("NaN"));
}

#[test]
fn one_or_ten_classes_and_one_round_can_be_drawn() {
    let mut outcome = outcome();
    let report = &mut outcome.report;
    report.rounds.truncate(1);
    report.experiment.classes = (0..16).map(|class| format!("a class with a long name {class}")).collect();
    report.final_.confusion = (0..16).map(|row| (0..16).map(|column| row * column).collect()).collect();
    report.final_.auc_per_class = vec![0.5; 16];
    report.final_.roc = vec![vec![[0.0, 0.0], [1.0, 1.0]]; 16];
    let page = html::render(report).expect("page");
    assert!(page.contains("a class with …"));
    if let Some(keep) = std::env::var_os("CONSILIUM_KEEP_REPORT") {
        std::fs::write(Path::new(&keep).with_extension("many.html"), page).expect("written");
    }
}

#[test]
fn all_files_are_written_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let outcome = outcome();
    let formats = Experiment::parse("demo.toml", DEMO, &[]).expect("valid").report();
    let files = write(folder.path(), &outcome, formats).expect("written");
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["report.json", "report.html", "rounds.parquet", "predictions.parquet"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 4);
    let read = |name: &str| {
        let file = std::fs::File::open(folder.path().join(name)).expect("file");
        ParquetReader::new(file).finish().expect("parquet")
    };
    let rounds = read("rounds.parquet");
    assert_eq!((rounds.height(), rounds.width()), (8, 13));
    let predictions = read("predictions.parquet");
    assert_eq!(predictions.height(), 6);
    let answers = predictions.column("encrypted_predicted").expect("column");
    assert_eq!(answers.null_count(), 4);
    let shares = predictions.column("p_cyst").and_then(|column| column.f64().map(|values| values.get(0)));
    let expected = 1.0 / (1f64.exp() + 1.0 + (-1f64).exp());
    assert!((shares.expect("column").expect("value") - expected).abs() < 1e-12);
    if let Some(keep) = std::env::var_os("CONSILIUM_KEEP_REPORT") {
        std::fs::copy(folder.path().join("report.html"), Path::new(&keep)).expect("copied");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let formats = Experiment::parse("demo.toml", DEMO, &[]).expect("valid").report();
    let error = write(Path::new("/nowhere"), &outcome(), formats).expect_err("refused").to_string();
    assert!(error.starts_with("/nowhere/report.json: "), "{error}");
}

#[test]
fn the_summary_is_short_and_says_what_was_lost() {
    let mut outcome = outcome();
    let text = summary(&outcome.report);
    assert!(text.starts_with("demo: 5 hospitals, threshold 4, "), "{text}");
    assert!(text.contains("hospital-2 in round 4 (before-share): recovered"), "{text}");
    assert!(text.contains("8, of which 8 equal the plaintext integer sum bit for bit"), "{text}");
    assert!(text.contains("3 of 3 passed"), "{text}");
    assert!(text.lines().count() < 15);
    outcome.report.oracles[2].passed = false;
    assert!(!outcome.report.verified());
    assert!(summary(&outcome.report).contains("FAILED: no_plaintext_at_coordinator"));
}
