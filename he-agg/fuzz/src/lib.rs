//! What the fuzz targets share with the crate's own tests: the objects, the decoders and the
//! edits. See `../tests/specimens`.

#[path = "../../tests/specimens/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the crate's tests use the rest")]
mod specimens;

use specimens::Family;

/// Runs one input of a target.
///
/// # Panics
/// If a decoder reads what it would not write, or there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let family = Family::TARGETS.iter().find(|(name, _)| *name == target).map(|(_, family)| *family);
    specimens::run(family.expect("a target of the list"), input);
}
