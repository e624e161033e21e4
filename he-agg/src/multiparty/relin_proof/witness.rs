//! What a hospital knows of its own two relinearisation shares.

use crate::multiparty::relin_proof::mask::Values;
use crate::sampler::ERROR_MAX;
use zeroize::Zeroizing;

/// s, u and the errors of both rounds, as integers; wiped on drop.
pub struct RelinWitness {
    /// s, u, then e0, e1 and e2 of each digit.
    polynomials: Vec<Zeroizing<Vec<i64>>>,
}

impl RelinWitness {
    pub(crate) fn new(
        secret: Zeroizing<Vec<i64>>,
        mask: Zeroizing<Vec<i64>>,
        errors: impl Iterator<Item = [Zeroizing<Vec<i64>>; 3]>,
    ) -> Self {
        let polynomials: Vec<_> = [secret, mask].into_iter().chain(errors.flatten()).collect();
        let is_short = |value: &i64| value.unsigned_abs() <= u64::from(ERROR_MAX);
        debug_assert!(polynomials.iter().all(|values| values.iter().all(is_short)), "secrets are short");
        Self { polynomials }
    }

    /// Secrets that are all `value`, however long.
    #[cfg(test)]
    pub(super) fn constant(polynomials: usize, n: usize, value: i64) -> Self {
        Self { polynomials: (0..polynomials).map(|_| Zeroizing::new(vec![value; n])).collect() }
    }

    /// y + w; the magnitude is at most 2^35 + [`ERROR_MAX`].
    pub(super) fn added_to(&self, mut mask: Values) -> Values {
        for (sum, own) in mask.polynomials_mut().iter_mut().zip(&self.polynomials) {
            sum.iter_mut().zip(own.iter()).for_each(|(sum, own)| *sum += own);
        }
        mask
    }
}
