//! What an evaluation step costs, to choose between ways to lower a layer and to predict its time.
//!
//! The unit of a cost is one eighth of the transform of one limb. The counts follow hybrid key
//! switching: a lift transforms every digit to every prime, a division transforms both halves;
//! weights of inner products and of products of ciphertexts were fitted to measurements.

use std::ops::{Add, Mul};

use he_agg::Params;

use crate::program::Program;
use crate::step::{LinearStep, Step};

/// Passes over one limb of N residues that an evaluation takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Number-theoretic transforms, forward or back.
    pub transforms: usize,
    /// Multiply-accumulates with switching keys.
    pub key_products: usize,
    /// Products of two ciphertexts, four multiply-accumulates each.
    pub products: usize,
}

/// What a machine takes for one limb of a parameter set, with as many threads as will evaluate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineFigures {
    /// Microseconds of one transform and its share of conversions between primes.
    pub transform_us: f64,
    /// Microseconds of one product of two ciphertexts within a sum.
    pub product_us: f64,
}

impl MachineFigures {
    /// The figures of a machine that takes `rotation_us` for one rotation and `product_us` for one
    /// product within a sum, both of ciphertexts of `limbs` limbs.
    #[must_use]
    pub fn measured(params: &Params, limbs: usize, rotation_us: f64, product_us: f64) -> Self {
        let rotation = Cost::new(params, 0).switch_work(limbs);
        let product_us = product_us / limbs.max(1) as f64;
        let transforms_us = rotation_us - rotation.key_products as f64 / 4.0 * product_us;
        // At least half: a rotation is mostly transforms, whatever a busy machine makes of products.
        let transform_us = transforms_us.max(rotation_us / 2.0) / rotation.transforms.max(1) as f64;
        Self { transform_us, product_us }
    }
}

impl Work {
    /// Predicted milliseconds on that machine.
    #[must_use]
    pub fn milliseconds(self, machine: &MachineFigures) -> f64 {
        let products = self.products as f64 + self.key_products as f64 / 4.0;
        1e-3 * (self.transforms as f64 * machine.transform_us + products * machine.product_us)
    }

    fn units(self) -> usize {
        8 * self.transforms + self.key_products + 5 * self.products
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            transforms: self.transforms + other.transforms,
            key_products: self.key_products + other.key_products,
            products: self.products + other.products,
        }
    }
}

impl Mul<usize> for Work {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        Self {
            transforms: self.transforms * times,
            key_products: self.key_products * times,
            products: self.products * times,
        }
    }
}

impl Program {
    /// What one evaluation on an encrypted model takes, whatever the number of images.
    #[must_use]
    pub fn work(&self) -> Work {
        Cost::new(self.params(), 0).steps(self.params(), self.steps())
    }

    /// What one evaluation costs, in eighths of a transform.
    pub(crate) fn cost(&self) -> usize {
        self.work().units()
    }
}

/// Costs of one parameter set.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    alpha: usize,
    special: usize,
    key_worth: usize,
}

/// A number of baby steps and what the rotations and relinearisations then cost.
#[derive(Clone, Copy)]
pub(crate) struct Split {
    pub(crate) babies: usize,
    pub(crate) cost: usize,
}

impl Cost {
    /// `key_worth`: what sparing a rotation key is worth, in quarters of a hoisted rotation.
    pub(crate) fn new(params: &Params, key_worth: usize) -> Self {
        Self { alpha: params.alpha.max(1), special: params.p.len(), key_worth }
    }

    /// Residues of one half of a key.
    fn extended(self, limbs: usize) -> usize {
        limbs.div_ceil(self.alpha) * (limbs + self.special)
    }

    /// Lifts the digits of a ciphertext.
    fn lift(self, limbs: usize) -> Work {
        Work { transforms: self.extended(limbs), ..Work::default() }
    }

    /// A rotation of a ciphertext whose digits are lifted.
    fn hoisted(self, limbs: usize) -> Work {
        let transforms = 2 * (limbs + self.special);
        Work { transforms, key_products: 2 * self.extended(limbs), ..Work::default() }
    }

    fn switch_work(self, limbs: usize) -> Work {
        self.lift(limbs) + self.hoisted(limbs)
    }

    /// A rotation, or a relinearisation.
    pub(crate) fn switch(self, limbs: usize) -> usize {
        self.switch_work(limbs).units()
    }

    /// A product of two ciphertexts within a sum.
    pub(crate) fn product(limbs: usize) -> usize {
        Work { products: limbs, ..Work::default() }.units()
    }

    /// What one rotation key counts: keys take part in the ceremony and stay in memory.
    fn key(self, limbs: usize) -> usize {
        self.key_worth * self.hoisted(limbs).units() / 4
    }

    /// The number of baby steps that makes `count` rotations of each of `inputs` values, summed to
    /// `outputs` values, cheapest.
    pub(crate) fn split(self, count: usize, (inputs, outputs): (usize, usize), limbs: usize) -> Split {
        let cost = |babies: usize| {
            let giants = count.div_ceil(babies);
            let baby = if babies > 1 { (self.lift(limbs) + self.hoisted(limbs) * (babies - 1)).units() } else { 0 };
            let keys = babies - 1 + usize::from(giants > 1);
            inputs * baby + outputs * (2 * giants - 1) * self.switch(limbs) + keys * self.key(limbs)
        };
        let splits = (1..=count.max(1)).map(|babies| Split { babies, cost: cost(babies) });
        splits.min_by_key(|split| split.cost).unwrap_or(Split { babies: 1, cost: 0 })
    }

    /// What all steps of a program take together.
    fn steps(self, params: &Params, steps: &[Step]) -> Work {
        let one = |step: &Step| match step {
            Step::Linear(step) => self.linear(step, step.limbs - params.limbs_per_level),
            Step::Quadratic(step) => {
                let product = Work { products: step.limbs, ..Work::default() };
                (product + self.switch_work(step.limbs)) * step.betas.len()
            }
        };
        steps.iter().map(one).fold(Work::default(), Add::add)
    }

    fn linear(self, step: &LinearStep, after: usize) -> Work {
        let limbs = step.limbs;
        let turns = |rotations: &[i32]| match rotations.iter().filter(|rotation| **rotation != 0).count() {
            0 => Work::default(),
            some => self.lift(limbs) + self.hoisted(limbs) * some,
        };
        let products = Work { products: limbs * step.terms().count(), ..Work::default() };
        (turns(&step.shifts) + turns(&step.babies) * step.shifts.len()) * step.inputs
            + products
            + self.switch_work(limbs) * (step.outputs.len() * (2 * step.giants() - 1))
            + self.switch_work(after) * (step.outputs.len() * step.folds.len())
    }
}

#[cfg(test)]
mod tests {
    use he_agg::Preset;

    use super::*;
    use crate::{ImageShape, LayerSpec, Network, NetworkError};

    #[test]
    fn the_work_of_a_tiny_program_is_the_one_counted_by_hand() -> Result<(), NetworkError> {
        let network = Network::new(ImageShape::new(1, 2, 1), vec![LayerSpec::dense(2)])?;
        let program = Program::compile(&network, Preset::Inf13.params()).ok();
        // One product and relinearisation at three limbs, folds by 2, 4, .. 2048 at two. With one
        // prime in a digit and one special prime a switch at l limbs lifts l (l + 1) residues,
        // multiplies each by both halves of the key and transforms 2 (l + 1) for the division.
        let switch = |l: usize| (l * (l + 1) + 2 * (l + 1), 2 * l * (l + 1));
        let ((top, top_keys), (fold, fold_keys)) = (switch(3), switch(2));
        let expected = Work { transforms: top + 11 * fold, key_products: top_keys + 11 * fold_keys, products: 3 };
        assert_eq!(program.map(|program| program.work()), Some(expected));
        Ok(())
    }

    #[test]
    fn time_is_the_sum_of_passes_and_a_rotation_takes_what_it_was_measured_to_take() {
        let work = Work { transforms: 1000, key_products: 400, products: 100 };
        let machine = MachineFigures { transform_us: 20.0, product_us: 10.0 };
        assert!((work.milliseconds(&machine) - 22.0).abs() < 1e-9);
        let params = Preset::Inf14x30.params();
        let machine = MachineFigures::measured(params, 7, 900.0, 70.0);
        assert!((machine.product_us - 10.0).abs() < 1e-9);
        let cost = Cost::new(params, 0);
        let rotation = cost.switch_work(7);
        assert!((rotation.milliseconds(&machine) - 0.9).abs() < 1e-9, "{rotation:?} {machine:?}");
        // Seven limbs are three digits of up to three primes, over four special primes more.
        assert_eq!(cost.lift(7), Work { transforms: 33, ..Work::default() });
        assert_eq!(cost.hoisted(7), Work { transforms: 22, key_products: 66, products: 0 });
    }
}
