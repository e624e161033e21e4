//! Stochastic gradient descent over any [`Number`].

use rayon::prelude::*;

use crate::network::Network;
use crate::number::{Function, Number};

/// What is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Cross-entropy of one sigmoid a class.
    OneVersusRest,
    /// Squares of differences.
    Squared,
}

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// What is made small.
    pub loss: Loss,
    /// Times that every sample is seen.
    pub epochs: usize,
    /// Samples a step, at least 1.
    pub batch: usize,
    /// Step length; a third of it in the last three tenths.
    pub rate: f64,
    /// Share of a step that the next one repeats.
    pub momentum: f64,
}

/// Parts of a batch that are summed apart, whatever the number of threads: the order of a sum decides its last bits.
const PARTS: usize = 4;

/// Trains; `input` and `target` hold `rows` samples one after another, each batch the next ones in that order.
pub(crate) fn train<N: Number>(
    network: &Network,
    recipe: &Recipe,
    (input, target, rows): (&[N], &[N], usize),
    mut weights: Vec<N>,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<N> {
    let (wide, tall) = (input.len() / rows.max(1), target.len() / rows.max(1));
    let batches = rows.div_ceil(recipe.batch);
    let steps = recipe.epochs * batches;
    let mut velocity = vec![N::ZERO; weights.len()];
    for step in 0..steps {
        let first = step % batches * recipe.batch;
        let batch: Vec<usize> = (first..rows.min(first + recipe.batch)).collect();
        let gradient = batch
            .par_chunks(batch.len().div_ceil(PARTS))
            .map(|part| {
                let mut gradient = vec![N::ZERO; weights.len()];
                for &row in part {
                    let values = network.forward(&weights, &input[row * wide..(row + 1) * wide]);
                    let given = values.last().map_or(&[][..], Vec::as_slice);
                    let wanted = &target[row * tall..(row + 1) * tall];
                    let error = given.iter().zip(wanted).map(|(&given, &wanted)| answer(given, recipe.loss) - wanted);
                    network.backward(&weights, &values, error.collect(), &mut gradient);
                }
                gradient
            })
            .collect::<Vec<_>>();
        let rate = if 10 * step < 7 * steps { recipe.rate } else { recipe.rate / 3.0 };
        for (index, (weight, velocity)) in weights.iter_mut().zip(&mut velocity).enumerate() {
            *velocity = velocity.scaled(recipe.momentum);
            gradient.iter().for_each(|part| *velocity += part[index].scaled(1.0 / batch.len() as f64));
            *weight -= velocity.scaled(rate);
        }
        progress(step + 1, steps);
    }
    weights
}

/// Answers to `rows` samples, one after another.
pub(crate) fn answers<N: Number>(network: &Network, loss: Loss, (input, rows): (&[N], usize), weights: &[N]) -> Vec<N> {
    let wide = input.len() / rows.max(1);
    let one = |row: usize| {
        let values = network.forward(weights, &input[row * wide..(row + 1) * wide]);
        values.last().into_iter().flatten().map(|&given| answer(given, loss)).collect::<Vec<N>>()
    };
    (0..rows).into_par_iter().flat_map_iter(one).collect()
}

fn answer<N: Number>(given: N, loss: Loss) -> N {
    match loss {
        Loss::OneVersusRest => given.applied(Function::Sigmoid),
        Loss::Squared => given,
    }
}
