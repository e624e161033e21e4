//! Residues as 30-bit words without gaps: packing, reading, summing.
//!
//! Sixteen residues are 60 bytes, four 16-byte lanes of 15 bytes each. A sum
//! is read from the packed bytes directly, so that an update never exists as
//! a polynomial on the coordinator.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector intrinsics on a detected instruction set"))]

use super::Isa;
use crate::ring::Modulus;

/// Residues of a group, and its bytes.
const GROUP: usize = 4;
const GROUP_BYTES: usize = 15;
/// Low 30 bits.
const LOW: u32 = (1 << 30) - 1;

/// Four residues of 15 bytes.
#[inline(always)]
fn unpack_group(bytes: &[u8; GROUP_BYTES]) -> [u32; GROUP] {
    let (mut low, mut high) = ([0; 8], [0; 8]);
    low.copy_from_slice(&bytes[..8]);
    high.copy_from_slice(&bytes[7..]);
    // The second pair starts at bit 60, in the middle of byte 7.
    let (low, high) = (u64::from_le_bytes(low), u64::from_le_bytes(high) >> 4);
    [low as u32 & LOW, (low >> 30) as u32 & LOW, high as u32 & LOW, (high >> 30) as u32]
}

/// Four residues below 2^30 as 15 bytes.
#[inline(always)]
fn pack_group(residues: &[u32; GROUP]) -> [u8; GROUP_BYTES] {
    let [a, b, c, d] = residues.map(u64::from);
    let (low, high) = (a | b << 30 | c << 60, c >> 4 | d << 26);
    let mut out = [0; GROUP_BYTES];
    out[..8].copy_from_slice(&low.to_le_bytes());
    out[8..].copy_from_slice(&high.to_le_bytes()[..7]);
    out
}

/// What to do with residues read from packed bytes.
trait Visit {
    /// A group of four, from residue `at` on.
    fn group(&mut self, at: usize, residues: [u32; GROUP]);
}

/// Writes the residues.
struct Store<'a>(&'a mut [u32]);
/// Adds the residues to canonical ones.
struct Add<'a>(&'a Modulus, &'a mut [u32]);
/// Remembers whether any residue is not below the prime.
struct Check(u32, bool);

impl Visit for Store<'_> {
    #[inline(always)]
    fn group(&mut self, at: usize, residues: [u32; GROUP]) {
        self.0[at..at + GROUP].copy_from_slice(&residues);
    }
}

impl Visit for Add<'_> {
    #[inline(always)]
    fn group(&mut self, at: usize, residues: [u32; GROUP]) {
        let Add(m, sum) = self;
        sum[at..at + GROUP].iter_mut().zip(residues).for_each(|(sum, x)| *sum = m.add(*sum, x));
    }
}

impl Visit for Check {
    #[inline(always)]
    fn group(&mut self, _: usize, residues: [u32; GROUP]) {
        // No early stop: key shares are checked too.
        self.1 &= residues.into_iter().fold(true, |ok, x| ok & (x < self.0));
    }
}

/// Visits all groups from byte group `from` on.
#[inline(always)]
fn visit(bytes: &[u8], from: usize, visitor: &mut impl Visit) {
    for (i, group) in bytes.as_chunks::<GROUP_BYTES>().0.iter().enumerate().skip(from) {
        visitor.group(GROUP * i, unpack_group(group));
    }
}

fn assert_shape(residues: usize, bytes: usize) {
    assert!(residues.is_multiple_of(GROUP) && bytes == residues / GROUP * GROUP_BYTES, "whole groups of four");
}

/// Writes residues below 2^30, a multiple of four of them, as packed bytes.
pub(crate) fn pack(isa: Isa, residues: &[u32], bytes: &mut [u8]) {
    assert_shape(residues.len(), bytes.len());
    #[cfg(target_arch = "x86_64")]
    let done = match isa {
        Isa::Scalar => 0,
        // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
        Isa::Avx2 => unsafe { vector::pack_avx2(residues, bytes) },
        // SAFETY: as above.
        Isa::Avx512 => unsafe { vector::pack_avx512(residues, bytes) },
    };
    #[cfg(not(target_arch = "x86_64"))]
    let done = {
        let _ = isa;
        0
    };
    let groups = residues.as_chunks::<GROUP>().0.iter().zip(bytes.as_chunks_mut::<GROUP_BYTES>().0);
    groups.skip(done).for_each(|(residues, bytes)| *bytes = pack_group(residues));
}

/// Declares a reader: a vector part, then the groups it left.
macro_rules! reader {
    ($isa:ident, $bytes:ident, $avx2:expr, $avx512:expr, $visitor:expr) => {{
        #[cfg(target_arch = "x86_64")]
        let done = match $isa {
            Isa::Scalar => 0,
            // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
            Isa::Avx2 => unsafe { $avx2 },
            // SAFETY: as above.
            Isa::Avx512 => unsafe { $avx512 },
        };
        #[cfg(not(target_arch = "x86_64"))]
        let done = {
            let _ = $isa;
            0
        };
        visit($bytes, done, $visitor);
    }};
}

/// Reads packed bytes; the residues are below 2^30.
pub(crate) fn unpack(isa: Isa, bytes: &[u8], residues: &mut [u32]) {
    assert_shape(residues.len(), bytes.len());
    reader!(
        isa,
        bytes,
        vector::unpack_avx2(bytes, residues),
        vector::unpack_avx512(bytes, residues),
        &mut Store(residues)
    );
}

/// Whether all packed residues are below `q`.
pub(crate) fn packed_below(isa: Isa, q: u32, bytes: &[u8]) -> bool {
    assert_shape(bytes.len() / GROUP_BYTES * GROUP, bytes.len());
    let mut check = Check(q, true);
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "only the vector part writes it"))]
    let mut below = true;
    reader!(
        isa,
        bytes,
        {
            let (done, ok) = vector::packed_below_avx2(q, bytes);
            below = ok;
            done
        },
        {
            let (done, ok) = vector::packed_below_avx512(q, bytes);
            below = ok;
            done
        },
        &mut check
    );
    below & check.1
}

/// `sum += packed residues`; both canonical.
pub(crate) fn packed_add(isa: Isa, m: &Modulus, sum: &mut [u32], bytes: &[u8]) {
    assert_shape(sum.len(), bytes.len());
    reader!(
        isa,
        bytes,
        vector::packed_add_avx2(m.value(), bytes, sum),
        vector::packed_add_avx512(m.value(), bytes, sum),
        &mut Add(m, sum)
    );
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::super::lanes::Lanes;
    use super::{GROUP, GROUP_BYTES};
    use std::arch::x86_64::*;

    /// Packed groups as vectors of residues.
    ///
    /// # Safety
    /// As for [`Lanes`]. `read` reads 15 bytes per group and one more;
    /// `write` writes as many.
    trait Packed: Lanes {
        /// Groups per vector.
        const GROUPS: usize = Self::LEN / GROUP;
        unsafe fn read(from: *const u8) -> Self;
        unsafe fn write(self, to: *mut u8);
        /// Whether all lanes are below the bound.
        unsafe fn all_below(self, bound: Self) -> bool;
    }

    /// Bytes 0 to 7 and 7 to 14 of a group, in two halves.
    const SPREAD: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14];
    /// Low half of a lane to bytes 0 to 7.
    const FIRST: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 128, 128, 128, 128, 128, 128, 128, 128];
    /// High half of a lane to bytes 7 to 14.
    const SECOND: [u8; 16] = [128, 128, 128, 128, 128, 128, 128, 8, 9, 10, 11, 12, 13, 14, 15, 128];

    #[inline(always)]
    unsafe fn lane(from: *const u8) -> __m128i {
        // SAFETY: the caller has 16 readable bytes.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    impl Packed for __m256i {
        #[inline(always)]
        unsafe fn read(from: *const u8) -> Self {
            // SAFETY: AVX2 and 31 readable bytes by the trait's contract.
            unsafe {
                let x = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lane(from)), lane(from.add(GROUP_BYTES)));
                let x = _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(lane(SPREAD.as_ptr())));
                // Pairs of residues start at bit 0 and at bit 4.
                let x = _mm256_srlv_epi64(x, _mm256_setr_epi64x(0, 4, 0, 4));
                let low = _mm256_and_si256(x, _mm256_set1_epi64x(0x3fff_ffff));
                let high = _mm256_and_si256(_mm256_slli_epi64::<2>(x), _mm256_set1_epi64x(0x3fff_ffff << 32));
                _mm256_or_si256(low, high)
            }
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut u8) {
            // SAFETY: AVX2 and 31 writable bytes by the trait's contract.
            unsafe {
                let low = _mm256_and_si256(self, _mm256_set1_epi64x(0xffff_ffff));
                let high = _mm256_slli_epi64::<30>(_mm256_srli_epi64::<32>(self));
                let x = _mm256_sllv_epi64(_mm256_or_si256(low, high), _mm256_setr_epi64x(0, 4, 0, 4));
                let first = _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(lane(FIRST.as_ptr())));
                let second = _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(lane(SECOND.as_ptr())));
                let x = _mm256_or_si256(first, second);
                _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(x));
                _mm_storeu_si128(to.add(GROUP_BYTES).cast(), _mm256_extracti128_si256::<1>(x));
            }
        }

        #[inline(always)]
        unsafe fn all_below(self, bound: Self) -> bool {
            // Both sides are below 2^31, so the signed comparison serves.
            // SAFETY: AVX2 is present by the trait's contract.
            unsafe { _mm256_movemask_epi8(_mm256_cmpgt_epi32(bound, self)) == -1 }
        }
    }

    impl Packed for __m512i {
        #[inline(always)]
        unsafe fn read(from: *const u8) -> Self {
            // SAFETY: AVX-512 and 61 readable bytes by the trait's contract.
            unsafe {
                let x = _mm512_castsi128_si512(lane(from));
                let x = _mm512_inserti32x4::<1>(x, lane(from.add(GROUP_BYTES)));
                let x = _mm512_inserti32x4::<2>(x, lane(from.add(2 * GROUP_BYTES)));
                let x = _mm512_inserti32x4::<3>(x, lane(from.add(3 * GROUP_BYTES)));
                let x = _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(lane(SPREAD.as_ptr())));
                let x = _mm512_srlv_epi64(x, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4));
                let low = _mm512_and_si512(x, _mm512_set1_epi64(0x3fff_ffff));
                let high = _mm512_and_si512(_mm512_slli_epi64::<2>(x), _mm512_set1_epi64(0x3fff_ffff << 32));
                _mm512_or_si512(low, high)
            }
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut u8) {
            // SAFETY: AVX-512 and 61 writable bytes by the trait's contract.
            unsafe {
                let low = _mm512_and_si512(self, _mm512_set1_epi64(0xffff_ffff));
                let high = _mm512_slli_epi64::<30>(_mm512_srli_epi64::<32>(self));
                let x = _mm512_sllv_epi64(_mm512_or_si512(low, high), _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4));
                let first = _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(lane(FIRST.as_ptr())));
                let second = _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(lane(SECOND.as_ptr())));
                let x = _mm512_or_si512(first, second);
                _mm_storeu_si128(to.cast(), _mm512_castsi512_si128(x));
                _mm_storeu_si128(to.add(GROUP_BYTES).cast(), _mm512_extracti32x4_epi32::<1>(x));
                _mm_storeu_si128(to.add(2 * GROUP_BYTES).cast(), _mm512_extracti32x4_epi32::<2>(x));
                _mm_storeu_si128(to.add(3 * GROUP_BYTES).cast(), _mm512_extracti32x4_epi32::<3>(x));
            }
        }

        #[inline(always)]
        unsafe fn all_below(self, bound: Self) -> bool {
            // SAFETY: AVX-512 is present by the trait's contract.
            unsafe { _mm512_cmplt_epu32_mask(self, bound) == u16::MAX }
        }
    }

    /// Vectors whose groups are followed by at least one more byte.
    #[inline(always)]
    fn vectors<V: Packed>(bytes: usize) -> usize {
        bytes.saturating_sub(1) / (V::GROUPS * GROUP_BYTES)
    }

    /// # Safety
    /// The instruction set of `V` is present, here and below; the slices have
    /// the lengths that the callers asserted.
    #[inline(always)]
    unsafe fn pack<V: Packed>(residues: &[u32], bytes: &mut [u8]) -> usize {
        let count = vectors::<V>(bytes.len());
        for i in 0..count {
            // SAFETY: vector i reads LEN residues and writes its groups and
            // one byte of the next group, which `vectors` left inside; that
            // byte is written again by its own group.
            unsafe {
                let x = V::load(residues.as_ptr().add(V::LEN * i));
                x.write(bytes.as_mut_ptr().add(V::GROUPS * GROUP_BYTES * i));
            }
        }
        count * V::GROUPS
    }

    /// # Safety
    /// As for `pack`.
    #[inline(always)]
    unsafe fn unpack<V: Packed>(bytes: &[u8], residues: &mut [u32]) -> usize {
        let count = vectors::<V>(bytes.len());
        for i in 0..count {
            // SAFETY: as in `pack`, with reading and writing exchanged.
            unsafe {
                V::read(bytes.as_ptr().add(V::GROUPS * GROUP_BYTES * i)).store(residues.as_mut_ptr().add(V::LEN * i));
            }
        }
        count * V::GROUPS
    }

    /// # Safety
    /// As for `pack`.
    #[inline(always)]
    unsafe fn packed_below<V: Packed>(q: u32, bytes: &[u8]) -> (usize, bool) {
        let count = vectors::<V>(bytes.len());
        // SAFETY: as in `unpack`. No early stop, since key shares are checked too.
        unsafe {
            let bound = V::splat(q);
            let mut below = true;
            for i in 0..count {
                below &= V::read(bytes.as_ptr().add(V::GROUPS * GROUP_BYTES * i)).all_below(bound);
            }
            (count * V::GROUPS, below)
        }
    }

    /// # Safety
    /// As for `pack`.
    #[inline(always)]
    unsafe fn packed_add<V: Packed>(q: u32, bytes: &[u8], sum: &mut [u32]) -> usize {
        let count = vectors::<V>(bytes.len());
        // SAFETY: as in `unpack`.
        unsafe {
            let q = V::splat(q);
            for i in 0..count {
                let to = sum.as_mut_ptr().add(V::LEN * i);
                let x = V::load(to).add(V::read(bytes.as_ptr().add(V::GROUPS * GROUP_BYTES * i)));
                x.min(x.sub(q)).store(to);
            }
        }
        count * V::GROUPS
    }

    /// Both instances of a kernel.
    macro_rules! instances {
        ($($name:ident as $avx2:ident, $avx512:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
            $(#[target_feature(enable = "avx2")]
            pub(super) fn $avx2($($arg: $type),*) -> $out {
                // SAFETY: this instance is compiled for AVX2.
                unsafe { $name::<__m256i>($($arg),*) }
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            pub(super) fn $avx512($($arg: $type),*) -> $out {
                // SAFETY: this instance is compiled for AVX-512.
                unsafe { $name::<__m512i>($($arg),*) }
            })*
        };
    }

    instances! {
        pack as pack_avx2, pack_avx512(residues: &[u32], bytes: &mut [u8]) -> usize;
        unpack as unpack_avx2, unpack_avx512(bytes: &[u8], residues: &mut [u32]) -> usize;
        packed_below as packed_below_avx2, packed_below_avx512(q: u32, bytes: &[u8]) -> (usize, bool);
        packed_add as packed_add_avx2, packed_add_avx512(q: u32, bytes: &[u8], sum: &mut [u32]) -> usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::PRIMES;
    use crate::stream::Stream;

    /// Bit by bit, as the format defines it.
    fn reference(residues: &[u32]) -> Vec<u8> {
        let mut out = vec![0u8; residues.len() * 30 / 8];
        for (i, &x) in residues.iter().enumerate() {
            for bit in (0..30).filter(|&bit| x >> bit & 1 == 1) {
                let at = 30 * i + bit;
                out[at / 8] |= 1 << (at % 8);
            }
        }
        out
    }

    #[test]
    fn packed_bytes_agree_with_the_format_on_every_instruction_set() {
        let m = Modulus::new(PRIMES[0]);
        let q = m.value();
        for groups in [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64] {
            let n = 4 * groups;
            let mut random = vec![0; n];
            Stream::from_seed([groups as u8; 32]).fill_uniform(q, &mut random);
            let mixed: Vec<u32> = (0..n).map(|i| [0, q - 1, 1, LOW >> 1][i * 5 % 4]).collect();
            for values in [random, vec![q - 1; n], vec![0; n], mixed] {
                let expected = reference(&values);
                for isa in Isa::available() {
                    let mut bytes = vec![0xff; n * 30 / 8];
                    pack(isa, &values, &mut bytes);
                    assert!(bytes == expected, "pack {isa:?}, {n} residues");
                    let mut back = vec![u32::MAX; n];
                    unpack(isa, &bytes, &mut back);
                    assert!(back == values, "unpack {isa:?}, {n} residues");
                    assert!(packed_below(isa, q, &bytes), "{isa:?}");
                    let start: Vec<u32> = values.iter().rev().copied().collect();
                    let mut sum = start.clone();
                    packed_add(isa, &m, &mut sum, &bytes);
                    for i in 0..n {
                        assert_eq!(u64::from(sum[i]), (u64::from(start[i]) + u64::from(values[i])) % u64::from(q));
                    }
                }
            }
        }
    }

    #[test]
    fn one_residue_that_is_not_canonical_is_found_anywhere() {
        const N: usize = 44;
        let q = PRIMES[2];
        for at in 0..N {
            for value in [q, LOW] {
                let mut values = vec![q - 1; N];
                values[at] = value;
                let bytes = reference(&values);
                for isa in Isa::available() {
                    assert!(!packed_below(isa, q, &bytes), "{isa:?}, residue {at}");
                }
            }
        }
    }
}
