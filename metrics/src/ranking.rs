//! Samples in the order of their scores, sorted once, so that figures of reweighted samples cost one pass each.

/// One sample in the order of falling scores.
#[derive(Clone, Copy, Debug)]
struct Ranked {
    /// Whose weight counts for it.
    owner: u32,
    positive: bool,
    /// Whether the next sample scores lower: ties move together.
    last_of_tie: bool,
}

/// Areas under both curves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Areas {
    /// Under the ROC curve.
    pub(super) auc: f64,
    /// Under the stepped precision-recall curve.
    pub(super) average_precision: f64,
}

/// Scores of one class against the rest, in falling order.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    order: Vec<Ranked>,
}

impl Ranking {
    /// Sorts `scores`, which hold no NaN; `owners` says whose weight counts for each sample.
    pub(super) fn new(scores: &[f64], positive: &[bool], owners: &[u32]) -> Self {
        let mut ranked: Vec<(f64, Ranked)> = scores
            .iter()
            .zip(positive)
            .zip(owners)
            .map(|((score, positive), owner)| {
                (*score, Ranked { owner: *owner, positive: *positive, last_of_tie: true })
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        for place in 1..ranked.len() {
            ranked[place - 1].1.last_of_tie = ranked[place - 1].0 != ranked[place].0;
        }
        Self { order: ranked.into_iter().map(|(_, one)| one).collect() }
    }

    /// The areas where each sample counts `weights[owner]` times, as if it stood there so often; `None` without
    /// positives or without negatives. Wins are counted in integers: copies and weights give equal results.
    ///
    /// Sources: Hanley and McNeil, Radiology 143 (1982); average precision after Davis and Goadrich, ICML 2006, whose
    /// objection to linear interpolation the steps meet.
    pub(super) fn areas(&self, weights: &[u32]) -> Option<Areas> {
        let (mut positives, mut negatives, mut half_wins) = (0u64, 0u64, 0u64);
        let (mut ups, mut downs, mut stepped) = (0u64, 0u64, 0.0);
        for one in &self.order {
            let weight = u64::from(weights[one.owner as usize]);
            if one.positive {
                ups += weight;
            } else {
                downs += weight;
            }
            if one.last_of_tie {
                half_wins += downs * (2 * positives + ups);
                positives += ups;
                negatives += downs;
                if ups > 0 {
                    stepped += ups as f64 * positives as f64 / (positives + negatives) as f64;
                }
                (ups, downs) = (0, 0);
            }
        }
        (positives > 0 && negatives > 0).then(|| Areas {
            auc: half_wins as f64 / 2.0 / (positives as f64 * negatives as f64),
            average_precision: stepped / positives as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use datasets::Sampler;

    use super::super::auc;
    use super::*;

    #[test]
    fn a_weight_is_as_many_copies() {
        let mut draws = Sampler::new(7, 1);
        for _ in 0..50 {
            let count = 5 + draws.below(40);
            let scores: Vec<f64> = (0..count).map(|_| draws.below(12) as f64).collect();
            let positive: Vec<bool> = (0..count).map(|_| draws.below(3) == 0).collect();
            let owners: Vec<u32> = (0..count).map(|_| draws.below(9) as u32).collect();
            let weights: Vec<u32> = (0..9).map(|_| draws.below(4) as u32).collect();
            let found = Ranking::new(&scores, &positive, &owners).areas(&weights);
            let (mut copied_scores, mut copied_positive) = (Vec::new(), Vec::new());
            for sample in 0..count {
                for _ in 0..weights[owners[sample] as usize] {
                    copied_scores.push(scores[sample]);
                    copied_positive.push(positive[sample]);
                }
            }
            // The plain function counts ties with a rising sort of its own.
            match auc(&copied_scores, &copied_positive) {
                Some(expected) => assert!((found.unwrap().auc - expected).abs() < 1e-12),
                None => assert_eq!(found, None),
            }
            let own: Vec<u32> = (0..copied_scores.len()).map(|k| k as u32).collect();
            let copies = Ranking::new(&copied_scores, &copied_positive, &own).areas(&vec![1; own.len()]);
            assert_eq!(found.map(|areas| areas.auc), copies.map(|areas| areas.auc));
            if let (Some(a), Some(b)) = (found, copies) {
                assert!((a.average_precision - b.average_precision).abs() < 1e-12);
            }
        }
    }
}
