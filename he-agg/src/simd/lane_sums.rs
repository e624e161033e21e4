//! Integers in lanes, over a tile of coefficients at a time.
//!
//! A tile is lane-major where residues are made or taken apart, so that a
//! vector runs over coefficients, and linear (coefficient by coefficient)
//! where values are read, written or summed.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls into code compiled for an instruction set"))]

use super::mersenne;
use super::per_isa::per_isa;
use crate::ring::{Modulus, ShoupFactor};
use zeroize::Zeroize;

/// Coefficients of a tile; the last of a chunk may have fewer.
pub(crate) const TILE: usize = 64;

/// Bits of a word of a lifted integer.
pub(crate) const WORD_BITS: u32 = 30;

/// What of a coefficient's integer is what: `guard` bits of noise, then lanes
/// of `stride` bits, then nothing.
#[derive(Clone, Copy)]
pub(crate) struct LaneShape {
    pub(crate) guard: u32,
    pub(crate) stride: u32,
    pub(crate) lanes: usize,
}

/// Garner's constants: for prime `i`, the inverses of primes `0..i`, then the
/// product of those primes in `i` words of 30 bits (one word for `i = 0`).
pub(crate) struct LiftTable {
    pub(crate) moduli: Vec<Modulus>,
    pub(crate) inverses: Vec<Vec<ShoupFactor>>,
    pub(crate) products: Vec<Vec<u32>>,
}

/// Powers of a checksum's point from the zeroth on, and the one that follows.
pub(crate) struct Powers {
    /// In limbs of 21 bits, so that 64 products with a lane add up in a word: 2^(32 + 21 + 6).
    limbs: [[u32; Powers::LEN]; 3],
    point: u64,
    next: u64,
}

impl Powers {
    /// Lanes that are weighed before the sum is reduced.
    const LEN: usize = 64;
    const LIMB_BITS: u32 = 21;

    /// Those of a point.
    pub(crate) fn of(point: u64) -> Self {
        let (mut limbs, mut next) = ([[0; Self::LEN]; 3], 1);
        for place in 0..Self::LEN {
            for (limb, from) in limbs.iter_mut().zip([0, Self::LIMB_BITS, 2 * Self::LIMB_BITS]) {
                limb[place] = (next >> from) as u32 & ((1 << Self::LIMB_BITS) - 1);
            }
            next = mersenne::mul(next, point);
        }
        Self { limbs, point, next }
    }

    /// The point.
    pub(crate) fn point(&self) -> u64 {
        self.point
    }
}

/// Whoever knows the point can make a sum that passes.
impl Drop for Powers {
    fn drop(&mut self) {
        self.limbs.zeroize();
        self.point.zeroize();
        self.next.zeroize();
    }
}

/// How summed values become signed ones, and their largest lane.
#[derive(Clone, Copy)]
pub(crate) struct LaneRange {
    pub(crate) shift: i64,
    pub(crate) max: u32,
}

per_isa! {
    /// `lanes[l][c] = values[c][l] + offset` for a tile of `k`-lane coefficients.
    split_lanes(k: usize, values: &[i32], offset: u32, lanes: &mut [u32]) = plain::split_lanes;
    /// `x = sum over l of lanes[l] factors[l] + e - x`, `|e| < q`; the sum is
    /// below 2^60, for instance 64 lanes below 2^24.
    subtract_from_lanes(m: &Modulus, factors: &[u32], lanes: &[u32], e: &[i32], x: &mut [u32])
        = plain::subtract_from_lanes;
    /// `(sum of point^place (value + offset) mod 2^61 - 1, whether all value + offset are in 0..=max)`.
    weigh_values(powers: &Powers, values: &[i32], offset: u32, max: u32) -> (u64, bool) = plain::weigh_values;
    /// Residues, limb-major and overwritten, to the integer below the product
    /// of all primes, in as many words of 30 bits, word-major.
    lift(table: &LiftTable, residues: &mut [u32], words: &mut [u32]) = plain::lift;
    /// Takes lifted integers apart: noise per coefficient, the bits above all
    /// lanes, and the lanes in linear order. `lane` is scratch.
    take_lanes(
        shape: LaneShape, words: &[u32], noise: &mut [u64], above: &mut [u32], lane: &mut [u32], lanes: &mut [u32]
    ) = plain::take_lanes;
    /// `values = lane - shift`; `(sum of point^place lane mod 2^61 - 1, whether all lanes are at most max)`.
    weigh_lanes(powers: &Powers, lanes: &[u32], range: LaneRange, values: &mut [i64]) -> (u64, bool)
        = plain::weigh_lanes;
}

mod plain {
    use super::{LaneRange, LaneShape, LiftTable, Modulus, Powers, WORD_BITS, mersenne};

    const WORD: u64 = (1 << WORD_BITS) - 1;
    /// Coefficients whose 64-bit sums stay in registers.
    const WIDTH: usize = 16;

    /// Calls `transpose::<K>` for common lane counts, so that its loops have
    /// constant strides, and the general form for the rest.
    macro_rules! by_lanes {
        ($k:expr, $name:ident($($arg:expr),*)) => {
            match $k {
                7 => $name::<7>($($arg),*),
                8 => $name::<8>($($arg),*),
                16 => $name::<16>($($arg),*),
                _ => $name::<0>($($arg),*),
            }
        };
    }

    #[inline(always)]
    pub(super) fn split_lanes(k: usize, values: &[i32], offset: u32, lanes: &mut [u32]) {
        assert!(values.len() == lanes.len() && values.len().is_multiple_of(k), "one place per value");
        by_lanes!(k, split_fixed(k, values, offset, lanes));
    }

    #[inline(always)]
    fn split_fixed<const K: usize>(k: usize, values: &[i32], offset: u32, lanes: &mut [u32]) {
        let k = if K > 0 { K } else { k };
        let tile = values.len() / k;
        for (l, lane) in lanes.chunks_exact_mut(tile).enumerate() {
            for (lane, values) in lane.iter_mut().zip(values.chunks_exact(k)) {
                *lane = values[l].cast_unsigned().wrapping_add(offset);
            }
        }
    }

    #[inline(always)]
    fn join_fixed<const K: usize>(k: usize, lanes: &[u32], out: &mut [u32]) {
        let k = if K > 0 { K } else { k };
        let tile = out.len() / k;
        for (c, out) in out.chunks_exact_mut(k).enumerate() {
            for (l, out) in out.iter_mut().enumerate() {
                *out = lanes[l * tile + c];
            }
        }
    }

    #[inline(always)]
    pub(super) fn subtract_from_lanes(m: &Modulus, factors: &[u32], lanes: &[u32], e: &[i32], x: &mut [u32]) {
        let tile = x.len();
        assert!(lanes.len() == factors.len() * tile && e.len() == tile, "operands differ in length");
        let vectors = tile / WIDTH * WIDTH;
        for at in (0..vectors).step_by(WIDTH) {
            subtract_part::<WIDTH>(m, factors, lanes, e, x, at);
        }
        for at in vectors..tile {
            subtract_part::<1>(m, factors, lanes, e, x, at);
        }
    }

    #[inline(always)]
    fn subtract_part<const W: usize>(m: &Modulus, factors: &[u32], lanes: &[u32], e: &[i32], x: &mut [u32], at: usize) {
        let mut sums = [0u64; W];
        for (lane, &factor) in lanes.chunks_exact(x.len()).zip(factors) {
            for (sum, &lane) in sums.iter_mut().zip(&lane[at..at + W]) {
                *sum = sum.wrapping_add(u64::from(lane).wrapping_mul(u64::from(factor)));
            }
        }
        let x = &mut x[at..at + W];
        for ((x, sum), &e) in x.iter_mut().zip(sums).zip(&e[at..at + W]) {
            // e mod q: the prime is added where e is negative.
            let e = e.wrapping_add(m.value().cast_signed() & (e >> 31)).cast_unsigned();
            *x = m.sub(m.add(m.reduce_product(sum), e), *x);
        }
    }

    #[inline(always)]
    pub(super) fn weigh_values(powers: &Powers, values: &[i32], offset: u32, max: u32) -> (u64, bool) {
        let (mut sum, mut scale, mut highest) = (0, 1, 0u32);
        let mut lanes = [0; Powers::LEN];
        for values in values.chunks(Powers::LEN) {
            let lanes = &mut lanes[..values.len()];
            for (lane, &value) in lanes.iter_mut().zip(values) {
                *lane = value.cast_unsigned().wrapping_add(offset);
                highest = highest.max(*lane);
            }
            sum = mersenne::add(sum, mersenne::mul(weigh(powers, lanes), scale));
            scale = mersenne::mul(scale, powers.next);
        }
        (sum, highest <= max)
    }

    /// At most [`Powers::LEN`] lanes.
    #[inline(always)]
    fn weigh(powers: &Powers, lanes: &[u32]) -> u64 {
        let mut part = 0;
        for limb in powers.limbs.iter().rev() {
            let mut sum = 0u64;
            for (&lane, &power) in lanes.iter().zip(limb) {
                sum = sum.wrapping_add(u64::from(lane).wrapping_mul(u64::from(power)));
            }
            part = (part << Powers::LIMB_BITS) + u128::from(sum);
        }
        mersenne::reduce(part)
    }

    #[inline(always)]
    pub(super) fn lift(table: &LiftTable, residues: &mut [u32], words: &mut [u32]) {
        let limbs = table.moduli.len();
        let tile = residues.len() / limbs;
        assert!(residues.len() == limbs * tile && words.len() == residues.len(), "one word per residue");
        // Mixed radix: x = d_0 + q_0 (d_1 + q_1 (d_2 + ...)).
        for (i, m) in table.moduli.iter().enumerate() {
            let (digits, rest) = residues.split_at_mut(i * tile);
            for (digit, &inverse) in digits.chunks_exact(tile).zip(&table.inverses[i]) {
                for (x, &digit) in rest[..tile].iter_mut().zip(digit) {
                    // All primes are within a factor of two of each other.
                    *x = m.mul_shoup(m.sub(*x, m.reduce_once(digit)), inverse);
                }
            }
        }
        let vectors = tile / WIDTH * WIDTH;
        for at in (0..vectors).step_by(WIDTH) {
            assemble::<WIDTH>(table, tile, residues, words, at);
        }
        for at in vectors..tile {
            assemble::<1>(table, tile, residues, words, at);
        }
    }

    #[inline(always)]
    fn assemble<const W: usize>(table: &LiftTable, tile: usize, digits: &[u32], words: &mut [u32], at: usize) {
        let mut sums = [0u64; W];
        for (w, word) in words.chunks_exact_mut(tile).enumerate() {
            // At most 14 products below 2^60, and a carry below 2^34.
            for (digit, product) in digits.chunks_exact(tile).zip(&table.products) {
                let Some(&factor) = product.get(w) else { continue };
                for (sum, &digit) in sums.iter_mut().zip(&digit[at..at + W]) {
                    *sum = sum.wrapping_add(u64::from(digit).wrapping_mul(u64::from(factor)));
                }
            }
            for (word, sum) in word[at..at + W].iter_mut().zip(&mut sums) {
                *word = (*sum & WORD) as u32;
                *sum >>= WORD_BITS;
            }
        }
    }

    #[inline(always)]
    pub(super) fn take_lanes(
        shape: LaneShape,
        words: &[u32],
        noise: &mut [u64],
        above: &mut [u32],
        lane: &mut [u32],
        lanes: &mut [u32],
    ) {
        let (tile, k) = (noise.len(), shape.lanes);
        assert!(above.len() == tile && lanes.len() == k * tile && lane.len() == lanes.len(), "one place per lane");
        assert!(words.len() >= 3 * tile && words.len().is_multiple_of(tile), "three words or more per coefficient");
        assert!(shape.guard < 64 && shape.stride <= WORD_BITS, "a lane spans at most two words");
        let word = |w: usize| words.get(w * tile..(w + 1) * tile).unwrap_or(&[]);
        let mask = (1u64 << shape.guard) - 1;
        for (((noise, &a), &b), &c) in noise.iter_mut().zip(word(0)).zip(word(1)).zip(word(2)) {
            *noise = (u64::from(a) | u64::from(b) << 30 | u64::from(c) << 60) & mask;
        }
        let mask = (1u64 << shape.stride) - 1;
        for (l, lane) in (0..).zip(lane.chunks_exact_mut(tile)) {
            let at = shape.guard + l * shape.stride;
            let (w, shift) = ((at / WORD_BITS) as usize, at % WORD_BITS);
            if word(w + 1).is_empty() {
                for (lane, &low) in lane.iter_mut().zip(word(w)) {
                    *lane = ((u64::from(low) >> shift) & mask) as u32;
                }
            } else {
                for ((lane, &low), &high) in lane.iter_mut().zip(word(w)).zip(word(w + 1)) {
                    *lane = (((u64::from(low) | u64::from(high) << WORD_BITS) >> shift) & mask) as u32;
                }
            }
        }
        let used = shape.guard + shape.stride * k as u32;
        let (first, shift) = ((used / WORD_BITS) as usize, used % WORD_BITS);
        above.fill(0);
        for w in first..words.len() / tile {
            let shift = if w == first { shift } else { 0 };
            above.iter_mut().zip(word(w)).for_each(|(above, &word)| *above |= word >> shift);
        }
        by_lanes!(k, join_fixed(k, lane, lanes));
    }

    #[inline(always)]
    pub(super) fn weigh_lanes(powers: &Powers, lanes: &[u32], range: LaneRange, values: &mut [i64]) -> (u64, bool) {
        assert!(values.len() == lanes.len(), "one value per lane");
        let (mut sum, mut scale, mut highest) = (0, 1, 0u32);
        for (lanes, values) in lanes.chunks(Powers::LEN).zip(values.chunks_mut(Powers::LEN)) {
            for (&lane, value) in lanes.iter().zip(values) {
                highest = highest.max(lane);
                *value = i64::from(lane).wrapping_sub(range.shift);
            }
            sum = mersenne::add(sum, mersenne::mul(weigh(powers, lanes), scale));
            scale = mersenne::mul(scale, powers.next);
        }
        (sum, highest <= range.max)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;
    use crate::ring::primes::PRIMES;
    use crate::stream::Stream;

    const POINT: u64 = 0x1abc_def0_1234_5678 % mersenne::PRIME;

    /// Term by term, in integers of any size below 2^128.
    fn weighed(lanes: impl Iterator<Item = u32>) -> u64 {
        let prime = u128::from(mersenne::PRIME);
        let (mut sum, mut power) = (0, 1);
        for lane in lanes {
            sum = (sum + u128::from(lane) * power) % prime;
            power = power * u128::from(POINT) % prime;
        }
        sum as u64
    }

    #[test]
    fn lanes_split_sum_and_subtract_alike_on_every_instruction_set() {
        let m = Modulus::new(PRIMES[6]);
        let q = i128::from(m.value());
        // Tiles of whole vectors, below one, and with a remainder.
        for (k, tile) in [(7, 64), (8, 64), (16, 64), (1, 16), (3, 21), (63, 8), (8, 4), (8, 60), (16, 36)] {
            let mut stream = Stream::from_seed([k as u8; 32]);
            let values: Vec<i32> = (0..k * tile).map(|_| (stream.next_u32() >> 8) as i32 - (1 << 23)).collect();
            let e: Vec<i32> = (0..tile).map(|i| [-21, 21, 0][i % 3]).collect();
            let factors: Vec<u32> = (0..k as u64).map(|l| m.pow(2, 46 + 20 * l)).collect();
            let mut start = vec![0; tile];
            stream.fill_uniform(m.value(), &mut start);
            start[0] = m.value() - 1;
            for isa in Isa::available() {
                let mut lanes = vec![0; k * tile];
                split_lanes(isa, k, &values, 1 << 23, &mut lanes);
                let mut x = start.clone();
                subtract_from_lanes(isa, &m, &factors, &lanes, &e, &mut x);
                for c in 0..tile {
                    let mut sum = i128::from(e[c]) - i128::from(start[c]);
                    for l in 0..k {
                        let lane = i128::from(values[c * k + l]) + (1 << 23);
                        assert_eq!(i128::from(lanes[l * tile + c]), lane, "{isa:?}");
                        sum += lane * i128::from(factors[l]);
                    }
                    assert_eq!(i128::from(x[c]), sum.rem_euclid(q), "{isa:?}, {k} lanes, coefficient {c}");
                }
                let powers = Powers::of(POINT);
                let lanes = values.iter().map(|&v| (v + (1 << 23)) as u32);
                assert_eq!(weigh_values(isa, &powers, &values, 1 << 23, (1 << 24) - 1), (weighed(lanes), true));
                for wrong in [1 << 23, -(1 << 23) - 1, i32::MAX, i32::MIN] {
                    let mut values = values.clone();
                    values[k * tile / 2] = wrong;
                    assert!(!weigh_values(isa, &powers, &values, 1 << 23, (1 << 24) - 1).1, "{isa:?}, {wrong}");
                }
            }
        }
    }

    #[test]
    fn lanes_are_taken_from_their_bits_on_every_instruction_set() {
        for (guard, stride, k, limbs, tile) in [
            (46, 20, 8, 7, 64),
            (46, 20, 8, 7, 4),
            (58, 20, 7, 7, 16),
            (61, 22, 16, 14, 64),
            (61, 22, 16, 14, 60),
            (30, 30, 6, 7, 5),
            (44, 5, 33, 7, 8),
        ] {
            let mut words = vec![0; limbs * tile];
            let mut stream = Stream::from_seed([guard as u8; 32]);
            words.iter_mut().for_each(|w| *w = stream.next_u32() >> 2);
            let bit = |c: usize, at: u32| words[(at / 30) as usize * tile + c] >> (at % 30) & 1;
            let bits =
                |c: usize, from: u32, count: u32| (0..count).fold(0u64, |x, i| x | u64::from(bit(c, from + i)) << i);
            let shape = LaneShape { guard, stride, lanes: k };
            for isa in Isa::available() {
                let (mut noise, mut above) = (vec![0; tile], vec![9; tile]);
                let (mut lane, mut lanes) = (vec![0; k * tile], vec![0; k * tile]);
                take_lanes(isa, shape, &words, &mut noise, &mut above, &mut lane, &mut lanes);
                for c in 0..tile {
                    assert_eq!(noise[c], bits(c, 0, guard), "{isa:?}");
                    for l in 0..k {
                        assert_eq!(u64::from(lanes[c * k + l]), bits(c, guard + l as u32 * stride, stride), "{isa:?}");
                    }
                    let used = guard + stride * k as u32;
                    assert_eq!(above[c] != 0, (used..30 * limbs as u32).any(|at| bit(c, at) == 1), "{isa:?}");
                }
                let highest = lanes.iter().copied().max().unwrap();
                let mut values = vec![0; k * tile];
                let range = LaneRange { shift: 1 << 20, max: highest };
                let powers = Powers::of(POINT);
                let found = weigh_lanes(isa, &powers, &lanes, range, &mut values);
                assert_eq!(found, (weighed(lanes.iter().copied()), true), "{isa:?}");
                assert!(values.iter().zip(&lanes).all(|(&v, &l)| v == i64::from(l) - (1 << 20)));
                let range = LaneRange { max: highest - 1, ..range };
                assert!(!weigh_lanes(isa, &powers, &lanes, range, &mut values).1, "{isa:?}");
            }
        }
    }
}
