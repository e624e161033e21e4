//! What an evaluation step costs on one core, to choose between ways to lower a layer.
//!
//! The unit is one eighth of the transform of one limb. The counts follow hybrid key switching:
//! a lift transforms every digit to every prime, a division transforms both halves; weights of
//! inner products and of products of ciphertexts were fitted to measurements.

use he_agg::Params;

use crate::step::{LinearStep, Step};

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
    fn lift(self, limbs: usize) -> usize {
        8 * self.extended(limbs)
    }

    /// A rotation of a ciphertext whose digits are lifted.
    fn hoisted(self, limbs: usize) -> usize {
        16 * (limbs + self.special) + 2 * self.extended(limbs)
    }

    /// A rotation, or a relinearisation.
    pub(crate) fn switch(self, limbs: usize) -> usize {
        self.lift(limbs) + self.hoisted(limbs)
    }

    /// A product of two ciphertexts within a sum.
    pub(crate) fn product(limbs: usize) -> usize {
        5 * limbs
    }

    /// What one rotation key counts: keys take part in the ceremony and stay in memory.
    fn key(self, limbs: usize) -> usize {
        self.key_worth * self.hoisted(limbs) / 4
    }

    /// The number of baby steps that makes `count` rotations of each of `inputs` values, summed to
    /// `outputs` values, cheapest.
    pub(crate) fn split(self, count: usize, (inputs, outputs): (usize, usize), limbs: usize) -> Split {
        let cost = |babies: usize| {
            let giants = count.div_ceil(babies);
            let baby = if babies > 1 { self.lift(limbs) + (babies - 1) * self.hoisted(limbs) } else { 0 };
            let keys = babies - 1 + usize::from(giants > 1);
            inputs * baby + outputs * (2 * giants - 1) * self.switch(limbs) + keys * self.key(limbs)
        };
        let splits = (1..=count.max(1)).map(|babies| Split { babies, cost: cost(babies) });
        splits.min_by_key(|split| split.cost).unwrap_or(Split { babies: 1, cost: 0 })
    }

    /// What all steps of a program cost together.
    pub(crate) fn steps(self, params: &Params, steps: &[Step]) -> usize {
        let one = |step: &Step| match step {
            Step::Linear(step) => self.linear(step, step.limbs - params.limbs_per_level),
            Step::Quadratic(step) => step.betas.len() * (Self::product(step.limbs) + self.switch(step.limbs)),
        };
        steps.iter().map(one).sum()
    }

    fn linear(self, step: &LinearStep, after: usize) -> usize {
        let limbs = step.limbs;
        let turns = |rotations: &[i32]| match rotations.iter().filter(|rotation| **rotation != 0).count() {
            0 => 0,
            some => self.lift(limbs) + some * self.hoisted(limbs),
        };
        let switches = step.outputs.len() * (2 * step.giants() - 1);
        step.inputs * (turns(&step.shifts) + step.shifts.len() * turns(&step.babies))
            + step.terms().count() * Self::product(limbs)
            + switches * self.switch(limbs)
            + step.outputs.len() * step.folds.len() * self.switch(after)
    }
}
