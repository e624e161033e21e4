//! Angiograms are reproducible, split by patient, and show vessels on a chest that is the same
//! without them.

use std::collections::{BTreeMap, BTreeSet};

use datasets::{AngiographySpec, DataError, Dataset, SplitFractions, generate_angiography};

fn small() -> AngiographySpec {
    AngiographySpec { hospitals: 2, patients_per_hospital: 18, height: 32, width: 40, ..AngiographySpec::default() }
}

fn on_threads(threads: usize, spec: &AngiographySpec) -> Dataset {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| generate_angiography(spec)).unwrap()
}

#[test]
fn same_seed_same_pixels_whatever_the_threads_other_seed_others() {
    let data = on_threads(1, &small());
    assert_eq!(data, on_threads(4, &small()));
    let other = generate_angiography(&AngiographySpec { seed: 2, ..small() }).unwrap();
    assert_ne!(data.train.images, other.train.images);
    assert_eq!(data.shape(), (1, 32, 40));
    assert!(data.train.images.iter().all(|value| value.abs() < 3.34));
}

/// Frozen: a change of the generator changes what was published about it, and must be meant.
/// The tolerance is for mathematical functions of other machines.
#[test]
fn pixels_are_those_of_the_first_release() {
    let data = generate_angiography(&small()).unwrap();
    let found: Vec<f32> = (0..5).map(|k| data.train.images[[2 * k, 0, 6 * k + 3, 8 * k + 2]]).collect();
    let expected = [-1.9338, 0.46857, -1.02448, 0.12287, 1.2505];
    assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-4), "{found:?}");
    assert_eq!(data.train.labels, [3, 2, 1, 4, 5, 0, 4, 1, 0, 2, 3, 5]);
}

#[test]
fn every_picture_has_the_mean_and_contrast_that_normalisation_undoes() {
    let data = generate_angiography(&small()).unwrap();
    for image in data.train.images.outer_iter() {
        let mean = image.mean().unwrap();
        // Clipping the darkest vessels lifts the mean and takes from the contrast.
        assert!(mean.abs() < 0.05 && (0.85..1.001).contains(&image.std(0.0)), "{mean} {}", image.std(0.0));
    }
    let spec = AngiographySpec { mean: 0.25, std: 0.3, ..small() };
    let scaled = generate_angiography(&spec).unwrap().train.images;
    let close = |(a, b): (&f32, &f32)| (0.15 * a + 0.25 - 0.3 * b).abs() < 1e-5;
    assert!(data.train.images.iter().zip(&scaled).all(close));
}

#[test]
fn patients_stay_in_one_part_and_every_hospital_is_in_every_part() {
    let data = generate_angiography(&AngiographySpec { views_per_patient: 2, ..small() }).unwrap();
    let parts = [&data.train, &data.validation, &data.test];
    assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 72);
    assert_eq!(parts.iter().map(|part| part.group_count()).sum::<usize>(), 36);
    for part in parts {
        assert_eq!(part.sites.iter().copied().collect::<BTreeSet<u32>>(), BTreeSet::from([1, 2]));
        assert!(part.groups.iter().zip(&part.sites).all(|(group, site)| group / 18 + 1 == *site));
        let mut views: BTreeMap<u32, BTreeSet<u8>> = BTreeMap::new();
        part.groups.iter().zip(&part.labels).for_each(|(group, label)| {
            assert!(views.entry(*group).or_default().insert(*label), "a view twice");
        });
        assert!(views.values().all(|views| views.len() == 2));
    }
}

#[test]
fn classes_are_equally_frequent_in_every_hospital() {
    let data = generate_angiography(&small()).unwrap();
    let names = ["lca-rao-caudal", "lca-rao-cranial", "lca-lao-cranial", "lca-lao-caudal", "rca-lao", "rca-rao"];
    assert_eq!(data.classes, names);
    let mut counts = BTreeMap::new();
    for part in [&data.train, &data.validation, &data.test] {
        part.sites.iter().zip(&part.labels).for_each(|sample| *counts.entry(sample).or_insert(0) += 1);
    }
    assert!(counts.len() == 12 && counts.values().all(|count| *count == 3), "{counts:?}");
    // The smallest hospital has one patient per class, all to train on.
    let fewest = AngiographySpec { hospitals: 1, patients_per_hospital: 6, ..small() };
    assert_eq!(generate_angiography(&fewest).unwrap().train.class_counts(6), [1; 6]);
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |spec: AngiographySpec| match spec.check() {
        Err(DataError::Setting { field, .. }) => field,
        Err(DataError::TooLarge { .. }) => "too large",
        other => panic!("{other:?}"),
    };
    let wrong = |change: &dyn Fn(&mut AngiographySpec)| {
        let mut spec = small();
        change(&mut spec);
        // First: of what is wrongly accepted, generating takes hours.
        let field = refused(spec.clone());
        assert!(generate_angiography(&spec).is_err());
        field
    };
    for hospitals in [0, 65] {
        assert_eq!(wrong(&|spec| spec.hospitals = hospitals), "hospitals");
    }
    for patients in [5, 65537] {
        assert_eq!(wrong(&|spec| spec.patients_per_hospital = patients), "patients-per-hospital");
    }
    for views in [0, 7] {
        assert_eq!(wrong(&|spec| spec.views_per_patient = views), "views-per-patient");
    }
    for side in [31, 257] {
        assert_eq!(wrong(&|spec| spec.height = side), "height");
        assert_eq!(wrong(&|spec| spec.width = side), "width");
    }
    for mean in [-0.1, 1.1, f32::NAN] {
        assert_eq!(wrong(&|spec| spec.mean = mean), "mean");
    }
    for std in [0.0, -1.0, f32::INFINITY] {
        assert_eq!(wrong(&|spec| spec.std = std), "std");
    }
    assert_eq!(wrong(&|spec| spec.split = SplitFractions { train: 0.5, validation: 0.1, test: 0.1 }), "split");
    let many = |side: usize, patients: usize| {
        wrong(&|spec| {
            (spec.hospitals, spec.patients_per_hospital) = (64, patients);
            (spec.height, spec.width) = (side, side);
        })
    };
    // More pictures than are accepted, and fewer, but with more pixels.
    assert_eq!(many(32, 65536), "too large");
    assert_eq!(many(256, 129), "too large");
    assert!(
        AngiographySpec { hospitals: 64, patients_per_hospital: 128, height: 256, width: 256, ..small() }
            .check()
            .is_ok()
    );
}

/// The same picture with and without contrast medium: the same chest, and darker where vessels are.
#[test]
fn vessels_are_darker_than_the_same_chest_without_them() {
    let spec = AngiographySpec { hospitals: 1, patients_per_hospital: 60, ..AngiographySpec::default() };
    let filled = generate_angiography(&spec).unwrap().train;
    let plain = generate_angiography(&AngiographySpec { contrast: false, ..spec }).unwrap().train;
    assert_eq!((&filled.labels, &filled.names), (&plain.labels, &plain.names));
    let mut lifted = Vec::new();
    for (filled, plain) in filled.images.outer_iter().zip(plain.images.outer_iter()) {
        let mut pairs: Vec<(f32, f32)> = filled.iter().copied().zip(plain.iter().copied()).collect();
        // The darkest 2 % are vessels; 70 % of the pixels are surely none.
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (vessels, chest) = (&pairs[..pairs.len() / 50], &pairs[3 * pairs.len() / 10..]);
        let mean = |of: &dyn Fn(&(f32, f32)) -> f32, pairs: &[(f32, f32)]| {
            pairs.iter().map(of).sum::<f32>() / pairs.len() as f32
        };
        assert!(mean(&|pair| pair.0, vessels) < mean(&|pair| pair.0, chest) - 1.5);
        lifted.push(mean(&|pair| pair.1 - pair.0, vessels) - mean(&|pair| pair.1 - pair.0, chest));
        assert!(correlation(chest) > 0.9, "{}", correlation(chest));
    }
    // A vessel may lie on the spine, which is dark without it too; most do not.
    lifted.sort_by(f32::total_cmp);
    assert!(lifted[lifted.len() / 10] > 0.5 && lifted[lifted.len() / 2] > 1.0, "{lifted:?}");
}

fn correlation(pairs: &[(f32, f32)]) -> f32 {
    let count = pairs.len() as f32;
    let (a, b) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let sum = |f: &dyn Fn(f32, f32) -> f32| pairs.iter().map(|pair| f(pair.0 - a, pair.1 - b)).sum::<f32>();
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}
