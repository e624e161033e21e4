//! The hospital's process: feeds the protocol's machine, carries its outputs out in order, and answers questions.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use datasets::Samples;
use protocol::Reject;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::codec::Wire;
use protocol::facts::{CeremonyNonce, Fact, HospitalFacts};
use protocol::hospital::{HospitalConfig, HospitalInput, HospitalMachine, HospitalOutput};
use protocol::ids::{Digest, QueryId};
use protocol::limits::QUERIES_QUEUED_PER_ASKER_MAX;
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, KeyStep, LogMessage, SignedMessage};
use protocol::net::{Dialer, NetError, Rejection};
use protocol::sealed::OpeningKey;
use protocol::signature::SigningKey;
use tokio::sync::mpsc;

use super::error::HospitalError;
use super::fault::{Fault, Moment};
use super::inquiry::Pending;
use super::link::Link;
use super::observer::{Activity, Observer, Witness};
use super::plan::HospitalPlan;
use super::query::{Asker, Question, WAITING_MAX};
use super::site::Site;
use crate::vault::Vault;

/// Log entries that wait while the hospital computes; the poller then stops asking for more.
const ENTRIES_WAITING_MAX: usize = 256;
const FACTS: &str = "facts";

/// How a hospital's participation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalEnd {
    /// The coordinator said so, with one sentence.
    Finished(String),
    /// It was lost on purpose.
    Lost,
}

/// Everything with which a hospital's process starts.
pub struct HospitalSetup<'a> {
    /// Its private folder.
    pub root: &'a Path,
    /// Its unlocked vault.
    pub vault: Vault,
    /// The approved plan.
    pub plan: HospitalPlan,
    /// Its training data; `None` to serve a model that was published before.
    pub data: Option<Samples>,
    /// Its line to the coordinator.
    pub dialer: Dialer,
    /// SHA-256 of its own TLS certificate.
    pub certificate: Digest,
    /// Signs its messages.
    pub signing: SigningKey,
    /// Opens boxes sealed for it.
    pub opening: OpeningKey,
    /// Hears what it does.
    pub observer: Arc<dyn Observer>,
    /// Only in simulations.
    pub witness: Option<Arc<dyn Witness>>,
    /// Only in simulations.
    pub fault: Option<Fault>,
}

/// One hospital.
pub struct Hospital {
    pub(super) site: Site,
    pub(super) machine: HospitalMachine,
    pub(super) link: Link,
    opening: OpeningKey,
    fault: Option<Fault>,
    questions: mpsc::Receiver<Question>,
    pub(super) published: Option<(Digest, Digest)>,
    pub(super) pending: BTreeMap<QueryId, Pending>,
    clock: Instant,
}

enum Flow {
    Go(Vec<HospitalInput>),
    End(HospitalEnd),
}

impl Hospital {
    /// Opens the hospital's folder. The second value asks its questions.
    ///
    /// # Errors
    /// [`HospitalError`] where folder, vault or settings cannot be used; [`HospitalError::NothingPublished`] without
    /// data where this hospital was not there when the model was published.
    pub fn open(setup: HospitalSetup<'_>) -> Result<(Self, Asker), HospitalError> {
        let HospitalSetup { root, vault, plan, data, dialer, certificate, signing, opening, .. } = setup;
        let shape = plan.program.network().image();
        let serves_only = data.is_none();
        let data = data.unwrap_or_else(|| Samples::empty(shape.channels, shape.height, shape.width));
        let site = Site::open(root, vault, plan, data, setup.observer, setup.witness)?;
        let plan = &site.plan;
        let program = Digest(plan.program.digest());
        let config = HospitalConfig {
            party: plan.party,
            epoch: plan.epoch,
            coordinator: plan.coordinator,
            sealing: opening.sealing_key().clone(),
            certificate,
            parameters: plan.parameters,
            plan: plan.plan,
            program,
            serving_plan: program,
            initial_model: site.initial_digest(),
            min_cohort: plan.min_cohort,
            attempts_max: plan.attempts_max,
            tau_aggregation: plan.layout.flooding().releases(),
            tau_serving: plan.serving_flooding.releases(),
            queries_per_asker_max: plan.queries_per_asker_max,
        };
        let facts = stored_facts(&site)?;
        if serves_only && !facts.has_published() {
            return Err(HospitalError::NothingPublished { party: site.plan.party });
        }
        let machine = HospitalMachine::new(config, signing, facts, fresh_nonce()?);
        let (sender, questions) = mpsc::channel(WAITING_MAX);
        let hospital = Self {
            site,
            machine,
            link: Link::new(dialer),
            opening,
            fault: setup.fault,
            questions,
            published: None,
            pending: BTreeMap::new(),
            clock: Instant::now(),
        };
        Ok((hospital, Asker { questions: sender }))
    }

    /// Takes part until the coordinator ends the run.
    ///
    /// # Errors
    /// [`HospitalError`] where this hospital cannot go on; its folder lets it return.
    pub async fn run(mut self) -> Result<HospitalEnd, HospitalError> {
        let (sender, mut entries) = mpsc::channel(ENTRIES_WAITING_MAX);
        let poller = tokio::spawn(poll(self.link.clone(), self.machine.next_entry(), sender));
        let end = self.follow(&mut entries).await;
        poller.abort();
        self.site.observer.activity(self.site.plan.party, Activity::Gone);
        end
    }

    async fn follow(
        &mut self,
        entries: &mut mpsc::Receiver<Result<LogEntry, HospitalError>>,
    ) -> Result<HospitalEnd, HospitalError> {
        let mut queue = VecDeque::from(self.machine.hello());
        loop {
            while let Some(output) = queue.pop_front() {
                match self.perform(output).await? {
                    Flow::Go(inputs) => inputs.into_iter().for_each(|input| queue.extend(self.take(input))),
                    Flow::End(end) => return Ok(end),
                }
            }
            let may_ask = self.published.is_some() && self.pending.len() < QUERIES_QUEUED_PER_ASKER_MAX;
            let within = self.site.plan.answer_within;
            let oldest = self.pending.values().map(|pending| pending.started).min();
            tokio::select! {
                () = until(oldest.and_then(|since| since.checked_add(within))) => self.give_up(within),
                entry = entries.recv() => {
                    let Some(entry) = entry else {
                        return Err(HospitalError::Stopped { reason: "the line to the coordinator ended".to_owned() });
                    };
                    let entry = entry?;
                    if self.is_lost_at(&entry) {
                        return Ok(HospitalEnd::Lost);
                    }
                    queue.extend(self.take(HospitalInput::Entry(entry)));
                }
                Some(question) = self.questions.recv(), if may_ask => {
                    let input = self.ask(question).await?;
                    queue.extend(input.into_iter().flat_map(|input| self.take(input)));
                }
            }
        }
    }

    fn take(&mut self, input: HospitalInput) -> Vec<HospitalOutput> {
        let now_ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.machine.on(now_ms, input)
    }

    async fn perform(&mut self, output: HospitalOutput) -> Result<Flow, HospitalError> {
        let party = self.site.plan.party;
        let inputs = match output {
            HospitalOutput::Persist(fact) => {
                persist(&self.site, &fact)?;
                Vec::new()
            }
            HospitalOutput::Send(message) => {
                self.send(message).await?;
                Vec::new()
            }
            HospitalOutput::Upload { kind, number, attempt, body } => {
                let lost = self
                    .fault
                    .is_some_and(|fault| fault.moment == Moment::BeforeUpload && u64::from(fault.round.0) == number);
                if kind == BlobKind::UpdateChunk && lost {
                    return Ok(Flow::End(HospitalEnd::Lost));
                }
                match kind {
                    BlobKind::Query => self.upload_query(QueryId(number), body).await?,
                    _ => self.upload(kind, number, attempt, body).await?,
                }
                Vec::new()
            }
            HospitalOutput::Refuse { reject, .. } => {
                self.site.observer.refused(party, &reject.to_string());
                Vec::new()
            }
            HospitalOutput::DealKeys { epoch_seed } => {
                let roster = self.roster("dealing keys")?;
                let (boxes, size_bytes) = compute(|| self.site.deal_keys(&roster, epoch_seed))?;
                vec![HospitalInput::Dealt { boxes, size_bytes }]
            }
            HospitalOutput::OpenDealings { boxes } => {
                let roster = self.roster("opening dealings")?;
                let mut sealed = Vec::new();
                for (dealer, digest) in boxes {
                    let id = BlobId::ceremony(BlobKind::Dealing, Some(dealer), u32::from(party.number()));
                    sealed.push((dealer, self.fetch(id, digest).await?));
                }
                match compute(|| self.site.open_dealings(&roster, &self.opening, &sealed))? {
                    Some(group) => vec![HospitalInput::DealingsOpened { group }],
                    None => vec![HospitalInput::DealingsBad],
                }
            }
            HospitalOutput::EpochOpened { epoch_seed } => {
                compute(|| self.site.restore_keys(epoch_seed))?;
                Vec::new()
            }
            HospitalOutput::MakeServingShare { step, input } => {
                self.site.observer.activity(party, Activity::Keys { done: 0, of: 1 });
                let sums = match input {
                    Some(root) => {
                        Some(self.fetch_single(BlobId::ceremony(BlobKind::RelinRoundOne, None, 0), root).await?)
                    }
                    None => None,
                };
                let body = compute(|| self.site.serving_share(step, sums))?;
                vec![HospitalInput::ServingShareMade { step, body }]
            }
            HospitalOutput::ServingKeyReady { step: KeyStep::PublicKey, body } => {
                let key = self.fetch_single(BlobId::ceremony(BlobKind::PublicKey, None, 0), body).await?;
                compute(|| self.site.take_public_key(&key))?;
                Vec::new()
            }
            HospitalOutput::Train { round, .. } => match compute(|| self.site.train(round)) {
                Ok(()) => vec![HospitalInput::Trained { round }],
                Err(error @ (HospitalError::Train { .. } | HospitalError::Crypto { .. })) => {
                    self.site.observer.refused(party, &error.to_string());
                    vec![HospitalInput::TrainingFailed { round }]
                }
                Err(error) => return Err(error),
            },
            HospitalOutput::Encrypt { round, attempt } => {
                let body = compute(|| self.site.encrypt(round, attempt))?;
                vec![HospitalInput::Encrypted { round, attempt, body }]
            }
            HospitalOutput::ReleaseShares(binding) => {
                let (round, attempt) = (binding.round, binding.attempt);
                match compute(|| self.site.release_shares(&binding)) {
                    Ok(body) => vec![HospitalInput::SharesMade { round, attempt, body }],
                    Err(error) => {
                        self.site.observer.refused(party, &error.to_string());
                        vec![HospitalInput::ReleaseRefused { round, attempt, reject: Reject::AlreadyReleased }]
                    }
                }
            }
            HospitalOutput::OpenSum { binding, chunks } => {
                let mut bodies = Vec::new();
                for (chunk, digest) in (0u32..).zip(chunks) {
                    let id = BlobId::round(BlobKind::SumChunk, binding.round, binding.attempt, None, chunk);
                    bodies.push(self.fetch(id, digest).await?);
                }
                let model = compute(|| self.site.open_sum(&binding, &bodies))?;
                vec![HospitalInput::SumOpened { round: binding.round, attempt: binding.attempt, model }]
            }
            HospitalOutput::AdoptModel { round, model } => {
                compute(|| self.site.adopt(round, model))?;
                self.site.observer.activity(party, Activity::Waiting);
                Vec::new()
            }
            HospitalOutput::EncryptPublish { attempt, cohort, .. } => {
                let body = compute(|| self.site.encrypt_contribution(attempt, cohort))?;
                vec![HospitalInput::PublishEncrypted { attempt, body }]
            }
            HospitalOutput::ModelReady { model, program } => {
                self.published = Some((model, program));
                Vec::new()
            }
            HospitalOutput::ReleaseSwitch(binding) => vec![self.release_switch(&binding).await?],
            HospitalOutput::OpenAnswer { query, answer } => {
                let id = BlobId::query(BlobKind::Answer, query, None, 0);
                let bytes = self.fetch_single(id, answer).await?;
                self.answered(query, &bytes);
                Vec::new()
            }
            HospitalOutput::AnswerFailed { query, reject } => {
                self.no_answer(query, HospitalError::NoAnswer { reject });
                Vec::new()
            }
            HospitalOutput::Stop { reason } => return Ok(Flow::End(HospitalEnd::Finished(reason))),
            HospitalOutput::DropRound { .. }
            | HospitalOutput::DropAttempt { .. }
            | HospitalOutput::ServingKeyReady { .. }
            | HospitalOutput::ServingKeysComplete => {
                self.site.observer.activity(party, Activity::Waiting);
                Vec::new()
            }
            // The poller always asks for the next entry.
            HospitalOutput::FetchLog { .. } => Vec::new(),
        };
        Ok(Flow::Go(inputs))
    }

    async fn send(&mut self, message: SignedMessage) -> Result<(), HospitalError> {
        let party = self.site.plan.party;
        let query = match &message.body {
            HospitalMessage::QueryHead(head) => Some(head.query),
            _ => None,
        };
        match self.link.post(message).await {
            Err(HospitalError::Net(NetError::Rejected { rejection, .. })) => {
                tracing::info!(%party, ?rejection, "the coordinator refused a message");
                if let Some(query) = query {
                    let reject = refusal(&rejection);
                    self.no_answer(query, HospitalError::NoAnswer { reject });
                }
                // Any other refused message is the coordinator's business; the log says how it goes on.
                Ok(())
            }
            other => other,
        }
    }

    pub(super) async fn upload(
        &mut self,
        kind: BlobKind,
        number: u64,
        attempt: u32,
        body: BodyRoot,
    ) -> Result<(), HospitalError> {
        let party = self.site.plan.party;
        let first = u32::from(kind == BlobKind::Dealing);
        let mut sent = 0;
        for index in first..first + body.count {
            let id = BlobId { kind, round: number, attempt, party: Some(party), index };
            let bytes = self.site.outbox.get(&id)?;
            let length = bytes.len() as u64;
            self.link.put(id, bytes).await?;
            self.site.outbox.delivered(&id);
            sent += length;
            self.site.observer.activity(party, Activity::Uploading { bytes: sent, of: body.size_bytes });
        }
        self.site.observer.activity(party, Activity::Waiting);
        Ok(())
    }

    pub(super) async fn fetch(&self, id: BlobId, digest: Digest) -> Result<Bytes, HospitalError> {
        let body = self.link.get(id).await?;
        if Digest::of_bytes(&body) == digest { Ok(body) } else { Err(HospitalError::BodyDiffers { id }) }
    }

    pub(super) async fn fetch_single(&self, id: BlobId, root: BodyRoot) -> Result<Bytes, HospitalError> {
        let body = self.link.get(id).await?;
        let found = BodyRoot::of(&[Digest::of_bytes(&body)], body.len() as u64);
        if found == root { Ok(body) } else { Err(HospitalError::BodyDiffers { id }) }
    }

    fn roster(&self, step: &'static str) -> Result<protocol::roster::Roster, HospitalError> {
        self.machine.roster().cloned().ok_or(HospitalError::NoKeys { step })
    }

    fn is_lost_at(&self, entry: &LogEntry) -> bool {
        let Some(fault) = self.fault else { return false };
        match &entry.message {
            LogMessage::Manifest(manifest) => fault.moment == Moment::AfterUpload && manifest.round == fault.round,
            LogMessage::ShareRequest(request) => fault.moment == Moment::BeforeShare && request.round == fault.round,
            _ => false,
        }
    }
}

/// What a refusal on the wire says; one without a number of ours means that the peer is busy or confused.
fn refusal(rejection: &Rejection) -> Reject {
    match rejection {
        Rejection::Refused(code) => Reject::from_code(*code).unwrap_or(Reject::RetryAfter),
        _ => Reject::RetryAfter,
    }
}

/// Waits until `due`; for ever where there is nothing to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Runs long arithmetic without holding up the runtime's other tasks.
pub(super) fn compute<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

async fn poll(link: Link, mut next: u64, sender: mpsc::Sender<Result<LogEntry, HospitalError>>) {
    loop {
        match link.poll(next).await {
            Ok(entries) => {
                for entry in entries {
                    next = entry.index + 1;
                    if sender.send(Ok(entry)).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                // Whoever follows the log decides what the end of the line means; if nobody does, there is nothing to
                // tell.
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
    }
}

fn persist(site: &Site, fact: &Fact) -> Result<(), HospitalError> {
    match fact {
        // Secret until it is revealed.
        Fact::Nonce(nonce) => Ok(site.vault.put(&site.record("nonce"), &nonce.bytes)?),
        other => {
            site.journal.append(&site.record(FACTS), &other.to_bytes()).map(|_| ()).map_err(HospitalError::Journal)
        }
    }
}

fn stored_facts(site: &Site) -> Result<HospitalFacts, HospitalError> {
    let mut facts = Vec::new();
    let nonce = site.record("nonce");
    if site.vault.contains(&nonce) {
        let nonce = site.vault.get(&nonce)?;
        let bytes = <[u8; 32]>::try_from(nonce.as_slice()).ok();
        facts.extend(bytes.map(|bytes| Fact::Nonce(CeremonyNonce { bytes })));
    }
    for bytes in site.journal.read(&site.record(FACTS), 0, u32::MAX)? {
        facts.push(Fact::from_bytes(&bytes).map_err(HospitalError::Answer)?);
    }
    Ok(facts.into_iter().collect())
}

fn fresh_nonce() -> Result<[u8; 32], HospitalError> {
    let mut stream = he_agg::Stream::from_os()
        .map_err(|source| HospitalError::Crypto { step: "drawing a nonce", source: Box::new(source) })?;
    Ok(stream.seed())
}
