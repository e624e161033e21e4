//! Receiver operating characteristic, thinned to what a plot can show.

use serde::{Deserialize, Serialize};

/// Most points of one curve: finer than any screen shows, small enough to send per class.
pub const ROC_POINTS_MAX: usize = 200;

/// One operating point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// Share of negatives called positive (1 - specificity).
    pub false_positive_rate: f64,
    /// Share of positives called positive (sensitivity).
    pub true_positive_rate: f64,
}

/// The curve from (0, 0) to (1, 1) by falling threshold, at most [`ROC_POINTS_MAX`] points, ends
/// kept; empty without positives or without negatives.
pub fn roc_curve(scores: &[f64], positive: &[bool]) -> Vec<RocPoint> {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(positive.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let ups = ranked.iter().filter(|(_, up)| *up).count();
    let downs = ranked.len() - ups;
    if ups == 0 || downs == 0 {
        return Vec::new();
    }
    let (mut found, mut mistaken) = (0usize, 0usize);
    let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let hits = tied.iter().filter(|(_, up)| *up).count();
        found += hits;
        mistaken += tied.len() - hits;
        points.push(RocPoint {
            false_positive_rate: mistaken as f64 / downs as f64,
            true_positive_rate: found as f64 / ups as f64,
        });
    }
    thin(points)
}

/// Keeps evenly spaced points and both ends.
fn thin(points: Vec<RocPoint>) -> Vec<RocPoint> {
    if points.len() <= ROC_POINTS_MAX {
        return points;
    }
    let last = points.len() - 1;
    (0..ROC_POINTS_MAX).map(|k| points[k * last / (ROC_POINTS_MAX - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curve_steps_through_the_thresholds_and_ties_move_diagonally() {
        let curve = roc_curve(&[0.9, 0.8, 0.4, 0.4, 0.1], &[false, true, true, false, false]);
        let points: Vec<(f64, f64)> = curve.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
        let third = 1.0 / 3.0;
        assert_eq!(points, vec![(0.0, 0.0), (third, 0.0), (third, 0.5), (2.0 * third, 1.0), (1.0, 1.0)]);
    }

    #[test]
    fn long_curves_are_thinned_with_both_ends_kept() {
        let scores: Vec<f64> = (0..5000).map(f64::from).collect();
        let positive: Vec<bool> = (0..5000).map(|i| i % 3 == 0).collect();
        let curve = roc_curve(&scores, &positive);
        assert_eq!(curve.len(), ROC_POINTS_MAX);
        assert_eq!(curve[0].true_positive_rate, 0.0);
        assert_eq!(curve[ROC_POINTS_MAX - 1].true_positive_rate, 1.0);
        assert!(curve.is_sorted_by_key(|p| (p.false_positive_rate + p.true_positive_rate, 0)));
    }

    #[test]
    fn one_class_alone_has_no_curve() {
        assert!(roc_curve(&[1.0, 2.0], &[true, true]).is_empty());
    }
}
