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

#[inline(always)]
pub(super) fn reduce_lazy(m: &Modulus, a: &mut [u32]) {
    a.iter_mut().for_each(|a| *a = m.reduce_lazy(*a));
}

/// `out = v mod q` for `|v| < q`, without a branch.
#[inline(always)]
pub(super) fn reduce_small(m: &Modulus, values: &[i64], out: &mut [u32]) {
    same_length!(values, out);
    for (out, &v) in out.iter_mut().zip(values) {
        let v = v as i32;
        *out = (v + ((v >> 31) & m.value().cast_signed())).cast_unsigned();
    }
}

/// One step of Garner's algorithm with centred digits: `rest = (rest - [digit]) * w`, where
/// `[digit]` is the representative of `digit` modulo `source` nearest to zero.
#[inline(always)]
pub(super) fn garner_step(m: &Modulus, rest: &mut [u32], digit: &[u32], source: &Modulus, w: ShoupFactor) {
    same_length!(rest, digit);
    let half = source.value() / 2;
    // Primes are within a factor of two of each other, so both cases are canonical modulo m.
    let shift = m.value().wrapping_sub(source.value());
    for (rest, &digit) in rest.iter_mut().zip(digit) {
        let digit = if digit > half { digit.wrapping_add(shift) } else { digit };
        *rest = m.mul_shoup(rest.wrapping_add(m.value()).wrapping_sub(digit), w);
    }
}

/// One stage of the transform from slots to coefficients: in every block of `2 half` complex
/// values, `(x, y) -> (x + y, (x - y) conj(w))`. Real and imaginary parts apart.
#[inline(always)]
pub(super) fn fold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64]) {
    same_length!(real, imaginary);
    let (cosines, sines) = (&cosines[..half], &sines[..half]);
    for (re, im) in real.chunks_exact_mut(2 * half).zip(imaginary.chunks_exact_mut(2 * half)) {
        let ((x_re, y_re), (x_im, y_im)) = (re.split_at_mut(half), im.split_at_mut(half));
        for k in 0..half {
            let (re, im) = (x_re[k] - y_re[k], x_im[k] - y_im[k]);
            (x_re[k], x_im[k]) = (x_re[k] + y_re[k], x_im[k] + y_im[k]);
            (y_re[k], y_im[k]) = (re * cosines[k] + im * sines[k], im * cosines[k] - re * sines[k]);
        }
    }
}

/// The inverse of [`fold_slots`] but for the factor 2: `(x, y) -> (x + w y, x - w y)`.
#[inline(always)]
pub(super) fn unfold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64]) {
    same_length!(real, imaginary);
    let (cosines, sines) = (&cosines[..half], &sines[..half]);
    for (re, im) in real.chunks_exact_mut(2 * half).zip(imaginary.chunks_exact_mut(2 * half)) {
        let ((x_re, y_re), (x_im, y_im)) = (re.split_at_mut(half), im.split_at_mut(half));
        for k in 0..half {
            let re = y_re[k] * cosines[k] - y_im[k] * sines[k];
            let im = y_re[k] * sines[k] + y_im[k] * cosines[k];
            (y_re[k], y_im[k]) = (x_re[k] - re, x_im[k] - im);
            (x_re[k], x_im[k]) = (x_re[k] + re, x_im[k] + im);
        }
    }
}

/// `acc = acc * factor + centred digit` in floating point.
#[inline(always)]
pub(super) fn horner_step(acc: &mut [f64], factor: f64, digit: &[u32], source: &Modulus) {
    same_length!(acc, digit);
    let q = source.value().cast_signed();
    for (acc, &digit) in acc.iter_mut().zip(digit) {
        let digit = digit.cast_signed();
        let centred = if digit > q / 2 { digit - q } else { digit };
        *acc = *acc * factor + f64::from(centred);
    }
}
