//! The steps of a program: what is computed from which ciphertexts, rotations and weights.

/// One step; each consumes one level.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Rotations times encrypted weights, folds, bias.
    Linear(LinearStep),
    /// y = x (x + beta).
    Quadratic(QuadraticStep),
}

impl Step {
    /// Index of the layer this step evaluates.
    #[must_use]
    pub fn layer(&self) -> usize {
        match self {
            Self::Linear(step) => step.layer,
            Self::Quadratic(step) => step.layer,
        }
    }

    /// Limbs of the ciphertext that enters.
    #[must_use]
    pub fn limbs(&self) -> usize {
        match self {
            Self::Linear(step) => step.limbs,
            Self::Quadratic(step) => step.limbs,
        }
    }
}

/// For every output, `y = bias + fold(rescale(sum over g of rot(sum over the terms of group g of
/// rot(x[input], shift + baby) * weight, g * giant)))`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearStep {
    /// Index of the layer.
    pub layer: usize,
    /// Limbs of the ciphertext that enters; weights have as many.
    pub limbs: usize,
    /// Ciphertexts that enter.
    pub inputs: usize,
    /// First rotations, hoisted on every input; 0 stands for the input itself.
    pub shifts: Vec<i32>,
    /// Second rotations, hoisted on every shifted input; starts with 0.
    pub babies: Vec<i32>,
    /// Rotation between two groups, applied by Horner's rule from the last group.
    pub giant: i32,
    /// Ciphertexts that leave, at least one, all with the same number of groups.
    pub outputs: Vec<LinearOutput>,
    /// y := y + rot(y, fold), in this order, after rescaling.
    pub folds: Vec<i32>,
}

impl LinearStep {
    /// All products.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.outputs.iter().flat_map(|output| output.groups.iter().flatten())
    }

    /// Groups of each output.
    #[must_use]
    pub fn giants(&self) -> usize {
        self.outputs.first().map_or(0, |output| output.groups.len())
    }
}

/// What one ciphertext that leaves a linear step is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearOutput {
    /// Products of each group.
    pub groups: Vec<Vec<Term>>,
    /// Weight vector added last, at the limbs and scale after rescaling.
    pub bias: usize,
}

/// One product: input `input` rotated by `shifts[shift] + babies[baby]` times a weight vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Which ciphertext that enters.
    pub input: usize,
    /// Index into `shifts`.
    pub shift: usize,
    /// Index into `babies`.
    pub baby: usize,
    /// Index into the program's weights.
    pub weight: usize,
}

/// y = x (x + beta) in every slot.
#[derive(Clone, Debug, PartialEq)]
pub struct QuadraticStep {
    /// Index of the layer.
    pub layer: usize,
    /// Limbs of the ciphertexts that enter; beta has as many.
    pub limbs: usize,
    /// For every ciphertext the weight vector with beta where elements live and zero elsewhere.
    pub betas: Vec<usize>,
}
