//! Sums and sums of products, position by position.
//!
//! The arguments begin with the prime of every row, followed by three words per item: the address
//! of the result, where its terms begin in the arguments, how many there are.

use super::arena::{Arena, load, store};
use super::launch::{Bound, Grid};
use super::modular::{Wide, accumulate, mul_shoup, redc_lazy, reduce_once, zero};
use crate::tables::prime_length;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Set in the address of a term that is subtracted.
pub(crate) const NEGATIVE: u32 = 1 << 31;

/// Sums of polynomials: one word per term.
#[cube(launch_unchecked)]
fn add_terms(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let k = (CUBE_POS_Y << log_n) + ABSOLUTE_POS_X;
    let q = constants[(args[CUBE_POS_Y as usize] * comptime!(prime_length(log_n))) as usize];
    let item = (CUBE_COUNT_Y + 3 * CUBE_POS_Z) as usize;
    let (to, first, count) = (args[item], args[item + 1], args[item + 2]);
    let mut sum = 0u32.runtime();
    for term in 0..count {
        let address = args[(first + term) as usize];
        let x = load(arena, address & !NEGATIVE, k);
        sum = reduce_once(sum + select(address >= NEGATIVE, q - x, x), q);
    }
    store(arena, to, k, sum);
}

/// Sums of products of polynomials: two words per term.
#[cube(launch_unchecked)]
fn add_products(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let k = (CUBE_POS_Y << log_n) + ABSOLUTE_POS_X;
    let prime = (args[CUBE_POS_Y as usize] * comptime!(prime_length(log_n))) as usize;
    let q = constants[prime];
    let item = (CUBE_COUNT_Y + 3 * CUBE_POS_Z) as usize;
    let (to, first, count) = (args[item], args[item + 1], args[item + 2]);
    let mut sum = zero();
    for term in 0..count {
        let at = (first + 2 * term) as usize;
        let x = load(arena, args[at], k);
        let y = load(arena, args[at + 1], k);
        accumulate(&mut sum, x, y);
        sum.high = reduce_once(sum.high, 2 * q);
    }
    store(arena, to, k, finish(&sum, constants, prime));
}

/// Sums of products of ciphertexts, four words per term: c0, c1 of the left factor, c0, c1 of the
/// right one. The three results lie one behind the other.
#[cube(launch_unchecked)]
fn add_tensors(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let k = (CUBE_POS_Y << log_n) + ABSOLUTE_POS_X;
    let prime = (args[CUBE_POS_Y as usize] * comptime!(prime_length(log_n))) as usize;
    let q = constants[prime];
    let item = (CUBE_COUNT_Y + 3 * CUBE_POS_Z) as usize;
    let (to, first, count) = (args[item], args[item + 1], args[item + 2]);
    let mut low = zero();
    let mut middle = zero();
    let mut high = zero();
    for term in 0..count {
        let at = (first + 4 * term) as usize;
        let x0 = load(arena, args[at], k);
        let x1 = load(arena, args[at + 1], k);
        let y0 = load(arena, args[at + 2], k);
        let y1 = load(arena, args[at + 3], k);
        accumulate(&mut low, x0, y0);
        accumulate(&mut middle, x0, y1);
        accumulate(&mut middle, x1, y0);
        accumulate(&mut high, x1, y1);
        low.high = reduce_once(low.high, 2 * q);
        middle.high = reduce_once(middle.high, 2 * q);
        high.high = reduce_once(high.high, 2 * q);
    }
    let stride = CUBE_COUNT_Y << log_n;
    store(arena, to, k, finish(&low, constants, prime));
    store(arena, to, k + stride, finish(&middle, constants, prime));
    store(arena, to, k + 2 * stride, finish(&high, constants, prime));
}

/// A sum of canonical products with a high word below 2q, reduced to `[0, q)`.
#[cube]
fn finish(sum: &Wide, constants: &[u32], prime: usize) -> u32 {
    let q = constants[prime];
    mul_shoup(redc_lazy(sum, q, constants[prime + 1]), constants[prime + 2], constants[prime + 3], q)
}

macro_rules! launch {
    ($(#[$doc:meta])* $name:ident, $kernel:ident) => {
        $(#[$doc])*
        pub(crate) fn $name(client: &Client, bound: &Bound, grid: Grid) {
            let ((count, dim), (arena, constants, args)) = (grid.dispatch(), bound.buffers());
            // SAFETY: every address in the arguments has `grid.rows` rows behind it, and a result
            // room for all of them.
            unsafe { $kernel::launch_unchecked(client, count, dim, arena, constants, args, grid.log_n) };
        }
    };
}

launch!(
    /// The sum of each item's terms, those subtracted that are marked [`NEGATIVE`].
    sums,
    add_terms
);
launch!(
    /// The sum of the products of each item's pairs.
    product_sums,
    add_products
);
launch!(
    /// The three sums of each item's products of ciphertexts.
    tensor_sums,
    add_tensors
);
