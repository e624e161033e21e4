//! One step of a recipe on ciphertexts.

use std::sync::Arc;

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, Plaintext};

use super::error::{HeadError, check_count};
use super::program::HeadProgram;
use super::sigmoid::{EncryptedSigmoid, lowered};
use super::turns::Turns;

/// Sums of a gradient that are relinearised together: enough for all threads to have work, and few enough that they
/// stay in the processor's caches.
const SUMS_TOGETHER: usize = 16;

/// Rows that lie in one ciphertext, as their hospital encrypted them.
pub struct TrainingGroup<B: Backend> {
    /// [`HeadLayout::blocks`](super::HeadLayout::blocks) of them, of [`HeadProgram::encode_features`].
    pub features: Vec<Ciphertext<B>>,
    /// Of [`HeadProgram::encode_labels`].
    pub labels: Ciphertext<B>,
}

/// What a step leaves: packed, at the base primes, to be refreshed.
pub struct Stepped<B: Backend> {
    /// The weights, which the next step takes as they are.
    pub weights: Vec<Ciphertext<B>>,
    /// Where the next step looks from, once refreshed.
    pub ahead: Vec<Ciphertext<B>>,
}

/// Takes the steps of a program with evaluation keys; it has no other.
pub struct HeadTrainer<B: Backend> {
    program: Arc<HeadProgram>,
    evaluator: Evaluator<B>,
    keys: Arc<EvaluationKeys<B>>,
    logit_turns: Turns<B>,
    sigmoid: Option<EncryptedSigmoid<B>>,
    /// Of the early steps and the late ones.
    phases: [Phase<B>; 2],
    /// D + A and A of the momentum.
    momentum: [Plaintext<B>; 2],
}

/// What depends on the rate.
struct Phase<B: Backend> {
    rate: f64,
    error_turns: Turns<B>,
    /// What decay leaves of the weights.
    kept: Plaintext<B>,
}

impl<B: Backend> HeadTrainer<B> {
    /// With the masks and factors of the program encoded.
    ///
    /// # Errors
    /// Keys or an evaluator of another parameter set.
    pub fn new(
        program: Arc<HeadProgram>,
        evaluator: Evaluator<B>,
        keys: Arc<EvaluationKeys<B>>,
    ) -> Result<Self, HeadError> {
        let encoder = Encoder::new(program.preset())?;
        let (logits, layout) = (program.logit_limbs(), program.layout());
        let masks = program.logit_scale() * program.prime(logits) / program.product_scale();
        let logit_turns = Turns::new(layout, (masks, logits + 1), &encoder, &evaluator)?;
        let sigmoid = match program.sigmoid() {
            Some(sigmoid) => {
                let scales = (program.sigmoid_scales(sigmoid), logits);
                Some(EncryptedSigmoid::new(sigmoid, scales, &encoder, &evaluator)?)
            }
            None => None,
        };
        let recipe = program.recipe();
        let phase = |rate| Phase::new(&program, rate, &encoder, &evaluator);
        let phases = [phase(recipe.learning_rate)?, phase(recipe.late_rate)?];
        let [part, whole] = program.momentum()?;
        let factor = |value: f64| every(&encoder, &evaluator, value, (1.0, program.weight_limbs()));
        let momentum = [factor(whole + part)?, factor(part)?];
        Ok(Self { program, evaluator, keys, logit_turns, sigmoid, phases, momentum })
    }

    /// Weights of nothing, as a step takes and leaves them: what training starts from.
    ///
    /// # Errors
    /// Of the backend.
    pub fn start(&self) -> Result<Stepped<B>, HeadError> {
        let (preset, packages) = (self.program.preset(), self.program.tree().packages());
        let nothing = |limbs: usize, scale: f64| -> Result<Vec<Ciphertext<B>>, CkksError> {
            let zero = Ciphertext::zero(preset, limbs, scale)?;
            Ok(Ciphertext::upload(&vec![&zero; packages], self.evaluator.backend())?)
        };
        Ok(Stepped {
            weights: nothing(self.program.weight_limbs(), self.program.weight_scale())?,
            ahead: nothing(self.program.top_limbs(), self.program.ahead_scale())?,
        })
    }

    /// Takes step `step`, counted from 0, from the weights that the last one left and from those ahead, refreshed, over
    /// the groups of [`HeadProgram::batch`].
    ///
    /// # Errors
    /// [`HeadError::Count`] for other ciphertexts than those of this program; what evaluation says.
    pub fn step(
        &self,
        step: usize,
        weights: &[Ciphertext<B>],
        ahead: &[Ciphertext<B>],
        batch: &[&TrainingGroup<B>],
    ) -> Result<Stepped<B>, HeadError> {
        let (program, evaluator) = (&self.program, &self.evaluator);
        let packages = program.tree().packages();
        for (what, found, expected) in [
            ("weights", weights.len(), packages),
            ("weights ahead", ahead.len(), packages),
            ("groups of a step", batch.len(), program.batch(step).count()),
        ] {
            check_count(what, found, expected)?;
        }
        for group in batch {
            check_count("a group's features", group.features.len(), program.layout().blocks())?;
        }
        let [early, late] = &self.phases;
        let phase = if program.recipe().is_late(step) { late } else { early };
        let errors = self.errors(ahead, batch)?;
        let gradient = self.gradient(phase, &errors, batch)?;

        let kept = lowered(evaluator, ahead, program.weight_limbs() + 1)?;
        let lists: Vec<_> = kept.iter().map(|kept| [(kept, &phase.kept)]).collect();
        let kept = evaluator.mul_plain_accumulate_all(&lists)?;
        let kept = evaluator.rescale_all(&kept.iter().collect::<Vec<_>>())?;
        let mut next = Vec::with_capacity(packages);
        for (kept, gradient) in kept.iter().zip(gradient) {
            next.push(evaluator.sub(kept, &gradient.scaled_by(program.share(phase.rate))?)?);
        }
        let [more, less] = &self.momentum;
        let [_, whole] = program.momentum()?;
        let mut ahead = Vec::with_capacity(packages);
        for (next, before) in next.iter().zip(weights) {
            let looking = evaluator.sub(&evaluator.mul_plain(next, more)?, &evaluator.mul_plain(before, less)?)?;
            ahead.push(looking.scaled_by(1.0 / whole)?);
        }
        Ok(Stepped { weights: next, ahead })
    }

    /// What the answers of every group are off by.
    fn errors(&self, ahead: &[Ciphertext<B>], batch: &[&TrainingGroup<B>]) -> Result<Vec<Ciphertext<B>>, HeadError> {
        let (program, evaluator, keys) = (&self.program, &self.evaluator, &*self.keys);
        let width = program.layout().width();
        let capacity = program.tree().capacity() as f64;
        let vectors = program.tree().unpack(evaluator, keys, ahead)?;
        let vectors = vectors.into_iter().map(|w| w.scaled_by(1.0 / capacity)).collect::<Result<Vec<_>, _>>()?;
        let mut lists = Vec::with_capacity(batch.len() * width);
        for group in batch {
            for turn in 0..width {
                lists.push(group.features.iter().zip(vectors.iter().skip(turn).step_by(width)).collect::<Vec<_>>());
            }
        }
        let products = evaluator.mul_accumulate_all(&lists)?;
        let products = evaluator.relinearise_rescale_all(&products.iter().collect::<Vec<_>>(), keys)?;
        let mut products = products.into_iter().map(|product| product.scaled_by(1.0 / program.range()));
        let by_group = batch.iter().map(|_| products.by_ref().take(width).collect::<Result<Vec<_>, _>>());
        let by_group = by_group.collect::<Result<Vec<_>, _>>()?;
        let logits = self.logit_turns.back(evaluator, keys, &by_group)?;
        let answers = match &self.sigmoid {
            Some(sigmoid) => sigmoid.apply(evaluator, keys, &logits)?,
            None => logits,
        };
        let labels: Vec<_> = batch.iter().map(|group| &group.labels).collect();
        Ok(evaluator.add_all(answers, &labels)?)
    }

    /// The sum of features times errors over all rows, packed.
    fn gradient(
        &self,
        phase: &Phase<B>,
        errors: &[Ciphertext<B>],
        batch: &[&TrainingGroup<B>],
    ) -> Result<Vec<Ciphertext<B>>, HeadError> {
        let (program, evaluator, keys) = (&self.program, &self.evaluator, &*self.keys);
        let (width, limbs) = (program.layout().width(), program.weight_limbs() + 1);
        let turned = phase.error_turns.all(evaluator, keys, errors)?;
        let mut vectors = Vec::with_capacity(program.layout().vectors());
        let blocks: Vec<usize> = (0..program.layout().blocks()).collect();
        for together in blocks.chunks((SUMS_TOGETHER / width).max(1)) {
            let mut lists = Vec::with_capacity(together.len() * width);
            for block in together {
                for turn in 0..width {
                    let features = batch.iter().map(|group| &group.features[*block]);
                    lists.push(features.zip(turned.iter().map(|turned| &turned[turn])).collect::<Vec<_>>());
                }
            }
            let sums = evaluator.mul_accumulate_all_at(limbs, &lists)?;
            vectors.extend(evaluator.relinearise_rescale_all(&sums.iter().collect::<Vec<_>>(), keys)?);
        }
        program.tree().pack(evaluator, keys, vectors)
    }
}

impl<B: Backend> Phase<B> {
    fn new(program: &HeadProgram, rate: f64, encoder: &Encoder, evaluator: &Evaluator<B>) -> Result<Self, HeadError> {
        let errors = program.error_limbs();
        let masks = program.turned_scale(rate) * program.prime(errors - 1) / program.error_scale();
        let error_turns = Turns::new(program.layout(), (masks, errors), encoder, evaluator)?;
        let weights = program.weight_limbs();
        let scale = program.weight_scale() * program.prime(weights) / program.ahead_scale();
        let kept = 1.0 - rate * program.recipe().weight_decay;
        Ok(Self { rate, error_turns, kept: every(encoder, evaluator, kept, (scale, weights + 1))? })
    }
}

/// A value in every slot.
fn every<B: Backend>(
    encoder: &Encoder,
    evaluator: &Evaluator<B>,
    value: f64,
    (scale, limbs): (f64, usize),
) -> Result<Plaintext<B>, CkksError> {
    let plain = encoder.encode(&vec![value; evaluator.params().slots()], scale, limbs)?;
    Plaintext::upload(&[&plain], evaluator.backend())?.pop().ok_or(CkksError::NoTerms)
}
