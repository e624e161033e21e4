//! Area under the ROC curve, one class against the rest.

use ndarray::ArrayView2;

use super::MetricsError;
use super::scores::{check, log_odds};

/// Probability that a positive scores above a negative, ties counting one half (the Mann-Whitney
/// statistic); `None` without positives or without negatives. `scores` must hold no NaN and pair
/// up with `positive`.
/// Source: Hanley and McNeil, Radiology 143 (1982).
pub fn auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut wins = 0.0;
    let (mut positives, mut negatives) = (0.0, 0.0);
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let ups = tied.iter().filter(|(_, up)| *up).count() as f64;
        let downs = tied.len() as f64 - ups;
        wins += ups * (negatives + 0.5 * downs);
        positives += ups;
        negatives += downs;
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

/// One-vs-rest AUC of every class, ranked by its probability; `None` for a class that is absent
/// from `labels` (or alone in them).
///
/// # Errors
/// Logits and labels that do not fit each other.
pub fn auc_per_class(logits: ArrayView2<'_, f32>, labels: &[u8]) -> Result<Vec<Option<f64>>, MetricsError> {
    check(logits, labels)?;
    let classes = logits.dim().1;
    Ok((0..classes)
        .map(|class| {
            let positive: Vec<bool> = labels.iter().map(|&l| usize::from(l) == class).collect();
            auc(&log_odds(logits, class), &positive)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_pair_counts_and_ties_count_half() {
        // Positives 0.4, 0.8; negatives 0.1, 0.4, 0.9. Pairs won: 0.4 beats 0.1 (1), ties 0.4
        // (1/2), loses to 0.9; 0.8 beats 0.1 and 0.4 (2). 3.5 of 6.
        let value = auc(&[0.1, 0.4, 0.4, 0.8, 0.9], &[false, true, false, true, false]);
        assert_eq!(value, Some(3.5 / 6.0));
    }

    #[test]
    fn constant_scores_give_one_half_and_one_class_gives_nothing() {
        assert_eq!(auc(&[1.0; 4], &[true, false, false, true]), Some(0.5));
        assert_eq!(auc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(auc(&[], &[]), None);
    }

    #[test]
    fn matches_the_definition_pair_by_pair() {
        let scores: Vec<f64> = (0..60u64).map(|i| ((i * 37) % 11) as f64).collect();
        let positive: Vec<bool> = (0..60u64).map(|i| (i * 7) % 3 == 0).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (s, _) in scores.iter().zip(&positive).filter(|(_, p)| **p) {
            for (r, _) in scores.iter().zip(&positive).filter(|(_, p)| !**p) {
                pairs += 1.0;
                wins += if s > r {
                    1.0
                } else if s == r {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let value = auc(&scores, &positive).unwrap();
        assert!((value - wins / pairs).abs() < 1e-12);
    }

    #[test]
    fn absent_classes_have_no_auc_and_two_classes_mirror_each_other() {
        let logits = array![[2.0f32, 0.0, -1.0], [0.0, 1.0, -1.0], [1.0, 0.5, -1.0]];
        let values = auc_per_class(logits.view(), &[0, 1, 1]).unwrap();
        assert_eq!(values[2], None);
        let logits = array![[2.0f32, 0.0], [0.0, 1.0], [1.0, 0.5], [0.1, 0.2]];
        let values = auc_per_class(logits.view(), &[0, 1, 0, 0]).unwrap();
        assert_eq!(values[0], values[1]);
    }
}
