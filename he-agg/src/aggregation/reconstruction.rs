//! From residues to the integer in `[0, Q)` (Garner).

use crate::ring::{Limb, ShoupFactor};

/// 64-bit words of the largest modulus here: 14 primes of 30 bits, and room
/// for one more.
pub(super) const WORDS: usize = 7;

/// Garner's constants for one list of primes.
pub(super) struct Reconstruction<'a> {
    limbs: &'a [Limb],
    /// `inverse[i][j] = q_j^-1 mod q_i` for j < i.
    inverse: Vec<Vec<ShoupFactor>>,
}

impl<'a> Reconstruction<'a> {
    pub(super) fn new(limbs: &'a [Limb]) -> Self {
        assert!(limbs.len() * 30 <= WORDS * 64, "the modulus exceeds the word buffer");
        let inverse = limbs
            .iter()
            .enumerate()
            .map(|(i, limb)| {
                let m = limb.modulus();
                let prime = |j: usize| m.reduce_u64(u64::from(limbs[j].modulus().value()));
                (0..i).map(|j| m.shoup(m.inv(prime(j)))).collect()
            })
            .collect();
        Reconstruction { limbs, inverse }
    }

    /// The integer with these residues, in little-endian words. `residues`
    /// must have one entry per limb and is overwritten.
    pub(super) fn lift(&self, residues: &mut [u32]) -> [u64; WORDS] {
        assert!(residues.len() == self.limbs.len(), "one residue per limb");
        // Mixed radix: x = d_0 + q_0 (d_1 + q_1 (d_2 + ...)).
        for i in 1..residues.len() {
            let m = self.limbs[i].modulus();
            let mut x = residues[i];
            for (&digit, &inverse) in residues[..i].iter().zip(&self.inverse[i]) {
                // All primes are within a factor of two of each other.
                x = m.mul_shoup(m.sub(x, m.reduce_once(digit)), inverse);
            }
            residues[i] = x;
        }
        let mut out = [0u64; WORDS];
        for (&digit, limb) in residues.iter().zip(self.limbs).rev() {
            let mut carry = u128::from(digit);
            for word in &mut out {
                carry += u128::from(*word) * u128::from(limb.modulus().value());
                *word = carry as u64;
                carry >>= 64;
            }
        }
        out
    }
}

/// Bits `[from, from + count)` of a word buffer, `count` at most 64.
pub(super) fn bits(words: &[u64; WORDS], from: u32, count: u32) -> u64 {
    let (word, shift) = ((from / 64) as usize, from % 64);
    let low = words.get(word).copied().unwrap_or(0);
    let high = words.get(word + 1).copied().unwrap_or(0);
    let pair = (u128::from(high) << 64 | u128::from(low)) >> shift;
    pair as u64 & u64::MAX.checked_shr(64 - count).unwrap_or(0)
}

/// Whether any bit from `from` upwards is set.
pub(super) fn any_above(words: &[u64; WORDS], from: u32) -> bool {
    (from..64 * WORDS as u32).step_by(64).any(|at| bits(words, at, 64) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use crate::stream::Stream;
    use num_bigint::BigUint;

    #[test]
    fn lifted_integers_have_the_residues_they_came_from() {
        let params = Preset::Agg14.params();
        let lift = Reconstruction::new(&params.q);
        let modulus: BigUint = params.q.iter().map(|l| BigUint::from(l.modulus().value())).product();
        let mut stream = Stream::from_seed([8; 32]);
        for case in 0..200 {
            let residues: Vec<u32> = params
                .q
                .iter()
                .map(|l| match case {
                    0 => 0,
                    1 => l.modulus().value() - 1,
                    _ => stream.next_u32() % l.modulus().value(),
                })
                .collect();
            let words = lift.lift(&mut residues.clone());
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let x = BigUint::from_bytes_le(&bytes);
            assert!(x < modulus);
            for (limb, r) in params.q.iter().zip(&residues) {
                assert_eq!(&x % limb.modulus().value(), BigUint::from(*r));
            }
            for (from, count) in [(0, 64), (61, 22), (63, 1), (127, 40), (410, 30)] {
                let expected = (&x >> from) % (BigUint::from(1u8) << count);
                assert_eq!(BigUint::from(bits(&words, from, count)), expected);
            }
            for from in [0, 64, 413, 419, 420] {
                assert_eq!(any_above(&words, from), (&x >> from) != BigUint::ZERO);
            }
        }
    }
}
