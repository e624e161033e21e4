//! The simulated coordinator: it drives the real machines through ceremony, rounds, publishing and serving.

use std::collections::BTreeMap;

use protocol::blob::BlobKind;
use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use protocol::message::{LogMessage, SignedMessage, Stop, VoidReason};
use protocol::publish::{PublishConfig, PublishInput, PublishMachine, PublishOutput};
use protocol::roster::Roster;
use protocol::round::{RoundConfig, RoundEnd, RoundInput, RoundMachine, RoundOutput};
use protocol::serving::{Evaluation, ServingConfig, ServingInput, ServingMachine, ServingOutput, ServingStanding};
use protocol::{Attempt, Digest, PartyId, PartySet, QueryId, RoundId};

use crate::hospital::number_of;
use crate::world::{Crash, Event, Moment, World, body_of};

#[derive(Debug, Clone)]
pub(crate) enum CoordinatorInput {
    Start,
    Message(Box<SignedMessage>),
    Gone(PartyId),
    Back(PartyId),
    Tick,
    Ceremony(CeremonyInput),
    Round(RoundId, RoundInput),
    Publish(PublishInput),
    Serving(ServingInput),
}

pub(crate) enum Machine {
    Ceremony(CeremonyMachine),
    Round(RoundId, RoundMachine),
    Publish(PublishMachine),
    Serving(ServingMachine),
}

enum Outputs {
    Ceremony(Vec<CeremonyOutput>),
    Round(Vec<RoundOutput>),
    Publish(Vec<PublishOutput>),
    Serving(Vec<ServingOutput>),
}

impl Machine {
    pub(crate) fn ceremony(roster: &Roster) -> Self {
        let serving_plan = Some(Digest::of("serving plan", &0_u8));
        let config = CeremonyConfig { serving_plan, step_ms: 5_000, serving_step_ms: 5_000 };
        Self::Ceremony(CeremonyMachine::new(roster.clone(), config))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ceremony(machine) => format!("{:?} for {}", machine.step(), machine.waiting_for()),
            Self::Round(round, machine) => format!("round {round} for {}", machine.waiting_for()),
            Self::Publish(machine) => format!("publish for {}", machine.waiting_for()),
            Self::Serving(machine) => format!("serving, {} pending", machine.pending()),
        }
    }

    fn on(&mut self, now: u64, input: CoordinatorInput) -> Option<Outputs> {
        use CoordinatorInput as In;
        Some(match self {
            Self::Ceremony(machine) => Outputs::Ceremony(machine.on(
                now,
                match input {
                    In::Start => CeremonyInput::Start,
                    In::Message(message) => CeremonyInput::Message(*message),
                    In::Gone(party) => CeremonyInput::PartyGone(party),
                    In::Tick => CeremonyInput::Tick,
                    In::Ceremony(input) => input,
                    _ => return None,
                },
            )),
            Self::Round(round, machine) => Outputs::Round(machine.on(
                now,
                match input {
                    In::Start => RoundInput::Start,
                    In::Message(message) => RoundInput::Message(*message),
                    In::Gone(party) => RoundInput::PartyGone(party),
                    In::Back(party) => RoundInput::PartyBack(party),
                    In::Tick => RoundInput::Tick,
                    In::Round(of, input) if of == *round => input,
                    _ => return None,
                },
            )),
            Self::Publish(machine) => Outputs::Publish(machine.on(
                now,
                match input {
                    In::Start => PublishInput::Start,
                    In::Message(message) => PublishInput::Message(*message),
                    In::Gone(party) => PublishInput::PartyGone(party),
                    In::Back(party) => PublishInput::PartyBack(party),
                    In::Tick => PublishInput::Tick,
                    In::Publish(input) => input,
                    _ => return None,
                },
            )),
            Self::Serving(machine) => Outputs::Serving(machine.on(
                now,
                match input {
                    In::Message(message) => ServingInput::Message(*message),
                    In::Gone(party) => ServingInput::PartyGone(party),
                    In::Back(party) => ServingInput::PartyBack(party),
                    In::Tick => ServingInput::Tick,
                    In::Serving(input) => input,
                    _ => return None,
                },
            )),
        })
    }
}

impl World {
    pub(crate) fn coordinator_input(&mut self, input: CoordinatorInput) {
        if self.finished {
            return;
        }
        if matches!((&self.machine, &input), (Machine::Serving(_), CoordinatorInput::Start)) {
            return self.queries_are_over();
        }
        match self.machine.on(self.now, input) {
            Some(Outputs::Ceremony(outputs)) => outputs.into_iter().for_each(|output| self.ceremony_output(output)),
            Some(Outputs::Round(outputs)) => outputs.into_iter().for_each(|output| self.round_output(output)),
            Some(Outputs::Publish(outputs)) => outputs.into_iter().for_each(|output| self.publish_output(output)),
            Some(Outputs::Serving(outputs)) => outputs.into_iter().for_each(|output| self.serving_output(output)),
            None => {}
        }
    }

    fn append(&mut self, message: LogMessage) {
        let entry = self.writer.append(message);
        self.oracle.entry(&entry);
        let reached = match &entry.message {
            LogMessage::Manifest(it) if it.attempt == Attempt::FIRST => Some((it.round.0, Moment::AfterUpload)),
            LogMessage::CohortFrozen(it) if it.attempt == Attempt::FIRST => {
                Some((it.round.0, Moment::BeforeAcceptance))
            }
            _ => None,
        };
        self.entries.push(entry);
        let index = self.entries.len() - 1;
        let dying: Vec<PartyId> = (self.schedule.crashes.iter())
            .filter_map(|crash| match crash {
                Crash::At { party, round, moment } if Some((*round, *moment)) == reached => PartyId::new(*party),
                _ => None,
            })
            .collect();
        dying.into_iter().for_each(|party| self.kill(party, None));
        for to in self.roster.parties().iter() {
            self.network(|| Event::Entry { to, index });
        }
    }

    fn wake_at(&mut self, at_ms: u64) {
        self.after(at_ms.saturating_sub(self.now), Event::Coordinator(CoordinatorInput::Tick));
    }

    fn coordinator_done(&mut self, longest_ms: u64, input: CoordinatorInput) {
        let delay = 1 + self.rng.below(longest_ms);
        self.after(delay, Event::Coordinator(input));
    }

    fn await_bodies(&mut self, kind: BlobKind, number: u64, attempt: u32, party: PartyId) {
        self.awaited.insert((kind, number, attempt, party));
        self.settle_bodies();
    }

    /// Reports awaited bodies that are stored.
    pub(crate) fn settle_bodies(&mut self) {
        let there: Vec<_> = self.awaited.iter().filter(|key| self.spool.contains_key(key)).copied().collect();
        for key in there {
            self.awaited.remove(&key);
            let (kind, number, attempt, party) = key;
            let attempt = Attempt(attempt);
            let input = match kind {
                BlobKind::UpdateChunk | BlobKind::Share => {
                    let round = RoundId(u32::try_from(number).unwrap());
                    CoordinatorInput::Round(round, RoundInput::BodiesComplete { kind, attempt, party })
                }
                BlobKind::PublishChunk => CoordinatorInput::Publish(PublishInput::BodiesComplete { attempt, party }),
                BlobKind::Query | BlobKind::SwitchShare => {
                    let query = QueryId(number);
                    CoordinatorInput::Serving(ServingInput::BodiesComplete { kind, query, party })
                }
                _ => CoordinatorInput::Ceremony(CeremonyInput::BodiesComplete { kind, party }),
            };
            self.after(0, Event::Coordinator(input));
        }
    }

    fn ceremony_output(&mut self, output: CeremonyOutput) {
        match output {
            CeremonyOutput::Append(message) => self.append(message),
            CeremonyOutput::AwaitBodies { kind, party, .. } => self.await_bodies(kind, 0, 0, party),
            CeremonyOutput::Aggregate { step } => {
                let body = body_of("aggregate", &step);
                self.coordinator_done(50, CoordinatorInput::Ceremony(CeremonyInput::Aggregated { step, body }));
            }
            CeremonyOutput::WakeAt(at_ms) => self.wake_at(at_ms),
            CeremonyOutput::Done { .. } => self.next_round(),
            CeremonyOutput::Failed(failure) => {
                let reason = failure.to_string().chars().take(200).collect();
                self.append(LogMessage::Stop(Stop { reason }));
                self.finished = true;
            }
            CeremonyOutput::Reject { .. } => {}
        }
    }

    fn next_round(&mut self) {
        let closed = self.rounds.iter().filter(|end| matches!(end, RoundEnd::Closed { .. })).count();
        if closed >= self.schedule.rounds as usize {
            let (roster, live) = (self.roster.clone(), self.live);
            let config = PublishConfig { model: self.model, program: Digest::of("program", &0_u8), collect_ms: 4_000 };
            self.machine = Machine::Publish(PublishMachine::new(roster, live, Attempt::FIRST, config));
        } else if self.rounds.len() >= 2 * self.schedule.rounds as usize {
            self.finished = true;
            return;
        } else {
            let round = RoundId(self.next_round);
            self.next_round += 1;
            let config = RoundConfig {
                round,
                base_model: self.model,
                plan: Digest::of("plan", &0_u8),
                chunks: 1,
                min_cohort: 2,
                attempts_max: 3,
                attempts_ahead: self.schedule.attempts_ahead,
                collect_ms: 4_000,
                sign_ms: 3_000,
                settle_ms: 600,
                accept_ms: 3_000,
                share_ms: 3_000,
                vote_ms: 3_000,
            };
            self.machine = Machine::Round(round, RoundMachine::new(self.roster.clone(), self.live, config));
        }
        self.after(0, Event::Coordinator(CoordinatorInput::Start));
    }

    fn round_output(&mut self, output: RoundOutput) {
        let Machine::Round(round, _) = self.machine else { return };
        match output {
            RoundOutput::Append(message) => self.append(message),
            RoundOutput::AwaitBodies { kind, attempt, party, .. } => {
                self.await_bodies(kind, number_of(kind, round.0), attempt.0, party);
            }
            RoundOutput::Combine { attempt, cohort, decryptors, chunks } => {
                assert_eq!(chunks, 1);
                let chunks = vec![self.combine(round, attempt, cohort, decryptors)];
                self.coordinator_done(40, CoordinatorInput::Round(round, RoundInput::Combined { attempt, chunks }));
            }
            RoundOutput::WakeAt(at_ms) => self.wake_at(at_ms),
            RoundOutput::Done(end) => {
                let stop = matches!(&end, RoundEnd::Void { reason: VoidReason::QuorumLost { .. }, .. });
                if let RoundEnd::Closed { model, .. } = &end {
                    self.model = *model;
                }
                self.rounds.push(end);
                if stop {
                    self.finished = true;
                } else {
                    self.next_round();
                }
            }
            RoundOutput::Aggregate { .. } | RoundOutput::Reject { .. } => {}
        }
    }

    /// Mock decryption: exactly the ciphertexts of S and the shares of T, all bound to the same context.
    fn combine(&mut self, round: RoundId, attempt: Attempt, cohort: PartySet, decryptors: PartySet) -> Digest {
        let number = u64::from(round.0);
        let mut lanes: BTreeMap<PartyId, u32> = BTreeMap::new();
        for member in cohort.iter() {
            let body = self.spool[&(BlobKind::UpdateChunk, number, attempt.0, member)];
            let made = self.oracle.made(member, round, attempt);
            assert_eq!(Some(body), made, "the stored ciphertext is this attempt's");
            *lanes.entry(member).or_default() += 1;
        }
        for member in decryptors.iter() {
            let share = self.spool[&(BlobKind::Share, number, attempt.0, member)];
            let binding = &self.shares[&share.root];
            assert_eq!((binding.round, binding.attempt), (round, attempt));
            assert_eq!((binding.cohort, binding.decryptors), (cohort, decryptors), "masks cancel only for one (S, T)");
        }
        self.oracle.sum(self.model, &lanes, cohort);
        let digest = Digest::of("sum", &vec![number, u64::from(attempt.0)]);
        self.sums.insert(digest, (lanes, cohort));
        digest
    }

    fn publish_output(&mut self, output: PublishOutput) {
        match output {
            PublishOutput::Append(message) => self.append(message),
            PublishOutput::AwaitBodies { attempt, party, .. } => {
                self.await_bodies(BlobKind::PublishChunk, 0, attempt.0, party);
            }
            PublishOutput::Aggregate { attempt, .. } => {
                let encrypted_model = Digest::of("encrypted model", &attempt);
                let input = PublishInput::Aggregated { attempt, encrypted_model };
                self.coordinator_done(40, CoordinatorInput::Publish(input));
            }
            PublishOutput::WakeAt(at_ms) => self.wake_at(at_ms),
            PublishOutput::Published { encrypted_model, .. } => {
                self.published = true;
                let config = ServingConfig {
                    model: encrypted_model,
                    program: Digest::of("program", &0_u8),
                    queries_per_asker_max: 10,
                    releases_max: 100,
                    batch_max: 3,
                    receive_ms: 3_000,
                    switch_ms: 3_000,
                };
                self.machine = Machine::Serving(ServingMachine::new(
                    self.roster.clone(),
                    self.live,
                    config,
                    ServingStanding::default(),
                ));
                // Time for every query, then the run is over.
                self.after(8_000, Event::Coordinator(CoordinatorInput::Start));
            }
            PublishOutput::Failed(_) => self.finished = true,
            PublishOutput::Reject { .. } => {}
        }
    }

    fn serving_output(&mut self, output: ServingOutput) {
        match output {
            ServingOutput::Append(message) => self.append(message),
            ServingOutput::AwaitBodies { kind, query, party, .. } => self.await_bodies(kind, query.0, 0, party),
            ServingOutput::Evaluate(batch) => {
                for Evaluation { query, .. } in batch {
                    let result = body_of("result", &query);
                    self.coordinator_done(30, CoordinatorInput::Serving(ServingInput::Evaluated { query, result }));
                }
            }
            ServingOutput::CombineSwitch { query, .. } => {
                let answer = body_of("answer", &query);
                self.coordinator_done(30, CoordinatorInput::Serving(ServingInput::Combined { query, answer }));
            }
            ServingOutput::WakeAt(at_ms) => self.wake_at(at_ms),
            ServingOutput::Admitted { .. } | ServingOutput::Reject { .. } => {}
        }
    }

    /// The end of a run: after the time for queries, nothing may be pending.
    fn queries_are_over(&mut self) {
        if let Machine::Serving(machine) = &self.machine {
            assert_eq!(machine.pending(), 0, "every query ends with an answer or a failure");
            self.finished = true;
        }
    }
}
