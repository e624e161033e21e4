//! Every malformed class of every decoder is refused with the error that names it.

use crate::specimens::{Decoder, PERIOD, Refusal, decoders};
use he_agg::wire::{HEADER_BYTES, Kind, POLYNOMIALS_MAX, VERSION, packed_len};
use he_agg::{DecodeError, Preset};

/// What a decoder says to a changed field of a header whose payload still fits.
struct Row {
    name: &'static str,
    /// Another number of limbs of Q, polynomials.
    shape: [&'static str; 2],
    /// Another positive scale.
    scale: &'static str,
    /// A sender that cannot be.
    sender: (u16, &'static str),
    /// Another round, attempt, chunk: one more than in the valid object.
    numbers: [&'static str; 3],
    /// Another epoch or context.
    epoch: &'static str,
}

const ACCEPTED: &str = "accepted";
const SHAPE: [&str; 2] = ["Field limbs", "Field polynomials"];
const DIGITS: [&str; 2] = ["Field polynomials", "Field polynomials"];
const FOREIGN: [&str; 3] = ["ForeignObject"; 3];
const UNUSED: [&str; 3] = ["Field round", "Field attempt", "Field chunk"];
const KEY: [&str; 3] = ["Field steps", "Field attempt", "Field chunk"];
/// Rotation steps, or the asker of a gate.
const NUMBERED: [&str; 3] = [ACCEPTED, "Field attempt", "Field chunk"];

const fn row(
    name: &'static str,
    shape: [&'static str; 2],
    scale: &'static str,
    sender: (u16, &'static str),
    numbers: [&'static str; 3],
    epoch: &'static str,
) -> Row {
    Row { name, shape, scale, sender, numbers, epoch }
}

/// Shares of keys name any sender; the sum that absorbs them knows who is in the ceremony.
const ROWS: [Row; 27] = [
    row("update-chunk", SHAPE, "Scale", (4, "UnknownParty"), [ACCEPTED; 3], ACCEPTED),
    row("packed-chunk", SHAPE, "Scale", (4, "UnknownParty"), [ACCEPTED; 3], ACCEPTED),
    row(
        "key-share",
        SHAPE,
        "Scale",
        (0, "UnknownParty"),
        ["ForeignObject", "ForeignObject", "UnknownParty"],
        FOREIGN[0],
    ),
    row("decryption-share", SHAPE, "Scale", (2, "NotADecryptor"), FOREIGN, FOREIGN[0]),
    row("blinded-sum", SHAPE, "Scale", (1, FOREIGN[0]), FOREIGN, FOREIGN[0]),
    row("ciphertext-2", [ACCEPTED; 2], ACCEPTED, (1, "Field sender"), UNUSED, "Field epoch"),
    row("ciphertext-3", [ACCEPTED, SHAPE[1]], ACCEPTED, (1, "Field sender"), UNUSED, "Field epoch"),
    row("public-key-share", SHAPE, "Scale", (0, ACCEPTED), KEY, "Epoch"),
    row("public-key", SHAPE, "Scale", (1, "Field sender"), KEY, "Epoch"),
    row("relinearisation-one-share", DIGITS, "Scale", (0, ACCEPTED), KEY, "Epoch"),
    row("relinearisation-one-sum", DIGITS, "Scale", (1, "Field sender"), KEY, "Epoch"),
    row("relinearisation-two-share", DIGITS, "Scale", (0, ACCEPTED), KEY, "Epoch"),
    row("relinearisation-key", DIGITS, "Scale", (1, "Field sender"), KEY, "Epoch"),
    row("galois-share", DIGITS, "Scale", (0, ACCEPTED), NUMBERED, "Epoch"),
    row("galois-key", DIGITS, "Scale", (1, "Field sender"), NUMBERED, "Epoch"),
    row("release-share", SHAPE, "Scale", (1, ACCEPTED), UNUSED, "Context"),
    row("serving-key-share", SHAPE, "Scale", (65, "Field sender"), [UNUSED[0], ACCEPTED, ACCEPTED], "Epoch"),
    row("seeded-ciphertext", [ACCEPTED, SHAPE[1]], ACCEPTED, (1, "Field sender"), UNUSED, ACCEPTED),
    row("query-key", DIGITS, "Scale", (1, "Field sender"), KEY, "Epoch"),
    row("gate-share", DIGITS, "Scale", (0, ACCEPTED), NUMBERED, "Epoch"),
    row("gate", DIGITS, "Scale", (1, "Field sender"), NUMBERED, "Epoch"),
    row("gate-key", DIGITS, "Scale", (0, "Field sender"), KEY, "Epoch"),
    row("gated-ciphertext", [ACCEPTED, SHAPE[1]], ACCEPTED, (1, "Field sender"), UNUSED, "Field epoch"),
    row("plane-key", [ACCEPTED, SHAPE[1]], "Scale", (0, "Field sender"), UNUSED, "Epoch"),
    row("plane", [ACCEPTED, SHAPE[1]], "Scale", (65, "Field sender"), UNUSED, "Epoch"),
    row("refresh-share", SHAPE, "Scale", (1, ACCEPTED), UNUSED, "Context"),
    row("blinded-refresh", SHAPE, "Scale", (1, "Field sender"), UNUSED, "Context"),
];

fn each(test: impl Fn(&Decoder, &Row)) {
    let all = decoders();
    assert_eq!(all.len(), ROWS.len());
    for decoder in all {
        test(decoder, ROWS.iter().find(|row| row.name == decoder.name).unwrap());
    }
}

fn outcome(decoder: &Decoder, bytes: &[u8]) -> String {
    (decoder.check)(bytes).map_or_else(|refusal| refusal.name(), |()| ACCEPTED.to_owned())
}

fn expect(decoder: &Decoder, bytes: &[u8], expected: &str, what: &str) {
    assert_eq!(outcome(decoder, bytes), expected, "{}: {what}", decoder.name);
}

/// Coefficients of its polynomials.
fn coefficients(decoder: &Decoder) -> usize {
    // An answer's alone.
    if decoder.name == "release-share" { PERIOD } else { decoder.params.n }
}

/// The valid object with some header bytes replaced and its payload cut or repeated to fit.
fn changed(decoder: &Decoder, edits: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = decoder.valid.clone();
    edits.iter().for_each(|&(at, value)| bytes[at] = value);
    let polynomials = (usize::from(bytes[8]) + usize::from(bytes[9])) * usize::from(bytes[10]);
    let length = HEADER_BYTES + polynomials * packed_len(coefficients(decoder));
    while bytes.len() < length {
        bytes.extend_from_slice(&decoder.valid[HEADER_BYTES..]);
    }
    bytes.truncate(length);
    // Zeros are residues of every prime.
    if length != decoder.valid.len() {
        bytes[HEADER_BYTES..].fill(0);
    }
    bytes
}

#[test]
fn a_valid_object_is_read_and_written_alike() {
    each(|decoder, _| assert!((decoder.again)(&decoder.valid).unwrap() == decoder.valid, "{}", decoder.name));
}

#[test]
fn every_other_length_is_refused() {
    each(|decoder, _| {
        let valid = &decoder.valid;
        let per_limb = packed_len(coefficients(decoder));
        let cuts = [0, 1, 4, 5, 40, 71, 72, 73, 72 + per_limb - 1, 72 + per_limb, valid.len() / 2, valid.len() - 1];
        for length in cuts {
            let expected = if length < HEADER_BYTES { HEADER_BYTES } else { valid.len() };
            let refusal = (decoder.check)(&valid[..length]).unwrap_err();
            let right = matches!(&refusal, Refusal::Decode(DecodeError::Length { found, expected: wanted })
                if *found == length && *wanted == expected);
            assert!(right, "{} cut to {length}: {refusal:?}", decoder.name);
        }
        for more in [1, 4, per_limb, valid.len()] {
            let mut longer = valid.clone();
            longer.resize(valid.len() + more, 0);
            expect(decoder, &longer, "Length", "trailing bytes");
        }
    });
}

#[test]
fn magic_version_kind_and_preset_are_refused_by_name() {
    each(|decoder, _| {
        let valid = &decoder.valid;
        for (at, byte) in valid.iter().enumerate().take(4) {
            expect(decoder, &changed(decoder, &[(at, byte ^ 0x20)]), "Magic", "magic");
        }
        for version in (0..=255).filter(|&version| version != VERSION) {
            expect(decoder, &changed(decoder, &[(4, version)]), "Version", "version");
        }
        for kind in (0..=255).filter(|&kind| kind != valid[5]) {
            expect(decoder, &changed(decoder, &[(5, kind)]), "Kind", "kind");
        }
        for preset in (0..=255).filter(|&preset| preset != valid[6]) {
            let known = Preset::from_number(preset).is_some();
            expect(
                decoder,
                &changed(decoder, &[(6, preset)]),
                if known { "Preset" } else { "UnknownPreset" },
                "preset",
            );
        }
    });
}

#[test]
fn every_kind_has_a_decoder_here() {
    let kinds: std::collections::BTreeSet<u8> = decoders().iter().map(|decoder| decoder.valid[5]).collect();
    let all = [
        Kind::UpdateChunk,
        Kind::KeyShare,
        Kind::DecryptionShare,
        Kind::BlindedSum,
        Kind::Ciphertext,
        Kind::PublicKey,
        Kind::RelinearizationOne,
        Kind::RelinearizationTwo,
        Kind::GaloisKey,
        Kind::ServingShare,
        Kind::SeededCiphertext,
        Kind::QueryKey,
        Kind::GateShare,
        Kind::GateKey,
        Kind::GatedCiphertext,
        Kind::ReleaseShare,
        Kind::PlaneKey,
        Kind::Plane,
        Kind::RefreshShare,
        Kind::BlindedRefresh,
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all.map(|kind| kind as u8));
}

#[test]
fn objects_of_another_kind_are_refused() {
    for decoder in decoders() {
        for other in decoders().iter().filter(|other| other.name != decoder.name) {
            let found = outcome(decoder, &other.valid);
            let shares = decoder.valid[5] == other.valid[5];
            let expected: &[&str] = match (decoder.name, other.name) {
                // A sum is shaped like a share, without a sender; absorbing it is refused.
                (
                    _,
                    "public-key" | "relinearisation-one-sum" | "galois-key" | "gate" | "update-chunk" | "packed-chunk",
                ) if shares => &[ACCEPTED],
                ("ciphertext-2" | "ciphertext-3", _) if shares => &[ACCEPTED],
                _ if shares => &["Field sender", "Field polynomials"],
                _ => &["Kind"],
            };
            assert!(expected.contains(&found.as_str()), "{} read as {}: {found}", other.name, decoder.name);
        }
    }
}

#[test]
fn shapes_outside_the_parameters_are_refused() {
    each(|decoder, row| {
        let valid = &decoder.valid;
        let (q, p) = (decoder.params.q.len() as u8, decoder.params.p.len() as u8);
        expect(decoder, &changed(decoder, &[(7, 1 - valid[7])]), "Field domain", "the other domain");
        for domain in [2, 255] {
            expect(decoder, &changed(decoder, &[(7, domain)]), "Field domain", "no domain");
        }
        for limbs in [0, q + 1, 255] {
            expect(decoder, &changed(decoder, &[(8, limbs)]), "Field limbs", "limbs out of range");
        }
        expect(decoder, &changed(decoder, &[(8, valid[8] - 1)]), row.shape[0], "one limb less");
        for special in [p + 1, 255] {
            expect(decoder, &changed(decoder, &[(9, special)]), "Field special limbs", "special limbs out of range");
        }
        if p > 0 {
            expect(decoder, &changed(decoder, &[(9, p - valid[9])]), "Field special limbs", "the other special limbs");
        }
        for polynomials in [0, POLYNOMIALS_MAX + 1, 255] {
            expect(decoder, &changed(decoder, &[(10, polynomials)]), "Field polynomials", "polynomials out of range");
        }
        expect(decoder, &changed(decoder, &[(10, valid[10] + 1)]), row.shape[1], "one polynomial more");
        // The same with a payload that does not fit the shape.
        for at in [8, 10] {
            let mut bytes = valid.clone();
            bytes[at] = if at == 8 && bytes[at] == q { q - 1 } else { bytes[at] + 1 };
            expect(decoder, &bytes, "Length", "a shape of another length");
        }
    });
}

#[test]
fn padding_and_scales_are_refused_by_name() {
    each(|decoder, row| {
        for at in [11, 14, 15, 28, 29, 30, 31] {
            for value in [1, 0x80] {
                expect(decoder, &changed(decoder, &[(at, value)]), &format!("Padding {at}"), "padding");
            }
        }
        let with = |scale: f64| {
            let mut bytes = decoder.valid.clone();
            bytes[32..40].copy_from_slice(&scale.to_bits().to_le_bytes());
            bytes
        };
        for scale in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            expect(decoder, &with(scale), "Scale", "no scale");
        }
        for scale in [0.5, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            expect(decoder, &with(scale), row.scale, "another scale");
        }
    });
}

#[test]
fn foreign_origins_are_refused_by_name() {
    each(|decoder, row| {
        let mut bytes = decoder.valid.clone();
        bytes[12..14].copy_from_slice(&row.sender.0.to_le_bytes());
        expect(decoder, &bytes, row.sender.1, "sender");
        for (at, expected) in [16, 20, 24].into_iter().zip(row.numbers) {
            for bit in [0, 31] {
                // The high bit leaves the range of rotation steps, and of askers.
                let expected = match row.name {
                    "galois-share" | "galois-key" if (at, bit) == (16, 31) => "Field steps",
                    "gate-share" | "gate" if (at, bit) == (16, 31) => "Field asker",
                    _ => expected,
                };
                let mut bytes = decoder.valid.clone();
                bytes[at + bit / 8] ^= 1 << (bit % 8);
                // Receiver 2 exists where 3 was.
                let expected = if (row.name, at, bit) == ("key-share", 24, 0) { ACCEPTED } else { expected };
                expect(decoder, &bytes, expected, "a number of the origin");
            }
        }
        for at in [40, 55, 71] {
            let mut bytes = decoder.valid.clone();
            bytes[at] ^= 1;
            expect(decoder, &bytes, row.epoch, "epoch");
        }
    });
}

#[test]
fn rotations_by_nothing_and_objects_of_nobody_are_refused() {
    let by_name = |name: &str| decoders().iter().find(|decoder| decoder.name == name).unwrap();
    for name in ["galois-share", "galois-key"] {
        let decoder = by_name(name);
        // As many steps as slots stand for conjugation.
        for steps in [0, decoder.params.slots() as u32 + 1, u32::MAX] {
            let mut bytes = decoder.valid.clone();
            bytes[16..20].copy_from_slice(&steps.to_le_bytes());
            expect(decoder, &bytes, "Field steps", "steps");
        }
    }
    for name in ["gate-share", "gate"] {
        let decoder = by_name(name);
        for asker in [0, 65, u32::MAX] {
            let mut bytes = decoder.valid.clone();
            bytes[16..20].copy_from_slice(&asker.to_le_bytes());
            expect(decoder, &bytes, "Field asker", "asker");
        }
    }
    let decoder = by_name("gate-key");
    let mut bytes = decoder.valid.clone();
    for sender in [65, u16::MAX] {
        bytes[12..14].copy_from_slice(&sender.to_le_bytes());
        expect(decoder, &bytes, "Field sender", "no asker");
    }
    for name in ["plane-key", "plane"] {
        let decoder = by_name(name);
        for sender in [0_u16, 65] {
            let mut bytes = decoder.valid.clone();
            bytes[12..14].copy_from_slice(&sender.to_le_bytes());
            expect(decoder, &bytes, "Field sender", "no asker");
        }
    }
    let decoder = by_name("serving-key-share");
    let mut bytes = decoder.valid.clone();
    bytes[20..28].fill(0);
    expect(decoder, &bytes, "Field attempt", "no dealers");
    bytes[12..14].fill(0);
    expect(decoder, &bytes, "Field sender", "no holder");
}

/// Writes a 30-bit residue at its place in the payload.
fn set_residue(bytes: &mut [u8], at: usize, value: u32) {
    for bit in 0..30 {
        let place = HEADER_BYTES * 8 + at * 30 + bit;
        let mask = 1u8 << (place % 8);
        if value >> bit & 1 == 1 { bytes[place / 8] |= mask } else { bytes[place / 8] &= !mask }
    }
}

#[test]
fn residues_at_or_above_their_prime_are_refused_in_every_limb() {
    each(|decoder, _| {
        let (params, valid, n) = (decoder.params, &decoder.valid, coefficients(decoder));
        let (limbs, special) = (usize::from(valid[8]), usize::from(valid[9]));
        let primes: Vec<u32> =
            params.q[..limbs].iter().chain(&params.p[..special]).map(|limb| limb.modulus().value()).collect();
        for polynomial in 0..usize::from(valid[10]) {
            for (limb, &q) in primes.iter().enumerate() {
                let first = (polynomial * primes.len() + limb) * n;
                for (position, value) in [(0, q), (n / 2 + 1, q + 1), (n - 1, (1 << 30) - 1)] {
                    let mut bytes = valid.clone();
                    set_residue(&mut bytes, first + position, q - 1);
                    expect(decoder, &bytes, ACCEPTED, "the largest residue");
                    set_residue(&mut bytes, first + position, value);
                    let refusal = (decoder.check)(&bytes).unwrap_err();
                    let right = matches!(
                        &refusal,
                        Refusal::Decode(DecodeError::Residue { position: at, value: v, modulus, .. })
                            if (*at, *v, *modulus) == (position, value, q)
                    );
                    assert!(right, "{} limb {limb} of polynomial {polynomial}: {refusal:?}", decoder.name);
                }
            }
        }
    });
}
