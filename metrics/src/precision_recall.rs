//! Area under the precision-recall curve: what an AUC hides where positives are rare.

use super::ranking::Ranking;

/// Average precision: the sum over falling thresholds of (recall gained) times (precision there), ties moving
/// together, without interpolation. `None` without positives or without negatives. A score without information
/// reaches about the share of positives.
pub fn average_precision(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let owners = vec![0; scores.len()];
    Ranking::new(scores, positive, &owners).areas(&[1]).map(|areas| areas.average_precision)
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;

    use super::*;

    #[test]
    fn steps_of_a_small_example_match_those_made_by_hand() {
        // Falling: + - + (tie of + and -) -. Recall gains of 1/3 at precisions 1/1, 2/3 and 3/5.
        let value = average_precision(&[0.9, 0.8, 0.7, 0.4, 0.4, 0.1], &[true, false, true, true, false, false]);
        assert!((value.unwrap() - (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn matches_the_definition_threshold_by_threshold() {
        let mut draws = Sampler::new(11, 1);
        let scores: Vec<f64> = (0..80).map(|_| draws.below(23) as f64).collect();
        let positive: Vec<bool> = (0..80).map(|_| draws.below(4) == 0).collect();
        let of = |test: &dyn Fn(usize) -> bool| (0..80).filter(|k| test(*k)).count() as f64;
        let all = of(&|k| positive[k]);
        let (mut area, mut recall_before) = (0.0, 0.0);
        for threshold in (0..23).rev().map(f64::from) {
            let called = of(&|k| scores[k] >= threshold);
            let found = of(&|k| scores[k] >= threshold && positive[k]);
            if called > 0.0 {
                area += (found / all - recall_before) * found / called;
                recall_before = found / all;
            }
        }
        assert!((average_precision(&scores, &positive).unwrap() - area).abs() < 1e-12);
    }

    #[test]
    fn no_information_reaches_the_share_of_positives() {
        let positive: Vec<bool> = (0..50).map(|k| k % 5 == 0).collect();
        assert_eq!(average_precision(&[0.3; 50], &positive), Some(0.2));
        assert_eq!(average_precision(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(average_precision(&[], &[]), None);
    }
}
