//! What two histograms of scores say: area under the curve with its interval, and where to cut.

use super::score_bin::{BINS, lower_edge};
use crate::{Estimate, Interval};

/// Two-sided 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Scores of a class' own images and of the others, by bin.
#[derive(Clone, Copy)]
pub(super) struct Curve<'a> {
    pub(super) own: &'a [u64],
    pub(super) others: &'a [u64],
}

impl Curve<'_> {
    fn totals(&self) -> (f64, f64) {
        (self.own.iter().sum::<u64>() as f64, self.others.iter().sum::<u64>() as f64)
    }

    /// Area under the ROC curve with a 95 % interval; scores of one bin are ties. The variance is DeLong's, of scores
    /// as coarse as the bins, and the interval is taken on the logit, so that it stays within 0 to 1; there is none
    /// where the classes do not overlap. Images count as independent of each other.
    ///
    /// Sources: DeLong et al., Biometrics 44 (1988); Pepe, The Statistical Evaluation of Medical Tests (2003), §5.2.
    pub(super) fn auc(&self) -> Estimate {
        let (own, others) = self.totals();
        if own == 0.0 || others == 0.0 {
            return Estimate { value: None, interval: None };
        }
        let (mut below_own, mut below_others) = (0.0, 0.0);
        let (mut sum_own, mut squares_own, mut squares_others) = (0.0, 0.0, 0.0);
        for (up, down) in self.own.iter().zip(self.others) {
            let (up, down) = (*up as f64, *down as f64);
            // Share of the others that an image of the class in this bin beats, and the other way round.
            let beats = (below_others + down / 2.0) / others;
            let beaten = 1.0 - (below_own + up / 2.0) / own;
            sum_own += up * beats;
            squares_own += up * beats * beats;
            squares_others += down * beaten * beaten;
            below_own += up;
            below_others += down;
        }
        let auc = sum_own / own;
        let spread = |squares: f64, count: f64| match count > 1.0 {
            true => (squares - count * auc * auc).max(0.0) / (count - 1.0) / count,
            false => f64::INFINITY,
        };
        let deviation = (spread(squares_own, own) + spread(squares_others, others)).sqrt();
        let half = Z * deviation / (auc * (1.0 - auc));
        let at = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        let logit = (auc / (1.0 - auc)).ln();
        let interval =
            (half.is_finite() && logit.is_finite()).then(|| Interval { low: at(logit - half), high: at(logit + half) });
        Estimate { value: Some(auc), interval }
    }

    /// How far the area may lie from that of the scores themselves, because scores of one bin count as ties.
    pub(super) fn auc_blur(&self) -> Option<f64> {
        let (own, others) = self.totals();
        let ties: f64 = self.own.iter().zip(self.others).map(|(up, down)| *up as f64 * *down as f64).sum();
        (own > 0.0 && others > 0.0).then(|| ties / 2.0 / (own * others))
    }

    /// The bin from which on scores are called positive so that sensitivity + specificity is largest; the highest of
    /// equals. Source: Youden, Cancer 3 (1950).
    pub(super) fn youden(&self) -> Option<usize> {
        self.cut(|found, mistaken, own, others| Some(found * others - mistaken * own))
    }

    /// The highest bin from which on at least `share` of the class is called positive.
    pub(super) fn sensitive(&self, share: f64) -> Option<usize> {
        self.cut(|found, _, own, _| (found as f64 >= share * own as f64).then_some(0))
    }

    /// The highest bin of those that are worth most, from found and mistaken images and both totals.
    fn cut(&self, worth: impl Fn(i128, i128, i128, i128) -> Option<i128>) -> Option<usize> {
        let total = |counts: &[u64]| counts.iter().map(|count| i128::from(*count)).sum::<i128>();
        let (own, others) = (total(self.own), total(self.others));
        if own == 0 || others == 0 {
            return None;
        }
        let (mut found, mut mistaken) = (0, 0);
        let mut best: Option<(i128, usize)> = None;
        for bin in (0..BINS).rev() {
            found += i128::from(self.own[bin]);
            mistaken += i128::from(self.others[bin]);
            if let Some(worth) = worth(found, mistaken, own, others)
                && best.is_none_or(|(most, _)| worth > most)
            {
                best = Some((worth, bin));
            }
        }
        best.map(|(_, bin)| bin)
    }

    /// Found, missed, mistaken and passed images where scores from `bin` on are called positive.
    pub(super) fn decided(&self, bin: usize) -> [u64; 4] {
        let split = |counts: &[u64]| (counts[bin..].iter().sum::<u64>(), counts[..bin].iter().sum::<u64>());
        let ((found, missed), (mistaken, passed)) = (split(self.own), split(self.others));
        [found, missed, mistaken, passed]
    }
}

/// Probability from which on a cut at `bin` calls an image positive.
pub(super) fn threshold(bin: usize) -> f64 {
    1.0 / (1.0 + (-lower_edge(bin)).exp())
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;

    use super::super::score_bin::bin_of;
    use super::*;
    use crate::auc;

    fn histograms(scores: &[f64], positive: &[bool]) -> (Vec<u64>, Vec<u64>) {
        let (mut own, mut others) = (vec![0; BINS], vec![0; BINS]);
        for (score, up) in scores.iter().zip(positive) {
            let counts = if *up { &mut own } else { &mut others };
            counts[bin_of(*score)] += 1;
        }
        (own, others)
    }

    fn drawn(count: usize, apart: f64, draws: &mut Sampler) -> (Vec<f64>, Vec<bool>) {
        let positive: Vec<bool> = (0..count).map(|_| draws.unit() < 0.4).collect();
        // A sum of uniform numbers is near enough to a normal one.
        let mut normal = || (0..12).map(|_| draws.unit()).sum::<f64>() - 6.0;
        let scores = positive.iter().map(|up| normal() + if *up { apart } else { 0.0 }).collect();
        (scores, positive)
    }

    #[test]
    fn the_area_is_that_of_the_scores_within_the_blur() {
        let mut draws = Sampler::new(5, 1);
        for apart in [0.0, 0.7, 2.0, 4.0] {
            let (scores, positive) = drawn(400, apart, &mut draws);
            let (own, others) = histograms(&scores, &positive);
            let curve = Curve { own: &own, others: &others };
            let (exact, found) = (auc(&scores, &positive).unwrap(), curve.auc().value.unwrap());
            let blur = curve.auc_blur().unwrap();
            assert!((exact - found).abs() <= blur + 1e-12 && blur < 0.03, "{exact} {found} {blur}");
            // Of binned scores it is exact.
            let binned: Vec<f64> = scores.iter().map(|score| bin_of(*score) as f64).collect();
            assert!((auc(&binned, &positive).unwrap() - found).abs() < 1e-12);
        }
    }

    #[test]
    fn the_variance_is_that_of_the_definition() {
        let mut draws = Sampler::new(6, 1);
        let (scores, positive) = drawn(60, 1.0, &mut draws);
        let (own, others) = histograms(&scores, &positive);
        let estimate = Curve { own: &own, others: &others }.auc();
        // DeLong's structural components, image by image, of the binned scores.
        let side = |up: bool| -> Vec<f64> {
            scores.iter().zip(&positive).filter(|(_, p)| **p == up).map(|(score, _)| bin_of(*score) as f64).collect()
        };
        let (ups, downs) = (side(true), side(false));
        let wins = |up: f64, down: f64| {
            if up > down {
                1.0
            } else if up == down {
                0.5
            } else {
                0.0
            }
        };
        let of_ups: Vec<f64> =
            ups.iter().map(|up| downs.iter().map(|down| wins(*up, *down)).sum::<f64>() / downs.len() as f64).collect();
        let of_downs: Vec<f64> =
            downs.iter().map(|down| ups.iter().map(|up| wins(*up, *down)).sum::<f64>() / ups.len() as f64).collect();
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
        };
        let deviation = (variance(&of_ups) / ups.len() as f64 + variance(&of_downs) / downs.len() as f64).sqrt();
        let (auc, interval) = (estimate.value.unwrap(), estimate.interval.unwrap());
        let logit = |share: f64| (share / (1.0 - share)).ln();
        let half = (logit(interval.high) - logit(interval.low)) / 2.0;
        assert!((half - Z * deviation / (auc * (1.0 - auc))).abs() < 1e-9);
        assert!((logit(interval.high) - half - logit(auc)).abs() < 1e-9);
    }

    #[test]
    fn intervals_hold_the_true_area_about_as_often_as_they_say() {
        let mut draws = Sampler::new(7, 1);
        // Two normal distributions a deviation apart: Phi(1 / sqrt 2).
        let (truth, mut held) = (0.760_25, 0);
        for _ in 0..400 {
            let (scores, positive) = drawn(150, 1.0, &mut draws);
            let (own, others) = histograms(&scores, &positive);
            held += usize::from(Curve { own: &own, others: &others }.auc().interval.unwrap().contains(truth));
        }
        // 95 % of 400, with four deviations of that count to either side.
        assert!((363..=397).contains(&held), "{held}");
    }

    #[test]
    fn without_overlap_there_is_no_interval_and_without_a_class_no_area() {
        let (own, others) = histograms(&[1.0, 2.0, -1.0], &[true, true, false]);
        let estimate = Curve { own: &own, others: &others }.auc();
        assert_eq!((estimate.value, estimate.interval), (Some(1.0), None));
        let empty = vec![0; BINS];
        for curve in [Curve { own: &own, others: &empty }, Curve { own: &empty, others: &others }] {
            assert_eq!((curve.auc().value, curve.auc_blur(), curve.youden()), (None, None, None));
        }
        let (own, others) = histograms(&[1.0, -1.0, 2.0], &[true, false, false]);
        assert_eq!(Curve { own: &own, others: &others }.auc().interval, None, "one image has no spread");
    }

    #[test]
    fn cuts_are_the_best_ones_by_trying_all() {
        let mut draws = Sampler::new(8, 1);
        for _ in 0..20 {
            let (scores, positive) = drawn(80, 1.0, &mut draws);
            let (own, others) = histograms(&scores, &positive);
            let curve = Curve { own: &own, others: &others };
            let called = |bin: usize, up: bool| {
                let calls = scores.iter().zip(&positive).filter(|(score, p)| bin_of(**score) >= bin && **p == up);
                calls.count() as f64 / positive.iter().filter(|p| **p == up).count() as f64
            };
            let index = |bin: usize| called(bin, true) - called(bin, false);
            let (youden, sensitive) = (curve.youden().unwrap(), curve.sensitive(0.95).unwrap());
            assert!((0..BINS).all(|bin| index(bin) <= index(youden) + 1e-12));
            assert!((youden + 1..BINS).all(|bin| index(bin) < index(youden)));
            assert!(called(sensitive, true) >= 0.95 && called(sensitive + 1, true) < 0.95);
            let [found, missed, mistaken, passed] = curve.decided(youden);
            assert_eq!(found as f64 / (found + missed) as f64, called(youden, true));
            assert_eq!(mistaken as f64 / (mistaken + passed) as f64, called(youden, false));
            // The probability that is told calls the same images.
            let by_probability = scores.iter().filter(|score| 1.0 / (1.0 + (-**score).exp()) >= threshold(youden));
            assert_eq!(by_probability.count() as u64, found + mistaken);
        }
    }
}
