//! A head with toy cryptography: what a step leaves is a sum that everybody makes of the same bytes, and its refresh
//! adds what decryptors and opener sent.

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind, ListId};
use protocol::drive::coordinator::{CoordinatorJob, JobResult, StepsPrepared, Training};
use protocol::drive::hospital::HeadJob;
use protocol::drive::{Store, StoreFault};
use protocol::hospital::HospitalInput;
use protocol::message::{FeaturesHead, LogMessage};
use protocol::training::{
    HeadTask, HeadTerms, RefreshBinding, SharesBlinded, StepJoined, StepTaken, TaskDone, TrainingTask,
};
use protocol::{Attempt, BodyRoot, Digest, PartyId, StepId};

use crate::oracle::Oracle;
use crate::sim_store::SimStore;
use crate::toy::{Lanes, word};

/// Steps of a toy head.
pub(crate) const STEPS: u32 = 3;
/// Groups of every hospital, and bodies of each.
pub(crate) const GROUPS: u32 = 2;
const BODIES: u32 = 2;
/// Ciphertexts that a step leaves.
const PACKAGES: u32 = 2;
/// Rows of all hospitals together, as they count them.
pub(crate) const ROWS: u64 = 1_000;

/// What every simulated hospital approved of it.
pub(crate) fn terms(refresh_deadline_ms: u64) -> HeadTerms {
    HeadTerms {
        recipe: Digest::of("toy recipe", &0_u8),
        keys: Digest::of("toy key plan", &0_u8),
        moment_rounds: 1,
        steps: STEPS,
        packages: PACKAGES,
        groups_max: GROUPS,
        group_bodies: BODIES,
        attempts_max: 4,
        tau_refreshing: 1 << 10,
        refresh_deadline_ms,
    }
}

/// What follows from whose rows and how many.
pub(crate) fn program(groups: &[(PartyId, u32)], rows: u64) -> Digest {
    let groups: Vec<u64> =
        groups.iter().map(|(party, groups)| u64::from(party.number()) << 32 | u64::from(*groups)).collect();
    Digest::of("toy steps", &[groups, vec![rows]].concat())
}

fn seeded(what: &str, words: &[u64]) -> Lanes {
    Lanes::mask(Digest::of(what, &words.to_vec()))
}

/// Of one party, who knows nothing but features and what was refreshed.
#[derive(Clone, Default)]
pub(crate) struct ToyHead {
    features: Lanes,
    taken_up: Vec<(PartyId, u32)>,
    state: Lanes,
    left: Lanes,
}

impl ToyHead {
    fn packages(&self) -> Vec<Bytes> {
        (0..PACKAGES).map(|index| self.left.plus(&seeded("toy package", &[index.into()])).to_bytes()).collect()
    }

    fn take(&mut self, step: StepId) {
        self.left = self.state.plus(&self.features).plus(&seeded("toy step", &[step.0.into()]));
    }

    fn add(&mut self, zeros: &[Vec<Bytes>]) {
        self.left = zeros.iter().flatten().fold(self.left, |sum, zero| sum.plus(&Lanes::from_bytes(zero).unwrap()));
    }

    /// Of the masks of all decryptors and the opening.
    fn join(&mut self, parts: &[Vec<Bytes>]) {
        let parts = parts.iter().flatten().map(|part| Lanes::from_bytes(part).unwrap());
        self.state = parts.fold(Lanes::default(), |sum, part| sum.plus(&part));
    }

    fn model(&self) -> Bytes {
        self.state.to_bytes()
    }

    /// The head that follows from a log and what hospitals made.
    pub(crate) fn of_log<'a>(
        log: impl Iterator<Item = &'a LogMessage> + Clone,
        made: impl Fn(PartyId, BlobId) -> Bytes,
    ) -> Option<Lanes> {
        let is_last = |message: &&LogMessage| matches!(message, LogMessage::RefreshDone(it) if it.step.0 == STEPS);
        let LogMessage::RefreshDone(done) = log.clone().find(is_last)? else { return None };
        let (step, attempt) = (done.step, done.attempt);
        let open = log.clone().find_map(|message| match message {
            LogMessage::RefreshOpen(open) if (open.step, open.attempt) == (step, attempt) => Some(open),
            _ => None,
        })?;
        let masks = open.decryptors.iter().map(|party| (BlobKind::RefreshMask, party));
        let parts = masks.chain([(BlobKind::RefreshOpening, open.opener)]).map(|(kind, party)| {
            let list = list(kind, step, attempt, Some(party));
            (0..PACKAGES).map(|index| made(party, list.body(index))).collect()
        });
        let mut head = Self::default();
        head.join(&parts.collect::<Vec<_>>());
        Some(head.state)
    }
}

/// Where bodies of a refresh lie.
fn list(kind: BlobKind, step: StepId, attempt: Attempt, party: Option<PartyId>) -> ListId {
    ListId { kind, round: step.0.into(), attempt: attempt.0, party }
}

fn put_all(store: &mut SimStore, list: ListId, bodies: &[Bytes]) -> Result<BodyRoot, StoreFault> {
    for (index, body) in (0..).zip(bodies) {
        store.put(&list.body(index), body)?;
    }
    Ok(BodyRoot::of_bodies(bodies))
}

fn get_all(store: &SimStore, list: ListId, count: u32) -> Result<Vec<Bytes>, StoreFault> {
    (0..count).map(|index| store.get(&list.body(index))).collect()
}

/// A hospital's part.
pub(crate) struct HeadSite<'a> {
    pub(crate) party: PartyId,
    /// Of this hospital.
    pub(crate) secret: u64,
    pub(crate) head: &'a mut ToyHead,
    pub(crate) store: &'a mut SimStore,
    /// Where the finished head is kept.
    pub(crate) model_at: BlobId,
    /// Whether it takes other steps than the others, or sends what is no part of a refresh.
    pub(crate) strays: bool,
    pub(crate) garbles: Option<BlobKind>,
}

impl HeadSite<'_> {
    /// Does a job of a head; `None` where it needs no answer.
    pub(crate) fn job(&mut self, job: HeadJob, oracle: &mut Oracle) -> Result<Option<HospitalInput>, StoreFault> {
        let party = self.party;
        Ok(Some(match job {
            HeadJob::SumMoments { round } => HospitalInput::Trained { round },
            HeadJob::EncryptFeatures => {
                let list = list(BlobKind::Feature, StepId(0), Attempt(0), Some(party));
                let of = |index: u32| seeded("toy feature", &[self.secret, index.into()]).to_bytes();
                let bodies: Vec<Bytes> = (0..GROUPS * BODIES).map(of).collect();
                (0..).zip(&bodies).for_each(|(index, body)| oracle.made(party, list.body(index), body));
                let body = put_all(self.store, list, &bodies)?;
                HospitalInput::FeaturesMade(FeaturesHead { groups: GROUPS, rows: ROWS, body })
            }
            HeadJob::AddFeatures { of, group, bodies } => {
                if group == 0 && self.head.taken_up.iter().any(|(known, _)| *known >= of) {
                    *self.head = ToyHead::default();
                }
                assert_eq!(bodies.len(), BODIES as usize, "{party}: of one group");
                let expected =
                    self.head.taken_up.last().filter(|(known, _)| *known == of).map_or(0, |(_, group)| group + 1);
                assert_eq!(group, expected, "{party}: groups of {of} in order");
                self.head.taken_up.push((of, group));
                let added = bodies.iter().map(|body| Lanes::from_bytes(body).unwrap());
                self.head.features = added.fold(self.head.features, |sum, body| sum.plus(&body));
                return Ok(None);
            }
            HeadJob::Prepare { groups, rows } => {
                let of =
                    |(party, groups): &(PartyId, u32)| (0..*groups).map(|group| (*party, group)).collect::<Vec<_>>();
                let all: Vec<_> = groups.iter().flat_map(of).collect();
                assert_eq!(self.head.taken_up, all, "{party} has taken up everybody's");
                HospitalInput::TrainingPrepared { program: program(&groups, rows) }
            }
            HeadJob::Do { task, bodies } => HospitalInput::TaskDone(self.task(task, &bodies, oracle)?),
        }))
    }

    fn task(
        &mut self,
        task: TrainingTask,
        bodies: &[(ListId, Vec<Bytes>)],
        oracle: &mut Oracle,
    ) -> Result<TaskDone, StoreFault> {
        assert!(task.lists().iter().map(|(list, _)| list).eq(bodies.iter().map(|(list, _)| list)), "{task:?}");
        let parts: Vec<Vec<Bytes>> = bodies.iter().map(|(_, bodies)| bodies.clone()).collect();
        Ok(match task {
            TrainingTask::Take { step } => {
                self.head.take(step);
                if self.strays {
                    self.head.left = self.head.left.plus(&Lanes::one_hot(self.party));
                }
                self.taken(step, Attempt::FIRST)
            }
            TrainingTask::AddZeros { step, attempt, .. } => {
                self.head.take(step);
                self.head.add(&parts);
                self.taken(step, attempt)
            }
            TrainingTask::MakeZeros { step, attempt } => {
                let body = self.make(BlobKind::RefreshZero, (step, attempt), 0, oracle)?;
                TaskDone::ZerosMade { step, attempt, body }
            }
            TrainingTask::Share(binding, _) => {
                let RefreshBinding { step, attempt, .. } = binding;
                assert_eq!(BodyRoot::of_bodies(&self.head.packages()), binding.packages, "shares in what it left");
                oracle.refreshes(self.party, &binding);
                let of = word(binding.digest());
                let shares = self.make(BlobKind::RefreshShare, (step, attempt), of, oracle)?;
                let masks = self.make(BlobKind::RefreshMask, (step, attempt), of, oracle)?;
                TaskDone::Shared { step, attempt, shares, masks }
            }
            TrainingTask::Open { binding, .. } => {
                let RefreshBinding { step, attempt, .. } = binding;
                let sums = Digest::of_bytes(&parts.concat().concat());
                oracle.opens(self.party, &binding, sums);
                let body = self.make(BlobKind::RefreshOpening, (step, attempt), word(sums), oracle)?;
                TaskDone::Opened { step, attempt, body }
            }
            TrainingTask::Join(joining) => {
                let step = joining.binding().step;
                self.head.join(&parts);
                let model = self.head.model();
                let is_last = step.0 == STEPS;
                if is_last {
                    self.store.put(&self.model_at, &model)?;
                }
                TaskDone::Joined { step, model: is_last.then(|| BodyRoot::of_bodies(&[model]).root) }
            }
        })
    }

    fn taken(&self, step: StepId, attempt: Attempt) -> TaskDone {
        TaskDone::Taken { step, attempt, packages: BodyRoot::of_bodies(&self.head.packages()) }
    }

    /// What this hospital brings: of its secret and of what it is for, so that a repeat is the same.
    fn make(
        &mut self,
        kind: BlobKind,
        (step, attempt): (StepId, Attempt),
        of: u64,
        oracle: &mut Oracle,
    ) -> Result<BodyRoot, StoreFault> {
        let list = list(kind, step, attempt, Some(self.party));
        let seed = |index: u32| {
            let place = [u64::from(step.0), attempt.0.into(), index.into()];
            seeded(&format!("toy {kind:?}"), &[&[self.secret, of][..], &place].concat())
        };
        let mut bodies: Vec<Bytes> = (0..PACKAGES).map(|index| seed(index).to_bytes()).collect();
        if self.garbles == Some(kind) && attempt == Attempt::FIRST {
            bodies[0].truncate(9);
        }
        (0..).zip(&bodies).for_each(|(index, body)| oracle.made(self.party, list.body(index), body));
        put_all(self.store, list, &bodies)
    }
}

/// The coordinator's part. What it knows of earlier steps it reads again.
pub(crate) struct HeadDesk<'a> {
    pub(crate) store: &'a mut SimStore,
    /// Whether what it says that steps leave is something else.
    pub(crate) lies: bool,
}

impl HeadDesk<'_> {
    pub(crate) fn job(&mut self, job: CoordinatorJob) -> JobResult {
        let result = match job {
            CoordinatorJob::PrepareTraining(of) => {
                Ok(JobResult::Prepared(StepsPrepared { program: Some(program(&of.groups, of.rows)) }))
            }
            CoordinatorJob::InspectPart { list, binding, .. } => {
                assert_eq!(binding.is_none(), list.kind == BlobKind::RefreshZero);
                let bodies = get_all(self.store, list, PACKAGES);
                bodies.map(|all| JobResult::Inspected(list, all.iter().all(|it| Lanes::from_bytes(it).is_some())))
            }
            CoordinatorJob::TrainHead { of, task } => self.task(&of, task),
            other => panic!("no job of a head: {other:?}"),
        };
        match result {
            Ok(result) => result,
            Err(StoreFault::Failed { .. }) => JobResult::Again,
            Err(fault) => panic!("{fault}"),
        }
    }

    fn head(&self, of: &Training) -> Result<ToyHead, StoreFault> {
        let mut head = ToyHead::default();
        for (party, groups) in &of.groups {
            let list = list(BlobKind::Feature, StepId(0), Attempt(0), Some(*party));
            let bodies = get_all(self.store, list, groups * BODIES)?;
            let added = bodies.iter().map(|body| Lanes::from_bytes(body).unwrap());
            head.features = added.fold(head.features, |sum, body| sum.plus(&body));
        }
        if let Some(last) = of.done.last() {
            head.join(&self.joined(last)?);
        }
        Ok(head)
    }

    fn of_all(&self, kind: BlobKind, binding: &RefreshBinding) -> Result<Vec<Vec<Bytes>>, StoreFault> {
        let RefreshBinding { step, attempt, decryptors, .. } = *binding;
        let of = |party| get_all(self.store, list(kind, step, attempt, Some(party)), PACKAGES);
        decryptors.iter().map(of).collect()
    }

    fn joined(&self, binding: &RefreshBinding) -> Result<Vec<Vec<Bytes>>, StoreFault> {
        let RefreshBinding { step, attempt, opener, .. } = *binding;
        let mut parts = self.of_all(BlobKind::RefreshMask, binding)?;
        parts.push(get_all(self.store, list(BlobKind::RefreshOpening, step, attempt, Some(opener)), PACKAGES)?);
        Ok(parts)
    }

    fn taken(&self, mut head: ToyHead, step: StepId, attempt: Attempt) -> StepTaken {
        if self.lies {
            head.left = Lanes::default();
        }
        StepTaken { step, attempt, packages: BodyRoot::of_bodies(&head.packages()) }
    }

    fn task(&mut self, of: &Training, task: HeadTask) -> Result<JobResult, StoreFault> {
        let step = match task {
            HeadTask::Take { step } | HeadTask::AddZeros { step, .. } => step,
            HeadTask::Blind(binding) | HeadTask::Join(binding) => binding.step,
        };
        assert_eq!(of.done.len() as u32 + 1 - u32::from(matches!(task, HeadTask::Join(_))), step.0, "{task:?}");
        Ok(match task {
            HeadTask::Take { step } => {
                let mut head = self.head(of)?;
                head.take(step);
                JobResult::Taken(self.taken(head, step, Attempt::FIRST))
            }
            HeadTask::AddZeros { step, attempt, decryptors } => {
                let mut head = self.head(of)?;
                head.take(step);
                for party in decryptors.iter() {
                    head.add(&[get_all(
                        self.store,
                        list(BlobKind::RefreshZero, step, attempt, Some(party)),
                        PACKAGES,
                    )?]);
                }
                JobResult::Taken(self.taken(head, step, attempt))
            }
            HeadTask::Blind(binding) => {
                let RefreshBinding { step, attempt, .. } = binding;
                let shares = self.of_all(BlobKind::RefreshShare, &binding)?;
                let sum = |index: usize| {
                    let shares = shares.iter().map(|own| Lanes::from_bytes(&own[index]).unwrap());
                    shares.fold(Lanes::default(), |sum, share| sum.plus(&share)).to_bytes()
                };
                let sums: Vec<Bytes> = (0..PACKAGES as usize).map(sum).collect();
                let sums = put_all(self.store, list(BlobKind::RefreshSum, step, attempt, None), &sums)?;
                JobResult::Blinded(SharesBlinded { step, attempt, sums })
            }
            HeadTask::Join(binding) => {
                let mut head = ToyHead::default();
                head.join(&self.joined(&binding)?);
                let is_last = binding.step.0 == STEPS;
                let mut model = None;
                if is_last {
                    let at = list(BlobKind::PublishChunk, StepId(0), Attempt::FIRST, None);
                    model = Some(put_all(self.store, at, &[head.model()])?.root);
                }
                JobResult::Joined(StepJoined { step: binding.step, model })
            }
        })
    }
}
