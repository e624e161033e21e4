//! Slot vectors to polynomials and back.
//!
//! Encoding multiplies by the scale in f64 and rounds to an integer of up to 119 bits, which is
//! exact beyond 2^53: the conversion takes mantissa and exponent apart. The relative error is
//! that of the transform, about 2^-50 of the largest slot, at every scale.

use crate::ckks::embedding::Embedding;
use crate::ckks::error::CkksError;
use crate::ckks::plaintext::Plaintext;
use crate::params::{Params, Preset};
use crate::ring::{Coeff, Eval, Limb, Poly, ShoupFactor, Words};
use crate::simd;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// log2 of the largest coefficient that may be encoded.
pub const COEFFICIENT_LOG2_MAX: u32 = 119;

/// Encodes and decodes for one preset; holds the transform tables, 24 N bytes and more.
pub struct Encoder {
    params: &'static Params,
    embedding: Embedding,
}

impl Encoder {
    /// An encoder for `preset`.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for an aggregation preset.
    pub fn new(preset: Preset) -> Result<Self, CkksError> {
        let params = preset.params();
        if params.p.is_empty() {
            return Err(CkksError::NotForEvaluation { preset });
        }
        Ok(Self::over(params))
    }

    pub(crate) fn over(params: &'static Params) -> Self {
        Self { params, embedding: Embedding::new(params.n) }
    }

    /// Encodes up to N/2 values, the missing ones as zero, modulo the first `limbs` primes.
    ///
    /// # Errors
    /// Too many values, a value that is not finite, a scale below one, a limb count outside the
    /// parameters, or coefficients beyond 2^119 or half the modulus.
    pub fn encode(&self, values: &[f64], scale: f64, limbs: usize) -> Result<Plaintext, CkksError> {
        let (params, slots) = (self.params, self.params.slots());
        if values.len() > slots {
            return Err(CkksError::TooManyValues { values: values.len(), slots });
        }
        if !(scale.is_finite() && scale >= 1.0) {
            return Err(CkksError::Scale { scale });
        }
        if limbs == 0 || limbs > params.q.len() {
            return Err(CkksError::Limbs { limbs, max: params.q.len() });
        }
        if let Some(slot) = values.iter().position(|v| !v.is_finite()) {
            return Err(CkksError::NotFinite { slot, value: values[slot] });
        }
        // Pixels or weights, until they are encrypted.
        let mut coefficients = Zeroizing::new(vec![0.0; params.n]);
        coefficients[..values.len()].copy_from_slice(values);
        let limit_log2 = (params.log_q(limbs) - 1.0).min(f64::from(COEFFICIENT_LOG2_MAX));
        let integers = self.integers(&mut coefficients, scale, limbs, limit_log2)?;
        let basis = &params.q[..limbs];
        let poly = Poly::from_signed_wide(&integers, basis).into_eval(basis);
        Ok(Plaintext { params, limbs, scale, poly })
    }

    /// N/2 complex slots, real parts first, at a scale, over any primes whose product the caller knows to be large
    /// enough, plus an error on every coefficient, if any; overwritten.
    ///
    /// # Errors
    /// [`CkksError::Overflow`] beyond 2^119.
    pub(crate) fn encode_complex(
        &self,
        slots: &mut [f64],
        (scale, error): (f64, &[i64]),
        basis: &[Limb],
    ) -> Result<Poly<Eval>, CkksError> {
        let mut integers = self.integers(slots, scale, basis.len(), f64::from(COEFFICIENT_LOG2_MAX))?;
        integers.iter_mut().zip(error).for_each(|(x, error)| *x += i128::from(*error));
        Ok(Poly::from_signed_wide(&integers, basis).into_eval(basis))
    }

    /// Slots, overwritten, to rounded coefficients below the limit.
    fn integers(
        &self,
        slots: &mut [f64],
        scale: f64,
        limbs: usize,
        limit_log2: f64,
    ) -> Result<Zeroizing<Vec<i128>>, CkksError> {
        self.embedding.to_coefficients(slots);
        slots.iter_mut().for_each(|c| *c *= scale);
        let largest = slots.iter().fold(0.0, |m: f64, c| m.max(c.abs()));
        if largest.is_nan() || largest.log2() >= limit_log2 {
            return Err(CkksError::Overflow { magnitude_log2: largest.log2(), limit_log2, limbs });
        }
        // Below 2^119, so `as` is exact: it never saturates and drops no bit of the mantissa.
        Ok(Zeroizing::new(slots.iter().map(|c| c.round_ties_even() as i128).collect()))
    }

    /// The real parts of all N/2 slots.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn decode(&self, plaintext: &Plaintext) -> Result<Vec<f64>, CkksError> {
        if plaintext.preset() != self.params.preset {
            return Err(CkksError::PresetMismatch { left: self.params.preset, right: plaintext.preset() });
        }
        let basis = &self.params.q[..plaintext.limbs];
        let mut values = centred(&plaintext.poly.clone().into_coeff(basis), basis);
        let inverse = 1.0 / plaintext.scale;
        values.iter_mut().for_each(|value| *value *= inverse);
        self.embedding.to_slots(&mut values);
        values.truncate(self.params.slots());
        Ok(values)
    }
}

/// Coefficients lifted by one task: their digits stay in the first-level cache.
const BLOCK: usize = 256;

/// The centred coefficients, within a few units in the last place of an f64.
///
/// Garner's mixed-radix digits are taken centred, v_i in (-q_i/2, q_i/2): then the value is
/// sum v_i q_0 .. q_(i-1) without a final wrap, and no term is much larger than the sum, so the
/// evaluation from the top does not cancel.
pub(crate) fn centred(poly: &Poly<Coeff>, basis: &[Limb]) -> Vec<f64> {
    let limbs = basis.len();
    // inverses[i][k] = (q_k)^-1 mod q_i for k < i.
    let inverses: Vec<Vec<ShoupFactor>> = basis
        .iter()
        .enumerate()
        .map(|(i, limb)| {
            let modulus = limb.modulus();
            let prime = |other: &Limb| modulus.reduce_u64(u64::from(other.modulus().value()));
            basis[..i].iter().map(|other| modulus.shoup(modulus.inv(prime(other)))).collect()
        })
        .collect();
    // Four digits stay below 2^119: exact up to the one rounding of the cast.
    let exact = limbs.min(4);
    let whole: f64 = basis[..exact].iter().map(|l| f64::from(l.modulus().value())).product();
    let mut out = vec![0.0; poly.n()];
    out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
        let size = out.len();
        let mut digits = Words::unset(limbs * size);
        for (i, digit) in digits.chunks_exact_mut(size).enumerate() {
            digit.copy_from_slice(&poly.limb(i)[block * BLOCK..block * BLOCK + size]);
        }
        for (i, limb) in basis.iter().enumerate() {
            let (lower, rest) = digits.split_at_mut(i * size);
            for ((digit, source), &inverse) in lower.chunks_exact(size).zip(basis).zip(&inverses[i]) {
                simd::garner_step(limb.modulus(), &mut rest[..size], digit, source.modulus(), inverse);
            }
        }
        for (digit, limb) in digits.chunks_exact(size).zip(basis).skip(exact).rev() {
            simd::horner_step(out, f64::from(limb.modulus().value()), digit, limb.modulus());
        }
        for (k, out) in out.iter_mut().enumerate() {
            let low = (0..exact).rev().fold(0i128, |value, i| {
                let modulus = basis[i].modulus();
                value * i128::from(modulus.value()) + i128::from(modulus.centre(digits[i * size + k]))
            });
            *out = *out * whole + low as f64;
        }
    });
    out
}

/// Coefficients of `left - right`, centred.
#[cfg(test)]
pub(crate) fn coefficient_differences(left: &Plaintext, right: &Plaintext) -> Vec<f64> {
    let basis = &left.params.q[..left.limbs];
    let mut difference = left.poly.clone();
    difference.sub_assign(&right.poly, basis);
    centred(&difference.into_coeff(basis), basis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use num_bigint::BigInt;

    fn toy(preset: Preset, log_n: u32) -> &'static Params {
        Box::leak(Box::new(Params::toy(preset, log_n)))
    }

    #[test]
    fn values_survive_at_every_limb_count_and_scale() {
        for preset in [Preset::Inf13, Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90] {
            let params = toy(preset, 9);
            let encoder = Encoder::over(params);
            let mut stream = Stream::from_seed([1; 32]);
            let values: Vec<f64> = (0..params.slots()).map(|_| 20.0 * stream.next_f64() - 10.0).collect();
            for limbs in params.base_limbs..=params.q.len() {
                let plain = encoder.encode(&values, params.scale(), limbs).unwrap();
                let decoded = encoder.decode(&plain).unwrap();
                // Rounding N coefficients by 1/2 each, then the floor of f64.
                let bound = params.n as f64 / params.scale() + 1e-12;
                for (x, y) in values.iter().zip(&decoded) {
                    assert!((x - y).abs() < bound, "{preset} {limbs}: {x} {y}");
                }
            }
        }
    }

    #[test]
    fn coefficients_are_those_of_the_direct_transform() {
        let params = toy(Preset::Inf15x90, 5);
        let (n, slots) = (params.n, params.slots());
        let encoder = Encoder::over(params);
        let values: Vec<f64> = (0..slots).map(|j| (j * j % 13) as f64 - 4.5).collect();
        let basis = &params.q[..4];
        let plain = encoder.encode(&values, params.scale(), 4).unwrap();
        let coefficients = centred(&plain.poly.clone().into_coeff(basis), basis);
        // m_k = (2/N) sum_j v_j cos(pi k 5^j / N) for real slots.
        for (k, &found) in coefficients.iter().enumerate() {
            let mut power = 1usize;
            let mut sum = 0.0;
            for value in &values {
                sum += value * (std::f64::consts::PI * (k * power % (2 * n)) as f64 / n as f64).cos();
                power = power * 5 % (2 * n);
            }
            let expected = sum * 2.0 / n as f64 * params.scale();
            assert!((found - expected).abs() < params.scale() * 1e-13, "{k}: {found} {expected}");
        }
    }

    #[test]
    fn residues_decode_to_the_centred_value_of_big_integers() {
        let params = toy(Preset::Inf15x90, 4);
        for limbs in [1, 2, 4, 5, 19] {
            let basis = &params.q[..limbs];
            let whole: BigInt = basis.iter().map(|l| BigInt::from(l.modulus().value())).product();
            let values: Vec<BigInt> = (0..params.n as u32)
                .map(|k| {
                    let size: BigInt = &whole / BigInt::from(2).pow(1 + k * 7 % 110) / 3 + k;
                    if k % 2 == 0 { size } else { -size }
                })
                .collect();
            let mut poly = Poly::<Coeff>::zero(params.n, limbs);
            poly.par_limbs(basis, |_, limb, out| {
                let q = BigInt::from(limb.modulus().value());
                for (residue, value) in out.iter_mut().zip(&values) {
                    let canonical: BigInt = ((value % &q) + &q) % &q;
                    *residue = canonical.iter_u32_digits().next().unwrap_or(0);
                }
            });
            for (found, value) in centred(&poly, basis).iter().zip(&values) {
                let expected: f64 = value.to_string().parse().unwrap();
                let error = (found - expected).abs();
                assert!(error <= expected.abs() * 4.0 * f64::EPSILON, "{limbs}: {found} {expected}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_values() {
        let params = toy(Preset::Inf13, 6);
        let encoder = Encoder::over(params);
        let too_many = vec![0.0; params.slots() + 1];
        assert_eq!(encoder.encode(&too_many, 2.0, 1).err(), Some(CkksError::TooManyValues { values: 33, slots: 32 }));
        assert_eq!(encoder.encode(&[], 2.0, 7).err(), Some(CkksError::Limbs { limbs: 7, max: 6 }));
        assert_eq!(encoder.encode(&[], 0.5, 1).err(), Some(CkksError::Scale { scale: 0.5 }));
        assert!(matches!(encoder.encode(&[f64::NAN], 2.0, 1), Err(CkksError::NotFinite { slot: 0, .. })));
        assert!(matches!(encoder.encode(&[1e9; 32], 2f64.powi(30), 1), Err(CkksError::Overflow { limbs: 1, .. })));
    }
}
