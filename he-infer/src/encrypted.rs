//! The program on ciphertexts: encrypted or plain model, encrypted image, encrypted logits.

use std::collections::BTreeSet;

use he_agg::backend::{Backend, Cpu};
use he_agg::ckks::{Ciphertext, CkksError, EvaluationKeys, Evaluator, Hoisted, Plaintext};
use thiserror::Error;

use crate::executor::{Machine, walk};
use crate::model::{EncryptedModel, ModelError};
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
    /// The keys do not cover questions made of planes.
    #[error(
        "the program's questions are made of planes and there is no key for conjugation; make keys for its key plan"
    )]
    MissingConjugation,
    /// A model of another program.
    #[error(
        "the model was published for another program (digest {}.. instead of {}..)",
        beginning(found),
        beginning(expected)
    )]
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
fn beginning(digest: &[u8; 32]) -> String {
    hex::encode(&digest[..4])
}

/// A program with the evaluation keys it runs under. Any number of threads may run it at once.
pub struct EncryptedExecutor<'a, B: Backend = Cpu> {
    program: &'a Program,
    keys: &'a EvaluationKeys<B>,
    evaluator: Evaluator<B>,
}

impl<'a> EncryptedExecutor<'a> {
    /// Checks that there is a key for every rotation of the program.
    ///
    /// # Errors
    /// `MissingRotation`.
    pub fn new(program: &'a Program, keys: &'a EvaluationKeys) -> Result<Self, ExecuteError> {
        Self::on(Cpu::new(program.params()), program, keys)
    }
}

impl<'a, B: Backend> EncryptedExecutor<'a, B> {
    /// As `new`, where `backend` computes: there are its keys, and there models and queries must be.
    ///
    /// # Errors
    /// `MissingRotation`.
    pub fn on(backend: B, program: &'a Program, keys: &'a EvaluationKeys<B>) -> Result<Self, ExecuteError> {
        let present: BTreeSet<usize> = keys.rotation_steps().collect();
        let slots = program.slots() as i64;
        for &rotation in program.key_plan().rotations.keys() {
            // The remainder is below the slot count, so the cast is exact.
            if !present.contains(&(i64::from(rotation).rem_euclid(slots) as usize)) {
                return Err(ExecuteError::MissingRotation { rotation });
            }
        }
        if program.key_plan().conjugation_limbs > 0 && !present.contains(&program.slots()) {
            return Err(ExecuteError::MissingConjugation);
        }
        let evaluator = Evaluator::on(backend).map_err(|source| ExecuteError::Layer { layer: 0, source })?;
        Ok(Self { program, keys, evaluator })
    }

    pub(crate) fn keys(&self) -> &EvaluationKeys<B> {
        self.keys
    }

    pub(crate) fn program(&self) -> &Program {
        self.program
    }

    pub(crate) fn evaluator(&self) -> &Evaluator<B> {
        &self.evaluator
    }

    /// Encrypted logits of an encrypted image: the program's output limbs and scale, logit c in
    /// every slot i with i mod period = c.
    ///
    /// # Errors
    /// A model of another program; a query at another preset, level or scale; keys of another
    /// preset or too short.
    pub fn run(&self, model: &EncryptedModel<B>, query: &Ciphertext<B>) -> Result<Ciphertext<B>, ExecuteError> {
        self.observe(model, query, |_, _| ())
    }

    /// As `run`; `seen` gets the ciphertext after every step with the step's index, and where a
    /// step leaves several ciphertexts, each of them in turn.
    ///
    /// # Errors
    /// As `run`.
    pub fn observe(
        &self,
        model: &EncryptedModel<B>,
        query: &Ciphertext<B>,
        seen: impl FnMut(usize, &Ciphertext<B>),
    ) -> Result<Ciphertext<B>, ExecuteError> {
        self.only(model.program(), Weights::Encrypted(model.slots()), std::slice::from_ref(query), seen)
    }

    /// As `run`, on a model that is not secret: the same steps in the same order, with products
    /// that need no relinearisation. What `run` takes longer is the price of hiding the model.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_plain(&self, model: &PlainModel<B>, query: &Ciphertext<B>) -> Result<Ciphertext<B>, ExecuteError> {
        self.observe_plain(model, query, |_, _| ())
    }

    /// As `run_plain`; `seen` gets the ciphertext after every step with the step's index.
    ///
    /// # Errors
    /// As `run`.
    pub fn observe_plain(
        &self,
        model: &PlainModel<B>,
        query: &Ciphertext<B>,
        seen: impl FnMut(usize, &Ciphertext<B>),
    ) -> Result<Ciphertext<B>, ExecuteError> {
        self.only(model.program(), Weights::Plain(model.slots()), std::slice::from_ref(query), seen)
    }

    /// As `run`, for all ciphertexts of an image, or of the images of one query.
    ///
    /// # Errors
    /// As `run`, or another number of ciphertexts.
    pub fn run_all(&self, model: &EncryptedModel<B>, query: &[Ciphertext<B>]) -> Result<Ciphertext<B>, ExecuteError> {
        self.observe_all(model, query, |_, _| ())
    }

    /// As `run_all`; `seen` gets the ciphertext after every step with the step's index.
    ///
    /// # Errors
    /// As `run_all`.
    pub fn observe_all(
        &self,
        model: &EncryptedModel<B>,
        query: &[Ciphertext<B>],
        seen: impl FnMut(usize, &Ciphertext<B>),
    ) -> Result<Ciphertext<B>, ExecuteError> {
        self.only(model.program(), Weights::Encrypted(model.slots()), query, seen)
    }

    /// As `run_plain`, for all ciphertexts of an image.
    ///
    /// # Errors
    /// As `run`, or another number of ciphertexts.
    pub fn run_plain_all(&self, model: &PlainModel<B>, query: &[Ciphertext<B>]) -> Result<Ciphertext<B>, ExecuteError> {
        self.only(model.program(), Weights::Plain(model.slots()), query, |_, _| ())
    }

    /// As `run_all`, for several queries at once: their ciphertexts take every step together, which
    /// is faster where a launch costs more than its work, and takes the memory of all of them.
    ///
    /// # Errors
    /// As `run_all`, for any query.
    pub fn run_batch(
        &self,
        model: &EncryptedModel<B>,
        queries: &[&[Ciphertext<B>]],
    ) -> Result<Vec<Ciphertext<B>>, ExecuteError> {
        self.walk(model.program(), Weights::Encrypted(model.slots()), queries, |_, _| ())
    }

    /// As `run_batch`, on a model that is not secret.
    ///
    /// # Errors
    /// As `run_batch`.
    pub fn run_plain_batch(
        &self,
        model: &PlainModel<B>,
        queries: &[&[Ciphertext<B>]],
    ) -> Result<Vec<Ciphertext<B>>, ExecuteError> {
        self.walk(model.program(), Weights::Plain(model.slots()), queries, |_, _| ())
    }

    fn only(
        &self,
        found: [u8; 32],
        weights: Weights<'_, B>,
        query: &[Ciphertext<B>],
        seen: impl FnMut(usize, &Ciphertext<B>),
    ) -> Result<Ciphertext<B>, ExecuteError> {
        let results = self.walk(found, weights, &[query], seen)?;
        results.into_iter().next().ok_or(ExecuteError::Layer { layer: 0, source: CkksError::NoTerms })
    }

    fn walk(
        &self,
        found: [u8; 32],
        weights: Weights<'_, B>,
        queries: &[&[Ciphertext<B>]],
        mut seen: impl FnMut(usize, &Ciphertext<B>),
    ) -> Result<Vec<Ciphertext<B>>, ExecuteError> {
        let program = self.program;
        if found != program.digest() {
            return Err(ExecuteError::OtherProgram { expected: program.digest(), found });
        }
        queries.iter().try_for_each(|query| program.check_query(query))?;
        let machine = EncryptedMachine { executor: self, weights };
        let mut done = 0;
        let result = walk(&machine, program, queries, |step, values| {
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
enum Weights<'a, B: Backend> {
    Encrypted(&'a [Ciphertext<B>]),
    Plain(&'a [Plaintext<B>]),
}

struct EncryptedMachine<'a, B: Backend> {
    executor: &'a EncryptedExecutor<'a, B>,
    weights: Weights<'a, B>,
}

/// Polynomials of a product before relinearisation.
const PRODUCT_PARTS: usize = 3;

impl<B: Backend> EncryptedMachine<'_, B> {
    fn only(batch: Vec<Ciphertext<B>>) -> Result<Ciphertext<B>, CkksError> {
        batch.into_iter().next().ok_or(CkksError::NoTerms)
    }

    /// Applies one operation to the products among `x` and another to the rest: products with
    /// plaintexts, and sums that are relinearised already.
    fn by_parts(
        x: &[&Ciphertext<B>],
        products: impl FnOnce(&[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError>,
        others: impl FnOnce(&[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError>,
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let is_product = |x: &Ciphertext<B>| x.parts().len() == PRODUCT_PARTS;
        let (long, short): (Vec<_>, Vec<_>) = x.iter().copied().partition(|x| is_product(x));
        let (mut long, mut short) = (products(&long)?.into_iter(), others(&short)?.into_iter());
        Ok(x.iter().filter_map(|x| if is_product(x) { long.next() } else { short.next() }).collect())
    }
}

impl<B: Backend> Machine for EncryptedMachine<'_, B> {
    type Value = Ciphertext<B>;
    type Error = CkksError;

    fn rotate(&self, x: &Ciphertext<B>, rotation: i32) -> Result<Ciphertext<B>, CkksError> {
        self.executor.evaluator.rotate(x, rotation, self.executor.keys)
    }

    fn sum_products(&self, sums: &[Vec<(&Ciphertext<B>, usize)>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let evaluator = &self.executor.evaluator;
        match self.weights {
            Weights::Encrypted(weights) => {
                let with_weights = |terms: &Vec<(_, usize)>| terms.iter().map(|(x, w)| (*x, &weights[*w])).collect();
                let sums: Vec<Vec<_>> = sums.iter().map(with_weights).collect();
                evaluator.mul_accumulate_all(&sums)
            }
            Weights::Plain(weights) => {
                let with_weights = |terms: &Vec<(_, usize)>| terms.iter().map(|(x, w)| (*x, &weights[*w])).collect();
                let sums: Vec<Vec<_>> = sums.iter().map(with_weights).collect();
                evaluator.mul_plain_accumulate_all(&sums)
            }
        }
    }

    fn nothing(&self) -> Result<Ciphertext<B>, CkksError> {
        Err(CkksError::NoTerms)
    }

    fn add(&self, x: Ciphertext<B>, y: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        Self::only(self.add_all(vec![x], &[y])?)
    }

    fn relinearise(&self, x: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        Self::only(self.relinearise_all(&[x])?)
    }

    fn rescale(&self, x: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        Self::only(self.rescale_all(&[x])?)
    }

    fn add_weight(&self, x: Ciphertext<B>, weight: usize) -> Result<Ciphertext<B>, CkksError> {
        Self::only(self.add_weights(vec![x], &[weight])?)
    }

    fn quadratic(&self, x: &Ciphertext<B>, weight: usize) -> Result<Ciphertext<B>, CkksError> {
        Self::only(self.quadratics(&[(x, weight)])?)
    }

    fn rotate_many(&self, x: &[&Ciphertext<B>], rotations: &[i32]) -> Result<Vec<Vec<Ciphertext<B>>>, CkksError> {
        Hoisted::all(&self.executor.evaluator, x.to_vec())?.rotate_many(rotations, self.executor.keys)
    }

    fn rotate_all(&self, x: &[&Ciphertext<B>], rotation: i32) -> Result<Vec<Ciphertext<B>>, CkksError> {
        self.executor.evaluator.rotate_all(x, rotation, self.executor.keys)
    }

    fn add_all(&self, x: Vec<Ciphertext<B>>, y: &[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        self.executor.evaluator.add_all(x, y)
    }

    fn relinearise_all(&self, x: &[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let (evaluator, keys) = (&self.executor.evaluator, self.executor.keys);
        Self::by_parts(
            x,
            |products| evaluator.relinearise_all(products, keys),
            |others| Ok(others.iter().copied().cloned().collect()),
        )
    }

    fn rescale_all(&self, x: &[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let (evaluator, keys) = (&self.executor.evaluator, self.executor.keys);
        Self::by_parts(
            x,
            |products| evaluator.relinearise_rescale_all(products, keys),
            |others| evaluator.rescale_all(others),
        )
    }

    fn add_weights(&self, x: Vec<Ciphertext<B>>, added: &[usize]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let evaluator = &self.executor.evaluator;
        match self.weights {
            Weights::Encrypted(weights) => {
                evaluator.add_all(x, &added.iter().map(|weight| &weights[*weight]).collect::<Vec<_>>())
            }
            Weights::Plain(weights) => {
                evaluator.add_plain_all(x, &added.iter().map(|weight| &weights[*weight]).collect::<Vec<_>>())
            }
        }
    }

    fn quadratics(&self, pairs: &[(&Ciphertext<B>, usize)]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let evaluator = &self.executor.evaluator;
        let (x, weights): (Vec<_>, Vec<_>) = pairs.iter().map(|(x, weight)| ((*x).clone(), *weight)).unzip();
        let shifted = self.add_weights(x, &weights)?;
        let products: Vec<_> = pairs.iter().zip(&shifted).map(|((x, _), shifted)| [(*x, shifted)]).collect();
        let squares = evaluator.mul_accumulate_all(&products)?;
        evaluator.relinearise_rescale_all(&squares.iter().collect::<Vec<_>>(), self.executor.keys)
    }
}
