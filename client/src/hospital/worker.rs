//! The hospital's computing thread: does one job after the other, in a slot, and says how far it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as queue};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::PooledFigures;
use ndarray::Array3;
use protocol::Reject;
use protocol::blob::BodyRoot;
use protocol::drive::hospital::{HeadJob, HospitalDone, HospitalEvent, HospitalJob, Summands};
use protocol::drive::{Crypto, JobId};
use protocol::hospital::{HospitalInput, ShareBinding, SwitchBinding};
use protocol::ids::{PartyId, QueryId, RoundId};
use protocol::lease::Doing;
use protocol::message::{Key, KeySet, KeyStep, QueryHead};
use protocol::sealed::OpeningKey;
use tokio::sync::{mpsc, oneshot};

use super::error::HospitalError;
use super::input::Input;
use super::observer::{Activity, Observer, Timed};
use super::query::{Answered, Envelope, QuestionStep};
use super::site::Site;
use super::slots::Slots;
use crate::policy;

/// How far the computing is, for the coordinator's patience and for nobody else.
#[derive(Default)]
pub(super) struct Progress {
    /// Pieces done since the process started.
    pieces: AtomicU64,
    of: AtomicU64,
    /// Jobs before this one in the queue for a slot; 0 where it does not wait.
    ahead: AtomicU64,
    busy: AtomicU64,
}

impl Progress {
    pub(super) fn doing(&self) -> Doing {
        let ahead = self.ahead.load(Ordering::Relaxed);
        match (self.busy.load(Ordering::Relaxed), ahead) {
            (0, _) => Doing::Idle,
            (_, 0) => {
                let (done, of) = (self.pieces.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed));
                Doing::Working { done, of }
            }
            (_, ahead) => Doing::Queued { ahead },
        }
    }

    fn moved(&self, of: u64) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
    }
}

/// An observer that counts what it passes on: every word of a computation is progress.
pub(super) struct Counted {
    pub(super) inner: Arc<dyn Observer>,
    pub(super) progress: Arc<Progress>,
}

impl Observer for Counted {
    fn activity(&self, party: PartyId, activity: Activity) {
        let of = match activity {
            Activity::Keys { of, .. }
            | Activity::Verifying { of, .. }
            | Activity::Encrypting { of, .. }
            | Activity::Sharing { of, .. } => of as u64,
            _ => 0,
        };
        self.progress.moved(of);
        self.inner.activity(party, activity);
    }
    fn timed(&self, party: PartyId, round: RoundId, step: Timed, took: Duration) {
        self.progress.moved(0);
        self.inner.timed(party, round, step, took);
    }
    fn switched(&self, party: PartyId, query: QueryId, took: Duration) {
        self.inner.switched(party, query, took);
    }
    fn trained(&self, party: PartyId, round: RoundId, loss: f64, samples: usize) {
        self.inner.trained(party, round, loss, samples);
    }
    fn figures(&self, party: PartyId, figures: &PooledFigures) {
        self.inner.figures(party, figures);
    }
    fn held_back(&self, party: PartyId, until_s: Option<u64>) {
        self.inner.held_back(party, until_s);
    }
    fn evaluated(&self, party: PartyId, query: QueryId, fetched_bytes: u64) {
        self.inner.evaluated(party, query, fetched_bytes);
    }
    fn refused(&self, party: PartyId, reason: &str) {
        self.inner.refused(party, reason);
    }
}

/// A question of this site's own people, from its ticket to its answer.
pub(super) struct Ticket {
    pub(super) images: Vec<Array3<f32>>,
    pub(super) reply: oneshot::Sender<Result<Answered, HospitalError>>,
    pub(super) steps: Option<mpsc::Sender<QuestionStep>>,
    pub(super) started: Instant,
    pub(super) encrypt: Duration,
    pub(super) query_bytes: u64,
}

/// All questions under way.
#[derive(Clone, Default)]
pub(super) struct Tickets(Arc<Mutex<BTreeMap<u64, Ticket>>>);

impl Tickets {
    pub(super) fn insert(&self, number: u64, ticket: Ticket) {
        self.all().insert(number, ticket);
    }
    /// Answers a question; whoever asked may have gone, and the answer is then forgotten.
    pub(super) fn reply(&self, number: u64, answer: Result<Answered, HospitalError>) {
        if let Some(ticket) = self.all().remove(&number) {
            let _ = ticket.reply.send(answer);
        }
    }
    /// Tells whoever asked how far the question is; a listener that does not keep up misses it.
    pub(super) fn tell(&self, number: u64, step: QuestionStep) {
        if let Some(steps) = self.all().get(&number).and_then(|ticket| ticket.steps.as_ref()) {
            let _ = steps.try_send(step);
        }
    }
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue in front of the computing thread.
pub(super) struct Worker {
    jobs: queue::Sender<(JobId, HospitalJob)>,
}

impl Crypto for Worker {
    type Job = HospitalJob;
    fn start(&mut self, id: JobId, job: HospitalJob) {
        // A thread that ended has said why; the driver hears of that.
        let _ = self.jobs.send((id, job));
    }
}

/// What the computing thread works with.
pub(super) struct Bench {
    pub(super) site: Site,
    pub(super) opening: OpeningKey,
    pub(super) slots: Slots,
    pub(super) progress: Arc<Progress>,
    pub(super) tickets: Tickets,
    /// Published models that may be asked; any if empty.
    pub(super) models: Vec<String>,
}

/// Says that the computing thread has died, where it does: nobody else would ever hear of it.
struct Watch(mpsc::Sender<Input>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.blocking_send(Input::Failed(HospitalError::Abandoned));
        }
    }
}

/// What the machine hears of a serving-key share: the share, or why there is none, where that is for others to hear.
fn share_made(
    step: KeyStep,
    own: PartyId,
    made: Result<BodyRoot, HospitalError>,
) -> Result<HospitalInput, HospitalError> {
    match made {
        Ok(body) => Ok(HospitalInput::ServingShareMade { step, body }),
        Err(HospitalError::MasksOverflow) => {
            Ok(HospitalInput::SumWrong { step, of: Some(own), reject: Reject::MasksOverflow })
        }
        Err(error) => Err(error),
    }
}

/// The same of its proof.
fn proof_judged(set: KeySet, of: PartyId, refused: Option<Reject>) -> HospitalDone {
    KeyStep::of(set, Key::RelinAnswers).map_or(HospitalDone::Nothing, |step| share_judged(step, of, refused))
}

/// What the machine hears of another hospital's share that was looked at: nothing, unless it is refused.
fn share_judged(step: KeyStep, of: PartyId, refused: Option<Reject>) -> HospitalDone {
    match refused {
        None => HospitalDone::Nothing,
        Some(reject) => HospitalDone::Input(HospitalInput::SumWrong { step, of: Some(of), reject }),
    }
}

impl Bench {
    /// Begins to work on a thread of its own, until the driver is gone; `working` is dropped when it has ended.
    pub(super) fn start(mut self, inputs: mpsc::Sender<Input>, working: oneshot::Sender<()>) -> Worker {
        let (jobs, waiting) = queue::channel::<(JobId, HospitalJob)>();
        std::thread::spawn(move || {
            let (_working, _watch) = (working, Watch(inputs.clone()));
            while let Ok((id, job)) = waiting.recv() {
                self.progress.busy.store(1, Ordering::Relaxed);
                let slot = self.slots.take(|ahead| self.progress.ahead.store(ahead, Ordering::Relaxed));
                self.progress.ahead.store(0, Ordering::Relaxed);
                self.progress.moved(0);
                let input = match self.job(job) {
                    Ok(done) => Input::Event(HospitalEvent::Done { job: id, done }),
                    Err(error) => Input::Failed(error),
                };
                drop(slot);
                self.progress.busy.store(0, Ordering::Relaxed);
                if inputs.blocking_send(input).is_err() {
                    return;
                }
            }
        });
        Worker { jobs }
    }

    /// Does one job.
    ///
    /// # Errors
    /// [`HospitalError`] where this site cannot go on at all.
    fn job(&mut self, job: HospitalJob) -> Result<HospitalDone, HospitalError> {
        let input = match job {
            HospitalJob::DealKeys { roster, epoch_seed } => {
                let (boxes, size_bytes) = self.site.deal_keys(&roster, epoch_seed)?;
                HospitalInput::Dealt { boxes, size_bytes }
            }
            HospitalJob::OpenDealings { roster, boxes } => {
                match self.site.open_dealings(&roster, &self.opening, &boxes)? {
                    Some(group) => HospitalInput::DealingsOpened { group },
                    None => HospitalInput::DealingsBad,
                }
            }
            HospitalJob::CheckDealings { factors } => self.site.check_dealings(factors)?,
            HospitalJob::RestoreKeys { epoch_seed } => {
                self.site.restore_keys(epoch_seed)?;
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::ServingShare { step } => {
                self.site.observer.activity(self.site.plan.party, Activity::Keys { done: 0, of: 1 });
                share_made(step, self.site.plan.party, self.site.serving_share(step))?
            }
            HospitalJob::AddShare { step, from, share } => {
                return Ok(share_judged(step, from, self.site.add_share(step, from, &share)?));
            }
            HospitalJob::AddPlanes { from, key, coin, digests } => {
                let planes = self.site.add_planes(from, [&key, &coin, &digests]);
                return planes.map(|refused| share_judged(KeyStep::Planes, from, refused));
            }
            HospitalJob::CheckPlanes { of, seeds } => {
                let opened = self.site.check_planes(of, &seeds);
                return opened.map(|refused| share_judged(KeyStep::PlaneOpenings, of, refused));
            }
            HospitalJob::CheckProof { set, of, first, second, answers } => {
                let judged = self.site.check_proof((set, of), [&first, &second], &answers)?;
                return Ok(proof_judged(set, of, judged));
            }
            HospitalJob::AddParts { parts, index, bodies } => {
                return self.site.add_parts(parts, index, &bodies).map(|()| HospitalDone::Nothing);
            }
            HospitalJob::TakePart { parts, index, makers, body } => {
                return self.site.take_part(parts, index, &makers, &body).map(|()| HospitalDone::Nothing);
            }
            HospitalJob::FinishModel { attempt, model } => match self.site.finish_model(attempt, model)? {
                None => HospitalInput::ModelAdded { attempt },
                Some(reject) => HospitalInput::ModelWrong { attempt, reject },
            },
            HospitalJob::LoadModel => {
                self.site.preload();
                return Ok(HospitalDone::Nothing);
            }
            HospitalJob::Evaluate { asker, head, parts } => self.evaluated(asker, &head, &parts)?,
            HospitalJob::FinishSum { step, sum } => match self.site.finish_sum(step, sum)? {
                None => HospitalInput::SumAdded { step, sum },
                Some(reject) => HospitalInput::SumWrong { step, of: None, reject },
            },
            HospitalJob::TakeSum { step, sum } => {
                return self.site.take_sum(step, &sum).map(|()| HospitalDone::Nothing);
            }
            HospitalJob::Train { round } => match self.site.train(round) {
                Ok(()) => HospitalInput::Trained { round },
                Err(error) => self.failed(round, error)?,
            },
            HospitalJob::Count { round } => match self.site.count(round) {
                Ok(true) => HospitalInput::Trained { round },
                Ok(false) => HospitalInput::FiguresWithheld { round },
                Err(error) => self.failed(round, error)?,
            },
            HospitalJob::Encrypt { round, attempt } => {
                HospitalInput::Encrypted { round, attempt, body: self.site.encrypt(round, attempt)? }
            }
            HospitalJob::ReleaseShares(binding) => self.shared(&binding)?,
            HospitalJob::AddChunk(summands) => return self.chunk_added(&summands),
            HospitalJob::OpenSum { binding, purpose, chunks } => {
                let model = self.site.open_sum(&binding, purpose, &chunks)?;
                HospitalInput::SumOpened { round: binding.round, attempt: binding.attempt, model }
            }
            HospitalJob::Adopt { round, model } => {
                return self.site.adopt(round, model).map(|()| HospitalDone::Nothing);
            }
            HospitalJob::KeepFigures { round, figures } => {
                return self.site.keep_figures(round, figures).map(|()| HospitalDone::Nothing);
            }
            HospitalJob::EncryptPublish { attempt, cohort } => {
                HospitalInput::PublishEncrypted { attempt, body: self.site.encrypt_contribution(attempt, cohort)? }
            }
            HospitalJob::Head(job) => return self.head(job),
            HospitalJob::PrepareQuery { ticket, query, model, program } => {
                return Ok(self.prepare(ticket, query, model, program));
            }
            HospitalJob::ReleaseSwitch { binding, asker } => {
                let (started, made) = (Instant::now(), self.site.release_switch(&binding, &asker));
                self.released(binding.query, made, started)?
            }
            HospitalJob::ReadAnswer { ticket, binding, boxes } => {
                self.read(ticket, &binding, &boxes);
                return Ok(HospitalDone::Nothing);
            }
        };
        Ok(HospitalDone::Input(input))
    }

    fn head(&mut self, job: HeadJob) -> Result<HospitalDone, HospitalError> {
        Ok(HospitalDone::Input(match job {
            HeadJob::SumMoments { round } => match self.site.sum_moments(round) {
                Ok(()) => HospitalInput::Trained { round },
                Err(error) => self.failed(round, error)?,
            },
            HeadJob::EncryptFeatures => self.site.encrypt_features()?,
            HeadJob::AddFeatures { of, group, bodies } => match self.site.add_features(of, group, &bodies)? {
                None => return Ok(HospitalDone::Nothing),
                Some(reject) => HospitalInput::Untrainable { reject },
            },
            HeadJob::Prepare { groups, rows } => self.site.prepare_training(&groups, rows)?,
            HeadJob::Do { task, bodies } => self.site.do_task(task, &bodies)?,
        }))
    }

    fn shared(&mut self, binding: &ShareBinding) -> Result<HospitalInput, HospitalError> {
        let (round, attempt) = (binding.round, binding.attempt);
        Ok(match self.site.release_shares(binding) {
            Ok(body) => HospitalInput::SharesMade { round, attempt, body },
            Err(error) => HospitalInput::ReleaseRefused { round, attempt, reject: self.unreleased(error)? },
        })
    }

    fn chunk_added(&self, summands: &Summands) -> Result<HospitalDone, HospitalError> {
        let (round, attempt) = (summands.binding.round, summands.binding.attempt);
        Ok(match self.site.add_chunk(summands)? {
            None if summands.is_last => HospitalDone::Input(HospitalInput::SumChecked { round, attempt }),
            None => HospitalDone::Nothing,
            Some(reject) => HospitalDone::Input(HospitalInput::SumFalse { round, attempt, reject }),
        })
    }

    fn evaluated(&mut self, asker: PartyId, head: &QueryHead, parts: &[Bytes]) -> Result<HospitalInput, HospitalError> {
        let query = head.query;
        Ok(match self.site.evaluate(asker, head, parts) {
            Ok(result) => HospitalInput::Evaluated { query, result },
            Err(error) => HospitalInput::EvaluationFailed { query, reject: self.unreleased(error)? },
        })
    }

    fn released(
        &self,
        query: QueryId,
        made: Result<BodyRoot, HospitalError>,
        started: Instant,
    ) -> Result<HospitalInput, HospitalError> {
        Ok(match made {
            Ok(body) => {
                self.site.observer.switched(self.site.plan.party, query, started.elapsed());
                HospitalInput::SwitchMade { query, body }
            }
            Err(error) => HospitalInput::SwitchRefused { query, reject: self.unreleased(error)? },
        })
    }

    /// Why a share was not released, where that is for others to hear.
    fn unreleased(&self, error: HospitalError) -> Result<Reject, HospitalError> {
        let Some(reject) = error.unreleased() else { return Err(error) };
        self.site.observer.refused(self.site.plan.party, &error.to_string());
        Ok(reject)
    }

    /// What the others hear of training or counting that failed; the site goes on where it can.
    fn failed(&self, round: RoundId, error: HospitalError) -> Result<HospitalInput, HospitalError> {
        let text = error.to_string();
        let heard = error.heard(round)?;
        self.site.observer.refused(self.site.plan.party, &text);
        Ok(heard)
    }

    fn prepare(
        &mut self,
        ticket: u64,
        query: QueryId,
        model: protocol::Digest,
        program: protocol::Digest,
    ) -> HospitalDone {
        let Some(images) = self.tickets.all().get(&ticket).map(|ticket| ticket.images.clone()) else {
            return HospitalDone::QuestionRefused { query };
        };
        if !policy::may_ask(&self.models, model) {
            // Before anything is encrypted: the site's rules win over whatever is published.
            self.tickets.reply(ticket, Err(HospitalError::MayNotAsk { model }));
            return HospitalDone::QuestionRefused { query };
        }
        let started = Instant::now();
        self.tickets.tell(ticket, QuestionStep::Encrypting);
        match self.site.prepare_query(query, &images) {
            Ok(prepared) => {
                if let Some(ticket) = self.tickets.all().get_mut(&ticket) {
                    ticket.encrypt = started.elapsed();
                    ticket.query_bytes = prepared.query_bytes;
                }
                let envelope = Envelope {
                    query: query.to_string(),
                    bytes: prepared.query_bytes,
                    digest: prepared.body.root.to_string(),
                    sample: prepared.sample,
                };
                self.tickets.tell(ticket, QuestionStep::Encrypted(envelope));
                HospitalDone::Asked(HospitalInput::Ask { query, program, model, body: prepared.body })
            }
            Err(error) => {
                self.tickets.reply(ticket, Err(error));
                HospitalDone::QuestionRefused { query }
            }
        }
    }

    fn read(&mut self, number: u64, binding: &SwitchBinding, boxes: &[(PartyId, Bytes)]) {
        let arrived = Instant::now();
        let Some(ticket) = self.tickets.all().remove(&number) else { return };
        let logits = self.site.read_answer(&self.opening, binding, boxes, ticket.images.len());
        let answered = logits.map(|logits| Answered {
            query: binding.query,
            logits,
            latency: ticket.started.elapsed(),
            encrypt: ticket.encrypt,
            decrypt: arrived.elapsed(),
            query_bytes: ticket.query_bytes,
            reply_bytes: boxes.iter().map(|(_, sealed)| sealed.len() as u64).sum(),
        });
        // Whoever asked may have gone; the answer is then forgotten.
        let _ = ticket.reply.send(answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_that_hide_nothing_are_said_to_all_and_other_faults_are_this_sites() {
        let (step, own) = (KeyStep::RelinAnswers, PartyId::new(2).unwrap());
        let body = BodyRoot::default();
        let made = share_made(step, own, Ok(body));
        assert!(matches!(made, Ok(HospitalInput::ServingShareMade { body: found, .. }) if found == body));
        let said = share_made(step, own, Err(HospitalError::MasksOverflow));
        assert!(matches!(
            said,
            Ok(HospitalInput::SumWrong { of: Some(of), reject: Reject::MasksOverflow, .. }) if of == own
        ));
        let fault = share_made(step, own, Err(HospitalError::Abandoned));
        assert!(matches!(fault, Err(HospitalError::Abandoned)));
    }

    #[test]
    fn a_computing_thread_that_dies_is_heard_of_and_one_that_ends_is_not() {
        let (sender, mut inputs) = mpsc::channel(1);
        let of_end = sender.clone();
        std::thread::spawn(move || drop(Watch(of_end))).join().unwrap();
        assert!(inputs.try_recv().is_err());
        let dying = std::thread::spawn(move || {
            let _watch = Watch(sender);
            panic!("a fault of the device's driver");
        });
        assert!(dying.join().is_err());
        assert!(matches!(inputs.try_recv(), Ok(Input::Failed(HospitalError::Abandoned))));
    }
}
