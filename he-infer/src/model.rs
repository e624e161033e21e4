//! A published model: one ciphertext per weight vector of a program.

use he_agg::backend::{Backend, Cpu, Outcome};
use he_agg::ckks::{Ciphertext, CkksError, Encoder, Evaluator, PublicKey, SCALE_TOLERANCE};
use he_agg::multiparty::CeremonyError;
use he_agg::{Preset, Stream};
use ndarray::ArrayView3;
use rayon::prelude::*;
use thiserror::Error;

use crate::forward::InputError;
use crate::program::Program;

/// Why ciphertexts are not a model, or an image not a query, of a program.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Wrong number of ciphertexts.
    #[error("the program has {expected} weight vectors, the model {found}; was it published for another program?")]
    Count {
        /// Weight vectors of the program.
        expected: usize,
        /// Ciphertexts given.
        found: usize,
    },
    /// A ciphertext of another parameter set.
    #[error("{place} is encrypted under {found}, the program is for {expected}")]
    Preset {
        /// Which ciphertext.
        place: Place,
        /// Parameter set of the program.
        expected: Preset,
        /// Parameter set of the ciphertext.
        found: Preset,
    },
    /// A ciphertext at the wrong level.
    #[error("{place} has {found} limbs, the program wants {expected}; encrypt it at the program's level")]
    Limbs {
        /// Which ciphertext.
        place: Place,
        /// Limbs the program wants.
        expected: usize,
        /// Limbs found.
        found: usize,
    },
    /// A ciphertext at the wrong scale.
    #[error(
        "{place} has scale 2^{:.6}, the program wants 2^{:.6}; encode it at the program's scale",
        found.log2(), expected.log2()
    )]
    Scale {
        /// Which ciphertext.
        place: Place,
        /// Scale the program wants.
        expected: f64,
        /// Scale found.
        found: f64,
    },
    /// A product that was not relinearised.
    #[error("{place} has {found} polynomials, a fresh ciphertext has 2")]
    Parts {
        /// Which ciphertext.
        place: Place,
        /// Polynomials found.
        found: usize,
    },
    /// Planes for a program whose questions are encrypted as they are.
    #[error("the program's questions are not made of planes")]
    NoPlanes,
    /// A question beyond those that the key ceremony made planes for.
    #[error(
        "question {} of this hospital has no planes: the key ceremony made those of {most}; wait for the next key \
         epoch, or plan for a larger quota",
        number.saturating_add(1)
    )]
    NoPlanesLeft {
        /// Of the question, from 0.
        number: u64,
        /// Questions there are planes for.
        most: u64,
    },
    /// Not the plane that stayed closed for the question.
    #[error("plane {number}, which the question is given, is another than its maker was bound to in the key ceremony")]
    OtherPlane {
        /// Of the plane.
        number: u32,
    },
    /// A question of more or fewer bodies.
    #[error("{found} bodies, and a question of this program has {expected}")]
    Bodies {
        /// Bodies of a question.
        expected: usize,
        /// As given.
        found: usize,
    },
    /// Two models of different programs.
    #[error("models of different programs cannot be added")]
    OtherProgram,
    /// Parameters or pixels that do not belong to the network.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A gated ciphertext was not lifted.
    #[error("{place}: {source}")]
    Gate {
        /// Which ciphertext.
        place: Place,
        /// What went wrong.
        source: CeremonyError,
    },
    /// Encoding or encryption failed.
    #[error("{place}: {source}")]
    Ckks {
        /// Which ciphertext.
        place: Place,
        /// What went wrong.
        source: CkksError,
    },
}

/// Which ciphertext an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The encrypted image.
    Query,
    /// A weight vector of the model, from 0.
    Weight(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Query => f.write_str("the query"),
            Self::Weight(index) => write!(f, "weight vector {index}"),
        }
    }
}

/// The weight vectors of one program, encrypted, in the program's order and at its levels and scales.
#[derive(Clone, Debug)]
pub struct EncryptedModel<B: Backend = Cpu> {
    program: [u8; 32],
    preset: Preset,
    slots: Vec<Ciphertext<B>>,
}

impl<B: Backend> EncryptedModel<B> {
    /// The weight vectors, in the program's order.
    pub fn weights(&self) -> &[Ciphertext<B>] {
        &self.slots
    }
}

impl EncryptedModel {
    /// Takes ciphertexts as a model after checking each against the program.
    ///
    /// # Errors
    /// The first ciphertext with another preset, level, scale or number of polynomials.
    pub fn new(program: &Program, slots: Vec<Ciphertext>) -> Result<Self, ModelError> {
        if slots.len() != program.weights().len() {
            return Err(ModelError::Count { expected: program.weights().len(), found: slots.len() });
        }
        for (index, slot) in slots.iter().enumerate() {
            program.check_weight(index, slot)?;
        }
        Ok(Self { program: program.digest(), preset: program.params().preset, slots })
    }

    /// Encrypts a parameter vector (a whole model, or one hospital's weighted contribution).
    ///
    /// Every weight vector takes a stream of its own, seeded from `stream`, so that they can be
    /// encrypted in parallel and the result depends on nothing but the seed.
    ///
    /// # Errors
    /// Wrong parameters, or values too large for the scale.
    pub fn encrypt(
        program: &Program,
        parameters: &[f32],
        key: &PublicKey,
        stream: &mut Stream,
    ) -> Result<Self, ModelError> {
        program.network().check_parameters(parameters)?;
        let preset = program.params().preset;
        let encoder = Encoder::new(preset).map_err(|source| at(Place::Weight(0), source))?;
        let seeds: Vec<_> = program.weights().iter().map(|_| stream.seed()).collect();
        let slots = seeds
            .into_par_iter()
            .zip(program.weights())
            .enumerate()
            .map(|(index, (seed, weight))| {
                let values = program.encode_weight(index, parameters)?;
                encoder
                    .encode(&values, weight.scale(), weight.limbs())
                    .and_then(|plain| key.encrypt(&plain, &mut Stream::from_seed(seed)))
                    .map_err(|source| at(Place::Weight(index), source))
            })
            .collect::<Result<_, ModelError>>()?;
        Self::new(program, slots)
    }

    /// Adds another contribution: weight vectors are linear in the parameters, so the sum is the
    /// encryption of the sum of the parameters.
    ///
    /// # Errors
    /// `OtherProgram`.
    pub fn absorb(&mut self, other: &Self) -> Result<(), ModelError> {
        if self.program != other.program {
            return Err(ModelError::OtherProgram);
        }
        let evaluator = Evaluator::new(self.preset).map_err(|source| at(Place::Weight(0), source))?;
        for (index, (sum, term)) in self.slots.iter_mut().zip(&other.slots).enumerate() {
            *sum = evaluator.add(sum, term).map_err(|source| at(Place::Weight(index), source))?;
        }
        Ok(())
    }

    /// A copy that lives on `backend`, in one transfer.
    ///
    /// # Errors
    /// [`BackendError`](he_agg::backend::BackendError).
    pub fn upload<B: Backend>(&self, backend: &B) -> Outcome<EncryptedModel<B>> {
        let slots = Ciphertext::upload(&self.slots.iter().collect::<Vec<_>>(), backend)?;
        Ok(EncryptedModel { program: self.program, preset: self.preset, slots })
    }

    /// Gives the ciphertexts back.
    #[must_use]
    pub fn into_slots(self) -> Vec<Ciphertext> {
        self.slots
    }
}

impl<B: Backend> EncryptedModel<B> {
    /// Digest of the program it belongs to.
    #[must_use]
    pub fn program(&self) -> [u8; 32] {
        self.program
    }

    /// The ciphertexts in the program's order.
    #[must_use]
    pub fn slots(&self) -> &[Ciphertext<B>] {
        &self.slots
    }
}

impl Program {
    /// Checks one weight vector of a contribution, for callers that stream them.
    ///
    /// # Errors
    /// Another preset, level, scale or number of polynomials, or an index beyond `weights`.
    pub fn check_weight(&self, index: usize, slot: &Ciphertext) -> Result<(), ModelError> {
        let count = self.weights().len();
        let weight = self.weights().get(index).ok_or(InputError::Weight { count, found: index })?;
        check(slot, Place::Weight(index), self, weight.limbs(), weight.scale())
    }

    /// Checks the ciphertexts of one query, for callers that evaluate several together.
    ///
    /// # Errors
    /// Another number of ciphertexts; another preset, level, scale or number of polynomials.
    pub fn check_query<B: Backend>(&self, query: &[Ciphertext<B>]) -> Result<(), ModelError> {
        self.check_inputs(query.len())?;
        query.iter().try_for_each(|input| check(input, Place::Query, self, self.input_limbs(), self.input_scale()))
    }

    /// Packs, encodes and encrypts an image as a query at the program's level and scale.
    ///
    /// # Errors
    /// Wrong shape, pixels out of range, or a key of another parameter set.
    pub fn encrypt_query(
        &self,
        image: ArrayView3<'_, f32>,
        key: &PublicKey,
        stream: &mut Stream,
    ) -> Result<Ciphertext, ModelError> {
        self.encrypt_slots(&self.pack(image)?, key, stream)
    }

    /// As `encrypt_query`, all ciphertexts of an image.
    ///
    /// # Errors
    /// As `encrypt_query`.
    pub fn encrypt_query_all(
        &self,
        image: ArrayView3<'_, f32>,
        key: &PublicKey,
        stream: &mut Stream,
    ) -> Result<Vec<Ciphertext>, ModelError> {
        self.encrypt_images(&[image], key, stream)
    }

    /// As `encrypt_query_all`, 1 to `images` images in one query. They are one asker's: whoever may
    /// read the answer reads the logits of all of them.
    ///
    /// # Errors
    /// As `encrypt_query`, or none or too many images.
    pub fn encrypt_images(
        &self,
        images: &[ArrayView3<'_, f32>],
        key: &PublicKey,
        stream: &mut Stream,
    ) -> Result<Vec<Ciphertext>, ModelError> {
        self.pack_images(images)?.iter().map(|slots| self.encrypt_slots(slots, key, stream)).collect()
    }

    fn encrypt_slots(&self, slots: &[f64], key: &PublicKey, stream: &mut Stream) -> Result<Ciphertext, ModelError> {
        Encoder::new(self.params().preset)
            .and_then(|encoder| encoder.encode(slots, self.input_scale(), self.input_limbs()))
            .and_then(|plain| key.encrypt(&plain, stream))
            .map_err(|source| at(Place::Query, source))
    }
}

pub(crate) fn at(place: Place, source: CkksError) -> ModelError {
    ModelError::Ckks { place, source }
}

/// Compares a ciphertext with what the program wants there.
pub(crate) fn check<B: Backend>(
    ciphertext: &Ciphertext<B>,
    place: Place,
    program: &Program,
    limbs: usize,
    scale: f64,
) -> Result<(), ModelError> {
    let expected = program.params().preset;
    if ciphertext.preset() != expected {
        return Err(ModelError::Preset { place, expected, found: ciphertext.preset() });
    }
    if ciphertext.parts().len() != 2 {
        return Err(ModelError::Parts { place, found: ciphertext.parts().len() });
    }
    if ciphertext.limbs() != limbs {
        return Err(ModelError::Limbs { place, expected: limbs, found: ciphertext.limbs() });
    }
    if (ciphertext.scale() / scale - 1.0).abs() > SCALE_TOLERANCE {
        return Err(ModelError::Scale { place, expected: scale, found: ciphertext.scale() });
    }
    Ok(())
}
