//! Number-theoretic transform tables and the scalar reference transform.
//!
//! Forward transforms are decimation in time with roots in bit-reversed order
//! (Longa-Naehrig, ePrint 2016/504) and Harvey's lazy butterflies. For
//! `N >= 256` the last four stages work on 16 blocks of 16 values at once,
//! after a transposition, so that a vector lane is a block; the result stays
//! transposed. [`NttTable::exponent`] gives the evaluation point of each
//! position, which is all that other code may assume about the order.

use super::modulus::{Modulus, ShoupFactor};

/// Values handled by one run of the four last stages.
pub(crate) const TILE: usize = 256;
/// Rows and columns of a tile.
pub(crate) const SIDE: usize = 16;
/// Root vectors of a tile: 1 + 2 + 4 + 8 for its four stages.
pub(crate) const TILE_ROOTS: usize = 15;

/// Roots of one direction, values and Shoup quotients apart.
#[derive(Debug)]
pub(crate) struct Roots {
    /// `psi^bitrev(k)` (or its inverse) for the stages before the tiles; for
    /// degrees below 256, for all stages.
    pub(crate) head: Vec<u32>,
    pub(crate) head_quotient: Vec<u32>,
    /// Per tile 15 vectors of 16: stages with stride 8, 4, 2, 1, each with its
    /// 1, 2, 4, 8 butterflies groups, one lane per row of the tile.
    pub(crate) tail: Vec<u32>,
    pub(crate) tail_quotient: Vec<u32>,
}

/// The transform of one prime at one degree.
#[derive(Debug)]
pub struct NttTable {
    pub(crate) modulus: Modulus,
    pub(crate) n: usize,
    pub(crate) forward: Roots,
    pub(crate) inverse: Roots,
    /// The last inverse stage without a further factor.
    pub(crate) unscaled: InverseScale,
    /// Root of the last inverse stage.
    last: u32,
}

/// The factors of the last inverse stage: N^-1, the stage's root, and any constant that the
/// caller wants the polynomial multiplied by, for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InverseScale {
    /// For the sums.
    pub(crate) sum: ShoupFactor,
    /// For the differences: with the root.
    pub(crate) difference: ShoupFactor,
}

/// The lowest `bits` bits of `x`, reversed.
fn reverse(x: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { x.reverse_bits() >> (usize::BITS - bits) }
}

impl Roots {
    fn new(modulus: &Modulus, n: usize, psi: u32) -> Self {
        let log_n = n.trailing_zeros();
        let mut powers = vec![1u32; n];
        for i in 1..n {
            powers[i] = modulus.mul(powers[i - 1], psi);
        }
        let root = |k: usize| powers[reverse(k, log_n)];
        let head_len = if n >= TILE { n / SIDE } else { n };
        let head: Vec<u32> = (0..head_len).map(root).collect();
        let mut tail = Vec::new();
        if n >= TILE {
            for tile in 0..n / TILE {
                for stage in 0..4 {
                    let groups = 1 << stage;
                    for group in 0..groups {
                        let first = (n / SIDE) * groups + groups * SIDE * tile + group;
                        tail.extend((0..SIDE).map(|row| root(first + groups * row)));
                    }
                }
            }
        }
        let quotients = |values: &[u32]| values.iter().map(|&w| modulus.shoup(w).quotient).collect();
        Roots { head_quotient: quotients(&head), tail_quotient: quotients(&tail), head, tail }
    }

    fn head(&self, k: usize) -> ShoupFactor {
        ShoupFactor { value: self.head[k], quotient: self.head_quotient[k] }
    }

    fn tail(&self, k: usize) -> ShoupFactor {
        ShoupFactor { value: self.tail[k], quotient: self.tail_quotient[k] }
    }
}

impl InverseScale {
    fn new(modulus: &Modulus, factor: u32, last: u32) -> Self {
        InverseScale { sum: modulus.shoup(factor), difference: modulus.shoup(modulus.mul(factor, last)) }
    }
}

impl NttTable {
    /// Tables for a degree `n` (a power of two from 2) and a primitive
    /// `2n`-th root of unity `psi`.
    pub fn new(modulus: Modulus, n: usize, psi: u32) -> Self {
        assert!(n.is_power_of_two() && n >= 2, "ring degree must be a power of two");
        assert!(modulus.pow(psi, n as u64) == modulus.value() - 1, "psi must be a primitive 2n-th root of unity");
        let inverse_psi = modulus.inv(psi);
        // The last inverse stage uses psi^-bitrev(1) = psi^-(n/2).
        let last = modulus.pow(inverse_psi, n as u64 / 2);
        NttTable {
            modulus,
            n,
            forward: Roots::new(&modulus, n, psi),
            inverse: Roots::new(&modulus, n, inverse_psi),
            unscaled: InverseScale::new(&modulus, modulus.inv(n as u32), last),
            last,
        }
    }

    /// The last inverse stage with the canonical constant `factor`.
    pub(crate) fn scaled(&self, factor: u32) -> InverseScale {
        InverseScale::new(&self.modulus, self.modulus.mul(self.unscaled.sum.value, factor), self.last)
    }

    /// The odd exponent `e` such that position `position` of a forward
    /// transform holds the value at `psi^e`.
    pub fn exponent(n: usize, position: usize) -> usize {
        let index = if n >= TILE {
            let (tile, column, row) = (position / TILE, position / SIDE % SIDE, position % SIDE);
            tile * TILE + row * SIDE + column
        } else {
            position
        };
        2 * reverse(index, n.trailing_zeros()) + 1
    }

    /// The inverse of [`NttTable::exponent`].
    pub fn position(n: usize, exponent: usize) -> usize {
        let index = reverse((exponent % (2 * n)) / 2, n.trailing_zeros());
        if n >= TILE {
            let (tile, row, column) = (index / TILE, index / SIDE % SIDE, index % SIDE);
            tile * TILE + column * SIDE + row
        } else {
            index
        }
    }

    /// `(x, y) -> (x + w y, x - w y)`, inputs and outputs below 4q.
    #[inline(always)]
    fn butterfly(&self, x: &mut u32, y: &mut u32, w: ShoupFactor) {
        let two_q = 2 * self.modulus.value();
        let a = (*x).min((*x).wrapping_sub(two_q));
        let t = self.modulus.mul_shoup_lazy(*y, w);
        (*x, *y) = (a.wrapping_add(t), a.wrapping_add(two_q).wrapping_sub(t));
    }

    /// `(x, y) -> (x + y, w (x - y))`, inputs and outputs below 2q.
    #[inline(always)]
    fn inverse_butterfly(&self, x: &mut u32, y: &mut u32, w: ShoupFactor) {
        let two_q = 2 * self.modulus.value();
        let sum = x.wrapping_add(*y);
        let difference = x.wrapping_add(two_q).wrapping_sub(*y);
        *x = sum.min(sum.wrapping_sub(two_q));
        *y = self.modulus.mul_shoup_lazy(difference, w);
    }

    /// Scalar forward transform in place; below 4q in, canonical out.
    pub(crate) fn forward_scalar(&self, a: &mut [u32]) {
        let shortest = if self.n >= TILE { SIDE } else { 1 };
        let (mut groups, mut stride) = (1, self.n / 2);
        while stride >= shortest {
            for (i, block) in a.chunks_exact_mut(2 * stride).enumerate() {
                let w = self.forward.head(groups + i);
                let (x, y) = block.split_at_mut(stride);
                x.iter_mut().zip(y).for_each(|(x, y)| self.butterfly(x, y, w));
            }
            groups *= 2;
            stride /= 2;
        }
        if self.n >= TILE {
            for (tile, block) in a.chunks_exact_mut(TILE).enumerate() {
                let mut t = [0; TILE];
                transpose(block, &mut t);
                let mut root = tile * TILE_ROOTS * SIDE;
                for stride in [8, 4, 2, 1] {
                    for columns in t.chunks_exact_mut(2 * stride * SIDE) {
                        let (x, y) = columns.split_at_mut(stride * SIDE);
                        for (k, (x, y)) in x.iter_mut().zip(y).enumerate() {
                            self.butterfly(x, y, self.forward.tail(root + k % SIDE));
                        }
                        root += SIDE;
                    }
                }
                block.copy_from_slice(&t);
            }
        }
        a.iter_mut().for_each(|x| *x = self.modulus.reduce_lazy(*x));
    }

    /// Scalar inverse transform in place; canonical in, canonical out.
    pub(crate) fn inverse_scalar(&self, scale: InverseScale, a: &mut [u32]) {
        let mut stride = 1;
        if self.n >= TILE {
            for (tile, block) in a.chunks_exact_mut(TILE).enumerate() {
                let mut t = [0; TILE];
                t.copy_from_slice(block);
                for stride in [1, 2, 4, 8] {
                    // Stage `s` (stride 8 >> s) starts after 2^s - 1 vectors.
                    let mut root = (tile * TILE_ROOTS + 8 / stride - 1) * SIDE;
                    for columns in t.chunks_exact_mut(2 * stride * SIDE) {
                        let (x, y) = columns.split_at_mut(stride * SIDE);
                        for (k, (x, y)) in x.iter_mut().zip(y).enumerate() {
                            self.inverse_butterfly(x, y, self.inverse.tail(root + k % SIDE));
                        }
                        root += SIDE;
                    }
                }
                transpose(&t, block);
            }
            stride = SIDE;
        }
        while stride < self.n / 2 {
            let groups = self.n / (2 * stride);
            for (i, block) in a.chunks_exact_mut(2 * stride).enumerate() {
                let w = self.inverse.head(groups + i);
                let (x, y) = block.split_at_mut(stride);
                x.iter_mut().zip(y).for_each(|(x, y)| self.inverse_butterfly(x, y, w));
            }
            stride *= 2;
        }
        let two_q = 2 * self.modulus.value();
        let (x, y) = a.split_at_mut(self.n / 2);
        for (x, y) in x.iter_mut().zip(y) {
            let (sum, difference) = (x.wrapping_add(*y), x.wrapping_add(two_q).wrapping_sub(*y));
            *x = self.modulus.mul_shoup(sum, scale.sum);
            *y = self.modulus.mul_shoup(difference, scale.difference);
        }
    }
}

/// Transposes a 16 x 16 tile.
fn transpose(from: &[u32], to: &mut [u32]) {
    for row in 0..SIDE {
        for column in 0..SIDE {
            to[column * SIDE + row] = from[row * SIDE + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::{NON_RESIDUES, PRIMES};
    use crate::stream::Stream;

    fn table(i: usize, n: usize) -> NttTable {
        let m = Modulus::new(PRIMES[i]);
        let psi = m.pow(NON_RESIDUES[i], u64::from(PRIMES[i] - 1) / (2 * n as u64));
        NttTable::new(m, n, psi)
    }

    fn random(q: u32, n: usize, seed: u8) -> Vec<u32> {
        let mut out = vec![0; n];
        Stream::from_seed([seed; 32]).fill_uniform(q, &mut out);
        out
    }

    /// Negacyclic product from the definition, in 128-bit integers.
    fn schoolbook(q: u32, a: &[u32], b: &[u32]) -> Vec<u32> {
        let n = a.len();
        let mut out = vec![0i128; n];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                let product = i128::from(x) * i128::from(y);
                if i + j < n { out[i + j] += product } else { out[i + j - n] -= product }
            }
        }
        out.iter().map(|&x| x.rem_euclid(i128::from(q)) as u32).collect()
    }

    #[test]
    fn products_agree_with_the_schoolbook_formula() {
        for (i, n) in [(0, 2), (1, 4), (2, 16), (3, 128), (4, 256), (5, 512), (27, 1024)] {
            let (t, q) = (table(i, n), PRIMES[i]);
            let a = random(q, n, 1);
            let b = random(q, n, 2);
            let (mut fa, mut fb) = (a.clone(), b.clone());
            t.forward_scalar(&mut fa);
            t.forward_scalar(&mut fb);
            let mut product: Vec<u32> = fa.iter().zip(&fb).map(|(&x, &y)| t.modulus.mul(x, y)).collect();
            t.inverse_scalar(t.unscaled, &mut product);
            assert_eq!(product, schoolbook(q, &a, &b), "n = {n}");
        }
    }

    #[test]
    fn every_position_holds_the_value_at_its_documented_root() {
        for n in [8, 64, 256, 1024] {
            let (t, q) = (table(0, n), PRIMES[0]);
            let psi = t.modulus.pow(NON_RESIDUES[0], u64::from(q - 1) / (2 * n as u64));
            let a = random(q, n, 3);
            let mut f = a.clone();
            t.forward_scalar(&mut f);
            for (position, &value) in f.iter().enumerate() {
                let e = NttTable::exponent(n, position);
                assert_eq!(NttTable::position(n, e), position);
                let x = t.modulus.pow(psi, e as u64);
                let horner = a.iter().rev().fold(0, |acc, &c| t.modulus.add(t.modulus.mul(acc, x), c));
                assert_eq!(value, horner);
            }
        }
    }

    #[test]
    fn edge_values_survive_a_round_trip() {
        for n in [32, 256, 8192] {
            let (t, q) = (table(6, n), PRIMES[6]);
            for fill in [0, 1, q - 1] {
                let mut a = vec![fill; n];
                t.forward_scalar(&mut a);
                assert!(a.iter().all(|&x| x < q));
                t.inverse_scalar(t.unscaled, &mut a);
                assert_eq!(a, vec![fill; n]);
            }
        }
    }
}
