//! This site's part in the training of a head: everybody's features, the steps, and the model that the last one leaves.

use std::sync::Arc;

use bytes::Bytes;
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, EvaluationKeys, Evaluator};
use he_agg::multiparty::{GaloisKey, RelinearizationKey};
use he_train::encrypted::{HeadRun, RefreshGoal, RefreshOrder, RefreshTerms, TrainingGroup, lift_group};
use he_train::spread_groups;
use protocol::Reject;
use protocol::blob::{BlobKind, BodyRoot, ListId};
use protocol::drive::hospital::Parts;
use protocol::hospital::HospitalInput;
use protocol::ids::{Attempt, Digest, PartyId, StepId};
use protocol::message::{Key, KeySet, KeyStep};
use protocol::training::{Joining, RefreshBinding, TaskDone, TrainingTask};
use rayon::prelude::*;

use super::error::{HospitalError, Step};
use super::holdings::root_of;
use super::key_sums::relinearisation;
use super::keyring::Keyring;
use super::observer::Activity;
use super::site::{Site, ledger};
use crate::head::{HeadDecryptor, HeadRefusal, HeadSite};
use crate::ledger::DiskLedger;
use protocol::store::JournalError;

const STEP: &str = "training a head";

/// What others bring to a task, list by list.
type Brought = [(ListId, Vec<Bytes>)];
type Refusal = HeadRefusal<JournalError>;
/// Of an attempt, by hospital.
type Zeros = (StepId, Attempt, Vec<ByHospital>);
type ByHospital = (u16, Vec<Vec<u8>>);

/// A training under way.
#[derive(Default)]
pub(super) struct SiteTraining {
    /// Everybody's groups that were taken up, in their order, before the first step.
    taken: Vec<((PartyId, u32), TrainingGroup<Cpu>)>,
    /// From the first step on.
    decryptor: Option<HeadDecryptor<DiskLedger>>,
    /// Of the attempt under way, where it has some.
    zeros: Option<Zeros>,
}

impl Site {
    /// The ledger of what is encrypted and shared under the key of a training.
    ///
    /// # Errors
    /// [`HospitalError::Journal`]; [`HospitalError::NoKeys`] where no head is trained.
    pub(super) fn head_ledger(&self) -> Result<DiskLedger, HospitalError> {
        ledger(&self.journal, "head", &self.plan, self.head(STEP)?.plan.flooding())
    }

    /// Takes up one group of a hospital's features; says why it cannot be trained on.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn add_features(
        &mut self,
        of: PartyId,
        group: u32,
        bodies: &[Bytes],
    ) -> Result<Option<Reject>, HospitalError> {
        let place = (of, group);
        if self.training.taken.last().is_none_or(|(last, _)| *last >= place) {
            self.training = SiteTraining::default();
        }
        let sent: Vec<Vec<u8>> = bodies.iter().map(|body| body.to_vec()).collect();
        let plan = Arc::clone(&self.head(STEP)?.plan);
        self.observer.activity(self.plan.party, Activity::Verifying { done: self.training.taken.len(), of: 0 });
        let key = self.gate_key(KeySet::Training, of)?;
        let evaluator = Evaluator::new(plan.of_one_row().preset()).step(STEP)?;
        let gate = (self.crs_of(KeySet::Training, STEP)?, &*key);
        let lifted = match plan.is_group(&sent) {
            true => lift_group(plan.of_one_row(), &evaluator, gate, u64::from(group), &sent).map_err(|e| e.to_string()),
            false => Err("they have another shape than the plan's".to_owned()),
        };
        match lifted {
            Ok(lifted) => {
                self.training.taken.push((place, lifted));
                Ok(None)
            }
            Err(why) => {
                self.training = SiteTraining::default();
                let what = format!("features {group} of {of} cannot be trained on: {why}");
                self.observer.refused(self.plan.party, &what);
                Ok(Some(Reject::FeaturesUnfit))
            }
        }
    }

    /// Makes the program of the steps on what was taken up, which has to be all of these groups.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn prepare_training(
        &mut self,
        groups: &[(PartyId, u32)],
        rows: u64,
    ) -> Result<HospitalInput, HospitalError> {
        let unfit = |site: &Self, why: &str| {
            site.observer.refused(site.plan.party, &format!("there is nothing to train on: {why}"));
            Ok(HospitalInput::Untrainable { reject: Reject::FeaturesUnfit })
        };
        let expected = groups.iter().flat_map(|(of, count)| (0..*count).map(move |group| (*of, group)));
        let training = std::mem::take(&mut self.training);
        if !training.taken.iter().map(|(place, _)| *place).eq(expected) {
            return unfit(self, "features were not taken up before");
        }
        let plan = Arc::clone(&self.head(STEP)?.plan);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let program = match plan.program(rows, training.taken.len()) {
            Ok(program) => Arc::new(program),
            Err(error) => return unfit(self, &error.to_string()),
        };
        let counts: Vec<usize> = groups.iter().map(|(_, count)| *count as usize).collect();
        let run_groups = spread_groups(training.taken.into_iter().map(|(_, group)| group), &counts);
        let preset = program.preset();
        let keys = Arc::new(self.evaluation_keys(KeySet::Training)?);
        let evaluator = Evaluator::new(preset).step(STEP)?;
        let run = HeadRun::new(Arc::clone(&program), evaluator, keys, run_groups.into()).step(STEP)?;
        let crs = self.key_crs(STEP)?;
        let training_crs = self.crs_of(KeySet::Training, STEP)?.clone();
        let next = (self.all_gates(KeySet::Training)?, evaluator);
        let next = RefreshGoal::next_step(&program, training_crs.clone(), next);
        let served = Evaluator::new(self.plan.presets().0).step(STEP)?;
        let last = (self.all_gates(KeySet::Serving)?, served);
        let last = RefreshGoal::serving(plan.transfer(), crs.serving().clone(), last);
        let secrets = Keyring::load(&self.plan, crs, &self.vault)?.into_head(self.plan.party.number());
        let secrets = secrets.ok_or(HospitalError::NoKeys { step: STEP })?;
        let (quorum, flooding) = (self.plan.quorum(), plan.flooding());
        let terms = RefreshTerms { crs: training_crs, quorum, flooding, program: program.digest() };
        let site = HeadSite::new(secrets, terms, self.head_ledger()?);
        self.training.decryptor = Some(HeadDecryptor::new(site, run, next, last));
        Ok(HospitalInput::TrainingPrepared { program: Digest(program.digest()) })
    }

    /// Does what the machine asks for of a training.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn do_task(&mut self, task: TrainingTask, bodies: &Brought) -> Result<HospitalInput, HospitalError> {
        let (step, attempt) = place_of(&task);
        let mut training = std::mem::take(&mut self.training);
        let done = self.done(&mut training, task, bodies);
        self.training = training;
        let done = match done? {
            Ok(done) => {
                if matches!(done, TaskDone::Joined { model: Some(_), .. }) {
                    // Everybody's features are of no use any more.
                    self.training = SiteTraining::default();
                }
                done
            }
            Err(refusal) => {
                let Some(reject) = refusal.reject() else {
                    return Err(HospitalError::Crypto { step: STEP, source: refusal.into() });
                };
                self.observer.refused(self.plan.party, &refusal.to_string());
                TaskDone::Unable { step, attempt, reject }
            }
        };
        Ok(HospitalInput::TaskDone(done))
    }

    fn done(
        &mut self,
        training: &mut SiteTraining,
        task: TrainingTask,
        bodies: &Brought,
    ) -> Result<Result<TaskDone, Refusal>, HospitalError> {
        let party = self.plan.party;
        let SiteTraining { decryptor, zeros, .. } = training;
        let decryptor = decryptor.as_mut().ok_or(HospitalError::NoKeys { step: STEP })?;
        let number = |step: StepId| step.0 as usize;
        let of = self.plan.terms.head.as_ref().map_or(0, |head| head.steps as usize);
        Ok(match task {
            TrainingTask::Take { step } => {
                self.observer.activity(party, Activity::Verifying { done: number(step), of });
                let packages = decryptor.packages(&unasked(step, Attempt::FIRST));
                packages.map(|it| TaskDone::Taken { step, attempt: Attempt::FIRST, packages: BodyRoot::of_bodies(&it) })
            }
            TrainingTask::AddZeros { step, attempt, zeros: asked } => {
                let all: Vec<_> = asked
                    .iter()
                    .map(|(of, _)| (of.number(), brought(bodies, (BlobKind::RefreshZero, step, attempt), Some(*of))))
                    .collect();
                *zeros = Some((step, attempt, all.clone()));
                let decryptors = all.iter().map(|(of, _)| *of).collect();
                let order = RefreshOrder { zeros: all, decryptors, ..unasked(step, attempt) };
                let packages = decryptor.packages(&order);
                packages.map(|it| TaskDone::Taken { step, attempt, packages: BodyRoot::of_bodies(&it) })
            }
            TrainingTask::MakeZeros { step, attempt } => {
                let RefreshOrder { step: number, attempt: count, .. } = unasked(step, attempt);
                match decryptor.zeros(number, count) {
                    Ok(made) => {
                        let body = self.keep_part((BlobKind::RefreshZero, step, attempt), made)?;
                        Ok(TaskDone::ZerosMade { step, attempt, body })
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            TrainingTask::Share(binding, _) => {
                let RefreshBinding { step, attempt, packages, .. } = binding;
                self.observer.activity(party, Activity::Sharing { done: number(step), of });
                match decryptor.share(&order(&binding, zeros), packages) {
                    Ok(parts) => {
                        let (shares, masks) = parts.into_iter().map(|part| (part.share, part.mask)).unzip();
                        let shares = self.keep_part((BlobKind::RefreshShare, step, attempt), shares)?;
                        let masks = self.keep_part((BlobKind::RefreshMask, step, attempt), masks)?;
                        Ok(TaskDone::Shared { step, attempt, shares, masks })
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            TrainingTask::Open { binding, .. } => {
                let RefreshBinding { step, attempt, packages, .. } = binding;
                let sums = brought(bodies, (BlobKind::RefreshSum, step, attempt), None);
                match decryptor.open(&order(&binding, zeros), packages, &sums) {
                    Ok(opened) => {
                        let body = self.keep_part((BlobKind::RefreshOpening, step, attempt), opened)?;
                        Ok(TaskDone::Opened { step, attempt, body })
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            TrainingTask::Join(joining) => return self.joined(decryptor, &joining, zeros, bodies),
        })
    }

    fn joined(
        &self,
        decryptor: &mut HeadDecryptor<DiskLedger>,
        joining: &Joining,
        zeros: &Option<Zeros>,
        bodies: &Brought,
    ) -> Result<Result<TaskDone, Refusal>, HospitalError> {
        let binding = joining.binding();
        let RefreshBinding { step, attempt, packages, opener, .. } = binding;
        let makers = joining.masks.iter().map(|(of, _)| *of);
        let masks: Vec<_> =
            makers.map(|of| (of.number(), brought(bodies, (BlobKind::RefreshMask, step, attempt), Some(of)))).collect();
        let opening = brought(bodies, (BlobKind::RefreshOpening, step, attempt), Some(opener));
        let finished = match decryptor.refreshed(&order(&binding, zeros), packages, &masks, &opening) {
            Ok(finished) => finished,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let model = finished.map(|packages| self.keep_head(&packages)).transpose()?;
        Ok(Ok(TaskDone::Joined { step, model }))
    }

    /// Makes the model of the finished head and keeps it; from here on it is asked as any other model.
    fn keep_head(&self, packages: &[Ciphertext]) -> Result<Digest, HospitalError> {
        let step = "making the model of a finished head";
        let keys = self.evaluation_keys(KeySet::Serving)?;
        let evaluator = Evaluator::new(self.plan.presets().0).step(step)?;
        let model = self.head(step)?.plan.transfer().model(&evaluator, &keys, packages).step(step)?;
        let weights = model.weights().iter().map(|weight| self.holdings.write(&weight.to_bytes()));
        let held = weights.collect::<Result<Vec<_>, _>>()?;
        self.holdings.keep(Parts::Model(Attempt::FIRST).sum(), &held)?;
        Ok(root_of(&held).root)
    }

    /// Keeps what this site sends of a refresh until it is sent.
    fn keep_part(
        &self,
        (kind, step, attempt): (BlobKind, StepId, Attempt),
        bodies: Vec<Vec<u8>>,
    ) -> Result<BodyRoot, HospitalError> {
        let list = ListId::of_step(kind, step, attempt, Some(self.plan.party));
        let count = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        for (index, body) in (0..).zip(bodies) {
            self.outbox.put(list.body(index), body)?;
        }
        self.outbox.root(list.body(0), count)
    }

    /// The keys of a set with which is computed, as this site added them up.
    ///
    /// # Errors
    /// [`HospitalError::BodyMissing`] where the lists that are held are not those on record.
    pub(super) fn evaluation_keys(&self, set: KeySet) -> Result<EvaluationKeys, HospitalError> {
        let step = "reading the keys that were added up here";
        let (crs, facts) = (self.crs_of(set, step)?, self.facts()?);
        let recorded = |key| KeyStep::of(set, key).and_then(|of| facts.key_sum(of)).map(|sum| sum.root);
        let mut keys = EvaluationKeys::new(crs.preset());
        for body in self.held(relinearisation(set), recorded(Key::RelinRoundTwo))? {
            let key = RelinearizationKey::from_bytes(&self.holdings.read(body)?, crs).step(step)?;
            keys.set_relinearization(key).step(step)?;
        }
        let rotations = self.held(Parts::Rotations(set).sum(), recorded(Key::Galois))?;
        let rotation = |body: &Digest| GaloisKey::from_bytes(&self.holdings.read(*body)?, crs).step(step);
        for key in rotations.par_iter().map(rotation).collect::<Result<Vec<_>, HospitalError>>()? {
            keys.insert_rotation(key).step(step)?;
        }
        Ok(keys)
    }
}

/// What a hospital, or the coordinator, brought of this kind.
fn brought(
    bodies: &Brought,
    (kind, step, attempt): (BlobKind, StepId, Attempt),
    party: Option<PartyId>,
) -> Vec<Vec<u8>> {
    let wanted = ListId::of_step(kind, step, attempt, party);
    let found = bodies.iter().find(|(list, _)| *list == wanted);
    found.map_or_else(Vec::new, |(_, bodies)| bodies.iter().map(|body| body.to_vec()).collect())
}

/// Of a step that nobody has been asked to refresh.
fn unasked(step: StepId, attempt: Attempt) -> RefreshOrder {
    RefreshOrder::before_asking(step.0, attempt.0)
}

/// A refresh that is asked for, with the zeros of its attempt.
fn order(binding: &RefreshBinding, zeros: &Option<Zeros>) -> RefreshOrder {
    let RefreshBinding { step, attempt, decryptors, opener, .. } = *binding;
    let zeros = zeros.as_ref().filter(|(of, at, _)| (*of, *at) == (step, attempt));
    let zeros = zeros.map_or_else(Vec::new, |(.., zeros)| zeros.clone());
    let (opener, decryptors) = (opener.number(), decryptors.numbers());
    RefreshOrder { zeros, opener, decryptors, ..unasked(step, attempt) }
}

/// What a task is of.
fn place_of(task: &TrainingTask) -> (StepId, Attempt) {
    match task {
        TrainingTask::Take { step } => (*step, Attempt::FIRST),
        TrainingTask::MakeZeros { step, attempt } | TrainingTask::AddZeros { step, attempt, .. } => (*step, *attempt),
        TrainingTask::Share(binding, _) | TrainingTask::Open { binding, .. } => (binding.step, binding.attempt),
        TrainingTask::Join(joining) => (joining.binding().step, joining.binding().attempt),
    }
}
