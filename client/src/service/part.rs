//! A site's part in one key epoch: keys of its own, images, a process that follows the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::PooledFigures;
use protocol::consent::Base;
use protocol::ids::{Digest, Epoch, PartyId, QueryId, RoundId};
use protocol::log::LogEntry;
use protocol::sealed::{OpeningKey, SealingKey};

use super::{Running, ServiceError, Setup, epoch_folder};
use crate::consent::Seen;
use crate::counter::{Counter, Notice, Takes};
use crate::data_sets::DataSets;
use crate::hospital::{Activity, Hospital, HospitalPlan, HospitalSetup, Observer, OwnPatients, SiteImages, Timed};
use crate::log_copy::LogCopy;
use crate::models::ModelsError;
use crate::policy;
use crate::privacy_ledger::LEDGER_FILE;
use crate::questions::Questions;
use crate::vault::Vault;
use crate::{earlier, handover, hours, models};

/// Everything that a part starts with.
pub(super) struct Part {
    epoch: Epoch,
    root: std::path::PathBuf,
    vault: Arc<Vault>,
    plan: HospitalPlan,
    data: SiteImages,
    takes: Takes,
    opening: OpeningKey,
    setup: Shared,
    /// The name of the data set.
    set: String,
    copy: LogCopy,
}

struct Shared {
    member: Arc<crate::enrolment::Member>,
    slots: crate::hospital::Slots,
    hours: Option<experiment::Hours>,
    models: Vec<String>,
}

impl Part {
    /// Opens or makes the epoch's folder, reads the images and asks the site's policy.
    pub(super) async fn prepare(setup: &Setup, seen: &Seen, data: &str) -> Result<Self, ServiceError> {
        let epoch = seen.standing.proposal.epoch;
        let site = setup.member.root().to_path_buf();
        let set = DataSets::load(&site)?.find(Some(data))?.clone();
        let name = data.to_owned();
        let (plan, text) = (seen.plan.clone(), seen.standing.proposal.plan.clone());
        let rules = setup.policy.clone();
        let (base, members) = (seen.standing.proposal.base, seen.standing.proposal.membership.clone());
        // Reading images and deriving a key from a passphrase take a while.
        let read = tokio::task::spawn_blocking(move || -> Result<_, ServiceError> {
            let dataset = set.read(&plan)?;
            // A head goes on from no model, see its terms.
            let parameters = plan.parameter_count().unwrap_or_default();
            let root = epoch_folder(&site, epoch);
            let vault = Vault::open_of_site(&site, &root)?;
            // Before the model is looked for: whoever lacks it asks for it with this key.
            let opening = vault.opening_key()?;
            let start = base.map(|base| first_model(&site, &vault, base, parameters)).transpose()?;
            models::note_plan(&root, &text)?;
            earlier::note_members(&root, &members)?;
            let earlier = earlier::cohorts(&site, epoch)?;
            let copy = LogCopy::open(&root, members.coordinator)?;
            policy::check(&rules, &plan, dataset.train.len())?;
            let dataset = plan.site_images(dataset, rules.share_figures != Some(false))?;
            Ok((dataset, root, vault, opening, start, earlier, copy))
        });
        let (data, root, vault, opening, start, earlier, copy) = read.await??;
        let membership = &seen.standing.proposal.membership;
        let mut plan = seen.plan.hospital((seen.party, epoch), membership, &seen.terms, setup.device.clone());
        plan.start = start.map(Arc::new);
        plan.earlier = earlier;
        plan.keeps_ceremony = setup.audit.keeps();
        plan.patients = setup.policy.declared_patients.map(|declared| OwnPatients {
            declared,
            ledger: setup.member.root().join(LEDGER_FILE),
            budget: policy::budget(&setup.policy),
        });
        let takes = Takes::of(&seen.plan)?;
        let (member, hours) = (Arc::clone(&setup.member), setup.policy.hours);
        let models = setup.policy.models.clone();
        let shared = Shared { member, slots: setup.slots.clone(), hours, models };
        let vault = Arc::new(vault);
        Ok(Self { epoch, root, vault, plan, data, takes, opening, setup: shared, set: name, copy })
    }

    /// Whether it trains on this data set: an officer may have approved another since.
    pub(super) fn is_of(&self, data: &str) -> bool {
        self.set == data
    }

    /// Its sealing key.
    pub(super) fn sealing(&self) -> SealingKey {
        self.opening.sealing_key().clone()
    }

    /// Starts it.
    pub(super) fn start(self) -> Result<Running, ServiceError> {
        let Self { epoch, root, vault, plan, data, takes, opening, setup, set: _, copy } = self;
        let party = plan.party;
        // Of the process before.
        hours::note(&root, None)?;
        let questions = Questions::open(&root, &plan.terms);
        questions.note(&root)?;
        let counter = Counter::open(&root, takes)?;
        let member = &setup.member;
        let signing = Vault::reopen_of_site(member.root(), member.root())?.signing_key()?;
        let (hospital, asker) = Hospital::open(HospitalSetup {
            root: &root,
            vault,
            plan,
            data: Some(data),
            transport: member.line(),
            tls_key: member.tls_key(),
            signing,
            opening,
            slots: setup.slots,
            hours: setup.hours,
            models: setup.models,
            observer: Arc::new(Noted { questions: Mutex::new(questions), copy: Mutex::new(copy), root: root.clone() }),
        })?;
        let kill = hospital.killer();
        let tell = move |notice: Notice| match notice.is_warning() {
            true => tracing::warn!(%epoch, %notice, "counter"),
            false => tracing::info!(%epoch, %notice, "counter"),
        };
        let counter = tokio::spawn(counter.run(party.number(), asker, tell));
        let task = tokio::spawn(hospital.run());
        Ok(Running { task, kill, counter })
    }
}

/// The model of the earlier epoch, as this site helped to train it or as a member handed it over.
fn first_model(site: &std::path::Path, vault: &Vault, base: Base, parameters: usize) -> Result<Vec<f32>, ModelsError> {
    match models::trained(site, base, parameters) {
        Err(ModelsError::NotHeld(_)) => handover::taken(vault, base, parameters),
        held => held,
    }
}

/// Remembers what other programs of the site show; the process's own log says everything else.
struct Noted {
    root: std::path::PathBuf,
    questions: Mutex<Questions>,
    copy: Mutex<LogCopy>,
}

impl Noted {
    fn count(&self, add: impl FnOnce(&mut Questions)) {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let before = questions.clone();
        add(&mut questions);
        if *questions != before
            && let Err(error) = questions.note(&self.root)
        {
            tracing::error!(%error, "what answers have cost cannot be noted; `hospital status` shows too little");
        }
    }
}

impl Observer for Noted {
    fn published(&self, _: PartyId, model: Digest) {
        if let Err(error) = models::note_published(&self.root, model) {
            tracing::error!(%error, "the published model cannot be noted; `predict` has to be told its key epoch");
        }
    }
    fn figures(&self, _: PartyId, figures: &PooledFigures) {
        if let Err(error) = models::note_figures(&self.root, figures) {
            tracing::error!(%error, "the model's figures cannot be noted; the next start of the service does it again");
        }
    }
    fn held_back(&self, _: PartyId, until_s: Option<u64>) {
        if let Err(error) = hours::note(&self.root, until_s) {
            tracing::error!(%error, "`hospital status` cannot be told that training waits for this site's hours");
        }
    }
    fn charged(&self, _: PartyId, by_asker: &BTreeMap<PartyId, u64>) {
        self.count(|questions| questions.charge(by_asker));
    }
    fn evaluated(&self, _: PartyId, _: QueryId, fetched_bytes: u64) {
        self.count(|questions| questions.evaluated(fetched_bytes));
    }
    fn shown(&self, _: PartyId, entry: &LogEntry) {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = copy.take(entry) {
            tracing::error!(%error, "the copy of the log ends here; the next start of the service continues it");
        }
    }
    fn activity(&self, _: PartyId, _: Activity) {}
    fn timed(&self, _: PartyId, _: RoundId, _: Timed, _: std::time::Duration) {}
    fn switched(&self, _: PartyId, _: QueryId, _: std::time::Duration) {}
    fn trained(&self, _: PartyId, _: RoundId, _: f64, _: usize) {}
    fn refused(&self, _: PartyId, _: &str) {}
}
