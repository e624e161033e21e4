//! Arithmetic modulo one prime below 2^30.
//!
//! The bound leaves two spare bits in a `u32`, so that lazy butterflies hold
//! values up to `4q` and sixteen products fit in a `u64`. Every method here is
//! free of secret-dependent branches, because limbs of secret polynomials pass
//! through it. Arithmetic is written as wrapping: the ranges in the comments
//! exclude overflow, and a checked operation would keep the loops scalar in
//! builds with overflow checks.

/// A constant factor with its precomputed quotient `floor(value * 2^32 / q)`.
///
/// Source: Harvey, "Faster arithmetic for number-theoretic transforms",
/// J. Symb. Comp. 60 (2014), after V. Shoup's NTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShoupFactor {
    /// The factor, in `[0, q)`.
    pub value: u32,
    /// `floor(value * 2^32 / q)`.
    pub quotient: u32,
}

/// A prime modulus `2^29 < q < 2^30` with the constants its reductions need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulus {
    q: u32,
    /// `floor(2^60 / q)`, below 2^31: Barrett constant for products.
    barrett: u32,
    /// `floor(2^32 / q)`: Shoup quotient of the factor one.
    one_quotient: u32,
    /// `2^32 mod q`.
    word: ShoupFactor,
    /// `q^-1 mod 2^32`.
    inverse: u32,
}

#[inline(always)]
fn mulhi(a: u32, b: u32) -> u32 {
    (u64::from(a).wrapping_mul(u64::from(b)) >> 32) as u32
}

impl Modulus {
    /// Wraps a prime in `(2^29, 2^30)`.
    ///
    /// Only the bounds are asserted; the caller is the frozen prime list,
    /// whose primality is a test.
    pub fn new(q: u32) -> Self {
        assert!(q > 1 << 29 && q < 1 << 30 && q % 2 == 1, "modulus must be an odd prime in (2^29, 2^30)");
        let wide = u64::from(q);
        let word = ((1u64 << 32) % wide) as u32;
        // Newton: an odd q is its own inverse modulo 8, and each step doubles the bits.
        let inverse = (0..4).fold(q, |x, _| x.wrapping_mul(2u32.wrapping_sub(q.wrapping_mul(x))));
        Modulus {
            q,
            barrett: ((1u64 << 60) / wide) as u32,
            one_quotient: ((1u64 << 32) / wide) as u32,
            word: ShoupFactor { value: word, quotient: ((u64::from(word) << 32) / wide) as u32 },
            inverse,
        }
    }

    /// The prime.
    #[inline(always)]
    pub fn value(&self) -> u32 {
        self.q
    }

    /// `floor(2^60 / q)`, the Barrett constant of [`Modulus::mul`].
    #[inline(always)]
    pub fn barrett(&self) -> u32 {
        self.barrett
    }

    /// Subtracts `q` once if `x >= q`; `x` in `[0, 2q)`, out `[0, q)`.
    #[inline(always)]
    pub fn reduce_once(&self, x: u32) -> u32 {
        x.min(x.wrapping_sub(self.q))
    }

    /// Reduces a lazy butterfly output, `x` in `[0, 4q)`, out `[0, q)`.
    #[inline(always)]
    pub fn reduce_lazy(&self, x: u32) -> u32 {
        self.reduce_once(x.min(x.wrapping_sub(self.q << 1)))
    }

    /// `a + b mod q` for canonical operands.
    #[inline(always)]
    pub fn add(&self, a: u32, b: u32) -> u32 {
        self.reduce_once(a.wrapping_add(b))
    }

    /// `a - b mod q` for canonical operands.
    #[inline(always)]
    pub fn sub(&self, a: u32, b: u32) -> u32 {
        let d = a.wrapping_sub(b);
        d.min(d.wrapping_add(self.q))
    }

    /// `-a mod q` for a canonical operand.
    #[inline(always)]
    pub fn neg(&self, a: u32) -> u32 {
        self.sub(0, a)
    }

    /// Reduces a product `x < 2^60` to `[0, q)` (Barrett, two corrections).
    #[inline(always)]
    pub fn reduce_product(&self, x: u64) -> u32 {
        // The shifted value has 31 bits; saying so makes the product one
        // instruction on vectors.
        let estimate = u64::from((x >> 29) as u32).wrapping_mul(u64::from(self.barrett)) >> 31;
        self.reduce_lazy((x as u32).wrapping_sub((estimate as u32).wrapping_mul(self.q)))
    }

    /// `a * b mod q` for canonical operands.
    #[inline(always)]
    pub fn mul(&self, a: u32, b: u32) -> u32 {
        self.reduce_product(u64::from(a).wrapping_mul(u64::from(b)))
    }

    /// `q^-1 mod 2^32`, the constant of [`Modulus::redc_lazy`].
    #[inline(always)]
    pub fn inverse_word(&self) -> u32 {
        self.inverse
    }

    /// `2^32 mod q`, which undoes the factor of [`Modulus::redc_lazy`].
    #[inline(always)]
    pub fn word(&self) -> ShoupFactor {
        self.word
    }

    /// `x 2^32 mod q`: a constant in the form that [`Modulus::redc_lazy`] brings back.
    #[inline(always)]
    pub fn to_montgomery(&self, x: u32) -> u32 {
        self.mul_shoup(x, self.word)
    }

    /// `x 2^-32 mod q` in `[0, 4q)` for `x < 12 q^2`.
    ///
    /// Source: Montgomery, "Modular multiplication without trial division", Math. Comp. 44 (1985),
    /// with a subtraction in place of the addition, so that the low words cancel exactly.
    #[inline(always)]
    pub fn redc_lazy(&self, x: u64) -> u32 {
        let multiple = u64::from((x as u32).wrapping_mul(self.inverse)).wrapping_mul(u64::from(self.q));
        ((x.wrapping_sub(multiple) >> 32) as u32).wrapping_add(self.q)
    }

    /// Reduces any 64-bit value to `[0, q)`.
    #[inline(always)]
    pub fn reduce_u64(&self, x: u64) -> u32 {
        let (low, high) = (x as u32, (x >> 32) as u32);
        let high = self.mul_shoup_lazy(high, self.word);
        let low = low.wrapping_sub(mulhi(low, self.one_quotient).wrapping_mul(self.q));
        self.reduce_lazy(high.wrapping_add(low))
    }

    /// Reduces any 128-bit value to `[0, q)`.
    #[inline(always)]
    pub fn reduce_u128(&self, x: u128) -> u32 {
        let high = self.reduce_u64((x >> 64) as u64);
        let middle = self.mul_shoup(high, self.word);
        let middle = self.mul_shoup(middle, self.word);
        self.add(middle, self.reduce_u64(x as u64))
    }

    /// The residue of a signed value in `[0, q)`, in constant time.
    #[inline(always)]
    pub fn reduce_i64(&self, x: i64) -> u32 {
        let sign = x >> 63;
        let magnitude = ((x ^ sign) as u64).wrapping_sub(sign as u64);
        self.negate_if(self.reduce_u64(magnitude), sign as u32)
    }

    /// The residue of a signed wide value in `[0, q)`, in constant time.
    #[inline(always)]
    pub fn reduce_i128(&self, x: i128) -> u32 {
        let sign = x >> 127;
        let magnitude = ((x ^ sign) as u128).wrapping_sub(sign as u128);
        self.negate_if(self.reduce_u128(magnitude), sign as u32)
    }

    /// `-x` where the mask is all ones, `x` where it is zero.
    #[inline(always)]
    fn negate_if(&self, x: u32, mask: u32) -> u32 {
        x ^ ((x ^ self.neg(x)) & mask)
    }

    /// Precomputes the Shoup quotient of a canonical factor.
    #[inline]
    pub fn shoup(&self, value: u32) -> ShoupFactor {
        debug_assert!(value < self.q, "shoup factor must be canonical");
        ShoupFactor { value, quotient: ((u64::from(value) << 32) / u64::from(self.q)) as u32 }
    }

    /// `x * w mod q` in `[0, 2q)` for every 32-bit `x`.
    #[inline(always)]
    pub fn mul_shoup_lazy(&self, x: u32, w: ShoupFactor) -> u32 {
        x.wrapping_mul(w.value).wrapping_sub(mulhi(x, w.quotient).wrapping_mul(self.q))
    }

    /// `x * w mod q` in `[0, q)` for every 32-bit `x`.
    #[inline(always)]
    pub fn mul_shoup(&self, x: u32, w: ShoupFactor) -> u32 {
        self.reduce_once(self.mul_shoup_lazy(x, w))
    }

    /// `base^exponent mod q`; the exponent is public.
    pub fn pow(&self, base: u32, exponent: u64) -> u32 {
        let (mut result, mut square, mut rest) = (1, base, exponent);
        while rest > 0 {
            if rest & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            rest >>= 1;
        }
        result
    }

    /// The inverse of a non-zero residue (Fermat).
    pub fn inv(&self, x: u32) -> u32 {
        assert!(x != 0, "zero has no inverse modulo a prime");
        self.pow(x, u64::from(self.q) - 2)
    }

    /// The representative in `(-q/2, q/2]`.
    #[inline(always)]
    pub fn centre(&self, x: u32) -> i64 {
        let x = i64::from(x);
        let q = i64::from(self.q);
        x - (q & -i64::from(x > q / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::PRIMES;
    use proptest::prelude::*;

    #[test]
    fn reductions_agree_with_division_at_the_edges() {
        for &q in &PRIMES {
            let m = Modulus::new(q);
            let wide = u64::from(q);
            for x in [0, 1, wide - 1, wide, 4 * wide, 16 * (wide - 1) * (wide - 1), u64::MAX] {
                assert_eq!(u64::from(m.reduce_u64(x)), x % wide);
            }
            for x in [0, 1, -1, i64::MIN, i64::MAX, i64::from(q), -i64::from(q)] {
                assert_eq!(i64::from(m.reduce_i64(x)), x.rem_euclid(i64::from(q)));
            }
            for x in [0, -1, i128::MIN, i128::MAX, 1 << 100, -(1 << 90)] {
                assert_eq!(i128::from(m.reduce_i128(x)), x.rem_euclid(i128::from(q)));
            }
            for x in [0, 1, q - 1, q, 2 * q - 1, 4 * q - 1, u32::MAX] {
                let r = m.mul_shoup(x, m.shoup(q - 1));
                assert_eq!(u64::from(r), u64::from(x) * (wide - 1) % wide);
            }
            for x in [0, 1, wide, (wide - 1) * (wide - 1), 12 * (wide - 1) * (wide - 1), 1 << 32] {
                let reduced = m.redc_lazy(x);
                assert!(reduced < 4 * q, "{x}");
                assert_eq!(u64::from(m.to_montgomery(m.reduce_lazy(reduced))), x % wide);
            }
            assert_eq!(m.mul(q - 1, q - 1), 1);
            assert_eq!(m.mul(m.inv(12345), 12345), 1);
            assert_eq!((m.centre(q - 1), m.centre(q / 2)), (-1, i64::from(q / 2)));
        }
    }

    proptest! {
        #[test]
        fn random_reductions_agree_with_division(x: u64, y: i128, a: u32, b: u32, i in 0usize..28) {
            let m = Modulus::new(PRIMES[i]);
            let q = u64::from(PRIMES[i]);
            prop_assert_eq!(u64::from(m.reduce_u64(x)), x % q);
            prop_assert_eq!(i128::from(m.reduce_i128(y)), y.rem_euclid(i128::from(q)));
            let (a, b) = (a % PRIMES[i], b % PRIMES[i]);
            prop_assert_eq!(u64::from(m.mul(a, b)), u64::from(a) * u64::from(b) % q);
            prop_assert_eq!(m.sub(m.add(a, b), b), a);
            prop_assert_eq!(m.add(m.neg(a), a), 0);
        }
    }
}
