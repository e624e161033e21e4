//! What a person meets who makes a mistake, as processes: one message that says what to do, the documented exit code,
//! and nothing left behind where nothing was started.

#![expect(clippy::panic, reason = "a panic is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use experiment::{DEMO, Experiment};

const BAD_INPUT: i32 = 4;
/// One grey pixel.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\
    \x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\x68\x00\x00\x00\
    \x82\x00\x81\xda\x45\x08\x3b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

fn consilium(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    // As over ssh or on a server: no desktop.
    command.env_remove("XDG_RUNTIME_DIR").env_remove("NODEVICE_SELECT");
    command.current_dir(place).args(arguments).output().expect("the program starts")
}

fn config(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name).display().to_string()
}

/// Everything below a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(entries(&entry));
        }
        found.push(entry);
    }
    found.sort();
    found
}

/// The words of an error for people: what, and what to do.
fn told(output: &Output) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = text.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_else(|| panic!("{text}"));
    let remedy = text.lines().find_map(|line| line.strip_prefix("  do: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(!remedy.contains("above"), "a remedy says itself what to do: {text}");
    (error.to_owned(), remedy.to_owned())
}

#[test]
fn a_refused_run_leaves_nothing_behind() {
    let place = tempfile::tempdir().expect("a folder");
    let given = ["broken.npz", "site.toml", "full/something"].map(|name| place.path().join(name));
    fs::create_dir(place.path().join("full")).expect("made");
    fs::write(&given[0], b"this is no archive").expect("written");
    fs::write(&given[1], "[train]\ndevice = \"abacus\"\n").expect("written");
    fs::write(&given[2], b"").expect("written");
    let before = entries(place.path());

    let (pneumonia, demo) = (config("pneumonia.toml"), config("demo.toml"));
    let cpu = ["--device", "cpu"];
    let refusals: &[(&[&str], &str)] = &[
        (&["run", &pneumonia, "--data", "/nonexistent.npz"], "/nonexistent.npz"),
        (&["run", &pneumonia, "--data", "broken.npz"], "not a readable npz archive"),
        (&["run", &pneumonia, "--data", "broken.npz", "--out", "a/b/c"], "not a readable npz archive"),
        (&["run", &pneumonia], "--data"),
        (&["run", &demo, "--data", "broken.npz"], "broken.npz would not be read"),
        (&["run", "nowhere.toml"], "nowhere.toml"),
        (&["run", &demo, "--site", "site.toml"], "device"),
        (&["run", &demo, "--out", "full"], "not empty"),
        (&["demo", "--set", "federation.rounds=0"], "rounds"),
        (&["demo", "--set", "compute.threads=0"], "an integer from 1 to 1024"),
        (&["demo", "--set", "compute.threads=5000"], "an integer from 1 to 1024"),
        (&["demo", "--set", "federation.sample-cap=1"], "sample-cap: unknown key"),
        (&["demo", "--set", "federation.weights=samples"], "must be one of"),
        (&["demo", "--set", "data.simulate.phantom.patients-per-hospital=3"], "test has no sample"),
        (&["demo", "--drop", "hospital-9@1:before-upload"], "hospital-9"),
    ];
    for (arguments, expected) in refusals {
        let output = consilium(place.path(), &[arguments, &cpu[..]].concat());
        let (error, _) = told(&output);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(BAD_INPUT), "{arguments:?}: {error}");
        assert_eq!(entries(place.path()), before, "{arguments:?}");
    }
}

/// Every line on standard error is this program's own, also where drivers are asked for their devices.
#[test]
fn asking_for_a_device_prints_nothing_foreign_and_writes_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let pneumonia = config("pneumonia.toml");
    for device in ["auto", "gpu"] {
        let output = consilium(place.path(), &["run", &pneumonia, "--data", "nowhere.npz", "--device", device]);
        assert_eq!(output.status.code(), Some(BAD_INPUT));
        told(&output);
        let text = String::from_utf8_lossy(&output.stderr);
        let beginnings = ["error: ", "  do: ", "warning: ", "computing on ", "training on ", "pneumonia-5: ", "[0."];
        let own = |line: &&str| beginnings.iter().any(|it| line.starts_with(it));
        let foreign: Vec<&str> = text.lines().filter(|line| !own(line) || line.contains("XDG")).collect();
        assert!(foreign.is_empty(), "{foreign:?} in {text}");
        assert_eq!(entries(place.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_gpu_that_is_not_there_is_bad_input_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_consilium"));
    // No driver of any interface is found with these.
    for nothing in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(nothing, "/none");
    }
    let output = command.current_dir(place.path()).args(["demo", "--device", "gpu"]).output().expect("it starts");
    let (error, remedy) = told(&output);
    assert!(error.contains("no GPU can be used") && remedy.contains("--device cpu"), "{error}: {remedy}");
    assert_eq!(output.status.code(), Some(BAD_INPUT));
    assert_eq!(entries(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn every_verb_that_reads_a_run_says_what_a_folder_lacks() {
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("empty")).expect("made");
    fs::write(place.path().join("scan.png"), PNG).expect("written");
    let verbs: [&[&str]; 5] = [
        &["serve", "RUN"],
        &["query", "RUN", "scan.png"],
        &["audit", "queries", "RUN"],
        &["audit", "recompute", "RUN", "1-1"],
        &["run", "--resume", "RUN"],
    ];
    for (folder, expected) in [("nowhere", "there is no such folder"), ("empty", "no resolved.toml in it")] {
        for verb in verbs {
            let arguments: Vec<&str> = verb.iter().map(|word| if *word == "RUN" { folder } else { word }).collect();
            let before = entries(place.path());
            let output = consilium(place.path(), &arguments);
            let (error, remedy) = told(&output);
            assert!(error.contains(folder) && error.contains(expected), "{arguments:?}: {error}");
            assert!(remedy.contains("run folder"), "{arguments:?}: {remedy}");
            assert_eq!(output.status.code(), Some(BAD_INPUT), "{arguments:?}: {error}");
            assert_eq!(entries(place.path()), before, "{arguments:?}");
        }
    }
}

/// A run that was killed before its hospitals had keys: `experiment.toml` and the like are there, and nothing else.
#[test]
fn a_run_without_a_model_says_so_and_how_to_go_on() {
    let place = tempfile::tempdir().expect("a folder");
    let run = place.path().join("run");
    let experiment = Experiment::parse("demo.toml", DEMO, &[]);
    let experiment = experiment.expect("the demo is valid");
    simulation::run_folder::create(Some(run.clone()), &experiment, "test").expect("created");
    fs::write(place.path().join("scan.png"), PNG).expect("written");
    let verbs: [&[&str]; 4] = [
        &["serve", "run", "--device", "cpu"],
        &["query", "run", "scan.png"],
        &["audit", "queries", "run"],
        &["audit", "recompute", "run", "1-1"],
    ];
    // Once as it is, and once as if it had been killed while keys were made.
    for progress in [None, Some("{\"epochs\": 1, \"rounds\": [], \"dropouts\": []}")] {
        if let Some(progress) = progress {
            fs::write(run.join("progress.json"), progress).expect("written");
        }
        let before = entries(place.path());
        for verb in verbs {
            let output = consilium(place.path(), verb);
            let (error, remedy) = told(&output);
            assert!(error.contains("no published model yet") && error.contains("training rounds"), "{verb:?}: {error}");
            assert!(remedy.contains("consilium run --resume run"), "{verb:?}: {remedy}");
            assert_eq!(output.status.code(), Some(BAD_INPUT), "{verb:?}: {error}");
        }
        assert_eq!(entries(place.path()), before, "nothing is written by those who only ask");
    }
}
