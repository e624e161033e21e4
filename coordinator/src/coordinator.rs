//! The coordinator of one federation: its folder, its socket and its phases, in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use he_agg::aggregation::LaneLayout;
use he_agg::multiparty::Crs;
use he_infer::Program;
use protocol::ids::Digest;
use protocol::message::{LogMessage, Stop};
use protocol::net::{AuthorityCertificate, Identity, Limits, Server, Traffic};
use protocol::roster::Roster;
use protocol::signature::SigningKey;
use protocol::store::Journal;
use tokio::sync::{mpsc, oneshot};

use crate::bodies::Bodies;
use crate::compute::Compute;
use crate::desk::{Desk, Tap};
use crate::drive::PublishedModel;
use crate::error::CoordinatorError;
use crate::inbox::Inbox;
use crate::log_book::LogBook;
use crate::observer::Observer;
use crate::standing::Standing;

/// News that may wait for the driver; further calls wait in their connections, which are bounded themselves.
const NEWS_WAITING_MAX: usize = 1_024;

/// What the coordinator has to know of the plan. Nothing in it is secret, and no data.
pub struct CoordinatorPlan {
    /// Members, threshold, keys.
    pub roster: Roster,
    /// Digest of the resolved plan, as hospitals approved it.
    pub plan: Digest,
    /// Where integers lie inside a ciphertext of an update.
    pub layout: LaneLayout,
    /// The network as operations over ciphertexts; its preset is the serving preset.
    pub program: Arc<Program>,
    /// Silence after which a hospital counts as lost.
    pub grace: Duration,
    /// Longest wait for any step of the ceremony, for updates, shares and votes.
    pub deadline: Duration,
    /// Longest wait for the bodies of a query, and for the shares of a release.
    pub query_deadline: Duration,
    /// Fewest updates for a round to count.
    pub min_cohort: u16,
    /// Attempts before a round is void.
    pub attempts_max: u32,
    /// Spare attempts that hospitals upload at once.
    pub attempts_ahead: u32,
    /// Switched results in one key epoch: tau of the serving keys.
    pub releases_max: u64,
    /// Queries that one hospital may ask.
    pub queries_per_asker_max: u64,
}

/// Everything with which a coordinator starts.
pub struct CoordinatorSetup<'a> {
    /// Its folder; everything in it may be shown to a stranger.
    pub folder: &'a Path,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Its TLS certificate and key.
    pub identity: &'a Identity,
    /// Who issued the hospitals' certificates.
    pub authority: &'a AuthorityCertificate,
    /// Signs log entries.
    pub key: SigningKey,
    /// What it knows of the plan.
    pub plan: CoordinatorPlan,
    /// Where its arithmetic happens.
    pub compute: Compute,
    /// Hears its steps.
    pub observer: Arc<dyn Observer>,
    /// Only in simulations.
    pub tap: Option<Arc<dyn Tap>>,
}

/// A running coordinator.
pub struct Coordinator {
    pub(crate) plan: CoordinatorPlan,
    pub(crate) journal: Arc<Journal>,
    pub(crate) log: Arc<LogBook>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) inbox: Inbox,
    pub(crate) compute: Compute,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) epoch_seed: Digest,
    pub(crate) standing: Standing,
    traffic: Arc<Traffic>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
    shutdown: Option<oneshot::Sender<()>>,
}

impl Coordinator {
    /// Opens the folder and listens. A folder with a log is continued: keys, published model and spent budgets come
    /// from it.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the folder or the socket cannot be used; [`CoordinatorError::OtherRoster`] where the
    /// folder belongs to other hospitals or another key epoch.
    pub async fn start(setup: CoordinatorSetup<'_>) -> Result<Self, CoordinatorError> {
        let CoordinatorSetup { folder, address, identity, authority, key, plan, compute, observer, tap } = setup;
        let io = |source| CoordinatorError::Io { action: "create", path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let journal = Arc::new(Journal::open(&folder.join("journal.sqlite"))?);
        let log = Arc::new(LogBook::open(Arc::clone(&journal), key)?);
        let bodies = Arc::new(Bodies::open(&folder.join("spool"), Arc::clone(&journal))?);
        let standing = Standing::of(&log.messages()?);
        if standing.roster().is_some_and(|roster| *roster != plan.roster) {
            return Err(CoordinatorError::OtherRoster { folder: folder.to_path_buf() });
        }
        let (news, receiver) = mpsc::channel(NEWS_WAITING_MAX);
        let desk = Desk::new(plan.roster.clone(), Arc::clone(&log), Arc::clone(&bodies), news, tap);
        let desk = Arc::new(desk);
        let limits = if address.ip().is_loopback() { Limits::loopback() } else { Limits::default() };
        let server = Server::bind(address, identity, authority, limits)?;
        let (address, traffic) = (server.local_addr(), server.traffic());
        let (shutdown, stopped) = oneshot::channel::<()>();
        let handler = Arc::clone(&desk);
        let server = tokio::spawn(async move {
            server
                .run(handler, async {
                    // A dropped sender means the same as a sent word.
                    let _ = stopped.await;
                })
                .await;
        });
        let inbox = Inbox::new(receiver, desk, Arc::clone(&bodies), plan.roster.parties(), plan.grace);
        let epoch_seed = standing.epoch_seed;
        let shutdown = Some(shutdown);
        Ok(Self {
            plan,
            journal,
            log,
            bodies,
            inbox,
            compute,
            observer,
            epoch_seed,
            standing,
            traffic,
            address,
            server,
            shutdown,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The model that an earlier process published, if its serving keys are complete as well.
    pub fn published(&self) -> Option<PublishedModel> {
        self.standing.published.filter(|_| self.standing.keys_ready)
    }

    /// Results that may still be switched under this epoch's keys, before serving starts.
    pub fn releases_left(&self) -> u64 {
        self.plan.releases_max.saturating_sub(self.standing.spent.releases())
    }

    /// Bytes sent and received, live.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Hospitals that are not given up.
    pub fn live(&self) -> protocol::party_set::PartySet {
        self.inbox.live()
    }

    /// Tells the hospitals that the run ends, and closes the socket after they had time to hear it.
    ///
    /// # Errors
    /// [`CoordinatorError`] where the last entry cannot be stored.
    pub async fn stop(mut self, reason: &str) -> Result<(), CoordinatorError> {
        let mut reason = reason.to_owned();
        let mut end = reason.len().min(protocol::limits::REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        self.log.append(LogMessage::Stop(Stop { reason }))?;
        // Pollers are answered at once; the drain time of the server covers replies under way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        if let Some(shutdown) = self.shutdown.take() {
            // The server may have ended by itself, then nobody listens.
            let _ = shutdown.send(());
        }
        self.server.await.map_err(|_| CoordinatorError::Abandoned)
    }

    /// The digest that names the key epoch in every object of training and serving.
    pub(crate) fn epoch(&self) -> Digest {
        Digest(Crs::new(self.plan.program.params().preset, self.epoch_seed.0).epoch())
    }

    /// Chunks of one update.
    pub(crate) fn chunks(&self) -> u32 {
        let values = self.plan.program.network().parameter_count();
        u32::try_from(self.plan.layout.chunks(values)).unwrap_or(u32::MAX)
    }

    pub(crate) fn window_ms(&self) -> u64 {
        u64::try_from(self.plan.deadline.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn query_window_ms(&self) -> u64 {
        u64::try_from(self.plan.query_deadline.as_millis()).unwrap_or(u64::MAX)
    }
}
