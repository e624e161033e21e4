//! The files of a run, from invented numbers.

use std::path::Path;

use ::parquet::file::reader::SerializedFileReader;
use ::parquet::record::{Field, Row};
use experiment::{DEMO, Experiment};
use metrics::{
    AtOperatingPoint, Calibration, ClassFigures, Clinical, Decisions, Estimate, Interval, OperatingPoint, Rate,
    ReliabilityBin,
};

use super::*;

/// The figures of 296 invented test images of 74 patients; a class with one patient has no interval.
fn clinical() -> ClinicalQuality {
    let estimate =
        |value: f64, low: f64, high: f64| Estimate { value: Some(value), interval: Some(Interval { low, high }) };
    let decided = |hits: u64, of: u64, passes: u64, rest: u64| Decisions {
        sensitivity: Rate::new(hits, of),
        specificity: Rate::new(passes, rest),
        positive_predictive: Rate::new(hits, hits + rest - passes),
        negative_predictive: Rate::new(passes, passes + of - hits),
    };
    let class = |images: usize, groups: usize, auc: Estimate, auprc: Estimate, argmax: Decisions, threshold: f64| {
        let point = OperatingPoint { threshold, log_odds: (threshold / (1.0 - threshold)).ln(), youden: 0.8 };
        let operating = Some(AtOperatingPoint { point, decisions: decided(90, 100, 180, 196) });
        ClassFigures { images, groups, auc, auprc, argmax, operating }
    };
    let bin = |k: u32| {
        let confidence = 0.4 + 0.04 * f64::from(k);
        ReliabilityBin { confidence, right: 0.95 * confidence, count: 20 }
    };
    let figures = Clinical {
        images: 296,
        groups: 74,
        validation_images: 280,
        resamples: 2000,
        macro_auc: estimate(0.941, 0.918, 0.962),
        balanced_accuracy: 0.876,
        macro_f1: 0.873,
        mcc: Some(0.81),
        calibration: Calibration { expected_error: 0.031, brier: 0.19 },
        reliability: (0..15).map(bin).collect(),
        classes: vec![
            class(98, 25, estimate(0.952, 0.921, 0.977), estimate(0.93, 0.88, 0.96), decided(88, 98, 185, 198), 0.41),
            class(98, 24, estimate(0.961, 0.93, 0.98), estimate(0.94, 0.9, 0.97), decided(91, 98, 186, 198), 2e-7),
            class(
                100,
                1,
                Estimate { value: Some(0.911), interval: None },
                Estimate { value: Some(0.88), interval: None },
                decided(80, 100, 184, 196),
                0.35,
            ),
        ],
    };
    let site = |hospital: u16, auc: f64| SiteQuality {
        hospital,
        part: SitePart::Test,
        images: 59,
        groups: 15,
        accuracy: 0.84,
        auc_macro: estimate(auc, auc - 0.05, auc + 0.03),
        auc_per_class: vec![Some(auc), None, Some(auc)],
    };
    let hospitals = vec![site(1, 0.95), site(2, 0.91), site(3, 0.96), site(4, 0.94), site(5, 0.93)];
    let split = SplitNote::new(SplitKind::Patient, "kidney phantom, 5 hospitals; split by patient");
    ClinicalQuality::new(split, figures, hospitals)
}

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
                device: DeviceBytes::default(),
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
    let asked = ndarray::array![[1.0f32, 0.0], [0.0, 2.0]];
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
            clinical: clinical(),
            pooled: None,
        },
        serving: Serving {
            images: 10,
            argmax_agreement: 1.0,
            max_abs_delta_logit: 3.1e-5,
            paired: Paired::of(&asked, &asked, &[0, 1]).ok(),
            images_per_query: 1,
            latency_ms: Latency { p50: 1834.0, p95: 2011.0 },
            evaluate_ms: Latency { p50: 1500.0, p95: 1700.0 },
            device: DeviceBytes { to: 900_000_000, from: 9_000_000 },
            parts_ms: ServingParts {
                encrypt: Latency { p50: 21.0, p95: 25.0 },
                network: Latency { p50: 140.0, p95: 180.0 },
                evaluate: Latency { p50: 1500.0, p95: 1700.0 },
                switch: Latency { p50: 160.0, p95: 171.0 },
                decrypt: Latency { p50: 3.0, p95: 4.0 },
            },
            query_bytes: 4_669_440,
            reply_bytes: 5_840,
            leak_bits_per_answer: 128,
            leak_bits: 1_280,
            model_bytes: 214_000_000,
            model_encrypted: true,
        },
        privacy: None,
        oracles: vec![
            oracle("sum_exact", "8 of 8 decrypted sums equal the plaintext integer sums of the same updates."),
            oracle(
                "argmax_agreement",
                "10 of 10 encrypted answers equal the plaintext ones; largest logit \
                 difference 3.1e-5.",
            ),
            oracle(
                "no_plaintext_at_coordinator",
                "0 of 41 216 needles found in 312 MB of files and messages of \
                 the coordinator.",
            ),
        ],
        dropouts: vec![DropOutReport {
            hospital: 2,
            round: 4,
            moment: "before-share".to_owned(),
            recovered: true,
            outcome: "The attempt was given up; the same updates were encrypted again under fresh randomness and \
                      opened by hospitals 1, 3, 4 and 5."
                .to_owned(),
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
            threads: 2,
            compute: ComputeReport {
                choice: "cpu".to_owned(),
                device: None,
                isa: "scalar".to_owned(),
                reason: "as chosen".to_owned(),
                given_up: None,
                summary: "computing on the processor (scalar): as chosen".to_owned(),
            },
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
    has("/experiment", "name seed hospitals threshold parameters final_step");
    has("/crypto/aggregation", "preset n log_qp limit");
    has("/crypto/serving", "preset n log_qp limit depth");
    has("/rounds/0", "round uploaded decryptors sum_exact loss auc bytes_up bytes_down ms");
    has("/rounds/0/ms", "train encrypt aggregate decrypt");
    has("/rounds/0/device", "to from");
    has("/serving/device", "to from");
    has("/provenance/compute", "choice device isa reason given_up summary");
    has("/final", "accuracy auc_macro auc_per_class confusion centralised local_only");
    has("/final/centralised", "accuracy auc_macro");
    has("/final/local_only/0", "hospital accuracy auc_macro");
    has(
        "/serving",
        "images argmax_agreement max_abs_delta_logit latency_ms evaluate_ms query_bytes reply_bytes \
         leak_bits_per_answer leak_bits model_bytes model_encrypted",
    );
    has("/serving/paired", "plain encrypted abs_delta_auc mcnemar");
    has("/serving/latency_ms", "p50 p95");
    has("/serving/parts_ms", "encrypt network evaluate switch decrypt");
    has("/serving/parts_ms/switch", "p50 p95");
    has(
        "/final/clinical",
        "split images groups validation_images resamples macro_auc balanced_accuracy macro_f1 mcc calibration \
         reliability classes hospitals weakest_hospital",
    );
    has("/final/clinical/split", "kind caption data");
    has("/final/clinical/macro_auc/interval", "low high");
    has("/final/clinical/calibration", "expected_error brier");
    has("/final/clinical/reliability/0", "confidence right count");
    has("/final/clinical/classes/0", "images groups auc auprc argmax operating");
    has("/final/clinical/classes/0/argmax", "sensitivity specificity positive_predictive negative_predictive");
    has("/final/clinical/classes/0/argmax/sensitivity", "hits of value interval");
    has("/final/clinical/classes/0/operating/point", "threshold log_odds youden");
    has("/final/clinical/hospitals/0", "hospital part images groups accuracy auc_macro auc_per_class");
    assert_eq!(value["final"]["clinical"]["split"]["kind"], "patient");
    assert_eq!(value["final"]["clinical"]["hospitals"][0]["part"], "test");
    assert_eq!(value["final"]["clinical"]["weakest_hospital"], 2);
    assert!(value["final"]["clinical"]["classes"][2]["auc"]["interval"].is_null());
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
    assert_eq!(page.matches("<svg ").count(), 5);
}

#[test]
fn the_page_states_figures_with_intervals_thresholds_and_the_split() {
    let page = html::render(&outcome().report).expect("page");
    let stated = [
        "0.952 (0.921 to 0.977)",
        "<b>0.941 (0.918 to 0.962)</b>",
        "0.911 (no interval)",
        // Wilson: 88 of 98.
        "0.90 (0.82 to 0.94) <small>88/98</small>",
        "<td class=\"n\">0.4100</td>",
        "<td class=\"n\">2.0e-7</td>",
        "chosen on 280 validation images",
        "2\u{202f}000 bootstrap resamples of whole patients or series",
        "296 test images of 74 patients or series",
        "Split by patient or series",
        "0.910 (0.860 to 0.940)</td><td><span class=\"badge bad\">lowest</span>",
        "0 / 0, p = 1.000",
        "<td class=\"n\">160 ms median, 171 ms at the 95th percentile</td>",
    ];
    for text in stated {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("Split by patient or series").count(), 2);
    assert_eq!(page.matches("lowest</span>").count(), 1);
    let mut outcome = outcome();
    let clinical = &mut outcome.report.final_.clinical;
    clinical.split = SplitNote::new(SplitKind::Slice, "somewhere");
    clinical.hospitals.iter_mut().for_each(|one| one.part = SitePart::Training);
    clinical.figures.classes[0].operating = None;
    let page = html::render(&outcome.report).expect("page");
    assert!(page.contains("A dash: the validation images"));
    assert_eq!(page.matches("slice-level").count(), 4);
    assert_eq!(page.matches("Slice-level").count(), 2);
    let clinical = &mut outcome.report.final_.clinical;
    clinical.figures.validation_images = 0;
    clinical.figures.classes.iter_mut().for_each(|class| class.operating = None);
    let page = html::render(&outcome.report).expect("page");
    assert!(page.contains("optimistic") && page.contains("its own training images"));
    assert!(page.contains("no validation images"));
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
    evil.clone_into(&mut report.final_.clinical.split.data);
    let page = html::render(report).expect("page");
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&amp;&quot;"));
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
    let clinical = &mut report.final_.clinical;
    clinical.hospitals.clear();
    clinical.figures.classes.clear();
    clinical.figures.reliability.clear();
    clinical.figures.mcc = None;
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

fn place(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, bytes)
}

#[test]
fn all_files_are_written() {
    let folder = tempfile::tempdir().expect("folder");
    let outcome = outcome();
    let formats = Experiment::parse("demo.toml", DEMO, &[]).expect("valid").report();
    let files = write(folder.path(), &outcome, formats, &place).expect("written");
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["report.json", "report.html", "rounds.parquet", "predictions.parquet"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 4);
    let read = |name: &str| -> Vec<Row> {
        let file = std::fs::File::open(folder.path().join(name)).expect("file");
        let reader = SerializedFileReader::new(file).expect("parquet");
        reader.into_iter().collect::<Result<_, _>>().expect("rows")
    };
    let cell = |row: &Row, name: &str| -> Field {
        row.get_column_iter().find(|(column, _)| *column == name).expect(name).1.clone()
    };
    let rounds = read("rounds.parquet");
    assert_eq!((rounds.len(), rounds[0].len()), (8, 13));
    for (row, round) in rounds.iter().zip(&outcome.report.rounds) {
        assert_eq!(cell(row, "round"), Field::UInt(round.round));
        assert_eq!(cell(row, "bytes_up"), Field::ULong(round.bytes_up));
        assert_eq!(cell(row, "sum_exact"), Field::Bool(round.sum_exact));
        assert_eq!(cell(row, "loss"), Field::Double(round.loss));
        let uploaded: Vec<String> = round.uploaded.iter().map(u16::to_string).collect();
        assert_eq!(cell(row, "uploaded"), Field::Str(uploaded.join(" ")));
    }
    let predictions = read("predictions.parquet");
    assert_eq!(predictions.len(), 6);
    assert_eq!(cell(&predictions[0], "image"), Field::Str(outcome.predictions[0].name.clone()));
    let answers: Vec<bool> = predictions.iter().map(|row| cell(row, "encrypted_predicted") == Field::Null).collect();
    let asked: Vec<bool> = outcome.predictions.iter().map(|row| row.encrypted_logits.is_some()).collect();
    assert_eq!(answers.iter().filter(|missing| **missing).count(), 4);
    assert!(answers.iter().zip(&asked).all(|(missing, asked)| missing != asked));
    let Field::Double(share) = cell(&predictions[0], "p_cyst") else { panic!("a share is a number") };
    let expected = 1.0 / (1f64.exp() + 1.0 + (-1f64).exp());
    assert!((share - expected).abs() < 1e-12);
    // Named by hand, to read the tables with other tools.
    if let Some(keep) = std::env::var_os("CONSILIUM_KEEP_TABLES") {
        for name in ["rounds.parquet", "predictions.parquet"] {
            std::fs::copy(folder.path().join(name), Path::new(&keep).join(name)).expect("copied");
        }
    }
    if let Some(keep) = std::env::var_os("CONSILIUM_KEEP_REPORT") {
        std::fs::copy(folder.path().join("report.html"), Path::new(&keep)).expect("copied");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let formats = Experiment::parse("demo.toml", DEMO, &[]).expect("valid").report();
    let error = write(Path::new("/nowhere"), &outcome(), formats, &place).expect_err("refused").to_string();
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

#[test]
fn a_model_that_hospitals_know_is_not_said_to_exist_only_encrypted() {
    let mut outcome = outcome();
    outcome.report.serving.model_encrypted = true;
    assert!(html::render(&outcome.report).expect("page").contains("The finished model exists only encrypted"));
    outcome.report.experiment.final_step = false;
    let page = html::render(&outcome.report).expect("page");
    assert!(page.contains("The finished model, which hospitals alone know, is served encrypted"));
    assert!(!page.contains("exists only encrypted"));
}
