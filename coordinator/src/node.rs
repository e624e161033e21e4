//! The coordinator's process: one thread for the driver, threads for arithmetic, a handler for calls.
//!
//! What is decided and in which order it is carried out is the driver's (`protocol::drive::coordinator`); this file
//! brings it together with a disk, processors, a clock and whatever brings the calls.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use he_agg::aggregation::LaneLayout;
use he_infer::Program;
use he_train::encrypted::HeadPlan;
use protocol::campaign::OrderKind;
use protocol::codec::Wire;
use protocol::drive::coordinator::{CoordinatorConfig, CoordinatorDriver, CoordinatorEvent, CoordinatorNote};
use protocol::drive::{Alarm, Outside, StoreFault};
use protocol::ids::{Digest, PartyId};
use protocol::log::LogEntry;
use protocol::net::Handler;
use protocol::party_set::PartySet;
use protocol::roster::Roster;
use protocol::signature::SigningKey;
use protocol::store::Journal;
use protocol::terms::Terms;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::arithmetic::{Arithmetic, Workshop};
use crate::awaited::{Awaited, Waited};
use crate::bodies::Bodies;
use crate::compute::Compute;
use crate::desk::{Desk, READING_MAX, Waiting};
use crate::disk::Disk;
use crate::error::CoordinatorError;
use crate::flow::{Flow, MemberFlow};
use crate::history::History;
use crate::lending::Lending;
use crate::logged::Logged;
use crate::observer::{Observer, Step};
use crate::serving_engine::QUERIES_TOGETHER_MAX;
use crate::times::{Times, now_ms};

/// Events that may wait for the driver; further calls wait in their connections, which are bounded themselves.
const INPUTS_WAITING_MAX: usize = 1_024;
/// Notes that may wait for whoever watches; the driver then waits as well.
const NOTES_WAITING_MAX: usize = 1_024;
/// Longest time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);
/// How long hospitals may read the last entry.
const FAREWELL: Duration = Duration::from_millis(400);

/// How long a refusal of the disk is shown; hospitals repeat what was refused within it.
const REFUSED_SHOWN: Duration = Duration::from_secs(10);

/// What happens to the process.
pub(crate) enum Input {
    Event(CoordinatorEvent),
    /// An order, and who hears that it is stored; where it is not, nothing is said.
    Order(CoordinatorEvent, oneshot::Sender<()>),
    /// It ends at once, as by a power cut.
    Kill,
}

/// What the coordinator has to know. Nothing in it is secret, and no data.
pub struct CoordinatorPlan {
    /// Members, threshold, keys.
    pub roster: Roster,
    /// What the members approved.
    pub terms: Terms,
    /// Where integers lie inside a ciphertext of an update.
    pub layout: LaneLayout,
    /// The network as operations over ciphertexts; its preset is the serving preset.
    pub program: Arc<Program>,
    /// The head that is trained on ciphertexts, if there is one; `program` is then what serves it.
    pub head: Option<Arc<HeadPlan>>,
}

/// Everything with which a coordinator starts.
pub struct CoordinatorSetup<'a> {
    /// Its folder; everything in it may be shown to a stranger.
    pub folder: &'a Path,
    /// Signs log entries.
    pub key: SigningKey,
    /// What it knows of the plan.
    pub plan: CoordinatorPlan,
    /// Where its arithmetic happens.
    pub compute: Compute,
    /// Hears its steps.
    pub observer: Arc<dyn Observer>,
}

/// How the campaign stands, for whoever looks.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The step under way, in words.
    pub step: String,
    /// Who is awaited in this step.
    pub awaited: Vec<Awaited>,
    /// Hospitals whose lease runs.
    pub live: PartySet,
    /// Whether queries are taken.
    pub is_serving: bool,
    /// Answers released in this key epoch.
    pub releases: u64,
    /// Questions that were taken and are not answered yet.
    pub pending: usize,
    /// Rounds that closed with a model.
    pub closed: u32,
    /// Why nothing goes on by itself, if so.
    pub paused: Option<String>,
    /// Digest of the published model.
    pub published: Option<Digest>,
    /// What the disk refused within the last seconds: whoever sends it repeats it.
    pub disk: Option<String>,
}

/// A running coordinator.
pub struct Coordinator {
    inputs: mpsc::Sender<Input>,
    notes: mpsc::Receiver<CoordinatorNote>,
    handler: Arc<Desk>,
    status: watch::Receiver<Status>,
    past: Past,
    driving: tokio::task::JoinHandle<Result<(), CoordinatorError>>,
}

impl Coordinator {
    /// Opens the folder and goes on where its log leaves off; a fresh one begins with the ceremony. Calls come through
    /// [`Coordinator::handler`].
    ///
    /// # Errors
    /// [`CoordinatorError`] where the folder cannot be used, is damaged, or belongs to other hospitals or another key
    /// epoch.
    pub fn start(setup: CoordinatorSetup<'_>) -> Result<Self, CoordinatorError> {
        let CoordinatorSetup { folder, key, plan, compute, observer } = setup;
        let observer: Arc<dyn Observer> = Arc::new(Logged(observer));
        let io = |source| CoordinatorError::Io { action: "create", path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let journal = Arc::new(Journal::open(&folder.join("journal.sqlite"))?);
        let bodies = Arc::new(Bodies::open(&folder.join("spool"), Arc::clone(&journal))?);
        let CoordinatorPlan { roster, terms, layout, program, head } = plan;
        let (sender, inputs) = mpsc::channel(INPUTS_WAITING_MAX);
        let (waiting, flow) = (Waiting::default(), Arc::new(Flow::new(roster.parties().iter())));
        let times = Times::load(&journal)?;
        let handler = Arc::new(Desk {
            roster: roster.clone(),
            waiting: waiting.clone(),
            bodies: Arc::clone(&bodies),
            lending: Lending::new(roster.parties().iter()),
            reading: Arc::new(Semaphore::new(READING_MAX)),
            flow: Arc::clone(&flow),
            inputs: sender.clone(),
        });
        let workshop = Workshop {
            roster: roster.clone(),
            layout,
            program,
            head,
            bodies: Arc::clone(&bodies),
            compute,
            observer: Arc::clone(&observer),
            engine: Arc::default(),
            training: Arc::default(),
            full: Arc::default(),
        };
        let full = Arc::clone(&workshop.full);
        let runtime = Handle::current();
        let alarm = Alarm::default();
        let outside = Outside {
            store: Disk { journal: Arc::clone(&journal), bodies },
            net: waiting,
            crypto: Arithmetic { workshop, runtime: runtime.clone(), inputs: sender.clone() },
            clock: alarm.clone(),
        };
        let batch_max = rayon::current_num_threads().max(QUERIES_TOGETHER_MAX);
        let config = CoordinatorConfig { roster, terms, key, batch_max };
        let driver = CoordinatorDriver::open(config, outside)
            .map_err(|source| CoordinatorError::Resume { folder: folder.to_path_buf(), source })?;
        let (telling, notes) = mpsc::channel(NOTES_WAITING_MAX);
        let (showing, status) = watch::channel(Status::default());
        let past = Past { history: Arc::default(), flow };
        let notebook = Notebook { journal, times, known: driver.entries().len(), learned: 0, past: past.clone() };
        let process = Process {
            driver,
            notebook,
            inputs,
            alarm,
            observer,
            notes: telling,
            status: showing,
            full,
            refused: None,
            waited: Waited::default(),
        };
        let folder = folder.to_path_buf();
        let driving = tokio::task::spawn_blocking(move || {
            process.drive(&runtime).map_err(|source| CoordinatorError::Resume { folder, source })
        });
        Ok(Self { inputs: sender, notes, handler, status, past, driving })
    }

    /// Answers hospitals' calls.
    pub fn handler(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.handler) as Arc<dyn Handler>
    }

    /// What is under way now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Orders and looks from elsewhere, for as long as the process lives.
    pub fn remote(&self) -> Remote {
        Remote { inputs: self.inputs.clone(), status: self.status.clone(), past: self.past.clone() }
    }

    /// The next thing worth telling; `None` when all is over.
    pub async fn next(&mut self) -> Option<CoordinatorNote> {
        self.notes.recv().await
    }

    /// The status once queries are taken.
    pub async fn serving(&self) -> Status {
        let mut status = self.status.clone();
        // A process that ended leaves its last status.
        match status.wait_for(|status| status.is_serving).await {
            Ok(status) => status.clone(),
            Err(_) => self.status(),
        }
    }

    /// Tells the hospitals that the participation ends.
    ///
    /// # Errors
    /// [`Unstored`].
    pub async fn end(&self, reason: &str) -> Result<(), Unstored> {
        self.remote().end(reason).await
    }

    /// Ends the process at once, as a power cut would; what it had stored is there for the next one.
    pub async fn kill(&self) {
        let _ = self.inputs.send(Input::Kill).await;
    }

    /// Waits until the driver has ended.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the stored phase was damaged, or the thread died.
    pub async fn ended(mut self) -> Result<(), CoordinatorError> {
        // Notes that nobody reads any more must not hold it up.
        while self.notes.recv().await.is_some() {}
        self.driving.await.map_err(|_| CoordinatorError::Abandoned)?
    }
}

/// An order that is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order is not stored: the coordinator's disk refused it, or its process has ended")]
pub struct Unstored;

/// Gives orders to a coordinator and looks at it, without owning it.
#[derive(Clone)]
pub struct Remote {
    inputs: mpsc::Sender<Input>,
    status: watch::Receiver<Status>,
    past: Past,
}

/// What has been so far, for looking at.
#[derive(Clone)]
struct Past {
    history: Arc<Mutex<History>>,
    flow: Arc<Flow>,
}

impl Remote {
    /// What is under way now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// What has been so far.
    pub fn history(&self) -> History {
        // A panic elsewhere leaves a history that lacks an entry at most.
        self.past.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What went to each member and came from it since this process began.
    pub fn flow(&self) -> Vec<MemberFlow> {
        self.past.flow.each()
    }

    /// Orders something.
    ///
    /// # Errors
    /// [`Unstored`].
    pub async fn order(&self, kind: OrderKind) -> Result<(), Unstored> {
        self.stored(CoordinatorEvent::Order(kind)).await
    }

    async fn stored(&self, event: CoordinatorEvent) -> Result<(), Unstored> {
        let (stored, is_stored) = oneshot::channel();
        self.inputs.send(Input::Order(event, stored)).await.map_err(|_| Unstored)?;
        is_stored.await.map_err(|_| Unstored)
    }

    /// Goes on without a member whose calls are refused from now on.
    pub async fn put_out(&self, party: PartyId) {
        // A process that ended waits for nobody.
        let _ = self.inputs.send(Input::Event(CoordinatorEvent::PutOut(party))).await;
    }

    /// Tells the hospitals that the participation ends.
    ///
    /// # Errors
    /// [`Unstored`].
    pub async fn end(&self, reason: &str) -> Result<(), Unstored> {
        self.stored(CoordinatorEvent::End { reason: reason.to_owned() }).await
    }
}

/// What the driver's thread owns.
struct Process {
    driver: CoordinatorDriver<Disk, Waiting, Arithmetic, Alarm>,
    notebook: Notebook,
    inputs: mpsc::Receiver<Input>,
    alarm: Alarm,
    observer: Arc<dyn Observer>,
    notes: mpsc::Sender<CoordinatorNote>,
    status: watch::Sender<Status>,
    /// What the disk said when it had no room for the result of a job.
    full: Arc<OnceLock<StoreFault>>,
    refused: Option<(Instant, String)>,
    waited: Waited,
}

impl Process {
    fn drive(mut self, runtime: &Handle) -> Result<(), protocol::drive::coordinator::ResumeError> {
        self.driver.start()?;
        loop {
            self.tell();
            if self.driver.has_stopped() {
                break;
            }
            // A tick comes only when nothing else waits: what was received before it has been handled.
            let wait = self.alarm.left().min(LOOK);
            let input = match self.inputs.try_recv() {
                Ok(input) => Ok(Some(input)),
                Err(_) => runtime.block_on(async { tokio::time::timeout(wait, self.inputs.recv()).await }),
            };
            match input {
                Ok(Some(Input::Event(event))) => self.driver.on(event),
                Ok(Some(Input::Order(event, stored))) => {
                    self.driver.on(event);
                    if self.driver.is_settled() {
                        // Whoever ordered may be gone.
                        let _ = stored.send(());
                    }
                }
                Ok(Some(Input::Kill) | None) => return Ok(()),
                Err(_) => self.driver.on(CoordinatorEvent::Wake),
            }
            // Whatever was taken is stored: the next process goes on there, once there is room.
            if let Some(fault) = self.driver.is_full().or(self.full.get()).cloned() {
                self.tell();
                return Err(fault.into());
            }
        }
        // Hospitals read the last entry; replies under way have the server's own time.
        let until = tokio::time::Instant::now() + FAREWELL;
        while let Ok(Some(input)) = runtime.block_on(async { tokio::time::timeout_at(until, self.inputs.recv()).await })
        {
            match input {
                Input::Event(event) => self.driver.on(event),
                // Nothing is ordered any more.
                Input::Order(..) => {}
                Input::Kill => break,
            }
        }
        Ok(())
    }

    fn tell(&mut self) {
        self.notebook.read(self.driver.entries());
        let notes = self.driver.take_notes();
        for note in &notes {
            if let CoordinatorNote::StoreFault(what) = note {
                self.refused = Some((Instant::now(), what.clone()));
            }
        }
        self.refused.take_if(|(at, _)| at.elapsed() > REFUSED_SHOWN);
        let (step, awaited) = self.driver.awaited();
        let (releases, campaign) = (self.driver.releases(), self.driver.campaign());
        let status = Status {
            awaited: self.waited.look(&step, awaited, Instant::now()),
            step,
            live: self.driver.live(),
            is_serving: releases.is_some(),
            releases: releases.unwrap_or(0),
            pending: self.driver.pending(),
            closed: campaign.closed(),
            paused: campaign.paused().map(ToString::to_string),
            published: campaign.published().map(|model| model.digest),
            disk: self.refused.as_ref().map(|(_, what)| what.clone()),
        };
        self.status.send_replace(status);
        for note in notes {
            if let Some(step) = step_of(&note) {
                self.observer.step(step);
            }
            // Nobody may be watching.
            let _ = self.notes.blocking_send(note);
        }
    }
}

/// Follows the log for whoever looks, and notes when its entries were made.
struct Notebook {
    journal: Arc<Journal>,
    times: Times,
    /// Entries that an earlier process made: only it knew when.
    known: usize,
    learned: usize,
    past: Past,
}

impl Notebook {
    fn read(&mut self, entries: &[bytes::Bytes]) {
        let new = entries.get(self.learned..).unwrap_or_default();
        if new.is_empty() {
            return;
        }
        let mut history = self.past.history.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, bytes) in (self.learned..).zip(new) {
            // The driver wrote or checked it.
            let Ok(entry) = LogEntry::from_bytes(bytes) else { continue };
            if place < self.known {
                history.learn(&entry, self.times.of(entry.index), None);
                continue;
            }
            let now_ms = now_ms();
            if History::is_dated(&entry.message)
                && let Err(error) = self.times.note(&self.journal, entry.index, now_ms)
            {
                tracing::warn!(%error, "when this was cannot be noted");
            }
            history.learn(&entry, Some(now_ms), Some(self.past.flow.total()));
        }
        self.learned = entries.len();
    }
}

fn step_of(note: &CoordinatorNote) -> Option<Step> {
    use protocol::campaign::PhaseEnd;
    use protocol::round::RoundEnd;
    Some(match note {
        CoordinatorNote::AddingKeys(step) => Step::KeyStep { step: *step },
        CoordinatorNote::Lapsed(party) => Step::Lost(*party),
        CoordinatorNote::Returned(party) => Step::Returned(*party),
        CoordinatorNote::Abandoned { round, attempt, lost } => {
            Step::Abandoned { round: *round, attempt: *attempt, lost: *lost }
        }
        CoordinatorNote::Ended(PhaseEnd::Round(round, _, RoundEnd::Void { reason, .. })) => {
            Step::Void { round: *round, reason: *reason }
        }
        CoordinatorNote::StoreFault(what) => Step::Failed { what: what.clone() },
        _ => return None,
    })
}
