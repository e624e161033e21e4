//! The phases of a head: features are collected, then its steps are taken and refreshed.

use std::collections::BTreeSet;

use crate::blob::BlobKind;
use crate::campaign::{PhaseEnd, PublishedModel, TrainedOn};
use crate::drive::coordinator::inbox::PhaseInput;
use crate::drive::coordinator::phase::{Effect, Memory};
use crate::drive::coordinator::{CoordinatorJob, Inspection, ListId, Training};
use crate::features::{FeaturesInput, FeaturesMachine, FeaturesOutput};
use crate::ids::{Attempt, Digest, StepId};
use crate::message::LogMessage;
use crate::party_set::PartySet;
use crate::training::{HeadTask, RefreshBinding, TrainingInput, TrainingMachine, TrainingOutput};

/// What a machine wants done, and when it wants to be told the time.
pub(super) type Decided = (Vec<Effect>, Vec<u64>);

/// What the phase of a training keeps beside its machine.
pub(super) struct HeadPhase {
    /// Whose rows are trained on.
    cohort: PartySet,
    of: Training,
    /// Of the refresh that is asked for.
    binding: Option<RefreshBinding>,
    /// What hospitals brought to refreshes, and what was made of it.
    parts: BTreeSet<ListId>,
    pub(super) told: Memory,
}

impl HeadPhase {
    pub(super) fn new(on: TrainedOn, epoch_seed: Digest) -> Self {
        let cohort = on.cohort();
        let of = Training { epoch_seed, groups: on.groups, rows: on.rows, done: Vec::new() };
        Self { cohort, of, binding: None, parts: BTreeSet::new(), told: Memory::default() }
    }

    /// Looks at a list that is complete.
    fn inspect(&self, list: ListId) -> Effect {
        let binding = self.binding.filter(|_| list.kind != BlobKind::RefreshZero);
        Effect::Start(CoordinatorJob::InspectPart { of: Box::new(self.of.clone()), list, binding })
    }

    fn learn(&mut self, message: &LogMessage, machine: &TrainingMachine) {
        match message {
            LogMessage::RefreshOpen(open) => self.binding = Some(machine.binding(open)),
            LogMessage::RefreshBlinded(it) => {
                let (round, attempt) = (u64::from(it.step.0), it.attempt.0);
                self.parts.insert(ListId { kind: BlobKind::RefreshSum, round, attempt, party: None });
            }
            LogMessage::RefreshDone(_) => self.of.done.extend(self.binding.take()),
            _ => {}
        }
    }
}

/// Lets the machine that collects features decide.
pub(super) fn tell_features(
    (machine, told): (&mut FeaturesMachine, &mut Memory),
    (now_ms, input): (u64, PhaseInput),
    (epoch_seed, group_bodies): (Digest, u32),
) -> Decided {
    let (mut effects, mut wakes) = (Vec::new(), Vec::new());
    let Some(input) = features_input(input) else { return (effects, wakes) };
    for output in machine.on(now_ms, input) {
        match output {
            FeaturesOutput::Append(message) => effects.push(Effect::Append(message)),
            FeaturesOutput::AwaitBodies { party, body } => effects.push(Effect::Expect(ListId::features(party), body)),
            FeaturesOutput::Inspect { party, groups } => {
                effects.push(Effect::Start(CoordinatorJob::Inspect(Inspection {
                    epoch_seed,
                    list: ListId::features(party),
                    chunks: groups.saturating_mul(group_bodies),
                    cohort: PartySet::EMPTY,
                    decryptors: PartySet::EMPTY,
                    manifest: Digest::default(),
                })));
            }
            FeaturesOutput::Prepare { groups, rows } => {
                let of = Training { epoch_seed, groups, rows, done: Vec::new() };
                effects.push(Effect::Start(CoordinatorJob::PrepareTraining(of)));
            }
            FeaturesOutput::Reject { party, reject } => told.reject(party, reject),
            FeaturesOutput::WakeAt(at_ms) => wakes.push(at_ms),
            FeaturesOutput::Done => effects.push(Effect::End(PhaseEnd::Features)),
            FeaturesOutput::Failed(failure) => effects.push(Effect::End(PhaseEnd::NoFeatures(failure))),
        }
    }
    (effects, wakes)
}

/// Lets the machine that trains decide. What hospitals bring to a refresh is looked at before it counts.
pub(super) fn tell_training(
    (machine, phase): (&mut TrainingMachine, &mut HeadPhase),
    (now_ms, input): (u64, PhaseInput),
) -> Decided {
    let (mut effects, mut wakes) = (Vec::new(), Vec::new());
    if let PhaseInput::Complete(list) = input {
        effects.push(phase.inspect(list));
        return (effects, wakes);
    }
    let Some(input) = training_input(input) else { return (effects, wakes) };
    for output in machine.on(now_ms, input) {
        match output {
            TrainingOutput::Append(message) => {
                phase.learn(&message, machine);
                effects.push(Effect::Append(message));
            }
            TrainingOutput::AwaitBodies { kind, step, attempt, party, body } => {
                let list = ListId::of_step(kind, step, attempt, Some(party));
                phase.parts.insert(list);
                effects.push(Effect::Expect(list, body));
            }
            TrainingOutput::Do(task) => {
                effects.push(Effect::Start(CoordinatorJob::TrainHead { of: Box::new(phase.of.clone()), task }));
            }
            TrainingOutput::Reject { party, reject } => phase.told.reject(party, reject),
            TrainingOutput::WakeAt(at_ms) => wakes.push(at_ms),
            TrainingOutput::Finished { model, verified } => {
                if verified == machine.roster().parties() {
                    // Who has the head takes no steps again, after a restart neither.
                    let all = phase.cohort.iter().map(ListId::features).chain(std::mem::take(&mut phase.parts));
                    effects.extend(all.map(Effect::Forget));
                }
                let published = PublishedModel { digest: model, attempt: Attempt::FIRST, cohort: phase.cohort };
                effects.push(Effect::End(PhaseEnd::Published(published)));
            }
            TrainingOutput::Failed(failure) => effects.push(Effect::End(PhaseEnd::NoHead(failure))),
        }
    }
    (effects, wakes)
}

fn features_input(input: PhaseInput) -> Option<FeaturesInput> {
    let inspected = |list: ListId, is_well_formed| {
        let party = list.party.filter(|_| list.kind == BlobKind::Feature)?;
        Some(FeaturesInput::Inspected { party, is_well_formed })
    };
    match input {
        PhaseInput::Start(_) => Some(FeaturesInput::Start),
        PhaseInput::Message(message) => Some(FeaturesInput::Message(message)),
        PhaseInput::Complete(list) => list.party.map(|party| FeaturesInput::BodiesComplete { party }),
        PhaseInput::WellFormed(list) => inspected(list, true),
        PhaseInput::Malformed(list) => inspected(list, false),
        PhaseInput::Prepared(steps) => Some(FeaturesInput::Prepared { program: steps.program }),
        PhaseInput::Tick(_) => Some(FeaturesInput::Tick),
        // Uploads are awaited until the deadline, from whomever.
        PhaseInput::Lapsed(_) | PhaseInput::Returned(_) => None,
        PhaseInput::Keys(_) | PhaseInput::Sum(_) | PhaseInput::Model(_) => None,
        PhaseInput::Taken(_) | PhaseInput::Blinded(_) | PhaseInput::Joined(_) | PhaseInput::Stuck(_) => None,
    }
}

fn training_input(input: PhaseInput) -> Option<TrainingInput> {
    let of = |list: ListId| {
        let step = StepId(u32::try_from(list.round).ok()?);
        Some((list.kind, step, Attempt(list.attempt), list.party?))
    };
    match input {
        PhaseInput::Start(_) => Some(TrainingInput::Start),
        PhaseInput::Message(message) => Some(TrainingInput::Message(message)),
        PhaseInput::WellFormed(list) => {
            of(list).map(|(kind, step, attempt, party)| TrainingInput::BodiesComplete { kind, step, attempt, party })
        }
        PhaseInput::Malformed(list) => {
            of(list).map(|(_, step, attempt, party)| TrainingInput::Unfit { step, attempt, party })
        }
        PhaseInput::Taken(step) => Some(TrainingInput::Taken(step)),
        PhaseInput::Blinded(sums) => Some(TrainingInput::Blinded(sums)),
        PhaseInput::Joined(step) => Some(TrainingInput::Joined(step)),
        PhaseInput::Stuck(_) => Some(TrainingInput::Stuck),
        PhaseInput::Lapsed(party) => Some(TrainingInput::PartyGone(party)),
        PhaseInput::Returned(party) => Some(TrainingInput::PartyBack(party)),
        PhaseInput::Tick(_) => Some(TrainingInput::Tick),
        PhaseInput::Complete(_) | PhaseInput::Keys(_) | PhaseInput::Sum(_) => None,
        PhaseInput::Model(_) | PhaseInput::Prepared(_) => None,
    }
}

/// Whether a phase that is told this has the result of the task.
pub(super) fn is_task_done(task: &HeadTask, input: &PhaseInput) -> bool {
    match (task, input) {
        (_, PhaseInput::Stuck(_)) => true,
        (HeadTask::Take { step }, PhaseInput::Taken(taken)) => (*step, Attempt::FIRST) == (taken.step, taken.attempt),
        (HeadTask::AddZeros { step, attempt, .. }, PhaseInput::Taken(taken)) => {
            (*step, *attempt) == (taken.step, taken.attempt)
        }
        (HeadTask::Blind(binding), PhaseInput::Blinded(sums)) => {
            (binding.step, binding.attempt) == (sums.step, sums.attempt)
        }
        (HeadTask::Join(binding), PhaseInput::Joined(joined)) => binding.step == joined.step,
        _ => false,
    }
}
