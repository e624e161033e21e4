//! Which hospital owns which training sample: the simulated federation's non-IID shares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sampling::Sampler;
use crate::split::majority;
use crate::{DataError, Samples};

/// Most hospitals of one federation.
const HOSPITALS_MAX: usize = 64;

/// Draws that a Dirichlet partition may take until every hospital has a sample. Shares of a small
/// alpha are often empty, so studies draw again (Li et al., ICDE 2022); more draws than this mean
/// that the setting cannot work.
const DRAWS_MAX: u64 = 32;

/// How training samples are dealt to hospitals. A patient or series always stays whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// Patients in random order, each to the hospital with the fewest samples.
    Iid,
    /// Per class, the hospitals' shares follow a symmetric Dirichlet law (Hsu, Qi and Brown, 2019).
    Dirichlet {
        /// Concentration, above 0: 100 is nearly IID, 0.1 leaves most classes to one hospital.
        alpha: f64,
    },
    /// Hospitals as the data have them: the sites where they are known, in their order (site k to
    /// hospital k, then around again), else whole series, each class spread over the hospitals.
    ByColumn,
}

impl Partition {
    /// Positions of every hospital's samples, each in ascending order; hospital k is at k - 1.
    ///
    /// Each sample belongs to exactly one hospital. Depends on nothing but the arguments.
    ///
    /// # Errors
    /// [`DataError::HospitalWithoutSample`] names the first hospital that stays empty;
    /// [`DataError::Setting`] for a number of hospitals outside 1..=64 or an alpha not above 0.
    pub fn assign(&self, samples: &Samples, hospitals: usize, seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
        if !(1..=HOSPITALS_MAX).contains(&hospitals) {
            let value = hospitals as f64;
            return Err(DataError::Setting { field: "hospitals", value, expected: "1 to 64" });
        }
        let mut sampler = Sampler::new(seed, 0x7061_7274);
        match *self {
            Partition::Iid => checked(iid(samples, hospitals, &mut sampler)),
            Partition::Dirichlet { alpha } => {
                if !(alpha > 0.0 && alpha.is_finite()) {
                    return Err(DataError::Setting { field: "alpha", value: alpha, expected: "a number above 0" });
                }
                let mut result = checked(dirichlet(samples, hospitals, alpha, &mut sampler));
                for _ in 1..DRAWS_MAX {
                    if result.is_ok() {
                        break;
                    }
                    result = checked(dirichlet(samples, hospitals, alpha, &mut sampler));
                }
                result
            }
            Partition::ByColumn if samples.sites.iter().any(|&site| site > 0) => checked(by_site(samples, hospitals)),
            Partition::ByColumn => checked(by_series(samples, hospitals, &mut sampler)),
        }
    }
}

fn checked(mut shares: Vec<Vec<usize>>) -> Result<Vec<Vec<usize>>, DataError> {
    if let Some(empty) = shares.iter().position(Vec::is_empty) {
        return Err(DataError::HospitalWithoutSample { hospital: empty + 1, hospitals: shares.len() });
    }
    shares.iter_mut().for_each(|share| share.sort_unstable());
    Ok(shares)
}

/// Positions per group, in the groups' order.
fn whole_groups(samples: &Samples) -> Vec<Vec<usize>> {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, &group) in samples.groups.iter().enumerate() {
        members.entry(group).or_default().push(position);
    }
    members.into_values().collect()
}

/// Shuffled groups by the class that most of their samples have.
fn groups_by_class(samples: &Samples, sampler: &mut Sampler) -> BTreeMap<u8, Vec<Vec<usize>>> {
    let mut classes: BTreeMap<u8, Vec<Vec<usize>>> = BTreeMap::new();
    for positions in whole_groups(samples) {
        classes.entry(majority(&samples.labels, &positions)).or_default().push(positions);
    }
    classes.values_mut().for_each(|groups| sampler.shuffle(groups));
    classes
}

fn iid(samples: &Samples, hospitals: usize, sampler: &mut Sampler) -> Vec<Vec<usize>> {
    let mut groups = whole_groups(samples);
    sampler.shuffle(&mut groups);
    let mut shares = vec![Vec::new(); hospitals];
    for positions in groups {
        let fewest = (0..hospitals).min_by_key(|&h| shares[h].len()).unwrap_or(0);
        shares[fewest].extend(positions);
    }
    shares
}

fn dirichlet(samples: &Samples, hospitals: usize, alpha: f64, sampler: &mut Sampler) -> Vec<Vec<usize>> {
    let mut shares = vec![Vec::new(); hospitals];
    for groups in groups_by_class(samples, sampler).into_values() {
        let total: usize = groups.iter().map(Vec::len).sum();
        let wanted = sampler.dirichlet(alpha, hospitals);
        let mut missing: Vec<f64> = wanted.iter().map(|share| share * total as f64).collect();
        for positions in groups {
            let neediest = (0..hospitals).max_by(|&a, &b| missing[a].total_cmp(&missing[b])).unwrap_or(0);
            missing[neediest] -= positions.len() as f64;
            shares[neediest].extend(positions);
        }
    }
    shares
}

fn by_site(samples: &Samples, hospitals: usize) -> Vec<Vec<usize>> {
    let mut sites: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, &site) in samples.sites.iter().enumerate() {
        sites.entry(site).or_default().push(position);
    }
    let mut shares = vec![Vec::new(); hospitals];
    for (rank, positions) in sites.into_values().enumerate() {
        shares[rank % hospitals].extend(positions);
    }
    shares
}

fn by_series(samples: &Samples, hospitals: usize, sampler: &mut Sampler) -> Vec<Vec<usize>> {
    let mut shares: Vec<Vec<usize>> = vec![Vec::new(); hospitals];
    for groups in groups_by_class(samples, sampler).into_values() {
        let mut of_class = vec![0; hospitals];
        for positions in groups {
            let next = (0..hospitals).min_by_key(|&h| (of_class[h], shares[h].len())).unwrap_or(0);
            of_class[next] += positions.len();
            shares[next].extend(positions);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    /// `count` samples, two per patient, three classes by patient, site by patient if `sites` > 0.
    fn samples(count: usize, sites: u32) -> Samples {
        Samples {
            images: Array4::zeros((count, 1, 1, 1)),
            labels: (0..count).map(|i| (i / 2 % 3) as u8).collect(),
            groups: (0..count).map(|i| (i / 2) as u32).collect(),
            sites: (0..count).map(|i| if sites == 0 { 0 } else { (i / 2) as u32 % sites + 1 }).collect(),
            names: vec![String::new(); count],
        }
    }

    const ALL: [Partition; 3] = [Partition::Iid, Partition::Dirichlet { alpha: 0.5 }, Partition::ByColumn];

    #[test]
    fn every_sample_has_one_owner_and_patients_stay_whole() {
        let samples = samples(240, 0);
        for partition in ALL {
            let shares = partition.assign(&samples, 5, 3).unwrap();
            let mut owner = vec![usize::MAX; samples.len()];
            for (hospital, share) in shares.iter().enumerate() {
                for &position in share {
                    assert_eq!(owner[position], usize::MAX, "{partition:?}");
                    owner[position] = hospital;
                }
            }
            assert!(owner.chunks(2).all(|pair| pair[0] == pair[1] && pair[0] < 5), "{partition:?}");
        }
    }

    #[test]
    fn same_seed_same_hospitals_other_seed_others() {
        let samples = samples(240, 0);
        for partition in ALL {
            assert_eq!(partition.assign(&samples, 5, 3).unwrap(), partition.assign(&samples, 5, 3).unwrap());
            assert_ne!(partition.assign(&samples, 5, 3).unwrap(), partition.assign(&samples, 5, 4).unwrap());
        }
    }

    #[test]
    fn small_alpha_is_more_skewed_than_large_alpha() {
        // Mean over hospitals of the largest class share: 1/3 when even, 1 when one class only.
        let skew = |alpha: f64| {
            let samples = samples(1200, 0);
            let shares = Partition::Dirichlet { alpha }.assign(&samples, 5, 9).unwrap();
            let of = |share: &Vec<usize>| {
                let counts = samples.select(share).class_counts(3);
                counts.iter().copied().max().unwrap_or(0) as f64 / share.len() as f64
            };
            shares.iter().map(of).sum::<f64>() / 5.0
        };
        assert!(skew(0.2) > skew(100.0) + 0.15, "{} {}", skew(0.2), skew(100.0));
    }

    #[test]
    fn known_sites_become_the_hospitals() {
        let samples = samples(60, 5);
        let shares = Partition::ByColumn.assign(&samples, 5, 0).unwrap();
        for (hospital, share) in shares.iter().enumerate() {
            assert!(share.iter().all(|&i| samples.sites[i] as usize == hospital + 1));
        }
    }

    #[test]
    fn series_spread_every_class_over_the_hospitals() {
        let samples = samples(90, 0);
        let shares = Partition::ByColumn.assign(&samples, 5, 0).unwrap();
        assert!(shares.iter().all(|share| samples.select(share).class_counts(3) == [6, 6, 6]));
    }

    #[test]
    fn hospital_without_sample_is_named() {
        let samples = samples(6, 0);
        for partition in ALL {
            let result = partition.assign(&samples, 4, 0);
            assert!(matches!(result, Err(DataError::HospitalWithoutSample { hospital: 1..=4, hospitals: 4 })));
        }
    }
}
