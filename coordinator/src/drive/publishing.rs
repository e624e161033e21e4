//! The publishing round: adds the hospitals' encrypted contributions to the model that nobody can read.

use std::sync::Arc;

use protocol::blob::BlobKind;
use protocol::ids::{Attempt, Digest};
use protocol::publish::{PublishConfig, PublishInput, PublishMachine, PublishOutput};

use crate::bodies::ListId;
use crate::coordinator::Coordinator;
use crate::encrypted_model;
use crate::error::CoordinatorError;
use crate::inbox::Incoming;
use crate::observer::Step;
use crate::serving_keys;

/// What a publishing round made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedModel {
    /// Digest of the encrypted model; queries name it.
    pub digest: Digest,
    /// The attempt that succeeded.
    pub attempt: Attempt,
    /// Whose contributions it holds.
    pub cohort: protocol::PartySet,
}

impl Coordinator {
    /// Publishes the model that follows `model`; says whose contributions it holds.
    ///
    /// # Errors
    /// [`CoordinatorError::Publish`] where too few hospitals are left.
    pub async fn publish(&mut self, model: Digest) -> Result<PublishedModel, CoordinatorError> {
        let program = Digest(self.plan.program.digest());
        let config = PublishConfig { model, program, collect_ms: self.window_ms() };
        let mut machine = PublishMachine::new(self.plan.roster.clone(), self.inbox.live(), Attempt::FIRST, config);
        let mut outputs = machine.on(self.inbox.now_ms(), PublishInput::Start);
        loop {
            let mut queue = std::collections::VecDeque::from(outputs);
            while let Some(output) = queue.pop_front() {
                match output {
                    PublishOutput::Append(message) => self.log.append(message)?,
                    PublishOutput::AwaitBodies { attempt, party, body } => {
                        let list =
                            ListId { kind: BlobKind::PublishChunk, round: 0, attempt: attempt.0, party: Some(party) };
                        self.inbox.expect(list, body)?;
                    }
                    PublishOutput::Aggregate { attempt, cohort, count } => {
                        let (bodies, program) = (Arc::clone(&self.bodies), Arc::clone(&self.plan.program));
                        let added = tokio::task::spawn_blocking(move || {
                            let digest = encrypted_model::add(&bodies, &program, attempt, cohort, count)?;
                            // From here on the model is served, also after a restart.
                            bodies.sync(encrypted_model::model_list(attempt))?;
                            serving_keys::sync(&bodies)?;
                            Ok::<_, CoordinatorError>(digest)
                        })
                        .await
                        .map_err(|_| CoordinatorError::Abandoned)?;
                        let input = match added {
                            Ok(encrypted_model) => PublishInput::Aggregated { attempt, encrypted_model },
                            Err(error) => {
                                self.observer.step(Step::Failed { what: error.to_string() });
                                PublishInput::AggregateFailed { attempt }
                            }
                        };
                        queue.extend(machine.on(self.inbox.now_ms(), input));
                    }
                    PublishOutput::Reject { party, reject } => tracing::info!(%party, %reject, "message refused"),
                    PublishOutput::Published { encrypted_model, attempt, cohort } => {
                        encrypted_model::forget_contributions(&self.bodies, attempt, cohort)?;
                        return Ok(PublishedModel { digest: encrypted_model, attempt, cohort });
                    }
                    PublishOutput::Failed(failure) => return Err(CoordinatorError::Publish(failure)),
                    PublishOutput::WakeAt(_) => {}
                }
            }
            let input = match self.inbox.next().await? {
                Incoming::Message(message) => PublishInput::Message(*message),
                Incoming::Complete(list) => match list.party {
                    Some(party) => PublishInput::BodiesComplete { attempt: Attempt(list.attempt), party },
                    None => PublishInput::Tick,
                },
                Incoming::Gone(party) => {
                    self.observer.step(Step::Lost(party));
                    PublishInput::PartyGone(party)
                }
                Incoming::Back(party) => PublishInput::PartyBack(party),
                Incoming::Tick => PublishInput::Tick,
            };
            outputs = machine.on(self.inbox.now_ms(), input);
        }
    }
}
