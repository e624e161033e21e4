//! The program's log, as processes see it: `--log` and `--log-file`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn plan(place: &Path, flags: &[&str]) -> Output {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/demo.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    command.current_dir(place).arg("plan").arg(demo).args(flags).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for_and_the_result_stays_as_it_is() {
    let place = tempfile::tempdir().expect("a folder");
    let (quiet, told) = (plan(place.path(), &[]), plan(place.path(), &["--log", "info"]));
    assert_eq!((quiet.status.code(), told.status.code()), (Some(0), Some(0)));
    assert_eq!(text(&quiet.stderr), "");
    // The last lines of a plan are measured anew each time.
    let result = |output: &Output| text(&output.stdout).split("prediction").next().map(str::to_owned);
    assert_eq!(result(&quiet), result(&told));
    let lines = text(&told.stderr);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    for (line, word) in lines.lines().zip(["started", "ended"]) {
        assert!(
            line.contains("INFO consilium::cli") && line.contains(word) && line.contains("verb=\"plan\""),
            "{line}"
        );
    }
    assert_eq!(text(&plan(place.path(), &["--log", "warn"]).stderr), "");
}

#[test]
fn every_line_is_an_object_where_results_are() {
    let place = tempfile::tempdir().expect("a folder");
    for format in ["json", "jsonl"] {
        let output = plan(place.path(), &["--log", "info", "--format", format, "--set", "federation.rounds=0"]);
        assert_eq!(output.status.code(), Some(4));
        let lines: Vec<Value> =
            text(&output.stderr).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let levels: Vec<&str> = lines.iter().filter_map(|line| line["level"].as_str()).collect();
        assert_eq!(levels, ["INFO", "ERROR"]);
        assert_eq!((&lines[1]["verb"], &lines[1]["exit"]), (&Value::from("plan"), &Value::from(4)));
        serde_json::from_slice::<Value>(&output.stdout).expect("the result is on standard output alone");
    }
}

#[test]
fn a_log_file_is_appended_to_and_its_owners_alone() {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("run.log");
    for lines in [2, 4] {
        // Without a level: info.
        assert_eq!(text(&plan(place.path(), &["--log-file", "run.log"]).stderr), "");
        assert_eq!(fs::read_to_string(&file).expect("a log").lines().count(), lines);
    }
    assert_eq!(fs::metadata(&file).expect("a log").permissions().mode() & 0o777, 0o600);
    assert_eq!(plan(place.path(), &["--log-file", "other.log", "--log", "off"]).status.code(), Some(0));
    assert!(!place.path().join("other.log").exists());
}

#[test]
fn a_log_that_cannot_be_written_is_refused_before_anything_is_done() {
    let place = tempfile::tempdir().expect("a folder");
    let output = plan(place.path(), &["--log-file", "nowhere/run.log"]);
    let told = text(&output.stderr);
    assert!(told.starts_with("error: cannot open the log nowhere/run.log"), "{told}");
    assert!(told.contains("\n  do: name a file in a folder that exists"), "{told}");
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(4), ""));
    let output = plan(place.path(), &["--log", "loud"]);
    assert!(text(&output.stderr).contains("\"loud\" is no level; off, error, warn"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(4));
}
