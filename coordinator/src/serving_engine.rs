//! Evaluates the encrypted model on encrypted images, and adds the shares that switch a result to its asker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use he_agg::ckks::{Ciphertext, SeededCiphertext};
use he_agg::multiparty::{
    AskerPublicKey, Crs, EvaluationKeys, KeySwitchShare, QueryKey, Quorum, SwitchContext, SwitchSum,
};
use he_infer::{EncryptedExecutor, EncryptedModel, Program};
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::hospital::SwitchBinding;
use protocol::ids::{Attempt, Digest, PartyId, QueryId};
use protocol::message::QueryKeyRef;
use protocol::serving::Evaluation;

use crate::bodies::{Bodies, ListId};
use crate::encrypted_model;
use crate::error::CoordinatorError;
use crate::serving_keys;

/// Keys and model, resident in memory between queries. Nothing here decrypts.
pub(crate) struct ServingEngine {
    bodies: Arc<Bodies>,
    program: Arc<Program>,
    crs: Crs,
    quorum: Quorum,
    keys: EvaluationKeys,
    model: EncryptedModel,
    query_keys: Mutex<VecDeque<(Digest, Arc<QueryKey>)>>,
}

/// Askers' query keys held in memory: some 60 MB each for the largest preset.
const QUERY_KEYS_MAX: usize = 8;

impl ServingEngine {
    /// Reads keys and model from the coordinator's folder.
    ///
    /// # Errors
    /// [`CoordinatorError`] where one is missing or malformed.
    pub(crate) fn load(
        bodies: Arc<Bodies>,
        program: Arc<Program>,
        epoch_seed: Digest,
        attempt: Attempt,
        quorum: Quorum,
    ) -> Result<Self, CoordinatorError> {
        let keys = serving_keys::load(&bodies, &program, epoch_seed)?;
        let slots = encrypted_model::load(&bodies, &program, attempt)?;
        let model = EncryptedModel::new(&program, slots)
            .map_err(|source| CoordinatorError::malformed("stored model", None, source))?;
        let crs = Crs::new(program.params().preset, epoch_seed.0);
        Ok(Self { bodies, program, crs, quorum, keys, model, query_keys: Mutex::default() })
    }

    /// Evaluates one query and stores the encrypted result.
    ///
    /// # Errors
    /// [`CoordinatorError::Malformed`] for a query of another shape, [`CoordinatorError::Evaluation`].
    pub(crate) fn evaluate(&self, one: &Evaluation) -> Result<BodyRoot, CoordinatorError> {
        let query = one.query;
        let result = self.result_of(query, one.asker, one.query_key)?;
        self.bodies.put(&BlobId::query(BlobKind::QueryResult, query, None, 0), &result.to_bytes())?;
        self.bodies.root(list(BlobKind::QueryResult, query, None))
    }

    /// The encrypted result of a stored query. Deterministic: whoever holds the same keys, model and query gets the
    /// same bytes.
    ///
    /// # Errors
    /// As [`ServingEngine::evaluate`].
    pub(crate) fn result_of(
        &self,
        query: QueryId,
        asker: PartyId,
        query_key: Option<QueryKeyRef>,
    ) -> Result<Ciphertext, CoordinatorError> {
        let preset = self.program.params().preset;
        let executor = EncryptedExecutor::new(&self.program, &self.keys)
            .map_err(|source| CoordinatorError::evaluation("preparing the evaluation", source))?;
        let parts = u32::try_from(self.program.inputs()).unwrap_or(u32::MAX);
        let bytes = (0..parts)
            .map(|part| self.bodies.get(&BlobId::query(BlobKind::Query, query, Some(asker), part)))
            .collect::<Result<Vec<_>, CoordinatorError>>()?;
        let malformed = |source| CoordinatorError::malformed("query", Some(asker), source);
        let image = match query_key {
            None => bytes
                .iter()
                .map(|bytes| Ciphertext::from_bytes(bytes, preset).map_err(malformed))
                .collect::<Result<Vec<_>, CoordinatorError>>()?,
            Some(reference) => {
                let key = self.query_key(asker, reference)?;
                let own = bytes
                    .iter()
                    .map(|bytes| SeededCiphertext::from_bytes(bytes, preset).map_err(malformed))
                    .collect::<Result<Vec<_>, CoordinatorError>>()?;
                executor
                    .switch_query(&own, &key)
                    .map_err(|source| CoordinatorError::evaluation("switching a query to the collective key", source))?
            }
        };
        executor
            .run_all(&self.model, &image)
            .map_err(|source| CoordinatorError::evaluation("the encrypted evaluation", source))
    }

    /// An asker's key for its queries, in memory for as long as it is among the last few used.
    fn query_key(&self, asker: PartyId, reference: QueryKeyRef) -> Result<Arc<QueryKey>, CoordinatorError> {
        let kept = |keys: &VecDeque<(Digest, Arc<QueryKey>)>| {
            keys.iter().find(|(digest, _)| *digest == reference.digest).map(|(_, key)| Arc::clone(key))
        };
        if let Some(key) = kept(&*self.query_keys.lock().map_err(|_| CoordinatorError::Abandoned)?) {
            return Ok(key);
        }
        let bytes = self.bodies.get(&BlobId::query(BlobKind::QueryKey, reference.session, Some(asker), 0))?;
        if Digest::of_bytes(&bytes) != reference.digest {
            let source = std::io::Error::other("its digest is not the one that the query names");
            return Err(CoordinatorError::malformed("query key", Some(asker), source));
        }
        let key = QueryKey::from_bytes(&bytes, &self.crs)
            .map_err(|source| CoordinatorError::malformed("query key", Some(asker), source))?;
        let key = Arc::new(key);
        let mut keys = self.query_keys.lock().map_err(|_| CoordinatorError::Abandoned)?;
        keys.push_front((reference.digest, Arc::clone(&key)));
        keys.truncate(QUERY_KEYS_MAX);
        Ok(key)
    }

    /// Frees the key of a session that has ended.
    ///
    /// # Errors
    /// [`CoordinatorError`] where a file cannot be removed.
    pub(crate) fn forget_query_key(&self, session: QueryId) -> Result<(), CoordinatorError> {
        self.bodies.forget(list(BlobKind::QueryKey, session, session.asker()))
    }

    /// Adds the decryptors' shares of one release and stores the result under the asker's key.
    ///
    /// # Errors
    /// [`CoordinatorError::Malformed`] naming the hospital whose share cannot be used.
    pub(crate) fn combine(&self, binding: &SwitchBinding) -> Result<BodyRoot, CoordinatorError> {
        let (query, asker) = (binding.query, binding.asker);
        let preset = self.program.params().preset;
        let own = |source| CoordinatorError::malformed("result", None, source);
        let bytes = self.bodies.get(&BlobId::query(BlobKind::QueryResult, query, None, 0))?;
        let result = Ciphertext::from_bytes(&bytes, preset)
            .map_err(|source| CoordinatorError::malformed("result", None, source))?;
        let bytes = self.bodies.get(&BlobId::query(BlobKind::AskerKey, query, Some(asker), 0))?;
        let key = AskerPublicKey::from_bytes(&bytes, preset)
            .map_err(|source| CoordinatorError::malformed("asker's key", Some(asker), source))?;
        let request = binding.digest().0;
        let decryptors = binding.decryptors.numbers();
        let number = query.narrow().ok_or(CoordinatorError::QueryNumber { query })?;
        let context =
            SwitchContext::new(&self.crs, self.quorum, (number, request), &result, &key, &decryptors).map_err(own)?;
        let mut sum = SwitchSum::new(&context);
        for party in binding.decryptors.iter() {
            let wrong = |source| CoordinatorError::malformed("switch share", Some(party), source);
            let bytes = self.bodies.get(&BlobId::query(BlobKind::SwitchShare, query, Some(party), 0))?;
            let share = KeySwitchShare::from_bytes(&bytes, &context).map_err(wrong)?;
            if share.sender() != party.number() {
                return Err(CoordinatorError::misattributed("switch share", party, share.sender()));
            }
            sum.absorb(&share).map_err(wrong)?;
        }
        let answer = sum.finish().map_err(own)?;
        self.bodies.put(&BlobId::query(BlobKind::Answer, query, None, 0), &answer.to_bytes())?;
        self.bodies.root(list(BlobKind::Answer, query, None))
    }

    /// Frees the decryptors' shares of an answered query; what an audit needs stays.
    ///
    /// # Errors
    /// [`CoordinatorError`] where a file cannot be removed.
    pub(crate) fn forget_shares(&self, query: QueryId, parties: PartySet) -> Result<(), CoordinatorError> {
        parties.iter().try_for_each(|party| self.bodies.forget(list(BlobKind::SwitchShare, query, Some(party))))
    }

    /// Frees everything that belongs to a query that failed, or that is too old to be audited.
    ///
    /// # Errors
    /// [`CoordinatorError`] where a file cannot be removed.
    pub(crate) fn forget(&self, query: QueryId, parties: PartySet) -> Result<(), CoordinatorError> {
        self.bodies.forget(list(BlobKind::QueryResult, query, None))?;
        self.bodies.forget(list(BlobKind::Answer, query, None))?;
        for party in parties.iter() {
            for kind in [BlobKind::Query, BlobKind::AskerKey, BlobKind::SwitchShare] {
                self.bodies.forget(list(kind, query, Some(party)))?;
            }
        }
        Ok(())
    }
}

fn list(kind: BlobKind, query: QueryId, party: Option<PartyId>) -> ListId {
    ListId { kind, round: query.0, attempt: 0, party }
}
