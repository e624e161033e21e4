//! The committed inputs of the fuzz targets, replayed, and a short mutation run from them.

use crate::specimens::{Family, run};
use he_agg::Stream;
use std::fs;
use std::path::Path;

/// Mutated inputs per family; the long runs are by hand, see `fuzz/README.md`.
const MUTATIONS: usize = 300;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_input_of_the_corpus_is_refused_or_read_alike() {
    for (target, family) in Family::TARGETS {
        let inputs = corpus(target);
        assert!(!inputs.is_empty(), "{target} has a corpus");
        inputs.iter().for_each(|input| run(family, input));
    }
}

#[test]
fn mutations_of_the_corpus_are_refused_or_read_alike() {
    for (target, family) in Family::TARGETS {
        let inputs = corpus(target);
        let mut stream = Stream::from_seed([0xf2; 32]);
        let mut below = |bound: usize| stream.next_u32() as usize % bound;
        for _ in 0..MUTATIONS {
            let mut input = inputs[below(inputs.len())].clone();
            for _ in 0..=below(4) {
                match below(3) {
                    0 => input.extend((0..4).map(|_| below(256) as u8)),
                    1 if !input.is_empty() => {
                        let at = below(input.len());
                        input[at] = below(256) as u8;
                    }
                    _ => input.truncate(below(input.len() + 1)),
                }
            }
            run(family, &input);
        }
    }
}
