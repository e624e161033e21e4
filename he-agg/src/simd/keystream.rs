//! ChaCha20 (RFC 8439) keystream, many blocks side by side.
//!
//! All randomness of the crate passes through here and most of the time of a
//! training round is spent here, which is why the crate has a kernel of its
//! own: lane `b` of vector `i` is word `i` of block `b`, and a transposition
//! puts the words in order. The same loops over one block are the tail and the
//! reference; the tests compare all with the RFC and an independent crate.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector intrinsics on a detected instruction set"))]

use super::Isa;

/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64;

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Words 0 to 15 of the state of block `counter`.
#[inline(always)]
fn state(key: &[u32; 8], nonce: &[u32; 3], counter: u32) -> [u32; 16] {
    let mut state = [0; 16];
    state[..4].copy_from_slice(&CONSTANTS);
    state[4..12].copy_from_slice(key);
    state[12] = counter;
    state[13..].copy_from_slice(nonce);
    state
}

/// `L` blocks, word by word over all of them: plain loops that a compiler
/// turns into the vectors every target has, and with one block the reference.
fn blocks<const L: usize>(key: &[u32; 8], nonce: &[u32; 3], counter: u32, out: &mut [[u8; BLOCK_BYTES]; L]) {
    let mut start = state(key, nonce, counter).map(|word| [word; L]);
    for (place, number) in start[12].iter_mut().enumerate() {
        *number = number.wrapping_add(place as u32);
    }
    let mut x = start;
    // Whole rows by value, so that a row becomes a register.
    let mix = |sum: [u32; L], word: [u32; L], other: [u32; L], turn: u32| -> ([u32; L], [u32; L]) {
        let sum: [u32; L] = std::array::from_fn(|l| sum[l].wrapping_add(word[l]));
        (sum, std::array::from_fn(|l| (other[l] ^ sum[l]).rotate_left(turn)))
    };
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        (x[a], x[d]) = mix(x[a], x[b], x[d], 16);
        (x[c], x[b]) = mix(x[c], x[d], x[b], 12);
        (x[a], x[d]) = mix(x[a], x[b], x[d], 8);
        (x[c], x[b]) = mix(x[c], x[d], x[b], 7);
    };
    for _ in 0..10 {
        quarter(0, 4, 8, 12);
        quarter(1, 5, 9, 13);
        quarter(2, 6, 10, 14);
        quarter(3, 7, 11, 15);
        quarter(0, 5, 10, 15);
        quarter(1, 6, 11, 12);
        quarter(2, 7, 8, 13);
        quarter(3, 4, 9, 14);
    }
    for (l, out) in out.iter_mut().enumerate() {
        for ((out, x), start) in out.as_chunks_mut::<4>().0.iter_mut().zip(&x).zip(&start) {
            *out = x[l].wrapping_add(start[l]).to_le_bytes();
        }
    }
}

/// Overwrites `out`, whole blocks, with the keystream from block `counter`.
///
/// The caller has checked that the counter does not wrap.
pub(crate) fn keystream(isa: Isa, key: &[u32; 8], nonce: &[u32; 3], counter: u32, out: &mut [u8]) {
    assert!(out.len().is_multiple_of(BLOCK_BYTES), "the keystream is drawn in whole blocks");
    #[cfg(target_arch = "x86_64")]
    let done = {
        #[target_feature(enable = "avx2")]
        fn avx2(key: &[u32; 8], nonce: &[u32; 3], counter: u32, out: &mut [u8]) -> usize {
            // SAFETY: this instance is compiled for AVX2.
            unsafe { vector::blocks::<std::arch::x86_64::__m256i>(key, nonce, counter, out) }
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512(key: &[u32; 8], nonce: &[u32; 3], counter: u32, out: &mut [u8]) -> usize {
            // SAFETY: this instance is compiled for AVX-512.
            unsafe { vector::blocks::<std::arch::x86_64::__m512i>(key, nonce, counter, out) }
        }
        match isa {
            Isa::Scalar => 0,
            // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
            Isa::Avx2 => unsafe { avx2(key, nonce, counter, out) },
            // SAFETY: as above.
            Isa::Avx512 => unsafe { avx512(key, nonce, counter, out) },
        }
    };
    #[cfg(not(target_arch = "x86_64"))]
    let done = {
        let _ = isa;
        0
    };
    let rest = &mut out.as_chunks_mut::<BLOCK_BYTES>().0[done..];
    let mut counter = counter.wrapping_add(done as u32);
    let (groups, rest) = rest.as_chunks_mut::<4>();
    for group in groups {
        blocks(key, nonce, counter, group);
        counter = counter.wrapping_add(4);
    }
    for block in rest.as_chunks_mut::<1>().0 {
        blocks(key, nonce, counter, block);
        counter = counter.wrapping_add(1);
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::super::lanes::Lanes;
    use super::super::wipe;
    use super::{BLOCK_BYTES, state};
    use std::arch::x86_64::*;

    /// What ChaCha20 needs beyond [`Lanes`].
    ///
    /// # Safety
    /// As for [`Lanes`]; `store_blocks` writes `LEN` blocks at its pointer.
    pub(super) trait Vertical: Lanes {
        unsafe fn xor(self, other: Self) -> Self;
        /// Rotates left by `TURN`, one of 16, 12, 8 and 7.
        unsafe fn rotate<const TURN: i32>(self) -> Self;
        /// Writes block `b` from lane `b` of the sixteen words.
        unsafe fn store_blocks(words: &[Self; 16], to: *mut u32);
    }

    impl Vertical for __m256i {
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: AVX2 is present by the trait's contract.
            unsafe { _mm256_xor_si256(self, other) }
        }

        #[inline(always)]
        unsafe fn rotate<const TURN: i32>(self) -> Self {
            // SAFETY: AVX2 is present by the trait's contract.
            unsafe {
                let bytes = |low: i64, high: i64| _mm256_setr_epi64x(low, high, low, high);
                match TURN {
                    16 => _mm256_shuffle_epi8(self, bytes(0x0504_0706_0100_0302, 0x0d0c_0f0e_0908_0b0a)),
                    8 => _mm256_shuffle_epi8(self, bytes(0x0605_0407_0201_0003, 0x0e0d_0c0f_0a09_080b)),
                    12 => _mm256_or_si256(_mm256_slli_epi32::<12>(self), _mm256_srli_epi32::<20>(self)),
                    _ => _mm256_or_si256(_mm256_slli_epi32::<7>(self), _mm256_srli_epi32::<25>(self)),
                }
            }
        }

        #[inline(always)]
        unsafe fn store_blocks(words: &[Self; 16], to: *mut u32) {
            // Two transpositions of 8 x 8 words: the halves of the blocks.
            for half in [0, 8] {
                // SAFETY: AVX2 and 8 blocks of 16 words at `to`.
                unsafe {
                    let zero = _mm256_setzero_si256();
                    let (mut t, mut u) = ([zero; 8], [zero; 8]);
                    for i in (0..8).step_by(2) {
                        t[i] = _mm256_unpacklo_epi32(words[half + i], words[half + i + 1]);
                        t[i + 1] = _mm256_unpackhi_epi32(words[half + i], words[half + i + 1]);
                    }
                    for i in [0, 4] {
                        u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
                        u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
                        u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
                        u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
                    }
                    for b in 0..4 {
                        _mm256_permute2x128_si256::<0x20>(u[b], u[4 + b]).store(to.add(16 * b + half));
                        _mm256_permute2x128_si256::<0x31>(u[b], u[4 + b]).store(to.add(16 * (b + 4) + half));
                    }
                }
            }
        }
    }

    impl Vertical for __m512i {
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: AVX-512 is present by the trait's contract.
            unsafe { _mm512_xor_si512(self, other) }
        }

        #[inline(always)]
        unsafe fn rotate<const TURN: i32>(self) -> Self {
            // SAFETY: AVX-512 is present by the trait's contract.
            unsafe { _mm512_rol_epi32::<TURN>(self) }
        }

        #[inline(always)]
        unsafe fn store_blocks(words: &[Self; 16], to: *mut u32) {
            // SAFETY: AVX-512 and 16 blocks of 16 words at `to`.
            unsafe {
                let zero = _mm512_setzero_si512();
                let (mut t, mut u) = ([zero; 16], [zero; 16]);
                for i in (0..16).step_by(2) {
                    t[i] = _mm512_unpacklo_epi32(words[i], words[i + 1]);
                    t[i + 1] = _mm512_unpackhi_epi32(words[i], words[i + 1]);
                }
                for i in [0, 4, 8, 12] {
                    u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
                    u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
                    u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
                    u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
                }
                for b in 0..4 {
                    let ab_low = _mm512_shuffle_i32x4::<0x44>(u[b], u[4 + b]);
                    let ab_high = _mm512_shuffle_i32x4::<0xee>(u[b], u[4 + b]);
                    let cd_low = _mm512_shuffle_i32x4::<0x44>(u[8 + b], u[12 + b]);
                    let cd_high = _mm512_shuffle_i32x4::<0xee>(u[8 + b], u[12 + b]);
                    _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low).store(to.add(16 * b));
                    _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low).store(to.add(16 * (4 + b)));
                    _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high).store(to.add(16 * (8 + b)));
                    _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high).store(to.add(16 * (12 + b)));
                }
            }
        }
    }

    /// Four rounds of a quarter on whole vectors.
    macro_rules! quarter {
        ($x:ident, $a:literal, $b:literal, $c:literal, $d:literal) => {
            $x[$a] = $x[$a].add($x[$b]);
            $x[$d] = $x[$d].xor($x[$a]).rotate::<16>();
            $x[$c] = $x[$c].add($x[$d]);
            $x[$b] = $x[$b].xor($x[$c]).rotate::<12>();
            $x[$a] = $x[$a].add($x[$b]);
            $x[$d] = $x[$d].xor($x[$a]).rotate::<8>();
            $x[$c] = $x[$c].add($x[$d]);
            $x[$b] = $x[$b].xor($x[$c]).rotate::<7>();
        };
    }

    /// Writes all blocks but at most one; returns the blocks written.
    ///
    /// # Safety
    /// The instruction set of `V` is present.
    #[inline(always)]
    pub(super) unsafe fn blocks<V: Vertical>(key: &[u32; 8], nonce: &[u32; 3], counter: u32, out: &mut [u8]) -> usize {
        let words = state(key, nonce, counter);
        let mut done = 0;
        let mut groups = out.chunks_exact_mut(V::LEN * BLOCK_BYTES);
        for group in &mut groups {
            // SAFETY: the caller has the instruction set; `group` holds `LEN` blocks.
            unsafe { write_group::<V>(&words, done, group.as_mut_ptr().cast()) };
            done += V::LEN as u32;
        }
        let rest = groups.into_remainder();
        // A whole group costs little more than one scalar block.
        if rest.len() > BLOCK_BYTES {
            let mut group = [0u8; 16 * BLOCK_BYTES];
            // SAFETY: as above; no vector has more than 16 lanes.
            unsafe { write_group::<V>(&words, done, group.as_mut_ptr().cast()) };
            rest.copy_from_slice(&group[..rest.len()]);
            wipe(&mut group);
            done += (rest.len() / BLOCK_BYTES) as u32;
        }
        done as usize
    }

    /// Writes `LEN` blocks, the first being `done` blocks behind the state's.
    ///
    /// # Safety
    /// The instruction set of `V` is present and `to` has room for the blocks.
    #[inline(always)]
    unsafe fn write_group<V: Vertical>(words: &[u32; 16], done: u32, to: *mut u32) {
        const PLACES: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        // SAFETY: the caller has the instruction set; `PLACES` holds at least
        // `LEN` words.
        unsafe {
            // A plain loop: a closure would be compiled without the set.
            let mut start = [V::splat(0); 16];
            for (start, &word) in start.iter_mut().zip(words) {
                *start = V::splat(word);
            }
            start[12] = V::splat(words[12].wrapping_add(done)).add(V::load(PLACES.as_ptr()));
            let mut x = start;
            for _ in 0..10 {
                quarter!(x, 0, 4, 8, 12);
                quarter!(x, 1, 5, 9, 13);
                quarter!(x, 2, 6, 10, 14);
                quarter!(x, 3, 7, 11, 15);
                quarter!(x, 0, 5, 10, 15);
                quarter!(x, 1, 6, 11, 12);
                quarter!(x, 2, 7, 8, 13);
                quarter!(x, 3, 4, 9, 14);
            }
            for (x, start) in x.iter_mut().zip(start) {
                *x = x.add(start);
            }
            V::store_blocks(&x, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

    fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
        std::array::from_fn(|i| u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()))
    }

    #[test]
    fn the_block_of_the_standard_is_reproduced() {
        // RFC 8439, section 2.3.2.
        let key: Vec<u8> = (0..32).collect();
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];
        let expected: [u8; 64] = [
            0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4, //
            0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, //
            0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, //
            0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
        ];
        let mut found = [[0; 64]];
        blocks(&words(&key), &words(&nonce), 1, &mut found);
        assert_eq!(found, [expected]);
    }

    #[test]
    fn every_instruction_set_gives_the_keystream_of_an_independent_implementation() {
        let (key, nonce) = ([0x5a; 32], [0xc3; 12]);
        // Lengths around every vector width; the last block is number 2^32 - 1.
        for blocks in [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 50] {
            for counter in [0, 1, 0x7fff_fff9, u32::MAX - 50] {
                let mut expected = vec![0; blocks * BLOCK_BYTES];
                let mut cipher = chacha20::ChaCha20::new(&key.into(), &nonce.into());
                cipher.seek(u64::from(counter) * BLOCK_BYTES as u64);
                cipher.apply_keystream(&mut expected);
                for isa in Isa::available() {
                    let mut out = vec![0xff; blocks * BLOCK_BYTES];
                    keystream(isa, &words(&key), &words(&nonce), counter, &mut out);
                    assert!(out == expected, "{isa:?}, {blocks} blocks from {counter}");
                }
            }
        }
    }
}
