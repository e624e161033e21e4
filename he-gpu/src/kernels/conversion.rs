//! Exact centred base conversion.
//!
//! As in `he_agg`: y_i = x (D/d_i)^-1 mod d_i go in, sum y_i D/d_i - v D modulo every target
//! comes out, where v = round(sum y_i / d_i) in 58-bit fixed point.

use super::arena::{Arena, load, store};
use super::launch::{Bound, Grid, NONE};
use super::modular::{Wide, accumulate, redc_lazy, reduce_lazy, zero};
use crate::tables::prime_length;
use cubecl::client::Client;
use cubecl::prelude::*;

/// Words of a target before its weights: prime, row of the result, row of the copy or nothing.
pub(crate) const TARGET_WORDS: usize = 3;

/// Converts. Arguments per item: result, sources, copied polynomial, where its table begins. A
/// table has the number of targets, per source its row and floor(2^58/d), and per target
/// [`TARGET_WORDS`] words and the weights D/d_i and -D in Montgomery form. A source too many has
/// weight and fraction zero. Workgroups along y take `share` targets each.
#[cube(launch_unchecked)]
fn spread(
    arena: &mut Arena,
    constants: &[u32],
    args: &[u32],
    share: u32,
    #[comptime] sources: usize,
    #[comptime] log_n: u32,
) {
    let k = ABSOLUTE_POS_X;
    let item = 4 * CUBE_POS_Z as usize;
    let (to, from, own) = (args[item], args[item + 1], args[item + 2]);
    let table = args[item + 3] as usize;
    let targets = args[table];
    let mut y = Array::<u32>::new(sources);
    // A half, so that the integer part is rounded.
    let mut fraction = Wide { low: 0u32.runtime(), high: (1u32 << 25).runtime() };
    #[unroll]
    for i in 0..sources {
        y[i] = load(arena, from, (args[table + 1 + 2 * i] << log_n) + k);
        accumulate(&mut fraction, y[i], args[table + 2 + 2 * i]);
    }
    let overflow = fraction.high >> 26;
    let first = CUBE_POS_Y * share;
    for target in first..u32::min(first + share, targets) {
        let at = table + comptime!(1 + 2 * sources) + target as usize * comptime!(TARGET_WORDS + sources + 1);
        let prime = (args[at] * comptime!(prime_length(log_n))) as usize;
        let q = constants[prime];
        let place = (args[at + 1] << log_n) + k;
        if args[at + 2] == NONE {
            let mut sum = zero();
            #[unroll]
            for i in 0..sources {
                accumulate(&mut sum, y[i], args[at + comptime!(TARGET_WORDS + i)]);
            }
            accumulate(&mut sum, overflow, args[at + comptime!(TARGET_WORDS + sources)]);
            store(arena, to, place, reduce_lazy(redc_lazy(&sum, q, constants[prime + 1]), q));
        } else {
            let copied = load(arena, own, (args[at + 2] << log_n) + k);
            store(arena, to, place, copied);
        }
    }
}

/// Converts each item from up to `sources` primes; `grid.rows` workgroups share its targets, each
/// taking `share`.
pub(crate) fn conversions(client: &Client, bound: &Bound, grid: Grid, share: u32, sources: usize) {
    let ((count, dim), (arena, constants, args)) = (grid.dispatch(), bound.buffers());
    // SAFETY: every address in the arguments has the rows behind it that its table names.
    unsafe { spread::launch_unchecked(client, count, dim, arena, constants, args, share, sources, grid.log_n) };
}
