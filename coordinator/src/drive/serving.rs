//! Encrypted inference: queries are evaluated one at a time, on ciphertexts, and switched to their askers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use he_agg::multiparty::Quorum;
use protocol::blob::{BlobKind, BodyRoot};
use protocol::hospital::SwitchBinding;
use protocol::ids::{Attempt, Digest, PartyId, QueryId};
use protocol::message::{HospitalMessage, LogMessage};
use protocol::serving::{ServingConfig, ServingInput, ServingMachine, ServingOutput};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bodies::ListId;
use crate::coordinator::Coordinator;
use crate::error::CoordinatorError;
use crate::inbox::Incoming;
use crate::observer::Step;
use crate::serving_engine::ServingEngine;

/// What serving did until it was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingEnd {
    /// Results switched: the flooding budget spent.
    pub releases: u64,
}

enum Worked {
    Evaluated(QueryId, Result<BodyRoot, CoordinatorError>, f64),
    Combined(QueryId, Result<BodyRoot, CoordinatorError>, f64),
}

impl Coordinator {
    /// Serves the published `model` until `end` is sent or dropped.
    ///
    /// # Errors
    /// [`CoordinatorError`] where keys or model cannot be loaded; a failed query is told to its asker.
    pub async fn serve(
        &mut self,
        model: Digest,
        attempt: Attempt,
        mut end: oneshot::Receiver<()>,
    ) -> Result<ServingEnd, CoordinatorError> {
        let mut bindings: BTreeMap<QueryId, SwitchBinding> = BTreeMap::new();
        let config = ServingConfig {
            model,
            program: Digest(self.plan.program.digest()),
            queries_per_asker_max: self.plan.queries_per_asker_max,
            releases_max: self.plan.releases_max,
            receive_ms: self.window_ms(),
            switch_ms: self.window_ms(),
        };
        let (bodies, program) = (Arc::clone(&self.bodies), Arc::clone(&self.plan.program));
        let (seed, roster) = (self.epoch_seed, &self.plan.roster);
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let quorum = Quorum { threshold: count(roster.threshold()), parties: count(roster.size()) };
        let epoch = roster.epoch();
        let engine = tokio::task::spawn_blocking(move || ServingEngine::load(bodies, program, seed, attempt, quorum))
            .await
            .map_err(|_| CoordinatorError::Abandoned)??;
        let engine = Arc::new(engine);
        let mut machine = ServingMachine::new(self.plan.roster.clone(), self.inbox.live(), config);
        let mut work: Vec<JoinHandle<Worked>> = Vec::new();
        let mut outputs = machine.on(self.inbox.now_ms(), ServingInput::Tick);
        loop {
            for output in std::mem::take(&mut outputs) {
                match output {
                    ServingOutput::Append(message) => {
                        let ended = match &message {
                            LogMessage::SwitchRequest(request) => {
                                if let HospitalMessage::QueryHead(head) = &request.head.body {
                                    let binding = SwitchBinding {
                                        epoch,
                                        query: head.query,
                                        asker: request.head.author,
                                        asker_key: head.asker_key,
                                        input: head.body.root,
                                        program: head.program,
                                        model: head.model,
                                        result: request.result,
                                        decryptors: request.decryptors,
                                    };
                                    bindings.insert(head.query, binding);
                                }
                                None
                            }
                            LogMessage::QueryFailed(failed) => Some(failed.query),
                            _ => None,
                        };
                        self.log.append(message)?;
                        if let Some(query) = ended {
                            engine.forget(query, self.plan.roster.parties())?;
                        }
                    }
                    ServingOutput::AwaitBodies { kind, query, party, body } => {
                        let list = ListId { kind, round: query.0, attempt: 0, party: Some(party) };
                        self.inbox.expect(list, body)?;
                    }
                    ServingOutput::Evaluate { query, asker, body: _ } => {
                        let engine = Arc::clone(&engine);
                        work.push(tokio::task::spawn_blocking(move || evaluate(&engine, query, asker)));
                    }
                    ServingOutput::CombineSwitch { query, .. } => {
                        if let Some(binding) = bindings.remove(&query) {
                            let engine = Arc::clone(&engine);
                            work.push(tokio::task::spawn_blocking(move || combine(&engine, query, &binding)));
                        }
                    }
                    ServingOutput::Reject { party, query, reject } => {
                        tracing::info!(%party, ?query, %reject, "message refused");
                    }
                    ServingOutput::WakeAt(_) => {}
                }
            }
            let input = if let Some(done) = work.iter().position(JoinHandle::is_finished) {
                let worked = work.swap_remove(done).await.map_err(|_| CoordinatorError::Abandoned)?;
                self.worked(worked)
            } else {
                tokio::select! {
                    _ = &mut end => return Ok(ServingEnd { releases: machine.releases() }),
                    incoming = self.inbox.next() => self.heard(incoming?),
                    () = any_finished(&mut work) => continue,
                }
            };
            outputs = machine.on(self.inbox.now_ms(), input);
        }
    }

    fn worked(&self, worked: Worked) -> ServingInput {
        match worked {
            Worked::Evaluated(query, Ok(result), ms) => {
                self.observer.step(Step::Evaluated { query, ms });
                ServingInput::Evaluated { query, result }
            }
            Worked::Combined(query, Ok(answer), ms) => {
                self.observer.step(Step::Switched { query, ms });
                ServingInput::Combined { query, answer }
            }
            Worked::Evaluated(query, Err(error), _) => {
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

fn evaluate(engine: &ServingEngine, query: QueryId, asker: PartyId) -> Worked {
    let started = Instant::now();
    let result = engine.evaluate(query, asker);
    Worked::Evaluated(query, result, started.elapsed().as_secs_f64() * 1e3)
}

fn combine(engine: &ServingEngine, query: QueryId, binding: &SwitchBinding) -> Worked {
    let started = Instant::now();
    let answer = engine.combine(binding);
    Worked::Combined(query, answer, started.elapsed().as_secs_f64() * 1e3)
}

async fn any_finished(work: &mut [JoinHandle<Worked>]) {
    // Handles are polled by looking; the inbox's own rhythm would add up to its whole interval to every answer.
    loop {
        if work.iter().any(JoinHandle::is_finished) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
