//! House rules as a test: file headers, lengths, widths, names, where `unsafe` may stand, and which crate may know
//! which.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

mod edges;
mod functions;
mod scripts;
mod width;

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
    "privacy",
    "experiment",
    "client",
    "coordinator",
    "report",
    "simulation",
    "bench",
    "consilium",
    "imaging",
    "pacs",
    "portal",
    "more",
    "he-train",
];
/// What each crate may know of its siblings. `edges.rs` says what tests may know beyond that.
const EDGES: &[(&str, &[&str])] = &[
    ("he-agg", &[]),
    ("he-gpu", &["he-agg"]),
    ("protocol", &[]),
    ("datasets", &["remedy", "imaging"]),
    ("he-infer", &["he-agg"]),
    ("metrics", &["datasets"]),
    ("remedy", &[]),
    ("privacy", &["he-agg"]),
    // What no federation may use; the binary alone shows it.
    ("more", &["datasets"]),
    ("he-train", &["he-agg", "he-infer"]),
    ("imaging", &["remedy"]),
    ("pacs", &["remedy"]),
    ("experiment", &["he-agg", "he-infer", "he-train", "datasets", "metrics", "remedy", "privacy"]),
    (
        "client",
        &[
            "he-agg",
            "he-gpu",
            "he-infer",
            "he-train",
            "protocol",
            "datasets",
            "metrics",
            "remedy",
            "privacy",
            "experiment",
            "pacs",
        ],
    ),
    ("coordinator", &["he-agg", "he-gpu", "he-infer", "he-train", "protocol", "remedy"]),
    ("report", &["metrics", "remedy", "experiment"]),
    ("portal", &["protocol", "datasets", "metrics", "remedy", "imaging", "experiment", "client", "pacs"]),
    (
        "simulation",
        &[
            "he-agg",
            "he-infer",
            "he-train",
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
            "he-train",
            "datasets",
            "metrics",
            "remedy",
            "privacy",
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
            "privacy",
            "experiment",
            "client",
            "coordinator",
            "report",
            "simulation",
            "bench",
            "imaging",
            "pacs",
            "portal",
            "more",
        ],
    ),
];
/// The vector code, launches of kernels on device memory, tests that count what is allocated, and the first
/// instructions of the program, which set an environment variable for drivers.
const UNSAFE_HOMES: [&str; 6] = [
    "he-agg/src/simd/",
    "he-gpu/src/kernels/",
    "he-agg/tests/allocations.rs",
    "protocol/tests/allocations.rs",
    "consilium/src/main.rs",
    "consilium/src/memory.rs",
];
/// Put together, so that this file does not contain the word itself.
const KEYWORD: &str = concat!("un", "safe");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files below `folder` whose names end in one of `extensions`.
fn files_below(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                files_below(&path, extensions, found);
            }
        } else if path.extension().is_some_and(|have| extensions.iter().any(|wanted| have == *wanted)) {
            found.push(path);
        }
    }
}

/// Path from the root, and text, of each file.
fn read(mut files: Vec<PathBuf>) -> Vec<(String, String)> {
    assert!(!files.is_empty(), "the workspace was not found at {}", root().display());
    files.sort();
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    files.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// Every Rust file of every crate: path from the root, and text.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    CRATES.iter().for_each(|name| files_below(&root().join(name), &["rs"], &mut files));
    assert!(files.len() > 20, "the workspace was not found at {}", root().display());
    read(files)
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
