//! A head as this coordinator trains it: steps on what hospitals uploaded, and their refreshes added up.
//!
//! Everything that it works with lies in the coordinator's folder, so that a process that comes back takes the steps
//! again up to the one at hand.

use std::sync::Arc;

use bytes::Bytes;
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Evaluator};
use he_agg::multiparty::{Crs, GateKey, Quorum};
use he_train::encrypted::{HeadPlan, HeadRun, RefreshGoal, RefreshOrder, RefreshTerms, TrainingGroup, lift_group};
use he_train::spread_groups;
use protocol::blob::{BlobKind, BodyRoot};
use protocol::drive::coordinator::{JobResult, Training};
use protocol::ids::{Attempt, Digest, PartyId, StepId};
use protocol::message::KeySet;
use protocol::party_set::PartySet;
use protocol::training::{HeadTask, RefreshBinding, SharesBlinded, StepJoined, StepTaken};
use rayon::prelude::*;

use crate::bodies::{Bodies, ListId};
use crate::encrypted_model::model_list;
use crate::error::CoordinatorError;
use crate::head::HeadCoordinator;
use crate::serving_keys;

/// The step that a task is of.
pub(crate) fn step_of(task: &HeadTask) -> StepId {
    match task {
        HeadTask::Take { step } | HeadTask::AddZeros { step, .. } => *step,
        HeadTask::Blind(binding) | HeadTask::Join(binding) => binding.step,
    }
}

/// What failed, where it is the training itself.
const TRAINING: &str = "the training of a head";

/// What a hospital brought.
type ByHospital = (u16, Vec<Vec<u8>>);

/// Everything that a training is computed with.
#[derive(Clone)]
pub(crate) struct TrainingParts {
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) plan: Arc<HeadPlan>,
    /// Of the hospitals.
    pub(crate) quorum: Quorum,
    pub(crate) parties: PartySet,
}

/// A training under way.
pub(crate) struct TrainingEngine {
    parts: TrainingParts,
    /// Without the refreshes of its steps.
    of: Training,
    head: HeadCoordinator,
}

impl TrainingParts {
    /// Whether one hospital's bodies are features that can be trained on.
    ///
    /// # Errors
    /// [`CoordinatorError`] where they are not there; [`CoordinatorError::Malformed`] where they are none.
    pub(crate) fn inspect(&self, list: ListId, count: u32) -> Result<(), CoordinatorError> {
        let of = u32::try_from(self.plan.group_bodies()).unwrap_or(u32::MAX);
        (0..count / of).into_par_iter().try_for_each(|group| match self.plan.is_group(&self.group(list, group)?) {
            true => Ok(()),
            false => {
                let source = std::io::Error::other(format!("group {group} has another shape than the plan's"));
                Err(CoordinatorError::malformed("features", list.party, source))
            }
        })
    }

    fn group(&self, list: ListId, group: u32) -> Result<Vec<Vec<u8>>, CoordinatorError> {
        let of = u32::try_from(self.plan.group_bodies()).unwrap_or(u32::MAX);
        let bodies = (group * of..(group + 1) * of).map(|index| self.bodies.get(&list.body(index)));
        bodies.map(|body| Ok(body?.to_vec())).collect()
    }

    fn lifted(
        &self,
        evaluator: &Evaluator,
        (crs, gates): (&Crs, &[GateKey]),
        (of, group): (PartyId, u32),
    ) -> Result<TrainingGroup<Cpu>, CoordinatorError> {
        let sent = self.group(ListId::features(of), group)?;
        let gate = gates.get(usize::from(of.number()) - 1).ok_or(CoordinatorError::NoHead)?;
        let lifted = lift_group(self.plan.of_one_row(), evaluator, (crs, gate), u64::from(group), &sent);
        lifted.map_err(|source| CoordinatorError::malformed("features", Some(of), source))
    }

    /// Every hospital's gate key of a set, in order.
    fn gates(&self, set: KeySet, crs: &Crs) -> Result<Arc<[GateKey]>, CoordinatorError> {
        let parties: Vec<PartyId> = self.parties.iter().collect();
        parties.par_iter().map(|party| serving_keys::gate_key(&self.bodies, (set, crs), *party)).collect()
    }

    /// Digest of the program of the steps on these uploads.
    ///
    /// # Errors
    /// [`CoordinatorError::Evaluation`] where there is none.
    pub(crate) fn program(&self, of: &Training) -> Result<Digest, CoordinatorError> {
        let program = self.plan.program(rows(of), groups(of)).map_err(failed)?;
        Ok(Digest(program.digest()))
    }
}

impl TrainingEngine {
    /// A training before its first step: everybody's features are lifted, once.
    ///
    /// # Errors
    /// [`CoordinatorError`] where keys or features are missing or malformed.
    pub(crate) fn open(parts: TrainingParts, of: &Training) -> Result<Self, CoordinatorError> {
        let (plan, seed) = (Arc::clone(&parts.plan), of.epoch_seed.0);
        let program = Arc::new(plan.program(rows(of), groups(of)).map_err(failed)?);
        let (planned, served) = (plan.training_keys(), plan.serving_keys());
        let (crs, serving_crs) = (Crs::new(planned.preset, seed), Crs::new(served.preset, seed));
        let evaluator = Evaluator::new(planned.preset).map_err(failed)?;
        let gates = parts.gates(KeySet::Training, &crs)?;
        let uploads: Vec<(PartyId, u32)> =
            of.groups.iter().flat_map(|(party, count)| (0..*count).map(move |group| (*party, group))).collect();
        let lifted = uploads.into_par_iter().map(|place| parts.lifted(&evaluator, (&crs, &gates), place));
        let lifted: Vec<_> = lifted.collect::<Result<_, CoordinatorError>>()?;
        let counts: Vec<usize> = of.groups.iter().map(|(_, count)| *count as usize).collect();
        let lifted: Arc<[_]> = spread_groups(lifted, &counts).into();
        let keys = Arc::new(serving_keys::load(&parts.bodies, (KeySet::Training, &planned), of.epoch_seed)?);
        let run = HeadRun::new(Arc::clone(&program), evaluator, keys, lifted).map_err(failed)?;
        let next = RefreshGoal::next_step(&program, crs.clone(), (gates, evaluator));
        let joining = Evaluator::new(served.preset).map_err(failed)?;
        let gates = parts.gates(KeySet::Serving, &serving_crs)?;
        let last = RefreshGoal::serving(plan.transfer(), serving_crs, (gates, joining));
        let terms = RefreshTerms { crs, quorum: parts.quorum, flooding: plan.flooding(), program: program.digest() };
        let head = HeadCoordinator::new(terms, run, next, last);
        Ok(Self { of: Training { done: Vec::new(), ..of.clone() }, parts, head })
    }

    /// Whether this is the training of these uploads, and not beyond this step.
    pub(crate) fn is_at(&self, of: &Training, step: StepId) -> bool {
        let Training { epoch_seed, groups, rows, .. } = of;
        (epoch_seed, groups, rows) == (&self.of.epoch_seed, &self.of.groups, &self.of.rows)
            && self.head.step() < step.0 as usize
    }

    /// Takes the steps before this one again, which the log has finished and an earlier process took.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn catch_up(&mut self, of: &Training, step: StepId) -> Result<(), CoordinatorError> {
        // The log may have finished the step itself: joining it is a job of its own.
        while self.head.step() + 1 < step.0 as usize {
            let binding = of.done.get(self.head.step()).ok_or(CoordinatorError::NoHead)?;
            self.refreshed(binding)?;
        }
        Ok(())
    }

    /// Whether what a hospital brought to a refresh is what its kind says.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn is_fit(&mut self, list: ListId, binding: Option<RefreshBinding>) -> Result<bool, CoordinatorError> {
        let (Some(party), Ok(step)) = (list.party, u32::try_from(list.round)) else { return Ok(false) };
        let (step, attempt) = (StepId(step), Attempt(list.attempt));
        let order = match binding {
            Some(binding) if (binding.step, binding.attempt) == (step, attempt) => self.order(&binding)?,
            Some(_) => return Ok(false),
            None => unasked(step, attempt),
        };
        if usize::try_from(order.step) != Ok(self.head.step()) {
            return Ok(false);
        }
        let bodies = self.list(list)?;
        self.head.is_fit(&order, (list.kind, party.number()), &bodies).map_err(failed)
    }

    /// Does what takes the coordinator long.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub(crate) fn run(&mut self, task: HeadTask) -> Result<JobResult, CoordinatorError> {
        Ok(match task {
            HeadTask::Take { step } => JobResult::Taken(self.taken(&unasked(step, Attempt::FIRST))?),
            HeadTask::AddZeros { step, attempt, decryptors } => {
                let zeros = self.of_all(BlobKind::RefreshZero, (step, attempt), decryptors)?;
                let order = RefreshOrder { zeros, decryptors: decryptors.numbers(), ..unasked(step, attempt) };
                JobResult::Taken(self.taken(&order)?)
            }
            HeadTask::Blind(binding) => {
                let RefreshBinding { step, attempt, decryptors, .. } = binding;
                let shares = self.of_all(BlobKind::RefreshShare, (step, attempt), decryptors)?;
                let shares: Vec<_> = shares.into_iter().map(|(_, shares)| shares).collect();
                let order = self.order(&binding)?;
                let sums = self.head.blinded(&order, &shares).map_err(failed)?;
                let place = ListId::of_step(BlobKind::RefreshSum, step, attempt, None);
                for (index, sum) in (0..).zip(&sums) {
                    self.parts.bodies.put(&place.body(index), sum)?;
                }
                JobResult::Blinded(SharesBlinded { step, attempt, sums: self.parts.bodies.root(place)? })
            }
            HeadTask::Join(binding) => {
                let finished = self.refreshed(&binding)?;
                let model = finished.map(|packages| self.keep(&packages)).transpose()?;
                JobResult::Joined(StepJoined { step: binding.step, model })
            }
        })
    }

    fn taken(&mut self, order: &RefreshOrder) -> Result<StepTaken, CoordinatorError> {
        let packages = self.head.packages(order).map_err(failed)?;
        let (step, attempt) = (StepId(order.step + 1), Attempt(order.attempt + 1));
        Ok(StepTaken { step, attempt, packages: BodyRoot::of_bodies(&packages) })
    }

    fn refreshed(&mut self, binding: &RefreshBinding) -> Result<Option<Vec<Ciphertext>>, CoordinatorError> {
        let RefreshBinding { step, attempt, decryptors, opener, .. } = *binding;
        let masks = self.of_all(BlobKind::RefreshMask, (step, attempt), decryptors)?;
        let opened = self.list(ListId::of_step(BlobKind::RefreshOpening, step, attempt, Some(opener)))?;
        let order = self.order(binding)?;
        self.head.refreshed(&order, &masks, &opened).map_err(failed)
    }

    /// Makes the model of the finished head and stores it; from here on it is served, also after a restart.
    fn keep(&self, packages: &[Ciphertext]) -> Result<Digest, CoordinatorError> {
        let TrainingParts { bodies, plan, parties, .. } = &self.parts;
        let planned = plan.serving_keys();
        let keys = serving_keys::load(bodies, (KeySet::Serving, &planned), self.of.epoch_seed)?;
        let evaluator = Evaluator::new(planned.preset).map_err(failed)?;
        let model = plan.transfer().model(&evaluator, &keys, packages).map_err(failed)?;
        let place = model_list(Attempt::FIRST);
        for (index, weight) in (0..).zip(model.weights()) {
            bodies.put(&place.body(index), &weight.to_bytes())?;
        }
        bodies.sync(place)?;
        serving_keys::sync(bodies, *parties)?;
        Ok(bodies.root(place)?.root)
    }

    /// A refresh that hospitals are asked for, with the zeros of its attempt.
    fn order(&self, binding: &RefreshBinding) -> Result<RefreshOrder, CoordinatorError> {
        let RefreshBinding { step, attempt, decryptors, opener, .. } = *binding;
        let zeros = match attempt {
            Attempt::FIRST => Vec::new(),
            _ => self.of_all(BlobKind::RefreshZero, (step, attempt), decryptors)?,
        };
        let (opener, decryptors) = (opener.number(), decryptors.numbers());
        Ok(RefreshOrder { zeros, opener, decryptors, ..unasked(step, attempt) })
    }

    fn of_all(
        &self,
        kind: BlobKind,
        (step, attempt): (StepId, Attempt),
        parties: PartySet,
    ) -> Result<Vec<ByHospital>, CoordinatorError> {
        let of = |party: PartyId| Ok((party.number(), self.list(ListId::of_step(kind, step, attempt, Some(party)))?));
        parties.iter().map(of).collect()
    }

    fn list(&self, list: ListId) -> Result<Vec<Vec<u8>>, CoordinatorError> {
        let count = self.parts.bodies.digests(list)?.len();
        let body = |index| self.parts.bodies.get(&list.body(index)).map(|body: Bytes| body.to_vec());
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(body).collect()
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(source: E) -> CoordinatorError {
    CoordinatorError::evaluation(TRAINING, source)
}

fn rows(of: &Training) -> usize {
    usize::try_from(of.rows).unwrap_or(usize::MAX)
}

fn groups(of: &Training) -> usize {
    of.groups.iter().map(|(_, count)| *count as usize).sum()
}

/// Of a step that nobody has been asked to refresh.
fn unasked(step: StepId, attempt: Attempt) -> RefreshOrder {
    RefreshOrder::before_asking(step.0, attempt.0)
}

#[cfg(test)]
mod tests;
