//! The program on ciphertexts: encrypted or plain model, encrypted image, encrypted logits.

use std::collections::BTreeSet;

use he_agg::ckks::{Ciphertext, CkksError, EvaluationKeys, Evaluator, Hoisted, Plaintext};
use rayon::prelude::*;
use thiserror::Error;

use crate::executor::{Machine, walk};
use crate::model::{EncryptedModel, ModelError, Place, check};
use crate::plain::PlainModel;
use crate::program::Program;

/// Why a program did not run on ciphertexts.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The keys do not cover the program.
    #[error("the program rotates by {rotation} slots and the evaluation keys do not; make keys for its key plan")]
    MissingRotation {
        /// The rotation.
        rotation: i32,
    },
    /// A model of another program.
    #[error("the model was published for another program (digest {}.. instead of {}..)", hex(found), hex(expected))]
    OtherProgram {
        /// Digest of this program.
        expected: [u8; 32],
        /// Digest the model was made for.
        found: [u8; 32],
    },
    /// The query does not fit the program.
    #[error(transparent)]
    Query(#[from] ModelError),
    /// An operation failed: a key that is missing or too short.
    #[error("layer {layer}: {source}")]
    Layer {
        /// Index of the layer.
        layer: usize,
        /// What went wrong.
        source: CkksError,
    },
}

/// First bytes of a digest, enough to tell two programs apart in a message.
fn hex(digest: &[u8; 32]) -> String {
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A program with the evaluation keys it runs under. Any number of threads may run it at once.
pub struct EncryptedExecutor<'a> {
    program: &'a Program,
    keys: &'a EvaluationKeys,
    evaluator: Evaluator,
}

impl<'a> EncryptedExecutor<'a> {
    /// Checks that there is a key for every rotation of the program.
    ///
    /// # Errors
    /// `MissingRotation`.
    pub fn new(program: &'a Program, keys: &'a EvaluationKeys) -> Result<Self, ExecuteError> {
        let present: BTreeSet<usize> = keys.rotation_steps().collect();
        let slots = program.slots() as i64;
        for &rotation in program.key_plan().rotations.keys() {
            // The remainder is below the slot count, so the cast is exact.
            if !present.contains(&(i64::from(rotation).rem_euclid(slots) as usize)) {
                return Err(ExecuteError::MissingRotation { rotation });
            }
        }
        let evaluator =
            Evaluator::new(program.params().preset).map_err(|source| ExecuteError::Layer { layer: 0, source })?;
        Ok(Self { program, keys, evaluator })
    }

    pub(crate) fn program(&self) -> &Program {
        self.program
    }

    pub(crate) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Encrypted logits of an encrypted image: the program's output limbs and scale, logit c in
    /// every slot i with i mod period = c.
    ///
    /// # Errors
    /// A model of another program; a query at another preset, level or scale; keys of another
    /// preset or too short.
    pub fn run(&self, model: &EncryptedModel, query: &Ciphertext) -> Result<Ciphertext, ExecuteError> {
        self.observe(model, query, |_, _| ())
    }

    /// As `run`; `seen` gets the ciphertext after every step with the step's index, and where a
    /// step leaves several ciphertexts, each of them in turn.
    ///
    /// # Errors
    /// As `run`.
    pub fn observe(
        &self,
        model: &EncryptedModel,
        query: &Ciphertext,
        seen: impl FnMut(usize, &Ciphertext),
    ) -> Result<Ciphertext, ExecuteError> {
        self.walk(model.program(), Weights::Encrypted(model.slots()), std::slice::from_ref(query), seen)
    }

    /// As `run`, on a model that is not secret: the same steps in the same order, with products
    /// that need no relinearisation. What `run` takes longer is the price of hiding the model.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_plain(&self, model: &PlainModel, query: &Ciphertext) -> Result<Ciphertext, ExecuteError> {
        self.observe_plain(model, query, |_, _| ())
    }

    /// As `run_plain`; `seen` gets the ciphertext after every step with the step's index.
    ///
    /// # Errors
    /// As `run`.
    pub fn observe_plain(
        &self,
        model: &PlainModel,
        query: &Ciphertext,
        seen: impl FnMut(usize, &Ciphertext),
    ) -> Result<Ciphertext, ExecuteError> {
        self.walk(model.program(), Weights::Plain(model.slots()), std::slice::from_ref(query), seen)
    }

    /// As `run`, for all ciphertexts of an image, or of the images of one query.
    ///
    /// # Errors
    /// As `run`, or another number of ciphertexts.
    pub fn run_all(&self, model: &EncryptedModel, query: &[Ciphertext]) -> Result<Ciphertext, ExecuteError> {
        self.observe_all(model, query, |_, _| ())
    }

    /// As `run_all`; `seen` gets the ciphertext after every step with the step's index.
    ///
    /// # Errors
    /// As `run_all`.
    pub fn observe_all(
        &self,
        model: &EncryptedModel,
        query: &[Ciphertext],
        seen: impl FnMut(usize, &Ciphertext),
    ) -> Result<Ciphertext, ExecuteError> {
        self.walk(model.program(), Weights::Encrypted(model.slots()), query, seen)
    }

    /// As `run_plain`, for all ciphertexts of an image.
    ///
    /// # Errors
    /// As `run`, or another number of ciphertexts.
    pub fn run_plain_all(&self, model: &PlainModel, query: &[Ciphertext]) -> Result<Ciphertext, ExecuteError> {
        self.walk(model.program(), Weights::Plain(model.slots()), query, |_, _| ())
    }

    fn walk(
        &self,
        found: [u8; 32],
        weights: Weights<'_>,
        query: &[Ciphertext],
        mut seen: impl FnMut(usize, &Ciphertext),
    ) -> Result<Ciphertext, ExecuteError> {
        let program = self.program;
        if found != program.digest() {
            return Err(ExecuteError::OtherProgram { expected: program.digest(), found });
        }
        program.check_inputs(query.len()).map_err(ModelError::Input)?;
        for input in query {
            check(input, Place::Query, program, program.input_limbs(), program.input_scale())?;
        }
        let machine = EncryptedMachine { executor: self, weights };
        let mut done = 0;
        let result = walk(&machine, program, query, |step, values| {
            done = step + 1;
            values.iter().for_each(|value| seen(step, value));
        });
        result.map_err(|source| ExecuteError::Layer {
            layer: program.steps().get(done).map_or(done, |step| step.layer()),
            source,
        })
    }
}

/// The slot vectors of a model.
enum Weights<'a> {
    Encrypted(&'a [Ciphertext]),
    Plain(&'a [Plaintext]),
}

struct EncryptedMachine<'a> {
    executor: &'a EncryptedExecutor<'a>,
    weights: Weights<'a>,
}

/// Polynomials of a product before relinearisation.
const PRODUCT_PARTS: usize = 3;

impl Machine for EncryptedMachine<'_> {
    type Value = Ciphertext;
    type Error = CkksError;

    fn rotate_many(&self, x: &Ciphertext, rotations: &[i32]) -> Result<Vec<Ciphertext>, CkksError> {
        let hoisted = Hoisted::new(&self.executor.evaluator, x)?;
        rotations.par_iter().map(|rotation| hoisted.rotate(*rotation, self.executor.keys)).collect()
    }

    fn rotate(&self, x: &Ciphertext, rotation: i32) -> Result<Ciphertext, CkksError> {
        self.executor.evaluator.rotate(x, rotation, self.executor.keys)
    }

    fn sum_products(&self, sums: &[Vec<(&Ciphertext, usize)>]) -> Result<Vec<Ciphertext>, CkksError> {
        let evaluator = &self.executor.evaluator;
        match self.weights {
            Weights::Encrypted(weights) => {
                let with_weights = |terms: &Vec<(_, usize)>| terms.iter().map(|(x, w)| (*x, &weights[*w])).collect();
                let sums: Vec<Vec<_>> = sums.iter().map(with_weights).collect();
                evaluator.mul_accumulate_all(&sums)
            }
            Weights::Plain(weights) => {
                let sum = |terms: &Vec<(_, usize)>| {
                    let terms: Vec<_> = terms.iter().map(|(x, w)| (*x, &weights[*w])).collect();
                    evaluator.mul_plain_accumulate(&terms)
                };
                sums.par_iter().map(sum).collect()
            }
        }
    }

    fn nothing(&self) -> Result<Ciphertext, CkksError> {
        Err(CkksError::NoTerms)
    }

    fn add(&self, mut x: Ciphertext, y: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.executor.evaluator.add_assign(&mut x, y)?;
        Ok(x)
    }

    fn relinearise(&self, x: Ciphertext) -> Result<Ciphertext, CkksError> {
        // After an empty group the sum is already relinearised, products with plaintexts always are.
        if x.parts().len() < PRODUCT_PARTS {
            return Ok(x);
        }
        self.executor.evaluator.relinearise(&x, self.executor.keys)
    }

    fn rescale(&self, x: Ciphertext) -> Result<Ciphertext, CkksError> {
        if x.parts().len() < PRODUCT_PARTS {
            return self.executor.evaluator.rescale(&x);
        }
        self.executor.evaluator.relinearise_rescale(&x, self.executor.keys)
    }

    fn add_weight(&self, x: Ciphertext, weight: usize) -> Result<Ciphertext, CkksError> {
        match self.weights {
            Weights::Encrypted(weights) => self.add(x, &weights[weight]),
            Weights::Plain(weights) => self.executor.evaluator.add_plain(&x, &weights[weight]),
        }
    }

    fn quadratic(&self, x: &Ciphertext, weight: usize) -> Result<Ciphertext, CkksError> {
        let evaluator = &self.executor.evaluator;
        let shifted = self.add_weight(x.clone(), weight)?;
        evaluator.relinearise_rescale(&evaluator.mul(x, &shifted)?, self.executor.keys)
    }
}
