//! Where a probability becomes a call: thresholds fixed on validation images, and what they do on others.

use serde::{Deserialize, Serialize};

use super::Rate;

/// A threshold for one class against the rest, chosen once and then kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Probability of the class from which it is called, `0..=1`.
    pub threshold: f64,
    /// The same as log-odds, which tell apart what rounds to probability 1: the exact rule.
    pub log_odds: f64,
    /// Sensitivity + specificity - 1 on the images that it was chosen by: optimistic there.
    pub youden: f64,
}

impl OperatingPoint {
    /// The threshold with the largest Youden index; the highest one of equals. `log_odds` hold no NaN and pair up with
    /// `positive`; `None` without positives or without negatives.
    ///
    /// It lies half-way to the next lower score, so that it does not touch the image that it was chosen by.
    /// Source: Youden, Cancer 3 (1950).
    pub fn youden(log_odds: &[f64], positive: &[bool]) -> Option<Self> {
        let mut ranked: Vec<(f64, bool)> = log_odds.iter().copied().zip(positive.iter().copied()).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ups = ranked.iter().filter(|(_, up)| *up).count() as i128;
        let downs = ranked.len() as i128 - ups;
        if ups == 0 || downs == 0 {
            return None;
        }
        let (mut found, mut mistaken) = (0, 0);
        // The index times both counts, in integers: rounding would break ties at random.
        let mut best: Option<(i128, f64)> = None;
        let mut ties = ranked.chunk_by(|a, b| a.0 == b.0).peekable();
        while let Some(tied) = ties.next() {
            let hits = tied.iter().filter(|(_, up)| *up).count() as i128;
            found += hits;
            mistaken += tied.len() as i128 - hits;
            let index = found * downs - mistaken * ups;
            if best.is_none_or(|(most, _)| index > most) {
                let score = tied[0].0;
                let below = ties.peek().map_or(score, |next| next[0].0);
                let middle = score / 2.0 + below / 2.0;
                // Two neighbouring numbers have nothing between them.
                best = Some((index, if middle > below { middle } else { score }));
            }
        }
        best.map(|(index, log_odds)| Self {
            threshold: 1.0 / (1.0 + (-log_odds).exp()),
            log_odds,
            youden: index as f64 / (ups as f64 * downs as f64),
        })
    }

    /// Whether an image with these log-odds is called positive.
    pub fn calls(&self, log_odds: f64) -> bool {
        log_odds >= self.log_odds
    }
}

/// What calls of one class did, with Wilson's 95 % intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// Share of the class that is called.
    pub sensitivity: Rate,
    /// Share of the rest that is not called.
    pub specificity: Rate,
    /// Share of the calls that are right: positive predictive value, at this set's prevalence.
    pub positive_predictive: Rate,
    /// Share of the images not called that are right: negative predictive value, at this set's prevalence.
    pub negative_predictive: Rate,
}

impl Decisions {
    /// Counts pairs of (called, positive).
    pub fn count(calls: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut hits, mut misses, mut alarms, mut passes) = (0, 0, 0, 0);
        for call in calls {
            match call {
                (true, true) => hits += 1,
                (false, true) => misses += 1,
                (true, false) => alarms += 1,
                (false, false) => passes += 1,
            }
        }
        Self::of_counts(hits, misses, alarms, passes)
    }

    /// From the counts themselves: of the class called and not called, of the others called and not called.
    pub fn of_counts(hits: u64, misses: u64, alarms: u64, passes: u64) -> Self {
        Self {
            sensitivity: Rate::new(hits, hits + misses),
            specificity: Rate::new(passes, passes + alarms),
            positive_predictive: Rate::new(hits, hits + alarms),
            negative_predictive: Rate::new(passes, passes + misses),
        }
    }
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;

    use super::*;

    #[test]
    fn threshold_of_a_small_example_is_the_one_found_by_hand() {
        // Falling: 3 +, 2 +, 1 -, 0 +, -1 -, -2 -. J: 1/3, 2/3, 1/3, 2/3, 1/3, 0. The higher of the two best: 2, and
        // half-way down to 1.
        let point = OperatingPoint::youden(&[1.0, 3.0, -1.0, 2.0, 0.0, -2.0], &[false, true, false, true, true, false]);
        let point = point.unwrap();
        assert_eq!(point.log_odds, 1.5);
        assert!((point.youden - 2.0 / 3.0).abs() < 1e-12);
        assert!((point.threshold - 0.817_574_476).abs() < 1e-9);
        assert!(point.calls(1.5) && !point.calls(1.499));
    }

    #[test]
    fn no_threshold_is_better() {
        let mut draws = Sampler::new(2, 2);
        for _ in 0..30 {
            let scores: Vec<f64> = (0..60).map(|_| draws.below(25) as f64).collect();
            let positive: Vec<bool> = scores.iter().map(|s| draws.unit() * 25.0 < *s).collect();
            let Some(point) = OperatingPoint::youden(&scores, &positive) else { continue };
            let index = |threshold: f64| {
                let made = Decisions::count(scores.iter().map(|s| *s >= threshold).zip(positive.iter().copied()));
                made.sensitivity.value.unwrap() + made.specificity.value.unwrap() - 1.0
            };
            assert!((index(point.log_odds) - point.youden).abs() < 1e-12);
            for step in -1..52 {
                assert!(index(f64::from(step) / 2.0) <= point.youden + 1e-12);
            }
        }
    }

    #[test]
    fn neighbouring_numbers_are_told_apart() {
        let (low, high) = (1.0f64, 1.0f64.next_up());
        let point = OperatingPoint::youden(&[low, high], &[false, true]).unwrap();
        assert!(point.calls(high) && !point.calls(low));
        assert_eq!(OperatingPoint::youden(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(OperatingPoint::youden(&[], &[]), None);
    }

    #[test]
    fn shares_follow_from_the_four_counts() {
        // 3 hits, 1 miss, 2 alarms, 4 passes.
        let calls = [(true, true, 3), (false, true, 1), (true, false, 2), (false, false, 4)];
        let made = Decisions::count(calls.iter().flat_map(|(c, p, n)| std::iter::repeat_n((*c, *p), *n)));
        let of = |rate: Rate| (rate.hits, rate.of);
        assert_eq!(of(made.sensitivity), (3, 4));
        assert_eq!(of(made.specificity), (4, 6));
        assert_eq!(of(made.positive_predictive), (3, 5));
        assert_eq!(of(made.negative_predictive), (4, 5));
        assert_eq!(Decisions::count([]).sensitivity.value, None);
    }
}
