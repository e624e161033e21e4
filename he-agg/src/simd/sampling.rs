//! Keystream bytes into residues and small integers.
//!
//! Nothing here branches on a sample or indexes by one. Rejection is the
//! exception in form only: which words are rejected is independent of the
//! values of the accepted ones.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector intrinsics on a detected instruction set"))]

use super::Isa;
use super::per_isa::per_isa;
use crate::ring::Modulus;

/// Largest word width of [`flooding`]: twelve words stay far inside an `i64`.
pub(crate) const NARROW_BITS_MAX: u32 = 58;

/// Low bits of a word that a residue is made of.
const RESIDUE: u32 = (1 << 30) - 1;

/// Writes the low 30 bits of each little-endian word that are below `q` to the
/// front of `out`, in order; returns how many. `out` has a place for each
/// word; places behind the accepted ones hold unspecified values.
pub(crate) fn accept_below(isa: Isa, q: u32, words: &[u8], out: &mut [u32]) -> usize {
    assert!(words.len() == 4 * out.len(), "one place per word");
    // Miri knows no compression.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if isa == Isa::Avx512 {
        // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
        return unsafe { accept_below_avx512(q, words, out) };
    }
    let _ = isa;
    accept_below_scalar(q, words, out, 0)
}

/// The same from word `out[accepted..]` on; without a branch on the words.
fn accept_below_scalar(q: u32, words: &[u8], out: &mut [u32], mut accepted: usize) -> usize {
    for &word in words.as_chunks::<4>().0 {
        let value = u32::from_le_bytes(word) & RESIDUE;
        out[accepted] = value;
        accepted += usize::from(value < q);
    }
    accepted
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn accept_below_avx512(q: u32, words: &[u8], out: &mut [u32]) -> usize {
    use std::arch::x86_64::*;
    let (low, bound) = (_mm512_set1_epi32(RESIDUE.cast_signed()), _mm512_set1_epi32(q.cast_signed()));
    let (vectors, rest) = words.as_chunks::<64>();
    let mut accepted = 0;
    for vector in vectors {
        // SAFETY: a vector is 64 readable bytes. Each earlier vector accepted
        // at most 16 words, so 16 places from `accepted` on are inside `out`,
        // which has one per word.
        unsafe {
            let values = _mm512_and_si512(_mm512_loadu_si512(vector.as_ptr().cast()), low);
            let below = _mm512_cmplt_epu32_mask(values, bound);
            // Compress in the register: the form with a memory operand is slow.
            let packed = _mm512_maskz_compress_epi32(below, values);
            _mm512_storeu_si512(out.as_mut_ptr().add(accepted).cast(), packed);
            accepted += below.count_ones() as usize;
        }
    }
    accept_below_scalar(q, rest, out, accepted)
}

per_isa! {
    /// `out = popcount of 21 bits - popcount of 21 bits` of each 64-bit word.
    centred_binomial(words: &[u8], out: &mut [i32]) = plain::centred_binomial;
    /// `out = ((3 w) >> 32) - 1` of each 32-bit word.
    ternary(words: &[u8], out: &mut [i32]) = plain::ternary;
    /// Each value is the sum of twelve 64-bit words cut to `bits` bits, with
    /// alternating signs; `bits` at most [`NARROW_BITS_MAX`].
    flooding(bits: u32, words: &[u8], out: &mut [i64]) = plain::flooding;
    /// `x += z` for `z` of any size.
    add_signed(m: &Modulus, x: &mut [u32], z: &[i64]) = plain::add_signed;
}

mod plain {
    use super::{Modulus, NARROW_BITS_MAX};

    #[inline(always)]
    pub(super) fn centred_binomial(words: &[u8], out: &mut [i32]) {
        const HALF: u64 = (1 << 21) - 1;
        let words = words.as_chunks::<8>().0;
        assert!(words.len() == out.len(), "one word per value");
        for (out, &word) in out.iter_mut().zip(words) {
            // Complementing the second half turns its ones into 21 minus them.
            let bits = (u64::from_le_bytes(word) ^ HALF << 21) & (HALF << 21 | HALF);
            *out = bits.count_ones() as i32 - 21;
        }
    }

    #[inline(always)]
    pub(super) fn ternary(words: &[u8], out: &mut [i32]) {
        let words = words.as_chunks::<4>().0;
        assert!(words.len() == out.len(), "one word per value");
        for (out, &word) in out.iter_mut().zip(words) {
            *out = (3u64.wrapping_mul(u64::from(u32::from_le_bytes(word))) >> 32) as i32 - 1;
        }
    }

    #[inline(always)]
    pub(super) fn flooding(bits: u32, words: &[u8], out: &mut [i64]) {
        assert!(bits <= NARROW_BITS_MAX, "sums of wider words do not fit");
        let mask = (1u64 << bits) - 1;
        let groups = words.as_chunks::<96>().0;
        assert!(groups.len() == out.len(), "twelve words per value");
        for (out, group) in out.iter_mut().zip(groups) {
            let mut sum = 0i64;
            for pair in group.as_chunks::<16>().0 {
                let pair = u128::from_le_bytes(*pair);
                let (plus, minus) = (pair as u64 & mask, (pair >> 64) as u64 & mask);
                sum = sum.wrapping_add(plus as i64).wrapping_sub(minus as i64);
            }
            *out = sum;
        }
    }

    #[inline(always)]
    pub(super) fn add_signed(m: &Modulus, x: &mut [u32], z: &[i64]) {
        assert!(x.len() == z.len(), "operands differ in length");
        x.iter_mut().zip(z).for_each(|(x, &z)| *x = m.add(*x, m.reduce_i64(z)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::PRIMES;
    use crate::stream::Stream;

    fn bytes(seed: u8, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        Stream::from_seed([seed; 32]).fill(&mut out);
        out
    }

    #[test]
    fn acceptance_keeps_the_order_on_every_instruction_set() {
        let q = PRIMES[27];
        for count in [0, 1, 15, 16, 17, 255, 1024, 1031] {
            for kind in 0..5 {
                let mut words = bytes(count as u8, 4 * count);
                for (i, word) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    match kind {
                        0 => {}
                        1 => *word = (q - 1).to_le_bytes(),
                        2 => *word = q.to_le_bytes(),
                        // The two top bits do not count.
                        3 => *word = (0xc000_0000 | (q - (i as u32 & 1))).to_le_bytes(),
                        _ => *word = [0xff; 4],
                    }
                }
                let expected: Vec<u32> = words
                    .chunks(4)
                    .map(|w| u32::from_le_bytes(w.try_into().unwrap()) % (1 << 30))
                    .filter(|&x| x < q)
                    .collect();
                for isa in Isa::available() {
                    let mut out = vec![u32::MAX; count];
                    let accepted = accept_below(isa, q, &words, &mut out);
                    assert!(out[..accepted] == expected, "{isa:?}, {count} words of kind {kind}");
                }
            }
        }
    }

    #[test]
    fn small_integers_follow_their_definitions_on_every_instruction_set() {
        const N: usize = 1003;
        for mut words in [bytes(1, 8 * N), vec![0; 8 * N], vec![0xff; 8 * N]] {
            words[..16].copy_from_slice(&[[0xff; 8], [0; 8]].concat());
            let wide: Vec<u64> = words.chunks(8).map(|w| u64::from_le_bytes(w.try_into().unwrap())).collect();
            for isa in Isa::available() {
                let mut errors = vec![0; N];
                centred_binomial(isa, &words, &mut errors);
                let mut trits = vec![0; 2 * N];
                ternary(isa, &words, &mut trits);
                for (i, &word) in wide.iter().enumerate() {
                    let ones = |from: u32| (from..from + 21).filter(|&b| word >> b & 1 == 1).count() as i32;
                    assert_eq!(errors[i], ones(0) - ones(21), "{isa:?}");
                    let third = |w: u64| match w & 0xffff_ffff {
                        w if w < 0x5555_5556 => -1,
                        w if w < 0xaaaa_aaab => 0,
                        _ => 1,
                    };
                    assert_eq!((trits[2 * i], trits[2 * i + 1]), (third(word), third(word >> 32)), "{isa:?}");
                }
            }
        }
    }

    #[test]
    fn flooding_sums_and_their_residues_agree_with_wide_integers() {
        const N: usize = 203;
        let m = Modulus::new(PRIMES[5]);
        let q = i128::from(m.value());
        // All ones in the even words and none in the odd ones: the largest sum.
        let extreme: Vec<u8> = (0..96 * N).map(|i| if i / 8 % 2 == 0 { 0xff } else { 0 }).collect();
        for words in [bytes(2, 96 * N), extreme] {
            for bits in [0, 1, 40, 58] {
                let expected: Vec<i128> = words
                    .chunks(96)
                    .map(|value| {
                        let word = |w: &[u8]| i128::from(u64::from_le_bytes(w.try_into().unwrap()) & ((1 << bits) - 1));
                        value.chunks(8).enumerate().map(|(i, w)| if i % 2 == 0 { word(w) } else { -word(w) }).sum()
                    })
                    .collect();
                for isa in Isa::available() {
                    let mut sums = vec![0; N];
                    flooding(isa, bits, &words, &mut sums);
                    assert!(sums.iter().zip(&expected).all(|(&s, &e)| i128::from(s) == e), "{isa:?}");
                    let start: Vec<u32> = (0..N as u32).map(|i| i * 7 % m.value()).collect();
                    let mut x = start.clone();
                    add_signed(isa, &m, &mut x, &sums);
                    for i in 0..N {
                        assert_eq!(i128::from(x[i]), (i128::from(start[i]) + expected[i]).rem_euclid(q), "{isa:?}");
                    }
                }
            }
        }
        for isa in Isa::available() {
            let mut x = vec![m.value() - 1; 3];
            add_signed(isa, &m, &mut x, &[i64::MIN, i64::MAX, -1]);
            let want = [i64::MIN, i64::MAX, -1].map(|z| (i128::from(z) - 1).rem_euclid(q) as u32);
            assert_eq!(x, want);
        }
    }
}
