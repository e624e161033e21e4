//! Evaluates the encrypted model on encrypted images. What leaves of a result, hospitals seal to its asker.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::{Crs, EvaluationKeys, GateKey, PlannedKeys};
use he_infer::{EncryptedExecutor, EncryptedModel, ExecuteError, Program};
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::ids::{Attempt, Digest, PartyId, QueryId};
use protocol::message::KeySet;
use protocol::serving::Evaluation;
use rayon::prelude::*;

use crate::bodies::{Bodies, ListId};
use crate::compute::{self, Compute, Moved};
use crate::encrypted_model;
use crate::error::CoordinatorError;
use crate::observer::Observer;
use crate::resident_model::{Question, ResidentModel};
use crate::serving_keys::{self, Planes};

/// Keys and model, resident in memory between queries, and on the device if there is one. Nothing here decrypts.
pub(crate) struct ServingEngine {
    bodies: Arc<Bodies>,
    program: Arc<Program>,
    crs: Crs,
    keys: EvaluationKeys,
    model: EncryptedModel,
    gate_keys: Mutex<VecDeque<(PartyId, Arc<GateKey>)>>,
    /// Where questions are made of planes.
    planes: Option<Planes>,
    on_device: Option<ResidentModel>,
}

/// Askers' gate keys held in memory: some 30 MB each for the largest preset.
const GATE_KEYS_MAX: usize = 8;
/// Queries that take every step on a device together. Each holds all rotations of its image there: a few hundred
/// megabytes at the largest preset.
pub(crate) const QUERIES_TOGETHER_MAX: usize = 4;

/// One evaluated query.
pub(crate) struct Evaluated {
    pub(crate) query: QueryId,
    pub(crate) result: Result<BodyRoot, CoordinatorError>,
    /// Of all queries that were evaluated together.
    pub(crate) ms: f64,
    pub(crate) moved: Moved,
}

impl ServingEngine {
    /// Reads keys and model from the coordinator's folder.
    ///
    /// # Errors
    /// [`CoordinatorError`] where one is missing or malformed.
    pub(crate) fn load(
        bodies: Arc<Bodies>,
        (program, planned): (Arc<Program>, &PlannedKeys),
        parties: PartySet,
        (epoch_seed, attempt): (Digest, Attempt),
    ) -> Result<Self, CoordinatorError> {
        let keys = serving_keys::load(&bodies, (KeySet::Serving, planned), epoch_seed)?;
        let slots = encrypted_model::load(&bodies, &program, attempt)?;
        let model = EncryptedModel::new(&program, slots)
            .map_err(|source| CoordinatorError::malformed("stored model", None, source))?;
        let crs = Crs::new(program.params().preset, epoch_seed.0);
        let planes = match program.planes() {
            Some(_) => Some(Planes::load(&bodies, &program, &crs, parties)?),
            None => None,
        };
        Ok(Self { bodies, program, crs, keys, model, gate_keys: Mutex::default(), planes, on_device: None })
    }

    /// Copies keys and model to the device as well, where there is one. They stay here for spot checks, and for the
    /// time after the device is given up.
    pub(crate) fn load_on(&mut self, compute: &Compute, observer: &Arc<dyn Observer>) {
        self.on_device = ResidentModel::load(compute, observer, &self.program, &self.keys, &self.model);
    }

    /// Evaluates queries and stores the encrypted results; each is `finished` as soon as it is there. On the processor
    /// they run side by side, on a device several of them take every step together.
    pub(crate) fn evaluate(&self, batch: &[Evaluation], finished: impl Fn(Evaluated) + Sync) {
        let Some(on_device) = &self.on_device else { return self.evaluate_each(batch, finished) };
        for group in batch.chunks(QUERIES_TOGETHER_MAX) {
            if on_device.is_given_up() {
                self.evaluate_each(group, &finished);
            } else {
                self.evaluate_together(on_device, group, &finished);
            }
        }
    }

    fn evaluate_each(&self, batch: &[Evaluation], finished: impl Fn(Evaluated) + Sync) {
        batch.par_iter().for_each(|one| {
            let started = Instant::now();
            let result = self.result_of(one.query, one.asker);
            let result = result.and_then(|result| self.store(one.query, &result));
            finished(Evaluated { query: one.query, result, ms: milliseconds(started), moved: Moved::default() });
        });
    }

    fn evaluate_together(&self, on_device: &ResidentModel, group: &[Evaluation], finished: impl Fn(Evaluated) + Sync) {
        let started = Instant::now();
        let read: Vec<Result<Question, CoordinatorError>> = group.par_iter().map(|one| self.question(one)).collect();
        let mut questions = Vec::new();
        for (one, question) in group.iter().zip(read) {
            match question {
                Ok(question) => questions.push(question),
                Err(error) => {
                    let (query, ms) = (one.query, milliseconds(started));
                    finished(Evaluated { query, result: Err(error), ms, moved: Moved::default() });
                }
            }
        }
        let results = on_device.run(&questions, |image| self.run(image));
        questions.into_par_iter().zip(results).for_each(|(question, (result, moved))| {
            let query = question.query;
            let result = result
                .map_err(|source| CoordinatorError::evaluation(EVALUATION, source))
                .and_then(|result| self.store(query, &result));
            finished(Evaluated { query, result, ms: milliseconds(started), moved });
        });
    }

    /// A query as the device takes it: of the program's shape, under the collective key, and the digest of what it is.
    fn question(&self, one: &Evaluation) -> Result<Question, CoordinatorError> {
        let image = self.image(one.query, one.asker)?;
        let refused = |source| CoordinatorError::evaluation(EVALUATION, ExecuteError::Query(source));
        self.program.check_query(&image).map_err(refused)?;
        let parts = self.parts(one.query, one.asker).map(|id| self.bodies.digest(&id));
        let content = compute::content(parts.collect::<Result<_, _>>()?);
        Ok(Question { query: one.query, content, image })
    }

    fn store(&self, query: QueryId, result: &Ciphertext) -> Result<BodyRoot, CoordinatorError> {
        self.bodies.put(&BlobId::query(BlobKind::QueryResult, query, None, 0), &result.to_bytes())?;
        self.bodies.root(list(BlobKind::QueryResult, query, None))
    }

    /// The encrypted result of a stored query, always from the processor. Deterministic: whoever holds the same keys,
    /// model and query gets the same bytes.
    ///
    /// # Errors
    /// [`CoordinatorError::Malformed`] for a query of another shape, [`CoordinatorError::Evaluation`].
    pub(crate) fn result_of(&self, query: QueryId, asker: PartyId) -> Result<Ciphertext, CoordinatorError> {
        let image = self.image(query, asker)?;
        self.run(&image).map_err(|source| CoordinatorError::evaluation(EVALUATION, source))
    }

    /// The program on the processor.
    fn run(&self, image: &[Ciphertext]) -> Result<Ciphertext, ExecuteError> {
        EncryptedExecutor::new(&self.program, &self.keys)?.run_all(&self.model, image)
    }

    fn parts(&self, query: QueryId, asker: PartyId) -> impl Iterator<Item = BlobId> {
        let parts = u32::try_from(self.program.question_bodies()).unwrap_or(u32::MAX);
        (0..parts).map(move |part| BlobId::query(BlobKind::Query, query, Some(asker), part))
    }

    /// The ciphertexts of a stored query, lifted to the collective secret.
    fn image(&self, query: QueryId, asker: PartyId) -> Result<Vec<Ciphertext>, CoordinatorError> {
        let parts = self.parts(query, asker).map(|id| self.bodies.get(&id)).collect::<Result<Vec<_>, _>>()?;
        let key = self.gate_key(asker)?;
        let malformed = |source| CoordinatorError::malformed("query", Some(asker), source);
        let lifting = |source| CoordinatorError::evaluation("lifting a query to the collective secret", source);
        let executor = EncryptedExecutor::new(&self.program, &self.keys).map_err(lifting)?;
        if let Some(planes) = &self.planes {
            let question = planes.question(&self.program, &self.crs, (asker, query), &parts);
            let question = question.map_err(|source| CoordinatorError::malformed("query", Some(asker), source))?;
            return executor.lift_planes(&question.planes(), &question.turns(), &self.crs, &key).map_err(lifting);
        }
        let preset = self.program.params().preset;
        let read = |bytes: &Bytes| GatedCiphertext::from_bytes(bytes, preset).map_err(malformed);
        let gated = parts.iter().map(read).collect::<Result<Vec<_>, CoordinatorError>>()?;
        executor.lift_query(&gated, &self.crs, (asker.number(), query.0), &key).map_err(lifting)
    }

    /// An asker's gate key, in memory for as long as it is among the last few used.
    fn gate_key(&self, asker: PartyId) -> Result<Arc<GateKey>, CoordinatorError> {
        let kept = |keys: &VecDeque<(PartyId, Arc<GateKey>)>| {
            keys.iter().find(|(of, _)| *of == asker).map(|(_, key)| Arc::clone(key))
        };
        if let Some(key) = kept(&*self.gate_keys.lock().map_err(|_| CoordinatorError::Abandoned)?) {
            return Ok(key);
        }
        let key = Arc::new(serving_keys::gate_key(&self.bodies, (KeySet::Serving, &self.crs), asker)?);
        let mut keys = self.gate_keys.lock().map_err(|_| CoordinatorError::Abandoned)?;
        keys.push_front((asker, Arc::clone(&key)));
        keys.truncate(GATE_KEYS_MAX);
        Ok(key)
    }
}

/// What failed, where it is the evaluation itself.
const EVALUATION: &str = "the encrypted evaluation";

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn list(kind: BlobKind, query: QueryId, party: Option<PartyId>) -> ListId {
    ListId { kind, round: query.0, attempt: 0, party }
}
