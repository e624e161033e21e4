//! The frozen list of primes and the bound on their product.
//!
//! One list serves every ring degree up to 2^15: each prime is 1 modulo 2^16,
//! hence 1 modulo `2N`. Order matters: a preset gives its first primes to the
//! special modulus P, the next to the base of Q, the rest to the levels.

/// The largest 28 primes below 2^30 that are 1 modulo 2^16, largest first.
pub const PRIMES: [u32; 28] = [
    1073479681, 1072496641, 1071513601, 1070727169, 1069219841, 1068564481, 1068433409, 1068236801, 1065811969,
    1065484289, 1064697857, 1063452673, 1063321601, 1063059457, 1062862849, 1062535169, 1062469633, 1061093377,
    1060765697, 1060700161, 1060175873, 1058209793, 1056440321, 1056178177, 1055260673, 1054212097, 1054015489,
    1053818881,
];

/// The smallest quadratic non-residue of each prime in [`PRIMES`].
///
/// `z^((q-1)/2N)` is then a primitive `2N`-th root of unity, because its
/// `N`-th power is `z^((q-1)/2) = -1`.
pub const NON_RESIDUES: [u32; 28] =
    [11, 7, 13, 11, 3, 7, 3, 3, 7, 3, 3, 5, 3, 5, 7, 3, 5, 5, 3, 7, 3, 3, 3, 5, 3, 5, 11, 7];

/// An upper bound of `log2(q_0 ... q_{count-1})` in units of 2^-16 bit.
///
/// Integer arithmetic, so that parameter limits can be compile-time facts.
pub const fn log2_product_upper(count: usize) -> u64 {
    let mut total = 0;
    let mut i = 0;
    while i < count {
        total += log2_upper(PRIMES[i]);
        i += 1;
    }
    total
}

/// `log2(q)` rounded up to a multiple of 2^-16, by repeated squaring.
const fn log2_upper(q: u32) -> u64 {
    let integer = 31 - q.leading_zeros();
    // x / 2^31 lies in [1, 2); truncation after squaring only lowers it, and
    // the final increment covers that.
    let mut x = (q as u64) << (31 - integer);
    let mut bits = integer as u64;
    let mut i = 0;
    while i < 16 {
        x = (x * x) >> 31;
        bits <<= 1;
        if x >= 1 << 32 {
            x >>= 1;
            bits |= 1;
        }
        i += 1;
    }
    bits + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Modulus;

    /// Trial division: slow, and independent of everything else here.
    fn is_prime(q: u32) -> bool {
        !(2..=32_768).any(|d| q.is_multiple_of(d))
    }

    #[test]
    fn every_listed_value_is_a_prime_that_supports_degree_2_to_15() {
        for (i, (&q, &z)) in PRIMES.iter().zip(&NON_RESIDUES).enumerate() {
            assert!(is_prime(q) && q % (1 << 16) == 1, "{q}");
            assert!(i == 0 || q < PRIMES[i - 1]);
            let m = Modulus::new(q);
            let half = u64::from(q - 1) / 2;
            assert_eq!(m.pow(z, half), q - 1);
            assert!((2..z).all(|smaller| m.pow(smaller, half) == 1));
        }
    }

    #[test]
    fn the_bound_on_the_product_is_tight() {
        let exact: f64 = PRIMES.iter().map(|&q| f64::from(q).log2()).sum();
        let upper = log2_product_upper(PRIMES.len()) as f64 / 65536.0;
        assert!(upper >= exact && upper - exact < 0.002, "{upper} {exact}");
    }
}
