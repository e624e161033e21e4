//! The hospital's driver: follows the log, carries out what [`HospitalMachine`] decides, uploads, fetches and asks.
//!
//! Three queues, each in order: *work* (one job at a time, each preceded by the bodies it needs), *outgoing* (messages
//! and bodies) and the log, which is polled all the time, also while work is under way.

mod effect;
mod held;
mod keys;
mod outgoing;
mod parts;
mod planes;
mod proofs;
mod query;
mod training;
mod wanted;
mod work;

pub use effect::{HeadJob, HospitalDone, HospitalEvent, HospitalJob, HospitalNote, Parts, QuestionStage, Summands};

use std::collections::{BTreeMap, VecDeque};

use crate::blob::{BlobId, BlobKind};
use crate::codec::Wire;
use crate::drive::{CallId, Clock, Crypto, HospitalNet, Outside, Store, StoreFault, Stream};
use crate::exchange::{Answer, Call};
use crate::facts::{Fact, HospitalFacts};
use crate::hospital::{HospitalConfig, HospitalInput, HospitalMachine, HospitalOutput, SwitchBinding};
use crate::ids::{Digest, PartyId, QueryId};
use crate::lease::Doing;
use crate::log::LogEntry;
use crate::message::RoundPurpose;
use crate::reject::Reject;
use crate::signature::SigningKey;

use held::Held;
use outgoing::Outgoing;
use query::Pending;
use training::FeaturesLeft;
use work::{Running, Work};

/// Work that may wait; beyond it the log is not read on, so what a coordinator can pile up here is bounded.
const WORK_WAITING_MAX: usize = 64;
/// The same for what waits to be sent: a coordinator that is heard and takes nothing fills no memory.
const OUTGOING_WAITING_MAX: usize = 64;
/// Wait before a call is repeated that the coordinator could not serve now.
const AGAIN_MS: u64 = 1_000;

/// What a call under way is for.
enum Purpose {
    Poll,
    Post,
    Put { id: BlobId, digest: Digest },
    Fetch { place: usize },
}

/// The driver.
pub struct HospitalDriver<S, N, C, K> {
    party: PartyId,
    machine: HospitalMachine,
    store: S,
    net: N,
    crypto: C,
    clock: K,
    calls: BTreeMap<CallId, Purpose>,
    calls_made: u64,
    jobs_started: u64,
    /// Pieces of work done: what the coordinator is told as progress.
    pieces: u64,
    /// Outputs of the machine that are not carried out yet, because the store could not.
    outputs: VecDeque<HospitalOutput>,
    work: VecDeque<Work>,
    running: Option<Running>,
    held: Held,
    outgoing: VecDeque<Outgoing>,
    /// Polls again at this time; `None` while a poll is under way.
    poll_at_ms: Option<u64>,
    /// Sends again at this time what could not be taken.
    send_at_ms: u64,
    fetch_at_ms: u64,
    published: Option<(Digest, Digest)>,
    /// Answers of which whoever watches was told.
    charged: u64,
    questions: VecDeque<u64>,
    preparing: Option<QueryId>,
    pending: BTreeMap<QueryId, Pending>,
    answer_within_ms: u64,
    notes: Vec<HospitalNote>,
    ended: bool,
}

impl<S: Store, N: HospitalNet, C: Crypto<Job = HospitalJob>, K: Clock> HospitalDriver<S, N, C, K> {
    /// Takes up where the stored facts leave off. `fresh` are 32 random bytes of this process.
    ///
    /// # Errors
    /// [`StoreFault`] where the facts cannot be read, or one of them is damaged.
    pub fn open(
        config: HospitalConfig,
        key: SigningKey,
        fresh: [u8; 32],
        answer_within_ms: u64,
        outside: Outside<S, N, C, K>,
    ) -> Result<Self, StoreFault> {
        let Outside { store, net, crypto, clock } = outside;
        let mut facts = Vec::new();
        for stream in [Stream::SealedFacts, Stream::Facts] {
            for record in store.read(stream)? {
                let fact = Fact::from_bytes(&record)
                    .map_err(|source| StoreFault::Failed { source: std::sync::Arc::new(source), is_full: false })?;
                facts.push(fact);
            }
        }
        let facts: HospitalFacts = facts.into_iter().collect();
        Ok(Self {
            party: config.party,
            machine: HospitalMachine::new(config, key, facts, fresh),
            store,
            net,
            crypto,
            clock,
            calls: BTreeMap::new(),
            calls_made: 0,
            jobs_started: 0,
            pieces: 0,
            outputs: VecDeque::new(),
            work: VecDeque::new(),
            running: None,
            held: Held::default(),
            outgoing: VecDeque::new(),
            poll_at_ms: Some(0),
            send_at_ms: 0,
            fetch_at_ms: 0,
            published: None,
            charged: 0,
            questions: VecDeque::new(),
            preparing: None,
            pending: BTreeMap::new(),
            answer_within_ms,
            notes: Vec::new(),
            ended: false,
        })
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &HospitalMachine {
        &self.machine
    }

    /// Where long work happens, to be told of a fault or asked how far it is.
    pub fn crypto(&self) -> &C {
        &self.crypto
    }

    /// What happened since the last call.
    pub fn take_notes(&mut self) -> Vec<HospitalNote> {
        std::mem::take(&mut self.notes)
    }

    /// Whether the participation ended: the driver does nothing any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Says hello and begins to follow the log.
    ///
    /// # Errors
    /// As [`HospitalDriver::on`].
    pub fn start(&mut self, doing: Doing) -> Result<(), StoreFault> {
        let outputs = self.machine.hello();
        self.outputs.extend(outputs);
        self.go(doing)
    }

    /// Takes one event. `doing` is what the computing threads do now, for the next poll.
    ///
    /// # Errors
    /// [`StoreFault::Failed`] where a fact could not be stored: nothing that depends on it was done, and the next event
    /// tries again. A full disk can be cured while the driver waits.
    pub fn on(&mut self, event: HospitalEvent, doing: Doing) -> Result<(), StoreFault> {
        if self.ended {
            return Ok(());
        }
        match event {
            HospitalEvent::Answered { call, answer } => self.answered(call, answer),
            HospitalEvent::Done { job, done } => self.job_done(job, done),
            HospitalEvent::Ask { ticket } => self.questions.push_back(ticket),
            HospitalEvent::Wake => {}
            HospitalEvent::Leave => self.feed(HospitalInput::Leave),
        }
        self.go(doing)
    }

    /// Carries everything out that can be carried out now.
    fn go(&mut self, doing: Doing) -> Result<(), StoreFault> {
        let answers = self.machine.answers();
        if answers != self.charged {
            self.charged = answers;
            self.notes.push(HospitalNote::Charged { by_asker: self.machine.answers_by_asker() });
        }
        while let Some(output) = self.outputs.pop_front() {
            if let HospitalOutput::Persist(fact) = &output {
                // First in line again where it fails: what follows depends on it.
                if let Err(fault) = self.persist(fact) {
                    self.outputs.push_front(output);
                    self.clock.wake_at(self.clock.now_ms().saturating_add(AGAIN_MS));
                    return Err(fault);
                }
                continue;
            }
            self.carry_out(output);
            if self.ended {
                return Ok(());
            }
        }
        self.ask_next();
        self.work_on();
        self.send_on();
        self.poll(doing);
        self.give_up_overdue();
        Ok(())
    }

    fn persist(&mut self, fact: &Fact) -> Result<(), StoreFault> {
        let stream = match fact {
            // Secret until it is revealed.
            Fact::Nonce(_) => Stream::SealedFacts,
            _ => Stream::Facts,
        };
        self.store.append(stream, &fact.to_bytes()).map(|_| ())
    }

    fn feed(&mut self, input: HospitalInput) {
        let outputs = self.machine.on(self.clock.now_ms(), input);
        self.outputs.extend(outputs);
    }

    fn carry_out(&mut self, output: HospitalOutput) {
        match output {
            HospitalOutput::Persist(_) | HospitalOutput::FetchLog { .. } => {}
            HospitalOutput::Send(message) => self.outgoing.push_back(Outgoing::Post(Box::new(message))),
            HospitalOutput::Upload { kind: BlobKind::Query, number, body, .. } => {
                self.upload_query(QueryId(number), body);
            }
            HospitalOutput::Upload { kind, number, attempt, body } => {
                let first = BlobId {
                    kind,
                    round: number,
                    attempt,
                    party: Some(self.party),
                    index: u32::from(kind == BlobKind::Dealing),
                };
                self.outgoing.push_back(Outgoing::upload(first, body, None));
            }
            HospitalOutput::Refuse { reject, .. } => self.notes.push(HospitalNote::Refused(reject)),
            HospitalOutput::DealKeys { epoch_seed } => {
                if let Some(roster) = self.machine.roster().cloned() {
                    self.work.push_back(Work::Ready(HospitalJob::DealKeys { roster, epoch_seed }));
                }
            }
            HospitalOutput::OpenDealings { boxes } => {
                if let Some(roster) = self.machine.roster().cloned() {
                    self.work.push_back(Work::open_dealings(roster, self.party, &boxes));
                }
            }
            HospitalOutput::EpochOpened { epoch_seed } => {
                self.work.push_back(Work::Ready(HospitalJob::RestoreKeys { epoch_seed }));
            }
            HospitalOutput::CheckDealings { factors } => self.begin(HospitalJob::CheckDealings { factors }),
            HospitalOutput::MakeServingShare { step } => self.begin(HospitalJob::ServingShare { step }),
            HospitalOutput::AddShares { step, shares, sum, drawn } => {
                self.work.extend(Work::add_shares(self.party, step, shares, sum, drawn));
            }
            HospitalOutput::CheckProofs { step, proofs, sum } => {
                self.work.extend(Work::check_proofs(step, proofs, sum))
            }
            HospitalOutput::CheckPlanes { planes, sum } => self.work.extend(Work::check_planes(&planes, sum)),
            HospitalOutput::FetchSum { step, sum } => self.work.push_back(Work::sum(step, sum)),
            HospitalOutput::Train { round, purpose, .. } => self.begin(match purpose {
                RoundPurpose::Train => HospitalJob::Train { round },
                RoundPurpose::Figures => HospitalJob::Count { round },
                RoundPurpose::Moments => HospitalJob::Head(HeadJob::SumMoments { round }),
            }),
            HospitalOutput::Encrypt { round, attempt } => self.begin(HospitalJob::Encrypt { round, attempt }),
            HospitalOutput::ReleaseShares(binding) => self.begin(HospitalJob::ReleaseShares(binding)),
            HospitalOutput::CheckSum { binding, updates, shares, chunks } => {
                self.work.push_back(Work::check_sum(binding, &updates, &shares, chunks));
            }
            HospitalOutput::OpenSum { binding, purpose, chunks } => {
                self.work.push_back(Work::open_sum(binding, purpose, &chunks));
            }
            HospitalOutput::AdoptModel { round, model } => {
                // The round is closed, without this site's update.
                self.let_go(|job| matches!(job, HospitalJob::Train { .. }));
                self.work.push_back(Work::Ready(HospitalJob::Adopt { round, model }));
            }
            HospitalOutput::KeepFigures { round, figures } => {
                self.work.push_back(Work::Ready(HospitalJob::KeepFigures { round, figures }));
            }
            HospitalOutput::EncryptPublish { attempt, cohort, .. } => {
                self.work.push_back(Work::Ready(HospitalJob::EncryptPublish { attempt, cohort }));
            }
            HospitalOutput::ModelReady { model, program } => {
                self.let_go(|_| true);
                self.published = Some((model, program));
                self.work.push_back(Work::Ready(HospitalJob::LoadModel));
                self.notes.push(HospitalNote::ModelReady { model });
            }
            HospitalOutput::CheckModel { attempt, contributions, model, drawn } => {
                self.work.push_back(Work::check_model(attempt, &contributions, model, drawn));
            }
            HospitalOutput::EncryptFeatures => self.begin(HospitalJob::Head(HeadJob::EncryptFeatures)),
            HospitalOutput::PrepareTraining { uploads, rows } => self.work.push_back(FeaturesLeft::all(uploads, rows)),
            HospitalOutput::TrainHead(task) => self.work.push_back(Work::train_head(task)),
            HospitalOutput::Evaluate { asker, head } => self.work.push_back(Work::evaluate(asker, head)),
            HospitalOutput::ReleaseSwitch(binding) => self.release_to(binding),
            HospitalOutput::OpenAnswer { binding, boxes } => self.open_answer(binding, &boxes),
            HospitalOutput::AnswerEvaluated { query } => self.question_is(query, QuestionStage::Evaluated),
            HospitalOutput::AnswerFailed { query, reject } => self.no_answer(query, Some(reject)),
            HospitalOutput::Stop { reason } => {
                self.ended = true;
                self.flush_posts();
                self.notes.push(HospitalNote::Ended(reason));
            }
            HospitalOutput::DropRound { round, .. } => {
                self.work.retain(|work| !work.is_of(round));
                self.let_go(|job| matches!(job, HospitalJob::Train { round: of } if *of == round));
                self.notes.push(HospitalNote::Waiting);
            }
            HospitalOutput::DropAttempt { .. } | HospitalOutput::ServingKeysComplete => {
                self.notes.push(HospitalNote::Waiting);
            }
        }
    }

    /// Work that needs nothing from outside.
    fn begin(&mut self, job: HospitalJob) {
        self.work.push_back(Work::Ready(job));
    }

    /// Makes a share of an answer, to be sealed to the asker's key in the signed roster.
    fn release_to(&mut self, binding: SwitchBinding) {
        let asker = self.machine.roster().and_then(|roster| roster.member(binding.asker));
        match asker.map(|member| Box::new(member.sealing.clone())) {
            Some(asker) => self.work.push_back(Work::Ready(HospitalJob::ReleaseSwitch { binding, asker })),
            None => {
                let (query, reject) = (binding.query, Reject::UnknownParty);
                self.feed(HospitalInput::SwitchRefused { query, reject });
            }
        }
    }

    /// What the coordinator is told: work that waits for a processor, work under way, or nothing.
    fn doing(&self, crypto: Doing) -> Doing {
        match crypto {
            Doing::Queued { .. } | Doing::Waits { .. } => crypto,
            Doing::Working { done, of } => Doing::Working { done: done.saturating_add(self.pieces), of },
            Doing::Idle if self.running.is_none() && self.outgoing.is_empty() => {
                self.held.doing().unwrap_or(Doing::Idle)
            }
            Doing::Idle => Doing::Working { done: self.pieces, of: 0 },
        }
    }

    fn poll(&mut self, doing: Doing) {
        let now_ms = self.clock.now_ms();
        if self.poll_at_ms.is_none_or(|at| now_ms < at) {
            return;
        }
        self.poll_at_ms = None;
        let call = Call::Poll { next: self.machine.next_entry(), doing: self.doing(doing) };
        self.call(Purpose::Poll, call);
    }

    fn call(&mut self, purpose: Purpose, call: Call) {
        self.calls_made += 1;
        let id = CallId(self.calls_made);
        self.calls.insert(id, purpose);
        self.net.call(id, call);
    }

    fn answered(&mut self, call: CallId, answer: Result<Answer, Reject>) {
        match self.calls.remove(&call) {
            Some(Purpose::Poll) => self.polled(answer),
            Some(Purpose::Post) => self.posted(answer),
            Some(Purpose::Put { id, digest }) => self.stored(id, digest, answer),
            Some(Purpose::Fetch { place }) => self.fetched(place, answer),
            // An answer to a call of work that was dropped.
            None => {}
        }
    }

    fn polled(&mut self, answer: Result<Answer, Reject>) {
        let now_ms = self.clock.now_ms();
        let read = match answer {
            Ok(Answer::Entries(entries)) => entries.iter().map(|entry| LogEntry::from_bytes(entry)).collect(),
            Ok(_) => Ok(Vec::new()),
            Err(reject) => {
                self.notes.push(HospitalNote::RefusedThere(reject));
                return self.poll_later(now_ms);
            }
        };
        let Ok(entries): Result<Vec<LogEntry>, _> = read else {
            // Not our version's bytes, or garbage: asked for again, since only a signed fork ends a participation.
            self.notes.push(HospitalNote::Refused(Reject::WrongVersion));
            return self.poll_later(now_ms);
        };
        if self.work.len() >= WORK_WAITING_MAX || self.outgoing.len() >= OUTGOING_WAITING_MAX {
            return self.poll_later(now_ms);
        }
        self.poll_at_ms = Some(now_ms);
        for entry in entries {
            self.notes.push(HospitalNote::Shown(Box::new(entry.clone())));
            self.feed(HospitalInput::Entry(entry));
        }
    }

    fn poll_later(&mut self, now_ms: u64) {
        let at = now_ms.saturating_add(AGAIN_MS);
        self.poll_at_ms = Some(at);
        self.clock.wake_at(at);
    }
}

#[cfg(test)]
mod tests;
