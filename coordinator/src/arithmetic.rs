//! The coordinator's long work: each job on a thread of its own, its result back to the driver as an event.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use he_agg::aggregation::LaneLayout;
use he_agg::multiparty::{Crs, PlannedKeys, Quorum};
use he_infer::Program;
use he_train::encrypted::HeadPlan;
use protocol::blob::BlobKind;
use protocol::drive::coordinator::{
    CoordinatorEvent, CoordinatorJob, Inspection, JobResult, KeysAdded, ModelAdded, StepsPrepared, SumMade, Training,
};
use protocol::drive::{Crypto, JobId, StoreFault};
use protocol::ids::{Attempt, Digest, RoundId, StepId};
use protocol::message::KeySet;
use protocol::roster::Roster;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::aggregation::{self, SumContext};
use crate::bodies::Bodies;
use crate::compute::{Compute, Moved};
use crate::encrypted_model;
use crate::error::CoordinatorError;
use crate::node::Input;
use crate::observer::{Observer, Step};
use crate::serving_engine::{Evaluated, ServingEngine};
use crate::serving_keys;
use crate::training_engine::{TrainingEngine, TrainingParts, step_of};

/// Everything that the arithmetic works with. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) roster: Roster,
    pub(crate) layout: LaneLayout,
    pub(crate) program: Arc<Program>,
    /// The head that is trained on ciphertexts, if there is one; `program` is then what serves it.
    pub(crate) head: Option<Arc<HeadPlan>>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) compute: Compute,
    pub(crate) observer: Arc<dyn Observer>,
    /// Keys and model, while serving.
    pub(crate) engine: Arc<Mutex<Option<Arc<ServingEngine>>>>,
    /// The head that is being trained.
    pub(crate) training: Arc<Mutex<Option<TrainingEngine>>>,
    /// What the disk said when it had no room for a result.
    pub(crate) full: Arc<OnceLock<StoreFault>>,
}

/// Starts jobs and brings their results back.
pub(crate) struct Arithmetic {
    pub(crate) workshop: Workshop,
    pub(crate) runtime: Handle,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Crypto for Arithmetic {
    type Job = CoordinatorJob;

    fn start(&mut self, id: JobId, job: CoordinatorJob) {
        let (workshop, inputs) = (self.workshop.clone(), self.inputs.clone());
        self.runtime.spawn_blocking(move || {
            // The process may be ending; then nobody waits for the result.
            let done = |result| drop(inputs.blocking_send(Input::Event(CoordinatorEvent::Done { job: id, result })));
            workshop.run(job, done);
        });
    }
}

impl Workshop {
    fn run(&self, job: CoordinatorJob, done: impl Fn(JobResult) + Sync) {
        let started = Instant::now();
        match job {
            CoordinatorJob::AddKeys { step, epoch_seed } => {
                let parties = self.roster.parties();
                let keys = self.keys_of(step.set());
                let added =
                    keys.and_then(|keys| serving_keys::aggregate(&self.bodies, &keys, parties, epoch_seed, step));
                done(self.told(added, |body| JobResult::Keys(KeysAdded { step, body })));
            }
            CoordinatorJob::Inspect(Inspection { list, chunks, .. }) if list.kind == BlobKind::Feature => {
                let inspected = self.training_parts().and_then(|parts| parts.inspect(list, chunks));
                done(self.told(inspected, |it| JobResult::Inspected(list, it.is_some())));
            }
            CoordinatorJob::Inspect(Inspection { epoch_seed, list, chunks, cohort, decryptors, manifest }) => {
                let epoch = self.epoch(epoch_seed);
                let (round, attempt) = (RoundId(u32::try_from(list.round).unwrap_or(u32::MAX)), Attempt(list.attempt));
                let context = SumContext { epoch, round, attempt, cohort, decryptors, manifest };
                let inspected = aggregation::inspect(&self.bodies, &self.layout, &context, list, chunks);
                done(self.told(inspected, |it| JobResult::Inspected(list, it.is_some())));
            }
            CoordinatorJob::Combine { epoch_seed, round, attempt, cohort, decryptors, manifest, chunks } => {
                let epoch = self.epoch(epoch_seed);
                let context = SumContext { epoch, round, attempt, cohort, decryptors, manifest };
                let combined =
                    aggregation::combine(&self.bodies, &self.layout, &context, chunks, &self.compute, &*self.observer);
                let ms = milliseconds(started);
                let moved = combined.as_ref().map_or_else(|_| Moved::default(), |combined| combined.moved);
                self.observer.step(Step::Combined { round, cohort, decryptors, ms, moved });
                let chunks = combined.map(|combined| combined.chunks);
                done(self.told(chunks, |chunks| JobResult::Sum(SumMade { attempt, chunks })));
            }
            CoordinatorJob::AddModel { epoch_seed, attempt, cohort, count } => {
                let added = encrypted_model::add(&self.bodies, &self.program, epoch_seed, attempt, (cohort, count));
                let stored = added.and_then(|digest| {
                    // From here on the model is served, also after a restart.
                    self.bodies.sync(encrypted_model::model_list(attempt))?;
                    serving_keys::sync(&self.bodies, self.roster.parties())?;
                    Ok(digest)
                });
                done(self.told(stored, |model| JobResult::Model(ModelAdded { attempt, model })));
            }
            CoordinatorJob::PrepareTraining(of) => {
                let program = self.training_parts().and_then(|parts| parts.program(&of));
                done(self.told(program, |program| JobResult::Prepared(StepsPrepared { program })));
            }
            CoordinatorJob::InspectPart { of, list, binding } => {
                let step = StepId(u32::try_from(list.round).unwrap_or(u32::MAX));
                let fit = self.train((&of, step), |engine| engine.is_fit(list, binding));
                done(self.told(fit, |fit| JobResult::Inspected(list, fit == Some(true))));
            }
            CoordinatorJob::TrainHead { of, task } => {
                let result = self.train((&of, step_of(&task)), |engine| engine.run(task));
                if matches!(&result, Ok(JobResult::Joined(joined)) if joined.model.is_some()) {
                    // What it was trained on takes most of the memory.
                    *self.training.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                done(self.told(result, |result| result.unwrap_or(JobResult::Stuck)));
            }
            CoordinatorJob::Load { published, epoch_seed } => {
                let (bodies, parties) = (Arc::clone(&self.bodies), self.roster.parties());
                let of = (epoch_seed, published.attempt);
                let loaded = self
                    .keys_of(KeySet::Serving)
                    .and_then(|keys| ServingEngine::load(bodies, (Arc::clone(&self.program), &keys), parties, of));
                let engine = loaded.map(|mut engine| {
                    engine.load_on(&self.compute, &self.observer);
                    Arc::new(engine)
                });
                let engine = engine.map_err(|error| self.failed(error)).ok();
                let is_loaded = engine.is_some();
                *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
                done(JobResult::Loaded(is_loaded));
            }
            CoordinatorJob::Evaluate(batch) => match self.engine() {
                None => batch.iter().for_each(|one| done(JobResult::Evaluated(one.query, None))),
                Some(engine) => engine.evaluate(&batch, |one| {
                    let Evaluated { query, result, ms, moved } = one;
                    if result.is_ok() {
                        self.observer.step(Step::Evaluated { query, ms, moved });
                    }
                    done(JobResult::Evaluated(query, result.map_err(|error| self.failed(error)).ok()));
                }),
            },
        }
    }

    fn keys_of(&self, set: KeySet) -> Result<PlannedKeys, CoordinatorError> {
        serving_keys::planned(&self.program, self.head.as_deref(), set)
    }

    fn training_parts(&self) -> Result<TrainingParts, CoordinatorError> {
        let plan = self.head.clone().ok_or(CoordinatorError::NoHead)?;
        let quorum = Quorum { threshold: self.layout.threshold(), parties: self.layout.parties() };
        Ok(TrainingParts { bodies: Arc::clone(&self.bodies), plan, quorum, parties: self.roster.parties() })
    }

    /// Works at the step that a training has come to. One job at a time: a step needs all processors.
    fn train<T>(
        &self,
        (of, step): (&Training, StepId),
        work: impl FnOnce(&mut TrainingEngine) -> Result<T, CoordinatorError>,
    ) -> Result<T, CoordinatorError> {
        let mut kept = self.training.lock().unwrap_or_else(PoisonError::into_inner);
        // An engine that failed in the middle of a step is opened again.
        let mut engine = match kept.take().filter(|engine| engine.is_at(of, step)) {
            Some(engine) => engine,
            None => TrainingEngine::open(self.training_parts()?, of)?,
        };
        engine.catch_up(of, step)?;
        let worked = work(&mut engine)?;
        *kept = Some(engine);
        Ok(worked)
    }

    /// Names the key epoch in every ciphertext and share.
    fn epoch(&self, seed: Digest) -> Digest {
        Digest(Crs::new(self.program.params().preset, seed.0).epoch())
    }

    fn engine(&self) -> Option<Arc<ServingEngine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what failed, and whether it was the disk. A full one ends the process; the next one goes on there.
    fn failed(&self, error: CoordinatorError) -> bool {
        self.observer.step(Step::Failed { what: error.to_string() });
        let is_storage = error.is_storage();
        if error.no_space_left() {
            let _ = self.full.set(error.into());
        }
        is_storage
    }

    /// A result for the driver: what the disk kept from ending is begun again.
    fn told<T>(&self, result: Result<T, CoordinatorError>, of: impl FnOnce(Option<T>) -> JobResult) -> JobResult {
        match result {
            Ok(value) => of(Some(value)),
            Err(error) => {
                if self.failed(error) {
                    JobResult::Again
                } else {
                    of(None)
                }
            }
        }
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
