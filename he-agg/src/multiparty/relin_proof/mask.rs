//! Integers of the shape of a witness: masks, and masked secrets.

use crate::multiparty::relin_proof::{MASK_BITS, OPENED_MAX};
use crate::params::Preset;
use crate::stream::Expander;
use zeroize::Zeroizing;

/// s, u, then e0, e1 and e2 of each digit, of N coefficients each; wiped on drop.
pub(super) struct Values {
    polynomials: Vec<Zeroizing<Vec<i64>>>,
}

/// Polynomials of a witness for keys of so many digits.
pub(super) fn polynomials(digits: usize) -> usize {
    2 + 3 * digits
}

impl Values {
    /// The mask of a seed: uniform in [-2^35, 2^35).
    pub(super) fn expand(seed: &[u8; 32], preset: Preset, n: usize, digits: usize) -> Self {
        let expander = Expander::new(seed, "serving/relinearization-mask", preset, &[]);
        let one = |polynomial| {
            let mut values = Zeroizing::new(Vec::with_capacity(n));
            expander.sampler(polynomial).words::<8>(n, |word| {
                let bits = u64::from_le_bytes(word) & ((1 << MASK_BITS) - 1);
                values.push(bits as i64 - (1 << (MASK_BITS - 1)));
            });
            values
        };
        Self { polynomials: (0..polynomials(digits) as u32).map(one).collect() }
    }

    pub(super) fn new(polynomials: Vec<Zeroizing<Vec<i64>>>) -> Self {
        Self { polynomials }
    }

    pub(super) fn polynomials(&self) -> &[Zeroizing<Vec<i64>>] {
        &self.polynomials
    }

    pub(super) fn polynomials_mut(&mut self) -> &mut [Zeroizing<Vec<i64>>] {
        &mut self.polynomials
    }

    /// The first coefficient beyond what may be shown, with its polynomial. Every coefficient is looked at: how long it
    /// takes tells nothing of where one is.
    pub(super) fn beyond(&self) -> Option<(usize, i64)> {
        let mut found = None;
        for (polynomial, values) in self.polynomials.iter().enumerate() {
            for value in values.iter() {
                if value.abs() > OPENED_MAX && found.is_none() {
                    found = Some((polynomial, *value));
                }
            }
        }
        found
    }
}
