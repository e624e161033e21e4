//! Queries and weights through the gate: one polynomial per ciphertext, the other from its place.
//!
//! Every hospital encrypts under a secret of its own and every ciphertext has a label (query or weight,
//! hospital, number, part) that is claimed in the hospital's ledger first. The key that lifts them is made
//! once per epoch, at `Program::gate_limbs`, and serves all lower levels too.

use he_agg::aggregation::ReleaseLedger;
use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, Encoder, Evaluator, GatedCiphertext, Plaintext};
use he_agg::multiparty::{
    CeremonyError, Crs, GateHolder, GateHolderError, GateKey, GateLabel, Gated, LiftSum, PartySet,
};
use ndarray::ArrayView3;
use rayon::prelude::*;
use thiserror::Error;

use crate::encrypted::{EncryptedExecutor, ExecuteError};
use crate::model::{EncryptedModel, ModelError, Place, at};
use crate::program::Program;

/// Weight vectors that are encoded before they are encrypted together: bounds the memory.
const ENCODED_AT_ONCE: usize = 16;

/// Why a hospital did not encrypt for its gate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GatedError<E> {
    /// An image or parameters that do not fit the program.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No permit, or a secret of another parameter set.
    #[error(transparent)]
    Holder(#[from] GateHolderError<E>),
}

impl Program {
    /// Limbs of every gate key that this program needs: the most at which a query or a weight vector enters. A
    /// key of more limbs serves as well, so hospitals make one, for the largest of their programs.
    #[must_use]
    pub fn gate_limbs(&self) -> usize {
        self.weights().iter().map(|weight| weight.limbs()).fold(self.input_limbs(), usize::max)
    }

    /// As `encrypt_images`, as the holder's query `number` of the epoch: one polynomial per ciphertext. The same
    /// images under the same number give the same bytes, other images are refused.
    ///
    /// # Errors
    /// As `encrypt_images`, a holder of another parameter set, or no permit of its ledger.
    pub fn encrypt_gated<L: ReleaseLedger>(
        &self,
        images: &[ArrayView3<'_, f32>],
        number: u64,
        holder: &mut GateHolder<'_, L>,
    ) -> Result<Vec<GatedCiphertext>, GatedError<L::Error>> {
        let of_query = |source| at(Place::Query, source);
        let encoder = Encoder::new(self.params().preset).map_err(of_query)?;
        let encode = |slots: &Vec<f64>| encoder.encode(slots, self.input_scale(), self.input_limbs());
        let packed = self.pack_images(images).map_err(ModelError::Input)?;
        let plaintexts: Vec<Plaintext> = packed.iter().map(encode).collect::<Result<_, _>>().map_err(of_query)?;
        Ok(holder.encrypt(Gated::Query, number, 0, &plaintexts)?)
    }

    /// As `EncryptedModel::encrypt`, as the holder's contribution to publishing attempt `number`: one polynomial
    /// per weight vector.
    ///
    /// # Errors
    /// As `EncryptedModel::encrypt`, a holder of another parameter set, or no permit of its ledger.
    pub fn encrypt_gated_weights<L: ReleaseLedger>(
        &self,
        parameters: &[f32],
        number: u64,
        holder: &mut GateHolder<'_, L>,
    ) -> Result<Vec<GatedCiphertext>, GatedError<L::Error>> {
        self.network().check_parameters(parameters).map_err(ModelError::Input)?;
        let encoder = Encoder::new(self.params().preset).map_err(|source| at(Place::Weight(0), source))?;
        let encode = |index: usize| {
            let (weight, values) = (&self.weights()[index], self.encode_weight(index, parameters)?);
            let encoded = encoder.encode(&values, weight.scale(), weight.limbs());
            encoded.map_err(|source| at(Place::Weight(index), source))
        };
        let mut encrypted = Vec::with_capacity(self.weights().len());
        while encrypted.len() < self.weights().len() {
            let first = encrypted.len();
            let last = (first + ENCODED_AT_ONCE).min(self.weights().len());
            let plaintexts: Vec<Plaintext> = (first..last).into_par_iter().map(encode).collect::<Result<_, _>>()?;
            // A program has far fewer than 2^32 weight vectors.
            encrypted.extend(holder.encrypt(Gated::Weight, number, first as u32, &plaintexts)?);
        }
        Ok(encrypted)
    }

    /// Compares a gated ciphertext with what the program wants there; its scale exactly, since sums and lifts
    /// pass it on.
    fn check_gated(
        &self,
        found: &GatedCiphertext,
        place: Place,
        (limbs, scale): (usize, f64),
    ) -> Result<(), ModelError> {
        let expected = self.params().preset;
        if found.preset() != expected {
            return Err(ModelError::Preset { place, expected, found: found.preset() });
        }
        if found.limbs() != limbs {
            return Err(ModelError::Limbs { place, expected: limbs, found: found.limbs() });
        }
        if found.scale() != scale {
            return Err(ModelError::Scale { place, expected: scale, found: found.scale() });
        }
        Ok(())
    }
}

impl<B: Backend> EncryptedExecutor<'_, B> {
    /// Query `number` of hospital `asker` as one for `run_all`, by the asker's gate key.
    ///
    /// # Errors
    /// Another number of ciphertexts, another preset, level or scale; a key of another hospital, epoch or preset,
    /// or trimmed below the program's top level.
    pub fn lift_query(
        &self,
        query: &[GatedCiphertext],
        crs: &Crs,
        (asker, number): (u16, u64),
        key: &GateKey<B>,
    ) -> Result<Vec<Ciphertext<B>>, ExecuteError> {
        let program = self.program();
        program.check_inputs(query.len()).map_err(ModelError::Input)?;
        let wanted = (program.input_limbs(), program.input_scale());
        query.iter().try_for_each(|input| program.check_gated(input, Place::Query, wanted))?;
        let lift = |(part, input): (u32, &GatedCiphertext)| {
            let label = GateLabel { what: Gated::Query, asker, number, part };
            self.evaluator().lift(input, crs, label, key)
        };
        let lifted: Result<_, _> = (0..).zip(query).map(lift).collect();
        Ok(lifted.map_err(|source| of_gate(Place::Query, source))?)
    }
}

fn of_gate(place: Place, source: CeremonyError) -> ModelError {
    ModelError::Gate { place, source }
}

/// The sum of several hospitals' gated contributions to one weight vector, as `WeightSum` of public-key ones.
/// Whoever adds the same ones in any order gets the same ciphertext, bit for bit.
pub struct GatedWeightSum<'a> {
    program: &'a Program,
    weight: usize,
    sum: LiftSum,
}

impl<'a> GatedWeightSum<'a> {
    /// Nothing added yet to weight vector `weight`, below `program.weights().len()`, of publishing attempt `number`.
    ///
    /// # Errors
    /// [`ModelError::Count`] where the program has no such weight vector; common randomness of another preset.
    pub fn new(program: &'a Program, crs: &Crs, number: u64, weight: usize) -> Result<Self, ModelError> {
        let (expected, place) = (program.weights().len(), Place::Weight(weight));
        let slot = program.weights().get(weight).ok_or(ModelError::Count { expected, found: weight + 1 })?;
        let evaluator = Evaluator::new(program.params().preset).map_err(|source| at(place, source))?;
        // A program has far fewer than 2^32 weight vectors.
        let sum = LiftSum::new(evaluator, crs, (number, weight as u32), (slot.limbs(), slot.scale()));
        Ok(Self { program, weight, sum: sum.map_err(|source| of_gate(place, source))? })
    }

    /// Adds the contribution of the key's hospital; a refused one leaves the sum as it was.
    ///
    /// # Errors
    /// Another preset, level or scale than the program wants there; a key of another epoch or trimmed below the
    /// level; a hospital that is already in.
    pub fn absorb(&mut self, part: &GatedCiphertext, key: &GateKey) -> Result<(), ModelError> {
        let (slot, place) = (&self.program.weights()[self.weight], Place::Weight(self.weight));
        self.program.check_gated(part, place, (slot.limbs(), slot.scale()))?;
        self.sum.absorb(part, key).map_err(|source| of_gate(place, source))
    }

    /// Counts the key's hospital in without its contribution, for `shares_second_half`.
    ///
    /// # Errors
    /// As `absorb`, of the key.
    pub fn absorb_key(&mut self, key: &GateKey) -> Result<(), ModelError> {
        self.sum.absorb_key(key).map_err(|source| of_gate(Place::Weight(self.weight), source))
    }

    /// Whether `announced` is of the shape that the program wants there, and its second half the one that these
    /// hospitals' contributions have together, whatever they contributed: then its phase is its first half plus what
    /// their gate keys yield, and no function of a secret that a maker of sums could choose.
    ///
    /// # Errors
    /// As `finish`, or another preset, level, scale or number of polynomials than the program wants there.
    pub fn shares_second_half(self, announced: &Ciphertext) -> Result<bool, ModelError> {
        self.program.check_weight(self.weight, announced)?;
        let place = Place::Weight(self.weight);
        let (expected, found) = (self.program.weights()[self.weight].scale(), announced.scale());
        if found != expected {
            return Err(ModelError::Scale { place, expected, found });
        }
        let own = self.finish()?;
        Ok(own.parts().get(1) == announced.parts().get(1))
    }

    /// The hospitals whose contributions are in.
    #[must_use]
    pub fn absorbed(&self) -> PartySet {
        self.sum.absorbed()
    }

    /// The weight vector under the collective secret.
    ///
    /// # Errors
    /// [`ModelError::Gate`] of nothing.
    pub fn finish(self) -> Result<Ciphertext, ModelError> {
        let place = Place::Weight(self.weight);
        self.sum.finish().map_err(|source| of_gate(place, source))
    }
}

impl EncryptedModel {
    /// The sum of what several hospitals contributed to publishing attempt `number`, each with its gate key: every
    /// weight vector takes one division for all of them. The counterpart of `absorb`.
    ///
    /// # Errors
    /// Contributions of another number of weight vectors, or as `GatedWeightSum`.
    pub fn lift(
        program: &Program,
        crs: &Crs,
        number: u64,
        contributions: &[(&[GatedCiphertext], &GateKey)],
    ) -> Result<Self, ModelError> {
        let expected = program.weights().len();
        if let Some((parts, _)) = contributions.iter().find(|(parts, _)| parts.len() != expected) {
            return Err(ModelError::Count { expected, found: parts.len() });
        }
        let one = |weight: usize| {
            let mut sum = GatedWeightSum::new(program, crs, number, weight)?;
            contributions.iter().try_for_each(|(parts, key)| sum.absorb(&parts[weight], key))?;
            sum.finish()
        };
        let slots = (0..expected).into_par_iter().map(one).collect::<Result<_, ModelError>>()?;
        Self::new(program, slots)
    }
}
