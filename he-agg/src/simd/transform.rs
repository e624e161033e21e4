//! The vector transforms: the plan of `ring::ntt` over any vector type.
//!
//! Stages above stride 8 run as radix-4 passes over contiguous vectors, two
//! stages per pass; the four last run inside transposed tiles. Closures keep
//! `#[inline(always)]` bodies, so that each instance is compiled for its own
//! instruction set.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls vector code on a detected instruction set"))]

use super::Isa;
use crate::ring::{InverseScale, NttTable};

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::super::lanes::{Factor, Lanes};
    use crate::ring::{InverseScale, NttTable, ShoupFactor};

    const SIDE: usize = 16;
    const TILE: usize = 256;
    const TILE_ROOTS: usize = 15;

    /// Constants of one prime in every lane.
    #[derive(Clone, Copy)]
    struct Prime<V> {
        q: V,
        two_q: V,
    }

    impl<V: Lanes> Prime<V> {
        /// # Safety
        /// The instruction set of `V` is present, here and below.
        #[inline(always)]
        unsafe fn new(q: u32) -> Self {
            // SAFETY: the caller has the instruction set.
            unsafe { Prime { q: V::splat(q), two_q: V::splat(2 * q) } }
        }

        /// `x w mod q` in `[0, 2q)`.
        #[inline(always)]
        unsafe fn mul(self, x: V, w: Factor<V>) -> V {
            // SAFETY: the caller has the instruction set.
            unsafe { x.mul_low(w.value).sub(x.mul_high(w.quotient).mul_low(self.q)) }
        }

        /// `x` or `x - bound`, whichever is in `[0, bound)`.
        #[inline(always)]
        unsafe fn once(x: V, bound: V) -> V {
            // SAFETY: the caller has the instruction set.
            unsafe { x.min(x.sub(bound)) }
        }

        /// `(x + w y, x - w y)`, everything below 4q.
        #[inline(always)]
        unsafe fn forward(self, x: V, y: V, w: Factor<V>) -> (V, V) {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let x = Self::once(x, self.two_q);
                let t = self.mul(y, w);
                (x.add(t), x.add(self.two_q).sub(t))
            }
        }

        /// `(x + y, w (x - y))`, everything below 2q.
        #[inline(always)]
        unsafe fn inverse(self, x: V, y: V, w: Factor<V>) -> (V, V) {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let sum = Self::once(x.add(y), self.two_q);
                (sum, self.mul(x.add(self.two_q).sub(y), w))
            }
        }
    }

    #[inline(always)]
    fn head(values: &[u32], quotients: &[u32], k: usize) -> ShoupFactor {
        ShoupFactor { value: values[k], quotient: quotients[k] }
    }

    /// Forward transform; `a` has length `n >= 256` and values below 4q.
    ///
    /// # Safety
    /// The instruction set of `V` is present.
    #[inline(always)]
    pub(super) unsafe fn forward<V: Lanes>(table: &NttTable, a: &mut [u32]) {
        let n = table.n;
        assert!(a.len() == n && n >= TILE, "length differs from the table's degree");
        let roots = &table.forward;
        assert!(roots.tail.len() == n / SIDE * TILE_ROOTS, "tail roots cover every tile");
        let at = |k| head(&roots.head, &roots.head_quotient, k);
        let p = a.as_mut_ptr();
        // SAFETY: the caller has the instruction set. All pointers stay in `a`:
        // a block starts at i * 4 * quarter (2 * stride) for i below the number
        // of blocks, and j + LEN <= quarter (stride), since both are multiples
        // of 16. Tail offsets stay below the asserted length.
        unsafe {
            let prime = Prime::<V>::new(table.modulus.value());
            let (mut groups, mut stride) = (1, n / 2);
            if (n.trailing_zeros() - 4) % 2 == 1 {
                let w = Factor::<V>::splat(at(1));
                for j in (0..stride).step_by(V::LEN) {
                    let (x, y) = (p.add(j), p.add(j + stride));
                    let (u, v) = prime.forward(V::load(x), V::load(y), w);
                    u.store(x);
                    v.store(y);
                }
                (groups, stride) = (2, stride / 2);
            }
            while stride >= 2 * SIDE {
                let quarter = stride / 2;
                for i in 0..groups {
                    let w = Factor::<V>::splat(at(groups + i));
                    let w0 = Factor::<V>::splat(at(2 * (groups + i)));
                    let w1 = Factor::<V>::splat(at(2 * (groups + i) + 1));
                    let block = p.add(4 * quarter * i);
                    for j in (0..quarter).step_by(V::LEN) {
                        let x0 = block.add(j);
                        let (x1, x2, x3) = (x0.add(quarter), x0.add(2 * quarter), x0.add(3 * quarter));
                        let (a0, a2) = prime.forward(V::load(x0), V::load(x2), w);
                        let (a1, a3) = prime.forward(V::load(x1), V::load(x3), w);
                        let (b0, b1) = prime.forward(a0, a1, w0);
                        let (b2, b3) = prime.forward(a2, a3, w1);
                        b0.store(x0);
                        b1.store(x1);
                        b2.store(x2);
                        b3.store(x3);
                    }
                }
                groups *= 4;
                stride /= 4;
            }
            for tile in 0..n / TILE {
                let block = p.add(tile * TILE);
                let mut buffer = [0u32; TILE];
                let t = buffer.as_mut_ptr();
                V::transpose(block, t);
                let value = roots.tail.as_ptr().add(tile * TILE_ROOTS * SIDE);
                let quotient = roots.tail_quotient.as_ptr().add(tile * TILE_ROOTS * SIDE);
                for row in (0..SIDE).step_by(V::LEN) {
                    let w = |k: usize| Factor::<V>::load(value.add(k * SIDE + row), quotient.add(k * SIDE + row));
                    // Strides 8 and 4: columns c, c + 4, c + 8, c + 12.
                    let (w8, w4a, w4b) = (w(0), w(1), w(2));
                    for c in 0..4 {
                        let x = |i: usize| t.add((c + 4 * i) * SIDE + row);
                        let (a0, a2) = prime.forward(V::load(x(0)), V::load(x(2)), w8);
                        let (a1, a3) = prime.forward(V::load(x(1)), V::load(x(3)), w8);
                        let (b0, b1) = prime.forward(a0, a1, w4a);
                        let (b2, b3) = prime.forward(a2, a3, w4b);
                        b0.store(x(0));
                        b1.store(x(1));
                        b2.store(x(2));
                        b3.store(x(3));
                    }
                    // Strides 2 and 1: columns 4 c .. 4 c + 4, then reduce.
                    for c in 0..4 {
                        let x = |i: usize| t.add((4 * c + i) * SIDE + row);
                        let to = |i: usize| block.add((4 * c + i) * SIDE + row);
                        let w2 = w(3 + c);
                        let (a0, a2) = prime.forward(V::load(x(0)), V::load(x(2)), w2);
                        let (a1, a3) = prime.forward(V::load(x(1)), V::load(x(3)), w2);
                        let (b0, b1) = prime.forward(a0, a1, w(7 + 2 * c));
                        let (b2, b3) = prime.forward(a2, a3, w(8 + 2 * c));
                        for (i, b) in [b0, b1, b2, b3].into_iter().enumerate() {
                            let b = Prime::once(b, prime.two_q);
                            Prime::once(b, prime.q).store(to(i));
                        }
                    }
                }
            }
        }
    }

    /// Inverse transform; `a` has length `n >= 256`.
    ///
    /// # Safety
    /// The instruction set of `V` is present.
    #[inline(always)]
    pub(super) unsafe fn inverse<V: Lanes>(table: &NttTable, scale: InverseScale, a: &mut [u32]) {
        let n = table.n;
        assert!(a.len() == n && n >= TILE, "length differs from the table's degree");
        let roots = &table.inverse;
        assert!(roots.tail.len() == n / SIDE * TILE_ROOTS, "tail roots cover every tile");
        let at = |k| head(&roots.head, &roots.head_quotient, k);
        let p = a.as_mut_ptr();
        // SAFETY: as in `forward`.
        unsafe {
            let prime = Prime::<V>::new(table.modulus.value());
            for tile in 0..n / TILE {
                let block = p.add(tile * TILE);
                let mut buffer = [0u32; TILE];
                let t = buffer.as_mut_ptr();
                let value = roots.tail.as_ptr().add(tile * TILE_ROOTS * SIDE);
                let quotient = roots.tail_quotient.as_ptr().add(tile * TILE_ROOTS * SIDE);
                for row in (0..SIDE).step_by(V::LEN) {
                    let w = |k: usize| Factor::<V>::load(value.add(k * SIDE + row), quotient.add(k * SIDE + row));
                    for c in 0..4 {
                        let from = |i: usize| block.add((4 * c + i) * SIDE + row);
                        let x = |i: usize| t.add((4 * c + i) * SIDE + row);
                        let (a0, a1) = prime.inverse(V::load(from(0)), V::load(from(1)), w(7 + 2 * c));
                        let (a2, a3) = prime.inverse(V::load(from(2)), V::load(from(3)), w(8 + 2 * c));
                        let w2 = w(3 + c);
                        let (b0, b2) = prime.inverse(a0, a2, w2);
                        let (b1, b3) = prime.inverse(a1, a3, w2);
                        b0.store(x(0));
                        b1.store(x(1));
                        b2.store(x(2));
                        b3.store(x(3));
                    }
                    let (w8, w4a, w4b) = (w(0), w(1), w(2));
                    for c in 0..4 {
                        let x = |i: usize| t.add((c + 4 * i) * SIDE + row);
                        let (a0, a1) = prime.inverse(V::load(x(0)), V::load(x(1)), w4a);
                        let (a2, a3) = prime.inverse(V::load(x(2)), V::load(x(3)), w4b);
                        let (b0, b2) = prime.inverse(a0, a2, w8);
                        let (b1, b3) = prime.inverse(a1, a3, w8);
                        b0.store(x(0));
                        b1.store(x(1));
                        b2.store(x(2));
                        b3.store(x(3));
                    }
                }
                V::transpose(t, block);
            }
            // The last stage (stride n / 2) is apart: it carries N^-1.
            let mut stride = SIDE;
            if (n.trailing_zeros() - 5) % 2 == 1 {
                let groups = n / (2 * stride);
                for i in 0..groups {
                    let w = Factor::<V>::splat(at(groups + i));
                    let block = p.add(2 * stride * i);
                    for j in (0..stride).step_by(V::LEN) {
                        let (x, y) = (block.add(j), block.add(j + stride));
                        let (u, v) = prime.inverse(V::load(x), V::load(y), w);
                        u.store(x);
                        v.store(y);
                    }
                }
                stride *= 2;
            }
            while stride < n / 2 {
                let groups = n / (4 * stride);
                for i in 0..groups {
                    let w = Factor::<V>::splat(at(groups + i));
                    let w0 = Factor::<V>::splat(at(2 * (groups + i)));
                    let w1 = Factor::<V>::splat(at(2 * (groups + i) + 1));
                    let block = p.add(4 * stride * i);
                    for j in (0..stride).step_by(V::LEN) {
                        let x0 = block.add(j);
                        let (x1, x2, x3) = (x0.add(stride), x0.add(2 * stride), x0.add(3 * stride));
                        let (a0, a1) = prime.inverse(V::load(x0), V::load(x1), w0);
                        let (a2, a3) = prime.inverse(V::load(x2), V::load(x3), w1);
                        let (b0, b2) = prime.inverse(a0, a2, w);
                        let (b1, b3) = prime.inverse(a1, a3, w);
                        b0.store(x0);
                        b1.store(x1);
                        b2.store(x2);
                        b3.store(x3);
                    }
                }
                stride *= 4;
            }
            let (wx, wy) = (Factor::<V>::splat(scale.sum), Factor::<V>::splat(scale.difference));
            for j in (0..n / 2).step_by(V::LEN) {
                let (x, y) = (p.add(j), p.add(j + n / 2));
                let (u, v) = (V::load(x), V::load(y));
                let sum = prime.mul(u.add(v), wx);
                let difference = prime.mul(u.add(prime.two_q).sub(v), wy);
                Prime::once(sum, prime.q).store(x);
                Prime::once(difference, prime.q).store(y);
            }
        }
    }
}

/// Declares one transform with its instances.
macro_rules! transform {
    ($name:ident, $scalar:ident $(, $arg:ident: $type:ty)?) => {
        pub(super) fn $name(isa: Isa, table: &NttTable, $($arg: $type,)? a: &mut [u32]) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2(table: &NttTable, $($arg: $type,)? a: &mut [u32]) {
                    // SAFETY: this instance is compiled for AVX2.
                    unsafe { vector::$name::<std::arch::x86_64::__m256i>(table, $($arg,)? a) }
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512(table: &NttTable, $($arg: $type,)? a: &mut [u32]) {
                    // SAFETY: this instance is compiled for AVX-512.
                    unsafe { vector::$name::<std::arch::x86_64::__m512i>(table, $($arg,)? a) }
                }
                match isa {
                    // SAFETY: `isa` comes from `Isa::available`, which checked the processor.
                    Isa::Avx2 if table.n >= 256 => return unsafe { avx2(table, $($arg,)? a) },
                    // SAFETY: as above.
                    Isa::Avx512 if table.n >= 256 => return unsafe { avx512(table, $($arg,)? a) },
                    _ => {}
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = isa;
            assert!(a.len() == table.n, "length differs from the table's degree");
            table.$scalar($($arg,)? a);
        }
    };
}

transform!(forward, forward_scalar);
transform!(inverse, inverse_scalar, scale: InverseScale);
