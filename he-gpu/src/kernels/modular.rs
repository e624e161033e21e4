//! Arithmetic modulo one prime below 2^30, in 32-bit words only.
//!
//! Not every device has 64-bit integers, so that a 64-bit sum is a pair of words with an explicit
//! carry. The ranges are those of `he_agg::Modulus`.

use cubecl::prelude::*;

/// A 64-bit sum.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Wide {
    pub low: u32,
    pub high: u32,
}

/// `x` or `x - bound`, whichever is in `[0, bound)`; `x` in `[0, 2 bound)`.
#[cube]
pub(super) fn reduce_once(x: u32, bound: u32) -> u32 {
    u32::min(x, x - bound)
}

/// From `[0, 4q)` to `[0, q)`.
#[cube]
pub(super) fn reduce_lazy(x: u32, q: u32) -> u32 {
    reduce_once(reduce_once(x, 2 * q), q)
}

/// `x w mod q` in `[0, 2q)` for every `x`, where `quotient` is floor(w 2^32 / q).
#[cube]
pub(super) fn mul_shoup_lazy(x: u32, w: u32, quotient: u32, q: u32) -> u32 {
    x * w - x.mul_hi(quotient) * q
}

/// `x w mod q` in `[0, q)`.
#[cube]
pub(super) fn mul_shoup(x: u32, w: u32, quotient: u32, q: u32) -> u32 {
    reduce_once(mul_shoup_lazy(x, w, quotient, q), q)
}

#[cube]
pub(super) fn zero() -> Wide {
    Wide { low: 0u32.runtime(), high: 0u32.runtime() }
}

/// `sum += x y`, without reduction.
#[cube]
pub(super) fn accumulate(sum: &mut Wide, x: u32, y: u32) {
    let low = x * y;
    sum.low += low;
    sum.high += x.mul_hi(y) + u32::cast_from(sum.low < low);
}

/// `sum 2^-32 mod q` in `[0, 4q)` for sums whose high word is below 3q.
#[cube]
pub(super) fn redc_lazy(sum: &Wide, q: u32, inverse: u32) -> u32 {
    sum.high - (sum.low * inverse).mul_hi(q) + q
}
