//! A model that its owners chose to release: one encoded plaintext per weight vector of a program.

use he_agg::backend::{Backend, Cpu, Outcome};
use he_agg::ckks::{Encoder, Plaintext};
use rayon::prelude::*;

use crate::model::{ModelError, Place, at};
use crate::program::Program;

/// The weight vectors of one program, encoded, in the program's order and at its levels and scales.
///
/// It has no `Debug`: whether the model may be printed is for its owners to decide.
pub struct PlainModel<B: Backend = Cpu> {
    program: [u8; 32],
    slots: Vec<Plaintext<B>>,
}

impl PlainModel {
    /// Encodes a parameter vector.
    ///
    /// # Errors
    /// Wrong parameters, or values too large for the scale.
    pub fn encode(program: &Program, parameters: &[f32]) -> Result<Self, ModelError> {
        program.network().check_parameters(parameters)?;
        let encoder = Encoder::new(program.params().preset).map_err(|source| at(Place::Weight(0), source))?;
        let encode = |index: usize| {
            let weight = &program.weights()[index];
            let values = program.encode_weight(index, parameters)?;
            encoder.encode(&values, weight.scale(), weight.limbs()).map_err(|source| at(Place::Weight(index), source))
        };
        let slots = (0..program.weights().len()).into_par_iter().map(encode).collect::<Result<_, _>>()?;
        Ok(Self { program: program.digest(), slots })
    }

    /// A copy that lives on `backend`, in one transfer.
    ///
    /// # Errors
    /// [`BackendError`](he_agg::backend::BackendError).
    pub fn upload<B: Backend>(&self, backend: &B) -> Outcome<PlainModel<B>> {
        let slots = Plaintext::upload(&self.slots.iter().collect::<Vec<_>>(), backend)?;
        Ok(PlainModel { program: self.program, slots })
    }
}

impl<B: Backend> PlainModel<B> {
    /// Digest of the program it belongs to.
    #[must_use]
    pub fn program(&self) -> [u8; 32] {
        self.program
    }

    /// The plaintexts in the program's order.
    #[must_use]
    pub fn slots(&self) -> &[Plaintext<B>] {
        &self.slots
    }
}

impl<B: Backend> Clone for PlainModel<B> {
    fn clone(&self) -> Self {
        Self { program: self.program, slots: self.slots.clone() }
    }
}
