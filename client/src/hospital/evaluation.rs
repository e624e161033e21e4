//! Evaluating others' queries, on keys and a model that this site added up: it releases a share of nothing else.

use std::collections::VecDeque;

use bytes::Bytes;
use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::EvaluationKeys;
use he_infer::{EncryptedExecutor, EncryptedModel};
use protocol::blob::{BodyRoot, ListId};
use protocol::drive::hospital::Parts;
use protocol::hospital::SwitchBinding;
use protocol::ids::{Digest, PartyId, QueryId};
use protocol::limits::QUERIES_EVALUATED_MAX;
use protocol::message::{KeySet, QueryHead};
use rayon::prelude::*;

use super::error::{HospitalError, Step};
use super::gates::GATE_KEYS_KEPT;
use super::site::Site;

/// Keys and model in memory. Nothing of it decrypts.
struct Engine {
    keys: EvaluationKeys,
    model: EncryptedModel,
    digest: Digest,
}

/// What this process evaluates with, and its results.
#[derive(Default)]
pub(super) struct Evaluations {
    engine: Option<Engine>,
    /// As many as may be under way, oldest first.
    results: VecDeque<(QueryId, BodyRoot, Ciphertext)>,
}

impl Evaluations {
    /// This site's own result of the query that a share is to be bound to.
    ///
    /// # Errors
    /// [`HospitalError::NotEvaluated`], [`HospitalError::ResultDiffers`].
    pub(super) fn result(&self, binding: &SwitchBinding) -> Result<&Ciphertext, HospitalError> {
        let query = binding.query;
        let own = self.results.iter().rev().find(|(of, ..)| *of == query);
        let (_, root, result) = own.ok_or_else(|| not_evaluated(query, "its result is not at hand"))?;
        if *root == binding.result { Ok(result) } else { Err(HospitalError::ResultDiffers { query }) }
    }

    fn keep_result(&mut self, query: QueryId, root: BodyRoot, result: Ciphertext) {
        self.results.retain(|(of, ..)| *of != query);
        self.results.push_back((query, root, result));
        if self.results.len() > QUERIES_EVALUATED_MAX {
            self.results.pop_front();
        }
    }
}

pub(super) fn not_evaluated(query: QueryId, why: impl ToString) -> HospitalError {
    HospitalError::NotEvaluated { query, why: why.to_string() }
}

impl Site {
    /// Runs the program on a query. Deterministic: whoever holds the same keys, model and query gets the same bytes.
    ///
    /// # Errors
    /// [`HospitalError::NotEvaluated`] for a query that is none of the program, or of another model than this site
    /// added up; [`HospitalError`] where the site itself fails.
    pub(super) fn evaluate(
        &mut self,
        asker: PartyId,
        head: &QueryHead,
        parts: &[Bytes],
    ) -> Result<BodyRoot, HospitalError> {
        let query = head.query;
        // A site that lost them says so, and goes on with everything else.
        self.load_engine().map_err(|error| not_evaluated(query, error))?;
        let key = self.gate_key(KeySet::Serving, asker).map_err(|error| not_evaluated(query, error))?;
        self.gates.keep(GATE_KEYS_KEPT);
        let crs = self.crs("evaluating a query")?;
        let engine = self.evaluations.engine.as_ref().filter(|engine| engine.digest == head.model);
        let engine = engine.ok_or_else(|| not_evaluated(query, "it is for a model that was not added up here"))?;
        let program = &*self.plan.program;
        let preset = program.params().preset;
        let wrong = |error: &dyn std::fmt::Display| not_evaluated(query, format!("{asker} sent {error}"));
        let executor = EncryptedExecutor::new(program, &engine.keys).step("evaluating a query")?;
        let image = if program.planes().is_some() {
            let question = self.read_planes(asker, head, parts)?;
            executor.lift_planes(&question.planes(), &question.turns(), crs, &key).map_err(|error| wrong(&error))?
        } else {
            let read = |part: &Bytes| GatedCiphertext::from_bytes(part, preset).map_err(|error| wrong(&error));
            let gated = parts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            // Under any other hospital's name, or another number, the same bytes are noise.
            let label = (asker.number(), query.0);
            executor.lift_query(&gated, crs, label, &key).map_err(|error| wrong(&error))?
        };
        let result = executor.run_all(&engine.model, &image).map_err(|error| wrong(&error))?;
        let bytes = result.to_bytes();
        let root = BodyRoot::of(&[Digest::of_bytes(&bytes)], bytes.len() as u64);
        self.evaluations.keep_result(query, root, result);
        let fetched_bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.observer.evaluated(self.plan.party, query, fetched_bytes);
        Ok(root)
    }

    /// Reads keys and model before the first query comes; where that fails, the query says so.
    pub(super) fn preload(&mut self) {
        if let Err(error) = self.load_engine() {
            self.observer.refused(self.plan.party, &error.to_string());
        }
    }

    /// Reads keys and model from this site's own disk, where they are not in memory.
    fn load_engine(&mut self) -> Result<(), HospitalError> {
        let step = "reading the keys and the model that were added up here";
        if self.evaluations.engine.is_some() {
            return Ok(());
        }
        let facts = self.facts()?;
        let none = || HospitalError::NothingPublished { party: self.plan.party };
        let (attempt, digest) = facts.model_checked().ok_or_else(none)?;
        let preset = self.plan.program.params().preset;
        let keys = self.evaluation_keys(KeySet::Serving)?;
        let weights = self.held(Parts::Model(attempt).sum(), Some(digest))?;
        let weight = |body: &Digest| Ciphertext::from_bytes(&self.holdings.read(*body)?, preset).step(step);
        let weights = weights.par_iter().map(weight).collect::<Result<Vec<_>, HospitalError>>()?;
        let model = EncryptedModel::new(&self.plan.program, weights).step(step)?;
        self.evaluations.engine = Some(Engine { keys, model, digest });
        Ok(())
    }

    /// The bodies of a list, which must be those that this site has on record.
    pub(super) fn held(&self, list: ListId, recorded: Option<Digest>) -> Result<Vec<Digest>, HospitalError> {
        let digests = self.holdings.digests(list)?;
        if recorded.is_some_and(|recorded| BodyRoot::of(&digests, 0).root == recorded) {
            return Ok(digests);
        }
        Err(HospitalError::BodyMissing { id: list.body(0) })
    }
}
