//! Frozen bytes: a changed byte of any object, stream, sample or transform shows here.
//!
//! Objects are stored as length, SHA-256, header and first payload bytes, since they are large.
//! A deliberate change of the format is a new version: say so in the changelog, then rewrite with
//!
//! ```text
//! HE_AGG_GOLDEN=write cargo test -p he-agg --test conformance golden
//! ```

use crate::specimens::{Refresh, Round, Serving};
use he_agg::ring::primes::{NON_RESIDUES, PRIMES};
use he_agg::sampler;
use he_agg::wire::HEADER_BYTES;
use he_agg::{Eval, Expander, Params, Poly, Preset, Stream};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// First bytes of a payload that are stored.
const PAYLOAD_BYTES: usize = 16;

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hash_words(words: impl IntoIterator<Item = u32>) -> String {
    hash(&words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

/// Compares with the file of that name, or rewrites it if the environment says so.
fn check(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("HE_AGG_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    for (number, (found, frozen)) in found.lines().zip(frozen.lines()).enumerate() {
        assert_eq!(found, frozen, "{file}, line {}: see the head of tests/conformance/golden.rs", number + 1);
    }
    assert_eq!(found.lines().count(), frozen.lines().count(), "{file}: lines were added or lost");
}

fn object_lines(preset: Preset, objects: &[(&str, Vec<u8>)]) -> String {
    objects.iter().fold(String::new(), |mut text, (name, bytes)| {
        let (head, payload) = bytes.split_at(HEADER_BYTES);
        let first = hex::encode(&payload[..PAYLOAD_BYTES]);
        let _ = writeln!(text, "{preset} {name} {} {} {} {first}", bytes.len(), hash(bytes), hex::encode(head));
        text
    })
}

#[test]
fn objects_of_a_training_round_keep_their_bytes() {
    let mut text = "# preset, object, bytes, SHA-256, header, first bytes of the payload\n".to_owned();
    for preset in [Preset::Agg13, Preset::Agg14] {
        let round = Round::new(preset.params());
        text += &object_lines(preset, &round.objects());
        let decoded = round.opened(&round.blinded());
        let values = hash(&decoded.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        let _ = writeln!(text, "{preset} opened {} {} {values}", decoded.weight_sum, decoded.noise_max);
    }
    text += "# the same where the chunk is the last of its update\n";
    for (preset, values) in [(Preset::Agg13, 1), (Preset::Agg13, 3755), (Preset::Agg14, 3755)] {
        let round = Round::short(preset.params(), values);
        let _ = writeln!(text, "{preset} layout of {values} {}", hex::encode(round.layout.digest()));
        text += &object_lines(preset, &round.objects());
        let decoded = round.opened(&round.blinded());
        let sums = hash(&decoded.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        let _ = writeln!(text, "{preset} opened {} {} {sums}", decoded.weight_sum, decoded.noise_max);
    }
    check("round.txt", &text);
}

#[test]
fn objects_of_a_serving_epoch_keep_their_bytes() {
    let mut text = "# preset, object, bytes, SHA-256, header, first bytes of the payload\n".to_owned();
    let mut encoded = "# preset, SHA-256 of an encrypted vector\n".to_owned();
    // Keys at every limb of the small set, at one level above the base of the others.
    for preset in [Preset::Inf13, Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90] {
        let params = preset.params();
        let limbs = if preset == Preset::Inf13 { params.q.len() } else { params.base_limbs + params.limbs_per_level };
        let serving = Serving::new(preset, limbs);
        text += &object_lines(preset, &serving.objects());
        for (name, lifted) in ["lifted", "lifted-sum"].into_iter().zip(serving.lifted()) {
            let _ = writeln!(text, "{preset} {name} {}", hash(&lifted.to_bytes()));
        }
        let _ = writeln!(encoded, "{preset} {}", hash(&serving.ciphertext.to_bytes()));
    }
    check("serving.txt", &text);
    // On every machine: hospitals make each other's planes again.
    check("encoded.txt", &encoded);
}

#[test]
fn objects_of_a_refresh_keep_their_bytes() {
    let mut text = "# preset, object, bytes, SHA-256, header, first bytes of the payload\n".to_owned();
    let refresh = Refresh::new();
    text += &object_lines(Preset::Trn14, &refresh.objects());
    for (name, gated) in [("mask", &refresh.mask), ("opening", &refresh.opening)] {
        text += &object_lines(Preset::Trn14, &[(name, gated.to_bytes())]);
    }
    let _ = writeln!(text, "context {}", hex::encode(refresh.context.digest()));
    check("refresh.txt", &text);
}

#[test]
fn primes_roots_and_transforms_keep_their_values() {
    let mut text = "# prime, smallest quadratic non-residue\n".to_owned();
    for (q, z) in PRIMES.iter().zip(&NON_RESIDUES) {
        let _ = writeln!(text, "{q} {z}");
    }
    text += "# preset, degree, primes of Q, primes of P, digest of the parameters, SHA-256 of all roots\n";
    for preset in Preset::ALL {
        let params = preset.params();
        let roots = hash_words(params.p.iter().chain(&params.q).map(he_agg::Limb::root));
        let (q, p, digest) = (params.q.len(), params.p.len(), hex::encode(params.digest()));
        let _ = writeln!(text, "{preset} {} {q} {p} {digest} {roots}", params.n);
    }
    text += "# degree, prime, root, SHA-256 of the transform of i -> 3 i^2 + i + 1 mod q, of the inverse of the same\n";
    for log_n in 11..=15 {
        let params = Params::toy(Preset::Agg13, log_n);
        for limb in [&params.q[0], &params.q[3], &params.q[6]] {
            let q = u64::from(limb.modulus().value());
            let input: Vec<u32> = (0..params.n as u64).map(|i| ((3 * i * i + i + 1) % q) as u32).collect();
            let (mut forward, mut inverse) = (input.clone(), input);
            limb.forward(&mut forward);
            limb.inverse(&mut inverse);
            let (forward, inverse) = (hash_words(forward), hash_words(inverse));
            let _ = writeln!(text, "{} {q} {} {forward} {inverse}", params.n, limb.root());
        }
    }
    check("ring.txt", &text);
}

#[test]
fn streams_and_samples_keep_their_values() {
    let mut text = "# stream, first bytes, SHA-256 of 10,000 bytes\n".to_owned();
    let mut line = |name: &str, mut stream: Stream| {
        let mut bytes = vec![0; 10_000];
        stream.fill(&mut bytes);
        let _ = writeln!(text, "{name} {} {}", hex::encode(&bytes[..32]), hash(&bytes));
    };
    let expander = |indices: &[u64]| Expander::new(&[0xaa; 32], "golden", Preset::Agg13, indices);
    line("seed", Stream::from_seed([0x5e; 32]));
    line("limb-0-0", expander(&[1, 2]).stream(0, 0));
    line("limb-3-27", expander(&[1, 2]).stream(3, 27));
    line("sampler-0", expander(&[1, 2]).sampler(0));
    line("other-index", expander(&[1, 3]).stream(0, 0));
    line("context", Expander::with_context(&[0xaa; 32], "golden", Preset::Inf13, &[], b"context").sampler(9));
    text += "# sample, SHA-256 of 5,000 little-endian values\n";
    let mut sampler = |name: &str, bytes: Vec<u8>| {
        let _ = writeln!(text, "{name} {}", hash(&bytes));
    };
    let stream = || Stream::from_seed([0x5a; 32]);
    let bytes = |values: &[i64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let wide = |values: &[i128]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    sampler("ternary", bytes(&sampler::ternary(&mut stream(), 5000)));
    sampler("centred-binomial", bytes(&sampler::centred_binomial(&mut stream(), 5000)));
    for bits in [0, 31, 64, 90, 120] {
        sampler(&format!("flooding-{bits}"), wide(&sampler::flooding(&mut stream(), bits, 5000)));
    }
    let mut uniform = vec![0; 5000];
    stream().fill_uniform(PRIMES[27], &mut uniform);
    sampler("uniform", uniform.iter().flat_map(|v| v.to_le_bytes()).collect());
    for preset in [Preset::Agg13, Preset::Inf15x90] {
        let params = preset.params();
        let poly = Poly::<Eval>::uniform(&expander(&[7]), 1, params.n, &params.q);
        let residues = poly.residues().iter().flat_map(|v| v.to_le_bytes()).collect();
        sampler(&format!("uniform-polynomial-{preset}"), residues);
    }
    check("streams.txt", &text);
}
