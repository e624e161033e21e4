//! The phantom is reproducible, split by patient, and learnable, but not by a template on pixels.

use std::collections::BTreeSet;

use datasets::{DataError, Dataset, PhantomSpec, Samples, generate, write_sheet};
use tempfile::TempDir;

fn small() -> PhantomSpec {
    PhantomSpec { hospitals: 2, patients_per_hospital: 15, slices_per_patient: 3, ..PhantomSpec::default() }
}

#[test]
fn same_seed_same_pixels_other_seed_others() {
    let data = generate(&small()).unwrap();
    assert_eq!(data, generate(&small()).unwrap());
    assert_ne!(data.train.images, generate(&PhantomSpec { seed: 2, ..small() }).unwrap().train.images);
    assert_eq!(data.shape(), (1, 28, 28));
    assert!(data.train.images.iter().all(|value| (-2.0..=2.0).contains(value)));
}

#[test]
fn patients_stay_in_one_part_and_every_hospital_is_in_every_part() {
    let data = generate(&small()).unwrap();
    let parts = [&data.train, &data.validation, &data.test];
    assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 90);
    assert_eq!(parts.iter().map(|part| part.group_count()).sum::<usize>(), 30);
    for part in parts {
        assert_eq!(part.sites.iter().copied().collect::<BTreeSet<u32>>(), BTreeSet::from([1, 2]));
        assert!(part.class_counts(3).iter().all(|count| *count > 0));
    }
}

#[test]
fn proportions_are_those_asked_for() {
    let spec = PhantomSpec { proportions: [3.0, 1.0, 1.0], ..small() };
    let data = generate(&spec).unwrap();
    let total = [&data.train, &data.validation, &data.test].iter().fold([0; 3], |sum: [usize; 3], part| {
        let counts = part.class_counts(3);
        [sum[0] + counts[0], sum[1] + counts[1], sum[2] + counts[2]]
    });
    assert_eq!(total, [54, 18, 18]);
}

#[test]
fn settings_out_of_range_are_named() {
    let spec = PhantomSpec { difficulty: f64::NAN, ..small() };
    assert!(matches!(generate(&spec), Err(DataError::Setting { field: "difficulty", .. })));
    let spec = PhantomSpec { hospitals: 0, ..small() };
    assert!(matches!(generate(&spec), Err(DataError::Setting { field: "hospitals", .. })));
    let spec = PhantomSpec { hospitals: 64, patients_per_hospital: 65536, ..small() };
    assert!(matches!(generate(&spec), Err(DataError::TooLarge { .. })));
}

#[test]
fn sheet_is_a_readable_picture() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sheet.png");
    let data = generate(&small()).unwrap();
    write_sheet(&path, &data.train.select(&[0, 1, 2, 3, 4]), 3, 2, 0.5, 0.25).unwrap();
    assert_eq!(image::image_dimensions(&path).unwrap(), (3 * 58, 2 * 58));
}

/// What a template on pixels reaches, and what orderless statistics of local patches reach.
#[test]
fn local_texture_beats_templates_on_pixels() {
    let data = generate(&PhantomSpec::default()).unwrap();
    let pixels = |part: &Samples| part.images.outer_iter().map(|image| image.iter().copied().collect()).collect();
    let template = macro_auc(&data, pixels);
    let texture = macro_auc(&data, |part| (0..part.len()).map(|index| texture(part, index)).collect());
    println!("macro AUC: templates on pixels {template:.3}, local texture {texture:.3}");
    assert!((0.6..0.87).contains(&template), "{template}");
    assert!(texture > 0.9 && texture > template + 0.05, "{texture}");
}

/// Sorted extremes of mean and spread over all 3x3 patches near each kidney, both sides pooled.
fn texture(part: &Samples, index: usize) -> Vec<f32> {
    let (mut means, mut spreads) = (Vec::new(), Vec::new());
    for row in 9..23 {
        for column in (2..10).chain(18..26) {
            let patch: Vec<f32> =
                (0..9).map(|k| part.images[[index, 0, row + k / 3 - 1, column + k % 3 - 1]]).collect();
            let mean = patch.iter().sum::<f32>() / 9.0;
            means.push(mean);
            spreads.push((patch.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 9.0).sqrt());
        }
    }
    let mut features = Vec::new();
    for values in [&mut means, &mut spreads] {
        values.sort_by(f32::total_cmp);
        features.extend((0..16).map(|k| values[k * (values.len() - 1) / 15]));
    }
    features
}

/// Trains softmax regression by full-batch Adam and gives the mean one-against-rest AUC on test.
fn macro_auc(data: &Dataset, features: impl Fn(&Samples) -> Vec<Vec<f32>>) -> f64 {
    let (train, test) = (features(&data.train), features(&data.test));
    let width = train[0].len() + 1;
    let (mut weights, mut first, mut second) =
        (vec![0.0f32; 3 * width], vec![0.0f32; 3 * width], vec![0.0f32; 3 * width]);
    for step in 1..=300 {
        let mut gradient: Vec<f32> = weights.iter().map(|weight| 0.001 * weight).collect();
        for (sample, &label) in train.iter().zip(&data.train.labels) {
            let chances = softmax(&weights, sample);
            for class in 0..3 {
                let error = (chances[class] - f32::from(u8::from(usize::from(label) == class))) / train.len() as f32;
                let row = &mut gradient[class * width..(class + 1) * width];
                row.iter_mut().zip(sample).for_each(|(g, x)| *g += error * x);
                row[width - 1] += error;
            }
        }
        for k in 0..weights.len() {
            first[k] = 0.9 * first[k] + 0.1 * gradient[k];
            second[k] = 0.999 * second[k] + 0.001 * gradient[k] * gradient[k];
            let (m, v) = (first[k] / (1.0 - 0.9f32.powi(step)), second[k] / (1.0 - 0.999f32.powi(step)));
            weights[k] -= 0.02 * m / (v.sqrt() + 1e-8);
        }
    }
    let chances: Vec<[f32; 3]> = test.iter().map(|sample| softmax(&weights, sample)).collect();
    (0..3).map(|class| auc(&chances, &data.test.labels, class)).sum::<f64>() / 3.0
}

fn softmax(weights: &[f32], sample: &[f32]) -> [f32; 3] {
    let width = sample.len() + 1;
    let logits: [f32; 3] = std::array::from_fn(|class| {
        let row = &weights[class * width..(class + 1) * width];
        row[width - 1] + row.iter().zip(sample).map(|(w, x)| w * x).sum::<f32>()
    });
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let powers = logits.map(|logit| (logit - most).exp());
    powers.map(|power| power / powers.iter().sum::<f32>())
}

/// Share of (positive, negative) pairs in the right order: the definition, pair by pair.
fn auc(chances: &[[f32; 3]], labels: &[u8], class: usize) -> f64 {
    let of = |wanted: bool| {
        let chosen = chances.iter().zip(labels).filter(move |(_, label)| (usize::from(**label) == class) == wanted);
        chosen.map(|(chance, _)| chance[class]).collect::<Vec<_>>()
    };
    let (positive, negative) = (of(true), of(false));
    let won: f64 = positive
        .iter()
        .flat_map(|p| {
            negative.iter().map(move |n| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    won / (positive.len() * negative.len()) as f64
}
