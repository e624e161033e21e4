//! From residues to the integer in `[0, Q)` (Garner), a tile at a time.

use crate::ring::Limb;
use crate::simd::{self, Isa, LiftTable, WORD_BITS};

/// Most primes of a modulus here: 14 products of two 30-bit numbers and a
/// carry fit 64 bits.
const LIMBS_MAX: usize = 14;

/// Garner's constants for one list of primes.
pub(super) struct Reconstruction {
    table: LiftTable,
}

impl Reconstruction {
    /// Allocates a few kilobytes of constants.
    pub(super) fn new(limbs: &[Limb]) -> Self {
        assert!((3..=LIMBS_MAX).contains(&limbs.len()), "the modulus has 3 to 14 primes");
        let moduli: Vec<_> = limbs.iter().map(|limb| *limb.modulus()).collect();
        let inverses = moduli
            .iter()
            .enumerate()
            .map(|(i, m)| moduli[..i].iter().map(|p| m.shoup(m.inv(m.reduce_u64(u64::from(p.value()))))).collect())
            .collect();
        let products = (0..moduli.len())
            .map(|i| {
                let mut words = vec![0u32; i.max(1)];
                words[0] = 1;
                for m in &moduli[..i] {
                    let mut carry = 0u64;
                    for word in &mut words {
                        carry += u64::from(*word) * u64::from(m.value());
                        *word = (carry & ((1 << WORD_BITS) - 1)) as u32;
                        carry >>= WORD_BITS;
                    }
                }
                words
            })
            .collect();
        Reconstruction { table: LiftTable { moduli, inverses, products } }
    }

    /// The integers with these residues (limb-major, overwritten), as words of
    /// 30 bits, word-major, as many words as limbs. Allocates nothing.
    pub(super) fn lift(&self, residues: &mut [u32], words: &mut [u32]) {
        simd::lift(Isa::detect(), &self.table, residues, words);
    }

    #[cfg(test)]
    fn table(&self) -> &LiftTable {
        &self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use crate::stream::Stream;
    use num_bigint::BigUint;

    #[test]
    fn lifted_integers_have_the_residues_they_came_from() {
        const TILE: usize = 203;
        for preset in [Preset::Agg13, Preset::Agg14] {
            let params = preset.params();
            let limbs = params.q.len();
            let lift = Reconstruction::new(&params.q);
            let modulus: BigUint = params.q.iter().map(|l| BigUint::from(l.modulus().value())).product();
            let mut stream = Stream::from_seed([8; 32]);
            let mut residues = vec![0; limbs * TILE];
            for (limb, residues) in params.q.iter().zip(residues.chunks_exact_mut(TILE)) {
                let q = limb.modulus().value();
                stream.fill_uniform(q, residues);
                // Zero, Q - 1, and numbers between multiples of the primes.
                residues[..4].copy_from_slice(&[0, q - 1, 1, q - 2]);
            }
            for isa in Isa::available() {
                let mut words = vec![0; limbs * TILE];
                simd::lift(isa, lift.table(), &mut residues.clone(), &mut words);
                for c in 0..TILE {
                    let x = (0..limbs).rev().fold(BigUint::ZERO, |x, w| (x << 30) + words[w * TILE + c]);
                    assert!(x < modulus, "{isa:?}");
                    for (l, limb) in params.q.iter().enumerate() {
                        assert_eq!(&x % limb.modulus().value(), BigUint::from(residues[l * TILE + c]), "{isa:?}");
                    }
                }
            }
        }
    }
}
