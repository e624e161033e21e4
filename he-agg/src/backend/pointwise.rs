//! Elementwise kernels, written as plain loops that LLVM vectorises.
//!
//! Each body is `#[inline(always)]` so that it is compiled again inside every
//! instance of the dispatch, with that instance's instruction set.

use crate::ring::{Modulus, ShoupFactor};

/// A mismatch of lengths is a bug of the caller.
macro_rules! same_length {
    ($a:expr, $b:expr) => {
        assert!($a.len() == $b.len(), "operands differ in length")
    };
}

#[inline(always)]
pub(super) fn add(m: &Modulus, a: &mut [u32], b: &[u32]) {
    same_length!(a, b);
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.add(*a, b));
}

#[inline(always)]
pub(super) fn sub(m: &Modulus, a: &mut [u32], b: &[u32]) {
    same_length!(a, b);
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.sub(*a, b));
}

#[inline(always)]
pub(super) fn neg(m: &Modulus, a: &mut [u32]) {
    a.iter_mut().for_each(|a| *a = m.neg(*a));
}

#[inline(always)]
pub(super) fn mul(m: &Modulus, a: &mut [u32], b: &[u32]) {
    same_length!(a, b);
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = m.mul(*a, b));
}

#[inline(always)]
pub(super) fn mul_add(m: &Modulus, acc: &mut [u32], a: &[u32], b: &[u32]) {
    same_length!(acc, a);
    same_length!(acc, b);
    for ((acc, &a), &b) in acc.iter_mut().zip(a).zip(b) {
        // (q-1)^2 + q - 1 stays below 2^60.
        *acc = m.reduce_product(u64::from(a).wrapping_mul(u64::from(b)).wrapping_add(u64::from(*acc)));
    }
}

#[inline(always)]
pub(super) fn mul_scalar(m: &Modulus, a: &mut [u32], w: ShoupFactor) {
    a.iter_mut().for_each(|a| *a = m.mul_shoup(*a, w));
}

#[inline(always)]
pub(super) fn mul_scalar_add(m: &Modulus, acc: &mut [u32], a: &[u32], w: ShoupFactor) {
    same_length!(acc, a);
    for (acc, &a) in acc.iter_mut().zip(a) {
        *acc = m.reduce_lazy(acc.wrapping_add(m.mul_shoup_lazy(a, w)));
    }
}

#[inline(always)]
pub(super) fn sub_mul_scalar(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor) {
    same_length!(a, b);
    for (a, &b) in a.iter_mut().zip(b) {
        *a = m.mul_shoup(a.wrapping_add(m.value()).wrapping_sub(b), w);
    }
}

#[inline(always)]
pub(super) fn sub_mul_scalar_add(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor, c: &[u32]) {
    same_length!(a, b);
    same_length!(a, c);
    for ((a, &b), &c) in a.iter_mut().zip(b).zip(c) {
        // Below 2q + q.
        *a = m.reduce_lazy(m.mul_shoup_lazy(a.wrapping_add(m.value()).wrapping_sub(b), w).wrapping_add(c));
    }
}
