//! The hospital's process: one thread for the driver, one that computes, and tasks for its calls.
//!
//! What is decided and in which order it is carried out is the driver's (`protocol::drive::hospital`); this file brings
//! it together with a network, a disk, processors and a clock.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datasets::Samples;
use experiment::Hours;
use protocol::drive::hospital::{HospitalDriver, HospitalEvent, HospitalNote, QuestionStage};
use protocol::drive::{Alarm, Outside};
use protocol::enrolment::seconds;
use protocol::hospital::HospitalConfig;
use protocol::ids::Digest;
use protocol::reject::Reject;
use protocol::sealed::OpeningKey;
use protocol::signature::SigningKey;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::error::HospitalError;
use super::images::SiteImages;
use super::input::Input;
use super::line::Line;
use super::logged::Logged;
use super::observer::{Activity, Observer};
use super::plan::HospitalPlan;
use super::query::{Asker, QuestionStep, WAITING_MAX};
use super::site::Site;
use super::site_store::SiteStore;
use super::slots::Slots;
use super::transport::Transport;
use super::worker::{Bench, Counted, Progress, Tickets, Worker};
use crate::vault::Vault;

/// Events that may wait for the driver; calls and computations beyond wait to be heard.
const INPUTS_WAITING_MAX: usize = 256;
/// Longest time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// How a hospital's participation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalEnd {
    /// The coordinator said so, with one sentence.
    Finished(String),
    /// Its process was ended from outside.
    Killed,
}

/// Everything with which a hospital's process starts.
pub struct HospitalSetup<'a> {
    /// Its private folder.
    pub root: &'a Path,
    /// Its unlocked vault.
    pub vault: Arc<Vault>,
    /// The approved plan.
    pub plan: HospitalPlan,
    /// Its training data; `None` to serve a model that was published before.
    pub data: Option<SiteImages>,
    /// Its way to the coordinator.
    pub transport: Arc<dyn Transport>,
    /// SHA-256 of its own TLS public key, as the roster states it.
    pub tls_key: Digest,
    /// Signs its messages.
    pub signing: SigningKey,
    /// Opens boxes sealed for it.
    pub opening: OpeningKey,
    /// Where it may compute.
    pub slots: Slots,
    /// When training may begin; at any time if absent.
    pub hours: Option<Hours>,
    /// Digests of published models that its people may ask; any if empty.
    pub models: Vec<String>,
    /// Hears what it does.
    pub observer: Arc<dyn Observer>,
}

/// One hospital, ready to run.
pub struct Hospital {
    bench: Bench,
    store: SiteStore,
    config: HospitalConfig,
    signing: SigningKey,
    transport: Arc<dyn Transport>,
    observer: Arc<dyn Observer>,
    hours: Option<Hours>,
    answer_within: Duration,
    sender: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
}

/// Ends a hospital's process from outside, as a power cut would.
#[derive(Clone)]
pub struct Killer(mpsc::Sender<Input>);

impl Killer {
    /// Has it tell the others that it leaves, and end then.
    pub fn leave(&self) {
        // A process that ended has left.
        let _ = self.0.try_send(Input::Event(HospitalEvent::Leave));
    }

    /// One that only a test hears: what it was told last, a word at a time.
    #[cfg(test)]
    pub(crate) fn heard() -> (Self, impl FnMut() -> Option<&'static str>) {
        let (sender, mut inputs) = mpsc::channel(8);
        let word = move || match inputs.try_recv().ok()? {
            Input::Event(HospitalEvent::Leave) => Some("leave"),
            Input::Kill => Some("kill"),
            _ => Some("something else"),
        };
        (Self(sender), word)
    }

    /// Ends it; nothing that it was about to do is done.
    pub fn kill(&self) {
        let sender = self.0.clone();
        // Not waited for: a process that ended already needs no word.
        let _ = sender.try_send(Input::Kill);
    }
}

impl Hospital {
    /// Opens the hospital's folder. The second value asks its questions.
    ///
    /// # Errors
    /// [`HospitalError`] where folder, vault or settings cannot be used; [`HospitalError::NothingPublished`] without
    /// data where this hospital was not there when the model was published.
    pub fn open(setup: HospitalSetup<'_>) -> Result<(Self, Asker), HospitalError> {
        let HospitalSetup { root, vault, plan, data, transport, tls_key, signing, opening, slots, .. } = setup;
        let HospitalSetup { hours, models, observer, .. } = setup;
        let observer: Arc<dyn Observer> = Arc::new(Logged(observer));
        let shape = plan.program.network().image();
        let serves_only = data.is_none();
        let none = || Samples::empty(shape.channels, shape.height, shape.width);
        let data = data.unwrap_or_else(|| SiteImages::to_train_on(none()));
        let progress = Arc::new(Progress::default());
        let counted = Arc::new(Counted { inner: Arc::clone(&observer), progress: Arc::clone(&progress) });
        let site = Site::open(root, vault, plan, data, counted)?;
        let plan = &site.plan;
        let config = HospitalConfig {
            party: plan.party,
            epoch: plan.epoch,
            coordinator: plan.coordinator,
            membership: plan.membership,
            sealing: opening.sealing_key().clone(),
            tls_key,
            terms: plan.terms.clone(),
            earlier: plan.earlier.clone(),
        };
        if serves_only && !site.has_published()? {
            return Err(HospitalError::NothingPublished { party: plan.party });
        }
        let answer_within = plan.answer_within;
        let store = site.store();
        let (sender, inputs) = mpsc::channel(INPUTS_WAITING_MAX);
        let asker = Asker { inputs: sender.clone(), waiting: Arc::new(Semaphore::new(WAITING_MAX)) };
        let bench = Bench { site, opening, slots, progress, tickets: Tickets::default(), models };
        let hospital =
            Self { bench, store, config, signing, transport, observer, hours, answer_within, sender, inputs };
        Ok((hospital, asker))
    }

    /// Ends this hospital's process from outside.
    pub fn killer(&self) -> Killer {
        Killer(self.sender.clone())
    }

    /// Takes part until the coordinator ends the run.
    ///
    /// # Errors
    /// [`HospitalError`] where this hospital cannot go on; its folder lets it return.
    pub async fn run(self) -> Result<HospitalEnd, HospitalError> {
        let runtime = Handle::current();
        let (party, observer) = (self.config.party, Arc::clone(&self.observer));
        let (working, ended) = oneshot::channel();
        let driving = tokio::task::spawn_blocking(move || self.drive(&runtime, working));
        let end = outlived(driving, ended).await.map_err(|_| HospitalError::Abandoned)?;
        observer.activity(party, Activity::Gone);
        end
    }

    fn drive(self, runtime: &Handle, working: oneshot::Sender<()>) -> Result<HospitalEnd, HospitalError> {
        let Self { bench, store, config, signing, transport, observer, hours, answer_within, sender, mut inputs } =
            self;
        let (party, progress, tickets) = (config.party, Arc::clone(&bench.progress), bench.tickets.clone());
        let alarm = Alarm::default();
        let outside = Outside {
            store,
            net: Line { epoch: config.epoch, runtime: runtime.clone(), transport, inputs: sender.clone() },
            crypto: bench.start(sender, working),
            clock: alarm.clone(),
        };
        let within_ms = u64::try_from(answer_within.as_millis()).unwrap_or(u64::MAX);
        let mut driver: HospitalDriver<SiteStore, Line, Worker, Alarm> =
            HospitalDriver::open(config, signing, fresh_nonce()?, within_ms, outside).map_err(HospitalError::Fault)?;
        let now_s = || seconds(SystemTime::now());
        let wait_s = || hours.and_then(|hours| hours.wait_s(now_s()));
        driver.train_in(wait_s());
        let mut done = driver.start(progress.doing());
        let mut asked = 0;
        loop {
            // Nothing that depends on it was done: the next process goes on there.
            done.map_err(HospitalError::Fault)?;
            for note in driver.take_notes() {
                if let HospitalNote::Ended(reason) = &note {
                    // Farewells that are under way may still leave.
                    runtime.block_on(tokio::time::sleep(Duration::from_millis(50)));
                    return Ok(HospitalEnd::Finished(reason.clone()));
                }
                if let HospitalNote::HeldBack { seconds } = note {
                    observer.held_back(party, seconds.map(|seconds| now_s().saturating_add(seconds)));
                    continue;
                }
                noted(note, party, &*observer, &tickets, within_ms / 1_000);
            }
            let wait = alarm.left().min(LOOK);
            let input = runtime.block_on(async { tokio::time::timeout(wait, inputs.recv()).await });
            let event = match input {
                Err(_) => HospitalEvent::Wake,
                Ok(None | Some(Input::Kill)) => return Ok(HospitalEnd::Killed),
                Ok(Some(Input::Failed(error))) => return Err(error),
                Ok(Some(Input::Event(event))) => event,
                Ok(Some(Input::Question(ticket))) => {
                    asked += 1;
                    tickets.insert(asked, ticket);
                    HospitalEvent::Ask { ticket: asked }
                }
            };
            driver.train_in(wait_s());
            done = driver.on(event, progress.doing());
        }
    }
}

/// What came of driving, once the computing thread has ended as well: a job under way goes on to its end. The next part
/// of this site begins after it, since two never share a folder.
async fn outlived<T>(driving: impl Future<Output = T>, ended: oneshot::Receiver<()>) -> T {
    let driven = driving.await;
    // Nothing is ever said: it is dropped with the thread.
    let _ = ended.await;
    driven
}

fn noted(note: HospitalNote, party: protocol::PartyId, observer: &dyn Observer, tickets: &Tickets, within_s: u64) {
    match note {
        HospitalNote::Shown(entry) => observer.shown(party, &entry),
        HospitalNote::Refused(reject) => observer.refused(party, &reject.to_string()),
        // Somebody has to act.
        HospitalNote::RefusedThere(reject @ Reject::WrongVersion) => observer.refused(party, &reject.to_string()),
        HospitalNote::RefusedThere(reject) => {
            tracing::info!(%party, %reject, "the coordinator refused a call");
        }
        HospitalNote::Unsendable { id, fault } => observer.refused(party, &format!("{id:?} cannot be sent: {fault}")),
        HospitalNote::Altered(id) => {
            observer.refused(party, &HospitalError::BodyDiffers { id }.to_string());
        }
        HospitalNote::Uploaded { bytes, of } => observer.activity(party, Activity::Uploading { bytes, of }),
        HospitalNote::Question { ticket, stage } => tickets.tell(
            ticket,
            match stage {
                QuestionStage::Sent => QuestionStep::Sent,
                QuestionStage::Evaluated => QuestionStep::Evaluated,
                QuestionStage::Released => QuestionStep::Released,
            },
        ),
        HospitalNote::NoAnswer { ticket, query, reject } => {
            let error = match (query, reject) {
                (_, Some(reject)) => HospitalError::NoAnswer { reject },
                (Some(query), None) => HospitalError::Unanswered { query, seconds: within_s },
                (None, None) => HospitalError::NoAnswer { reject: Reject::Storage },
            };
            tickets.reply(ticket, Err(error));
        }
        HospitalNote::Waiting => observer.activity(party, Activity::Waiting),
        HospitalNote::ModelReady { model } => observer.published(party, model),
        HospitalNote::Charged { by_asker } => observer.charged(party, &by_asker),
        HospitalNote::HeldBack { .. } | HospitalNote::Ended(_) => {}
    }
}

fn fresh_nonce() -> Result<[u8; 32], HospitalError> {
    let mut stream = he_agg::Stream::from_os()
        .map_err(|source| HospitalError::Crypto { step: "drawing a nonce", source: Box::new(source) })?;
    Ok(stream.seed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_ends_after_its_computing_thread() {
        let (working, ended) = oneshot::channel();
        let mut part = Box::pin(outlived(async { 7 }, ended));
        let early = tokio::time::timeout(Duration::from_millis(20), part.as_mut()).await;
        assert!(early.is_err(), "a job is under way");
        drop(working);
        assert_eq!(part.await, 7);
    }
}
