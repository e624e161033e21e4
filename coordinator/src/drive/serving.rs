//! Encrypted inference: waiting queries are evaluated together, on ciphertexts, and switched to their askers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use he_agg::multiparty::Quorum;
use protocol::blob::{BlobKind, BodyRoot};
use protocol::hospital::SwitchBinding;
use protocol::ids::{Digest, QueryId};
use protocol::limits::{QUERIES_AUDITED_MAX, QUERIES_QUEUED_MAX};
use protocol::message::{LogMessage, QueryFailed};
use protocol::reject::Reject;
use protocol::serving::{ServingConfig, ServingInput, ServingMachine, ServingOutput};
use tokio::sync::{mpsc, oneshot};

use super::PublishedModel;
use crate::bodies::ListId;
use crate::coordinator::Coordinator;
use crate::error::CoordinatorError;
use crate::inbox::Incoming;
use crate::observer::Step;
use crate::serving_engine::{Evaluated, QUERIES_TOGETHER_MAX, ServingEngine};

/// What serving did until it was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingEnd {
    /// Results switched: the flooding budget spent.
    pub releases: u64,
}

enum Worked {
    Evaluated(Evaluated),
    Combined(QueryId, Result<BodyRoot, CoordinatorError>, f64),
}

/// One session of serving: keys and model in memory, results of finished work on their way back.
struct Session {
    engine: Arc<ServingEngine>,
    done: mpsc::Sender<Worked>,
    bindings: BTreeMap<QueryId, SwitchBinding>,
    /// Answered queries whose ciphertexts are kept for audits, oldest first.
    audited: VecDeque<QueryId>,
    /// The session under whose key each query came, for those that came under an own one.
    sessions: BTreeMap<QueryId, QueryId>,
}

impl Coordinator {
    /// Serves the published `model` until `end` is sent or dropped. Quotas and budget go on where the log left them.
    ///
    /// # Errors
    /// [`CoordinatorError`] where keys or model cannot be loaded; a failed query is told to its asker.
    pub async fn serve(
        &mut self,
        model: PublishedModel,
        mut end: oneshot::Receiver<()>,
    ) -> Result<ServingEnd, CoordinatorError> {
        let engine = Arc::new(self.engine(model).await?);
        self.inbox.forget_the_silent();
        let standing = crate::standing::Standing::of(&self.log.messages()?);
        for query in standing.spent.interrupted() {
            // Its shares may be out already, so it is not switched again: the asker encrypts anew.
            self.log.append(LogMessage::QueryFailed(QueryFailed { query, reject: Reject::DecryptorLost }))?;
            engine.forget(query, self.plan.roster.parties())?;
        }
        let config = ServingConfig {
            model: model.digest,
            program: Digest(self.plan.program.digest()),
            queries_per_asker_max: self.plan.queries_per_asker_max,
            releases_max: self.plan.releases_max,
            batch_max: rayon::current_num_threads().max(QUERIES_TOGETHER_MAX),
            receive_ms: self.query_window_ms(),
            switch_ms: self.query_window_ms(),
        };
        // Every query has at most one piece of work under way.
        let (done, mut finished) = mpsc::channel(QUERIES_QUEUED_MAX);
        let audited = standing.answered.into_iter().collect();
        let mut session = Session { engine, done, bindings: BTreeMap::new(), audited, sessions: standing.sessions };
        let mut machine = ServingMachine::new(self.plan.roster.clone(), self.inbox.live(), config, standing.spent);
        let mut outputs = machine.on(self.inbox.now_ms(), ServingInput::Tick);
        loop {
            for output in std::mem::take(&mut outputs) {
                self.serving_output(&mut session, output)?;
            }
            let input = tokio::select! {
                _ = &mut end => return Ok(ServingEnd { releases: machine.releases() }),
                incoming = self.inbox.next() => self.heard(incoming?),
                Some(worked) = finished.recv() => self.worked(worked),
            };
            outputs = machine.on(self.inbox.now_ms(), input);
        }
    }

    /// Keys and model of the published model, in memory and on the device.
    pub(crate) async fn engine(&self, model: PublishedModel) -> Result<ServingEngine, CoordinatorError> {
        let (bodies, program) = (Arc::clone(&self.bodies), Arc::clone(&self.plan.program));
        let (seed, roster) = (self.epoch_seed, &self.plan.roster);
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let quorum = Quorum { threshold: count(roster.threshold()), parties: count(roster.size()) };
        let (compute, observer) = (self.compute.clone(), Arc::clone(&self.observer));
        let load = move || {
            let mut engine = ServingEngine::load(bodies, program, seed, model.attempt, quorum)?;
            engine.load_on(&compute, &observer);
            Ok(engine)
        };
        tokio::task::spawn_blocking(load).await.map_err(|_| CoordinatorError::Abandoned)?
    }

    fn serving_output(&mut self, session: &mut Session, output: ServingOutput) -> Result<(), CoordinatorError> {
        match output {
            ServingOutput::Append(message) => self.serving_entry(session, message)?,
            ServingOutput::AwaitBodies { kind, query, party, body } => {
                let list = ListId { kind, round: query.0, attempt: 0, party: Some(party) };
                self.inbox.expect(list, body)?;
            }
            ServingOutput::Evaluate(batch) => {
                let (engine, done) = (Arc::clone(&session.engine), session.done.clone());
                tokio::task::spawn_blocking(move || {
                    // The session may have ended meanwhile; then nobody waits for the results.
                    engine.evaluate(&batch, |one| drop(done.blocking_send(Worked::Evaluated(one))));
                });
            }
            ServingOutput::CombineSwitch { query, .. } => {
                if let Some(binding) = session.bindings.remove(&query) {
                    let (engine, done) = (Arc::clone(&session.engine), session.done.clone());
                    tokio::task::spawn_blocking(move || {
                        let started = Instant::now();
                        let answer = engine.combine(&binding);
                        let forgotten = engine.forget_shares(query, binding.decryptors);
                        let answer = forgotten.and(answer);
                        // The session may have ended meanwhile; then nobody waits for the answer.
                        let _ = done.blocking_send(Worked::Combined(query, answer, milliseconds(started)));
                    });
                }
            }
            ServingOutput::Admitted { party, query } => self.inbox.verdict(party, query, Ok(())),
            ServingOutput::Reject { party, query, reject } => {
                tracing::info!(%party, ?query, %reject, "message refused");
                if let Some(query) = query {
                    self.inbox.verdict(party, query, Err(reject));
                }
            }
            ServingOutput::WakeAt(_) => {}
        }
        Ok(())
    }

    fn serving_entry(&mut self, session: &mut Session, message: LogMessage) -> Result<(), CoordinatorError> {
        let parties = self.plan.roster.parties();
        match &message {
            LogMessage::SwitchRequest(request) => {
                if let Some(binding) = SwitchBinding::of(self.plan.roster.epoch(), request) {
                    if let Some(key) = binding.query_key {
                        session.sessions.insert(binding.query, key.session);
                    }
                    session.bindings.insert(binding.query, binding);
                }
                self.log.append(message)
            }
            LogMessage::QueryFailed(failed) => {
                let query = failed.query;
                self.log.append(message)?;
                session.engine.forget(query, parties)
            }
            LogMessage::QueryDone(done) => {
                session.audited.push_back(done.query);
                self.log.append(message)?;
                while session.audited.len() > QUERIES_AUDITED_MAX {
                    if let Some(oldest) = session.audited.pop_front() {
                        session.engine.forget(oldest, parties)?;
                        session.forget_key_of(oldest)?;
                    }
                }
                Ok(())
            }
            _ => self.log.append(message),
        }
    }

    fn worked(&self, worked: Worked) -> ServingInput {
        match worked {
            Worked::Evaluated(Evaluated { query, result: Ok(result), ms, moved }) => {
                self.observer.step(Step::Evaluated { query, ms, moved });
                ServingInput::Evaluated { query, result }
            }
            Worked::Combined(query, Ok(answer), ms) => {
                self.observer.step(Step::Switched { query, ms });
                ServingInput::Combined { query, answer }
            }
            Worked::Evaluated(Evaluated { query, result: Err(error), .. }) => {
                self.observer.step(Step::Failed { what: error.to_string() });
                ServingInput::EvaluationFailed { query }
            }
            Worked::Combined(query, Err(error), _) => {
                self.observer.step(Step::Failed { what: error.to_string() });
                ServingInput::CombineFailed { query }
            }
        }
    }

    fn heard(&self, incoming: Incoming) -> ServingInput {
        match incoming {
            Incoming::Message(message) => ServingInput::Message(*message),
            Incoming::Complete(ListId { kind, round, party: Some(party), .. })
                if matches!(kind, BlobKind::Query | BlobKind::SwitchShare) =>
            {
                ServingInput::BodiesComplete { kind, query: QueryId(round), party }
            }
            Incoming::Gone(party) => {
                self.observer.step(Step::Lost(party));
                ServingInput::PartyGone(party)
            }
            Incoming::Back(party) => ServingInput::PartyBack(party),
            Incoming::Complete(_) | Incoming::Tick => ServingInput::Tick,
        }
    }
}

impl Session {
    /// Frees the key under which a forgotten query came, unless it serves others or may still do so.
    fn forget_key_of(&mut self, query: QueryId) -> Result<(), CoordinatorError> {
        let Some(ended) = self.sessions.remove(&query) else { return Ok(()) };
        let newest = self.sessions.range(..=QueryId(query.0 | ((1 << 48) - 1))).next_back();
        let is_current = newest.is_none_or(|(other, session)| other.asker() != query.asker() || *session == ended);
        if is_current || self.sessions.values().any(|session| *session == ended) {
            return Ok(());
        }
        self.engine.forget_query_key(ended)
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
