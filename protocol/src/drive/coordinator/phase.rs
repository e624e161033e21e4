//! One phase of the campaign: the machine that runs it, what it is told, and what it wants done.

use std::collections::BTreeMap;

use crate::blob::{BlobId, BlobKind, BodyRoot};
use crate::campaign::{Next, PhaseEnd, PublishedModel};
use crate::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use crate::codec::Wire;
use crate::drive::coordinator::inbox::{PhaseInput, PhaseStart, Tick, Told};
use crate::drive::coordinator::inputs::{publish_input, round_input};
use crate::drive::coordinator::serve::Session;
use crate::drive::coordinator::training::{HeadPhase, is_task_done, tell_features, tell_training};
use crate::drive::coordinator::{
    CoordinatorDriver, CoordinatorJob, CoordinatorNote, Inspection, JobId, ListId, is_told,
};
use crate::drive::{Clock, CoordinatorNet, Crypto, Store, StoreFault, Stream};
use crate::features::{FeaturesConfig, FeaturesMachine};
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{Key, KeyStep, LogMessage, RoundPurpose};
use crate::party_set::PartySet;
use crate::publish::{PublishConfig, PublishMachine, PublishOutput};
use crate::reject::Reject;
use crate::round::{RoundConfig, RoundMachine, RoundOutput};
use crate::training::TrainingMachine;

/// The machine of a phase.
pub(super) enum Phase {
    /// Nothing goes on by itself.
    Waiting,
    Ceremony(CeremonyMachine, Memory),
    Round(Box<RoundMachine>, RoundPhase),
    Publish(PublishMachine, Memory),
    Features(Box<FeaturesMachine>, Memory),
    Training(Box<TrainingMachine>, Box<HeadPhase>),
    /// Keys and model are being read.
    Loading(PublishedModel, JobId),
    Serving(Box<Session>),
}

/// What every phase but serving keeps beside its machine.
#[derive(Default)]
pub(super) struct Memory {
    /// Jobs under way.
    jobs: BTreeMap<JobId, CoordinatorJob>,
    /// Refusals of the last message.
    rejects: BTreeMap<PartyId, Reject>,
}

/// The same for a round.
pub(super) struct RoundPhase {
    round: RoundId,
    purpose: RoundPurpose,
    manifest: Digest,
    told: Memory,
}

/// One thing that a machine wants done, in order.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Append(LogMessage),
    /// Tell the phase once this list is complete.
    Expect(ListId, BodyRoot),
    Start(CoordinatorJob),
    /// The phase is over.
    End(PhaseEnd),
    /// A new phase may begin.
    Reconsider,
    /// The participation of all is over.
    Stop,
    /// These bodies are of no use any more.
    Forget(ListId),
}

impl Memory {
    pub(super) fn reject(&mut self, party: PartyId, reject: Reject) {
        self.rejects.insert(party, reject);
    }
}

impl Phase {
    pub(super) fn waiting_for(&self) -> PartySet {
        match self {
            Self::Ceremony(machine, _) => machine.waiting_for(),
            Self::Round(machine, _) => machine.waiting_for(),
            Self::Publish(machine, _) => machine.waiting_for(),
            Self::Features(machine, _) => machine.waiting_for(),
            Self::Training(machine, _) => machine.waiting_for(),
            Self::Serving(session) => session.waiting_for(),
            Self::Waiting | Self::Loading(..) => PartySet::EMPTY,
        }
    }

    /// Whom the step cannot do without, of those it waits for.
    pub(super) fn needs_all(&self) -> PartySet {
        match self {
            Self::Ceremony(machine, _) => machine.waiting_for(),
            Self::Publish(machine, _) => machine.needs_all(),
            Self::Features(machine, _) => machine.needs_all(),
            Self::Training(machine, _) => machine.needs_all(),
            _ => PartySet::EMPTY,
        }
    }

    /// Whom a training has given up, and cannot go on without.
    pub(super) fn away(&self) -> PartySet {
        match self {
            Self::Training(machine, _) => machine.away(),
            _ => PartySet::EMPTY,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Waiting => "waiting for an order".to_owned(),
            Self::Ceremony(machine, _) => format!("key ceremony, {}", machine.step()),
            Self::Round(machine, phase) => format!("round {}, {}", phase.round, machine.step()),
            Self::Publish(machine, _) if machine.is_verifying() => "publishing, hospitals add the model up".to_owned(),
            Self::Publish(..) => "publishing".to_owned(),
            Self::Features(..) => "collecting features".to_owned(),
            Self::Training(machine, _) => format!("step {} of the head", machine.step()),
            Self::Loading(..) => "reading keys and model".to_owned(),
            Self::Serving(_) => "serving".to_owned(),
        }
    }

    /// Whether it is told things, and remembers them.
    pub(super) fn is_told(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Loading(..) | Self::Serving(_))
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self, Self::Serving(_))
    }

    pub(super) fn is_loading(&self) -> bool {
        matches!(self, Self::Loading(..))
    }

    /// Whether this hospital evaluates a query now whose bodies these are.
    pub(super) fn may_evaluate(&self, id: &BlobId, reader: PartyId) -> bool {
        matches!(self, Self::Serving(session) if session.may_evaluate(id, reader))
    }

    fn told(&mut self) -> Option<&mut Memory> {
        match self {
            Self::Ceremony(_, told) | Self::Publish(_, told) | Self::Features(_, told) => Some(told),
            Self::Round(_, phase) => Some(&mut phase.told),
            Self::Training(_, phase) => Some(&mut phase.told),
            Self::Waiting | Self::Loading(..) | Self::Serving(_) => None,
        }
    }

    /// Why the last message of this hospital was refused, if it was.
    pub(super) fn take_reject(&mut self, party: PartyId) -> Option<Reject> {
        self.told().and_then(|told| told.rejects.remove(&party))
    }

    /// The job, if it is one of the phase's; it is then no longer under way.
    pub(super) fn take_job(&mut self, job: JobId) -> Option<CoordinatorJob> {
        self.told().and_then(|told| told.jobs.remove(&job))
    }
}

impl<S: Store, N: CoordinatorNet, C: Crypto<Job = CoordinatorJob>, K: Clock> CoordinatorDriver<S, N, C, K> {
    /// The phase that follows from the log, its machine not yet started.
    pub(super) fn phase_of(&self, next: &Next, live: PartySet) -> Phase {
        let roster = self.roster.clone();
        match *next {
            Next::Ceremony => {
                let config = CeremonyConfig::of(&self.terms);
                Phase::Ceremony(CeremonyMachine::new(roster, config), Memory::default())
            }
            Next::Round { round, purpose, base_model } => {
                let config = RoundConfig { round, purpose, base_model, terms: self.terms.clone() };
                let phase = RoundPhase { round, purpose, manifest: Digest::default(), told: Memory::default() };
                Phase::Round(Box::new(RoundMachine::new(roster, live, config)), phase)
            }
            Next::Publish { model, first } => {
                let (program, collect_ms) = (self.terms.program, self.terms.round_deadline_ms);
                let min_cohort = self.terms.min_cohort;
                let config = PublishConfig { model, program, min_cohort, collect_ms };
                Phase::Publish(PublishMachine::new(roster, live, first, config), Memory::default())
            }
            Next::Features | Next::Head(_) => self.head_phase(next, live),
            Next::Serve(_) | Next::Wait(_) => Phase::Waiting,
        }
    }

    /// The same of a head; without terms for one there is nothing to do.
    fn head_phase(&self, next: &Next, live: PartySet) -> Phase {
        let (roster, Some(head)) = (self.roster.clone(), self.terms.head.clone()) else { return Phase::Waiting };
        let Next::Head(on) = next else {
            let (min_cohort, collect_ms) = (self.terms.min_cohort, self.terms.round_deadline_ms);
            let config = FeaturesConfig { head, min_cohort, collect_ms };
            return Phase::Features(Box::new(FeaturesMachine::new(roster, config)), Memory::default());
        };
        let terms = head.training(on.program, self.terms.program);
        let phase = HeadPhase::new(on.clone(), self.campaign.epoch_seed());
        Phase::Training(Box::new(TrainingMachine::new(roster, live, terms)), Box::new(phase))
    }

    /// Begins what the campaign wants next.
    ///
    /// # Errors
    /// [`StoreFault`]; then nothing began.
    pub(super) fn begin(&mut self) -> Result<(), StoreFault> {
        let next = self.campaign.next();
        if is_told(&next) {
            let live = self.leases.live();
            let number = self.phase_number + 1;
            let start = PhaseStart { number, entries: self.entries.len() as u64, live };
            self.store.append(Stream::Phases, &start.to_bytes())?;
            self.store.clear(Stream::Inbox(self.phase_number))?;
            self.phase_number = number;
            self.phase = self.phase_of(&next, live);
            self.phase_ahead_ms = 0;
            self.forget_phase();
            self.inputs.push_back(PhaseInput::Start(Tick {}));
            return Ok(());
        }
        self.forget_phase();
        match next {
            Next::Serve(published) => self.load(published),
            Next::Wait(reason) => {
                self.phase = Phase::Waiting;
                self.notes.push(CoordinatorNote::Paused(reason));
            }
            Next::Ceremony | Next::Round { .. } | Next::Publish { .. } | Next::Features | Next::Head(_) => {}
        }
        Ok(())
    }

    /// Forgets what belonged to the phase before.
    fn forget_phase(&mut self) {
        self.inputs.clear();
        self.wakes.clear();
        self.awaited.clear();
        self.heard.clear();
        self.heard_of.clear();
        self.again.clear();
        self.still_since_ms = None;
    }

    /// Stores what the phase is told, then tells it.
    ///
    /// # Errors
    /// [`StoreFault`]; then the phase was told nothing.
    pub(super) fn tell(&mut self, input: PhaseInput) -> Result<(), StoreFault> {
        if let Phase::Serving(_) = self.phase {
            self.serving_input(&input);
            return Ok(());
        }
        if !self.phase.is_told() {
            return Ok(());
        }
        let told = Told { now_ms: self.phase_now_ms(), input };
        self.store.append(Stream::Inbox(self.phase_number), &told.to_bytes())?;
        self.tell_machine(told);
        Ok(())
    }

    /// Lets the machine decide; what it wants done waits in order.
    pub(super) fn tell_machine(&mut self, told: Told) {
        let Told { now_ms, input } = told;
        let mut wakes = Vec::new();
        match &mut self.phase {
            Phase::Ceremony(machine, told) => {
                let Some(input) = ceremony_input(input) else { return };
                let seed_before = machine.epoch_seed();
                for output in machine.on(input) {
                    match output {
                        CeremonyOutput::Append(message) => self.effects.push_back(Effect::Append(message)),
                        CeremonyOutput::AwaitBodies { list, body } => {
                            self.effects.push_back(Effect::Expect(list, body));
                        }
                        CeremonyOutput::Aggregate { step } => {
                            let epoch_seed = seed_before;
                            self.effects.push_back(Effect::Start(CoordinatorJob::AddKeys { step, epoch_seed }));
                        }
                        CeremonyOutput::Reject { party, reject } => {
                            told.rejects.insert(party, reject);
                        }
                        CeremonyOutput::Done { epoch_seed } => {
                            // Only now are the parts of no use: hospitals add them up as well, and have said that they
                            // did.
                            // Gate keys stay: ciphertexts are lifted with each maker's own. So do the planes' keys and
                            // digests, with which questions are compared.
                            let is_used = |step: &KeyStep| matches!(step.key(), Key::GateKey | Key::Planes);
                            let steps = KeyStep::steps(self.terms.keys_asked()).filter(|step| !is_used(step));
                            let of = |step: KeyStep| move |party| step.list(Some(party));
                            let parts = steps.flat_map(|step| self.roster.parties().iter().map(of(step)));
                            self.effects.extend(parts.map(Effect::Forget));
                            self.effects.push_back(Effect::End(PhaseEnd::Keys { epoch_seed }));
                        }
                        CeremonyOutput::Failed(failure) => {
                            self.effects.push_back(Effect::End(PhaseEnd::NoKeys(failure)));
                        }
                    }
                }
            }
            Phase::Round(machine, phase) => {
                let Some(input) = round_input(phase.round, input) else { return };
                for output in machine.on(now_ms, input) {
                    match output {
                        RoundOutput::Append(message) => {
                            if let LogMessage::CohortFrozen(frozen) = &message {
                                phase.manifest = frozen.manifest;
                            }
                            self.effects.push_back(Effect::Append(message));
                        }
                        RoundOutput::AwaitBodies { kind, attempt, party, body } => {
                            let round = u64::from(phase.round.0);
                            let list = ListId { kind, round, attempt: attempt.0, party: Some(party) };
                            self.effects.push_back(Effect::Expect(list, body));
                        }
                        RoundOutput::Inspect { kind, attempt, party, cohort, decryptors } => {
                            let round = u64::from(phase.round.0);
                            let list = ListId { kind, round, attempt: attempt.0, party: Some(party) };
                            let (epoch_seed, chunks) = (self.campaign.epoch_seed(), self.terms.chunks);
                            let manifest = phase.manifest;
                            let job = Inspection { epoch_seed, list, chunks, cohort, decryptors, manifest };
                            self.effects.push_back(Effect::Start(CoordinatorJob::Inspect(job)));
                        }
                        RoundOutput::Combine { attempt, cohort, decryptors, chunks } => {
                            let (round, manifest) = (phase.round, phase.manifest);
                            let epoch_seed = self.campaign.epoch_seed();
                            let job = CoordinatorJob::Combine {
                                epoch_seed,
                                round,
                                attempt,
                                cohort,
                                decryptors,
                                manifest,
                                chunks,
                            };
                            self.effects.push_back(Effect::Start(job));
                        }
                        RoundOutput::Reject { party, reject } => {
                            phase.told.rejects.insert(party, reject);
                        }
                        RoundOutput::WakeAt(at_ms) => wakes.push(at_ms),
                        RoundOutput::Done(end) => {
                            self.effects.push_back(Effect::End(PhaseEnd::Round(phase.round, phase.purpose, end)));
                        }
                    }
                }
            }
            Phase::Publish(machine, told) => {
                let Some(input) = publish_input(input) else { return };
                for output in machine.on(now_ms, input) {
                    match output {
                        PublishOutput::Append(message) => self.effects.push_back(Effect::Append(message)),
                        PublishOutput::AwaitBodies { attempt, party, body } => {
                            self.effects.push_back(Effect::Expect(contribution(attempt, party), body));
                        }
                        PublishOutput::Aggregate { attempt, cohort, count } => {
                            let job = CoordinatorJob::AddModel {
                                epoch_seed: self.campaign.epoch_seed(),
                                attempt,
                                cohort,
                                count,
                            };
                            self.effects.push_back(Effect::Start(job));
                        }
                        PublishOutput::Reject { party, reject } => {
                            told.rejects.insert(party, reject);
                        }
                        PublishOutput::WakeAt(at_ms) => wakes.push(at_ms),
                        PublishOutput::Published { encrypted_model: digest, attempt, cohort, verified } => {
                            if verified == self.roster.parties() {
                                let parts = cohort.iter().map(|party| Effect::Forget(contribution(attempt, party)));
                                self.effects.extend(parts);
                            }
                            let published = PublishedModel { digest, attempt, cohort };
                            self.effects.push_back(Effect::End(PhaseEnd::Published(published)));
                        }
                        PublishOutput::Failed(failure) => {
                            self.effects.push_back(Effect::End(PhaseEnd::NotPublished(failure)));
                        }
                    }
                }
            }
            Phase::Features(machine, told) => {
                let bodies = self.terms.head.as_ref().map_or(0, |head| head.group_bodies);
                let with = (self.campaign.epoch_seed(), bodies);
                let (effects, times) = tell_features((machine, told), (now_ms, input), with);
                self.effects.extend(effects);
                wakes = times;
            }
            Phase::Training(machine, phase) => {
                let (effects, times) = tell_training((machine, phase), (now_ms, input));
                self.effects.extend(effects);
                wakes = times;
            }
            Phase::Waiting | Phase::Loading(..) | Phase::Serving(_) => {}
        }
        for at_ms in wakes {
            self.wakes.insert(at_ms);
            self.clock.wake_at(at_ms.saturating_sub(self.phase_ahead_ms));
        }
    }

    /// Does one thing.
    ///
    /// # Errors
    /// [`StoreFault`]; then it was not done, and is to be done again.
    pub(super) fn carry_out(&mut self, effect: &Effect) -> Result<(), StoreFault> {
        match effect {
            Effect::Append(message) => self.append(message)?,
            Effect::Expect(list, root) => {
                self.awaited.insert(*list, *root);
                self.look_at(*list);
            }
            Effect::Start(job) => {
                let id = self.start_job(job.clone());
                if let Some(told) = self.phase.told() {
                    told.jobs.insert(id, job.clone());
                }
            }
            Effect::Forget(list) => self.store.forget(*list)?,
            Effect::End(end) => {
                let end = end.clone();
                self.phase_ended(end);
            }
            Effect::Reconsider => {
                if matches!(self.phase, Phase::Waiting) {
                    self.begin()?;
                }
            }
            Effect::Stop => {
                self.stopped = true;
                let releases = self.releases().unwrap_or(0);
                self.notes.push(CoordinatorNote::Stopped { releases });
            }
        }
        Ok(())
    }

    fn phase_ended(&mut self, end: PhaseEnd) {
        use crate::campaign::PauseReason;
        match &end {
            PhaseEnd::NoKeys(failure) => self.campaign.pause(PauseReason::Ceremony(failure.clone())),
            PhaseEnd::NotPublished(failure) => self.campaign.pause(PauseReason::Publish(*failure)),
            PhaseEnd::NoFeatures(failure) => self.campaign.pause(PauseReason::Features(*failure)),
            PhaseEnd::NoHead(failure) => self.campaign.pause(PauseReason::Head(*failure)),
            PhaseEnd::Keys { .. } | PhaseEnd::Round(..) | PhaseEnd::Published(_) | PhaseEnd::Features => {}
        }
        self.notes.push(CoordinatorNote::Ended(end));
        self.phase = Phase::Waiting;
        self.effects.push_back(Effect::Reconsider);
    }
}

/// Whether a phase that is told this has the result of the job.
pub(super) fn is_done(job: &CoordinatorJob, input: &PhaseInput) -> bool {
    match (job, input) {
        (CoordinatorJob::AddKeys { step, .. }, PhaseInput::Keys(keys)) => *step == keys.step,
        (CoordinatorJob::Inspect(job), PhaseInput::WellFormed(list) | PhaseInput::Malformed(list)) => job.list == *list,
        (CoordinatorJob::Combine { attempt, .. }, PhaseInput::Sum(sum)) => *attempt == sum.attempt,
        (CoordinatorJob::AddModel { attempt, .. }, PhaseInput::Model(model)) => *attempt == model.attempt,
        (CoordinatorJob::PrepareTraining(_), PhaseInput::Prepared(_)) => true,
        (
            CoordinatorJob::InspectPart { list: inspected, .. },
            PhaseInput::WellFormed(list) | PhaseInput::Malformed(list),
        ) => inspected == list,
        (CoordinatorJob::TrainHead { task, .. }, input) => is_task_done(task, input),
        _ => false,
    }
}

/// One hospital's part of a published model.
pub(super) fn contribution(attempt: Attempt, party: PartyId) -> ListId {
    ListId { kind: BlobKind::PublishChunk, round: 0, attempt: attempt.0, party: Some(party) }
}

fn ceremony_input(input: PhaseInput) -> Option<CeremonyInput> {
    Some(match input {
        PhaseInput::Start(_) => CeremonyInput::Start,
        PhaseInput::Message(message) => CeremonyInput::Message(message),
        PhaseInput::Complete(list) => CeremonyInput::BodiesComplete { list },
        PhaseInput::Keys(keys) => match keys.body {
            Some(body) => CeremonyInput::Aggregated { step: keys.step, body },
            None => CeremonyInput::AggregateFailed { step: keys.step },
        },
        // The ceremony needs everybody: whoever lapsed is waited for.
        PhaseInput::Lapsed(_) | PhaseInput::Returned(_) | PhaseInput::Tick(_) => return None,
        PhaseInput::WellFormed(_) | PhaseInput::Malformed(_) => return None,
        PhaseInput::Sum(_) | PhaseInput::Model(_) | PhaseInput::Prepared(_) => return None,
        PhaseInput::Taken(_) | PhaseInput::Blinded(_) | PhaseInput::Joined(_) | PhaseInput::Stuck(_) => return None,
    })
}
