//! How far AUC and average precision may be off: whole patients drawn again, class by class.
//!
//! Slices of one patient resemble each other. Drawing slices would count each as a new patient and make the intervals
//! too narrow; so groups are drawn as wholes. Where every image is its own group this is the ordinary bootstrap.

use std::collections::BTreeMap;

use datasets::Sampler;
use ndarray::ArrayView2;

use super::ranking::{Areas, Ranking};
use super::scores::{check, log_odds};
use super::{Interval, MetricsError};

/// Resamples of a set that is not too large: the 2.5th percentile then has 50 values beyond it.
pub const RESAMPLES: usize = 2000;
/// Fewest resamples, however large the set: five values beyond each bound.
const RESAMPLES_MIN: usize = 200;
/// Samples times classes times resamples: about a second of one core.
pub const WORK_MAX: usize = 1 << 28;
/// Share of resamples in which a figure may be undefined before it has no interval.
const UNDEFINED_MAX: f64 = 0.05;
/// Number of the random stream, apart from those of split and partition.
const STREAM: u64 = 0x626f_6f74;

/// 95 % intervals by the stratified percentile bootstrap over groups.
///
/// A figure has no interval where its class, or the rest, comes from a single group, which cannot tell how groups
/// differ, and where all resamples agree, as after a perfect separation: a width of zero would claim certainty.
/// Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; groups as in Rutter, Academic
/// Radiology 7 (2000).
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Resamples drawn.
    pub resamples: usize,
    /// Different groups among the samples.
    pub groups: usize,
    /// Groups with at least one sample of the class, by class.
    pub groups_per_class: Vec<usize>,
    /// Interval of the mean one-vs-rest AUC over the classes that have one.
    pub macro_auc: Option<Interval>,
    /// Interval of each class's one-vs-rest AUC.
    pub auc: Vec<Option<Interval>>,
    /// Interval of each class's average precision.
    pub average_precision: Vec<Option<Interval>>,
}

impl Bootstrap {
    /// Draws groups of `logits` (n, classes) again and again, the same for the same `seed`: [`RESAMPLES`] times, or
    /// fewer where samples x classes x resamples would exceed `work_max`, usually [`WORK_MAX`], but never below 200.
    ///
    /// # Errors
    /// Logits, labels and groups that do not fit each other.
    pub fn new(
        logits: ArrayView2<'_, f32>,
        labels: &[u8],
        groups: &[u32],
        seed: u64,
        work_max: usize,
    ) -> Result<Self, MetricsError> {
        check(logits, labels)?;
        if groups.len() != labels.len() {
            return Err(MetricsError::GroupCount { groups: groups.len(), labels: labels.len() });
        }
        let (samples, classes) = logits.dim();
        let Drawing { strata, owners, groups } = Drawing::new(labels, groups, classes);
        let resamples = (work_max / (samples * classes)).clamp(RESAMPLES_MIN, RESAMPLES);
        let is = |class: usize| labels.iter().map(|&l| usize::from(l) == class).collect::<Vec<bool>>();
        let rankings: Vec<Ranking> =
            (0..classes).map(|class| Ranking::new(&log_odds(logits, class), &is(class), &owners)).collect();
        let defined: Vec<bool> = rankings.iter().map(|ranking| ranking.areas(&vec![1; groups]).is_some()).collect();

        let mut sampler = Sampler::new(seed, STREAM);
        let mut weights = vec![0u32; groups];
        let (mut auc, mut precision) = (vec![Vec::new(); classes], vec![Vec::new(); classes]);
        let mut mean = Vec::new();
        for _ in 0..resamples {
            weights.fill(0);
            for stratum in &strata {
                for _ in stratum {
                    weights[stratum[sampler.below(stratum.len())] as usize] += 1;
                }
            }
            let areas: Vec<Option<Areas>> = rankings.iter().map(|ranking| ranking.areas(&weights)).collect();
            for (class, areas) in areas.iter().enumerate() {
                auc[class].extend(areas.map(|areas| areas.auc));
                precision[class].extend(areas.map(|areas| areas.average_precision));
            }
            let whole: Option<Vec<f64>> =
                areas.iter().zip(&defined).filter(|(_, defined)| **defined).map(|(a, _)| a.map(|a| a.auc)).collect();
            mean.extend(whole.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64));
        }
        let with = |class: usize, wanted: bool| groups_with(labels, &owners, groups, class, wanted);
        let spread: Vec<bool> = (0..classes).map(|class| with(class, true) > 1 && with(class, false) > 1).collect();
        let kept = |values: Vec<Vec<f64>>| -> Vec<Option<Interval>> {
            values.into_iter().zip(&spread).map(|(v, spread)| percentiles(v, resamples).filter(|_| *spread)).collect()
        };
        let all_spread = defined.iter().zip(&spread).all(|(defined, spread)| *spread || !defined);
        Ok(Self {
            resamples,
            groups,
            groups_per_class: (0..classes).map(|class| with(class, true)).collect(),
            macro_auc: percentiles(mean, resamples).filter(|_| all_spread),
            auc: kept(auc),
            average_precision: kept(precision),
        })
    }
}

/// Groups, renumbered from 0, and the strata that they are drawn from.
struct Drawing {
    /// Groups by the class that most of their samples have; the lower class wins a tie.
    strata: Vec<Vec<u32>>,
    /// Group of each sample.
    owners: Vec<u32>,
    groups: usize,
}

impl Drawing {
    fn new(labels: &[u8], groups: &[u32], classes: usize) -> Self {
        let mut numbers: BTreeMap<u32, u32> = groups.iter().map(|group| (*group, 0)).collect();
        (0..).zip(numbers.values_mut()).for_each(|(number, place)| *place = number);
        let owners: Vec<u32> = groups.iter().map(|group| numbers[group]).collect();
        let mut counts = vec![vec![0usize; classes]; numbers.len()];
        owners.iter().zip(labels).for_each(|(owner, label)| counts[*owner as usize][usize::from(*label)] += 1);
        let mut strata = vec![Vec::new(); classes];
        for (group, counts) in (0u32..).zip(&counts) {
            let most = counts.iter().max().copied().unwrap_or(0);
            let class = counts.iter().position(|count| *count == most).unwrap_or(0);
            strata[class].push(group);
        }
        Self { strata, owners, groups: numbers.len() }
    }
}

/// Groups with at least one sample whose being of `class` is as `wanted`.
fn groups_with(labels: &[u8], owners: &[u32], groups: usize, class: usize, wanted: bool) -> usize {
    let mut seen = vec![false; groups];
    for (label, owner) in labels.iter().zip(owners) {
        seen[*owner as usize] |= (usize::from(*label) == class) == wanted;
    }
    seen.into_iter().filter(|seen| *seen).count()
}

/// The 2.5th and 97.5th percentile by nearest rank.
fn percentiles(mut values: Vec<f64>, resamples: usize) -> Option<Interval> {
    if (values.len() as f64) < resamples as f64 * (1.0 - UNDEFINED_MAX) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let beyond = (values.len() as f64 * 0.025).ceil() as usize;
    let (low, high) = (*values.get(beyond.checked_sub(1)?)?, *values.get(values.len().checked_sub(beyond)?)?);
    (low < high).then_some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::auc;
    use super::*;

    /// `patients` of each of two classes, `slices` each: scores are normal, class means `gap` apart; of the variance 1
    /// a share `shared` belongs to the patient.
    fn normal_model(
        seed: u64,
        patients: usize,
        slices: usize,
        gap: f64,
        shared: f64,
    ) -> (Array2<f32>, Vec<u8>, Vec<u32>) {
        let mut draws = Sampler::new(seed, 5);
        let (mut rows, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for patient in 0..2 * patients {
            let class = patient % 2;
            let own = draws.normal() * shared.sqrt();
            for _ in 0..slices {
                let score = gap * class as f64 + own + draws.normal() * (1.0 - shared).sqrt();
                rows.extend([0.0, score as f32]);
                labels.push(class as u8);
                groups.push(patient as u32 * 3 + 1);
            }
        }
        (Array2::from_shape_vec((labels.len(), 2), rows).unwrap(), labels, groups)
    }

    fn intervals(seed: u64, model: &(Array2<f32>, Vec<u8>, Vec<u32>), groups: &[u32]) -> Bootstrap {
        // The least work: 200 resamples.
        Bootstrap::new(model.0.view(), &model.1, groups, seed, 0).unwrap()
    }

    #[test]
    fn ninety_five_per_cent_of_the_intervals_hold_the_true_auc() {
        // AUC of two normals one apart: Phi(1 / sqrt 2) = 0.760250.
        const TRUTH: f64 = 0.760_250;
        let held = (0..200u64)
            .filter(|seed| {
                let model = normal_model(*seed, 40, 1, 1.0, 0.0);
                intervals(seed + 1, &model, &model.2).auc[1].unwrap().contains(TRUTH)
            })
            .count();
        // 200 x 0.95 = 190, standard deviation 3.1; four of them either way, and the percentile bootstrap with 40
        // patients a side falls a little short.
        assert!((176..=199).contains(&held), "{held} of 200");
    }

    #[test]
    fn drawing_patients_holds_the_truth_where_drawing_slices_does_not() {
        // Six slices a patient that share most of what they show.
        const TRUTH: f64 = 0.760_250;
        let (mut patients_held, mut slices_held) = (0, 0);
        for seed in 0..100u64 {
            let model = normal_model(seed, 30, 6, 1.0, 0.8);
            let slices: Vec<u32> = (0..model.2.len() as u32).collect();
            patients_held += usize::from(intervals(seed, &model, &model.2).auc[1].unwrap().contains(TRUTH));
            slices_held += usize::from(intervals(seed, &model, &slices).auc[1].unwrap().contains(TRUTH));
        }
        assert!(patients_held >= 86, "{patients_held} of 100 with patients");
        assert!(slices_held <= 80, "{slices_held} of 100 with slices");
    }

    #[test]
    fn the_spread_is_that_of_hanley_and_mcneil() {
        // Their standard error for 200 against 200, AUC a: Q1 = a / (2 - a), Q2 = 2 a^2 / (1 + a).
        let model = normal_model(3, 200, 1, 1.0, 0.0);
        let found = Bootstrap::new(model.0.view(), &model.1, &model.2, 1, WORK_MAX).unwrap();
        assert_eq!((found.resamples, found.groups), (RESAMPLES, 400));
        let scores: Vec<f64> = model.0.column(1).iter().map(|s| f64::from(*s)).collect();
        let positive: Vec<bool> = model.1.iter().map(|l| *l == 1).collect();
        let a = auc(&scores, &positive).unwrap();
        let (q1, q2, n) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a), 200.0);
        let error = ((a * (1.0 - a) + (n - 1.0) * (q1 + q2 - 2.0 * a * a)) / (n * n)).sqrt();
        let interval = found.auc[1].unwrap();
        assert!(interval.contains(a));
        let half = (interval.high - interval.low) / 2.0;
        assert!((half / (1.96 * error) - 1.0).abs() < 0.15, "{half} against {}", 1.96 * error);
        // Two classes mirror each other: one AUC, one interval, one mean.
        assert_eq!(found.auc[0], found.auc[1]);
        assert_eq!(found.macro_auc, found.auc[1]);
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_does_not() {
        let model = normal_model(9, 20, 3, 1.0, 0.5);
        assert_eq!(intervals(4, &model, &model.2), intervals(4, &model, &model.2));
        assert_ne!(intervals(4, &model, &model.2), intervals(5, &model, &model.2));
    }

    #[test]
    fn resamples_shrink_with_the_set_and_never_vanish() {
        let model = normal_model(1, 10, 5, 1.0, 0.5);
        let drawn = |work| Bootstrap::new(model.0.view(), &model.1, &model.2, 1, work).unwrap().resamples;
        // 100 samples, 2 classes.
        assert_eq!([0, 100_000, usize::MAX].map(drawn), [200, 500, 2000]);
    }

    #[test]
    fn one_patient_or_a_perfect_separation_has_no_interval() {
        let logits =
            Array2::from_shape_fn((40, 3), |(row, class)| if row % 3 == class { 5.0 + row as f32 } else { 0.0 });
        let labels: Vec<u8> = (0..40).map(|row| row % 3).collect();
        let single: Vec<u32> = (0..40).collect();
        let found = Bootstrap::new(logits.view(), &labels, &single, 1, 0).unwrap();
        assert_eq!((found.auc, found.macro_auc), (vec![None; 3], None));
        // All of class 2 is one patient.
        let model = normal_model(2, 20, 1, 1.0, 0.0);
        let logits =
            Array2::from_shape_fn((40, 3), |(row, class)| if class < 2 { model.0[[row, class]] } else { -1.0 });
        let labels: Vec<u8> = (0..40).map(|row| if row < 5 { 2 } else { model.1[row] }).collect();
        let groups: Vec<u32> = (0..40).map(|row| if row < 5 { 0 } else { row }).collect();
        let found = Bootstrap::new(logits.view(), &labels, &groups, 1, 0).unwrap();
        assert_eq!(found.groups_per_class[2], 1);
        assert!(found.auc[2].is_none() && found.macro_auc.is_none() && found.auc[0].is_some());
    }

    #[test]
    fn groups_that_do_not_pair_up_are_refused() {
        let refused = Bootstrap::new(Array2::zeros((2, 2)).view(), &[0, 1], &[1], 1, 0).unwrap_err();
        assert_eq!(refused, MetricsError::GroupCount { groups: 1, labels: 2 });
    }
}
