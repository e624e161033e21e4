//! How wide a line may be: 120 columns in code, scripts, settings and prose, so that two files stand side by side.

use super::{CRATES, assert_none, files_below, read, root};
use std::fs;

const COLUMNS_MAX: usize = 120;
/// Folders beside the crates.
pub(super) const FOLDERS: &[&str] = &[".cargo", ".ci", "benches", "configs", "cuda", "tools"];
/// Every text file that people write: path from the root, and text.
pub(super) fn texts() -> Vec<(String, String)> {
    let extensions = ["rs", "md", "toml", "sh"];
    let mut files = vec![root().join(".ci/run")];
    CRATES.iter().chain(FOLDERS).for_each(|folder| files_below(&root().join(folder), &extensions, &mut files));
    let at_root = fs::read_dir(root()).into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(
        at_root.filter(|path| path.extension().is_some_and(|have| extensions.iter().any(|wanted| have == *wanted))),
    );
    read(files)
}

/// Numbers and widths of lines that are too wide. A character counts as many columns as it has bytes, so that no tool
/// sees a wider line than this test. Tables have as many columns as they need, and addresses cannot be broken.
fn wide_lines(text: &str) -> Vec<(usize, usize)> {
    let may_be_wide = |line: &str| line.trim_start().starts_with('|') || line.contains("://");
    let widths = text.lines().enumerate().map(|(at, line)| (at + 1, line.len(), line));
    widths
        .filter(|(_, width, line)| *width > COLUMNS_MAX && !may_be_wide(line))
        .map(|(at, width, _)| (at, width))
        .collect()
}

#[test]
fn columns_are_counted_in_bytes_outside_tables_and_addresses() {
    let fits = "é".repeat(COLUMNS_MAX / 2);
    let text = format!("{fits}\n{fits}e\n| {fits} |\n// https://example.org/{fits}\n");
    assert_eq!(wide_lines(&text), [(2, COLUMNS_MAX + 1)]);
}

#[test]
fn no_line_is_wider_than_half_a_screen() {
    let wide = texts().into_iter().flat_map(|(path, text)| {
        wide_lines(&text).into_iter().map(move |(line, width)| format!("{path}:{line}: {width} columns"))
    });
    assert_none(&wide.collect::<Vec<String>>(), "break the line");
}
