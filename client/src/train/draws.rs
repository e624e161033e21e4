//! Seeded draws for shuffling, augmentation and initial weights, equal on every machine.
//!
//! These draws protect nothing: they only have to be repeatable. They use integer arithmetic and
//! exactly rounded additions alone, because `ln` and `cos` differ in the last bit between
//! platforms and hospitals must agree on the initial parameters bit for bit.

/// A SplitMix64 generator. Source: Steele, Lea and Flood, OOPSLA 2014, figure 17.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// A stream for `purpose` under `seed`; different purposes give unrelated streams.
    pub(super) fn new(seed: u64, purpose: u64) -> Draws {
        let mut mixer = Draws { state: seed };
        let keyed = mixer.next() ^ purpose.wrapping_mul(0xA076_1D64_78BD_642F);
        let mut draws = Draws { state: keyed };
        draws.state = draws.next();
        draws
    }

    /// The next 64 uniform bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)` with 24 bits.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `[-reach, reach)`.
    pub(super) fn within(&mut self, reach: f32) -> f32 {
        (2.0 * self.unit() - 1.0) * reach
    }

    /// Mean 0 and variance 1: twelve uniforms minus six, which is close to normal up to three
    /// deviations and never leaves six.
    pub(super) fn normal(&mut self) -> f64 {
        let scale = 1.0 / (1u64 << 32) as f64;
        (0..12).map(|_| (self.next() >> 32) as f64 * scale).sum::<f64>() - 6.0
    }

    /// Uniform in `0..bound`; `bound` must be positive.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // The bias of the high product is below bound / 2^64, far under anything shuffling shows.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Fisher and Yates.
    pub(super) fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_matches_the_published_sequence() {
        // First outputs for seed 1234567 of the reference C code.
        let mut draws = Draws { state: 1_234_567 };
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut draws = Draws::new(3, 1);
        let values: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.05, "variance {variance}");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_depends_on_the_purpose() {
        let mut first: Vec<usize> = (0..100).collect();
        let mut second = first.clone();
        Draws::new(7, 1).shuffle(&mut first);
        Draws::new(7, 2).shuffle(&mut second);
        assert_ne!(first, second);
        first.sort_unstable();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
    }
}
