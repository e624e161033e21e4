//! What a program costs: operations, keys and bytes. Computed, never measured.

use std::fmt;

use he_agg::Params;
use he_agg::multiparty::{KeyPlan, PLANES_PER_INPUT, Plane};
use he_agg::wire::{HEADER_BYTES, packed_len};
use serde::Serialize;

use crate::program::Program;
use crate::step::Step;

/// Bits of one residue on the wire.
const RESIDUE_BITS: usize = 30;

/// Cost of one query of up to `images` images, of the keys and of the model; sizes in bytes, residues packed to 30
/// bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Levels used.
    pub depth: usize,
    /// Products of two ciphertexts.
    pub products: usize,
    /// Rotations that share the decomposition of another one.
    pub hoisted_rotations: usize,
    /// Rotations with a decomposition of their own.
    pub full_rotations: usize,
    /// Relinearisations.
    pub relinearisations: usize,
    /// Rotation keys.
    pub galois_keys: usize,
    /// Rotation keys, level-trimmed, the uniform half sent as a seed.
    pub galois_key_bytes: usize,
    /// The relinearisation key, both halves.
    pub relin_key_bytes: usize,
    /// Slot vectors of the model.
    pub weight_vectors: usize,
    /// The encrypted model, two polynomials per slot vector.
    pub model_bytes: usize,
    /// Images that one query may carry.
    pub images: usize,
    /// A public-key query, two polynomials per ciphertext.
    pub query_bytes: usize,
    /// A query under the asker's own secret, one polynomial and a seed per ciphertext.
    pub own_query_bytes: usize,
    /// The key that such queries need, once per session: both halves, at the query's limbs.
    pub query_key_bytes: usize,
    /// A query behind the asker's gate: one polynomial per ciphertext, or its planes and their turns.
    pub gated_query_bytes: usize,
    /// One hospital's share of one gate; a gate key is as large.
    pub gate_bytes: usize,
    /// One decryptor's share of an answer, before it is sealed.
    pub share_bytes: usize,
}

impl Program {
    /// Counts what this program costs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let params = self.params();
        let mut summary = Summary {
            depth: self.steps().len(),
            galois_keys: self.key_plan().rotations.len() + usize::from(self.key_plan().conjugation_limbs > 0),
            galois_key_bytes: rotation_bytes(params, self.key_plan()),
            relin_key_bytes: 2 * key_bytes(params, self.key_plan().relin_limbs),
            weight_vectors: self.weights().len(),
            model_bytes: self.weights().iter().map(|weight| 2 * poly_bytes(params, weight.limbs())).sum(),
            images: self.images(),
            query_bytes: 2 * self.inputs() * poly_bytes(params, self.input_limbs()),
            own_query_bytes: self.inputs() * (poly_bytes(params, self.input_limbs()) + HEADER_BYTES),
            query_key_bytes: 2 * key_bytes(params, self.input_limbs()),
            gated_query_bytes: self.inputs() * self.gated_input_bytes(),
            gate_bytes: key_bytes(params, self.gate_limbs()) + HEADER_BYTES,
            share_bytes: HEADER_BYTES + self.output_limbs() * packed_len(self.answer_shape().period),
            ..Summary::default()
        };
        for step in self.steps() {
            match step {
                Step::Linear(step) => {
                    let turns = |list: &[i32]| list.iter().filter(|r| **r != 0).count();
                    let groups = step.outputs.iter().flat_map(|output| &output.groups);
                    summary.products += step.terms().count();
                    summary.hoisted_rotations +=
                        step.inputs * (turns(&step.shifts) + step.shifts.len() * turns(&step.babies));
                    summary.full_rotations += step.outputs.len() * (step.giants() - 1 + step.folds.len());
                    summary.relinearisations += groups.filter(|group| !group.is_empty()).count();
                }
                Step::Quadratic(step) => {
                    summary.products += step.betas.len();
                    summary.relinearisations += step.betas.len();
                }
            }
        }
        summary
    }

    /// What is sent of one ciphertext of a question: one polynomial, or its planes and what turns them.
    fn gated_input_bytes(&self) -> usize {
        let (preset, limbs) = (self.params().preset, self.input_limbs());
        match self.planes() {
            Some(_) => PLANES_PER_INPUT * Plane::encoded_bytes(preset, limbs) + self.slots(),
            None => poly_bytes(self.params(), limbs) + HEADER_BYTES,
        }
    }
}

/// Rotation keys of a plan, level-trimmed, the uniform half sent as a seed.
pub(crate) fn rotation_bytes(params: &Params, plan: &KeyPlan) -> usize {
    let limbs = plan.rotations.values().chain([&plan.conjugation_limbs]);
    limbs.map(|limbs| key_bytes(params, *limbs)).sum()
}

/// One polynomial of `limbs` residues per coefficient.
fn poly_bytes(params: &Params, limbs: usize) -> usize {
    (limbs * params.n * RESIDUE_BITS).div_ceil(8)
}

/// One half of a key-switching key for ciphertexts of `limbs` limbs: a polynomial modulo Q P per digit.
fn key_bytes(params: &Params, limbs: usize) -> usize {
    limbs.div_ceil(params.alpha.max(1)) * poly_bytes(params, limbs + params.p.len())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: usize| bytes as f64 / 1e6;
        writeln!(
            f,
            "depth {}, {} products, {} hoisted + {} full rotations, {} relinearisations",
            self.depth, self.products, self.hoisted_rotations, self.full_rotations, self.relinearisations
        )?;
        write!(
            f,
            "{} rotation keys {:.1} MB, relinearisation key {:.1} MB, model {} vectors {:.1} MB, query {:.2} MB or \
             {:.2} MB with a query key of {:.1} MB, share of an answer {} bytes",
            self.galois_keys,
            mb(self.galois_key_bytes),
            mb(self.relin_key_bytes),
            self.weight_vectors,
            mb(self.model_bytes),
            mb(self.query_bytes),
            mb(self.own_query_bytes),
            mb(self.query_key_bytes),
            self.share_bytes
        )
    }
}
