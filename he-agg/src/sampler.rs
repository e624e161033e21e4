//! Integer samplers: small errors, ternary secrets, flooding.
//!
//! All are branch-free and use integers only, so their time does not depend
//! on the sample and their distribution is exactly what the analysis assumes.

use crate::simd::{self, Isa, NARROW_BITS_MAX};
use crate::stream::Stream;
use zeroize::Zeroizing;

/// Largest magnitude of [`centred_binomial`].
pub const ERROR_MAX: u32 = 21;

/// Widest flooding word; six of them stay far inside an `i128`.
pub const FLOODING_BITS_MAX: u32 = 120;

/// Values drawn at once.
const BLOCK: usize = 512;

/// `n` errors: popcount of 21 bits minus popcount of 21 bits. Variance 10.5
/// (standard deviation 3.24), magnitude at most [`ERROR_MAX`]. Allocates 8 n
/// bytes.
pub fn centred_binomial(stream: &mut Stream, n: usize) -> Zeroizing<Vec<i64>> {
    small(stream, n, 8, simd::centred_binomial)
}

/// Fills `out` with errors as in [`centred_binomial`].
pub(crate) fn fill_centred_binomial(stream: &mut Stream, out: &mut [i32]) {
    stream.blocks(8 * out.len(), 8 * BLOCK, |at, bytes| {
        simd::centred_binomial(Isa::detect(), bytes, &mut out[at / 8..(at + bytes.len()) / 8]);
    });
}

/// `n` uniform values of {-1, 0, 1}, as `((3u) >> 32) - 1` of a 32-bit `u`
/// (bias below 2^-32). Allocates 8 n bytes.
pub fn ternary(stream: &mut Stream, n: usize) -> Zeroizing<Vec<i64>> {
    small(stream, n, 4, simd::ternary)
}

/// `n` small integers, each from a word of `word` bytes.
fn small(stream: &mut Stream, n: usize, word: usize, kernel: fn(Isa, &[u8], &mut [i32])) -> Zeroizing<Vec<i64>> {
    let mut out = Zeroizing::new(Vec::with_capacity(n));
    let mut block = [0; BLOCK];
    stream.blocks(word * n, word * BLOCK, |_, bytes| {
        let block = &mut block[..bytes.len() / word];
        kernel(Isa::detect(), bytes, block);
        out.extend(block.iter().map(|&x| i64::from(x)));
    });
    simd::wipe(&mut block);
    out
}

/// `n` flooding values of standard deviation `2^bits`: the sum of six uniform
/// `bits`-bit words minus six others, magnitude below `6 * 2^bits`. Allocates
/// 16 n bytes.
///
/// Twelve words, because the product of variance and Fisher information of
/// their sum is 1.002, against a Gaussian's 1: the divergence under a small
/// shift is what flooding is for, and a single uniform word has none bounded.
pub fn flooding(stream: &mut Stream, bits: u32, n: usize) -> Zeroizing<Vec<i128>> {
    assert!(bits <= FLOODING_BITS_MAX, "flooding words are at most 120 bits");
    if bits <= NARROW_BITS_MAX {
        let mut out = Zeroizing::new(Vec::with_capacity(n));
        let mut block = [0; BLOCK];
        for at in (0..n).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(n - at)];
            fill_flooding(stream, bits, block);
            out.extend(block.iter().map(|&z| i128::from(z)));
        }
        simd::wipe(&mut block);
        return out;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(n));
    let (mut sum, mut drawn) = (0i128, 0u32);
    let mut each = |word: u128| {
        // Words alternate in sign; twelve make one value.
        let sign = -i128::from(drawn & 1);
        sum += (word as i128 ^ sign) - sign;
        drawn += 1;
        if drawn == 12 {
            out.push(sum);
            (sum, drawn) = (0, 0);
        }
    };
    if bits <= 64 {
        let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        stream.words::<8>(12 * n, |word| each(u128::from(u64::from_le_bytes(word) & mask)));
    } else {
        let mask = u128::MAX >> (128 - bits);
        stream.words::<16>(12 * n, |word| each(u128::from_le_bytes(word) & mask));
    }
    out
}

/// Fills `out` with flooding values as in [`flooding`], `bits` at most
/// [`NARROW_BITS_MAX`].
pub(crate) fn fill_flooding(stream: &mut Stream, bits: u32, out: &mut [i64]) {
    // 64 values are 96 whole keystream blocks.
    stream.blocks(96 * out.len(), 96 * 64, |at, bytes| {
        simd::flooding(Isa::detect(), bits, bytes, &mut out[at / 96..(at + bytes.len()) / 96]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_flooding_equals_the_sum_of_its_words() {
        let z = flooding(&mut Stream::from_seed([6; 32]), 57, 100);
        let mut stream = Stream::from_seed([6; 32]);
        for &z in z.iter() {
            let word = |_| i128::from(stream.next_u64() & ((1 << 57) - 1));
            let words: [i128; 12] = std::array::from_fn(word);
            assert_eq!(z, words.chunks(2).map(|w| w[0] - w[1]).sum::<i128>());
        }
    }

    fn moments(values: impl Iterator<Item = f64>, n: usize) -> (f64, f64) {
        let (sum, squares) = values.fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
        let mean = sum / n as f64;
        (mean, squares / n as f64 - mean * mean)
    }

    #[test]
    fn errors_have_the_binomial_distribution() {
        const N: usize = 1 << 20;
        let e = centred_binomial(&mut Stream::from_seed([1; 32]), N);
        let (mean, variance) = moments(e.iter().map(|&x| x as f64), N);
        assert!(mean.abs() < 5.0 * (10.5f64 / N as f64).sqrt(), "{mean}");
        assert!((variance / 10.5 - 1.0).abs() < 0.01, "{variance}");
        assert!(e.iter().all(|x| x.unsigned_abs() <= u64::from(ERROR_MAX)));
        // P(0) = C(42, 21) / 2^42.
        let zeros = e.iter().filter(|&&x| x == 0).count() as f64 / N as f64;
        assert!((zeros / 0.122_371 - 1.0).abs() < 0.02, "{zeros}");
    }

    #[test]
    fn ternary_values_are_equally_likely() {
        const N: usize = 300_000;
        let s = ternary(&mut Stream::from_seed([2; 32]), N);
        for value in -1..=1 {
            let count = s.iter().filter(|&&x| x == value).count() as f64;
            assert!((count - 100_000.0).abs() < 1500.0, "{value}: {count}");
        }
    }

    #[test]
    fn flooding_has_the_stated_deviation_at_narrow_and_wide_words() {
        const N: usize = 1 << 17;
        for bits in [40, 64, 71] {
            let z = flooding(&mut Stream::from_seed([bits as u8; 32]), bits, N);
            assert_eq!(z.len(), N);
            let unit = 2f64.powi(bits as i32);
            let (mean, variance) = moments(z.iter().map(|&x| x as f64 / unit), N);
            assert!(mean.abs() < 5.0 / (N as f64).sqrt(), "{mean}");
            assert!((variance.sqrt() - 1.0).abs() < 0.01, "{variance}");
            assert!(z.iter().all(|x| x.unsigned_abs() < 6u128 << bits));
        }
    }
}
