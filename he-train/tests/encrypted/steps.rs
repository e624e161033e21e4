//! Every step beside the step in the clear, within what the noise model says.

use std::sync::Arc;

use he_agg::Stream;
use he_train::encrypted::{HeadProgram, HeadTrainer};
use he_train::{HeadLoss, OddPolynomial, Recipe, shadow};
use ndarray::{Array2, s};

use crate::holder::{HOSPITALS, Holder, PRESET};

const SIGMOID: HeadLoss = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };

/// Rows of features, the last of them 1, and labels that have something to do with them.
fn samples(rows: usize, dimension: usize, classes: usize) -> (Array2<f64>, Array2<f64>) {
    let mut stream = Stream::from_seed([5; 32]);
    let features = Array2::from_shape_fn((rows, dimension), |(_, feature)| {
        if feature + 1 == dimension { 1.0 } else { 4.0 * stream.next_f64() - 2.0 }
    });
    let labels = Array2::from_shape_fn((rows, classes), |(row, class)| {
        let score = |class: usize| features[[row, class]];
        let is_best = (0..classes).all(|other| score(other) <= score(class));
        if is_best && (classes > 1 || score(0) > 0.0) { 1.0 } else { 0.0 }
    });
    (features, labels)
}

/// The rows of a step's groups.
fn rows_of(program: &HeadProgram, step: usize, rows: usize) -> Vec<usize> {
    let size = program.layout().rows();
    program.batch(step).flat_map(|group| group * size..rows.min((group + 1) * size)).collect()
}

/// What a step makes of weights before and ahead, in the clear.
fn stepped(
    program: &HeadProgram,
    step: usize,
    (features, labels): (&Array2<f64>, &Array2<f64>),
    ahead: &Array2<f64>,
) -> Array2<f64> {
    let recipe = program.recipe();
    let rate = if 10 * step < 7 * recipe.steps { recipe.learning_rate } else { recipe.late_rate };
    let answer: Box<dyn Fn(f64) -> f64> = match recipe.loss {
        HeadLoss::Squared => Box::new(|logit| logit),
        HeadLoss::OneVersusRest { degree, range } => {
            let sigmoid = OddPolynomial::sigmoid(degree, range).unwrap();
            Box::new(move |logit| sigmoid.at(logit))
        }
    };
    let mut gradient = Array2::<f64>::zeros(ahead.dim());
    for row in rows_of(program, step, features.nrows()) {
        let features = features.slice(s![row..=row, ..]);
        let answers = features.dot(ahead).mapv(&answer);
        gradient += &features.t().dot(&(answers - labels.slice(s![row..=row, ..])));
    }
    let size = (program.batch(step).count() * program.layout().rows()) as f64;
    ahead * (1.0 - rate * recipe.weight_decay) - gradient * (rate / size)
}

#[test]
fn every_step_on_ciphertexts_is_the_step_in_the_clear_within_the_noise_model() {
    // (loss, classes, features, rows): one class beside another, several, readings; the last groups are not full.
    let heads = [(SIGMOID, 1usize, 5, 9_000), (SIGMOID, 3, 6, 5_000), (HeadLoss::Squared, 2, 3, 4_500)];
    for (loss, classes, dimension, rows) in heads {
        let recipe = Recipe {
            loss,
            steps: 4,
            rows_per_group: 8_192 / classes.next_power_of_two(),
            groups_per_batch: 2,
            learning_rate: 0.6,
            late_rate: 0.2,
            momentum: 0.9,
            weight_decay: 1e-3,
        };
        let (features, labels) = samples(rows, dimension, classes);
        let program = Arc::new(HeadProgram::new(PRESET, recipe, (rows, dimension), classes).unwrap());
        let (mut holder, keys) = Holder::new(&program.key_plan());
        let keys = Arc::new(keys);
        let groups = holder.groups(&program, (&features, &labels));
        let trainer = HeadTrainer::new(Arc::clone(&program), holder.evaluator, Arc::clone(&keys)).unwrap();
        let start = trainer.start().unwrap();
        let (mut weights, mut ahead) = (start.weights, start.ahead);
        let nothing = Array2::<f64>::zeros((dimension, classes));
        let (mut before, mut looking) = (nothing.clone(), nothing);
        for step in 0..recipe.steps {
            let batch: Vec<_> = program.batch(step).map(|group| &groups[group]).collect();
            let made = trainer.step(step, &weights, &ahead, &batch).unwrap();
            let [now, next] = [&made.weights, &made.ahead].map(|packed| holder.refresh(packed, program.top_limbs()));
            let [found, found_ahead] = [&now, &next].map(|fresh| holder.weights(&keys, &program, fresh));
            let expected = stepped(&program, step, (&features, &labels), &looking);
            let expected_ahead = &found + &((&found - &before) * recipe.momentum);
            let noise = program.noise(step, HOSPITALS);
            let mut squares = 0.0;
            for ((feature, class), found) in found.indexed_iter() {
                let rows = rows_of(&program, step, rows);
                let of_feature = rows.iter().map(|&row| features[[row, feature]].powi(2)).sum();
                let of_class = looking.column(class).iter().map(|weight| weight.powi(2)).sum();
                let deviation = noise.of_weight(of_feature, of_class);
                let off = (found - expected[[feature, class]]) / deviation;
                assert!(off.abs() < 6.0, "step {step}, weight {feature} of class {class}: {off} deviations");
                squares += off.powi(2);
                let off = (found_ahead[[feature, class]] - expected_ahead[[feature, class]]).abs();
                // What reading them adds.
                assert!(off < 2e-5, "step {step}, ahead: {off}");
            }
            let deviations = (squares / found.len() as f64).sqrt();
            assert!((0.2..2.0).contains(&deviations), "step {step}: {deviations} deviations");
            (weights, ahead, before, looking) = (made.weights, next, found, found_ahead);
        }
        let expected = shadow(&recipe, &features, &labels).unwrap();
        assert!((&before - &expected.weights).iter().all(|off| off.abs() < 1e-3));
    }
}
