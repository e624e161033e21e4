//! The walk over a program, written once for plain slots and for ciphertexts, so that the shadow
//! of an encrypted evaluation cannot differ from it in what is computed.

use rayon::prelude::*;

use crate::program::{LinearStep, Program, Step};

/// What a value must be able to do for a program to run on it. Weights are named by index.
pub(crate) trait Machine: Sync {
    type Value: Send + Sync;
    type Error: Send;

    /// rot(x, r)[i] = x[i + r] for every r; 0 copies.
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

/// Runs all steps on the ciphertexts of an image; `seen` gets every intermediate result with the index of its step.
pub(crate) fn walk<M: Machine>(
    machine: &M,
    program: &Program,
    (input, more): (M::Value, Vec<M::Value>),
    mut seen: impl FnMut(usize, &M::Value),
) -> Result<M::Value, M::Error> {
    let (mut value, mut more) = (input, more);
    for (index, step) in program.steps().iter().enumerate() {
        value = match step {
            Step::Linear(step) => linear(machine, step, &value, &more)?,
            Step::Quadratic(step) => machine.quadratic(&value, step.beta)?,
        };
        more.clear();
        seen(index, &value);
    }
    Ok(value)
}

/// `more` are the second and later ciphertexts of an image, which take the place of shifts.
fn linear<M: Machine>(
    machine: &M,
    step: &LinearStep,
    input: &M::Value,
    more: &[M::Value],
) -> Result<M::Value, M::Error> {
    let (shifts, _) = step.shifts.split_at(step.shifts.len().saturating_sub(more.len()));
    let mut shifted = machine.rotate_many(input, shifts)?;
    for input in more {
        shifted.extend(machine.rotate_many(input, &[0])?);
    }
    let rotated =
        shifted.par_iter().map(|value| machine.rotate_many(value, &step.babies)).collect::<Result<Vec<_>, _>>()?;
    drop(shifted);
    let sums = step
        .groups
        .par_iter()
        .map(|group| {
            let terms: Vec<_> = group.iter().map(|term| (&rotated[term.shift][term.baby], term.weight)).collect();
            if terms.is_empty() {
                return Ok(None);
            }
            machine.sum_products(&terms).map(Some)
        })
        .collect::<Result<Vec<_>, _>>()?;
    drop(rotated);
    // Horner's rule: the last group is rotated most often. A group may be empty, the layer is not.
    let mut value = None;
    for sum in sums.into_iter().rev() {
        value = match value {
            None => sum,
            Some(value) => {
                let turned = machine.rotate(&machine.relinearise(value)?, step.giant)?;
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
    machine.add_weight(value, step.bias)
}
