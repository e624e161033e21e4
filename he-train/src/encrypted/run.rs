//! A training as everybody who has the uploads takes it: the coordinator, and every hospital that helps to refresh.
//!
//! Whoever follows it holds what the next step is taken from by itself. A hospital that is asked to refresh compares
//! what it is asked for with what its own step left, so that a share of anything else never leaves it.

use std::sync::Arc;

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, EvaluationKeys, Evaluator};

use super::error::{HeadError, check_count};
use super::program::HeadProgram;
use super::trainer::{HeadTrainer, TrainingGroup};

/// The steps of a program, one after the other.
pub struct HeadRun<B: Backend> {
    program: Arc<HeadProgram>,
    trainer: HeadTrainer<B>,
    groups: Arc<[TrainingGroup<B>]>,
    /// Steps that were taken and refreshed.
    done: usize,
    weights: Vec<Ciphertext<B>>,
    /// What the step at hand is taken from.
    ahead: Vec<Ciphertext<B>>,
    /// What it left, once it was taken.
    left: Option<Vec<Ciphertext<B>>>,
}

impl<B: Backend> HeadRun<B> {
    /// From weights of nothing, over all groups of the program in their order.
    ///
    /// # Errors
    /// Keys or an evaluator of another parameter set; [`HeadError::Count`] for other groups.
    pub fn new(
        program: Arc<HeadProgram>,
        evaluator: Evaluator<B>,
        keys: Arc<EvaluationKeys<B>>,
        groups: Arc<[TrainingGroup<B>]>,
    ) -> Result<Self, HeadError> {
        check_count("groups", groups.len(), program.groups())?;
        let trainer = HeadTrainer::new(Arc::clone(&program), evaluator, keys)?;
        let start = trainer.start()?;
        Ok(Self { program, trainer, groups, done: 0, weights: start.weights, ahead: start.ahead, left: None })
    }

    /// The step at hand, counted from 0. The last one stays at hand: nothing goes on from it.
    pub fn step(&self) -> usize {
        self.done
    }

    /// Whether what the step at hand leaves is the finished head.
    pub fn is_last(&self) -> bool {
        self.done + 1 >= self.program.recipe().steps
    }

    /// Takes the step at hand, unless it is taken already: what is to be refreshed now. That is where the next step
    /// looks from, or after the last step the weights.
    ///
    /// # Errors
    /// What evaluation says.
    pub fn take(&mut self) -> Result<&[Ciphertext<B>], HeadError> {
        if self.left.is_none() {
            let batch: Vec<_> = self.program.batch(self.done).map(|group| &self.groups[group]).collect();
            let stepped = self.trainer.step(self.done, &self.weights, &self.ahead, &batch)?;
            let left = if self.is_last() { stepped.weights.clone() } else { stepped.ahead };
            self.weights = stepped.weights;
            self.left = Some(left);
        }
        Ok(self.left.as_deref().unwrap_or_default())
    }

    /// Goes on from what the hospitals refreshed. After the last step there is nothing to go on to: what is refreshed
    /// then is under another key.
    ///
    /// # Errors
    /// [`HeadError::NotTaken`] where the step at hand was not taken; [`HeadError::Finished`]; [`HeadError::Count`].
    pub fn refreshed(&mut self, fresh: Vec<Ciphertext<B>>) -> Result<(), HeadError> {
        if self.left.is_none() {
            return Err(HeadError::NotTaken { step: self.done });
        }
        if self.is_last() {
            return Err(HeadError::Finished { steps: self.done + 1 });
        }
        check_count("refreshed weights", fresh.len(), self.program.tree().packages())?;
        self.ahead = fresh;
        self.left = None;
        self.done += 1;
        Ok(())
    }
}
