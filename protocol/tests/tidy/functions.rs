//! How long a function may be: two screens. What has to be longer is listed with its reason.

use super::{assert_none, sources};

const LINES_MAX: usize = 100;
/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    ("bench/src/resident_model.rs", "on", "one measurement after the other, with what it leaves behind"),
    ("protocol/src/drive/coordinator/phase.rs", "tell_machine", "one arm for each output of each machine"),
    ("protocol/tests/simulation/toy_hospital.rs", "job", "one arm for each job"),
    ("report/src/tests.rs", "outcome", "every field of a report, written out"),
    ("simulation/src/run.rs", "go", "a run from beginning to end, phase by phase"),
];

/// Name, first line and number of lines of each function with a body. Relies on rustfmt: a body ends with a brace in
/// the column in which its function begins.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = name_of(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest == "}");
        let declares = |line: &&str| {
            line.ends_with(';') && line.strip_prefix(indent).is_some_and(|rest| rest.starts_with([')', 'f', 'p']))
        };
        if line.ends_with('}') || declares(line) {
            continue;
        }
        let rest = &lines[first + 1..];
        let Some(last) = rest.iter().position(|line| ends(line) || declares(line)) else { continue };
        if ends(&rest[last]) {
            found.push((name, first + 1, last + 2));
        }
    }
    found
}

/// The name of the function that this line begins.
fn name_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_modifier = |word: &str| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\"", "default"].contains(&word)
    };
    let keyword = words.by_ref().find(|word| !is_modifier(word) && !word.ends_with(')'))?;
    let name = words.next()?;
    (keyword == "fn").then(|| name.split(['(', '<']).next().unwrap_or(name))
}

#[test]
fn functions_are_found_with_their_lengths() {
    let text = "impl X {\n    pub(super) const fn one() {}\n    pub async fn two<T>(\n        a: T,\n    ) -> u8\n    \
                where\n        T: X,\n    {\n        if a {\n        }\n    }\n    fn three(\n        &self,\n    );\n\
                }\n// fn four() {\nfn five() {\n    let fn_pointer = 1;\n}\n    fn six();\n";
    assert_eq!(functions(text), [("two", 3, 9), ("five", 17, 3)]);
    assert_eq!(name_of("pub(in crate::x) unsafe extern \"C\" fn seven(x: u8) {"), Some("seven"));
    assert_eq!(name_of("    functions(text)"), None);
}

#[test]
fn a_function_fits_two_screens() {
    let sources = sources();
    let mut all = 0;
    let (mut long, mut waived) = (Vec::new(), Vec::new());
    for (path, text) in &sources {
        for (name, line, length) in functions(text) {
            all += 1;
            if length > LINES_MAX {
                let listed = LONG_FUNCTIONS.iter().find(|(file, of, _)| file == path && *of == name);
                match listed {
                    Some(entry) => waived.push(entry),
                    None => long.push(format!("{path}:{line}: {name} has {length} lines")),
                }
            }
        }
    }
    assert!(all > 1000, "only {all} functions were found");
    assert_none(&long, "split by what it does, or add the function with its reason to LONG_FUNCTIONS");
    let idle = LONG_FUNCTIONS.iter().filter(|entry| !waived.contains(entry));
    let idle: Vec<String> = idle.map(|(file, name, _)| format!("{file}: {name}")).collect();
    assert_none(&idle, "these are not long any more: remove them from LONG_FUNCTIONS");
}
