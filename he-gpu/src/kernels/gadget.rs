//! Inner products of digits with keys.

use super::arena::{Arena, load, store};
use super::launch::{Bound, Grid, NONE};
use super::modular::{accumulate, redc_lazy, reduce_lazy, reduce_once, zero};
use crate::tables::prime_length;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Both halves of inner products with keys in Montgomery form. Arguments per row: prime, P in
/// Montgomery form, row of the own polynomials or nothing; then per item: result, where its terms
/// begin, how many there are, both own polynomials or nothing twice. Words per term: digit and
/// both halves of the key.
#[cube(launch_unchecked)]
fn multiply(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let k = (CUBE_POS_Y << log_n) + ABSOLUTE_POS_X;
    let row = 3 * CUBE_POS_Y as usize;
    let item = (3 * CUBE_COUNT_Y + 5 * CUBE_POS_Z) as usize;
    let prime = (args[row] * comptime!(prime_length(log_n))) as usize;
    let q = constants[prime];
    let (to, first, count) = (args[item], args[item + 1], args[item + 2]);
    let mut b = zero();
    let mut a = zero();
    for term in 0..count {
        let at = (first + 3 * term) as usize;
        let digit = load(arena, args[at], k);
        accumulate(&mut b, digit, load(arena, args[at + 1], k));
        accumulate(&mut a, digit, load(arena, args[at + 2], k));
        b.high = reduce_once(b.high, 2 * q);
        a.high = reduce_once(a.high, 2 * q);
    }
    let (own, own_row) = (args[item + 3], args[row + 2]);
    if own != NONE && own_row != NONE {
        let at = (own_row << log_n) + ABSOLUTE_POS_X;
        accumulate(&mut b, load(arena, own, at), args[row + 1]);
        accumulate(&mut a, load(arena, args[item + 4], at), args[row + 1]);
    }
    let inverse = constants[prime + 1];
    store(arena, to, k, reduce_lazy(redc_lazy(&b, q, inverse), q));
    store(arena, to, k + (CUBE_COUNT_Y << log_n), reduce_lazy(redc_lazy(&a, q, inverse), q));
}

/// (sum d b + P own0, sum d a + P own1) for each item.
pub(crate) fn inner_products(client: &Client, bound: &Bound, grid: Grid) {
    let ((count, dim), (arena, constants, args)) = (grid.dispatch(), bound.buffers());
    // SAFETY: every address in the arguments has `grid.rows` rows behind it, own polynomials the
    // rows that the arguments name, a result twice as many.
    unsafe { multiply::launch_unchecked(client, count, dim, arena, constants, args, grid.log_n) };
}
