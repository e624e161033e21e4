//! The committed inputs of the fuzz targets, replayed, and a short mutation run from them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, unused_imports, reason = "another binary counts what they allocate")]
mod specimens;

use std::fs;
use std::path::Path;

/// Mutated inputs per target; the long runs are by hand, see `fuzz/README.md`.
const MUTATIONS: usize = 200;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_input_of_the_corpus_is_refused_or_read_alike() {
    for target in specimens::TARGETS {
        let inputs = corpus(target.name);
        assert!(!inputs.is_empty(), "{} has a corpus", target.name);
        inputs.iter().for_each(|input| (target.run)(input));
    }
}

#[test]
fn mutations_of_the_corpus_are_refused_or_read_alike() {
    for target in specimens::TARGETS {
        let inputs = corpus(target.name);
        // Knuth's linear congruential generator; the high bits are good enough to damage bytes.
        let mut state = 0xf2_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        for _ in 0..MUTATIONS {
            let mut input = inputs[below(inputs.len())].clone();
            for _ in 0..=below(4) {
                match below(3) {
                    0 => input.extend((0..5).map(|_| below(256) as u8)),
                    1 if !input.is_empty() => {
                        let at = below(input.len());
                        input[at] = below(256) as u8;
                    }
                    _ => input.truncate(below(input.len() + 1)),
                }
            }
            (target.run)(&input);
        }
    }
}

#[test]
fn the_transcript_of_the_specimen_is_a_whole_federation() {
    let entries = specimens::entries();
    assert!(entries.len() > 20, "{} entries", entries.len());
    // All entries, then nothing.
    let target = specimens::TARGETS.iter().find(|target| target.name == "transcript").unwrap();
    (0..=entries.len() as u8).for_each(|prefix| (target.run)(&[prefix]));
}
