//! `consilium bench` as its own process, as people and scripts call it: rows that parse, sums that are exact.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.arg("bench").args(arguments).output().expect("the program starts")
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}

/// A small round: every stage has a row with all documented fields, and the sum is exact, whatever the instruction set.
#[test]
fn an_aggregation_prints_its_stages_and_is_exact() {
    for isa in ["auto", "scalar"] {
        let size = ["--parameters", "2000", "--hospitals", "4"];
        let flags = ["aggregate", "--repeat", "1", "--format", "json", "--isa", isa];
        let output = bench(&[&flags[..], &size[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let rows = rows(&output);
        let ops: Vec<&str> = rows.iter().filter_map(|row| row["op"].as_str()).collect();
        let stages = ["quantise", "encrypt", "add", "share", "combine", "server", "open", "exact"];
        assert_eq!(ops, stages.map(|stage| format!("aggregate.{stage}")));
        for row in &rows {
            assert_eq!(
                (row["preset"].as_str(), row["n"].as_u64(), row["limbs"].as_u64()),
                (Some("AGG13"), Some(8192), Some(7))
            );
            assert_eq!((row["parameters"].as_u64(), row["hospitals"].as_u64()), (Some(2000), Some(4)));
            assert_eq!((row["threads"].as_u64(), row["backend"].as_str()), (Some(1), Some("cpu")));
            assert!(isa == "auto" || row["isa"] == isa);
            assert!(row["op"] == "aggregate.exact" || row["median_ns"].as_f64() >= row["min_ns"].as_f64());
        }
        // One chunk: a header of 72 bytes and seven limbs of the 224 residues, of 30 bits each, that carry a value.
        let up = rows.iter().find(|row| row["op"] == "aggregate.encrypt").expect("a stage");
        assert_eq!((up["bytes"].as_u64(), up["bytes_per_parameter"].as_f64()), (Some(5_952), Some(2.976)));
        assert_eq!(rows.last().map(|row| &row["exact"]), Some(&Value::Bool(true)));
    }
}

#[test]
fn ring_operations_of_a_preset_have_a_row_each() {
    let output = bench(&["he", "--preset", "AGG13", "--limbs", "2", "--repeat", "1", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let rows = rows(&output);
    let of = |preset: &str| rows.iter().filter(|row| row["preset"] == preset).count();
    assert_eq!(of("AGG13"), 6);
    assert!(of("-") >= 2 && of("-") + 6 == rows.len());
    assert!(rows.iter().all(|row| row["median_ns"].as_f64().is_some_and(|ns| ns > 0.0)));
}

/// One image on an encrypted model: every part has a row, and the logits are those of the plain forward pass.
#[test]
fn an_encrypted_image_is_answered_and_compared() {
    let size = ["--network", "tutorial", "--preset", "INF14-30", "--images", "1"];
    let output = bench(&[&["infer", "--format", "json"][..], &size[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&output);
    let ops: Vec<&str> = rows.iter().filter_map(|row| row["op"].as_str()).collect();
    let parts = ["encrypt", "evaluate", "evaluate_plain_model", "decrypt", "galois_keys", "precision"];
    assert_eq!(ops, parts.map(|part| format!("infer.{part}")));
    assert!(rows.iter().all(|row| row["network"] == "tutorial" && row["n"] == 16384));
    let delta = rows.last().and_then(|row| row["max_delta_logit"].as_f64());
    assert!(delta.is_some_and(|delta| delta > 0.0 && delta < 1e-2), "{delta:?}");
}

/// The same queries one after the other and together: rows for both, and every answer the processor's.
#[test]
fn queries_that_go_together_have_the_answers_of_single_ones() {
    let size = ["--network", "tutorial", "--preset", "INF14-30", "--images", "1", "--queries", "2"];
    let output = bench(&[&["infer", "--format", "json"][..], &size[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&output);
    let ops: Vec<&str> = rows.iter().filter_map(|row| row["op"].as_str()).collect();
    let parts = ["encrypt", "upload_keys", "upload_model", "query", "evaluate", "queries_together", "precision"];
    assert_eq!(ops, parts.map(|part| format!("infer.{part}")));
    assert_eq!((&rows[5]["batch"], &rows[5]["backend"]), (&Value::from(2), &Value::from("cpu")));
    assert!(rows[5]["images_per_second"].as_f64() > Some(0.0));
    let precision = of(&rows, "infer.precision");
    assert_eq!((&precision["exact"], &precision["failures"]), (&Value::Bool(true), &Value::from(0)));
    assert!(precision["max_delta_logit"].as_f64().is_some_and(|delta| delta > 0.0 && delta < 1e-2));
}

#[test]
fn a_sum_of_resident_updates_takes_more_hospitals_than_a_round() {
    let size = ["--hospitals", "100", "--megabytes", "1", "--preset", "AGG13"];
    let output = bench(&[&["aggregate", "--resident", "--repeat", "1", "--format", "json"][..], &size[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&output);
    // Five polynomials of seven limbs make a megabyte; a hundred are read and one is written.
    assert_eq!(of(&rows, "aggregate.sum_resident")["bytes"], 101 * 5 * 7 * 8192 * 4);
    assert_eq!(of(&rows, "aggregate.exact")["exact"], true);
}

/// With an adapter, software or not, sums on it are exact and said to be its own; without one the error says what was
/// found.
#[test]
fn a_sum_on_the_device_is_exact_or_its_absence_is_bad_input() {
    let size = ["--hospitals", "3", "--megabytes", "1", "--preset", "AGG13", "--repeat", "1", "--format", "json"];
    let output = bench(&[&["aggregate", "--device", "gpu"][..], &size[..]].concat());
    let log = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(4) {
        assert!(log.contains("no GPU can be used") && log.contains("--device cpu"), "{log}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{log}");
    let rows = rows(&output);
    assert!(rows.iter().all(|row| row["backend"] == "gpu" && row["device"].is_string()));
    let (resident, moved) = (of(&rows, "aggregate.sum_resident"), of(&rows, "aggregate.sum_with_transfers"));
    assert_eq!(resident["downloaded"], 0);
    let poly = 7 * 8192 * 4;
    assert_eq!(moved["downloaded"], 5 * poly);
    assert!(moved["uploaded"].as_u64() >= Some(3 * 5 * poly) && resident["uploaded"].as_u64() < Some(poly));
    assert_eq!(of(&rows, "aggregate.exact")["exact"], true);
}

/// An experiment small enough to train, and to answer under encryption, within a test: generated images, no data.
const SMALL: &str = r#"
schema = 1
[experiment]
name = "small"
[federation]
hospitals = 3
[data]
format = "phantom"
classes = ["normal", "cyst", "tumour"]
image = { height = 16, width = 16 }
[data.simulate]
source = "phantom"
[data.simulate.phantom]
patients-per-hospital = 12
slices-per-patient = 2
[model]
layers = [
  { type = "conv", channels = 2, kernel = 4, stride = 3 },
  { type = "quadratic" },
  { type = "dense", units = 3 },
]
[train]
local-epochs = 2
"#;

fn of<'a>(rows: &'a [Value], op: &str) -> &'a Value {
    rows.iter().find(|row| row["op"] == op).expect(op)
}

/// Trained, written, read back, encrypted for three hospitals, asked about every test image: the two commands together.
#[test]
fn a_trained_model_is_written_and_answers_its_test_images_under_encryption() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, model) = (folder.path().join("small.toml"), folder.path().join("small.safetensors"));
    std::fs::write(&file, SMALL).expect("written");
    let (file, model) = (file.to_str().expect("a name"), model.to_str().expect("a name"));
    let train = ["train", file, "--epochs", "3", "--format", "json", "--out", model];
    let output = bench(&train);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let trained = rows(&output);
    let epoch = of(&trained, "train.epoch");
    assert_eq!((epoch["epochs"].as_u64(), epoch["repetitions"].as_u64()), (Some(3), Some(3)));
    assert!(epoch["images_per_second"].as_f64() > Some(0.0) && epoch["images"].as_u64() > Some(0));
    let (test, size) = (of(&trained, "train.test"), of(&trained, "train.model"));
    assert_eq!(size["bytes"].as_u64(), std::fs::metadata(model).ok().map(|metadata| metadata.len()));
    let first = std::fs::read(model).expect("a model");
    assert_eq!(bench(&[&train[..], &["--threads", "2"]].concat()).status.code(), Some(0));
    assert_eq!(std::fs::read(model).expect("a model"), first, "one thread or two: the same model bit for bit");

    let release = ["--preset", "INF15-90", "--hospitals", "3"];
    let output = bench(&[&["infer", "--model", model, "--format", "json"][..], &release[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answered = rows(&output);
    let ops: Vec<&str> = answered.iter().filter_map(|row| row["op"].as_str()).collect();
    let parts = ["encrypt", "evaluate", "share", "decrypt", "total", "model", "public_key", "galois_keys"];
    let expected = parts.iter().chain(&["relinearisation_key", "precision"]).map(|part| format!("infer.{part}"));
    assert_eq!(ops, expected.collect::<Vec<_>>());
    assert!(answered.iter().all(|row| row["hospitals"] == 3 && row["network"] == "small"));
    let (precision, total) = (of(&answered, "infer.precision"), of(&answered, "infer.total"));
    assert_eq!(precision["images"], test["images"], "the test images are those of the training");
    assert_eq!((precision["failures"].as_u64(), precision["agreement"].as_f64()), (Some(0), Some(1.0)));
    let delta = precision["max_delta_logit"].as_f64();
    assert!(delta.is_some_and(|delta| delta > 0.0 && delta < 1e-2), "{delta:?}");
    assert_eq!(precision["accuracy_plain"], test["accuracy"], "the file holds what was trained");
    assert!(total["p95_ns"].as_f64() >= total["median_ns"].as_f64());
    assert!(precision["release"].as_str().is_some_and(|text| text.contains("3 of 3")), "{precision}");
}

#[test]
fn a_model_file_that_is_none_is_bad_input_and_said_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.safetensors");
    std::fs::write(&file, b"no model").expect("written");
    let missing = folder.path().join("missing.safetensors");
    for (file, text) in [(&file, "safetensors"), (&missing, "cannot read")] {
        let output = bench(&["infer", "--model", file.to_str().expect("a name")]);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{log}");
        assert!(log.contains(text) && log.contains("bench train"), "{log}");
    }
}

/// Asked for a GPU that this build cannot train on, both ways of asking say how to get it, and nothing is written.
#[cfg(not(feature = "gpu-training"))]
#[test]
fn training_on_a_gpu_without_the_feature_is_bad_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let [file, site, out] = ["small.toml", "site.toml", "out"].map(|name| folder.path().join(name));
    std::fs::write(&file, SMALL).expect("written");
    std::fs::write(&site, "[train]\ndevice = \"gpu\"\n").expect("written");
    let mut run = Command::new(env!("CARGO_BIN_EXE_consilium"));
    run.arg("run").arg(&file).arg("--site").arg(&site).arg("--out").arg(&out);
    let train = bench(&["train", file.to_str().expect("a name"), "--device", "gpu"]);
    for output in [train, run.output().expect("the program starts")] {
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{log}");
        assert!(log.contains("--features gpu-training"), "{log}");
    }
    assert!(!out.exists());
}

#[test]
fn a_flag_that_does_not_fit_is_bad_input_and_named() {
    for (arguments, flag) in [
        (&["he", "--preset", "INF15-90", "--limbs", "40"][..], "--limbs"),
        (&["infer", "--network", "resnet"][..], "--network"),
        (&["infer", "--images", "0"][..], "--images"),
        (&["infer", "--data", "mnist"][..], "--data"),
        (&["infer", "--hospitals", "5"][..], "--hospitals"),
        (&["train", "../configs/demo.toml", "--epochs", "0"][..], "--epochs"),
        (&["train", "../configs/pneumonia.toml"][..], "--data"),
        (&["train", "../configs/demo.toml", "--data", "mnist"][..], "--data would not be read"),
        (&["he", "--isa", "mmx"], "--isa"),
        (&["aggregate", "--hospitals", "1"], "--hospitals"),
        (&["aggregate", "--parameters", "0"], "--parameters"),
        (&["aggregate", "--megabytes", "4"], "--megabytes"),
        (&["aggregate", "--resident", "--megabytes", "0"], "--megabytes"),
        (&["aggregate", "--resident", "--megabytes", "1", "--hospitals", "1001"], "--hospitals"),
        (&["he", "--batch", "0"], "--batch"),
        (&["infer", "--queries", "0"], "--queries"),
        (&["infer", "--queries", "2", "--own-key"], "--own-key"),
        (&["limit", "--seconds", "0"], "--seconds"),
    ] {
        let output = bench(arguments);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {log}");
        assert!(log.contains(flag), "{log}");
    }
}
