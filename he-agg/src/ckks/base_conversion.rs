//! Exact centred conversion of residues from one set of primes to another.
//!
//! For x modulo D = d_1 .. d_m, with y_i = x (D/d_i)^-1 mod d_i, the centred representative is
//! sum y_i D/d_i - v D with v = round(sum y_i / d_i). The overflow count v is computed in 58-bit
//! fixed point, never in floating point, so that every backend gives the same bits: only values
//! within D 2^-24 of D/2 may come out as x - D instead of x, which is congruent and as short.
//! Source: Halevi, Polyakov, Shoup, "An improved RNS variant of the BFV homomorphic encryption
//! scheme", ePrint 2018/117, section 2.

use crate::ring::{Limb, Modulus};
use rayon::prelude::*;

/// Fractional bits of the overflow count: a residue times `2^58 / d` stays below 2^58, and
/// [`SOURCES_MAX`] of them below 2^62.
const FRACTION_BITS: u32 = 58;

/// The most source primes: 15 products of 30-bit residues and the overflow fit 64 bits.
pub(crate) const SOURCES_MAX: usize = 15;

/// Coefficients per block: the 64-bit sums and the splatted constants stay in the first-level
/// cache.
const BLOCK: usize = 512;

/// Residues modulo the source primes, scaled for conversion, and their overflow counts.
pub(crate) struct Scaled {
    /// y_i for every source prime, limb-major.
    residues: Vec<u32>,
    /// v per coefficient, at most the number of sources.
    overflow: Vec<u32>,
}

/// Constants of the conversion from a fixed set of source primes.
pub(crate) struct BaseConversion<'a> {
    sources: &'a [Limb],
    /// (D/d_i)^-1 mod d_i.
    inverses: Vec<u32>,
    /// floor(2^58 / d_i).
    fractions: Vec<u32>,
}

impl<'a> BaseConversion<'a> {
    /// Prepares the conversion from `sources`, at most [`SOURCES_MAX`] distinct primes.
    pub(crate) fn new(sources: &'a [Limb]) -> Self {
        assert!(!sources.is_empty() && sources.len() <= SOURCES_MAX, "a conversion takes 1 to 15 source primes");
        let inverse =
            |(i, source): (usize, &Limb)| source.modulus().inv(product_without(sources, Some(i), source.modulus()));
        let fraction = |source: &Limb| ((1u64 << FRACTION_BITS) / u64::from(source.modulus().value())) as u32;
        Self {
            sources,
            inverses: sources.iter().enumerate().map(inverse).collect(),
            fractions: sources.iter().map(fraction).collect(),
        }
    }

    /// First half, done once per polynomial: `residues` holds the source limbs in the coefficient
    /// domain, canonical, limb-major, each `n` long.
    pub(crate) fn scale(&self, mut residues: Vec<u32>, n: usize) -> Scaled {
        debug_assert_eq!(residues.len(), n * self.sources.len());
        residues
            .par_chunks_exact_mut(n)
            .zip(self.sources)
            .zip(&self.inverses)
            .for_each(|((limb, source), &inverse)| source.mul_scalar(limb, inverse));
        let mut overflow = vec![0u32; n];
        overflow.par_chunks_mut(BLOCK).enumerate().for_each(|(index, block)| {
            let mut sums = [1u64 << (FRACTION_BITS - 1); BLOCK];
            let sums = &mut sums[..block.len()];
            for (limb, &fraction) in residues.chunks_exact(n).zip(&self.fractions) {
                accumulate(sums, &limb[index * BLOCK..], &[fraction; BLOCK]);
            }
            for (count, &sum) in block.iter_mut().zip(sums.iter()) {
                *count = (sum >> FRACTION_BITS) as u32;
            }
        });
        Scaled { residues, overflow }
    }

    /// Second half, once per target prime: writes the centred representative modulo `target`,
    /// coefficient domain, canonical.
    pub(crate) fn convert(&self, scaled: &Scaled, target: &Limb, out: &mut [u32]) {
        let n = out.len();
        let modulus = target.modulus();
        let constants: Vec<[u32; BLOCK]> =
            (0..self.sources.len()).map(|i| [product_without(self.sources, Some(i), modulus); BLOCK]).collect();
        let minus_whole = [modulus.neg(product_without(self.sources, None, modulus)); BLOCK];
        let mut sums = [0u64; BLOCK];
        for (index, block) in out.chunks_mut(BLOCK).enumerate() {
            let (start, sums) = (index * BLOCK, &mut sums[..block.len()]);
            sums.fill(0);
            accumulate(sums, &scaled.overflow[start..], &minus_whole);
            for (limb, constant) in scaled.residues.chunks_exact(n).zip(&constants) {
                accumulate(sums, &limb[start..], constant);
            }
            target.reduce_wide(sums, block);
        }
    }
}

/// sums += residues constant without reduction, over the length of `sums`.
fn accumulate(sums: &mut [u64], residues: &[u32], constant: &[u32; BLOCK]) {
    let length = sums.len();
    Limb::accumulate(sums, &residues[..length], &constant[..length]);
}

/// The product of all primes but number `skipped`, modulo `modulus`.
pub(crate) fn product_without(primes: &[Limb], skipped: Option<usize>, modulus: &Modulus) -> u32 {
    primes
        .iter()
        .enumerate()
        .filter(|(i, _)| Some(*i) != skipped)
        .fold(1, |product, (_, prime)| modulus.mul(product, modulus.reduce_u64(u64::from(prime.modulus().value()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Preset;
    use crate::stream::Stream;
    use num_bigint::BigInt;

    /// The centred value of residues, by big-integer CRT.
    fn centred(residues: &[u32], primes: &[Limb]) -> BigInt {
        let whole: BigInt = primes.iter().map(|p| BigInt::from(p.modulus().value())).product();
        let mut x = BigInt::from(0);
        for (&residue, prime) in residues.iter().zip(primes) {
            let q = BigInt::from(prime.modulus().value());
            let rest = &whole / &q;
            let inverse = rest.modpow(&(&q - 2), &q);
            x += rest * inverse * residue;
        }
        x %= &whole;
        if &x * 2 > whole { x - whole } else { x }
    }

    #[test]
    fn conversion_gives_the_centred_value_for_one_to_nine_sources() {
        let params = Preset::Inf15x90.params();
        let n = 1500;
        for count in 1..=9 {
            let sources = &params.q[..count];
            let mut stream = Stream::from_seed([count as u8; 32]);
            let mut residues = vec![0; count * n];
            for (limb, source) in residues.chunks_exact_mut(n).zip(sources) {
                let q = source.modulus().value();
                stream.fill_uniform(q, limb);
                (limb[0], limb[1], limb[2]) = (0, q - 1, 1);
            }
            let conversion = BaseConversion::new(sources);
            let scaled = conversion.scale(residues.clone(), n);
            let mut out = vec![0; n];
            for target in &params.p[..2] {
                conversion.convert(&scaled, target, &mut out);
                let t = BigInt::from(target.modulus().value());
                for (k, &value) in out.iter().enumerate() {
                    let own: Vec<u32> = (0..count).map(|i| residues[i * n + k]).collect();
                    let expected = ((centred(&own, sources) % &t) + &t) % &t;
                    assert_eq!(BigInt::from(value), expected, "{count} sources, coefficient {k}");
                }
            }
        }
    }
}
