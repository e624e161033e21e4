//! Shares of counts, with an interval that holds for small counts and at 0 and 1.

use serde::{Deserialize, Serialize};

use super::Interval;

/// 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % score interval of a share of `hits` among `of` independent trials; `None` without trials or with more hits
/// than trials.
/// Source: Wilson, Journal of the American Statistical Association 22 (1927), without continuity correction.
pub fn wilson(hits: u64, of: u64) -> Option<Interval> {
    if of == 0 || hits > of {
        return None;
    }
    let (n, share) = (of as f64, hits as f64 / of as f64);
    let denominator = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / denominator;
    let half = Z / denominator * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends one bound is exactly the share; rounding must not push it beyond.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits == of { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// A share of counted images, for example the sensitivity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Images that count as hits.
    pub hits: u64,
    /// Images in all.
    pub of: u64,
    /// `hits / of`; `None` for `of = 0`.
    pub value: Option<f64>,
    /// Wilson's 95 % interval of the value, which takes images for independent.
    pub interval: Option<Interval>,
}

impl Rate {
    /// The share of `hits` among `of`.
    pub fn new(hits: u64, of: u64) -> Self {
        let value = (of > 0).then(|| hits as f64 / of as f64);
        Self { hits, of, value, interval: wilson(hits, of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_equal_the_published_ones() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: four decimals.
        for (hits, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let found = wilson(hits, of).unwrap();
            assert!((found.low - low).abs() < 5.1e-5, "{hits}/{of}: {found:?}");
            assert!((found.high - high).abs() < 5.1e-5, "{hits}/{of}: {found:?}");
        }
    }

    #[test]
    fn bounds_are_the_shares_that_a_score_test_just_keeps() {
        // (p - p0)^2 = z^2 p0 (1 - p0) / n at both bounds: the definition that the formula solves.
        for (hits, of) in [(1u64, 3u64), (7, 9), (88, 98), (500, 1000)] {
            let found = wilson(hits, of).unwrap();
            let share = hits as f64 / of as f64;
            for bound in [found.low, found.high] {
                let score = (share - bound).powi(2) * of as f64 / (bound * (1.0 - bound));
                assert!((score.sqrt() - Z).abs() < 1e-9, "{hits}/{of} at {bound}");
            }
            let mirrored = wilson(of - hits, of).unwrap();
            assert!((mirrored.low - (1.0 - found.high)).abs() < 1e-12);
        }
    }

    #[test]
    fn ends_stay_in_range_and_nothing_has_no_share() {
        assert_eq!(wilson(5, 5).unwrap().high, 1.0);
        assert_eq!(wilson(0, 5).unwrap().low, 0.0);
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(2, 1), None);
        assert_eq!(Rate::new(0, 0), Rate { hits: 0, of: 0, value: None, interval: None });
        assert_eq!(Rate::new(3, 4).value, Some(0.75));
    }
}
