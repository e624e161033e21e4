//! Scripts and the Rust files outside the workspace's crates say why they exist, like all others.

use super::assert_none;
use super::width::texts;

/// Whether a script begins with a comment of its own after the line that names its interpreter, if it has one.
fn script_explains_itself(text: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| line.starts_with("#!"));
    lines.next().is_some_and(|line| line.starts_with("# "))
}

#[test]
fn scripts_and_other_workspaces_say_why_they_exist() {
    assert!(script_explains_itself("#!/bin/sh\n# Why.\n") && script_explains_itself("# Sourced.\n"));
    assert!(!script_explains_itself("#!/bin/sh\nset -eu\n") && !script_explains_itself("#!/bin/sh\n"));
    let says_why = |(path, text): &(String, String)| {
        if path.ends_with(".sh") || path == ".ci/run" {
            script_explains_itself(text)
        } else {
            !path.ends_with(".rs") || text.starts_with("//!") || text.starts_with("#![doc")
        }
    };
    let silent: Vec<String> = texts().into_iter().filter(|file| !says_why(file)).map(|(path, _)| path).collect();
    assert_none(&silent, "begin with a comment that says what it is for");
}
