//! The same program on plain f64 slots, leftovers of folds included: the definition of "plaintext
//! model" in every report, and the oracle for the encrypted executor.

use crate::executor::{Machine, walk};
use crate::forward::InputError;
use crate::program::Program;

/// A program with one set of weights, on f64 slots.
#[derive(Clone, Debug)]
pub struct ShadowExecutor<'a> {
    program: &'a Program,
    weights: Vec<Vec<f64>>,
}

impl<'a> ShadowExecutor<'a> {
    /// Encodes the parameters once.
    ///
    /// # Errors
    /// As `Program::encode_weights`.
    pub fn new(program: &'a Program, parameters: &[f32]) -> Result<Self, InputError> {
        Ok(Self { program, weights: program.encode_weights(parameters)? })
    }

    /// All slots of the result for a packed image.
    ///
    /// # Errors
    /// `Slots` if the input has another number of slots.
    pub fn run(&self, packed: &[f64]) -> Result<Vec<f64>, InputError> {
        self.program.check_slots(packed)?;
        self.program.check_inputs(1)?;
        self.only(&[packed.to_vec()], |_, _| ())
    }

    /// As `run`, for all slot vectors of a packed image, or of several images of one query.
    ///
    /// # Errors
    /// `Inputs` or `Slots` for another number of slot vectors or slots.
    pub fn run_all(&self, packed: &[Vec<f64>]) -> Result<Vec<f64>, InputError> {
        self.program.check_inputs(packed.len())?;
        packed.iter().try_for_each(|slots| self.program.check_slots(slots))?;
        self.only(packed, |_, _| ())
    }

    /// All slots after every step, for range statistics and for comparison with ciphertexts; those
    /// of a second slot vector follow those of the first.
    ///
    /// # Errors
    /// As `run`.
    pub fn trace(&self, packed: &[f64]) -> Result<Vec<Vec<f64>>, InputError> {
        self.trace_all(&[packed.to_vec()])
    }

    /// As `trace`, for all slot vectors of a query.
    ///
    /// # Errors
    /// As `run_all`.
    pub fn trace_all(&self, packed: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, InputError> {
        self.program.check_inputs(packed.len())?;
        packed.iter().try_for_each(|slots| self.program.check_slots(slots))?;
        let mut steps = Vec::with_capacity(self.program.steps().len());
        self.only(packed, |_, values| steps.push(values.concat()))?;
        Ok(steps)
    }

    /// The result of one query.
    fn only(&self, packed: &[Vec<f64>], seen: impl FnMut(usize, &[Vec<f64>])) -> Result<Vec<f64>, InputError> {
        walk(self, self.program, &[packed], seen)?.pop().map_or_else(|| self.nothing(), Ok)
    }
}

impl Machine for ShadowExecutor<'_> {
    type Value = Vec<f64>;
    type Error = InputError;

    fn rotate(&self, x: &Vec<f64>, rotation: i32) -> Result<Vec<f64>, InputError> {
        let mut turned = x.clone();
        // |rotation| is at most half the slots, so the cast is exact on every target.
        turned.rotate_left((rotation as i64).rem_euclid(x.len() as i64) as usize);
        Ok(turned)
    }

    fn sum_products(&self, sums: &[Vec<(&Vec<f64>, usize)>]) -> Result<Vec<Vec<f64>>, InputError> {
        let add_up = |terms: &Vec<(&Vec<f64>, usize)>| {
            let mut sum = vec![0.0; self.program.slots()];
            for (x, weight) in terms {
                for ((sum, x), w) in sum.iter_mut().zip(*x).zip(&self.weights[*weight]) {
                    *sum += x * w;
                }
            }
            sum
        };
        Ok(sums.iter().map(add_up).collect())
    }

    fn nothing(&self) -> Result<Vec<f64>, InputError> {
        Ok(vec![0.0; self.program.slots()])
    }

    fn add(&self, mut x: Vec<f64>, y: &Vec<f64>) -> Result<Vec<f64>, InputError> {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        Ok(x)
    }

    fn relinearise(&self, x: &Vec<f64>) -> Result<Vec<f64>, InputError> {
        Ok(x.clone())
    }

    fn rescale(&self, x: &Vec<f64>) -> Result<Vec<f64>, InputError> {
        Ok(x.clone())
    }

    fn add_weight(&self, x: Vec<f64>, weight: usize) -> Result<Vec<f64>, InputError> {
        self.add(x, &self.weights[weight])
    }

    fn quadratic(&self, x: &Vec<f64>, weight: usize) -> Result<Vec<f64>, InputError> {
        let beta = &self.weights[weight];
        Ok(x.iter().zip(beta).map(|(x, beta)| x * (x + beta)).collect())
    }
}
