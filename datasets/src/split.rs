//! Train, validation and test parts that keep a patient or a series whole.
//!
//! Neighbouring slices of one CT series are nearly identical: a split by slice tests on what was
//! trained on. So the split is by group, and the one by slice has to be asked for by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sampling::Sampler;
use crate::{DataError, Part};

/// What is kept whole by a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// A patient or series is in one part only.
    #[default]
    Group,
    /// Slices are dealt one by one: optimistic, only to compare with figures published that way.
    Slice,
}

/// Shares of the three parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SplitFractions {
    /// Above 0.
    pub train: f64,
    /// 0 for no validation part.
    pub validation: f64,
    /// 0 for no test part.
    pub test: f64,
}

impl Default for SplitFractions {
    fn default() -> Self {
        SplitFractions { train: 0.7, validation: 0.1, test: 0.2 }
    }
}

impl SplitFractions {
    /// Refuses shares that are no shares.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a share outside 0..=1, a train share of 0, a sum other than 1.
    pub fn check(&self) -> Result<(), DataError> {
        // Shares are typed by people as decimals; a millionth covers their rounding.
        const SUM_TOLERANCE: f64 = 1e-6;
        let parts = [("split.train", self.train), ("split.validation", self.validation), ("split.test", self.test)];
        for (field, value) in parts {
            if !(0.0..=1.0).contains(&value) {
                return Err(DataError::Setting { field, value, expected: "a share from 0 to 1" });
            }
        }
        if self.train <= 0.0 {
            return Err(DataError::Setting { field: "split.train", value: self.train, expected: "a share above 0" });
        }
        let value = self.train + self.validation + self.test;
        if (value - 1.0).abs() > SUM_TOLERANCE {
            return Err(DataError::Setting { field: "split", value, expected: "shares that sum to 1" });
        }
        Ok(())
    }

    fn shares(&self) -> [f64; 3] {
        [self.train, self.validation, self.test]
    }
}

/// Disjoint positions, each part in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Positions to train on.
    pub train: Vec<usize>,
    /// Positions to choose settings by.
    pub validation: Vec<usize>,
    /// Positions to report.
    pub test: Vec<usize>,
}

impl Split {
    /// Splits samples by `groups`, stratified by `labels` as well as whole groups allow.
    ///
    /// Rarest class first. Of each class the test part gets a group, then training, then
    /// validation, as long as there are any; the others go where the class is furthest below its
    /// share (after Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data",
    /// 2011, with groups in place of samples). A class with one group is in training only.
    ///
    /// # Errors
    /// [`DataError::Setting`] for bad fractions. Callers check that no class is left empty.
    pub fn by_group(labels: &[u8], groups: &[u32], fractions: &SplitFractions, seed: u64) -> Result<Split, DataError> {
        fractions.check()?;
        let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (position, &group) in groups.iter().enumerate() {
            members.entry(group).or_default().push(position);
        }
        let mut classes: BTreeMap<u8, Vec<Vec<usize>>> = BTreeMap::new();
        for positions in members.into_values() {
            classes.entry(majority(labels, &positions)).or_default().push(positions);
        }
        let mut rarest_first: Vec<(u8, Vec<Vec<usize>>)> = classes.into_iter().collect();
        rarest_first.sort_by_key(|(class, groups)| (groups.len(), *class));

        let mut parts: [Vec<usize>; 3] = Default::default();
        for (class, mut groups) in rarest_first {
            let mut sampler = Sampler::new(seed, u64::from(class));
            sampler.shuffle(&mut groups);
            for (positions, part) in deal(groups, fractions.shares()) {
                parts[part as usize].extend(positions);
            }
        }
        parts.iter_mut().for_each(|part| part.sort_unstable());
        let [train, validation, test] = parts;
        Ok(Split { train, validation, test })
    }

    /// Splits samples one by one, whatever patient they come from. See [`SplitBy::Slice`].
    ///
    /// # Errors
    /// [`DataError::Setting`] for bad fractions.
    pub fn by_slice(labels: &[u8], fractions: &SplitFractions, seed: u64) -> Result<Split, DataError> {
        let alone: Vec<u32> = (0..labels.len() as u32).collect();
        Split::by_group(labels, &alone, fractions, seed)
    }
}

/// Deals the shuffled groups of one class to the parts.
fn deal(groups: Vec<Vec<usize>>, shares: [f64; 3]) -> Vec<(Vec<usize>, Part)> {
    let total: usize = groups.iter().map(Vec::len).sum();
    let mut missing = shares.map(|share| share * total as f64);
    // A class with a single group can only be learned, not tested.
    let order = if groups.len() == 1 { [Part::Train; 3] } else { [Part::Test, Part::Train, Part::Validation] };
    let mut first = order.into_iter().filter(|part| shares[*part as usize] > 0.0).collect::<Vec<_>>().into_iter();
    let mut dealt = Vec::with_capacity(groups.len());
    for positions in groups {
        let part = first.next().unwrap_or_else(|| most_missing(&missing));
        missing[part as usize] -= positions.len() as f64;
        dealt.push((positions, part));
    }
    dealt
}

fn most_missing(missing: &[f64; 3]) -> Part {
    let mut best = Part::Train;
    for part in [Part::Validation, Part::Test] {
        if missing[part as usize] > missing[best as usize] {
            best = part;
        }
    }
    best
}

/// The class that most of a group's samples have; the smaller one of equals.
pub(crate) fn majority(labels: &[u8], positions: &[usize]) -> u8 {
    let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
    for &position in positions {
        *counts.entry(labels[position]).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    counts.into_iter().find(|(_, count)| *count == most).map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 patients of two slices, classes in turn.
    fn patients() -> (Vec<u8>, Vec<u32>) {
        (0..80).map(|i| ((i / 2 % 4) as u8, (i / 2) as u32)).unzip()
    }

    #[test]
    fn no_group_is_in_two_parts_and_no_sample_is_lost() {
        let (labels, groups) = patients();
        let split = Split::by_group(&labels, &groups, &SplitFractions::default(), 1).unwrap();
        let of = |part: &[usize]| part.iter().map(|&i| groups[i]).collect::<std::collections::BTreeSet<_>>();
        let (train, validation, test) = (of(&split.train), of(&split.validation), of(&split.test));
        assert!(train.is_disjoint(&test) && train.is_disjoint(&validation) && validation.is_disjoint(&test));
        assert_eq!(split.train.len() + split.validation.len() + split.test.len(), 80);
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (56, 8, 16));
    }

    #[test]
    fn every_class_with_three_groups_is_in_every_part() {
        // Six large series of one class, like a rare finding with few patients.
        let labels: Vec<u8> = (0..240).map(|i| u8::from(i >= 160)).collect();
        let groups: Vec<u32> = (0..240).map(|i| if i < 160 { i / 8 } else { 100 + (i - 160) / 14 }).collect();
        let fractions = SplitFractions { train: 0.8, validation: 0.1, test: 0.1 };
        for seed in 0..20 {
            let split = Split::by_group(&labels, &groups, &fractions, seed).unwrap();
            for part in [&split.train, &split.validation, &split.test] {
                assert!(part.iter().any(|&i| labels[i] == 1), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_class_with_one_group_is_only_trained_on() {
        let split = Split::by_group(&[0, 0, 0, 1, 1], &[1, 2, 3, 9, 9], &SplitFractions::default(), 0).unwrap();
        assert!(split.train.contains(&3) && split.train.contains(&4));
    }

    #[test]
    fn split_by_slice_tears_groups_apart() {
        let (labels, groups) = patients();
        let split = Split::by_slice(&labels, &SplitFractions::default(), 1).unwrap();
        assert!(split.test.iter().any(|&t| split.train.iter().any(|&s| groups[s] == groups[t])));
    }

    #[test]
    fn fractions_that_do_not_sum_to_one_are_refused() {
        let fractions = SplitFractions { train: 0.8, validation: 0.1, test: 0.2 };
        assert!(matches!(fractions.check(), Err(DataError::Setting { field: "split", .. })));
    }
}
