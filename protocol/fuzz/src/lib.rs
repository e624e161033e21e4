//! What the fuzz targets share with the crate's own tests. See `../tests/specimens`.

#[path = "../../tests/specimens/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the crate's tests use the rest")]
mod specimens;

/// Runs one input of a target.
///
/// # Panics
/// If something is read that would not be written, altered bytes open, or there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let found = specimens::TARGETS.iter().find(|found| found.name == target);
    (found.expect("a target of the list").run)(input);
}
