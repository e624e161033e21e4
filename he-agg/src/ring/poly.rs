//! Polynomials over several limbs, with their domain in the type.
//!
//! Residues are canonical, `[0, q)`, after every operation, and lie limb by
//! limb in one vector. Operations take the basis as `&[Limb]`, whose length
//! must equal the polynomial's; a mismatch is a bug of the caller and asserts.

use super::Limb;
use super::ntt::NttTable;
use super::words::Words;
use crate::error::DecodeError;
use crate::simd;
use crate::stream::Expander;
use crate::wire;
use rayon::prelude::*;
use std::marker::PhantomData;
use zeroize::{Zeroize, Zeroizing};

/// Coefficient domain: value `m` of a limb is the coefficient of `X^m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coeff {}

/// Evaluation domain, ordered by [`NttTable::exponent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eval {}

/// Either [`Coeff`] or [`Eval`].
pub trait Domain: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The number that stands for the domain on the wire.
    const NUMBER: u8;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Coeff {}
    impl Sealed for super::Eval {}
}

impl Domain for Coeff {
    const NUMBER: u8 = 0;
}

impl Domain for Eval {
    const NUMBER: u8 = 1;
}

/// Bits of the coefficients that [`Poly::from_signed_wide`] takes.
const WIDE_BITS: u32 = 119;
/// Of those that [`Poly::from_signed_masked`] takes.
const MASKED_BITS: u32 = 59;

/// Below this many residues a loop over limbs stays on the calling thread.
const PARALLEL_MIN: usize = 1 << 14;

/// A polynomial of degree below `n` over a basis of `limbs` primes, or the first `n` coefficients
/// of a longer one.
///
/// It has no `Debug`, since it may be secret; a secret one is kept in
/// [`zeroize::Zeroizing`].
#[derive(Clone, PartialEq, Eq)]
pub struct Poly<D> {
    data: Words,
    n: usize,
    limbs: usize,
    domain: PhantomData<D>,
}

impl<D: Domain> Poly<D> {
    /// The zero polynomial.
    pub fn zero(n: usize, limbs: usize) -> Self {
        assert!(n > 0 && limbs > 0, "a polynomial has coefficients and limbs");
        Poly { data: Words::zeroed(n * limbs), n, limbs, domain: PhantomData }
    }

    /// A polynomial with unspecified residues: the caller writes every one of them.
    pub(crate) fn unset(n: usize, limbs: usize) -> Self {
        assert!(n > 0 && limbs > 0, "a polynomial has coefficients and limbs");
        Poly { data: Words::unset(n * limbs), n, limbs, domain: PhantomData }
    }

    /// A uniform polynomial: limb `i` from the stream of (polynomial, prime).
    pub fn uniform(expander: &Expander, polynomial: u32, n: usize, basis: &[Limb]) -> Self {
        let mut out = Poly::unset(n, basis.len());
        out.par_limbs(basis, |_, limb, x| {
            expander.stream(polynomial, limb.index()).fill_uniform(limb.modulus().value(), x);
        });
        out
    }

    /// Wraps limb-major residues.
    ///
    /// # Errors
    /// [`DecodeError::Length`] or [`DecodeError::Residue`].
    pub fn from_residues(data: Vec<u32>, n: usize, basis: &[Limb]) -> Result<Self, DecodeError> {
        if data.len() != n * basis.len() {
            return Err(DecodeError::Length { found: data.len(), expected: n * basis.len() });
        }
        for (l, (x, limb)) in data.chunks_exact(n).zip(basis).enumerate() {
            wire::check_residues(x, l, limb.modulus().value())?;
        }
        Ok(Poly { data: data.into(), n, limbs: basis.len(), domain: PhantomData })
    }

    /// Values per limb: the ring degree, unless only the first coefficients are kept.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of limbs.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// All residues, limb by limb.
    pub fn residues(&self) -> &[u32] {
        &self.data
    }

    /// All residues, limb by limb; keep them canonical.
    pub fn residues_mut(&mut self) -> &mut [u32] {
        &mut self.data
    }

    /// The residues modulo the `i`-th prime.
    pub fn limb(&self, i: usize) -> &[u32] {
        &self.data[i * self.n..(i + 1) * self.n]
    }

    /// The residues modulo the `i`-th prime; keep them canonical.
    pub fn limb_mut(&mut self, i: usize) -> &mut [u32] {
        &mut self.data[i * self.n..(i + 1) * self.n]
    }

    /// Keeps the first `limbs` limbs.
    pub fn truncate(&mut self, limbs: usize) {
        assert!(limbs > 0 && limbs <= self.limbs, "cannot keep more limbs than there are");
        self.data.truncate(limbs * self.n);
        self.limbs = limbs;
    }

    /// A copy of the first `limbs` limbs.
    pub fn prefix(&self, limbs: usize) -> Self {
        assert!(limbs > 0 && limbs <= self.limbs, "cannot keep more limbs than there are");
        let mut data = Words::unset(limbs * self.n);
        data.copy_from_slice(&self.data[..limbs * self.n]);
        Poly { data, n: self.n, limbs, domain: PhantomData }
    }

    /// Runs `f(i, limb, residues)` on every limb, in parallel if it pays.
    pub fn par_limbs(&mut self, basis: &[Limb], f: impl Fn(usize, &Limb, &mut [u32]) + Sync + Send) {
        assert!(basis.len() == self.limbs, "polynomial and basis differ in limbs");
        let n = self.n;
        if self.limbs > 1 && self.data.len() >= PARALLEL_MIN {
            let limbs = self.data.par_chunks_exact_mut(n).zip(basis).enumerate();
            limbs.for_each(|(i, (x, limb))| f(i, limb, x));
        } else {
            let limbs = self.data.chunks_exact_mut(n).zip(basis).enumerate();
            limbs.for_each(|(i, (x, limb))| f(i, limb, x));
        }
    }

    /// Keeps the first `coefficients` values of every limb, in memory of their own, and wipes the
    /// whole of what it was.
    ///
    /// In the coefficient domain those are what additions need of a polynomial; there is no way
    /// back to the ring.
    pub(crate) fn shorten(&mut self, coefficients: usize) {
        assert!(coefficients > 0 && coefficients <= self.n, "cannot keep more coefficients than there are");
        if coefficients == self.n {
            return;
        }
        let mut short = Poly::unset(coefficients, self.limbs);
        for i in 0..self.limbs {
            short.limb_mut(i).copy_from_slice(&self.limb(i)[..coefficients]);
        }
        self.data.zeroize();
        *self = short;
    }

    fn assert_like(&self, other: &Self) {
        assert!(
            self.n == other.n && self.limbs <= other.limbs,
            "operands differ in degree, or the second has too few limbs"
        );
    }

    /// `self += other`; `other` may have further limbs, which are ignored.
    pub fn add_assign(&mut self, other: &Self, basis: &[Limb]) {
        self.assert_like(other);
        self.par_limbs(basis, |i, limb, x| limb.add(x, other.limb(i)));
    }

    /// `self -= other`; `other` may have further limbs, which are ignored.
    pub fn sub_assign(&mut self, other: &Self, basis: &[Limb]) {
        self.assert_like(other);
        self.par_limbs(basis, |i, limb, x| limb.sub(x, other.limb(i)));
    }

    /// `self = -self`.
    pub fn neg_assign(&mut self, basis: &[Limb]) {
        self.par_limbs(basis, |_, limb, x| limb.neg(x));
    }

    /// Multiplies limb `i` by the canonical constant `factors[i]`.
    pub fn mul_scalars(&mut self, factors: &[u32], basis: &[Limb]) {
        assert!(factors.len() == self.limbs, "one factor per limb");
        self.par_limbs(basis, |i, limb, x| limb.mul_scalar(x, factors[i]));
    }

    /// `self += other * factors[i]` in limb `i`, with canonical constants.
    pub fn mul_scalars_add(&mut self, other: &Self, factors: &[u32], basis: &[Limb]) {
        self.assert_like(other);
        assert!(factors.len() == self.limbs, "one factor per limb");
        self.par_limbs(basis, |i, limb, x| limb.mul_scalar_add(x, other.limb(i), factors[i]));
    }

    /// Appends the residues as 30-bit words, limb by limb: `30 n limbs / 8` bytes.
    pub fn pack_into(&self, bytes: &mut Vec<u8>) {
        for x in self.data.chunks_exact(self.n) {
            wire::pack(x, bytes);
        }
    }

    /// Bytes of [`Poly::pack_into`].
    pub fn packed_len(n: usize, limbs: usize) -> usize {
        wire::packed_len(n) * limbs
    }

    /// Reads what [`Poly::pack_into`] wrote; `bytes` must have that length.
    ///
    /// # Errors
    /// [`DecodeError::Length`], [`DecodeError::Padding`] or
    /// [`DecodeError::Residue`].
    pub fn unpack(bytes: &[u8], n: usize, basis: &[Limb]) -> Result<Self, DecodeError> {
        let expected = Self::packed_len(n, basis.len());
        if bytes.len() != expected {
            return Err(DecodeError::Length { found: bytes.len(), expected });
        }
        let mut out = Poly::unset(n, basis.len());
        let per_limb = wire::packed_len(n);
        for (l, (packed, limb)) in bytes.chunks_exact(per_limb).zip(basis).enumerate() {
            wire::unpack(packed, out.limb_mut(l))?;
            wire::check_residues(out.limb(l), l, limb.modulus().value())?;
        }
        Ok(out)
    }

    fn cast<E: Domain>(self) -> Poly<E> {
        Poly { data: self.data, n: self.n, limbs: self.limbs, domain: PhantomData }
    }
}

impl Poly<Coeff> {
    /// Reduces signed coefficients modulo every limb, in constant time.
    pub fn from_signed(values: &[i64], basis: &[Limb]) -> Self {
        let mut out = Poly::unset(values.len(), basis.len());
        out.par_limbs(basis, |_, limb, x| {
            let m = *limb.modulus();
            x.iter_mut().zip(values).for_each(|(x, &v)| *x = m.reduce_i64(v));
        });
        out
    }

    /// Reduces coefficients below 2^29 in magnitude, such as errors and ternary secrets, modulo
    /// every limb, in constant time.
    pub fn from_small(values: &[i64], basis: &[Limb]) -> Self {
        debug_assert!(values.iter().all(|v| v.unsigned_abs() < 1 << 29), "a coefficient is not small");
        let mut out = Poly::unset(values.len(), basis.len());
        out.par_limbs(basis, |_, limb, x| simd::reduce_small(limb.modulus(), values, x));
        out
    }

    /// Reduces coefficients below 2^59 in magnitude, such as masked secrets, modulo every limb, in constant time.
    pub fn from_signed_masked(values: &[i64], basis: &[Limb]) -> Self {
        debug_assert!(values.iter().all(|v| v.unsigned_abs() < 1 << MASKED_BITS), "a coefficient is too wide");
        let word = |v: i64, shift: u32| ((v.wrapping_add(1 << MASKED_BITS) >> shift) & ((1 << 30) - 1)) as u32;
        Self::from_words(values, basis, word, [0, 30], MASKED_BITS)
    }

    /// Reduces coefficients below 2^119 in magnitude modulo every limb, in constant time.
    pub fn from_signed_wide(values: &[i128], basis: &[Limb]) -> Self {
        debug_assert!(values.iter().all(|v| v.unsigned_abs() < 1 << WIDE_BITS), "a coefficient is too wide");
        let word = |v: i128, shift: u32| ((v.wrapping_add(1 << WIDE_BITS) >> shift) & ((1 << 30) - 1)) as u32;
        Self::from_words(values, basis, word, [0, 30, 60, 90], WIDE_BITS)
    }

    /// Values of which v + 2^bits has these words of 30 bits, each at its shift: a prime needs a sum of so many
    /// products, and one for the offset.
    fn from_words<T: Copy, const WORDS: usize>(
        values: &[T],
        basis: &[Limb],
        word: impl Fn(T, u32) -> u32,
        shifts: [u32; WORDS],
        bits: u32,
    ) -> Self {
        let n = values.len();
        let mut words = Zeroizing::new(Words::unset((WORDS + 1) * n));
        {
            let (low, ones) = words.split_at_mut(WORDS * n);
            ones.fill(1);
            for (plane, shift) in low.chunks_exact_mut(n).zip(shifts) {
                plane.iter_mut().zip(values).for_each(|(out, &v)| *out = word(v, shift));
            }
        }
        let mut out = Poly::unset(n, basis.len());
        out.par_limbs(basis, |_, limb, x| {
            let m = limb.modulus();
            let power = |exponent: u32| m.pow(2, u64::from(exponent));
            let constants = shifts.into_iter().map(power).chain([m.neg(power(bits))]);
            let terms: Vec<(&[u32], u32)> = words
                .chunks_exact(n)
                .zip(constants)
                .map(|(plane, constant)| (plane, m.to_montgomery(constant)))
                .collect();
            simd::weighted_sum(m, &terms, x);
            simd::reduce_lazy(m, x);
        });
        out
    }

    /// The evaluations of this polynomial.
    pub fn into_eval(mut self, basis: &[Limb]) -> Poly<Eval> {
        self.par_limbs(basis, |_, limb, x| limb.forward(x));
        self.cast()
    }
}

impl Poly<Eval> {
    /// The polynomial with these evaluations.
    pub fn into_coeff(mut self, basis: &[Limb]) -> Poly<Coeff> {
        self.par_limbs(basis, |_, limb, x| limb.inverse(x));
        self.cast()
    }

    /// `self *= other`; `other` may have further limbs, which are ignored.
    pub fn mul_assign(&mut self, other: &Self, basis: &[Limb]) {
        self.assert_like(other);
        self.par_limbs(basis, |i, limb, x| limb.mul(x, other.limb(i)));
    }

    /// `self += a * b`; `a` and `b` may have further limbs, which are ignored.
    pub fn mul_add(&mut self, a: &Self, b: &Self, basis: &[Limb]) {
        self.assert_like(a);
        self.assert_like(b);
        self.par_limbs(basis, |i, limb, x| limb.mul_add(x, a.limb(i), b.limb(i)));
    }

    /// The exponent of the evaluation point at a position.
    pub fn exponent(&self, position: usize) -> usize {
        NttTable::exponent(self.n, position)
    }
}

impl<D> Zeroize for Poly<D> {
    fn zeroize(&mut self) {
        // In place, so that the polynomial keeps its shape.
        self.data.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, Preset};

    fn uniform(params: &Params, index: u32) -> Poly<Eval> {
        let e = Expander::new(&[9; 32], "test", params.preset, &[]);
        Poly::uniform(&e, index, params.n, &params.q)
    }

    #[test]
    fn packed_bytes_round_trip_and_fewer_limbs_are_a_prefix() {
        let params = Params::toy(Preset::Inf13, 6);
        let f = uniform(&params, 0);
        let mut bytes = Vec::new();
        f.pack_into(&mut bytes);
        assert_eq!(bytes.len(), 30 * 64 * 6 / 8);
        assert!(Poly::unpack(&bytes, 64, &params.q).unwrap() == f);
        let e = Expander::new(&[9; 32], "test", params.preset, &[]);
        let short = Poly::<Eval>::uniform(&e, 0, 64, &params.q[..3]);
        assert_eq!(short.residues(), &f.residues()[..3 * 64]);
    }

    #[test]
    fn a_shortened_polynomial_keeps_the_first_values_of_every_limb() {
        let params = Params::toy(Preset::Agg13, 6);
        let whole = Poly::<Coeff>::uniform(&Expander::new(&[9; 32], "test", params.preset, &[]), 0, 64, &params.q);
        for n in [1, 5, 63, 64] {
            let mut short = whole.clone();
            short.shorten(n);
            assert_eq!((short.n(), short.limbs(), short.residues().len()), (n, 7, 7 * n));
            assert!((0..7).all(|i| short.limb(i) == &whole.limb(i)[..n]), "{n}");
            let mut bytes = Vec::new();
            short.pack_into(&mut bytes);
            assert!(Poly::unpack(&bytes, n, &params.q).unwrap() == short);
        }
    }

    #[test]
    fn signed_values_reduce_to_their_residues() {
        let params = Params::toy(Preset::Agg13, 4);
        let values: Vec<i64> = (0..16).map(|i| (i - 8) * 77_777_777_777).collect();
        let wide: Vec<i128> = values.iter().map(|&v| i128::from(v) << 60).collect();
        let f = Poly::from_signed(&values, &params.q);
        let g = Poly::from_signed_wide(&wide, &params.q);
        let small: Vec<i64> = values.iter().map(|v| v / (1 << 15)).collect();
        assert!(Poly::from_small(&small, &params.q) == Poly::from_signed(&small, &params.q));
        let end = (1_i64 << 59) - 1;
        let masked: Vec<i64> = [end, -end, 0, 1, -1, 1 << 30, -(1 << 30), 1 << 35].repeat(2);
        assert!(Poly::from_signed_masked(&masked, &params.q) == Poly::from_signed(&masked, &params.q));
        for (l, limb) in params.q.iter().enumerate() {
            let q = i128::from(limb.modulus().value());
            for i in 0..16 {
                assert_eq!(i128::from(f.limb(l)[i]), i128::from(values[i]).rem_euclid(q));
                assert_eq!(i128::from(g.limb(l)[i]), wide[i].rem_euclid(q));
            }
        }
    }
}
