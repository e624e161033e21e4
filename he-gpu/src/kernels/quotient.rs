//! The second half of a division, and automorphisms: what permutes evaluations.

use super::arena::{Arena, load, store};
use super::launch::{Bound, Grid, NONE};
use super::modular::{mul_shoup, reduce_once};
use super::transform::{natural, tiled};
use crate::tables::prime_length;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Where position `k` of f(X^exponent) is found in f: at psi^e the first is f at
/// psi^(e exponent).
#[cube]
fn source(k: u32, exponent: u32, #[comptime] log_n: u32) -> u32 {
    let mut found = k;
    if exponent != 1 {
        let odd = 2 * (natural(k, log_n).reverse_bits() >> comptime!(32 - log_n)) + 1;
        let turned = (odd * exponent) >> 1;
        found = tiled((turned & comptime!((1u32 << log_n) - 1)).reverse_bits() >> comptime!(32 - log_n), log_n);
    }
    found
}

/// Automorphisms. Arguments per item: result, operand, exponent.
#[cube(launch_unchecked)]
fn turn(arena: &mut Arena, _constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let row = CUBE_POS_Y << log_n;
    let item = 3 * CUBE_POS_Z as usize;
    let x = load(arena, args[item + 1], row + source(ABSOLUTE_POS_X, args[item + 2], log_n));
    store(arena, args[item], row + ABSOLUTE_POS_X, x);
}

/// (x - remainder) factor + addend, permuted. Arguments per row: prime, row of x, factor and its
/// quotient; then per item: result, x, remainder, addend or nothing, exponent.
#[cube(launch_unchecked)]
fn divide(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] log_n: u32) {
    let row = 4 * CUBE_POS_Y as usize;
    let item = (4 * CUBE_COUNT_Y + 5 * CUBE_POS_Z) as usize;
    let q = constants[(args[row] * comptime!(prime_length(log_n))) as usize];
    let found = source(ABSOLUTE_POS_X, args[item + 4], log_n);
    let kept = (CUBE_POS_Y << log_n) + found;
    let x = load(arena, args[item + 1], (args[row + 1] << log_n) + found);
    let remainder = load(arena, args[item + 2], kept);
    let mut quotient = mul_shoup(x + q - remainder, args[row + 2], args[row + 3], q);
    let addend = args[item + 3];
    if addend != NONE {
        quotient = reduce_once(quotient + load(arena, addend, kept), q);
    }
    store(arena, args[item], (CUBE_POS_Y << log_n) + ABSOLUTE_POS_X, quotient);
}

/// f(X^exponent) for each item, evaluations of every row.
pub(crate) fn automorphisms(client: &Client, bound: &Bound, grid: Grid) {
    let ((count, dim), (arena, constants, args)) = (grid.dispatch(), bound.buffers());
    // SAFETY: every address in the arguments has `grid.rows` rows behind it.
    unsafe { turn::launch_unchecked(client, count, dim, arena, constants, args, grid.log_n) };
}

/// The quotient of each item.
pub(crate) fn quotients(client: &Client, bound: &Bound, grid: Grid) {
    let ((count, dim), (arena, constants, args)) = (grid.dispatch(), bound.buffers());
    // SAFETY: every address in the arguments has `grid.rows` rows behind it, and that of x the
    // rows that the arguments name.
    unsafe { divide::launch_unchecked(client, count, dim, arena, constants, args, grid.log_n) };
}
