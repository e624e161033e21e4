//! The walk over a program, written once for plain slots and for ciphertexts, so that the shadow
//! of an encrypted evaluation cannot differ from it in what is computed.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::program::Program;
use crate::step::{LinearOutput, LinearStep, QuadraticStep, Step};

/// What a value must be able to do for a program to run on it. Weights are named by index.
pub(crate) trait Machine: Sync {
    type Value: Clone + Send + Sync;
    type Error: Send;

    /// rot(x, r)[i] = x[i + r] for every r, none of which is 0.
    fn rotate_many(&self, x: &Self::Value, rotations: &[i32]) -> Result<Vec<Self::Value>, Self::Error>;
    /// rot(x, r).
    fn rotate(&self, x: &Self::Value, rotation: i32) -> Result<Self::Value, Self::Error>;
    /// The sum of values times weights, neither relinearised nor rescaled.
    fn sum_products(&self, terms: &[(&Self::Value, usize)]) -> Result<Self::Value, Self::Error>;
    /// x + y.
    fn add(&self, x: Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Relinearises a sum of products.
    fn relinearise(&self, x: Self::Value) -> Result<Self::Value, Self::Error>;
    /// Relinearises a sum of products and drops one level.
    fn rescale(&self, x: Self::Value) -> Result<Self::Value, Self::Error>;
    /// x plus a weight.
    fn add_weight(&self, x: Self::Value, weight: usize) -> Result<Self::Value, Self::Error>;
    /// x (x + weight), rescaled.
    fn quadratic(&self, x: &Self::Value, weight: usize) -> Result<Self::Value, Self::Error>;
}

/// Runs all steps on the ciphertexts of a query; `seen` gets all ciphertexts after every step with
/// the index of the step. The last layer is dense and leaves one.
pub(crate) fn walk<M: Machine>(
    machine: &M,
    program: &Program,
    query: &[M::Value],
    mut seen: impl FnMut(usize, &[M::Value]),
) -> Result<M::Value, M::Error> {
    let mut values = Cow::Borrowed(query);
    for (index, step) in program.steps().iter().enumerate() {
        values = Cow::Owned(match step {
            Step::Linear(step) => linear(machine, step, &values)?,
            Step::Quadratic(step) => quadratic(machine, step, &values)?,
        });
        seen(index, &values);
    }
    match values.into_owned().pop() {
        Some(value) => Ok(value),
        None => machine.sum_products(&[]),
    }
}

fn quadratic<M: Machine>(machine: &M, step: &QuadraticStep, values: &[M::Value]) -> Result<Vec<M::Value>, M::Error> {
    values.par_iter().zip(&step.betas).map(|(value, beta)| machine.quadratic(value, *beta)).collect()
}

fn linear<M: Machine>(machine: &M, step: &LinearStep, inputs: &[M::Value]) -> Result<Vec<M::Value>, M::Error> {
    let shifted = inputs.par_iter().map(|value| turn(machine, value, &step.shifts)).collect::<Result<Vec<_>, _>>()?;
    let rotated = shifted
        .par_iter()
        .map(|values| values.iter().map(|value| turn(machine, value, &step.babies)).collect::<Result<Vec<_>, _>>())
        .collect::<Result<Vec<_>, _>>()?;
    step.outputs.par_iter().map(|output| sum_output(machine, step, output, &rotated)).collect()
}

/// A value rotated by every rotation; it is not copied where it is not rotated.
fn turn<'v, M: Machine>(
    machine: &M,
    value: &'v M::Value,
    rotations: &[i32],
) -> Result<Vec<Cow<'v, M::Value>>, M::Error> {
    let moving: Vec<i32> = rotations.iter().copied().filter(|rotation| *rotation != 0).collect();
    let mut moved = if moving.is_empty() { Vec::new() } else { machine.rotate_many(value, &moving)? }.into_iter();
    let one = |rotation: &i32| match rotation {
        0 => Some(Cow::Borrowed(value)),
        _ => moved.next().map(Cow::Owned),
    };
    Ok(rotations.iter().filter_map(one).collect())
}

/// One ciphertext of the result, from the inputs by input, shift and baby step.
fn sum_output<M: Machine>(
    machine: &M,
    step: &LinearStep,
    output: &LinearOutput,
    rotated: &[Vec<Vec<Cow<'_, M::Value>>>],
) -> Result<M::Value, M::Error> {
    let sums = output
        .groups
        .par_iter()
        .enumerate()
        .map(|(index, group)| {
            let value = |input: usize, shift: usize, baby: usize| rotated[input][shift][baby].as_ref();
            let terms: Vec<_> =
                group.iter().map(|term| (value(term.input, term.shift, term.baby), term.weight)).collect();
            if terms.is_empty() {
                return Ok(None);
            }
            let sum = machine.sum_products(&terms)?;
            // The first group is relinearised together with the rescaling.
            Ok(Some(if index == 0 { sum } else { machine.relinearise(sum)? }))
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Horner's rule: the last group is rotated most often. A group may be empty, the layer is not.
    let mut value = None;
    for sum in sums.into_iter().rev() {
        value = match value {
            None => sum,
            Some(value) => {
                let turned = machine.rotate(&value, step.giant)?;
                Some(match sum {
                    None => turned,
                    Some(sum) => machine.add(sum, &turned)?,
                })
            }
        };
    }
    let value = match value {
        Some(value) => value,
        None => machine.sum_products(&[])?,
    };
    let mut value = machine.rescale(value)?;
    for fold in &step.folds {
        value = machine.add(machine.rotate(&value, *fold)?, &value)?;
    }
    machine.add_weight(value, output.bias)
}
