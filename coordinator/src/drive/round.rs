//! One training round.

use std::sync::Arc;
use std::time::Instant;

use protocol::ids::{Digest, RoundId};
use protocol::message::LogMessage;
use protocol::round::{RoundConfig, RoundEnd, RoundInput, RoundMachine, RoundOutput};

use crate::aggregation::{self, SumContext};
use crate::bodies::ListId;
use crate::compute::Moved;
use crate::coordinator::Coordinator;
use crate::error::CoordinatorError;
use crate::inbox::Incoming;
use crate::observer::Step;

/// How long to wait for the remaining live signers once t have signed a manifest.
const SETTLE_MS: u64 = 500;

impl Coordinator {
    /// Runs one round from `base_model` to its end, whatever that is.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the coordinator itself fails; a void round is a [`RoundEnd`].
    pub async fn round(&mut self, round: RoundId, base_model: Digest) -> Result<RoundEnd, CoordinatorError> {
        let window = self.window_ms();
        let config = RoundConfig {
            round,
            base_model,
            plan: self.plan.plan,
            chunks: self.chunks(),
            min_cohort: self.plan.min_cohort,
            attempts_max: self.plan.attempts_max,
            attempts_ahead: self.plan.attempts_ahead,
            collect_ms: window,
            sign_ms: window,
            settle_ms: SETTLE_MS,
            accept_ms: window,
            share_ms: window,
            vote_ms: window,
        };
        let mut manifest = Digest::default();
        let mut machine = RoundMachine::new(self.plan.roster.clone(), self.inbox.live(), config);
        let mut outputs = machine.on(self.inbox.now_ms(), RoundInput::Start);
        loop {
            let mut queue = std::collections::VecDeque::from(outputs);
            while let Some(output) = queue.pop_front() {
                match output {
                    RoundOutput::Append(message) => {
                        match &message {
                            LogMessage::Abandon(abandon) => self.observer.step(Step::Abandoned {
                                round,
                                attempt: abandon.attempt,
                                lost: abandon.lost,
                            }),
                            LogMessage::CohortFrozen(frozen) => manifest = frozen.manifest,
                            LogMessage::RoundVoid(void) => {
                                self.observer.step(Step::Void { round, reason: void.reason });
                            }
                            _ => {}
                        }
                        self.log.append(message)?;
                    }
                    RoundOutput::AwaitBodies { kind, attempt, party, body } => {
                        let list = ListId { kind, round: u64::from(round.0), attempt: attempt.0, party: Some(party) };
                        self.inbox.expect(list, body)?;
                    }
                    RoundOutput::Combine { attempt, cohort, decryptors, chunks } => {
                        let started = Instant::now();
                        let (bodies, layout) = (Arc::clone(&self.bodies), self.plan.layout.clone());
                        let context = SumContext { epoch: self.epoch(), round, attempt, cohort, decryptors, manifest };
                        let (compute, observer) = (self.compute.clone(), Arc::clone(&self.observer));
                        let combined = tokio::task::spawn_blocking(move || {
                            aggregation::combine(&bodies, &layout, &context, chunks, &compute, &*observer)
                        })
                        .await
                        .map_err(|_| CoordinatorError::Abandoned)?;
                        let ms = started.elapsed().as_secs_f64() * 1e3;
                        let moved = combined.as_ref().map_or_else(|_| Moved::default(), |combined| combined.moved);
                        self.observer.step(Step::Combined { round, cohort, decryptors, ms, moved });
                        let input = match combined {
                            Ok(combined) => RoundInput::Combined { attempt, chunks: combined.chunks },
                            Err(error) => {
                                self.observer.step(Step::Failed { what: error.to_string() });
                                RoundInput::CombineFailed { attempt }
                            }
                        };
                        queue.extend(machine.on(self.inbox.now_ms(), input));
                    }
                    RoundOutput::Reject { party, reject } => tracing::info!(%party, %reject, "message refused"),
                    RoundOutput::Done(end) => return Ok(end),
                    // Adding up starts when the shares are there; ticks come from the inbox.
                    RoundOutput::Aggregate { .. } | RoundOutput::WakeAt(_) => {}
                }
            }
            let input = match self.inbox.next().await? {
                Incoming::Message(message) => RoundInput::Message(*message),
                Incoming::Complete(list) => match list.party {
                    Some(party) if list.round == u64::from(round.0) => RoundInput::BodiesComplete {
                        kind: list.kind,
                        attempt: protocol::ids::Attempt(list.attempt),
                        party,
                    },
                    _ => RoundInput::Tick,
                },
                Incoming::Gone(party) => {
                    self.observer.step(Step::Lost(party));
                    RoundInput::PartyGone(party)
                }
                Incoming::Back(party) => {
                    self.observer.step(Step::Returned(party));
                    RoundInput::PartyBack(party)
                }
                Incoming::Tick => RoundInput::Tick,
            };
            outputs = machine.on(self.inbox.now_ms(), input);
        }
    }
}
