//! A site in service: follows what is proposed, takes part in every key epoch that its officer consented to, renews its
//! certificate, for months.
//!
//! ```text
//! look every few seconds: epochs -> promise, show nonce -> [officer: words, terms] -> approve -> [all] -> take part
//! ```

mod part;
mod stand;
mod withdrawal;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use experiment::{AuditSite, Policy};
use protocol::consent::Stage;
use protocol::enrolment::seconds;
use protocol::ids::Epoch;
use protocol::store::FileFault;
use remedy::{Exit, Explained};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::consent::{self, ConsentBook, ConsentError, Council, Seen};
use crate::data_sets::{DataSets, DataSetsError};
use crate::earlier::EarlierError;
use crate::enrolment::{EnrolmentError, Member};
use crate::hospital::{HospitalEnd, HospitalError, Killer, Slots};
use crate::models::ModelsError;
use crate::plan::PlanError;
use crate::policy::{self, PolicyRefusal};
use crate::site_file::site_file;
use crate::train::TrainDevice;
use crate::vault::{KeysError, VaultError};

pub use stand::{NotedStand, Stand, noted_stands};

use part::Part;
use withdrawal::Withdrawal;

/// How often a site looks what is proposed, while something waits for somebody.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same, while everything is under way.
const REST_EVERY: Duration = Duration::from_secs(15);
/// Looks at which an epoch is over before a part that still runs is ended: as a rule its log tells it sooner, and why.
const OVER_SEEN: u32 = 3;
/// Why an epoch ended, where nobody said.
const GIVEN_UP: &str = "the coordinator has given it up";
/// Who approves terms that the site's file names.
const BEFOREHAND: &str = "site.toml, [policy] terms";
/// How long a part that failed is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// How long a coordinator that refused a new certificate is left alone.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// The same, after the coordinator had none that lasts longer: people sign them.
const SIGNED_AGAIN: Duration = Duration::from_secs(3_600);
/// How long before its certificate's end a site cries out where no longer one was signed.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3_600);
/// How long a part may take to end when the service stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a site cannot take part in an epoch, or not serve at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The consent.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataSetsError),
    /// Its images.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The model that training goes on from.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// The epoch's vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key in it.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The part itself.
    #[error(transparent)]
    Hospital(#[from] HospitalError),
    /// The counter for images.
    #[error(transparent)]
    Counter(#[from] crate::counter::CounterError),
    /// The site's own rules.
    #[error(transparent)]
    Policy(#[from] PolicyRefusal),
    /// What earlier key epochs revealed.
    #[error(transparent)]
    Earlier(#[from] EarlierError),
    /// A file of the epoch's folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// A thread died.
    #[error("a thread of this site died: {0}")]
    Abandoned(#[from] JoinError),
}

impl ServiceError {
    /// Whether this site's disk is full: nothing was lost, and the same step succeeds once there is space again.
    fn no_space_left(&self) -> bool {
        match self {
            Self::Consent(error) => error.exit() == Exit::StorageFull,
            Self::Models(error) => error.exit() == Exit::StorageFull,
            Self::Vault(error) | Self::Keys(KeysError::Vault(error)) => error.no_space_left(),
            Self::Hospital(error) => error.no_space_left(),
            Self::File(fault) | Self::Earlier(EarlierError::File(fault)) => fault.no_space_left(),
            _ => false,
        }
    }
}

/// Why a site serves no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It is a member no more.
    #[error(transparent)]
    Member(EnrolmentError),
    /// Its disk is full.
    #[error("this site's disk is full: {0}")]
    Full(ServiceError),
}

impl Explained for ServeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Member(error) => error.code(),
            Self::Full(_) => "storage_full",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Member(error) => error.place(),
            Self::Full(_) => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Member(error) => error.remedy(),
            Self::Full(_) => {
                "free space on the disk of its folder, then start it again: it goes on where it was".into()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Member(error) => error.exit(),
            Self::Full(_) => Exit::StorageFull,
        }
    }
}

/// What a service needs.
pub struct Setup {
    /// The member.
    pub member: Arc<Member>,
    /// What its officer consented to.
    pub book: Arc<ConsentBook>,
    /// Where to train.
    pub device: TrainDevice,
    /// Where to compute.
    pub slots: Slots,
    /// What this site's policy allows.
    pub policy: Policy,
    /// What an auditor may ask of it later.
    pub audit: AuditSite,
}

/// A site in service.
pub struct Service {
    setup: Setup,
    running: BTreeMap<Epoch, Running>,
    /// Ready to start, once all have approved.
    prepared: BTreeMap<Epoch, Part>,
    /// Since when a part that failed is left alone.
    failed: BTreeMap<Epoch, SystemTime>,
    /// How often an epoch was over for the coordinator while its part ran here.
    over: BTreeMap<Epoch, u32>,
    /// Ends parts that this site's people have left.
    withdrawal: Withdrawal,
    /// Until when no new certificate is asked for: the coordinator wants to be asked later.
    renew_at: Instant,
    /// Why the site's file cannot be read.
    unreadable: Option<String>,
    /// What could not be written because the disk is full.
    full: Option<ServiceError>,
    stands: watch::Sender<BTreeMap<Epoch, Stand>>,
}

struct Running {
    task: JoinHandle<Result<HospitalEnd, HospitalError>>,
    kill: Killer,
    counter: JoinHandle<()>,
}

impl Service {
    /// A service that does nothing yet, and what it says of itself.
    #[must_use]
    pub fn new(setup: Setup) -> (Self, watch::Receiver<BTreeMap<Epoch, Stand>>) {
        let (stands, shown) = watch::channel(BTreeMap::new());
        (
            Self {
                setup,
                running: BTreeMap::new(),
                prepared: BTreeMap::new(),
                failed: BTreeMap::new(),
                over: BTreeMap::new(),
                withdrawal: Withdrawal::default(),
                renew_at: Instant::now(),
                unreadable: None,
                full: None,
                stands,
            },
            shown,
        )
    }

    /// Serves until `stop` resolves, or this site is a member no more.
    ///
    /// # Errors
    /// [`ServeError`]; whatever else happens is waited for.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let mut stop = std::pin::pin!(stop);
        let withdrawing = tokio::spawn(self.withdrawal.clone().run(Arc::clone(&self.setup.book)));
        let ended = loop {
            // A look may wait long for a coordinator that cannot be reached. What it has begun is in the books.
            let looked = tokio::select! {
                biased;
                () = &mut stop => break Ok(()),
                looked = self.look() => looked,
            };
            match looked {
                Ok(()) => {}
                Err(ConsentError::Enrolment(error @ EnrolmentError::NotMember)) => {
                    break Err(ServeError::Member(error));
                }
                Err(error) if error.exit() == Exit::StorageFull => self.full = Some(error.into()),
                Err(error) => tracing::warn!(%error, "the coordinator could not be asked; trying again"),
            }
            if let Some(error) = self.full.take() {
                tracing::error!(%error, "the disk is full; started again, the service goes on where it was");
                break Err(ServeError::Full(error));
            }
            tokio::select! {
                () = &mut stop => break Ok(()),
                () = tokio::time::sleep(self.rest()) => {}
            }
        };
        withdrawing.abort();
        for (_, part) in std::mem::take(&mut self.running) {
            part.counter.abort();
            part.kill.kill();
            // What it stored lets the next process go on.
            let _ = tokio::time::timeout(GOODBYE, part.task).await;
        }
        ended
    }

    /// How long nothing has to be looked at.
    fn rest(&self) -> Duration {
        let waits = |stand: &Stand| !matches!(stand, Stand::TakesPart | Stand::Over(_));
        let stands = self.stands.borrow();
        if stands.is_empty() || stands.values().any(waits) || !self.over.is_empty() { LOOK_EVERY } else { REST_EVERY }
    }

    /// Asks for the next certificate where it is time.
    async fn renew(&mut self) {
        let now = SystemTime::now();
        if !self.setup.member.is_renewal_due(now) || Instant::now() < self.renew_at {
            return;
        }
        match self.setup.member.renew().await {
            Err(error @ EnrolmentError::RefusedMember(_)) => {
                self.renew_at = Instant::now() + RENEW_AGAIN;
                tracing::warn!(%error, "the certificate was not renewed; trying again");
            }
            // Somebody has to carry it, and half of its time is left for that.
            Err(EnrolmentError::NotLonger { until_s }) => {
                self.renew_at = Instant::now() + SIGNED_AGAIN;
                if until_s < seconds(now) + ENDS_SOON.as_secs() {
                    tracing::error!(until_s, "this site's certificate ends soon, and no longer one has been signed");
                }
            }
            Ok(until_s) => tracing::info!(until_s, "the certificate was renewed"),
            Err(error) => tracing::error!(%error, "the certificate could not be renewed; trying again"),
        }
    }

    /// One look at everything.
    async fn look(&mut self) -> Result<(), ConsentError> {
        self.reap().await;
        self.renew().await;
        self.reread_policy();
        let (member, book) = (Arc::clone(&self.setup.member), Arc::clone(&self.setup.book));
        let council = Council { member: &member, book: &book };
        for epoch in council.epochs().await? {
            if self.running.contains_key(&epoch) {
                // Where this site's people wrote that it ends, the withdrawal sees to it.
                if book.ended(epoch)?.is_none() {
                    self.follow(&council, epoch).await?;
                }
                continue;
            }
            if let Some(reason) = book.ended(epoch)? {
                self.stand(epoch, Stand::Over(reason));
                continue;
            }
            let stand = match self.advance(&council, epoch).await {
                Ok(stand) => stand,
                Err(ServiceError::Consent(error)) if error.is_transient() => return Err(error),
                Err(ServiceError::Consent(ConsentError::Enrolment(error @ EnrolmentError::NotMember))) => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.failed.insert(epoch, SystemTime::now());
                    let stand = Stand::Hindered(error.to_string());
                    if error.no_space_left() {
                        self.full = Some(error);
                    }
                    stand
                }
            };
            self.stand(epoch, stand);
        }
        Ok(())
    }

    /// The site's rules as its file says them now, for parts that begin from here on. Where it cannot be read none
    /// begins.
    fn reread_policy(&mut self) {
        self.unreadable = match site_file(self.setup.member.root()) {
            Ok(site) if site.policy == self.setup.policy && site.audit == self.setup.audit => None,
            Ok(site) => {
                (self.setup.policy, self.setup.audit) = (site.policy, site.audit);
                // What was hindered by the rules before is tried again at once, and what was prepared is asked anew.
                self.failed.clear();
                self.prepared.clear();
                None
            }
            Err(error) => Some(error.to_string()),
        };
    }

    /// Ends a part that missed its last word: the log that it follows says why an epoch ends, but a site that was cut
    /// off in that moment would wait for it for ever.
    async fn follow(&mut self, council: &Council<'_>, epoch: Epoch) -> Result<(), ConsentError> {
        if council.stage(epoch).await? != Stage::Over {
            self.over.remove(&epoch);
            return Ok(());
        }
        let seen = self.over.entry(epoch).or_default();
        *seen += 1;
        if *seen < OVER_SEEN {
            return Ok(());
        }
        self.setup.book.end(epoch, GIVEN_UP)?;
        if let Some(running) = self.running.get(&epoch) {
            running.kill.kill();
        }
        Ok(())
    }

    /// Does in one epoch whatever can be done.
    async fn advance(&mut self, council: &Council<'_>, epoch: Epoch) -> Result<Stand, ServiceError> {
        let seen = council.look(epoch).await?;
        if let Err(error) = consent::note(self.setup.member.root(), &seen) {
            tracing::error!(%error, "a proposal cannot be noted; the officer's page does not show it");
        }
        if seen.standing.stage == Stage::Over {
            self.setup.book.end(epoch, GIVEN_UP).map_err(ServiceError::Consent)?;
            return Ok(Stand::Over(GIVEN_UP.to_owned()));
        }
        let resting = self.failed.get(&epoch).and_then(|since| since.elapsed().ok());
        if let (Some(since), Some(stand)) = (resting, self.stands.borrow().get(&epoch))
            && since < TRY_AGAIN
        {
            return Ok(stand.clone());
        }
        if !seen.awaited.is_empty() {
            return Ok(Stand::AwaitsMembers(seen.awaited));
        }
        if let Some(error) = &self.unreadable {
            return Ok(Stand::Hindered(error.clone()));
        }
        self.approve_beforehand(&seen)?;
        let Some(data) = self.setup.book.consented(&seen)? else { return Ok(Stand::AwaitsOfficer) };
        let part = match self.prepared.remove(&epoch).filter(|part| part.is_of(&data)) {
            Some(part) => part,
            None => Part::prepare(&self.setup, &seen, &data).await?,
        };
        if !seen.is_open() {
            if !seen.standing.approved.contains(seen.party) {
                council.announce(&seen, part.sealing()).await?;
            }
            let members = seen.standing.proposal.membership.parties();
            self.prepared.insert(epoch, part);
            return Ok(Stand::AwaitsApprovals(members.minus(seen.standing.approved)));
        }
        let running = part.start()?;
        self.withdrawal.watch(epoch, running.kill.clone());
        self.running.insert(epoch, running);
        tracing::info!(%epoch, party = %seen.party, "this site takes part");
        Ok(Stand::TakesPart)
    }

    /// Terms that the site's file approves need no command, where it is clear which images are meant.
    fn approve_beforehand(&self, seen: &Seen) -> Result<(), ServiceError> {
        let (epoch, terms) = (seen.standing.proposal.epoch, seen.terms.digest());
        if policy::approves(&self.setup.policy, terms) && self.setup.book.terms(epoch, terms)?.is_none() {
            let sets = DataSets::load(self.setup.member.root())?;
            let data = &sets.find(None)?.name;
            self.setup.book.approve_terms(seen, &terms.to_string(), data, BEFOREHAND)?;
        }
        Ok(())
    }

    /// Takes note of parts that ended.
    async fn reap(&mut self) {
        let over: Vec<Epoch> =
            self.running.iter().filter(|(_, part)| part.task.is_finished()).map(|(epoch, _)| *epoch).collect();
        for epoch in over {
            let Some(part) = self.running.remove(&epoch) else { continue };
            part.counter.abort();
            self.withdrawal.forget(epoch);
            self.over.remove(&epoch);
            let ended = self.setup.book.ended(epoch).ok().flatten();
            let stand = match part.task.await {
                Ok(Ok(HospitalEnd::Finished(reason))) => match self.setup.book.end(epoch, &reason) {
                    Ok(()) => Stand::Over(reason),
                    Err(error) => Stand::Hindered(error.to_string()),
                },
                // It missed the coordinator's last word.
                Ok(Ok(HospitalEnd::Killed)) if ended.is_some() => Stand::Over(ended.unwrap_or_default()),
                Ok(Ok(HospitalEnd::Killed)) => Stand::Hindered("its process was ended".to_owned()),
                Ok(Err(error)) => {
                    let stand = Stand::Hindered(error.to_string());
                    if error.no_space_left() {
                        self.full = Some(error.into());
                    }
                    stand
                }
                Err(error) => Stand::Hindered(ServiceError::Abandoned(error).to_string()),
            };
            if matches!(stand, Stand::Hindered(_)) {
                self.failed.insert(epoch, SystemTime::now());
            }
            self.stand(epoch, stand);
        }
    }

    /// Tells how the site stands, once.
    fn stand(&self, epoch: Epoch, stand: Stand) {
        let is_news = self.stands.send_if_modified(|all| {
            if all.get(&epoch) == Some(&stand) {
                return false;
            }
            tracing::info!(%epoch, ?stand, "stands");
            all.insert(epoch, stand);
            true
        });
        if is_news && let Err(error) = stand::note(self.setup.member.root(), &self.stands.borrow()) {
            tracing::error!(%error, "how this site stands cannot be noted; the officer's page shows what was before");
        }
    }
}

/// The folder of an epoch: a vault of its own, journal, spool, counter.
#[must_use]
pub fn epoch_folder(root: &std::path::Path, epoch: Epoch) -> PathBuf {
    root.join("epochs").join(epoch.0.to_string())
}
