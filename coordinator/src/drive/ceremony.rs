//! The key ceremony: training keys among the hospitals, serving keys added up here.

use std::sync::Arc;

use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use protocol::ids::Digest;
use protocol::message::KeyStep;

use crate::bodies::ListId;
use crate::coordinator::Coordinator;
use crate::error::CoordinatorError;
use crate::inbox::Incoming;
use crate::observer::Step;
use crate::serving_keys;

impl Coordinator {
    /// Makes the keys of an epoch with all hospitals; returns the epoch's public randomness.
    ///
    /// # Errors
    /// [`CoordinatorError::Ceremony`] with the step and the hospitals that are missing or disagree.
    pub async fn ceremony(&mut self) -> Result<Digest, CoordinatorError> {
        let config = CeremonyConfig {
            serving_plan: Some(Digest(self.plan.program.digest())),
            step_ms: self.window_ms(),
            serving_step_ms: self.window_ms(),
        };
        let mut machine = CeremonyMachine::new(self.plan.roster.clone(), config);
        let mut outputs = machine.on(self.inbox.now_ms(), CeremonyInput::Start);
        loop {
            let mut queue = std::collections::VecDeque::from(outputs);
            while let Some(output) = queue.pop_front() {
                match output {
                    CeremonyOutput::Append(message) => self.log.append(message)?,
                    CeremonyOutput::AwaitBodies { kind, party, body } => {
                        self.inbox.expect(ListId { kind, round: 0, attempt: 0, party: Some(party) }, body)?;
                    }
                    CeremonyOutput::Aggregate { step } => {
                        self.observer.step(Step::KeyStep { name: name(step) });
                        let (bodies, program) = (Arc::clone(&self.bodies), Arc::clone(&self.plan.program));
                        let parties = self.plan.roster.parties();
                        let seed = machine.epoch_seed();
                        let added = tokio::task::spawn_blocking(move || {
                            serving_keys::aggregate(&bodies, &program, parties, seed, step)
                        })
                        .await
                        .map_err(|_| CoordinatorError::Abandoned)?;
                        let input = match added {
                            Ok(body) => CeremonyInput::Aggregated { step, body },
                            Err(error) => {
                                self.observer.step(Step::Failed { what: error.to_string() });
                                CeremonyInput::AggregateFailed { step }
                            }
                        };
                        queue.extend(machine.on(self.inbox.now_ms(), input));
                    }
                    CeremonyOutput::Reject { party, reject } => tracing::info!(%party, %reject, "message refused"),
                    CeremonyOutput::Done { epoch_seed } => {
                        self.epoch_seed = epoch_seed;
                        self.journal.put("epoch", b"seed", &epoch_seed.0)?;
                        return Ok(epoch_seed);
                    }
                    CeremonyOutput::Failed(failure) => return Err(CoordinatorError::Ceremony(failure)),
                    CeremonyOutput::WakeAt(_) => {}
                }
            }
            let input = match self.inbox.next().await? {
                Incoming::Message(message) => CeremonyInput::Message(*message),
                Incoming::Complete(ListId { kind, party: Some(party), .. }) => {
                    CeremonyInput::BodiesComplete { kind, party }
                }
                Incoming::Gone(party) => {
                    self.observer.step(Step::Lost(party));
                    CeremonyInput::PartyGone(party)
                }
                Incoming::Complete(_) | Incoming::Back(_) | Incoming::Tick => CeremonyInput::Tick,
            };
            outputs = machine.on(self.inbox.now_ms(), input);
        }
    }
}

fn name(step: KeyStep) -> &'static str {
    match step {
        KeyStep::PublicKey => "collective public key",
        KeyStep::RelinRoundOne => "relinearisation key, first round",
        KeyStep::RelinRoundTwo => "relinearisation key, second round",
        KeyStep::Galois => "rotation keys",
    }
}
