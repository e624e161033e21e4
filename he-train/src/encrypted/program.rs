//! Primes and scales of every value of a step.
//!
//! ```text
//! value                      primes, sigmoid (squares)   scale
//! features, weights ahead    11 (7)                      2^27;  2^33 D, times what unpacking multiplies
//! products X W               10 (6)                      theirs over one prime
//! logits over the range       9 (5)                      2^31
//! errors E                    5 (5)                      what the sigmoid leaves
//! errors, turned              4 (4)                      chosen so that the gradient comes to the weights' scale
//! gradient, weights           3 (3)                      2^33
//! weights ahead, before       3 (3)                      2^33 D
//! ```
//!
//! Rate and batch lie in scales and cost nothing. The momentum m = A / D is a step of small whole numbers:
//! D ahead = (D + A) weights - A weights before.

use he_agg::ckks::{CkksError, Encoder, Plaintext};
use he_agg::multiparty::KeyPlan;
use he_agg::{Params, Preset};
use ndarray::ArrayView2;
use sha2::{Digest, Sha256};

use super::error::HeadError;
use super::layout::HeadLayout;
use super::pack_tree::PackTree;
use super::sigmoid::SigmoidScales;
use crate::polynomial::OddPolynomial;
use crate::recipe::{HeadLoss, Recipe};

/// Scale of features. What it has less than a prime, the turned errors have more, which are what rounding harms most.
const FEATURES: f64 = (1u64 << 27) as f64;
/// Scale of logits: squares of 2^31 over a prime of 2^30, doubled, are at 2^31 again.
const LOGITS: f64 = (1u64 << 31) as f64;
/// Scale of weights.
const WEIGHTS: f64 = (1u64 << 33) as f64;
/// log2 of the largest coefficient that is refreshed.
const REFRESHED_LOG2: f64 = 39.0;
/// Largest feature.
pub const FEATURE_MAX: f64 = 16.0;
/// Numerators and denominators of a momentum.
const MOMENTUM_PARTS: f64 = 20.0;
/// Degree for which the levels are laid out.
const DEGREE: usize = 13;
/// Levels of the sigmoid.
const SIGMOID_LEVELS: usize = 4;
/// Levels of everything else: product, turn; turn, product.
const OTHER_LEVELS: usize = 4;

/// How a recipe is followed on ciphertexts.
#[derive(Debug, Clone)]
pub struct HeadProgram {
    pub(super) params: &'static Params,
    recipe: Recipe,
    layout: HeadLayout,
    tree: PackTree,
    classes: usize,
    groups: usize,
    sigmoid: Option<OddPolynomial>,
}

impl HeadProgram {
    /// For so many rows of features, and classes; of a recipe whose groups are what fits one ciphertext.
    ///
    /// # Errors
    /// [`HeadError`] names what does not fit.
    pub fn new(
        preset: Preset,
        recipe: Recipe,
        (rows, dimension): (usize, usize),
        classes: usize,
    ) -> Result<Self, HeadError> {
        recipe.check((rows, dimension), (rows, classes))?;
        let params = preset.params();
        let sigmoid = match recipe.loss {
            HeadLoss::Squared => None,
            HeadLoss::OneVersusRest { degree, range } => {
                let fitted = OddPolynomial::sigmoid(degree, range).filter(|_| degree == DEGREE);
                Some(fitted.ok_or(HeadError::Degree { found: degree })?)
            }
        };
        if params.limbs_per_level != 1 || params.depth() < OTHER_LEVELS + SIGMOID_LEVELS || params.base_limbs != 3 {
            return Err(HeadError::Preset { preset });
        }
        let layout = HeadLayout::new(params.slots(), dimension, classes)?;
        if recipe.rows_per_group != layout.rows() {
            return Err(HeadError::RowsPerGroup { found: recipe.rows_per_group, expected: layout.rows() });
        }
        let program =
            Self { params, recipe, layout, tree: PackTree::new(layout), classes, groups: layout.groups(rows), sigmoid };
        program.momentum()?;
        Ok(program)
    }

    /// SHA-256 of everything that a step depends on but what is encrypted. Who has another one trains another head.
    pub fn digest(&self) -> [u8; 32] {
        let recipe = &self.recipe;
        let (degree, range) = match recipe.loss {
            HeadLoss::Squared => (0, 0.0),
            HeadLoss::OneVersusRest { degree, range } => (degree, range),
        };
        let mut hash = Sha256::new();
        hash.update(b"he-train/program/v1");
        hash.update(self.params.digest());
        let sizes = [recipe.steps, recipe.rows_per_group, recipe.groups_per_batch, degree];
        for size in sizes.into_iter().chain([self.layout.dimension(), self.classes, self.groups]) {
            hash.update((size as u64).to_le_bytes());
        }
        for setting in [range, recipe.learning_rate, recipe.late_rate, recipe.momentum, recipe.weight_decay] {
            hash.update(setting.to_bits().to_le_bytes());
        }
        hash.finalize().into()
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Where everything stands.
    pub fn layout(&self) -> HeadLayout {
        self.layout
    }

    /// What makes few ciphertexts of the weights.
    pub fn tree(&self) -> PackTree {
        self.tree
    }

    /// What is followed.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Classes that are in use.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Groups of rows.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The groups of a step, counted from 0, in turn.
    pub fn batch(&self, step: usize) -> impl Iterator<Item = usize> {
        let (groups, batch) = (self.groups, self.batch_groups());
        (0..batch).map(move |turn| (step * batch + turn) % groups)
    }

    fn batch_groups(&self) -> usize {
        self.groups.min(self.recipe.groups_per_batch)
    }

    /// Primes of features and of refreshed weights.
    pub fn top_limbs(&self) -> usize {
        let sigmoid = if self.sigmoid.is_some() { SIGMOID_LEVELS } else { 0 };
        self.params.base_limbs + OTHER_LEVELS + sigmoid
    }

    /// Primes of the logits.
    pub(super) fn logit_limbs(&self) -> usize {
        self.top_limbs() - 2
    }

    /// Primes of the errors, hence of labels.
    pub fn error_limbs(&self) -> usize {
        self.params.base_limbs + 2
    }

    /// Primes of weights and gradients.
    pub(super) fn weight_limbs(&self) -> usize {
        self.params.base_limbs
    }

    /// Half of the logits' span, 1 where they need none.
    pub(super) fn range(&self) -> f64 {
        self.sigmoid.as_ref().map_or(1.0, OddPolynomial::range)
    }

    pub(super) fn sigmoid(&self) -> Option<&OddPolynomial> {
        self.sigmoid.as_ref()
    }

    /// q_index.
    pub(super) fn prime(&self, index: usize) -> f64 {
        f64::from(self.params.q[index].modulus().value())
    }

    /// Of the features.
    pub(super) fn feature_scale(&self) -> f64 {
        FEATURES
    }

    /// Of the weights.
    pub(super) fn weight_scale(&self) -> f64 {
        WEIGHTS
    }

    /// Of the weights ahead, also before they are refreshed.
    pub fn ahead_scale(&self) -> f64 {
        WEIGHTS * self.momentum().map_or(1.0, |[_, whole]| whole)
    }

    /// Of X W over the range.
    pub(super) fn product_scale(&self) -> f64 {
        let unpacked = self.ahead_scale() * self.tree.capacity() as f64;
        FEATURES * unpacked / self.prime(self.top_limbs() - 1) * self.range()
    }

    /// Of logits over the range.
    pub(super) fn logit_scale(&self) -> f64 {
        LOGITS
    }

    /// Of errors, hence of labels.
    pub(super) fn error_scale(&self) -> f64 {
        match &self.sigmoid {
            Some(sigmoid) => self.sigmoid_scales(sigmoid).errors,
            None => LOGITS,
        }
    }

    pub(super) fn sigmoid_scales(&self, sigmoid: &OddPolynomial) -> SigmoidScales {
        SigmoidScales::new(sigmoid, (LOGITS, self.logit_limbs()), |index| self.prime(index))
    }

    /// Of turned errors, where they are to be a step of so long a rate.
    pub(super) fn turned_scale(&self, rate: f64) -> f64 {
        WEIGHTS * self.share(rate) * self.prime(self.weight_limbs()) / FEATURES
    }

    /// The rate over the rows of a step.
    pub(super) fn share(&self, rate: f64) -> f64 {
        rate / (self.batch_groups() * self.layout.rows()) as f64
    }

    /// A and D of the momentum, whole numbers.
    pub(super) fn momentum(&self) -> Result<[f64; 2], HeadError> {
        let found = self.recipe.momentum;
        let part = (found * MOMENTUM_PARTS).round();
        if (found * MOMENTUM_PARTS - part).abs() > 1e-9 {
            return Err(HeadError::Momentum { found });
        }
        let divisor = [20.0, 10.0, 5.0, 4.0, 2.0].into_iter().find(|d| part % d == 0.0).unwrap_or(1.0);
        Ok([part / divisor, MOMENTUM_PARTS / divisor])
    }

    /// Whether a refresh carries weights ahead of so much, absolute.
    ///
    /// # Errors
    /// [`HeadError::Weights`].
    pub fn check_weights(&self, found: f64) -> Result<(), HeadError> {
        // A polynomial that repeats every C slots has no coefficient above its largest slot.
        let limit = REFRESHED_LOG2.exp2() / self.ahead_scale();
        if found <= limit { Ok(()) } else { Err(HeadError::Weights { found, limit }) }
    }

    /// Keys for all steps.
    pub fn key_plan(&self) -> KeyPlan {
        let (top, width) = (self.top_limbs(), self.layout.width() as i32);
        let mut plan = KeyPlan { relin_limbs: top, ..KeyPlan::default() };
        let turns = (1..width).flat_map(|turn| [turn, turn - width]);
        plan.rotations.extend(turns.map(|steps| (steps, top - 1)));
        plan.rotations.extend(self.tree.pack_steps().map(|steps| (steps, self.weight_limbs())));
        plan.rotations.extend(self.tree.unpack_steps().map(|steps| (steps, top)));
        plan
    }

    /// The features of a group, ready to be encrypted: [`HeadLayout::blocks`] of them.
    ///
    /// # Errors
    /// [`HeadError::Feature`] for one that is not finite or above [`FEATURE_MAX`].
    pub fn encode_features(
        &self,
        encoder: &Encoder,
        features: ArrayView2<'_, f64>,
        group: usize,
    ) -> Result<Vec<Plaintext>, HeadError> {
        let first = (group * self.layout.rows()).min(features.nrows());
        let last = (first + self.layout.rows()).min(features.nrows());
        let rows = features.slice(ndarray::s![first..last, ..]);
        if let Some(((_, feature), _)) =
            rows.indexed_iter().find(|(_, value)| value.is_nan() || value.abs() > FEATURE_MAX)
        {
            return Err(HeadError::Feature { feature, limit: FEATURE_MAX });
        }
        let encode = |block| encoder.encode(&self.layout.features(features, group, block), FEATURES, self.top_limbs());
        Ok((0..self.layout.blocks()).map(encode).collect::<Result<_, CkksError>>()?)
    }

    /// What the answers of a group are compared with, ready to be encrypted, and to be added: minus the labels, plus
    /// the middle of the sigmoid.
    ///
    /// # Errors
    /// Labels that are none.
    pub fn encode_labels(
        &self,
        encoder: &Encoder,
        labels: ArrayView2<'_, f64>,
        group: usize,
    ) -> Result<Plaintext, HeadError> {
        let middle = if self.sigmoid.is_some() { 0.5 } else { 0.0 };
        let mut slots = self.layout.labels(labels, group, -middle);
        slots.iter_mut().for_each(|value| *value = -*value);
        Ok(encoder.encode(&slots, self.error_scale(), self.error_limbs())?)
    }
}
