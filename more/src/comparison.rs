//! One network trained twice, and what the server of the second training reads.

use std::time::{Duration, Instant};

use datasets::Sampler;
use ndarray::{ArrayView1, ArrayView2};

use crate::attack::{Recovered, Seen, attack};
use crate::key::Key;
use crate::task::{Task, Truth};
use crate::training::{answers, train};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Steps done on plain numbers, of so many.
    Plain(usize, usize),
    /// Data and weights are encrypted.
    Encrypting,
    /// Steps done on ciphertexts, of so many.
    More(usize, usize),
    /// The server reads.
    Attack,
}

/// What one training came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Of the training alone.
    pub time: Duration,
    /// Of classes: share of right answers. Of quantities: mean relative error.
    pub quality: f64,
}

/// Both trainings and the attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// On plain numbers.
    pub plain: Reading,
    /// On ciphertexts, decrypted with the key.
    pub more: Reading,
    /// Largest difference of a trained weight between both.
    pub weights_differ: f64,
    /// Largest difference of an answer between both.
    pub answers_differ: f64,
    /// Numbers that were encrypted: samples and labels.
    pub ciphertexts: usize,
    /// Upper left entries of the inputs' ciphertexts, of the first samples: what a look at them shows.
    pub entries: Vec<f64>,
    /// Time that the attack took.
    pub attack_time: Duration,
    /// What it read; `None` if it read nothing.
    pub recovered: Option<Recovered>,
    /// Share of samples' numbers that it read to within 1e-6.
    pub inputs_read: f64,
    /// Largest error of one.
    pub inputs_error: f64,
    /// Share of labels' numbers read to within 1e-6.
    pub targets_read: f64,
    /// Share of the trained network's weights, beside what the key's owner decrypts.
    pub weights_read: f64,
    /// Largest error of one.
    pub weights_error: f64,
    /// Share of the answers to new samples.
    pub answers_read: f64,
    /// Largest error of one.
    pub answers_error: f64,
}

/// Numbers this near are the same: a grey level of 255 is 4,000 times as wide.
const SAME: f64 = 1e-6;

/// Samples of which the entries are kept.
const SHOWN: usize = 12;

/// Trains on plain numbers, then on ciphertexts, then attacks.
pub fn compare(task: &Task, seed: u64, progress: &mut dyn FnMut(Stage)) -> Comparison {
    let mut sampler = Sampler::new(seed, 0);
    let Task { train: train_part, test, network, recipe, .. } = task;
    let start = network.start(&mut sampler);
    let began = Instant::now();
    let samples = (train_part.inputs.as_slice(), train_part.targets.as_slice(), train_part.rows);
    let weights = train(network, recipe, samples, start.clone(), &mut |step, of| progress(Stage::Plain(step, of)));
    let plain_time = began.elapsed();
    let plain_answers = answers(network, recipe.loss, (&test.inputs, test.rows), &weights);

    progress(Stage::Encrypting);
    let key = Key::draw(&mut sampler);
    let inputs = key.encrypt_all(&train_part.inputs, &mut sampler);
    let targets = key.encrypt_all(&train_part.targets, &mut sampler);
    let questions = key.encrypt_all(&test.inputs, &mut sampler);
    let start = key.encrypt_all(&start, &mut sampler);
    let began = Instant::now();
    let samples = (inputs.as_slice(), targets.as_slice(), train_part.rows);
    let hidden = train(network, recipe, samples, start, &mut |step, of| progress(Stage::More(step, of)));
    let more_time = began.elapsed();
    let hidden_answers = answers(network, recipe.loss, (&questions, test.rows), &hidden);
    let opened = |ciphertexts: &[crate::More]| ciphertexts.iter().map(|&one| key.decrypt(one)).collect::<Vec<f64>>();
    let (more_weights, more_answers) = (opened(&hidden), opened(&hidden_answers));

    progress(Stage::Attack);
    let began = Instant::now();
    let seen =
        Seen { inputs: &inputs, targets: &targets, weights: &hidden, answers: &hidden_answers, rows: train_part.rows };
    let recovered = attack(seen, task.hint);
    let attack_time = began.elapsed();
    let nothing = Recovered::default();
    let read = recovered.as_ref().unwrap_or(&nothing);
    Comparison {
        plain: Reading { time: plain_time, quality: quality(&task.truth, &plain_answers, &test.targets, test.rows) },
        more: Reading { time: more_time, quality: quality(&task.truth, &more_answers, &test.targets, test.rows) },
        weights_differ: farthest(&more_weights, &weights),
        answers_differ: farthest(&more_answers, &plain_answers),
        ciphertexts: inputs.len() + targets.len(),
        entries: inputs.iter().take(inputs.len() / train_part.rows * SHOWN).map(|ciphertext| ciphertext.0[0]).collect(),
        attack_time,
        inputs_read: share_read(&read.inputs, &train_part.inputs),
        inputs_error: farthest(&read.inputs, &train_part.inputs),
        targets_read: share_read(&read.targets, &train_part.targets),
        weights_read: share_read(&read.weights, &more_weights),
        weights_error: farthest(&read.weights, &more_weights),
        answers_read: share_read(&read.answers, &more_answers),
        answers_error: farthest(&read.answers, &more_answers),
        recovered,
    }
}

/// Largest distance; infinite where there are not as many, or one is no number.
fn farthest(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let distances = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    distances.map(|distance| if distance.is_nan() { f64::INFINITY } else { distance }).fold(0.0, f64::max)
}

fn share_read(found: &[f64], expected: &[f64]) -> f64 {
    let same = found.iter().zip(expected).filter(|(found, expected)| (*found - *expected).abs() < SAME);
    same.count() as f64 / expected.len().max(1) as f64
}

fn quality(truth: &Truth, given: &[f64], wanted: &[f64], rows: usize) -> f64 {
    let tall = wanted.len() / rows.max(1);
    let table = |values| ArrayView2::from_shape((rows, tall), values).ok();
    let (Some(given), Some(wanted)) = (table(given), table(wanted)) else { return f64::NAN };
    match truth {
        Truth::Readings(scale) => scale.relative_error(given, wanted),
        Truth::Classes => {
            let largest = |row: ArrayView1<'_, f64>| {
                row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(class, _)| class)
            };
            let pairs = given.outer_iter().zip(wanted.outer_iter());
            pairs.filter(|(given, wanted)| largest(given.view()) == largest(wanted.view())).count() as f64 / rows as f64
        }
    }
}
