//! Clipping, weighing and unbiased rounding of model updates.
//!
//! The scalar form calls the floor function of the C library for every value;
//! the instances round in vectors. All follow IEEE 754 operation by operation,
//! so that they agree bit for bit.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls into code compiled for an instruction set"))]

use super::per_isa::per_isa;

/// Bounds of a rounding.
#[derive(Clone, Copy)]
pub(crate) struct Rounding {
    /// Values are clipped to `[-clip, clip]`,
    pub(crate) clip: f64,
    /// multiplied by this,
    pub(crate) factor: f64,
    /// rounded at random and kept in `[-half, half]`.
    pub(crate) half: f64,
}

per_isa! {
    /// `out = floor(value factor + u)`, with `u` in `[0, 1)` from the upper 53
    /// bits of one 64-bit word per value. Values are finite.
    round_randomly(rounding: Rounding, words: &[u8], values: &[f32], out: &mut [i32]) = round_plain;
}

/// `1.5 * 2^52`: the last bit of a sum with it is worth one.
const INTEGER: f64 = 6_755_399_441_055_744.0;

/// `x` within `[-bound, bound]`; not a number becomes `-bound`.
#[inline(always)]
fn clamp(x: f64, bound: f64) -> f64 {
    let x = if x > -bound { x } else { -bound };
    if x < bound { x } else { bound }
}

#[inline(always)]
fn round_plain(rounding: Rounding, words: &[u8], values: &[f32], out: &mut [i32]) {
    let Rounding { clip, factor, half } = rounding;
    let words = words.as_chunks::<8>().0;
    assert!(words.len() == values.len() && out.len() == values.len(), "one word per value");
    for ((out, &word), &x) in out.iter_mut().zip(words).zip(values) {
        let u = (u64::from_le_bytes(word) >> 11) as f64 / (1u64 << 53) as f64;
        let x = clamp(f64::from(x), clip) * factor;
        // The second clamp covers the last bit of the floating-point product.
        // Adding 1.5 * 2^52 leaves the integer in the low bits; a cast would
        // be done one value at a time.
        *out = (clamp((x + u).floor(), half) + INTEGER).to_bits() as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;
    use crate::stream::Stream;

    #[test]
    fn rounding_agrees_on_every_instruction_set() {
        const N: usize = 1003;
        let rounding = Rounding { clip: 0.25, factor: 32767.0 / 0.25 * 0.7, half: 32767.0 };
        let mut words = vec![0; 8 * N];
        Stream::from_seed([1; 32]).fill(&mut words);
        words[..16].fill(0xff);
        let mut stream = Stream::from_seed([2; 32]);
        let mut values: Vec<f32> = (0..N).map(|_| stream.next_f64() as f32 - 0.5).collect();
        values[..6].copy_from_slice(&[0.25, -0.25, f32::MAX, f32::MIN, -0.0, f32::MIN_POSITIVE]);
        let expected: Vec<i32> = words
            .chunks(8)
            .zip(&values)
            .map(|(w, &x)| {
                let u = (u64::from_le_bytes(w.try_into().unwrap()) >> 11) as f64 * 2f64.powi(-53);
                (f64::from(x).clamp(-0.25, 0.25) * rounding.factor + u).floor().clamp(-32767.0, 32767.0) as i32
            })
            .collect();
        for isa in Isa::available() {
            let mut out = vec![0; N];
            round_randomly(isa, rounding, &words, &values, &mut out);
            assert!(out == expected, "{isa:?}");
        }
    }
}
