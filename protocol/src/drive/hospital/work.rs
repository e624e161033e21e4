//! Work in order: first the bodies that it needs, several under way at once, each checked, then the job.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::blob::{BlobId, BlobKind, BodyRoot, ListId};
use crate::drive::hospital::parts::{ChunksLeft, PartsLeft};
use crate::drive::hospital::planes::Bound;
use crate::drive::hospital::training::{FeaturesLeft, task_job};
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::{
    AGAIN_MS, HeadJob, HospitalDone, HospitalDriver, HospitalJob, HospitalNote, Parts, Purpose, Summands,
};
use crate::drive::{Clock, Crypto, HospitalNet, JobId, Store};
use crate::exchange::Answer;
use crate::hospital::{HospitalInput, ProofOf, ShareBinding, SwitchBinding};
use crate::ids::{Digest, PartyId, RoundId};
use crate::limits::REFRESH_BODY_BYTES_MAX;
use crate::message::{KeyStep, QueryHead, RoundPurpose};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::training::TrainingTask;

/// Bodies that are fetched at once.
const FETCHES_MAX: usize = 4;
/// Wait before a body is asked for again that the coordinator does not have, or has another of.
const MENDED_MS: u64 = 30_000;

/// A piece of work.
pub(super) enum Work {
    /// Needs nothing.
    Ready(HospitalJob),
    /// Needs bodies first.
    Fetch { wanted: Vec<Wanted>, then: Then },
    /// Part after part of a sum: first each part's bodies, then its job.
    Parts(PartsLeft),
    /// The same of a round's sum.
    Chunks(ChunksLeft),
    /// Everybody's features, group after group.
    Features(FeaturesLeft),
}

/// What the bodies are for.
pub(super) enum Then {
    OpenDealings {
        roster: Roster,
        dealers: Vec<PartyId>,
    },
    AddShare {
        step: KeyStep,
        from: PartyId,
    },
    /// The body of a list that is meant for `own`.
    ShareOf {
        step: KeyStep,
        from: PartyId,
        own: PartyId,
    },
    /// Both shares of one hospital, and the digests of its openings, which are fetched next.
    ProofOf {
        proof: ProofOf,
    },
    CheckProof {
        proof: ProofOf,
        first: Bytes,
        second: Bytes,
    },
    /// The digests of a hospital's bodies, which are fetched next, and go to one job together.
    PlanesList(Bound),
    Planes(Bound),
    PlaneSeeds {
        of: PartyId,
    },
    Sum {
        step: KeyStep,
    },
    OpenSum {
        binding: ShareBinding,
        purpose: RoundPurpose,
    },
    /// Whose lists were asked for, in order, and last that of the sum, unless all of it is drawn.
    Parts {
        parts: Parts,
        makers: Vec<PartyId>,
        drawn: Vec<u32>,
        finish: HospitalJob,
    },
    AddParts {
        parts: Parts,
        index: u32,
        makers: Vec<PartyId>,
    },
    TakePart {
        parts: Parts,
        index: u32,
        makers: Vec<PartyId>,
    },
    /// Whose lists were asked for, in order.
    Chunks {
        binding: ShareBinding,
        makers: Vec<ListId>,
        chunks: VecDeque<(u32, Digest)>,
    },
    AddChunk {
        binding: ShareBinding,
        chunk: u32,
        sum: Digest,
        is_last: bool,
        makers: Vec<ListId>,
    },
    Evaluate {
        asker: PartyId,
        head: Box<QueryHead>,
    },
    /// The digests of a hospital's features.
    FeaturesList {
        of: PartyId,
        groups: u32,
        left: FeaturesLeft,
    },
    Features {
        of: PartyId,
        group: u32,
    },
    /// The lists that were asked for, in order, and then how long they are.
    TaskLists {
        task: TrainingTask,
        lists: Vec<ListId>,
    },
    Task {
        task: TrainingTask,
        counts: Vec<(ListId, usize)>,
    },
    /// Whose boxes were asked for, in order.
    Answer {
        ticket: u64,
        binding: Box<SwitchBinding>,
        makers: Vec<PartyId>,
    },
}

/// The work under way.
#[expect(clippy::large_enum_variant, reason = "a driver has one")]
pub(super) enum Running {
    Fetching { to_ask: VecDeque<usize>, wanted: Vec<Wanted>, got: Vec<Option<Bytes>>, then: Then },
    Job(JobId),
}

impl Work {
    pub(super) fn open_sum(binding: ShareBinding, purpose: RoundPurpose, chunks: &[Digest]) -> Self {
        let place = |index| BlobId::round(BlobKind::SumChunk, binding.round, binding.attempt, None, index);
        let wanted = (0..).zip(chunks).map(|(index, digest)| Wanted::digest(place(index), *digest)).collect();
        Self::Fetch { wanted, then: Then::OpenSum { binding, purpose } }
    }

    /// Whether it is of no use once this round has no result.
    pub(super) fn is_of(&self, round: RoundId) -> bool {
        match self {
            Self::Ready(
                HospitalJob::Train { round: of }
                | HospitalJob::Count { round: of }
                | HospitalJob::Encrypt { round: of, .. },
            ) => *of == round,
            Self::Fetch { then: Then::OpenSum { binding, .. }, .. } => binding.round == round,
            _ => self.checks(round),
        }
    }

    /// Whether it adds up the sum of this round.
    fn checks(&self, round: RoundId) -> bool {
        let binding = match self {
            Self::Fetch { then: Then::Chunks { binding, .. } | Then::AddChunk { binding, .. }, .. }
            | Self::Ready(HospitalJob::AddChunk(Summands { binding, .. }))
            | Self::Chunks(ChunksLeft { binding, .. }) => binding,
            _ => return false,
        };
        binding.round == round
    }
}

impl Then {
    /// Whether nothing goes on without it: then it is asked for until it comes.
    fn is_waited_for(&self) -> bool {
        matches!(
            self,
            Self::AddShare { .. }
                | Self::ShareOf { .. }
                | Self::ProofOf { .. }
                | Self::CheckProof { .. }
                | Self::PlanesList(_)
                | Self::Planes(_)
                | Self::PlaneSeeds { .. }
                | Self::Sum { .. }
                | Self::Parts { .. }
                | Self::AddParts { .. }
                | Self::TakePart { .. }
                | Self::FeaturesList { .. }
                | Self::Features { .. }
                | Self::TaskLists { .. }
                | Self::Task { .. }
        )
    }

    /// Whether bodies that nothing was compared with one by one are what they must be together.
    fn fits(&self, bodies: &[Bytes]) -> bool {
        let Self::Evaluate { head, .. } = self else { return true };
        let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body)).collect();
        BodyRoot::of(&digests, bodies.iter().map(|body| body.len() as u64).sum()) == head.body
    }

    /// Whether more came than was announced.
    fn is_too_much(&self, got: &[Option<Bytes>]) -> bool {
        let most = match self {
            Self::Evaluate { head, .. } => head.body.size_bytes,
            Self::CheckProof { proof, .. } => proof.answers.size_bytes,
            Self::Planes(bound) => bound.root.size_bytes,
            // As the machine compared it with what was signed for: of all bodies of a list together.
            Self::Features { .. } | Self::Task { .. } => got.len() as u64 * REFRESH_BODY_BYTES_MAX,
            _ => return false,
        };
        got.iter().flatten().map(|body| body.len() as u64).sum::<u64>() > most
    }

    /// What comes next, with all bodies there.
    fn next(self, bodies: Vec<Bytes>) -> Work {
        let lists = |bodies: &[Bytes]| bodies.iter().filter_map(digests).collect::<Vec<_>>();
        let first = |bodies: Vec<Bytes>| bodies.into_iter().next().unwrap_or_default();
        Work::Ready(match self {
            Self::Parts { parts, makers, drawn, finish } => {
                let mut lists = lists(&bodies);
                let sum = lists.split_off(makers.len().min(lists.len())).pop().unwrap_or_default();
                return PartsLeft::all(parts, makers.into_iter().zip(lists).collect(), sum, drawn, finish);
            }
            Self::Chunks { binding, makers, chunks } => {
                let lists = makers.into_iter().zip(lists(&bodies)).collect();
                return Work::Chunks(ChunksLeft { binding, lists, chunks });
            }
            Self::AddChunk { binding, chunk, sum, is_last, makers } => {
                let of = makers.into_iter().zip(bodies).filter_map(|(list, body)| Some((list.kind, list.party?, body)));
                let (shares, updates): (Vec<_>, Vec<_>) = of.partition(|(kind, ..)| *kind == BlobKind::Share);
                let [updates, shares] =
                    [updates, shares].map(|all| all.into_iter().map(|(_, maker, body)| (maker, body)).collect());
                HospitalJob::AddChunk(Summands { binding, chunk, sum, is_last, updates, shares })
            }
            Self::AddParts { parts, index, makers } => {
                HospitalJob::AddParts { parts, index, bodies: makers.into_iter().zip(bodies).collect() }
            }
            Self::TakePart { parts, index, makers } => {
                HospitalJob::TakePart { parts, index, makers, body: first(bodies) }
            }
            Self::Evaluate { asker, head } => HospitalJob::Evaluate { asker, head, parts: bodies },
            Self::OpenDealings { roster, dealers } => {
                HospitalJob::OpenDealings { roster, boxes: dealers.into_iter().zip(bodies).collect() }
            }
            Self::AddShare { step, from } => HospitalJob::AddShare { step, from, share: first(bodies) },
            Self::ShareOf { step, from, own } => {
                let index = u32::from(own.number()) - 1;
                let digests = bodies.first().and_then(digests).unwrap_or_default();
                // The list has a body for every hospital: the machine compared its length.
                let digest = digests.get(index as usize).copied().unwrap_or_default();
                let id = step.body(Some(from), index);
                return Work::Fetch { wanted: vec![Wanted::digest(id, digest)], then: Then::AddShare { step, from } };
            }
            Self::ProofOf { proof } => {
                return Work::openings_of(proof, <[Bytes; 3]>::try_from(bodies).unwrap_or_default());
            }
            Self::CheckProof { proof, first, second } => {
                HospitalJob::CheckProof { set: proof.set, of: proof.party, first, second, answers: bodies }
            }
            Self::PlanesList(bound) => return bound.bodies(&first(bodies)),
            Self::Planes(bound) => bound.job(bodies),
            Self::PlaneSeeds { of } => HospitalJob::CheckPlanes { of, seeds: first(bodies) },
            Self::FeaturesList { of, groups, left } => return left.of(of, groups, &first(bodies)),
            Self::Features { of, group } => HospitalJob::Head(HeadJob::AddFeatures { of, group, bodies }),
            Self::TaskLists { task, lists } => return Work::task_bodies(task, lists, &bodies),
            Self::Task { task, counts } => task_job(task, counts, bodies),
            Self::Sum { step } => HospitalJob::TakeSum { step, sum: first(bodies) },
            Self::OpenSum { binding, purpose } => HospitalJob::OpenSum { binding, purpose, chunks: bodies },
            Self::Answer { ticket, binding, makers } => {
                HospitalJob::ReadAnswer { ticket, binding, boxes: makers.into_iter().zip(bodies).collect() }
            }
        })
    }
}

impl<S: Store, N: HospitalNet, C: Crypto<Job = HospitalJob>, K: Clock> HospitalDriver<S, N, C, K> {
    /// Begins the next work, and asks for the bodies that the one under way needs.
    pub(super) fn work_on(&mut self) {
        loop {
            match self.running.take() {
                None => match self.work.pop_front() {
                    None => return,
                    Some(Work::Ready(job)) if self.held.waits_for(&job) => self.hold(job),
                    Some(Work::Ready(job)) => self.start_job(job),
                    Some(Work::Parts(left)) => {
                        let (part, rest) = left.next();
                        self.work.push_front(rest);
                        self.work.push_front(part);
                    }
                    Some(Work::Chunks(left)) => {
                        if let Some((chunk, rest)) = left.next() {
                            rest.into_iter().for_each(|rest| self.work.push_front(rest));
                            self.work.push_front(chunk);
                        }
                    }
                    Some(Work::Features(left)) => {
                        let (next, rest) = left.next();
                        rest.into_iter().for_each(|rest| self.work.push_front(rest));
                        self.work.push_front(next);
                    }
                    Some(Work::Fetch { wanted, then }) => {
                        let (to_ask, got) = ((0..wanted.len()).collect(), vec![None; wanted.len()]);
                        self.running = Some(Running::Fetching { to_ask, wanted, got, then });
                    }
                },
                Some(Running::Fetching { wanted, got, then, .. }) if got.iter().all(Option::is_some) => {
                    drop(wanted);
                    let bodies: Vec<Bytes> = got.into_iter().flatten().collect();
                    if then.fits(&bodies) {
                        self.work.push_front(then.next(bodies));
                    } else {
                        self.cannot(then, Reject::BodyDiffers);
                    }
                }
                Some(Running::Fetching { mut to_ask, wanted, got, then }) => {
                    if self.clock.now_ms() >= self.fetch_at_ms {
                        let is_fetch = |purpose: &&Purpose| matches!(purpose, Purpose::Fetch { .. });
                        while self.calls.values().filter(is_fetch).count() < FETCHES_MAX
                            && let Some(place) = to_ask.pop_front()
                        {
                            self.call(Purpose::Fetch { place }, wanted[place].call());
                        }
                    }
                    self.running = Some(Running::Fetching { to_ask, wanted, got, then });
                    return;
                }
                Some(job @ Running::Job(_)) => {
                    self.running = Some(job);
                    return;
                }
            }
        }
    }

    fn start_job(&mut self, job: HospitalJob) {
        if let HospitalJob::ReadAnswer { binding, .. } = &job {
            // The answer is here: whoever asked hears from the job.
            self.pending.remove(&binding.query);
        }
        self.jobs_started += 1;
        let id = JobId(self.jobs_started);
        self.running = Some(Running::Job(id));
        self.crypto.start(id, job);
    }

    /// The answer to a fetch.
    pub(super) fn fetched(&mut self, place: usize, answer: Result<Answer, Reject>) {
        self.pieces += 1;
        let now_ms = self.clock.now_ms();
        let Some(Running::Fetching { to_ask, wanted, got, then }) = &mut self.running else { return };
        let Some(expected) = wanted.get(place) else { return };
        let reject = match answer {
            Ok(Answer::Body(body)) if expected.is(&body) => {
                got[place] = Some(body);
                if !then.is_too_much(got) {
                    return;
                }
                got[place] = None;
                Reject::BodyDiffers
            }
            Ok(_) => {
                self.notes.push(HospitalNote::Altered(expected.id));
                Reject::BodyDiffers
            }
            Err(Reject::Storage | Reject::Stopping | Reject::RetryAfter) => {
                to_ask.push_back(place);
                self.fetch_at_ms = now_ms.saturating_add(AGAIN_MS);
                return self.clock.wake_at(self.fetch_at_ms);
            }
            Err(reject) => {
                self.notes.push(HospitalNote::RefusedThere(reject));
                reject
            }
        };
        if then.is_waited_for() {
            // Without it the ceremony stands still, and people see for whom: it is asked for until it comes.
            to_ask.push_back(place);
            self.fetch_at_ms = now_ms.saturating_add(MENDED_MS);
            return self.clock.wake_at(self.fetch_at_ms);
        }
        if let Some(Running::Fetching { then, .. }) = self.running.take() {
            // Answers to the other fetches of this work find nothing that waits for them.
            self.calls.retain(|_, purpose| !matches!(purpose, Purpose::Fetch { .. }));
            self.cannot(then, reject);
        }
    }

    /// A body that the work needs is not to be had.
    fn cannot(&mut self, then: Then, reject: Reject) {
        match then {
            Then::OpenDealings { .. } => self.feed(HospitalInput::DealingsBad),
            Then::OpenSum { binding, .. } => {
                let (round, attempt) = (binding.round, binding.attempt);
                self.feed(HospitalInput::SumOpened { round, attempt, model: None });
            }
            // A sum that cannot be added up is not voted for.
            Then::Chunks { binding, .. } | Then::AddChunk { binding, .. } => {
                self.work.retain(|work| !work.checks(binding.round));
                let (round, attempt, reject) = (binding.round, binding.attempt, Reject::BodyDiffers);
                self.feed(HospitalInput::SumFalse { round, attempt, reject });
            }
            Then::Answer { binding, .. } => self.no_answer(binding.query, Some(reject)),
            Then::Evaluate { head, .. } => {
                self.feed(HospitalInput::EvaluationFailed { query: head.query, reject: Reject::BodyDiffers });
            }
            // Asked for until they come.
            Then::AddShare { .. }
            | Then::ShareOf { .. }
            | Then::ProofOf { .. }
            | Then::CheckProof { .. }
            | Then::PlanesList(_)
            | Then::Planes(_)
            | Then::PlaneSeeds { .. }
            | Then::Sum { .. }
            | Then::Parts { .. }
            | Then::AddParts { .. }
            | Then::TakePart { .. }
            | Then::FeaturesList { .. }
            | Then::Features { .. }
            | Then::TaskLists { .. }
            | Then::Task { .. } => {}
        }
    }

    /// A job ended.
    pub(super) fn job_done(&mut self, job: JobId, done: HospitalDone) {
        if !matches!(self.running, Some(Running::Job(running)) if running == job) {
            return;
        }
        self.running = None;
        self.pieces += 1;
        match done {
            HospitalDone::Nothing => self.notes.push(HospitalNote::Waiting),
            HospitalDone::Input(input) => {
                match &input {
                    HospitalInput::SumFalse { round, .. } => self.work.retain(|work| !work.checks(*round)),
                    HospitalInput::Untrainable { .. } => {
                        self.work.retain(|work| !matches!(work, Work::Features(_)));
                    }
                    _ => {}
                }
                self.feed(input);
            }
            HospitalDone::Asked(ask) => self.asked(ask),
            HospitalDone::QuestionRefused { query } => {
                self.pending.remove(&query);
                self.preparing = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
