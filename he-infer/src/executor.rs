//! The walk over a program, written once for plain slots and for ciphertexts, so that the shadow
//! of an encrypted evaluation cannot differ from it in what is computed.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::program::Program;
use crate::step::{LinearStep, QuadraticStep, Step, Term};

/// What a value must be able to do for a program to run on it. Weights are named by index.
pub(crate) trait Machine: Sync {
    type Value: Clone + Send + Sync;
    type Error: Send;

    /// rot(x, r)[i] = x[i + r] for every r, none of which is 0.
    fn rotate_many(&self, x: &Self::Value, rotations: &[i32]) -> Result<Vec<Self::Value>, Self::Error>;
    /// rot(x, r).
    fn rotate(&self, x: &Self::Value, rotation: i32) -> Result<Self::Value, Self::Error>;
    /// Sums of values times weights, none of them empty, neither relinearised nor rescaled.
    fn sum_products(&self, sums: &[Vec<(&Self::Value, usize)>]) -> Result<Vec<Self::Value>, Self::Error>;
    /// The result of a layer without products, which no checked network has.
    fn nothing(&self) -> Result<Self::Value, Self::Error>;
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
    values.into_owned().pop().map_or_else(|| machine.nothing(), Ok)
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
    let value = |term: &Term| (rotated[term.input][term.shift][term.baby].as_ref(), term.weight);
    let groups = step.outputs.iter().flat_map(|output| &output.groups).filter(|group| !group.is_empty());
    let sums: Vec<Vec<_>> = groups.map(|group| group.iter().map(value).collect()).collect();
    let mut sums = machine.sum_products(&sums)?.into_iter();
    drop(rotated);
    // Back to one list per output, with nothing for an empty group.
    let mut of_group = |group: &Vec<Term>| if group.is_empty() { None } else { sums.next() };
    let sums: Vec<Vec<_>> =
        step.outputs.iter().map(|output| output.groups.iter().map(&mut of_group).collect()).collect();
    sums.into_par_iter().zip(&step.outputs).map(|(sums, output)| finish(machine, step, sums, output.bias)).collect()
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

/// One ciphertext of the result, from the sums of its groups.
fn finish<M: Machine>(
    machine: &M,
    step: &LinearStep,
    sums: Vec<Option<M::Value>>,
    bias: usize,
) -> Result<M::Value, M::Error> {
    let relinearise = |(index, sum): (usize, Option<M::Value>)| match sum {
        // The first group is relinearised together with the rescaling.
        Some(sum) if index > 0 => machine.relinearise(sum).map(Some),
        sum => Ok(sum),
    };
    let sums = sums.into_par_iter().enumerate().map(relinearise).collect::<Result<Vec<_>, _>>()?;
    // Horner's rule: the last group is rotated most often.
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
    let mut value = machine.rescale(value.map_or_else(|| machine.nothing(), Ok)?)?;
    for fold in &step.folds {
        value = machine.add(machine.rotate(&value, *fold)?, &value)?;
    }
    machine.add_weight(value, bias)
}
