//! One hospital's state: its folder, keys, data and model. Its methods, spread over the files of this folder by step,
//! compute and store; none of them talks to the network.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datasets::Samples;
use he_agg::aggregation::Flooding;
use he_agg::multiparty::{Crs, RelinEphemeral};
use he_train::Whitening;
use protocol::codec::Wire;
use protocol::drive::{Store, Stream};
use protocol::facts::{Fact, HospitalFacts};
use protocol::message::KeySet;
use protocol::store::Journal;

use super::adoption::CurrentModel;
use super::dealt_keys::DealtKeys;
use super::error::{HospitalError, Step};
use super::evaluation::Evaluations;
use super::gates::Gates;
use super::holdings::Holdings;
use super::images::{HeldOut, SiteImages, SiteRows};
use super::key_crs::KeyCrs;
use super::key_sums::KeySums;
use super::keyring::Keyring;
use super::observer::Observer;
use super::outbox::Outbox;
use super::part_sums::PartSum;
use super::plan::HospitalPlan;
use super::site_store::SiteStore;
use super::training::SiteTraining;
use crate::ledger::DiskLedger;
use crate::privacy_ledger::PrivacyLedger;
use crate::train::Trainer;
use crate::vault::Vault;

/// Everything a hospital owns.
pub(super) struct Site {
    pub(super) plan: HospitalPlan,
    pub(super) trainer: Trainer,
    pub(super) data: Samples,
    /// `None` where the site keeps its figures.
    pub(super) held_out: Option<HeldOut>,
    /// Where a head is trained.
    pub(super) rows: Option<SiteRows>,
    /// What makes its features uncorrelated, once that was looked up.
    pub(super) whitening: Option<Whitening>,
    pub(super) vault: Arc<Vault>,
    pub(super) journal: Arc<Journal>,
    pub(super) training_ledger: DiskLedger,
    pub(super) serving_ledger: DiskLedger,
    pub(super) outbox: Arc<Outbox>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) crs: Option<KeyCrs>,
    pub(super) dealt: Option<DealtKeys>,
    pub(super) keys: Option<Keyring>,
    /// What round two of a set's relinearisation key consumes, between the rounds.
    pub(super) relin: Option<(KeySet, RelinEphemeral)>,
    /// Sums of the serving keys' shares, as this site adds them.
    pub(super) sums: KeySums,
    /// Keys with which others' ciphertexts are lifted.
    pub(super) gates: Gates,
    /// Keys and model as this site added them up, on disk.
    pub(super) holdings: Holdings,
    /// What the coins of all come to, once all planes are held.
    pub(super) plane_coins: OnceLock<[u8; 32]>,
    /// What is being added up part by part.
    pub(super) adding: Option<PartSum>,
    pub(super) evaluations: Evaluations,
    pub(super) current: CurrentModel,
    /// The training of a head under way.
    pub(super) training: SiteTraining,
    /// What its patients have shown, where the plan hides them.
    pub(super) privacy: Option<PrivacyLedger>,
}

impl Site {
    /// Opens a site's folder: `vault/`, `journal.sqlite`, `spool/` and `sums/` below `root`.
    pub(super) fn open(
        root: &Path,
        vault: Arc<Vault>,
        plan: HospitalPlan,
        images: SiteImages,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, HospitalError> {
        let party = plan.party;
        let io = |action, path: PathBuf| move |source| HospitalError::Io { action, path, source };
        std::fs::create_dir_all(root).map_err(io("create", root.to_path_buf()))?;
        let journal = Arc::new(Journal::open(&root.join("journal.sqlite"))?);
        let trainer = Trainer::on(plan.device.clone(), plan.program.network(), plan.training.clone())
            .map_err(|source| HospitalError::Train { party, source })?;
        let first = || match &plan.start {
            Some(start) => start.to_vec(),
            None => trainer.initial_parameters(plan.seed),
        };
        let current = CurrentModel::open(&vault, &journal, &plan, first)?;
        let privacy = match (&plan.privacy, &plan.patients) {
            (None, _) => None,
            (Some(_), Some(patients)) => Some(PrivacyLedger::open(&patients.ledger)?),
            // A site that only serves trains nothing; whatever would show patients asks for the ledger.
            (Some(_), None) => None,
        };
        let holdings = Holdings::open(&root.join("sums"), Arc::clone(&journal), plan.epoch)?;
        Ok(Self {
            training_ledger: ledger(&journal, "training", &plan, plan.layout.flooding())?,
            serving_ledger: ledger(&journal, "serving", &plan, plan.release.flooding)?,
            outbox: Arc::new(Outbox::open(&root.join("spool"), Arc::clone(&journal), plan.epoch)?),
            plan,
            trainer,
            data: images.train,
            held_out: images.held_out,
            rows: images.rows,
            whitening: None,
            vault,
            journal,
            observer,
            crs: None,
            dealt: None,
            keys: None,
            relin: None,
            sums: KeySums::default(),
            gates: Gates::default(),
            holdings,
            plane_coins: OnceLock::new(),
            adding: None,
            evaluations: Evaluations::default(),
            current,
            training: SiteTraining::default(),
            privacy,
        })
    }

    /// The store of this site's driver.
    pub(super) fn store(&self) -> SiteStore {
        SiteStore {
            journal: Arc::clone(&self.journal),
            vault: Arc::clone(&self.vault),
            outbox: Arc::clone(&self.outbox),
            epoch: self.record(""),
        }
    }

    /// Whether this hospital has added a published model up.
    ///
    /// # Errors
    /// [`HospitalError`] where the stored facts cannot be read.
    pub(super) fn has_published(&self) -> Result<bool, HospitalError> {
        Ok(self.facts()?.model_checked().is_some())
    }

    /// What this site must never forget of this key epoch, as stored.
    ///
    /// # Errors
    /// [`HospitalError`] where it cannot be read.
    pub(super) fn facts(&self) -> Result<HospitalFacts, HospitalError> {
        let facts = self.store().read(Stream::Facts).map_err(HospitalError::Fault)?;
        let facts = facts.iter().map(|bytes| Fact::from_bytes(bytes)).collect::<Result<HospitalFacts, _>>();
        facts.step("reading the stored facts")
    }

    /// A record's name in this key epoch: nothing of one epoch may be mistaken for another's.
    pub(super) fn record(&self, name: &str) -> String {
        format!("epoch-{}-{name}", self.plan.epoch)
    }

    /// That of the keys of serving.
    pub(super) fn crs(&self, step: &'static str) -> Result<&Crs, HospitalError> {
        Ok(self.key_crs(step)?.serving())
    }

    pub(super) fn crs_of(&self, set: KeySet, step: &'static str) -> Result<&Crs, HospitalError> {
        self.key_crs(step)?.of(set).ok_or(HospitalError::NoKeys { step })
    }

    pub(super) fn key_crs(&self, step: &'static str) -> Result<&KeyCrs, HospitalError> {
        self.crs.as_ref().ok_or(HospitalError::NoKeys { step })
    }
}

/// Every key epoch has its own budget and its own claims.
pub(super) fn ledger(
    journal: &Arc<Journal>,
    name: &str,
    plan: &HospitalPlan,
    flooding: Flooding,
) -> Result<DiskLedger, HospitalError> {
    Ok(DiskLedger::open(Arc::clone(journal), &format!("epoch-{}-{name}", plan.epoch), flooding)?)
}
