//! How likely a patient is to be drawn.

use he_agg::Stream;

/// A probability in whole parts of 2^-32, so that drawing is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingRate(u64);

/// Parts of 1.
const PARTS: u64 = 1 << 32;

impl SamplingRate {
    /// The largest such probability that is not above `rate`; `None` outside 2^-32 to 1.
    #[must_use]
    pub fn new(rate: f64) -> Option<Self> {
        let parts = (rate * PARTS as f64).floor();
        (parts >= 1.0 && parts <= PARTS as f64).then_some(Self(parts as u64))
    }

    /// As a number.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0 as f64 / PARTS as f64
    }

    /// Draws once.
    pub fn is_drawn(self, stream: &mut Stream) -> bool {
        u64::from(stream.next_u32()) < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_whole_parts_and_never_more_than_was_asked_for() {
        for (rate, value) in [(0.5, Some(0.5)), (1.0, Some(1.0)), (1e-9, Some(4.0 / PARTS as f64))] {
            assert_eq!(SamplingRate::new(rate).map(SamplingRate::value), value);
        }
        assert!(SamplingRate::new(0.1).is_some_and(|rate| rate.value() < 0.1 && rate.value() > 0.1 - 1e-9));
        for none in [0.0, 1e-10, -1.0, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(SamplingRate::new(none), None, "{none}");
        }
    }

    #[test]
    fn as_many_are_drawn_as_the_probability_says() {
        let drawn = |rate: f64| {
            let (rate, mut stream) = (SamplingRate::new(rate).unwrap(), Stream::from_seed([9; 32]));
            (0..100_000).filter(|_| rate.is_drawn(&mut stream)).count()
        };
        assert_eq!(drawn(1.0), 100_000);
        // Five deviations of 95.
        assert!(drawn(0.1).abs_diff(10_000) < 475, "{}", drawn(0.1));
    }
}
