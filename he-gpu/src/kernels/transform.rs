//! Forward and inverse number-theoretic transforms.
//!
//! A row of up to 2^12 values is transformed by one workgroup in shared memory, eight values per
//! thread and three stages between exchanges. A longer row is cut: the stages with the largest
//! strides run in registers, one thread per column, and the rest as above, block by block.
//! Butterflies are Harvey's, lazy below 4q forward and 2q inverse; the order of the result is that
//! of `he_agg::ring::NttTable`.

use super::arena::{Arena, load, store};
use super::launch::Bound;
use super::modular::{mul_shoup, mul_shoup_lazy, reduce_lazy, reduce_once};
use crate::tables::{FORWARD, INVERSE, PRIME_WORDS, prime_length};
use cubecl::client::Client;
use cubecl::prelude::*;

/// Values per thread are 2 to this.
pub(crate) const LOG_VALUES: u32 = 3;

/// The longest block of a workgroup, as a power of two: 18 KiB of shared memory.
pub(crate) const LOG_BLOCK_MAX: u32 = 12;

/// Values of a tile whose last four stages `he_agg` leaves transposed.
const LOG_TILE: u32 = 8;

/// How a row is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    /// The row has 2 to this many values.
    pub log_n: u32,
    /// Stages in registers, with the largest strides.
    pub head: u32,
    /// Whether loops over groups of stages are unrolled: faster code, longer to compile.
    pub unroll: bool,
}

impl Plan {
    pub(crate) fn new(log_n: u32, unroll: bool) -> Self {
        let head = if log_n <= LOG_BLOCK_MAX { 0 } else { (log_n - LOG_BLOCK_MAX).max(3) };
        Self { log_n, head, unroll }
    }

    /// Kernels that a transform takes.
    pub(crate) fn kernels(self) -> u32 {
        if self.head == 0 { 1 } else { 2 }
    }

    /// The length of a block, as a power of two.
    pub(crate) fn log_block(self) -> u32 {
        self.log_n - self.head
    }

    /// Groups of stages in shared memory: the first takes what is left over from groups of three.
    fn groups(self) -> u32 {
        self.log_block().div_ceil(LOG_VALUES)
    }

    fn first_stages(self) -> u32 {
        self.log_block() - LOG_VALUES * (self.groups() - 1)
    }
}

/// Where the roots of one direction and the prime are in the table of constants.
#[derive(CubeType, Clone, Copy)]
struct Row {
    q: u32,
    /// First root of the direction.
    roots: u32,
}

/// The last inverse stage's factors: for sums and for differences, each with its quotient.
#[derive(CubeType, Clone, Copy)]
struct Scale {
    sum: u32,
    sum_quotient: u32,
    difference: u32,
    difference_quotient: u32,
}

#[cube]
fn row(constants: &[u32], prime: u32, #[comptime] direction: u32, #[comptime] log_n: u32) -> Row {
    let first = prime * comptime!(prime_length(log_n));
    Row { q: constants[first as usize], roots: first + comptime!(PRIME_WORDS + direction * (2 << log_n)) }
}

#[cube]
fn scale(args: &[u32], at: usize) -> Scale {
    Scale { sum: args[at], sum_quotient: args[at + 1], difference: args[at + 2], difference_quotient: args[at + 3] }
}

/// The first `stages` of the forward stages of `x`, whose first root is number `root`.
#[cube]
fn forward_stages(
    x: &mut Array<u32>,
    constants: &[u32],
    row: &Row,
    root: u32,
    #[comptime] log_values: u32,
    #[comptime] stages: u32,
    #[comptime] log_n: u32,
) {
    let two_q = 2 * row.q;
    #[unroll]
    for stage in 0..stages {
        let stride = comptime!(1u32 << (log_values - 1 - stage));
        #[unroll]
        for group in 0..comptime!(1u32 << stage) {
            let at = row.roots + (root << stage) + group;
            let w = constants[at as usize];
            let quotient = constants[(at + comptime!(1u32 << log_n)) as usize];
            #[unroll]
            for j in 0..stride {
                let low = comptime!((2 * stride * group + j) as usize);
                let high = comptime!((2 * stride * group + j + stride) as usize);
                let a = reduce_once(x[low], two_q);
                let t = mul_shoup_lazy(x[high], w, quotient, row.q);
                x[low] = a + t;
                x[high] = a + two_q - t;
            }
        }
    }
}

/// The inverse stages that undo the first `stages` of [`forward_stages`], but for the `spared`
/// very first of them.
#[cube]
fn inverse_stages(
    x: &mut Array<u32>,
    constants: &[u32],
    row: &Row,
    root: u32,
    #[comptime] log_values: u32,
    #[comptime] stages: u32,
    #[comptime] spared: u32,
    #[comptime] log_n: u32,
) {
    let two_q = 2 * row.q;
    #[unroll]
    for i in 0..comptime!(stages - spared) {
        let stage = comptime!(stages - 1 - i);
        let stride = comptime!(1u32 << (log_values - 1 - stage));
        #[unroll]
        for group in 0..comptime!(1u32 << stage) {
            let at = row.roots + (root << stage) + group;
            let w = constants[at as usize];
            let quotient = constants[(at + comptime!(1u32 << log_n)) as usize];
            #[unroll]
            for j in 0..stride {
                let low = comptime!((2 * stride * group + j) as usize);
                let high = comptime!((2 * stride * group + j + stride) as usize);
                let difference = x[low] + two_q - x[high];
                x[low] = reduce_once(x[low] + x[high], two_q);
                x[high] = mul_shoup_lazy(difference, w, quotient, row.q);
            }
        }
    }
}

/// The inverse stage of the whole row that ends it, with the factors of `scale`.
#[cube]
fn last_stage(x: &mut Array<u32>, q: u32, scale: Scale, #[comptime] log_values: u32) {
    let stride = comptime!(1u32 << (log_values - 1));
    #[unroll]
    for j in 0..stride {
        let (low, high) = comptime!((j as usize, (j + stride) as usize));
        let sum = x[low] + x[high];
        let difference = x[low] + 2 * q - x[high];
        x[low] = mul_shoup(sum, scale.sum, scale.sum_quotient, q);
        x[high] = mul_shoup(difference, scale.difference, scale.difference_quotient, q);
    }
}

/// Where value `j` of a thread is in its block, when its values are 2^shift apart.
#[cube]
fn place(unit: u32, shift: u32, #[comptime] j: u32) -> u32 {
    ((unit >> shift) << (shift + LOG_VALUES)) + (j << shift) + unit % (1 << shift)
}

/// One word in nine stays unused, so that threads of a group meet in different banks.
#[cube]
fn padded(at: u32) -> usize {
    (at + (at >> 3)) as usize
}

/// Redistributes the values of all threads, from 2^from apart to 2^to apart.
#[cube]
fn exchange(x: &mut Array<u32>, shared: &mut Shared<[u32]>, unit: u32, from: u32, to: u32) {
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        shared[padded(place(unit, from, j))] = x[j as usize];
    }
    sync_cube();
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        x[j as usize] = shared[padded(place(unit, to, j))];
    }
}

/// Where the value of a natural index stands in the order of `he_agg`.
#[cube]
pub(super) fn tiled(index: u32, #[comptime] log_n: u32) -> u32 {
    if comptime!(log_n >= LOG_TILE) { (index & 0xffff_ff00) + ((index & 15) << 4) + ((index >> 4) & 15) } else { index }
}

/// The inverse of [`tiled`], which is [`tiled`]: a transposed tile, transposed.
#[cube]
pub(super) fn natural(position: u32, #[comptime] log_n: u32) -> u32 {
    tiled(position, log_n)
}

/// Forward transforms of blocks. Arguments per row: prime, source, destination.
#[cube(launch_unchecked)]
pub(super) fn forward_blocks(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] plan: Plan) {
    let (unit, block) = (UNIT_POS, CUBE_POS_X);
    let task = 3 * CUBE_POS_Y as usize;
    let row = row(constants, args[task], FORWARD, plan.log_n);
    // The stages before the blocks have been at work already.
    let (from, to) = (args[task + comptime!(if plan.head == 0 { 1usize } else { 2 })], args[task + 2]);
    let log_block = comptime!(plan.log_block());
    let start = block << log_block;
    let mut x = Array::<u32>::new(comptime!(1usize << LOG_VALUES));
    let mut shared = Shared::<[u32]>::new_slice(comptime!(9usize << (log_block - 3)));

    let mut shift = comptime!(log_block - LOG_VALUES).runtime();
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        x[j as usize] = load(arena, from, start + place(unit, shift, j));
    }
    let root = comptime!(1u32 << plan.head) + block;
    forward_stages(&mut x, constants, &row, root, LOG_VALUES, comptime!(plan.first_stages()), plan.log_n);
    let rest = comptime!(plan.groups() - 1);
    #[unroll(plan.unroll)]
    for group in 0..rest {
        let next = LOG_VALUES * (rest - 1 - group);
        exchange(&mut x, &mut shared, unit, shift, next);
        let root = ((comptime!(1u32 << plan.head) + block) << (log_block - LOG_VALUES - next)) + (unit >> next);
        forward_stages(&mut x, constants, &row, root, LOG_VALUES, LOG_VALUES, plan.log_n);
        shift = next;
    }
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        let at = tiled(start + (unit << LOG_VALUES) + j, plan.log_n);
        store(arena, to, at, reduce_lazy(x[j as usize], row.q));
    }
}

/// The stages of forward transforms above blocks. Arguments as for [`forward_blocks`].
#[cube(launch_unchecked)]
pub(super) fn forward_heads(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] plan: Plan) {
    let column = ABSOLUTE_POS_X;
    let task = 3 * CUBE_POS_Y as usize;
    let row = row(constants, args[task], FORWARD, plan.log_n);
    let (from, to) = (args[task + 1], args[task + 2]);
    let log_block = comptime!(plan.log_block());
    let mut x = Array::<u32>::new(comptime!(1usize << plan.head));
    #[unroll]
    for j in 0..comptime!(1u32 << plan.head) {
        x[j as usize] = load(arena, from, column + (j << log_block));
    }
    forward_stages(&mut x, constants, &row, 1u32, plan.head, plan.head, plan.log_n);
    #[unroll]
    for j in 0..comptime!(1u32 << plan.head) {
        store(arena, to, column + (j << log_block), x[j as usize]);
    }
}

/// Inverse transforms of blocks. Arguments per row: prime, source, destination, the four words of
/// the last stage.
#[cube(launch_unchecked)]
pub(super) fn inverse_blocks(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] plan: Plan) {
    let (unit, block) = (UNIT_POS, CUBE_POS_X);
    let task = 7 * CUBE_POS_Y as usize;
    let row = row(constants, args[task], INVERSE, plan.log_n);
    let (from, to) = (args[task + 1], args[task + 2]);
    let log_block = comptime!(plan.log_block());
    let start = block << log_block;
    let mut x = Array::<u32>::new(comptime!(1usize << LOG_VALUES));
    let mut shared = Shared::<[u32]>::new_slice(comptime!(9usize << (log_block - 3)));
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        x[j as usize] = load(arena, from, tiled(start + (unit << LOG_VALUES) + j, plan.log_n));
    }
    let rest = comptime!(plan.groups() - 1);
    let top = comptime!(log_block - LOG_VALUES);
    #[unroll(plan.unroll)]
    for group in 0..rest {
        let shift = LOG_VALUES * group;
        let root = ((comptime!(1u32 << plan.head) + block) << (top - shift)) + (unit >> shift);
        inverse_stages(&mut x, constants, &row, root, LOG_VALUES, LOG_VALUES, 0u32, plan.log_n);
        exchange(&mut x, &mut shared, unit, shift, u32::min(shift + LOG_VALUES, top));
    }
    let root = comptime!(1u32 << plan.head) + block;
    // Without a head the stage with one root is the row's last.
    let spared = comptime!(if plan.head == 0 { 1u32 } else { 0 });
    inverse_stages(&mut x, constants, &row, root, LOG_VALUES, comptime!(plan.first_stages()), spared, plan.log_n);
    if comptime!(plan.head == 0) {
        last_stage(&mut x, row.q, scale(args, task + 3), LOG_VALUES);
    }
    #[unroll]
    for j in 0..comptime!(1u32 << LOG_VALUES) {
        store(arena, to, start + place(unit, top, j), x[j as usize]);
    }
}

/// The stages of inverse transforms above blocks, in place at the destination. Arguments as for
/// [`inverse_blocks`].
#[cube(launch_unchecked)]
pub(super) fn inverse_heads(arena: &mut Arena, constants: &[u32], args: &[u32], #[comptime] plan: Plan) {
    let column = ABSOLUTE_POS_X;
    let task = 7 * CUBE_POS_Y as usize;
    let row = row(constants, args[task], INVERSE, plan.log_n);
    let to = args[task + 2];
    let log_block = comptime!(plan.log_block());
    let mut x = Array::<u32>::new(comptime!(1usize << plan.head));
    #[unroll]
    for j in 0..comptime!(1u32 << plan.head) {
        x[j as usize] = load(arena, to, column + (j << log_block));
    }
    inverse_stages(&mut x, constants, &row, 1u32, plan.head, plan.head, 1u32, plan.log_n);
    last_stage(&mut x, row.q, scale(args, task + 3), plan.head);
    #[unroll]
    for j in 0..comptime!(1u32 << plan.head) {
        store(arena, to, column + (j << log_block), x[j as usize]);
    }
}

/// Threads of a workgroup that works column by column.
const COLUMNS: u32 = 256;

fn blocks(plan: Plan, rows: u32) -> (CubeCount, CubeDim) {
    (CubeCount::Static(1 << plan.head, rows, 1), CubeDim::new_1d(1 << (plan.log_block() - LOG_VALUES)))
}

fn heads(plan: Plan, rows: u32) -> (CubeCount, CubeDim) {
    (CubeCount::Static((1 << plan.log_block()) / COLUMNS, rows, 1), CubeDim::new_1d(COLUMNS))
}

/// Transforms rows to evaluations: prime, source, destination of each in `bound.args`. The values
/// of sources are below 4q.
pub(crate) fn forward(client: &Client, bound: &Bound, rows: u32, plan: Plan) {
    let (count, dim) = blocks(plan, rows);
    if plan.head > 0 {
        let (count, dim) = heads(plan, rows);
        let (arena, constants, args) = bound.buffers();
        // SAFETY: every address in the arguments has a whole row behind it.
        unsafe { forward_heads::launch_unchecked(client, count, dim, arena, constants, args, plan) };
    }
    let (arena, constants, args) = bound.buffers();
    // SAFETY: as above.
    unsafe { forward_blocks::launch_unchecked(client, count, dim, arena, constants, args, plan) };
}

/// Transforms rows to coefficients: prime, source, destination, four words of scale of each in
/// `bound.args`.
pub(crate) fn inverse(client: &Client, bound: &Bound, rows: u32, plan: Plan) {
    let (count, dim) = blocks(plan, rows);
    let (arena, constants, args) = bound.buffers();
    // SAFETY: every address in the arguments has a whole row behind it.
    unsafe { inverse_blocks::launch_unchecked(client, count, dim, arena, constants, args, plan) };
    if plan.head > 0 {
        let (count, dim) = heads(plan, rows);
        let (arena, constants, args) = bound.buffers();
        // SAFETY: as above.
        unsafe { inverse_heads::launch_unchecked(client, count, dim, arena, constants, args, plan) };
    }
}
