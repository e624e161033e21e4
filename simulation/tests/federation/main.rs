//! Whole federations over real QUIC on the loopback device, with real keys and the default, flooded presets: small
//! networks and few images, but nothing left out.

mod head;
mod privacy;
mod service;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use coordinator::compute::Compute;
use experiment::{DEMO, Experiment, Site};
use ndarray::Axis;
use protocol::campaign::PauseReason;
use remedy::{Exit, Explained};
use simulation::FederationError;
use simulation::dropout::DropOut;
use simulation::event::EventSender;
use simulation::options::RunOptions;
use simulation::run_folder;
use tempfile::TempDir;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Federations run one after the other: each takes all cores, and a hospital that gets none looks lost.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that any crate of this process ever tells, libraries included, in one file.
fn log() -> PathBuf {
    static LOG: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::create(folder.path().join("log")).expect("created");
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file));
        // A transport tells a hundred megabytes of packet numbers below this.
        let levels = Targets::new().with_default(LevelFilter::TRACE).with_target("quinn_proto", LevelFilter::DEBUG);
        tracing_subscriber::registry().with(lines.with_filter(levels)).init();
        folder
    });
    LOG.path().join("log")
}

/// The demo's experiment, made small.
fn experiment(more: &[&str]) -> Experiment {
    let small = [
        "federation.rounds=2",
        "federation.patience=16s",
        "data.simulate.phantom.patients-per-hospital=8",
        "data.simulate.phantom.slices-per-patient=2",
        "train.local-epochs=1",
        "publish.queries=2",
    ];
    let overrides: Vec<String> = small.iter().chain(more).map(|text| (*text).to_owned()).collect();
    Experiment::parse("demo.toml", DEMO, &overrides).expect("the small demo is valid")
}

fn options(out: &Path, drops: &[&str], resume: bool) -> RunOptions {
    let drops: Vec<DropOut> = drops.iter().map(|drop| drop.parse().expect("a valid drop-out")).collect();
    let (compute, site) = (Compute::cpu(), Site::default());
    RunOptions { data: None, out: out.to_path_buf(), drops, resume, compute, site, log: None }
}

#[test]
fn a_lost_decryptor_costs_an_attempt_every_check_holds_and_the_model_is_served_again() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let experiment = experiment(&["publish.quota=3"]);
    let out = run_folder::create(Some(folder.path().join("run")), &experiment, "test").unwrap().path().to_owned();
    let log = log();
    let options = RunOptions { log: Some(log.clone()), ..options(&out, &["hospital-2@2:before-share"], false) };
    let outcome = simulation::run(&experiment, &options, EventSender::silent()).unwrap();
    let report = &outcome.report;
    for oracle in &report.oracles {
        assert!(oracle.passed, "{}: {}", oracle.name, oracle.detail);
    }
    assert!(report.verified());
    // The search had something to read, from every role and from the network below.
    let log = std::fs::read_to_string(log).unwrap();
    for told in ["TRACE client::", "INFO coordinator::", "quinn_proto::"] {
        assert!(log.contains(told), "nothing of {told}");
    }
    assert!(report.oracles.iter().any(|oracle| oracle.name == "log_scanned"));
    assert_eq!(report.rounds.len(), 2);
    let (first, second) = (&report.rounds[0], &report.rounds[1]);
    assert_eq!((first.attempts, first.uploaded.as_slice()), (1, [1, 2, 3, 4, 5].as_slice()));
    // The same cohort, hospital-2's update included, decrypted by the four that are left.
    assert_eq!((second.attempts, second.uploaded.as_slice()), (2, [1, 2, 3, 4, 5].as_slice()));
    assert_eq!(second.decryptors, [1, 3, 4, 5]);
    assert!(first.sum_exact && second.sum_exact);
    assert_eq!(report.dropouts.len(), 1);
    assert!(report.dropouts[0].recovered);
    assert_eq!(report.serving.images, 2);
    assert!(report.serving.model_encrypted);
    assert!(report.traffic.iter().any(|row| row.kind == "shares of answers" && row.bytes > 0));
    let clinical = &report.final_.clinical;
    assert_eq!(clinical.split.kind, report::SplitKind::Patient);
    assert_eq!(clinical.figures.macro_auc.value, Some(report.final_.auc_macro));
    // So few validation images need not have every class.
    assert!(clinical.figures.classes.iter().any(|class| class.operating.is_some()), "{:?}", clinical.figures.classes);
    // Every phantom hospital has a scanner and test patients of its own; together they are the test part.
    assert!(clinical.hospitals.iter().all(|one| one.part == report::SitePart::Test));
    assert_eq!(clinical.hospitals.iter().map(|one| one.images).sum::<usize>(), clinical.figures.images);
    let (parts, latency) = (&report.serving.parts_ms, report.serving.latency_ms);
    for part in [parts.encrypt, parts.network, parts.evaluate, parts.switch, parts.decrypt] {
        assert!(part.p50 > 0.0 && part.p95 < latency.p95, "{parts:?} of {latency:?}");
    }
    let files = report::write(&out, &outcome, experiment.report(), &run_folder::place).unwrap();
    for name in ["report.html", "report.json", "rounds.parquet", "predictions.parquet"] {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name} is missing");
    }
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["rounds"][1]["sum_exact"], true);
    let compute = &json["provenance"]["compute"];
    assert_eq!((compute["choice"].as_str(), compute["device"].is_null()), (Some("cpu"), true));

    service::serves_again(&out, &experiment);
}

#[test]
fn too_few_hospitals_stop_the_run_and_a_resumed_one_finishes_it() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    // Both images in one query; hospitals of unlike sizes, weighed by their classes.
    let unlike = ["federation.weights=declared", "data.simulate.partition=dirichlet", "data.simulate.alpha=1.0"];
    // Of planes of which there are those of one question each.
    let one_query = ["publish.images=2", "publish.figures=pooled", "publish.questions=planes", "publish.quota=1"];
    let experiment = experiment(&[&unlike[..], &one_query[..]].concat());
    let out = run_folder::create(Some(folder.path().join("run")), &experiment, "test").unwrap().path().to_owned();
    let lost = options(&out, &["hospital-2@2:before-upload", "hospital-3@2:before-upload"], false);
    let error = simulation::run(&experiment, &lost, EventSender::silent()).unwrap_err();
    let FederationError::Paused { reason: PauseReason::CutOff { calling, need: 4, .. }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(calling.numbers(), [1, 4, 5]);
    assert!(error.remedy().contains(&format!("consilium run --resume {}", out.display())), "{}", error.remedy());
    assert_eq!(error.exit(), Exit::Quorum);
    service::is_not_served_yet(&out, &experiment);

    let again = run_folder::reopen(&out, &experiment).unwrap();
    // Somebody printed what no log may have: the search of a log can fail.
    let leaky = folder.path().join("leaky");
    let training = experiment.generator().unwrap().draw().unwrap().train.images;
    let pixels: Vec<f32> = training.index_axis(Axis(0), 0).iter().skip(300).take(40).copied().collect();
    std::fs::write(&leaky, format!("INFO client: trains pixels={pixels:?}\n")).unwrap();
    let options = RunOptions { log: Some(leaky), ..options(&again, &[], true) };
    let outcome = simulation::run(&experiment, &options, EventSender::silent()).unwrap();
    let (kept, broken): (Vec<_>, Vec<_>) = outcome.report.oracles.iter().partition(|oracle| oracle.passed);
    assert_eq!(kept.len(), 6, "{broken:?}");
    assert!(matches!(&broken[..], [one] if one.name == "log_scanned" && one.detail.contains("FOUND an image of")));
    assert!(!outcome.report.verified());
    assert_eq!(outcome.report.rounds.len(), 2, "round 1 of the first invocation, round 2 of the second");
    assert_eq!(outcome.report.rounds[1].uploaded, [1, 2, 3, 4, 5]);
    assert_eq!(outcome.report.dropouts.len(), 2);
    let progress = std::fs::read(out.join("progress.json")).unwrap();
    let progress: serde_json::Value = serde_json::from_slice(&progress).unwrap();
    let weights = progress["weights"].as_array().unwrap();
    assert!(weights.len() == 5 && weights.iter().any(|weight| weight == "1"), "{weights:?}");
    assert!(weights.iter().any(|weight| weight != "1"), "all shares are alike: {weights:?}");
    assert_eq!((outcome.report.serving.images, outcome.report.serving.images_per_query), (2, 2));
    // The hospitals added up their own counts of all test images, and opened the same.
    let final_ = &outcome.report.final_;
    let pooled = final_.pooled.as_ref().unwrap();
    assert_eq!((pooled.hospitals, pooled.test_images), (5, final_.clinical.figures.images as u64));
    assert!(pooled.validation_images > 0 && pooled.calibration.is_some());
    assert!(report::summary(&outcome.report).contains(&report::headline(pooled)));
}

#[test]
fn data_that_do_not_fit_the_experiment_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = ["data.format=npz", "data.simulate.partition=iid"].map(str::to_owned);
    let text = DEMO.replace("source = \"phantom\"\n", "");
    let cut = text.split("[data.simulate.phantom]").next().unwrap().to_owned();
    let rest = text.split("[model]").nth(1).unwrap();
    let text = format!("{cut}[model]{rest}");
    let experiment = Experiment::parse("npz.toml", &text, &overrides).unwrap();
    let path = folder.path().join("images.npz");
    std::fs::write(&path, b"this is no archive").unwrap();
    let out = run_folder::create(Some(folder.path().join("run")), &experiment, "test").unwrap().path().to_owned();
    let options = RunOptions { data: Some(path), ..options(&out, &[], false) };
    let error = simulation::run(&experiment, &options, EventSender::silent()).unwrap_err();
    assert!(error.to_string().contains("images.npz"), "{error}");
    assert_eq!(error.exit(), Exit::BadInput);
}
