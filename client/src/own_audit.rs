//! `consilium audit own`: an auditor at the site has everything that it sent in a key epoch made once more.
//!
//! What it signed stands in its own journal, and in the coordinator's log. A site that lied may have rewritten its
//! journal since, so an auditor brings a copy of the log.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::blob::BodyRoot;
use protocol::ids::{Epoch, PartyId};
use protocol::message::SignedMessage;
use protocol::signature::VerifyingKey;
use protocol::store::{FileFault, Journal, JournalError};
use protocol::terms::Terms;
use remedy::{Exit, Explained};

use crate::consent::ConsentBook;
use crate::data_sets::DataSets;
use crate::earlier;
pub use crate::hospital::{Again, Object};
use crate::hospital::{AuditedSite, HospitalError, OwnPatients, SiteRows};
use crate::models::{self, ModelsError};
use crate::plan::{Plan, PlanError};
use crate::privacy_ledger::LEDGER_FILE;
use crate::service::epoch_folder;
use crate::train::TrainDevice;
use crate::vault::{KeysError, Vault, VaultError};

/// Why a site cannot be audited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnAuditError {
    /// No such key epoch.
    #[error("{}: this site took part in no such key epoch; it has {known}", folder.display())]
    NoEpoch {
        /// The epoch's folder.
        folder: PathBuf,
        /// Those that it has, or a word.
        known: String,
    },
    /// A file of the epoch's folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The list of members.
    #[error("{}: it is no list of members", path.display())]
    Members {
        /// The file.
        path: PathBuf,
    },
    /// This site is none of them.
    #[error("the members of key epoch {epoch} do not include the key with which this site signs")]
    NoMember {
        /// The epoch.
        epoch: Epoch,
    },
    /// The folders.
    #[error(transparent)]
    Folders(#[from] ModelsError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key with which it signs.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The site itself.
    #[error(transparent)]
    Hospital(#[from] HospitalError),
}

impl Explained for OwnAuditError {
    fn code(&self) -> &'static str {
        "audit_own"
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoEpoch { folder, .. } => Some(folder.display().to_string()),
            Self::Members { path } => Some(path.display().to_string()),
            Self::File(fault) => Some(fault.path.display().to_string()),
            Self::Folders(error) => error.place(),
            Self::Plan(error) => error.place(),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NoEpoch { .. } => "name the site's folder with --site, and one of its key epochs with --epoch".into(),
            Self::File(_) => "make space or correct the permissions of the folder, then try again".into(),
            Self::Members { .. } | Self::NoMember { .. } | Self::Vault(_) | Self::Keys(_) | Self::Journal(_) => {
                "restore this site's folder from its own backup".into()
            }
            Self::Folders(error) => error.remedy(),
            Self::Plan(error) => error.remedy(),
            Self::Hospital(_) => "use the release with which the site serves, on its own folder".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoEpoch { .. } => Exit::BadInput,
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Folders(error) => error.exit(),
            Self::Plan(error) => error.exit(),
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            Self::Hospital(error) if error.no_space_left() => Exit::StorageFull,
            _ => Exit::Failed,
        }
    }
}

/// One thing that the site sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub object: Object,
    /// What its head names.
    pub signed: BodyRoot,
    /// Whether the site's own key signed the head. Not so, somebody wrote into its journal.
    pub is_own: bool,
    /// What came of making it again.
    pub again: Again,
}

impl Finding {
    /// Whether the site sent what follows from its vault; `None` where that cannot be told.
    #[must_use]
    pub fn holds(&self) -> Option<bool> {
        match (&self.again, self.is_own) {
            (_, false) | (Again::Impossible(_), _) => Some(false),
            (Again::Made(made), true) => Some(*made == self.signed),
            (Again::NotKept(_), true) => None,
        }
    }
}

/// A site's key epoch, before anything was made again.
pub struct OwnAudit {
    epoch: Epoch,
    party: PartyId,
    verifying: VerifyingKey,
    coordinator: VerifyingKey,
    audited: AuditedSite,
    _scratch: Scratch,
}

impl OwnAudit {
    /// Opens a key epoch of the site in this folder: the newest if none is named. Its service may run.
    ///
    /// # Errors
    /// [`OwnAuditError`].
    pub fn open(site: &Path, epoch: Option<Epoch>) -> Result<Self, OwnAuditError> {
        let (epoch, root) = folder_of(site, epoch)?;
        let journal = root.join("journal.sqlite");
        let membership = earlier::members(&root)?.ok_or_else(|| OwnAuditError::Members { path: root.clone() })?;
        let text = models::plan_text(&root)?;
        let verifying = Vault::reopen_of_site(site, site)?.signing_key()?.verifying_key();
        let place = membership.seats.iter().position(|seat| seat.verifying == verifying);
        let number = place.and_then(|place| u16::try_from(place + 1).ok()).and_then(PartyId::new);
        let party = number.ok_or(OwnAuditError::NoMember { epoch })?;
        let plan = Plan::of_consortium(&format!("plan of key epoch {epoch}"), &text, membership.seats.len())?;
        let terms = plan.terms()?;
        let rows = plan.head().and_then(|_| rows(site, epoch, &terms, &plan));
        let mut plan = plan.hospital((party, epoch), &membership, &terms, TrainDevice::cpu());
        let scratch = Scratch::new(&root)?;
        if plan.privacy.is_some() {
            plan.patients = Some(patients(site, &scratch.0)?);
        }
        Journal::open(&journal)?.copy_to(&scratch.0.join("journal.sqlite"))?;
        let vault = Arc::new(Vault::reopen_of_site(site, &root)?);
        let audited = AuditedSite::open(&root, &scratch.0, vault, plan, rows)?;
        Ok(Self { epoch, party, verifying, coordinator: membership.coordinator, audited, _scratch: scratch })
    }

    /// The key epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The site's number in it.
    #[must_use]
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// Verifies the coordinator's log, by the membership that this site's officer approved.
    #[must_use]
    pub fn coordinator(&self) -> VerifyingKey {
        self.coordinator
    }

    /// Makes everything again that the site signed for by its own journal, or by what a `log` of the coordinator's says
    /// of it, and tells each as it comes.
    ///
    /// # Errors
    /// [`OwnAuditError::Hospital`] where the site itself fails.
    pub fn run(
        &mut self,
        log: Option<&[SignedMessage]>,
        mut tell: impl FnMut(&Finding),
    ) -> Result<Vec<Finding>, OwnAuditError> {
        let mut heads: Vec<SignedMessage> = self.audited.signed().cloned().collect();
        // The log's word for a thing stands beside the journal's where they differ.
        for message in log.unwrap_or_default() {
            if !heads.iter().any(|known| known.body == message.body) {
                heads.push(message.clone());
            }
        }
        let mut found = Vec::new();
        for message in heads {
            let is_own =
                message.author == self.party && message.epoch == self.epoch && message.is_signed_by(&self.verifying);
            for (object, signed) in Object::of(&message.body) {
                let again = self.audited.again(&object, &message.body)?;
                let finding = Finding { object, signed, is_own, again };
                tell(&finding);
                found.push(finding);
            }
        }
        Ok(found)
    }
}

/// What was charged, by a copy of the site's ledger: an audit charges for nothing. What is not in it was encrypted
/// uncharged.
fn patients(site: &Path, scratch: &Path) -> Result<OwnPatients, OwnAuditError> {
    let (own, ledger) = (site.join(LEDGER_FILE), scratch.join(LEDGER_FILE));
    if own.exists() {
        Journal::open(&own)?.copy_to(&ledger)?;
    }
    // Nothing is trained again, so nobody asks how many there are.
    Ok(OwnPatients { declared: 1, ledger, budget: None })
}

/// The rows of a head, of the data set with which its terms were approved, as it is now; `None` where it cannot be
/// read.
fn rows(site: &Path, epoch: Epoch, terms: &Terms, plan: &Plan) -> Option<SiteRows> {
    let name = ConsentBook::open(site).ok()?.terms(epoch, terms.digest()).ok()??;
    let sets = DataSets::load(site).ok()?;
    let dataset = sets.find(Some(&name)).ok()?.read(plan).ok()?;
    plan.site_images(dataset, false).ok()?.rows
}

/// The key epoch that is meant, and its folder.
fn folder_of(site: &Path, epoch: Option<Epoch>) -> Result<(Epoch, PathBuf), OwnAuditError> {
    let has_begun = |epoch: &Epoch| epoch_folder(site, *epoch).join("journal.sqlite").exists();
    let epochs: Vec<Epoch> = models::epochs(site)?.into_iter().filter(has_begun).collect();
    let meant = epoch.or(epochs.last().copied()).filter(|epoch| epochs.contains(epoch));
    match meant {
        Some(epoch) => Ok((epoch, epoch_folder(site, epoch))),
        None => {
            let known: Vec<String> = epochs.iter().map(ToString::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let folder = epoch.map_or_else(|| site.join("epochs"), |epoch| epoch_folder(site, epoch));
            Err(OwnAuditError::NoEpoch { folder, known })
        }
    }
}

/// A folder for what is made again, beside what was sent: as private, and on the same disk. Goes with the audit.
struct Scratch(PathBuf);

impl Scratch {
    fn new(root: &Path) -> Result<Self, FileFault> {
        let path = root.join(format!("audit-{}", std::process::id()));
        // Of a process that had this number before and was killed.
        let _ = fs::remove_dir_all(&path);
        crate::vault::create_private(&path).map_err(|source| FileFault {
            action: "create",
            path: path.clone(),
            source,
        })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing in it is secret: what it holds was sent, and the journal's copy is the journal.
        let _ = fs::remove_dir_all(&self.0);
    }
}
