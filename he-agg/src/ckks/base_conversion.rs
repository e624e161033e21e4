//! Exact centred conversion of residues from one set of primes to another.
//!
//! For x modulo D = d_1 .. d_m, with y_i = x (D/d_i)^-1 mod d_i, the centred representative is
//! sum y_i D/d_i - v D with v = round(sum y_i / d_i). The overflow count v is computed in 58-bit
//! fixed point, never in floating point, so that every backend gives the same bits: only values
//! within D 2^-24 of D/2 may come out as x - D instead of x, which is congruent and as short.
//! Source: Halevi, Polyakov, Shoup, "An improved RNS variant of the BFV homomorphic encryption
//! scheme", ePrint 2018/117, section 2.

use crate::ring::{Limb, Modulus};
use crate::simd;

/// Fractional bits of the overflow count: a residue times `2^58 / d` stays below 2^58, and
/// [`SOURCES_MAX`] of them below 2^62.
const FRACTION_BITS: u32 = 58;

/// The most source primes: with the overflow they are the terms of one sum.
pub(crate) const SOURCES_MAX: usize = simd::TERMS_MAX - 1;

/// The conversion from a fixed set of source primes.
///
/// The first half of the work, y_i = x (D/d_i)^-1, is done by the caller: as the constant of the
/// inverse transform it costs nothing.
pub(crate) struct BaseConversion<'a> {
    sources: &'a [Limb],
}

impl<'a> BaseConversion<'a> {
    /// Prepares the conversion from `sources`, at most [`SOURCES_MAX`] distinct primes.
    pub(crate) fn new(sources: &'a [Limb]) -> Self {
        assert!(!sources.is_empty() && sources.len() <= SOURCES_MAX, "a conversion takes 1 to 11 source primes");
        Self { sources }
    }

    /// (D/d_i)^-1 mod d_i, by which source limb `i` has to be multiplied.
    pub(crate) fn factor(&self, i: usize) -> u32 {
        let modulus = self.sources[i].modulus();
        modulus.inv(product_without(self.sources, Some(i), modulus))
    }

    /// Writes the overflow counts v; `scaled` holds all y_i, limb-major, each as long as `out`.
    pub(crate) fn count_overflow(&self, scaled: &[u32], out: &mut [u32]) {
        let fraction = |source: &Limb| ((1u64 << FRACTION_BITS) / u64::from(source.modulus().value())) as u32;
        let mut terms = [(&[][..], 0); SOURCES_MAX];
        for ((term, limb), source) in terms.iter_mut().zip(scaled.chunks_exact(out.len())).zip(self.sources) {
            *term = (limb, fraction(source));
        }
        simd::fraction_count(&terms[..self.sources.len()], out);
    }

    /// Writes the centred representative modulo `target`, coefficient domain, in `[0, 4q)`: what a
    /// forward transform takes. `scaled` as above, with its `overflow`.
    pub(crate) fn convert(&self, scaled: &[u32], overflow: &[u32], target: &Limb, out: &mut [u32]) {
        let modulus = target.modulus();
        let count = self.sources.len();
        let mut terms = [(&[][..], 0); SOURCES_MAX + 1];
        for (i, (term, limb)) in terms.iter_mut().zip(scaled.chunks_exact(out.len())).take(count).enumerate() {
            *term = (limb, modulus.to_montgomery(product_without(self.sources, Some(i), modulus)));
        }
        let whole = product_without(self.sources, None, modulus);
        terms[count] = (overflow, modulus.to_montgomery(modulus.neg(whole)));
        simd::weighted_sum(modulus, &terms[..=count], out);
    }
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
    fn conversion_gives_the_centred_value_for_one_to_eleven_sources() {
        let params = Preset::Inf15x90.params();
        let n = 1500;
        for count in 1..=11 {
            let sources = &params.q[..count];
            let mut stream = Stream::from_seed([count as u8; 32]);
            let mut residues = vec![0; count * n];
            for (limb, source) in residues.chunks_exact_mut(n).zip(sources) {
                let q = source.modulus().value();
                stream.fill_uniform(q, limb);
                (limb[0], limb[1], limb[2]) = (0, q - 1, 1);
            }
            let conversion = BaseConversion::new(sources);
            let mut scaled = residues.clone();
            for (i, (limb, source)) in scaled.chunks_exact_mut(n).zip(sources).enumerate() {
                source.mul_scalar(limb, conversion.factor(i));
            }
            let mut overflow = vec![0; n];
            conversion.count_overflow(&scaled, &mut overflow);
            let mut out = vec![0; n];
            for target in &params.p[..2] {
                conversion.convert(&scaled, &overflow, target, &mut out);
                out.iter_mut().for_each(|x| *x = target.modulus().reduce_lazy(*x));
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
