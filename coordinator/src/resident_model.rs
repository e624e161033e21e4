//! Keys and model on a device, asked several queries at a time, and compared with the processor now and then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use he_agg::ckks::{Ciphertext, CkksError, EvaluationKeys};
use he_infer::{EncryptedModel, ExecuteError, Program};
use protocol::ids::{Digest, QueryId};
use rayon::prelude::*;

use crate::compute::{self, Compute, Moved, Resident};
use crate::observer::{Observer, Step};

/// A query that fits the program.
pub(crate) struct Question {
    pub(crate) query: QueryId,
    /// Digest of what it is made of.
    pub(crate) content: Digest,
    pub(crate) image: Vec<Ciphertext>,
}

/// One result, or why there is none, and what a device moved for it.
type Answer = (Result<Ciphertext, ExecuteError>, Moved);

/// Keys and model on a device.
pub(crate) struct ResidentModel {
    compute: Compute,
    observer: Arc<dyn Observer>,
    /// Empty once the device is given up, so that its memory is free.
    resident: Mutex<Option<Box<dyn Resident>>>,
    /// Whether a result was compared already: the first one always is.
    begun: AtomicBool,
}

impl ResidentModel {
    /// Copies keys and model to the device; `None` where there is none, or none any more.
    pub(crate) fn load(
        compute: &Compute,
        observer: &Arc<dyn Observer>,
        program: &Arc<Program>,
        keys: &EvaluationKeys,
        model: &EncryptedModel,
    ) -> Option<Self> {
        let started = Instant::now();
        let (resident, moved) = compute.attempt(&**observer, |worker| worker.load(program, keys, model))?;
        observer.step(Step::Loaded { ms: started.elapsed().as_secs_f64() * 1e3, moved });
        let (compute, observer) = (compute.clone(), Arc::clone(observer));
        Some(Self { compute, observer, resident: Mutex::new(Some(resident)), begun: AtomicBool::new(false) })
    }

    /// Whether the processor has to do all work.
    pub(crate) fn is_given_up(&self) -> bool {
        self.compute.worker().is_none()
    }

    /// Results of all questions in their order, from the device where it is there and right, else from `on_processor`.
    /// Both are the same bits.
    pub(crate) fn run(
        &self,
        questions: &[Question],
        on_processor: impl Fn(&[Ciphertext]) -> Result<Ciphertext, ExecuteError> + Sync,
    ) -> Vec<Answer> {
        if questions.is_empty() {
            return Vec::new();
        }
        let here = || questions.par_iter().map(|one| (on_processor(&one.image), Moved::default())).collect();
        let Some((results, moved)) = self.on_device(questions) else { return here() };
        let first = !self.begun.swap(true, Ordering::Relaxed);
        let is_wrong = |(place, (question, result)): &(usize, (&Question, &Ciphertext))| {
            let is_checked = compute::is_chosen(&question.content) || first && *place == 0;
            is_checked && on_processor(&question.image).as_ref() != Ok(*result)
        };
        if let Some((_, (wrong, _))) = questions.par_iter().zip(&results).enumerate().find_first(is_wrong) {
            self.give_up(&format!("its result of query {} is not the processor's", wrong.query));
            return here();
        }
        // The bytes of a group are counted once, at its first query.
        let moved = std::iter::once(moved).chain(std::iter::repeat(Moved::default()));
        results.into_iter().map(Ok).zip(moved).collect()
    }

    /// The device's results; `None` where there are none to be had.
    fn on_device(&self, questions: &[Question]) -> Option<(Vec<Ciphertext>, Moved)> {
        // A panic while it was held leaves keys and model as they were.
        let mut resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_given_up() {
            *resident = None;
        }
        let images: Vec<&[Ciphertext]> = questions.iter().map(|one| &*one.image).collect();
        match resident.as_ref()?.run(&images) {
            Ok(done) => Some(done),
            Err(ExecuteError::Layer { source: CkksError::Backend(error), .. }) => {
                *resident = None;
                self.compute.give_up(&*self.observer, &error.to_string());
                None
            }
            // Not the device's doing: the processor finds out which query it is.
            Err(_) => None,
        }
    }

    fn give_up(&self, why: &str) {
        *self.resident.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.compute.give_up(&*self.observer, why);
    }
}
