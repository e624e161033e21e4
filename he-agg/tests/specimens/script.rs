//! The input of the fuzz targets: short instructions that damage a valid object.
//!
//! Objects are hundreds of kilobytes, of which a fuzzer would almost never keep the length right.
//! So an input names a decoder and then lists edits, four bytes each; what remains decides
//! nothing. The first byte selects the decoder within its family, the second the start:
//!
//! ```text
//! 0      the rest of the input is the object
//! 1      the valid object of the decoder
//! 2      the valid object of another kind, the next in the list
//! 3      the valid header with a payload of zeros
//! edits  [operation, x, y, z]
//! ```

use super::decoders::{Decoder, Family, decoders};
use he_agg::wire::HEADER_BYTES;

/// Edits of one input.
const EDITS_MAX: usize = 64;

/// Runs one input of a family: the decoder refuses it, or reads it and writes the same bytes.
///
/// # Panics
/// If it does neither; that is the finding.
pub(crate) fn run(family: Family, input: &[u8]) {
    let of_family: Vec<&Decoder> = decoders().iter().filter(|decoder| decoder.family == family).collect();
    let [select, start, rest @ ..] = input else { return };
    let decoder = of_family[usize::from(*select) % of_family.len()];
    let bytes = object(decoder, *start, rest);
    match (decoder.again)(&bytes) {
        Ok(written) => assert!(written == bytes, "{} reads what it would not write", decoder.name),
        Err(refusal) => {
            assert!(bytes != decoder.valid, "{} refuses a valid object: {refusal:?}", decoder.name);
            assert!(!refusal.name().is_empty());
        }
    }
}

/// The damaged object.
fn object(decoder: &Decoder, start: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = match start % 4 {
        0 => return rest.to_vec(),
        1 => decoder.valid.clone(),
        2 => {
            let at = decoders().iter().position(|other| other.name == decoder.name).unwrap_or(0);
            decoders()[(at + 1) % decoders().len()].valid.clone()
        }
        _ => {
            let mut bytes = decoder.valid.clone();
            bytes[HEADER_BYTES..].fill(0);
            bytes
        }
    };
    for &[operation, x, y, z] in rest.as_chunks::<4>().0.iter().take(EDITS_MAX) {
        edit(decoder, &mut bytes, operation, [x, y, z]);
    }
    bytes
}

fn edit(decoder: &Decoder, bytes: &mut Vec<u8>, operation: u8, [x, y, z]: [u8; 3]) {
    let wide = usize::from(x) | usize::from(y) << 8 | usize::from(z) << 16;
    match operation % 8 {
        // One byte of the header.
        0 => {
            if let Some(byte) = bytes.get_mut(usize::from(x) % HEADER_BYTES) {
                *byte = y;
            }
        }
        // Bits of the header.
        1 => {
            if let Some(byte) = bytes.get_mut(usize::from(x) % HEADER_BYTES) {
                *byte ^= y;
            }
        }
        // One byte anywhere.
        2 => {
            let at = (usize::from(x) | usize::from(y) << 8) * 61;
            if !bytes.is_empty() {
                let length = bytes.len();
                bytes[at % length] ^= z;
            }
        }
        // A residue at the edge of its range: the value at or about the prime of some limb.
        3 => residue(decoder, bytes, x, usize::from(y) | usize::from(z) << 8),
        // Cut anywhere, near the end, or grow.
        4 => bytes.truncate(wide),
        5 => bytes.truncate(bytes.len().saturating_sub(wide % 256)),
        6 => bytes.resize(bytes.len() + wide % 4096, z),
        // The length that the header announces.
        _ => fit(decoder, bytes),
    }
}

/// Writes `q - 1`, `q`, `q + 1` or all ones at residue `at` of a limb.
fn residue(decoder: &Decoder, bytes: &mut [u8], which: u8, at: usize) {
    let params = decoder.params;
    let limb = usize::from(which >> 2) % params.q.len();
    let q = params.q[limb].modulus().value();
    let value = [q - 1, q, q + 1, (1 << 30) - 1][usize::from(which % 4)];
    let Some(payload) = bytes.get_mut(HEADER_BYTES..) else { return };
    let count = payload.len() * 8 / 30;
    if count == 0 {
        return;
    }
    let first = (limb * params.n + at) % count * 30;
    for bit in 0..30 {
        let (byte, mask) = ((first + bit) / 8, 1u8 << ((first + bit) % 8));
        if value >> bit & 1 == 1 { payload[byte] |= mask } else { payload[byte] &= !mask }
    }
}

/// Cuts or repeats the payload to the length of the header's shape.
fn fit(decoder: &Decoder, bytes: &mut Vec<u8>) {
    let &[.., limbs, special, polynomials] = &bytes[..bytes.len().min(11)] else { return };
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let limbs = (usize::from(limbs) + usize::from(special)) * usize::from(polynomials);
    // At most what the largest object takes twice.
    let payload = (limbs * he_agg::wire::packed_len(decoder.params.n)).min(1 << 20);
    let source = decoder.valid[HEADER_BYTES..].to_vec();
    while bytes.len() < HEADER_BYTES + payload {
        bytes.extend_from_slice(&source);
    }
    bytes.truncate(HEADER_BYTES + payload);
}
