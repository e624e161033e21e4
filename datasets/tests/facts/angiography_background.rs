//! The chest of an angiogram tells neither the view nor the side, and the vessels tell both: one
//! small classifier on both kinds of picture.
//!
//! The classifier: cosine filters of 9x9, both signs rectified, means over a grid of 4x4, square
//! roots; then ridge regression with classes weighted equally. It sees a spine that stays where the
//! arm's angle puts it, and ribs that slope with the angle.

use datasets::{AngiographySpec, Samples, SplitFractions, generate_angiography};

const SIDE: usize = 64;
const FILTER: usize = 9;
/// Places of a filter along an axis, in four parts of 14.
const PLACES: usize = SIDE - FILTER + 1;
const PARTS: usize = 4;
/// Waves down and across of the 16 lowest cosine filters without the constant one.
const WAVES: [(usize, usize); 16] = [
    (0, 1),
    (1, 0),
    (1, 1),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (2, 2),
    (0, 3),
    (3, 0),
    (1, 3),
    (3, 1),
    (2, 3),
    (3, 2),
    (0, 4),
    (4, 0),
];
const FEATURES: usize = PARTS * PARTS * 2 * WAVES.len();
/// Added to the diagonal of the mean product of scaled features.
const RIDGE: f64 = 0.3;

/// Side and view: shares of right answers, every class counting equally.
fn accuracy(contrast: bool) -> (f64, f64) {
    let spec = AngiographySpec {
        hospitals: 4,
        patients_per_hospital: 600,
        contrast,
        split: SplitFractions { train: 0.75, validation: 0.0, test: 0.25 },
        ..AngiographySpec::default()
    };
    let data = generate_angiography(&spec).unwrap();
    let (mut train, mut test) = (features(&data.train), features(&data.test));
    scale(&mut train, &mut test);
    let view = |label: &u8| usize::from(*label);
    let side = |label: &u8| usize::from(*label >= 4);
    let of = |target: &dyn Fn(&u8) -> usize, classes: usize| {
        let labels = |part: &Samples| part.labels.iter().map(target).collect::<Vec<_>>();
        balanced(&train, &labels(&data.train), &test, &labels(&data.test), classes)
    };
    let found = (of(&side, 2), of(&view, 6));
    println!("contrast {contrast}: side {:.3}, view {:.3}", found.0, found.1);
    found
}

/// By chance .5 and .167; a standard deviation of chance is .022 and .015.
#[test]
fn the_chest_tells_neither_view_nor_side() {
    let (side, view) = accuracy(false);
    assert!(side <= 0.55 && view <= 0.25, "side {side}, view {view}");
}

#[test]
fn the_vessels_tell_both() {
    let (side, view) = accuracy(true);
    assert!(side >= 0.97 && view >= 0.9, "side {side}, view {view}");
}

fn features(samples: &Samples) -> Vec<Vec<f64>> {
    let wave = |waves: usize| -> [f32; FILTER] {
        let raw: [f32; FILTER] =
            std::array::from_fn(|k| (std::f32::consts::PI * (k as f32 + 0.5) * waves as f32 / FILTER as f32).cos());
        let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
        raw.map(|value| value / length)
    };
    let waves: [[f32; FILTER]; 5] = std::array::from_fn(wave);
    samples
        .images
        .outer_iter()
        .map(|image| image_features(&image.iter().copied().collect::<Vec<_>>(), &waves))
        .collect()
}

fn image_features(image: &[f32], waves: &[[f32; FILTER]; 5]) -> Vec<f64> {
    // Across first: every filter is a product of one wave down and one across.
    let across = waves.map(|wave| {
        let value = |k: usize| {
            let start = (k / PLACES) * SIDE + k % PLACES;
            wave.iter().zip(&image[start..start + FILTER]).map(|(w, x)| w * x).sum::<f32>()
        };
        (0..SIDE * PLACES).map(value).collect::<Vec<f32>>()
    });
    let mut sums = vec![0.0f64; FEATURES];
    for (filter, (down, over)) in WAVES.into_iter().enumerate() {
        for place in 0..PLACES * PLACES {
            let value: f32 = waves[down].iter().enumerate().map(|(k, w)| w * across[over][place + k * PLACES]).sum();
            let part = (place / PLACES * PARTS / PLACES) * PARTS + place % PLACES * PARTS / PLACES;
            sums[2 * (part * WAVES.len() + filter) + usize::from(value < 0.0)] += f64::from(value.abs());
        }
    }
    let places = (PLACES * PLACES / (PARTS * PARTS)) as f64;
    sums.into_iter().map(|sum| (sum / places + 1e-6).sqrt()).collect()
}

/// Takes the training means away, divides by the common spread and appends a constant.
fn scale(train: &mut [Vec<f64>], test: &mut [Vec<f64>]) {
    let count = train.len() as f64;
    let means: Vec<f64> = (0..FEATURES).map(|k| train.iter().map(|row| row[k]).sum::<f64>() / count).collect();
    let off = |row: &Vec<f64>| row.iter().zip(&means).map(|(x, mean)| (x - mean).powi(2)).sum::<f64>();
    let spread = (train.iter().map(off).sum::<f64>() / (count * FEATURES as f64)).sqrt();
    for row in train.iter_mut().chain(test) {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x = (*x - mean) / spread);
        row.push(1.0);
    }
}

fn balanced(train: &[Vec<f64>], labels: &[usize], test: &[Vec<f64>], truth: &[usize], classes: usize) -> f64 {
    let size = FEATURES + 1;
    let count = |labels: &[usize], class: usize| labels.iter().filter(|label| **label == class).count() as f64;
    let weights: Vec<f64> = (0..classes).map(|class| 1.0 / (classes as f64 * count(labels, class))).collect();
    let (mut products, mut sums) = (vec![0.0; size * size], vec![vec![0.0; size]; classes]);
    for (row, &label) in train.iter().zip(labels) {
        for (i, x) in row.iter().enumerate() {
            let weighted = weights[label] * x;
            sums[label][i] += weighted;
            products[i * size..i * size + i + 1].iter_mut().zip(row).for_each(|(sum, y)| *sum += weighted * y);
        }
    }
    (0..FEATURES).for_each(|i| products[i * size + i] += RIDGE);
    let root = cholesky(products, size);
    let planes: Vec<Vec<f64>> = sums.into_iter().map(|sum| solve(&root, sum, size)).collect();
    let score = |row: &[f64], class: usize| row.iter().zip(&planes[class]).map(|(x, w)| x * w).sum::<f64>();
    let mut right = vec![0.0; classes];
    for (row, &class) in test.iter().zip(truth) {
        let found = (0..classes).max_by(|&a, &b| score(row, a).total_cmp(&score(row, b)));
        right[class] += if found == Some(class) { 1.0 } else { 0.0 };
    }
    (0..classes).map(|class| right[class] / count(truth, class)).sum::<f64>() / classes as f64
}

/// The lower triangle whose square is the given one, row by row.
fn cholesky(mut a: Vec<f64>, size: usize) -> Vec<f64> {
    for i in 0..size {
        for j in 0..=i {
            let product: f64 =
                a[i * size..i * size + j].iter().zip(&a[j * size..j * size + j]).map(|(x, y)| x * y).sum();
            let rest = a[i * size + j] - product;
            a[i * size + j] = if i == j { rest.sqrt() } else { rest / a[j * size + j] };
        }
    }
    a
}

fn solve(root: &[f64], mut b: Vec<f64>, size: usize) -> Vec<f64> {
    for i in 0..size {
        let sum: f64 = (0..i).map(|j| root[i * size + j] * b[j]).sum();
        b[i] = (b[i] - sum) / root[i * size + i];
    }
    for i in (0..size).rev() {
        let sum: f64 = (i + 1..size).map(|j| root[j * size + i] * b[j]).sum();
        b[i] = (b[i] - sum) / root[i * size + i];
    }
    b
}
