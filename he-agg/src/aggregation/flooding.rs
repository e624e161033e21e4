//! How much noise a decryption share must carry, and how often it may be spent.

/// Least statistical security of [`Flooding::secure`].
pub const SECURITY_MIN: u32 = 40;
/// Largest statistical security that is meaningful.
pub const SECURITY_MAX: u32 = 128;
/// Most releases one flooding may be planned for.
pub const RELEASES_MAX: u64 = 1 << 32;

/// Flooding for `releases` decryptions that together reveal at most
/// `2^-security` beyond the results.
///
/// Source: Li, Micciancio, Schultz, Sorrell, ePrint 2022/816:
/// `sigma = sqrt(24 N tau) 2^(s/2) v`, where `v` bounds the noise of one
/// result as an l2 norm divided by `sqrt N`, and `N` counts the coefficients
/// that are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flooding {
    security: u32,
    releases: u64,
}

/// A flooding that must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FloodingError {
    /// Fewer bits than the least allowed, or more than meaningful.
    #[error("flooding security {security} is not in {SECURITY_MIN} to {SECURITY_MAX} bits")]
    Security {
        /// Bits asked for.
        security: u32,
    },
    /// No release, or more than can be planned for.
    #[error("flooding for {releases} releases is not in 1 to {RELEASES_MAX}")]
    Releases {
        /// Releases asked for.
        releases: u64,
    },
}

impl Flooding {
    /// Flooding of at least 40 bits for `releases` decryptions.
    ///
    /// # Errors
    /// [`FloodingError`] if either number is out of range.
    pub fn secure(security: u32, releases: u64) -> Result<Self, FloodingError> {
        if !(SECURITY_MIN..=SECURITY_MAX).contains(&security) {
            return Err(FloodingError::Security { security });
        }
        if (1..=RELEASES_MAX).contains(&releases) {
            Ok(Flooding { security, releases })
        } else {
            Err(FloodingError::Releases { releases })
        }
    }

    /// The most security, up to `most`, for which the word of [`Flooding::word_bits`] has no more
    /// than `word_bits` bits; none below 40 bits.
    ///
    /// # Errors
    /// [`FloodingError::Releases`] if the number is out of range.
    pub fn largest(
        (most, releases): (u32, u64),
        (n, v): (usize, f64),
        word_bits: u32,
    ) -> Result<Option<Self>, FloodingError> {
        Flooding::secure(SECURITY_MIN, releases)?;
        let fits = |flooding: &Flooding| flooding.word_bits(n, v) <= word_bits;
        let most = most.min(SECURITY_MAX);
        Ok((SECURITY_MIN..=most).rev().map(|security| Flooding { security, releases }).find(fits))
    }

    /// Statistical security s in bits.
    pub fn security(&self) -> u32 {
        self.security
    }

    /// Decryptions tau for which the bound holds.
    pub fn releases(&self) -> u64 {
        self.releases
    }

    /// `log2` of the standard deviation needed where `n` coefficients are
    /// released of results of noise `v`.
    pub fn log_sigma(&self, n: usize, v: f64) -> f64 {
        0.5 * (24.0 * n as f64 * self.releases as f64).log2() + 0.5 * f64::from(self.security) + v.log2()
    }

    /// Bits of the twelve uniform words of [`crate::sampler::flooding`], whose
    /// sum has the next power of two as its standard deviation.
    pub fn word_bits(&self, n: usize, v: f64) -> u32 {
        self.log_sigma(n, v).ceil().max(0.0) as u32
    }
}

/// Releases already charged against a [`Flooding`].
///
/// The count is only as good as its storage: a ledger must persist it before
/// the release leaves, and resume from what it persisted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TauCounter {
    limit: u64,
    used: u64,
}

/// No release is left under this epoch's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {limit} releases under this epoch's keys are spent; start a new epoch")]
pub struct TauExhausted {
    /// Releases that were planned.
    pub limit: u64,
}

impl TauCounter {
    /// A counter for a flooding, resumed at `used` releases.
    pub fn resume(flooding: Flooding, used: u64) -> Self {
        TauCounter { limit: flooding.releases(), used }
    }

    /// Releases left.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Releases charged.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Charges one release.
    ///
    /// # Errors
    /// [`TauExhausted`], with the count unchanged.
    pub fn charge(&mut self) -> Result<(), TauExhausted> {
        if self.left() == 0 {
            return Err(TauExhausted { limit: self.limit });
        }
        self.used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_flooding_is_refused() {
        assert_eq!(Flooding::secure(39, 1), Err(FloodingError::Security { security: 39 }));
        assert_eq!(Flooding::secure(40, 0), Err(FloodingError::Releases { releases: 0 }));
        assert_eq!(Flooding::largest((64, 0), (1, 1.0), 90), Err(FloodingError::Releases { releases: 0 }));
    }

    #[test]
    fn deviation_follows_the_formula() {
        let f = Flooding::secure(64, 1 << 20).unwrap();
        let direct = ((24.0 * 32768.0 * (1u64 << 20) as f64).sqrt() * 2f64.powi(32)).log2();
        assert!((f.log_sigma(32768, 1.0) - direct).abs() < 1e-9);
        // 51.8 bits above the result's noise for INF15-90.
        assert!((f.log_sigma(32768, 1.0) - 51.8).abs() < 0.05);
    }

    #[test]
    fn the_largest_security_is_what_the_word_has_room_for() {
        let (n, v) = (4, 2f64.powi(40));
        let largest = |word| Flooding::largest((64, 1 << 16), (n, v), word).unwrap().map(|f| f.security());
        // sqrt(24 4 2^16) = 2^11.3, which leaves 2^s/2 of the word beside v.
        assert_eq!(largest(71), None);
        assert_eq!(largest(72), Some(41));
        assert_eq!(largest(73), Some(43));
        assert_eq!(largest(99), Some(64));
    }

    #[test]
    fn the_counter_refuses_the_first_release_too_many() {
        let mut counter = TauCounter::resume(Flooding::secure(40, 3).unwrap(), 2);
        assert_eq!(counter.left(), 1);
        assert_eq!(counter.charge(), Ok(()));
        assert_eq!(counter.charge(), Err(TauExhausted { limit: 3 }));
        assert_eq!((counter.left(), counter.used()), (0, 3));
    }
}
