//! Vectors of 32-bit lanes: the few operations a butterfly needs.
//!
//! Loads and stores are unaligned. No method may be called on a processor
//! without the vector's instruction set, which only the dispatch in
//! `transform` can promise; that is the contract of every `unsafe` here.
#![expect(unsafe_code, reason = "vector intrinsics")]

use crate::ring::ShoupFactor;
use std::arch::x86_64::*;

/// A vector of `LEN` unsigned 32-bit lanes.
///
/// # Safety
/// Methods may only run where the instruction set is present; `load`, `store`
/// and `transpose` read or write `LEN` (a tile: 256) words at their pointers.
pub(super) trait Lanes: Copy {
    /// Lanes per vector.
    const LEN: usize;
    unsafe fn splat(x: u32) -> Self;
    unsafe fn load(from: *const u32) -> Self;
    unsafe fn store(self, to: *mut u32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    /// Low halves of the products.
    unsafe fn mul_low(self, other: Self) -> Self;
    /// High halves of the products.
    unsafe fn mul_high(self, other: Self) -> Self;
    /// 64-bit products of the even lanes.
    unsafe fn mul_even(self, other: Self) -> Self;
    /// Every odd lane in the place of the even one below it; zeros above.
    unsafe fn odd(self) -> Self;
    /// Sums of 64-bit lanes.
    unsafe fn add_wide(self, other: Self) -> Self;
    /// Differences of 64-bit lanes.
    unsafe fn sub_wide(self, other: Self) -> Self;
    /// High words of the 64-bit lanes of `self` in the even places, of `odd` in the odd ones.
    unsafe fn high_words(self, odd: Self) -> Self;
    /// 64-bit lanes shifted right by `58`.
    unsafe fn shift_fraction(self) -> Self;
    /// Low words of the 64-bit lanes of `self`, whose high words are zero, in the even places, of
    /// `odd` in the odd ones.
    unsafe fn low_words(self, odd: Self) -> Self;
    /// Transposes the 16 x 16 tile at `from` into `to`.
    unsafe fn transpose(from: *const u32, to: *mut u32);
}

/// A constant in all lanes, or one per lane, with its Shoup quotient.
#[derive(Clone, Copy)]
pub(super) struct Factor<V> {
    pub(super) value: V,
    pub(super) quotient: V,
}

impl<V: Lanes> Factor<V> {
    /// The same factor in every lane.
    #[inline(always)]
    pub(super) unsafe fn splat(w: ShoupFactor) -> Self {
        // SAFETY: the caller has the instruction set.
        unsafe { Factor { value: V::splat(w.value), quotient: V::splat(w.quotient) } }
    }

    /// One factor per lane.
    #[inline(always)]
    pub(super) unsafe fn load(value: *const u32, quotient: *const u32) -> Self {
        // SAFETY: the caller has the instruction set and `LEN` words at both.
        unsafe { Factor { value: V::load(value), quotient: V::load(quotient) } }
    }
}

impl Lanes for __m256i {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: u32) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_set1_epi32(x.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: AVX2 and 8 readable words by the trait's contract.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        // SAFETY: AVX2 and 8 writable words by the trait's contract.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_sub_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_min_epu32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_low(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_mullo_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_high(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe {
            let even = _mm256_mul_epu32(self, other);
            let odd = _mm256_mul_epu32(_mm256_shuffle_epi32::<0xf5>(self), _mm256_shuffle_epi32::<0xf5>(other));
            _mm256_blend_epi32::<0xaa>(_mm256_shuffle_epi32::<0xf5>(even), odd)
        }
    }

    #[inline(always)]
    unsafe fn mul_even(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_mul_epu32(self, other) }
    }

    #[inline(always)]
    unsafe fn odd(self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_srli_epi64::<32>(self) }
    }

    #[inline(always)]
    unsafe fn add_wide(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_add_epi64(self, other) }
    }

    #[inline(always)]
    unsafe fn sub_wide(self, other: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_sub_epi64(self, other) }
    }

    #[inline(always)]
    unsafe fn high_words(self, odd: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(self), odd) }
    }

    #[inline(always)]
    unsafe fn shift_fraction(self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_srli_epi64::<58>(self) }
    }

    #[inline(always)]
    unsafe fn low_words(self, odd: Self) -> Self {
        // SAFETY: AVX2 is present by the trait's contract.
        unsafe { _mm256_or_si256(self, _mm256_slli_epi64::<32>(odd)) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const u32, to: *mut u32) {
        for (row, column) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
            // SAFETY: the tile has 16 rows of 16 words at both pointers; the
            // quarter at (row, column) lies inside.
            unsafe {
                // Plain loops: a closure here would be compiled without AVX2.
                let zero = _mm256_setzero_si256();
                let (mut r, mut t, mut u) = ([zero; 8], [zero; 8], [zero; 8]);
                for (i, r) in r.iter_mut().enumerate() {
                    *r = Self::load(from.add((row + i) * 16 + column));
                }
                for i in (0..8).step_by(2) {
                    t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
                    t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
                }
                // u[4k + c]: columns c and c + 4 of rows 4k..4k+4.
                for i in [0, 4] {
                    u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
                    u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
                    u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
                    u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
                }
                for c in 0..4 {
                    let low = _mm256_permute2x128_si256::<0x20>(u[c], u[4 + c]);
                    let high = _mm256_permute2x128_si256::<0x31>(u[c], u[4 + c]);
                    low.store(to.add((column + c) * 16 + row));
                    high.store(to.add((column + c + 4) * 16 + row));
                }
            }
        }
    }
}

impl Lanes for __m512i {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(x: u32) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_set1_epi32(x.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: AVX-512 and 16 readable words by the trait's contract.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        // SAFETY: AVX-512 and 16 writable words by the trait's contract.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_sub_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_min_epu32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_low(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_mullo_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_high(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe {
            let even = _mm512_mul_epu32(self, other);
            let odd = _mm512_mul_epu32(_mm512_shuffle_epi32::<0xf5>(self), _mm512_shuffle_epi32::<0xf5>(other));
            _mm512_mask_shuffle_epi32::<0xf5>(odd, 0x5555, even)
        }
    }

    #[inline(always)]
    unsafe fn mul_even(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_mul_epu32(self, other) }
    }

    #[inline(always)]
    unsafe fn odd(self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_srli_epi64::<32>(self) }
    }

    #[inline(always)]
    unsafe fn add_wide(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_add_epi64(self, other) }
    }

    #[inline(always)]
    unsafe fn sub_wide(self, other: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_sub_epi64(self, other) }
    }

    #[inline(always)]
    unsafe fn high_words(self, odd: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_mask_shuffle_epi32::<0xf5>(odd, 0x5555, self) }
    }

    #[inline(always)]
    unsafe fn shift_fraction(self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_srli_epi64::<58>(self) }
    }

    #[inline(always)]
    unsafe fn low_words(self, odd: Self) -> Self {
        // SAFETY: AVX-512 is present by the trait's contract.
        unsafe { _mm512_or_si512(self, _mm512_slli_epi64::<32>(odd)) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const u32, to: *mut u32) {
        // SAFETY: the tile has 16 rows of 16 words at both pointers.
        unsafe {
            // Plain loops: a closure here would be compiled without AVX-512.
            let zero = _mm512_setzero_si512();
            let (mut r, mut t, mut u) = ([zero; 16], [zero; 16], [zero; 16]);
            for (i, r) in r.iter_mut().enumerate() {
                *r = Self::load(from.add(16 * i));
            }
            for i in (0..16).step_by(2) {
                t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
                t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
            }
            // u[4k + c]: columns c, c + 4, c + 8, c + 12 of rows 4k..4k+4.
            for i in [0, 4, 8, 12] {
                u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
                u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
                u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
                u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
            }
            for c in 0..4 {
                let ab_low = _mm512_shuffle_i32x4::<0x44>(u[c], u[4 + c]);
                let ab_high = _mm512_shuffle_i32x4::<0xee>(u[c], u[4 + c]);
                let cd_low = _mm512_shuffle_i32x4::<0x44>(u[8 + c], u[12 + c]);
                let cd_high = _mm512_shuffle_i32x4::<0xee>(u[8 + c], u[12 + c]);
                _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low).store(to.add(16 * c));
                _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low).store(to.add(16 * (4 + c)));
                _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high).store(to.add(16 * (8 + c)));
                _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high).store(to.add(16 * (12 + c)));
            }
        }
    }
}
