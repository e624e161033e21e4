//! `consilium research more`: what its server reads is shown, and nothing else is touched.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const WARNING: &str = "MORE IS NOT ENCRYPTION. The server reads every value.";

fn consilium(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consilium")).current_dir(place).args(arguments).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_server_reads_everything_of_a_circulation_trained_under_more() {
    let place = tempfile::tempdir().expect("a folder");
    let arguments = ["research", "more", "--task", "circulation", "--to", "shown"];
    let output = consilium(place.path(), &arguments);
    let (out, log) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(out.starts_with(WARNING) && out.trim_end().ends_with(WARNING), "{out}");
    assert!(log.starts_with(WARNING) && log.contains("training under MORE"), "{log}");

    let json: Value = serde_json::from_slice(&fs::read(place.path().join("shown/research-more.json")).expect("a file"))
        .expect("JSON");
    let number = |path: &str| json.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    assert!(number("/weights_differ") <= 1e-9 && number("/answers_differ") <= 1e-9, "{json}");
    for part in ["inputs", "targets", "weights", "answers"] {
        assert!(number(&format!("/attack/{part}_read")) >= 0.999, "{json}");
    }
    assert!(number("/plain/quality") < 0.005 && number("/more/quality") < 0.005, "{json}");
    let readings = json["plausibility"].as_array().expect("a list");
    assert_eq!(readings.len(), 10);
    for reading in readings {
        let [low, high] = [0, 1].map(|end| reading["usual"][end].as_f64().expect("a number"));
        assert!((low..=high).contains(&reading["standard"].as_f64().expect("a number")), "{reading}");
    }
    let page = fs::read_to_string(place.path().join("shown/research-more.html")).expect("a file");
    assert!(page.contains("heart rate, 1/min") && page.contains("plausible"));

    // An earlier result is replaced, and programs read the same as the file says.
    let output = consilium(place.path(), &[&arguments[..], &["--format", "json"]].concat());
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&envelope["command"], &envelope["data"]["warning"]), (&"research more".into(), &WARNING.into()));
    assert_eq!(envelope["data"]["attack"]["inputs_error"], json["attack"]["inputs_error"]);
}

#[test]
fn views_are_shown_as_pictures() {
    let place = tempfile::tempdir().expect("a folder");
    let output = consilium(place.path(), &["research", "more", "--task", "angiography", "--seed", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = fs::read_to_string(place.path().join("research-more-angiography/research-more.html")).expect("a file");
    let pictures: Vec<&str> =
        page.split("data:image/png;base64,").skip(1).map(|rest| rest.split('"').next().unwrap_or("")).collect();
    assert_eq!(pictures.len(), 4);
    // Read is what had been encrypted, to the grey level; what the ciphertexts show is not.
    assert!(pictures[1] == pictures[2] && pictures[0] != pictures[2] && pictures[3].len() > 200);
}

#[test]
fn mistakes_are_told_before_anything_is_computed_and_leave_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("run")).expect("made");
    fs::write(place.path().join("run/resolved.toml"), "").expect("written");
    fs::write(place.path().join("file"), "").expect("written");
    let refusals: [(&[&str], &str, i32); 6] = [
        (&["--task", "mnist"], "add --data", 4),
        (&["--task", "mnist", "--data", "nowhere"], "nowhere", 4),
        (&["--task", "circulation", "--data", "nowhere"], "leave --data out", 4),
        (&["--task", "circulation", "--to", "run"], "run: holds resolved.toml", 4),
        (&["--task", "circulation", "--to", "file"], "file: ", 1),
        (&["--task", "horses"], "[possible values: mnist, circulation, angiography]", 4),
    ];
    for (arguments, expected, code) in refusals {
        let output = consilium(place.path(), &[&["research", "more"][..], arguments].concat());
        let log = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(code), true), "{arguments:?}: {log}");
        assert!(log.contains(expected), "{arguments:?}: {log}");
    }
    let left = fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!((left, fs::read_dir(place.path().join("run")).expect("a folder").count()), (2, 1));
}
