//! The key epochs under way at a coordinator in service: each begins when all its members have approved, and goes on
//! after a restart where it stood.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use client::plan::Plan;
use coordinator::compute::Compute;
use coordinator::history::History;
use coordinator::welcome::Desks;
use coordinator::{Coordinator, CoordinatorPlan, CoordinatorSetup, Observer, Remote, Step};
use protocol::campaign::{OrderKind, PhaseEnd};
use protocol::consent::Stage;
use protocol::drive::coordinator::CoordinatorNote;
use protocol::enrolment::{Site, seconds};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::{Membership, Seat};
use protocol::message::RoundPurpose;
use protocol::net::{ServerHandle, Traffic};
use protocol::round::RoundEnd;
use remedy::Explained;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::certificate::Certificate;
use super::office::{Office, OfficeError};
use super::say;
use super::status;
use crate::control::Request;
use crate::error::Error;
use crate::exit::Exit;

/// How often the books are looked at: what a command wrote there takes effect within it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is said that the disk refuses something.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// Key epochs that are shown, the newest: the answer to a command is one line of four megabytes at most, and an epoch
/// of 64 members with long names takes up to 30 KB of it.
const EPOCHS_SHOWN_MAX: usize = 48;

/// Key epochs whose history is shown, the newest: one takes up to 200 KB more.
const HISTORIES_SHOWN_MAX: usize = 8;

/// How many key epochs are not shown, and those that are.
fn shown(all: &[Epoch]) -> (usize, &[Epoch]) {
    let older = all.len().saturating_sub(EPOCHS_SHOWN_MAX);
    (older, all.get(older..).unwrap_or_default())
}

/// Those whose history is shown as well.
fn recent(all: &[Epoch]) -> &[Epoch] {
    all.get(all.len().saturating_sub(HISTORIES_SHOWN_MAX)..).unwrap_or_default()
}

/// Everything under way.
pub(super) struct Campaigns {
    office: Arc<Office>,
    compute: Compute,
    desks: Desks,
    all: Mutex<BTreeMap<Epoch, Campaign>>,
    /// What became of key epochs that are over; none where nothing had begun, or cannot be read.
    past: Mutex<BTreeMap<Epoch, Option<Past>>>,
    traffic: Arc<Traffic>,
    since_s: u64,
    /// Hears why the service cannot go on: its own disk is full.
    full: mpsc::Sender<Error>,
}

struct Campaign {
    membership: Membership,
    /// What its terms say of rounds and of questions, and its model's name.
    told: Told,
    remote: Option<Remote>,
    task: Option<JoinHandle<()>>,
    /// Why it could not be started.
    failed: Option<String>,
}

/// What of a plan is told.
#[derive(Clone, Default)]
struct Told {
    rounds: u32,
    /// Of a head, where one is trained.
    steps: Option<u32>,
    limits: Value,
    model: String,
}

/// A key epoch that is over.
struct Past {
    model: String,
    history: History,
}

impl Campaigns {
    pub(super) fn new(
        (office, traffic): (Arc<Office>, Arc<Traffic>),
        compute: Compute,
        desks: Desks,
        full: mpsc::Sender<Error>,
    ) -> Self {
        let since_s = seconds(SystemTime::now());
        Self { office, compute, desks, all: Mutex::default(), past: Mutex::default(), traffic, since_s, full }
    }

    /// Whether an error is one that ends the service: then whoever serves has heard it.
    fn ends_all(&self, error: Error) -> Result<(), Error> {
        if error.exit() != Exit::StorageFull {
            return Err(error);
        }
        tracing::error!(%error, "the disk is full; the service ends and goes on where it was when it is started again");
        // One reason is enough.
        let _ = self.full.try_send(error);
        Ok(())
    }

    /// Looks after everything until `stop` says so; then ends what is under way as it stands.
    pub(super) async fn run(self: Arc<Self>, server: ServerHandle, mut stop: watch::Receiver<bool>) {
        let mut certificate = Certificate::shown(Arc::clone(&self.office));
        // By itself: reading the logs of campaigns that go on takes a while, and nobody who was put out waits for that.
        let putting_out = tokio::spawn(Arc::clone(&self).keep_out(server.clone()));
        loop {
            if let Err(error) = self.look(&stop).await
                && let Err(error) = self.ends_all(error)
            {
                tracing::error!(%error, "the books cannot be read; trying again");
            }
            certificate.look(&server);
            tokio::select! {
                () = stopped(&mut stop) => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        putting_out.abort();
        let tasks: Vec<_> = self.all().values_mut().filter_map(|campaign| campaign.task.take()).collect();
        for task in tasks {
            // What it stored lets the next process go on.
            let _ = task.await;
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<Epoch, Campaign>> {
        // A panic elsewhere leaves a map of handles behind, which is whole.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins what all have approved, and lets go of what is over.
    async fn look(self: &Arc<Self>, stop: &watch::Receiver<bool>) -> Result<(), Error> {
        for epoch in self.office.proposals.epochs()? {
            let is_known = self.all().contains_key(&epoch);
            let stage = self.office.proposals.standing(epoch)?.stage;
            match stage {
                Stage::Open if !is_known => self.begin(epoch, stop).await,
                Stage::Over if is_known => {
                    self.desks.close(epoch);
                    self.all().remove(&epoch);
                }
                _ => {}
            }
        }
        self.remember().await
    }

    /// Reads what became of one of the newest key epochs that are over, until all of these are read.
    async fn remember(self: &Arc<Self>) -> Result<(), Error> {
        let mut unread = None;
        for &epoch in recent(&self.office.proposals.epochs()?).iter().rev() {
            if !self.past().contains_key(&epoch) && self.office.proposals.standing(epoch)?.stage == Stage::Over {
                unread = Some(epoch);
                break;
            }
        }
        let Some(epoch) = unread else { return Ok(()) };
        let this = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || this.read_past(epoch)).await;
        let read = read.unwrap_or_else(|error| Err(Error::Federation(error_of(&error))));
        let past = read.unwrap_or_else(|error| {
            tracing::warn!(%epoch, %error, "what became of it cannot be read");
            None
        });
        self.past().insert(epoch, past);
        Ok(())
    }

    fn read_past(&self, epoch: Epoch) -> Result<Option<Past>, Error> {
        let folder = self.office.epoch_folder(epoch);
        if !folder.join("journal.sqlite").exists() {
            return Ok(None);
        }
        let history = History::of_folder(&folder)?;
        let proposal = self.office.proposals.proposed(epoch)?.proposal;
        let name = format!("plan of key epoch {epoch}");
        let plan = Plan::of_consortium(&name, &proposal.plan, proposal.membership.seats.len())?;
        Ok(Some(Past { model: plan.model_name().to_owned(), history }))
    }

    fn past(&self) -> std::sync::MutexGuard<'_, BTreeMap<Epoch, Option<Past>>> {
        // As above.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(self: &Arc<Self>, epoch: Epoch, stop: &watch::Receiver<bool>) {
        let this = Arc::clone(self);
        // Reading a long log takes a while.
        let opened = tokio::task::spawn_blocking(move || this.open(epoch)).await;
        let opened = opened.unwrap_or_else(|error| Err(Error::Federation(error_of(&error))));
        let campaign = match opened {
            Ok((membership, told, coordinator)) => {
                self.desks.open(epoch, coordinator.handler());
                let remote = Some(coordinator.remote());
                say(&format!("key epoch {epoch}: begins, or goes on where it stood"));
                let task = tokio::spawn(Arc::clone(self).follow(epoch, coordinator, stop.clone()));
                Campaign { membership, told, remote, task: Some(task), failed: None }
            }
            Err(error) => {
                let Err(error) = self.ends_all(error) else { return };
                say(&format!("key epoch {epoch}: cannot begin: {error}"));
                tracing::error!(%epoch, %error, "cannot begin");
                let membership = self.office.proposals.proposed(epoch).map(|it| it.proposal.membership);
                let Ok(membership) = membership else { return };
                let (told, failed) = (Told::default(), Some(error.to_string()));
                Campaign { membership, told, remote: None, task: None, failed }
            }
        };
        self.all().insert(epoch, campaign);
    }

    fn open(&self, epoch: Epoch) -> Result<(Membership, Told, Coordinator), Error> {
        let proposed = self.office.proposals.proposed(epoch)?;
        let membership = proposed.proposal.membership;
        let name = format!("plan of key epoch {epoch}");
        let plan = Plan::of_consortium(&name, &proposed.proposal.plan, membership.seats.len())?;
        let terms = plan.terms_from(proposed.proposal.base.map(|base| base.model))?;
        if terms.digest() != proposed.terms {
            return Err(Error::OtherTerms { epoch });
        }
        let roster = self.office.proposals.roster(epoch, plan.parameters())?.ok_or(Error::OtherTerms { epoch })?;
        let folder = self.office.epoch_folder(epoch);
        if !folder.exists() {
            // Later on a campaign goes on without a member that was put out; no ceremony can.
            self.all_are_members(&membership)?;
        }
        let model = plan.model_name().to_owned();
        let told = Told {
            rounds: terms.rounds,
            steps: terms.head.as_ref().map(|head| head.steps),
            limits: status::limits(&terms),
            model,
        };
        let coordinator = Coordinator::start(CoordinatorSetup {
            folder: &folder,
            key: self.office.signing_key()?,
            plan: CoordinatorPlan {
                roster,
                terms,
                layout: plan.layout().clone(),
                program: Arc::clone(plan.program()),
                head: plan.head().cloned(),
            },
            compute: self.compute.clone(),
            observer: Arc::new(Quiet),
        })?;
        Ok((membership, told, coordinator))
    }

    fn all_are_members(&self, membership: &Membership) -> Result<(), Error> {
        let sites = self.office.members.sites()?.sites;
        let is_one = |seat: &Seat| {
            let tls = |site: &Site| Digest(*site.tls.fingerprint().bytes());
            sites.iter().any(|site| site.name.as_str() == seat.name && tls(site) == seat.tls_key)
        };
        match membership.seats.iter().find(|seat| !is_one(seat)) {
            Some(seat) => Err(OfficeError::PutOut { name: seat.name.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Tells what happens, until it is over or the process stops.
    async fn follow(self: Arc<Self>, epoch: Epoch, mut coordinator: Coordinator, mut stop: watch::Receiver<bool>) {
        let mut refused_at: Option<Instant> = None;
        loop {
            let note = tokio::select! {
                () = stopped(&mut stop) => {
                    coordinator.kill().await;
                    break;
                }
                note = coordinator.next() => note,
            };
            match note {
                // Every hospital repeats every second what the disk refuses.
                Some(CoordinatorNote::StoreFault(_)) if refused_at.is_some_and(|at| at.elapsed() < REFUSED_AGAIN) => {}
                Some(note) => {
                    if matches!(note, CoordinatorNote::StoreFault(_)) {
                        refused_at = Some(Instant::now());
                    }
                    tell(epoch, &note);
                }
                None => break,
            }
        }
        let is_stopping = *stop.borrow();
        match coordinator.ended().await {
            Ok(()) if is_stopping => {}
            Ok(()) => {
                say(&format!("key epoch {epoch}: over"));
                if let Err(error) = self.office.proposals.close(epoch) {
                    tracing::error!(%epoch, %error, "cannot be marked as over");
                }
            }
            Err(error) => {
                let Err(error) = self.ends_all(error.into()) else { return };
                say(&format!("key epoch {epoch}: stopped: {error}"));
                tracing::error!(%epoch, %error, "stopped");
                if let Some(campaign) = self.all().get_mut(&epoch) {
                    (campaign.remote, campaign.failed) = (None, Some(error.to_string()));
                }
            }
        }
        self.desks.close(epoch);
    }

    /// Closes the connections of members that were revoked, and lets no campaign wait for them; their calls are refused
    /// anyway.
    async fn keep_out(self: Arc<Self>, server: ServerHandle) {
        loop {
            self.put_out(&server).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn put_out(&self, server: &ServerHandle) {
        let Ok(revoked) = self.office.members.revoked() else { return };
        for name in revoked {
            if let Ok(Some(key)) = self.office.members.tls_key(&name) {
                let closed = server.disconnect(key);
                if closed > 0 {
                    tracing::info!(%name, closed, "connections of a revoked member were closed");
                }
            }
            for (party, remote) in self.waiting_for(name.as_str()) {
                remote.put_out(party).await;
            }
        }
    }

    /// Campaigns in which a member's lease runs.
    fn waiting_for(&self, name: &str) -> Vec<(PartyId, Remote)> {
        let of = |campaign: &Campaign| {
            let (party, remote) = (campaign.membership.party(name)?, campaign.remote.clone()?);
            remote.status().live.contains(party).then_some((party, remote))
        };
        self.all().values().filter_map(of).collect()
    }

    /// Answers a command.
    ///
    /// # Errors
    /// In words for the operator.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Result<Value, String> {
        let (epoch, order) = match &request {
            Request::Status => return self.status().map_err(|error| error.to_string()),
            Request::Stop { epoch } => (*epoch, Some(OrderKind::Pause)),
            Request::Resume { epoch } => (*epoch, Some(OrderKind::Resume)),
            Request::Publish { epoch } => (*epoch, Some(OrderKind::Publish)),
            Request::End { epoch, .. } => (*epoch, None),
        };
        let remote = self.all().get(&Epoch(epoch)).and_then(|campaign| campaign.remote.clone());
        let remote = remote.ok_or_else(|| format!("key epoch {epoch} is not under way"))?;
        let stored = match (order, request) {
            (Some(order), _) => remote.order(order).await,
            (None, Request::End { reason, .. }) => remote.end(&reason).await,
            (None, _) => Ok(()),
        };
        stored.map_err(|error| error.to_string())?;
        Ok(json!({"epoch": epoch}))
    }

    /// How everything stands.
    pub(super) fn status(&self) -> Result<Value, Error> {
        let mut epochs = Vec::new();
        let all = self.office.proposals.epochs()?;
        let (older, newest) = shown(&all);
        for &epoch in newest {
            let standing = self.office.proposals.standing(epoch)?;
            let membership = &standing.proposal.membership;
            let name = |number: u16| membership.seats.get(usize::from(number) - 1).map(|seat| seat.name.clone());
            let mut row = json!({
                "epoch": epoch.0,
                "stage": match standing.stage {
                    Stage::Proposed => "proposed", Stage::Open => "open", Stage::Over => "over",
                },
                "members": membership.seats.len(),
                "threshold": membership.threshold,
                "names": membership.seats.iter().map(|seat| seat.name.clone()).collect::<Vec<_>>(),
                "approved": standing.approved.numbers().into_iter().filter_map(name).collect::<Vec<_>>(),
            });
            let is_recent = recent(&all).contains(&epoch);
            if let Some(campaign) = self.all().get(&epoch) {
                row["rounds"] = campaign.told.rounds.into();
                row["steps"] = campaign.told.steps.into();
                row["limits"] = campaign.told.limits.clone();
                row["failed"] = json!(campaign.failed);
                if let Some(remote) = &campaign.remote {
                    let history = remote.history();
                    row["now"] = status::now(membership, remote, &history);
                    if is_recent {
                        row["history"] = status::history(membership, &campaign.told.model, &history);
                    }
                }
            } else if let Some(Some(past)) = self.past().get(&epoch).filter(|_| is_recent) {
                row["history"] = status::history(membership, &past.model, &past.history);
            }
            epochs.push(row);
        }
        Ok(json!({
            "coordinator": self.office.address.to_string(),
            "since_s": self.since_s,
            "at_s": seconds(SystemTime::now()),
            "bytes": {"received": self.traffic.down(), "sent": self.traffic.up()},
            "epochs": epochs,
            "older": older,
        }))
    }
}

/// A closed channel means the same as the word.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One line for what an operator wants to know.
fn tell(epoch: Epoch, note: &CoordinatorNote) {
    let what = match note {
        CoordinatorNote::RoundOpened(round, RoundPurpose::Train) => format!("round {round} begins"),
        CoordinatorNote::RoundOpened(round, RoundPurpose::Figures) => {
            format!("round {round} begins: the hospitals add up how the model does on their own test images")
        }
        CoordinatorNote::RoundOpened(round, RoundPurpose::Moments) => {
            format!("round {round} begins: the hospitals add up what their features are like, to train a head on them")
        }
        CoordinatorNote::Ended(PhaseEnd::Keys { .. }) => "all keys exist".to_owned(),
        CoordinatorNote::Ended(PhaseEnd::NoKeys(failure)) => format!("no keys: {failure}"),
        CoordinatorNote::Ended(PhaseEnd::Round(round, RoundPurpose::Figures, RoundEnd::Closed { cohort, .. })) => {
            format!("round {round} closed: {} hospitals' figures are added up, for the hospitals to read", cohort.len())
        }
        CoordinatorNote::Ended(PhaseEnd::Round(round, _, RoundEnd::Closed { cohort, .. })) => {
            format!("round {round} closed with {} updates", cohort.len())
        }
        CoordinatorNote::Ended(PhaseEnd::Round(round, _, RoundEnd::Void { reason, .. })) => {
            format!("round {round} ended without a model: {reason}")
        }
        CoordinatorNote::Ended(PhaseEnd::NotPublished(failure)) => format!("not published: {failure}"),
        CoordinatorNote::Ended(PhaseEnd::Features) => "all features are there, encrypted".to_owned(),
        CoordinatorNote::Ended(PhaseEnd::NoFeatures(failure)) => format!("no features: {failure}"),
        CoordinatorNote::Ended(PhaseEnd::NoHead(failure)) => format!("no head: {failure}"),
        CoordinatorNote::Lapsed(party) => format!("member {party} stands still; the others go on"),
        CoordinatorNote::Returned(party) => format!("member {party} is back"),
        CoordinatorNote::Serving(model) => format!("model {} is served", model.digest),
        CoordinatorNote::CannotServe => "keys and model cannot be loaded".to_owned(),
        CoordinatorNote::Paused(reason) => format!("paused: {reason}"),
        CoordinatorNote::StoreFault(what) => format!("the disk refuses: {what}"),
        _ => return,
    };
    say(&format!("key epoch {epoch}: {what}"));
}

fn error_of(error: &tokio::task::JoinError) -> simulation::FederationError {
    tracing::error!(%error, "a thread died");
    simulation::FederationError::Abandoned
}

/// The process's own log says everything.
struct Quiet;

impl Observer for Quiet {
    fn step(&self, _: Step) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epochs_are_shown_and_the_others_counted() {
        let all: Vec<Epoch> = (1..=50).map(Epoch).collect();
        assert_eq!(shown(&all), (2, &all[2..]));
        assert_eq!(shown(&all[..48]), (0, &all[..48]));
        assert_eq!((recent(&all), recent(&all[..3])), (&all[42..], &all[..3]));
    }
}
