//! The walk over a program, written once for plain slots and for ciphertexts, so that the shadow
//! of an encrypted evaluation cannot differ from it in what is computed.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::program::Program;
use crate::step::{LinearStep, Step, Term};

/// What a value must be able to do for a program to run on it. Weights are named by index.
///
/// The operations on lists have default bodies, value by value; a machine that is faster with
/// whole batches has its own.
pub(crate) trait Machine: Sync {
    type Value: Clone + Send + Sync;
    type Error: Send;

    /// rot(x, r).
    fn rotate(&self, x: &Self::Value, rotation: i32) -> Result<Self::Value, Self::Error>;
    /// Sums of values times weights, none of them empty, neither relinearised nor rescaled.
    fn sum_products(&self, sums: &[Vec<(&Self::Value, usize)>]) -> Result<Vec<Self::Value>, Self::Error>;
    /// The result of a layer without products, which no checked network has.
    fn nothing(&self) -> Result<Self::Value, Self::Error>;
    /// x + y.
    fn add(&self, x: Self::Value, y: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Relinearises a sum of products.
    fn relinearise(&self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// Relinearises a sum of products and drops one level.
    fn rescale(&self, x: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// x plus a weight.
    fn add_weight(&self, x: Self::Value, weight: usize) -> Result<Self::Value, Self::Error>;
    /// x (x + weight), rescaled.
    fn quadratic(&self, x: &Self::Value, weight: usize) -> Result<Self::Value, Self::Error>;

    /// Every value rotated by every rotation, none of which is 0: one list per value.
    fn rotate_many(&self, x: &[&Self::Value], rotations: &[i32]) -> Result<Vec<Vec<Self::Value>>, Self::Error> {
        let one = |x: &&Self::Value| rotations.iter().map(|rotation| self.rotate(x, *rotation)).collect();
        x.par_iter().map(one).collect()
    }
    /// Every value rotated by the same rotation.
    fn rotate_all(&self, x: &[&Self::Value], rotation: i32) -> Result<Vec<Self::Value>, Self::Error> {
        x.par_iter().map(|x| self.rotate(x, rotation)).collect()
    }
    /// x + y of every pair.
    fn add_all(&self, x: Vec<Self::Value>, y: &[&Self::Value]) -> Result<Vec<Self::Value>, Self::Error> {
        x.into_par_iter().zip(y).map(|(x, y)| self.add(x, y)).collect()
    }
    /// Every sum of products relinearised.
    fn relinearise_all(&self, x: &[&Self::Value]) -> Result<Vec<Self::Value>, Self::Error> {
        x.par_iter().map(|x| self.relinearise(x)).collect()
    }
    /// Every sum of products relinearised and one level lower.
    fn rescale_all(&self, x: &[&Self::Value]) -> Result<Vec<Self::Value>, Self::Error> {
        x.par_iter().map(|x| self.rescale(x)).collect()
    }
    /// Every value plus its weight.
    fn add_weights(&self, x: Vec<Self::Value>, weights: &[usize]) -> Result<Vec<Self::Value>, Self::Error> {
        x.into_par_iter().zip(weights).map(|(x, weight)| self.add_weight(x, *weight)).collect()
    }
    /// x (x + weight) of every pair, rescaled.
    fn quadratics(&self, pairs: &[(&Self::Value, usize)]) -> Result<Vec<Self::Value>, Self::Error> {
        pairs.par_iter().map(|(x, weight)| self.quadratic(x, *weight)).collect()
    }
}

/// Runs all steps on the ciphertexts of several queries at once; `seen` gets all ciphertexts after
/// every step, query by query, with the index of the step. The last layer is dense and leaves one
/// ciphertext per query.
pub(crate) fn walk<M: Machine>(
    machine: &M,
    program: &Program,
    queries: &[&[M::Value]],
    mut seen: impl FnMut(usize, &[M::Value]),
) -> Result<Vec<M::Value>, M::Error> {
    let mut values = queries.concat();
    for (index, step) in program.steps().iter().enumerate() {
        values = match step {
            Step::Linear(step) => linear(machine, step, &values)?,
            Step::Quadratic(step) => {
                let betas = step.betas.iter().cycle();
                machine.quadratics(&values.iter().zip(betas.copied()).collect::<Vec<_>>())?
            }
        };
        seen(index, &values);
    }
    if values.len() == queries.len() { Ok(values) } else { queries.iter().map(|_| machine.nothing()).collect() }
}

/// The inputs of all queries, as many for each; likewise the result.
fn linear<M: Machine>(machine: &M, step: &LinearStep, inputs: &[M::Value]) -> Result<Vec<M::Value>, M::Error> {
    let shifted = turn(machine, &inputs.iter().collect::<Vec<_>>(), &step.shifts)?;
    let bases: Vec<_> = shifted.iter().flatten().map(AsRef::as_ref).collect();
    let rotated = turn(machine, &bases, &step.babies)?;
    let of_query = |query: usize| {
        let rotated = &rotated;
        move |term: &Term| {
            let input = (query * step.inputs + term.input) * step.shifts.len() + term.shift;
            (rotated[input][term.baby].as_ref(), term.weight)
        }
    };
    let queries = inputs.len() / step.inputs.max(1);
    let groups = || step.outputs.iter().flat_map(|output| &output.groups);
    let filled = |query: usize| groups().filter(|group| !group.is_empty()).map(move |group| (query, group));
    let sums: Vec<Vec<_>> =
        (0..queries).flat_map(filled).map(|(query, group)| group.iter().map(of_query(query)).collect()).collect();
    let mut sums = machine.sum_products(&sums)?.into_iter();
    drop(rotated);
    drop(shifted);
    // Back to one list per output, with nothing for an empty group.
    let mut of_group = |group: &Vec<Term>| if group.is_empty() { None } else { sums.next() };
    let mut results = Vec::with_capacity(queries * step.outputs.len());
    for _ in 0..queries {
        results.extend(step.outputs.iter().map(|output| output.groups.iter().map(&mut of_group).collect()));
    }
    let biases = step.outputs.iter().map(|output| output.bias).cycle();
    finish(machine, step, results, biases)
}

/// One value under every rotation.
type Turned<'v, M> = Vec<Cow<'v, <M as Machine>::Value>>;

/// Every value rotated by every rotation; it is not copied where it is not rotated.
fn turn<'v, M: Machine>(
    machine: &M,
    values: &[&'v M::Value],
    rotations: &[i32],
) -> Result<Vec<Turned<'v, M>>, M::Error> {
    let moving: Vec<i32> = rotations.iter().copied().filter(|rotation| *rotation != 0).collect();
    let moved = if moving.is_empty() {
        values.iter().map(|_| Vec::new()).collect()
    } else {
        machine.rotate_many(values, &moving)?
    };
    let one = |(value, moved): (&&'v M::Value, Vec<M::Value>)| {
        let mut moved = moved.into_iter();
        let turned = rotations.iter().filter_map(|rotation| match rotation {
            0 => Some(Cow::Borrowed(*value)),
            _ => moved.next().map(Cow::Owned),
        });
        turned.collect()
    };
    Ok(values.iter().zip(moved).map(one).collect())
}

/// The ciphertexts of the result, each from the sums of its groups: all take every step together.
fn finish<M: Machine>(
    machine: &M,
    step: &LinearStep,
    mut results: Vec<Vec<Option<M::Value>>>,
    biases: impl Iterator<Item = usize>,
) -> Result<Vec<M::Value>, M::Error> {
    // The first group is relinearised together with the rescaling.
    let later = || 1..step.giants();
    let sums: Vec<_> = results.iter().flat_map(|sums| later().filter_map(|group| sums.get(group)?.as_ref())).collect();
    let mut relinearised = machine.relinearise_all(&sums)?.into_iter();
    for sum in results.iter_mut().flat_map(|sums| sums.iter_mut().skip(1)) {
        *sum = sum.take().and_then(|_| relinearised.next());
    }
    // Horner's rule: the last group is rotated most often.
    let mut values: Vec<Option<M::Value>> = results.iter().map(|_| None).collect();
    for group in (0..step.giants()).rev() {
        let turned = machine.rotate_all(&values.iter().flatten().collect::<Vec<_>>(), step.giant)?;
        let mut turned = turned.into_iter();
        let turned: Vec<_> = values.iter().map(|value| value.as_ref().and_then(|_| turned.next())).collect();
        let mut sums: Vec<_> = results.iter_mut().map(|sums| sums.get_mut(group).and_then(Option::take)).collect();
        let both: Vec<_> = (0..sums.len()).filter(|place| sums[*place].is_some() && turned[*place].is_some()).collect();
        let left = both.iter().filter_map(|place| sums[*place].take()).collect();
        let right: Vec<_> = both.iter().filter_map(|place| turned[*place].as_ref()).collect();
        for (place, sum) in both.iter().zip(machine.add_all(left, &right)?) {
            sums[*place] = Some(sum);
        }
        values = sums.into_iter().zip(turned).map(|(sum, turned)| sum.or(turned)).collect();
    }
    let values = values.into_iter().map(|value| value.map_or_else(|| machine.nothing(), Ok));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let mut values = machine.rescale_all(&values.iter().collect::<Vec<_>>())?;
    for fold in &step.folds {
        let turned = machine.rotate_all(&values.iter().collect::<Vec<_>>(), *fold)?;
        values = machine.add_all(turned, &values.iter().collect::<Vec<_>>())?;
    }
    let biases: Vec<usize> = biases.take(values.len()).collect();
    machine.add_weights(values, &biases)
}
