//! Which crate may know which: what a build contains, and apart from it what only tests see.

use super::{CRATES, EDGES, assert_none, root};
use std::fs;

/// Siblings that a crate may know in its tests, besides those of `EDGES`.
const TEST_EDGES: &[(&str, &[&str])] = &[
    // Whole networks and steps of training on a device, against the processor.
    ("he-gpu", &["he-infer", "he-train"]),
];

/// The siblings that a manifest names: in tables that a build reads, and in those of tests, examples and benchmarks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Siblings {
    production: Vec<String>,
    tests: Vec<String>,
}

impl Siblings {
    fn of(manifest: &str) -> Self {
        let mut found = Self::default();
        let (mut in_dependencies, mut for_tests) = (false, false);
        for line in manifest.lines().map(str::trim) {
            let named = if let Some(table) = line.strip_prefix('[') {
                in_dependencies = table.contains("dependencies");
                for_tests = table.contains("dev-dependencies");
                CRATES.iter().find(|name| table.contains(&format!("dependencies.{name}]")))
            } else if in_dependencies {
                let key = line.split(['=', '.', ' ']).next().unwrap_or("").trim_matches('"');
                CRATES.iter().find(|name| **name == key)
            } else {
                None
            };
            let list = if for_tests { &mut found.tests } else { &mut found.production };
            list.extend(named.map(|name| (*name).to_owned()));
        }
        found
    }
}

fn manifest(name: &str) -> String {
    fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap()
}

fn allowed(edges: &'static [(&str, &[&str])], name: &str) -> &'static [&'static str] {
    edges.iter().find(|(of, _)| *of == name).map_or(&[], |(_, may)| may)
}

#[test]
fn a_dependency_of_tests_is_told_from_one_of_the_build() {
    let manifest = "[dependencies]\nprotocol.workspace = true\n[dependencies.client]\npath = \"x\"\n\
                    [target.'cfg(unix)'.dependencies]\n\"datasets\" = \"1\"\n[build-dependencies]\nhe-gpu = \"1\"\n\
                    [dev-dependencies]\nhe-agg = { path = \"x\" }\n[dev-dependencies.he-infer]\npath = \"x\"\n\
                    [features]\ncoordinator = []";
    let expected = Siblings {
        production: ["protocol", "client", "datasets", "he-gpu"].map(str::to_owned).to_vec(),
        tests: ["he-agg", "he-infer"].map(str::to_owned).to_vec(),
    };
    assert_eq!(Siblings::of(manifest), expected);
}

#[test]
fn crates_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (name, may) in EDGES {
        let known = Siblings::of(&manifest(name)).production;
        wrong.extend(
            known
                .iter()
                .filter(|known| !may.contains(&known.as_str()))
                .map(|known| format!("{name} depends on {known}")),
        );
    }
    assert_none(&wrong, "this edge would let a role see what it must not");
}

#[test]
fn tests_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let may = [allowed(EDGES, name), allowed(TEST_EDGES, name)].concat();
        let known = Siblings::of(&manifest(name)).tests;
        let strange = known.iter().filter(|known| !may.contains(&known.as_str()) && known != name);
        wrong.extend(strange.map(|known| format!("tests of {name} depend on {known}")));
        let unused = allowed(TEST_EDGES, name).iter().filter(|may| !known.iter().any(|known| known == *may));
        wrong.extend(unused.map(|may| format!("tests of {name} do not know {may} any more")));
    }
    assert_none(&wrong, "TEST_EDGES lists what tests may know beyond the build");
}

#[test]
fn every_member_of_the_workspace_is_under_these_rules() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = workspace.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).unwrap().0;
    let members: Vec<&str> = members.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let members: Vec<&str> = members.into_iter().filter(|name| !name.is_empty()).collect();
    let ruled: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let missing = |list: &[&str]| -> Vec<String> {
        members.iter().filter(|name| !list.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    assert_none(&missing(CRATES), "add the crate to CRATES");
    assert_none(&missing(&ruled), "add the crate to EDGES");
}
