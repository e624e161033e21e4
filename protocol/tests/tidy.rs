//! House rules as a test: file headers, lengths, names, where `unsafe` may stand, and which crate may know which.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;
/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// A drawer hides its content.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "base", "misc"];
const CRATES: &[&str] = &[
    "he-agg",
    "he-gpu",
    "he-infer",
    "protocol",
    "datasets",
    "metrics",
    "remedy",
    "experiment",
    "client",
    "coordinator",
    "report",
    "simulation",
    "bench",
    "consilium",
];
/// What each crate may know of its siblings.
const EDGES: &[(&str, &[&str])] = &[
    ("he-agg", &[]),
    // he-infer in tests only.
    ("he-gpu", &["he-agg", "he-infer"]),
    ("protocol", &[]),
    ("datasets", &[]),
    ("he-infer", &["he-agg"]),
    ("metrics", &["datasets"]),
    ("remedy", &[]),
    ("experiment", &["he-agg", "he-infer", "datasets", "remedy"]),
    // metrics in tests only.
    ("client", &["he-agg", "he-gpu", "he-infer", "protocol", "datasets", "metrics", "remedy", "experiment"]),
    ("coordinator", &["he-agg", "he-gpu", "he-infer", "protocol", "remedy"]),
    ("report", &["metrics", "remedy", "experiment"]),
    (
        "simulation",
        &[
            "he-agg",
            "he-infer",
            "protocol",
            "datasets",
            "metrics",
            "remedy",
            "experiment",
            "client",
            "coordinator",
            "report",
        ],
    ),
    (
        "bench",
        &[
            "he-agg",
            "he-gpu",
            "he-infer",
            "datasets",
            "metrics",
            "remedy",
            "experiment",
            "client",
            "report",
            "simulation",
        ],
    ),
    (
        "consilium",
        &[
            "he-gpu",
            "protocol",
            "datasets",
            "metrics",
            "remedy",
            "experiment",
            "client",
            "coordinator",
            "report",
            "simulation",
            "bench",
        ],
    ),
];
/// The vector code, launches of kernels on device memory, tests that count what is allocated, and the first instructions
/// of the program, which set an environment variable for drivers.
const UNSAFE_HOMES: [&str; 5] = [
    "he-agg/src/simd/",
    "he-gpu/src/kernels/",
    "he-agg/tests/allocations.rs",
    "protocol/tests/allocations.rs",
    "consilium/src/main.rs",
];
/// Put together, so that this file does not contain the word itself.
const KEYWORD: &str = concat!("un", "safe");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file of every crate: path from the root, and text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    CRATES.iter().for_each(|name| rust_files(&root().join(name), &mut files));
    assert!(files.len() > 20, "the workspace was not found at {}", root().display());
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    files.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_file_says_why_it_exists() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#![doc"))
        .map(|(path, _)| path)
        .collect();
    assert_none(&silent, "files must begin with `//!`, or include their README");
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let allowed = |path: &str| LONG_FILES.iter().any(|(long, _)| *long == path);
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| text.lines().count() > LINES_MAX && !allowed(path))
        .map(|(path, text)| format!("{path}: {} lines", text.lines().count()))
        .collect();
    assert_none(&long, "split by noun, or add the file with its reason to LONG_FILES");
}

#[test]
fn no_file_or_folder_is_a_drawer() {
    let is_drawer = |path: &String| {
        Path::new(path).with_extension("").iter().any(|part| BANNED_NAMES.iter().any(|banned| part == *banned))
    };
    let drawers: Vec<String> = sources().into_iter().map(|(path, _)| path).filter(is_drawer).collect();
    assert_none(&drawers, "name the file after what is in it");
}

/// Code without comments and string contents, roughly: enough to find a keyword.
fn has_unsafe_keyword(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    code.split('"').step_by(2).any(|part| part.split(|character| !is_word(character)).any(|word| word == KEYWORD))
}

#[test]
fn unsafe_stands_only_beside_vector_code_and_kernels() {
    assert!(has_unsafe_keyword(&format!("{KEYWORD} {{ x }}")) && !has_unsafe_keyword(&format!("// {KEYWORD}")));
    let mut outside = Vec::new();
    for (path, text) in sources() {
        if UNSAFE_HOMES.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if has_unsafe_keyword(line) {
                outside.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert_none(&outside, "the keyword belongs into he-agg/src/simd and he-gpu/src/kernels");
}

/// The siblings a manifest names in any dependency table.
fn siblings_of(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut siblings = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            in_dependencies = table.contains("dependencies");
            let named = CRATES.iter().find(|name| table.contains(&format!("dependencies.{name}]")));
            siblings.extend(named.map(|name| (*name).to_owned()));
        } else if in_dependencies {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("").trim_matches('"');
            if CRATES.contains(&name) {
                siblings.push(name.to_owned());
            }
        }
    }
    siblings
}

#[test]
fn crates_know_only_whom_they_may() {
    let parsed =
        siblings_of("[dependencies]\nprotocol.workspace = true\n[dev-dependencies]\nhe-agg = { path = \"x\" }");
    assert_eq!(parsed, ["protocol", "he-agg"]);
    let mut wrong = Vec::new();
    for (name, allowed) in EDGES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for sibling in siblings_of(&manifest) {
            if !allowed.contains(&sibling.as_str()) && sibling != *name {
                wrong.push(format!("{name} depends on {sibling}"));
            }
        }
    }
    assert_none(&wrong, "this edge would let a role see what it must not");
}
