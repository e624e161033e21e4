//! Sums of products that stay in registers: base conversion, the inner product of a key switch,
//! the tensor product of ciphertexts.
//!
//! Sixteen lanes are two vectors of 64-bit sums, of the even and of the odd lanes, and are reduced
//! once, by Montgomery's method. At most [`TERMS_MAX`] products enter one sum, so that the reduced
//! value stays below 4q, which is what a forward transform takes.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls vector code on a detected instruction set"))]

use super::Isa;
use crate::ring::Modulus;

/// Products of canonical residues that [`Modulus::redc_lazy`] takes.
pub(crate) const TERMS_MAX: usize = 12;

/// One product of two-polynomial ciphertexts: `[x0, x1, y0, y1]`.
pub(crate) type TensorOperands<'a> = [&'a [u32]; 4];

/// A residue slice and its constant.
pub(crate) type WeightedTerm<'a> = (&'a [u32], u32);

/// The digit and its pair of key polynomials.
pub(crate) type DigitTerm<'a> = [&'a [u32]; 3];

/// The plain loops, over positions `range` only: the whole of it where there are no vectors, and
/// the remainder where there are.
mod scalar {
    use super::{DigitTerm, TensorOperands, WeightedTerm};
    use crate::ring::Modulus;
    use std::ops::Range;

    fn product(x: u32, y: u32) -> u64 {
        u64::from(x).wrapping_mul(u64::from(y))
    }

    pub(super) fn weighted(m: &Modulus, terms: &[WeightedTerm<'_>], out: &mut [u32], range: Range<usize>) {
        for k in range {
            out[k] = m.redc_lazy(terms.iter().fold(0, |sum, (x, c)| sum.wrapping_add(product(x[k], *c))));
        }
    }

    pub(super) fn count(terms: &[WeightedTerm<'_>], out: &mut [u32], range: Range<usize>) {
        for k in range {
            out[k] = (terms.iter().fold(1 << 57, |sum: u64, (x, c)| sum.wrapping_add(product(x[k], *c))) >> 58) as u32;
        }
    }

    pub(super) fn inner(m: &Modulus, terms: &[DigitTerm<'_>], out: [&mut [u32]; 2], range: Range<usize>) {
        let [b, a] = out;
        for k in range {
            let sum = |half: usize| {
                terms.iter().fold(0, |sum: u64, term| sum.wrapping_add(product(term[0][k], term[half][k])))
            };
            b[k] = m.reduce_lazy(m.redc_lazy(sum(1)));
            a[k] = m.reduce_lazy(m.redc_lazy(sum(2)));
        }
    }

    pub(super) fn tensor(m: &Modulus, terms: &[TensorOperands<'_>], out: [&mut [u32]; 3], range: Range<usize>) {
        let [o0, o1, o2] = out;
        for k in range {
            let mut sums = [0u64; 3];
            for [x0, x1, y0, y1] in terms {
                let (x0, x1, y0, y1) = (x0[k], x1[k], y0[k], y1[k]);
                sums[0] = sums[0].wrapping_add(product(x0, y0));
                sums[1] = sums[1].wrapping_add(product(x0, y1)).wrapping_add(product(x1, y0));
                sums[2] = sums[2].wrapping_add(product(x1, y1));
            }
            for (out, sum) in [&mut o0[k], &mut o1[k], &mut o2[k]].into_iter().zip(sums) {
                *out = m.reduce_lazy(out.wrapping_add(m.mul_shoup_lazy(m.redc_lazy(sum), m.word())));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::super::lanes::{Factor, Lanes};
    use super::{DigitTerm, TensorOperands, WeightedTerm};
    use crate::ring::Modulus;

    /// Constants of one prime in every lane.
    #[derive(Clone, Copy)]
    struct Prime<V> {
        q: V,
        two_q: V,
        inverse: V,
    }

    impl<V: Lanes> Prime<V> {
        /// # Safety
        /// The instruction set of `V` is present, here and below.
        #[inline(always)]
        unsafe fn new(m: &Modulus) -> Self {
            // SAFETY: the caller has the instruction set.
            unsafe {
                Prime { q: V::splat(m.value()), two_q: V::splat(2 * m.value()), inverse: V::splat(m.inverse_word()) }
            }
        }

        /// [`Modulus::redc_lazy`] of 64-bit sums.
        #[inline(always)]
        unsafe fn redc_lazy(self, [even, odd]: [V; 2]) -> V {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let even = even.sub_wide(even.mul_even(self.inverse).mul_even(self.q));
                let odd = odd.sub_wide(odd.mul_even(self.inverse).mul_even(self.q));
                even.high_words(odd).add(self.q)
            }
        }

        /// From `[0, 4q)` to `[0, q)`.
        #[inline(always)]
        unsafe fn reduce_lazy(self, x: V) -> V {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let x = x.min(x.sub(self.two_q));
                x.min(x.sub(self.q))
            }
        }
    }

    /// `sum += x y` in even and odd lanes; `x` and `y` come split.
    #[inline(always)]
    unsafe fn accumulate<V: Lanes>(sum: &mut [V; 2], x: [V; 2], y: [V; 2]) {
        // SAFETY: the caller has the instruction set.
        unsafe {
            sum[0] = sum[0].add_wide(x[0].mul_even(y[0]));
            sum[1] = sum[1].add_wide(x[1].mul_even(y[1]));
        }
    }

    /// Even and odd lanes at `from`.
    #[inline(always)]
    unsafe fn split<V: Lanes>(from: *const u32) -> [V; 2] {
        // SAFETY: the caller has the instruction set and `LEN` words at `from`.
        unsafe {
            let x = V::load(from);
            [x, x.odd()]
        }
    }

    /// # Safety
    /// The instruction set is present; all slices have the length of `out`. Returns how many
    /// positions it did, a multiple of two vectors.
    #[inline(always)]
    pub(super) unsafe fn weighted<V: Lanes>(m: &Modulus, terms: &[WeightedTerm<'_>], out: &mut [u32]) -> usize {
        let done = out.len() / (2 * V::LEN) * (2 * V::LEN);
        // SAFETY: positions stay below `done`, at most the length of every slice.
        unsafe {
            let prime = Prime::<V>::new(m);
            for k in (0..done).step_by(2 * V::LEN) {
                let mut low = [V::splat(0); 2];
                let mut high = low;
                for (x, c) in terms {
                    let c = V::splat(*c);
                    accumulate(&mut low, split(x.as_ptr().add(k)), [c; 2]);
                    accumulate(&mut high, split(x.as_ptr().add(k + V::LEN)), [c; 2]);
                }
                prime.redc_lazy(low).store(out.as_mut_ptr().add(k));
                prime.redc_lazy(high).store(out.as_mut_ptr().add(k + V::LEN));
            }
        }
        done
    }

    /// # Safety
    /// As [`weighted`].
    #[inline(always)]
    pub(super) unsafe fn count<V: Lanes>(terms: &[WeightedTerm<'_>], out: &mut [u32]) -> usize {
        let done = out.len() / V::LEN * V::LEN;
        // SAFETY: positions stay below `done`, at most the length of every slice.
        unsafe {
            // 2^57 in every 64-bit lane: the high word is in the odd places.
            let half = V::splat(0).high_words(V::splat(1 << 25));
            for k in (0..done).step_by(V::LEN) {
                let mut sum = [half; 2];
                for (x, c) in terms {
                    accumulate(&mut sum, split(x.as_ptr().add(k)), [V::splat(*c); 2]);
                }
                sum[0].shift_fraction().low_words(sum[1].shift_fraction()).store(out.as_mut_ptr().add(k));
            }
        }
        done
    }

    /// # Safety
    /// As [`weighted`].
    #[inline(always)]
    pub(super) unsafe fn inner<V: Lanes>(m: &Modulus, terms: &[DigitTerm<'_>], out: [&mut [u32]; 2]) -> usize {
        let done = out[0].len() / V::LEN * V::LEN;
        let [b, a] = out.map(|out| out.as_mut_ptr());
        // SAFETY: positions stay below `done`, at most the length of every slice.
        unsafe {
            let prime = Prime::<V>::new(m);
            for k in (0..done).step_by(V::LEN) {
                let mut first = [V::splat(0); 2];
                let mut second = first;
                for term in terms {
                    let digit = split(term[0].as_ptr().add(k));
                    accumulate(&mut first, digit, split(term[1].as_ptr().add(k)));
                    accumulate(&mut second, digit, split(term[2].as_ptr().add(k)));
                }
                prime.reduce_lazy(prime.redc_lazy(first)).store(b.add(k));
                prime.reduce_lazy(prime.redc_lazy(second)).store(a.add(k));
            }
        }
        done
    }

    /// # Safety
    /// As [`weighted`].
    #[inline(always)]
    pub(super) unsafe fn tensor<V: Lanes>(m: &Modulus, terms: &[TensorOperands<'_>], out: [&mut [u32]; 3]) -> usize {
        let done = out[0].len() / V::LEN * V::LEN;
        let out = out.map(|out| out.as_mut_ptr());
        // SAFETY: positions stay below `done`, at most the length of every slice.
        unsafe {
            let prime = Prime::<V>::new(m);
            let word = Factor::<V>::splat(m.word());
            for k in (0..done).step_by(V::LEN) {
                let mut sums = [[V::splat(0); 2]; 3];
                for [x0, x1, y0, y1] in terms {
                    let (x0, x1) = (split(x0.as_ptr().add(k)), split(x1.as_ptr().add(k)));
                    let (y0, y1) = (split(y0.as_ptr().add(k)), split(y1.as_ptr().add(k)));
                    accumulate(&mut sums[0], x0, y0);
                    accumulate(&mut sums[1], x0, y1);
                    accumulate(&mut sums[1], x1, y0);
                    accumulate(&mut sums[2], x1, y1);
                }
                for i in 0..3 {
                    let x = prime.redc_lazy(sums[i]);
                    let x = x.mul_low(word.value).sub(x.mul_high(word.quotient).mul_low(prime.q));
                    prime.reduce_lazy(V::load(out[i].add(k)).add(x)).store(out[i].add(k));
                }
            }
        }
        done
    }
}

/// Runs the vector version for `isa` and tells how many positions it did.
macro_rules! vectors {
    ($isa:expr, $name:ident($($arg:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $type),*) -> usize {
                // SAFETY: this instance is compiled for AVX2; the caller asserted the lengths.
                unsafe { vector::$name::<std::arch::x86_64::__m256i>($($arg),*) }
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $type),*) -> usize {
                // SAFETY: this instance is compiled for AVX-512; the caller asserted the lengths.
                unsafe { vector::$name::<std::arch::x86_64::__m512i>($($arg),*) }
            }
            match $isa {
                Isa::Scalar => 0,
                // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                Isa::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = $isa;
            0
        }
    }};
}

/// A mismatch is a bug of the caller, and what the vector code relies on.
fn check<'a>(length: usize, terms: usize, mut slices: impl Iterator<Item = &'a [u32]>) {
    assert!(terms <= TERMS_MAX, "a sum takes at most 12 products");
    assert!(slices.all(|x| x.len() == length), "operands differ in length");
}

pub(super) fn weighted_sum(isa: Isa, m: &Modulus, terms: &[WeightedTerm<'_>], out: &mut [u32]) {
    check(out.len(), terms.len(), terms.iter().map(|term| term.0));
    let done = vectors!(isa, weighted(m: &Modulus, terms: &[WeightedTerm<'_>], out: &mut [u32]));
    scalar::weighted(m, terms, out, done..out.len());
}

pub(super) fn fraction_count(isa: Isa, terms: &[WeightedTerm<'_>], out: &mut [u32]) {
    check(out.len(), terms.len(), terms.iter().map(|term| term.0));
    let done = vectors!(isa, count(terms: &[WeightedTerm<'_>], out: &mut [u32]));
    scalar::count(terms, out, done..out.len());
}

pub(super) fn inner_product(isa: Isa, m: &Modulus, terms: &[DigitTerm<'_>], out: [&mut [u32]; 2]) {
    let length = out[0].len();
    check(length, terms.len(), terms.iter().flatten().copied().chain([&*out[1]]));
    let [b, a] = out;
    let done = {
        let out = [&mut *b, &mut *a];
        vectors!(isa, inner(m: &Modulus, terms: &[DigitTerm<'_>], out: [&mut [u32]; 2]))
    };
    scalar::inner(m, terms, [b, a], done..length);
}

pub(super) fn tensor_add(isa: Isa, m: &Modulus, terms: &[TensorOperands<'_>], out: [&mut [u32]; 3]) {
    let length = out[0].len();
    // Every term gives two products to the middle sum.
    check(length, 2 * terms.len(), terms.iter().flatten().copied().chain([&*out[1], &*out[2]]));
    let [o0, o1, o2] = out;
    let done = {
        let out = [&mut *o0, &mut *o1, &mut *o2];
        vectors!(isa, tensor(m: &Modulus, terms: &[TensorOperands<'_>], out: [&mut [u32]; 3]))
    };
    scalar::tensor(m, terms, [o0, o1, o2], done..length);
}
