//! Whether two models answer the same images differently often.

use serde::{Deserialize, Serialize};

/// Two models on the same images: how often exactly one of them is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Images that only the first model answers rightly.
    pub only_first_right: u64,
    /// Images that only the second model answers rightly.
    pub only_second_right: u64,
    /// Two-sided exact p-value, 0 to 1, of both being right equally often; 1 where they never differ.
    pub p_value: f64,
}

impl McNemar {
    /// Counts pairs `(first is right, second is right)`, one for each image.
    ///
    /// The p-value is that of the exact binomial test on the images where they differ, without mid-p correction.
    /// Source: McNemar, Psychometrika 12 (1947); exact form as in Fagerland, Lydersen and Laake, BMC Medical Research
    /// Methodology 13:91 (2013).
    pub fn count(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut first, mut second) = (0u64, 0u64);
        for pair in pairs {
            first += u64::from(pair == (true, false));
            second += u64::from(pair == (false, true));
        }
        Self { only_first_right: first, only_second_right: second, p_value: exact(first.min(second), first + second) }
    }
}

/// Twice the probability of at most `fewer` heads in `of` throws of a fair coin, at most 1.
fn exact(fewer: u64, of: u64) -> f64 {
    // In logarithms: 2^-of alone underflows beyond a thousand images.
    let mut term = -(of as f64) * std::f64::consts::LN_2;
    let mut sum = term.exp();
    for k in 1..=fewer {
        term += ((of - k + 1) as f64 / k as f64).ln();
        sum += term.exp();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_the_binomial_law() {
        // 1 against 7: 2 (1 + 8) / 2^8. 1 against 3: 2 (1 + 4) / 2^4.
        assert!((exact(1, 8) - 18.0 / 256.0).abs() < 1e-12);
        assert!((exact(1, 4) - 10.0 / 16.0).abs() < 1e-12);
        assert_eq!(exact(0, 0), 1.0);
        assert_eq!(exact(5, 10), 1.0);
        // 1000 against 1100 is 2.18 standard deviations, continuity corrected 2.16: a normal tail of 0.0307.
        assert!((exact(1000, 2100) - 0.0307).abs() < 5e-4, "{}", exact(1000, 2100));
    }

    #[test]
    fn only_images_where_one_is_right_count() {
        let pairs = [(true, true), (false, false), (true, false), (true, false), (false, true)];
        let found = McNemar::count(pairs);
        assert_eq!((found.only_first_right, found.only_second_right, found.p_value), (2, 1, 1.0));
        assert_eq!(McNemar::count([(true, true); 9]).p_value, 1.0);
    }
}
