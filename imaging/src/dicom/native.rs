//! Stored values out of uncompressed words (PS3.5 chapter 8): the bits that are stored, masked and, where they are
//! signed, extended.

use super::elements::Syntax;
use super::layout::Layout;
use crate::samples::Samples;

/// The stored bits of a word as a value. Bits above the high bit and below the lowest stored one belong to overlays of
/// old files, and to nobody.
pub(super) fn stored(word: u32, layout: &Layout) -> i64 {
    let word = u64::from(word) >> (layout.high_bit + 1 - layout.bits_stored);
    extended(word, layout.bits_stored, layout.signed)
}

/// The low bits as a number, in two's complement if signed.
pub(super) fn extended(word: u64, bits: u32, signed: bool) -> i64 {
    let value = word & ((1 << bits) - 1);
    match signed && value >> (bits - 1) == 1 {
        true => value as i64 - (1 << bits),
        false => value as i64,
    }
}

/// Every word of `bytes`, in their order. Bytes beyond whole words are ignored.
pub(super) fn unpack(bytes: &[u8], syntax: Syntax, layout: &Layout, into: &mut Samples) {
    match layout.bits_allocated {
        8 => bytes.iter().for_each(|word| into.push(stored(u32::from(*word), layout))),
        16 => bytes.as_chunks().0.iter().for_each(|word| into.push(stored(u32::from(syntax.u16(*word)), layout))),
        _ => bytes.as_chunks().0.iter().for_each(|word| into.push(stored(syntax.u32(*word), layout))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(bits_stored: u32, high_bit: u32, signed: bool) -> Layout {
        Layout { bits_allocated: 16, bits_stored, high_bit, signed, ..Layout::default() }
    }

    #[test]
    fn stored_bits_are_masked_and_extended() {
        assert_eq!(stored(0xf800, &layout(12, 11, true)), -2048);
        assert_eq!(stored(0x57ff, &layout(12, 11, true)), 2047);
        assert_eq!(stored(0xafff, &layout(12, 11, true)), -1);
        assert_eq!(stored(0xafff, &layout(12, 11, false)), 4095);
        assert_eq!(stored(0xabcd, &layout(12, 15, false)), 0xabc);
        assert_eq!(stored(0x8000, &layout(16, 15, true)), -32768);
        let long = Layout { bits_allocated: 32, bits_stored: 32, high_bit: 31, signed: true, ..Layout::default() };
        assert_eq!(stored(u32::MAX, &long), -1);
        assert_eq!(stored(u32::MAX, &Layout { signed: false, ..long }), i64::from(u32::MAX));
    }
}
