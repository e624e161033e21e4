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
        // One chunk: a header of 72 bytes and seven limbs of 8192 packed residues.
        let up = rows.iter().find(|row| row["op"] == "aggregate.encrypt").expect("a stage");
        assert_eq!((up["bytes"].as_u64(), up["bytes_per_parameter"].as_f64()), (Some(215_112), Some(107.556)));
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

#[test]
fn a_flag_that_does_not_fit_is_bad_input_and_named() {
    for (arguments, flag) in [
        (&["he", "--preset", "INF15-90", "--limbs", "40"][..], "--limbs"),
        (&["infer", "--network", "resnet"][..], "--network"),
        (&["infer", "--images", "0"][..], "--images"),
        (&["he", "--isa", "mmx"], "--isa"),
        (&["aggregate", "--hospitals", "1"], "--hospitals"),
        (&["aggregate", "--parameters", "0"], "--parameters"),
        (&["limit", "--seconds", "0"], "--seconds"),
    ] {
        let output = bench(arguments);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {log}");
        assert!(log.contains(flag), "{log}");
    }
}
