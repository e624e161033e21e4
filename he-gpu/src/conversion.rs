//! The table of one base conversion, as the kernel takes it.

use crate::kernels::{NONE, TARGET_WORDS};
use he_agg::ring::{Limb, Modulus};

/// Fractional bits of the overflow count.
const FRACTION_BITS: u32 = 58;

/// Products of canonical residues that one reduction takes, less one for the overflow.
const SOURCES_MAX: usize = 11;

/// From some primes, the rows of one polynomial, to others, the rows of the result.
pub(crate) struct Conversion {
    sources: Vec<(u32, Limb)>,
    targets: Vec<[u32; TARGET_WORDS]>,
    /// Per target D/d_i for every i, then -D, in Montgomery form.
    weights: Vec<Vec<u32>>,
}

impl Conversion {
    /// From `sources`, each with its row, at most 11 distinct primes.
    pub(crate) fn new(sources: Vec<(u32, Limb)>) -> Self {
        assert!((1..=SOURCES_MAX).contains(&sources.len()), "a conversion takes 1 to 11 source primes");
        Self { sources, targets: Vec::new(), weights: Vec::new() }
    }

    /// Lets row `row` of the result be the value modulo `limb`, number `prime` of the constants.
    pub(crate) fn convert_to(&mut self, row: u32, prime: u32, limb: &Limb) {
        let modulus = limb.modulus();
        let without = |i: usize| modulus.to_montgomery(product_without(&self.sources, Some(i), modulus));
        let mut weights: Vec<u32> = (0..self.sources.len()).map(without).collect();
        weights.push(modulus.to_montgomery(modulus.neg(product_without(&self.sources, None, modulus))));
        self.targets.push([prime, row, NONE]);
        self.weights.push(weights);
    }

    /// Lets row `row` of the result be row `from` of the copied polynomial.
    pub(crate) fn copy_to(&mut self, row: u32, from: u32) {
        self.targets.push([0, row, from]);
        self.weights.push(vec![0; self.sources.len() + 1]);
    }

    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    pub(crate) fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Appends the table for a kernel that takes `sources` sources.
    pub(crate) fn append(&self, sources: usize, args: &mut Vec<u32>) {
        let missing = sources - self.sources.len();
        args.push(self.targets.len() as u32);
        for (row, limb) in &self.sources {
            args.extend([*row, ((1u64 << FRACTION_BITS) / u64::from(limb.modulus().value())) as u32]);
        }
        args.extend((0..missing).flat_map(|_| [self.sources[0].0, 0]));
        for (target, weights) in self.targets.iter().zip(&self.weights) {
            let (overflow, weights) = (weights[self.sources.len()], &weights[..self.sources.len()]);
            args.extend(target);
            args.extend(weights);
            args.extend((0..missing).map(|_| 0));
            args.push(overflow);
        }
    }
}

/// (D/d_i)^-1 mod d_i, by which residues modulo source `i` are multiplied before a conversion.
pub(crate) fn factor(sources: &[(u32, Limb)], i: usize) -> u32 {
    let modulus = sources[i].1.modulus();
    modulus.inv(product_without(sources, Some(i), modulus))
}

/// The product of all primes but number `skipped`, modulo `modulus`.
pub(crate) fn product_without(primes: &[(u32, Limb)], skipped: Option<usize>, modulus: &Modulus) -> u32 {
    let kept = primes.iter().enumerate().filter(|(i, _)| Some(*i) != skipped);
    kept.fold(1, |product, (_, (_, prime))| {
        modulus.mul(product, modulus.reduce_u64(u64::from(prime.modulus().value())))
    })
}
