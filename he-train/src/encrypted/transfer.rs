//! A head that was trained on ciphertexts becomes a model that answers questions, and nobody decrypts it.
//!
//! The last refresh leaves the packages of the weights under the key of serving, in a ring of twice the degree:
//! coefficient i of a package went to 2i, times 2^60. The power of X that a vector stands at doubled with it, the rows
//! are twice as many, and what repeated every C slots still does. The served head is one dense layer, whose program
//! says in which slot of which of its vectors every weight belongs:
//!
//! ```text
//! served[t] = W[t - k],  k in 0..C:  every row has every weight, so that the next lane to the left has it
//! served    = rescale(S_0 + rot(S_1 + rot(S_2 + .., -1), -1)),  S_k = sum over W of W mask_Wk;  rot takes one key
//!
//! value           primes   scale
//! packages        10       2^93
//! vectors W       10       2^93 2^L, of 2^L vectors a package
//! masks           10       about 2^(87 - L), so that what follows is exactly
//! served           7       what the program wants, about 2^90
//! ```
//!
//! L is at most 10, so that all masks together, rounded, cost a weight 2^-66 of the largest one; what an f64 keeps of
//! them is some 2^-50, hence decides. Both are far below what training leaves of a weight at scale 2^33. The noise is
//! that of the one division by primes, about that of an encryption, since the turns come before it.

use std::collections::BTreeMap;

use he_agg::Preset;
use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, Plaintext, SCALE_TOLERANCE};
use he_agg::multiparty::{KeyPlan, RefreshEmbedding};
use he_infer::{CLASSES, EncryptedModel, ImageShape, LayerSpec, Network, Program};
use rayon::prelude::*;

use super::layout::HeadLayout;
use super::pack_tree::PackTree;
use super::program::HeadProgram;
use super::transfer_error::TransferError;

/// Its ring has twice the degree of TRN14's, and scales in which a head loses nothing.
const SERVING: Preset = Preset::Inf15x90;
/// log2 of what the last refresh multiplies by.
const RAISED_LOG2: u32 = 60;
/// Vectors that are in memory together: 4 MB each, with a mask.
const UNPACKED_AT_ONCE: usize = 64;

/// The way of one head from the packages of its training to the model that is served, see the module's text.
#[derive(Debug, Clone)]
pub struct HeadTransfer {
    program: Program,
    tree: PackTree,
    width: usize,
    package_scale: f64,
    /// What is made of every vector of weights.
    moves: Vec<Vec<Move>>,
}

/// Lanes of a vector of weights on their way to a vector of the model.
#[derive(Debug, Clone)]
struct Move {
    to: Destination,
    /// Slots, before the turn, with what they are multiplied by; the others are zero.
    mask: Vec<(usize, f64)>,
}

/// A vector of the model, and how far the masked slots are turned to the right, in 0..C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Destination {
    weight: usize,
    turn: usize,
}

impl HeadTransfer {
    /// Compiles the served head for INF15-90: one dense layer of the classes on a picture of one row of d pixels, which
    /// are the features, the constant included; its bias is nothing. A head of one class is served as two, the first of
    /// which has the logit 0: the second is the one it was trained for.
    ///
    /// # Errors
    /// [`TransferError::Network`] or [`TransferError::Compile`]; no head of a [`HeadProgram`] is too large today.
    pub fn new(head: &HeadProgram) -> Result<Self, TransferError> {
        let (layout, params) = (head.layout(), SERVING.params());
        let units = head.classes().max(*CLASSES.start());
        let image = ImageShape::new(1, 1, layout.dimension());
        let program = Program::compile(&Network::new(image, vec![LayerSpec::dense(units)])?, params)?;
        let moves = moves(&program, layout, units - head.classes());
        let (tree, package_scale) =
            (head.tree().over(params.slots()), head.weight_scale() * f64::from(RAISED_LOG2).exp2());
        Ok(Self { program, tree, width: layout.width(), package_scale, moves })
    }

    /// The served head: what questions are packed, answered and released by.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Packages that the last refresh hands over.
    pub fn packages(&self) -> usize {
        self.tree.packages()
    }

    /// Limbs they are refreshed to.
    pub fn package_limbs(&self) -> usize {
        self.program.input_limbs() + self.program.params().limbs_per_level
    }

    /// How the last refresh puts them into the ring of serving.
    pub fn embedding(&self) -> RefreshEmbedding {
        RefreshEmbedding::DoubledRing { factor_log2: RAISED_LOG2 }
    }

    /// Their scale: that of weights after a step, times 2^60.
    pub fn package_scale(&self) -> f64 {
        self.package_scale
    }

    /// Keys of the transfer alone; nothing needs them afterwards.
    pub fn key_plan(&self) -> KeyPlan {
        let mut plan = KeyPlan::default();
        plan.rotations.extend(self.tree.unpack_steps().map(|steps| (steps, self.package_limbs())));
        if self.width > 1 {
            plan.rotations.insert(-1, self.package_limbs());
        }
        plan
    }

    /// Keys of the transfer and of answers: one ceremony makes both.
    pub fn joint_key_plan(&self) -> KeyPlan {
        let mut plan = self.program.key_plan().clone();
        for (steps, limbs) in self.key_plan().rotations {
            let most = plan.rotations.entry(steps).or_insert(limbs);
            *most = limbs.max(*most);
        }
        plan
    }

    /// The model, of the packages of the weights in their order, under the same key.
    ///
    /// # Errors
    /// [`TransferError`] for other packages than those of this head, or another parameter set; a missing key.
    pub fn model<B: Backend>(
        &self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        packages: &[Ciphertext<B>],
    ) -> Result<EncryptedModel, TransferError> {
        self.check(packages)?;
        let encoder = Encoder::new(SERVING)?;
        let mut sums = BTreeMap::new();
        let tools = (evaluator, keys);
        self.tree.unpack_in_parts(tools, packages, UNPACKED_AT_ONCE, |(first, step), vectors| {
            let numbered = (first..).step_by(step).zip(&vectors);
            let moved = numbered.flat_map(|(number, vector)| {
                self.moves.get(number).into_iter().flatten().map(move |moved| (vector, moved))
            });
            self.absorb(evaluator, &encoder, &moved.collect::<Vec<_>>(), &mut sums)
        })?;
        let made = self.turned(evaluator, keys, sums)?;
        let (numbers, made): (Vec<usize>, Vec<_>) = made.into_iter().unzip();
        let made = Ciphertext::download(&made.iter().collect::<Vec<_>>(), evaluator.backend());
        let mut made: BTreeMap<_, _> = numbers.into_iter().zip(made.map_err(CkksError::from)?).collect();
        let whole = self.program.weights().iter().enumerate().map(|(number, weight)| match made.remove(&number) {
            Some(ciphertext) => Ok(ciphertext),
            // The bias.
            None => Ciphertext::zero(SERVING, weight.limbs(), weight.scale()),
        });
        let whole = whole.collect::<Result<_, _>>()?;
        Ok(EncryptedModel::new(&self.program, whole)?)
    }

    fn check<B: Backend>(&self, packages: &[Ciphertext<B>]) -> Result<(), TransferError> {
        let (found, expected) = (packages.len(), self.packages());
        if found != expected {
            return Err(TransferError::Packages { found, expected });
        }
        for (package, ciphertext) in packages.iter().enumerate() {
            let found = ciphertext.parts().len();
            if found != 2 {
                return Err(TransferError::Parts { package, found });
            }
            let (found, expected) = (ciphertext.limbs(), self.package_limbs());
            if found != expected {
                return Err(TransferError::Limbs { package, found, expected });
            }
            let (found, expected) = (ciphertext.scale(), self.package_scale);
            if (found / expected - 1.0).abs() > SCALE_TOLERANCE {
                return Err(TransferError::Scale { package, found, expected });
            }
        }
        Ok(())
    }

    /// Of the masks, so that a vector of the model comes to the scale that the program wants.
    fn mask_scale(&self, weight: usize) -> f64 {
        let (params, wanted) = (self.program.params(), self.program.weights()[weight].scale());
        let dropped = &params.q[self.program.input_limbs()..self.package_limbs()];
        let group: f64 = dropped.iter().map(|prime| f64::from(prime.modulus().value())).product();
        wanted * group / (self.package_scale * self.tree.capacity() as f64)
    }

    /// Adds masked vectors of weights to what goes the same way.
    fn absorb<B: Backend>(
        &self,
        evaluator: &Evaluator<B>,
        encoder: &Encoder,
        moved: &[(&Ciphertext<B>, &Move)],
        sums: &mut BTreeMap<Destination, Ciphertext<B>>,
    ) -> Result<(), TransferError> {
        let encode = |(_, moved): &(&Ciphertext<B>, &Move)| {
            let mut slots = vec![0.0; self.program.slots()];
            moved.mask.iter().for_each(|&(slot, value)| slots[slot] += value);
            encoder.encode(&slots, self.mask_scale(moved.to.weight), self.package_limbs())
        };
        let masks: Vec<_> = moved.par_iter().map(encode).collect::<Result<_, _>>()?;
        let masks = Plaintext::upload(&masks.iter().collect::<Vec<_>>(), evaluator.backend());
        let masks = masks.map_err(CkksError::from)?;
        let mut lists: BTreeMap<Destination, Vec<_>> = BTreeMap::new();
        for ((vector, moved), mask) in moved.iter().zip(&masks) {
            lists.entry(moved.to).or_default().push((*vector, mask));
        }
        let (ways, lists): (Vec<_>, Vec<_>) = lists.into_iter().unzip();
        let (mut known, mut before, mut more) = (Vec::new(), Vec::new(), Vec::new());
        for (way, product) in ways.into_iter().zip(evaluator.mul_plain_accumulate_all(&lists)?) {
            match sums.remove(&way) {
                Some(sum) => {
                    known.push(way);
                    before.push(sum);
                    more.push(product);
                }
                None => drop(sums.insert(way, product)),
            }
        }
        sums.extend(known.into_iter().zip(evaluator.add_all(before, &more.iter().collect::<Vec<_>>())?));
        Ok(())
    }

    /// The vectors of the model by their numbers: every sum turned to where it belongs, then one level lower.
    fn turned<B: Backend>(
        &self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        mut sums: BTreeMap<Destination, Ciphertext<B>>,
    ) -> Result<BTreeMap<usize, Ciphertext<B>>, CkksError> {
        let (mut weights, mut whole) = (Vec::new(), Vec::new());
        for weight in 0..self.program.weights().len() {
            let mut value: Option<Ciphertext<B>> = None;
            // Horner's rule: what is turned most comes first, and is turned with all that follow.
            for turn in (0..self.width).rev() {
                value = value.map(|value| evaluator.rotate(&value, -1, keys)).transpose()?;
                value = match (value, sums.remove(&Destination { weight, turn })) {
                    (Some(value), Some(sum)) => Some(evaluator.add(&value, &sum)?),
                    (value, sum) => value.or(sum),
                };
            }
            if let Some(value) = value {
                weights.push(weight);
                // Unpacking multiplied by it.
                whole.push(value.scaled_by(1.0 / self.tree.capacity() as f64)?);
            }
        }
        Ok(weights.into_iter().zip(evaluator.rescale_all(&whole.iter().collect::<Vec<_>>())?).collect())
    }
}

/// Where the program wants every weight of the head, by the vector that has it. The first `padded` units are of no
/// class.
fn moves(program: &Program, layout: HeadLayout, padded: usize) -> Vec<Vec<Move>> {
    let (slots, width, dimension) = (program.slots(), layout.width(), layout.dimension());
    let mut masks: BTreeMap<(usize, Destination), Vec<(usize, f64)>> = BTreeMap::new();
    for (weight, wanted) in program.weights().iter().enumerate() {
        for &(slot, parameter) in wanted.entries() {
            let (slot, parameter) = (slot as usize, parameter as usize);
            // The parameters are the units' features, unit by unit, then the biases.
            let (unit, feature) = (parameter / dimension, parameter % dimension);
            if unit >= program.classes() || unit < padded {
                continue;
            }
            let (vector, lane) = layout.weight(feature, unit - padded);
            let turn = (slot + width - lane) % width;
            let mask = masks.entry((vector, Destination { weight, turn })).or_default();
            mask.push(((slot + slots - turn) % slots, wanted.factor()));
        }
    }
    let mut moves = vec![Vec::new(); layout.vectors()];
    for ((vector, to), mask) in masks {
        moves[vector].push(Move { to, mask });
    }
    moves
}
