//! The officer's desk: what is proposed to the hospital and on which terms, who belongs to it, what was approved, what
//! answers have cost, the hospital's own rules, and the file for an auditor.
//!
//! Nothing here speaks to the coordinator. The site's service notes what it has checked of a proposal in the hospital's
//! folder; an officer's word goes into the hospital's book of consents, where the service finds it.

mod approving;
mod page;
pub(crate) mod routes;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use client::bundle::bundled_epochs;
use client::consent::{ConsentBook, GivenApproval, Seen, noted, noted_epochs};
use client::data_sets::DataSets;
use client::questions::{self, Questions};
use client::service::{NotedStand, noted_stands};
use client::site_file::site_file;
use experiment::Policy;
use protocol::ids::Epoch;

/// Key epochs that are shown on one page: each plan is derived anew.
const EPOCHS_SHOWN_MAX: usize = 8;

/// Why the desk cannot be laid out: for the log, in the words of whoever found it.
type Unreadable = Box<dyn std::error::Error + Send + Sync>;

/// A key epoch.
pub(super) struct Matter {
    pub(super) seen: Seen,
    /// How the site's service stands in it.
    pub(super) stand: Option<NotedStand>,
    pub(super) has_members: bool,
    /// The data set with which its terms are approved.
    pub(super) data: Option<String>,
    /// What answers have cost.
    pub(super) charged: Option<Questions>,
    /// Names of those who were charged, by their numbers.
    pub(super) askers: BTreeMap<u16, String>,
    /// Approvals of its members and its terms.
    pub(super) approvals: Vec<GivenApproval>,
    /// Whether there is a file for an auditor.
    pub(super) has_bundle: bool,
}

/// Everything on the desk.
pub(super) struct Office {
    /// Newest first.
    pub(super) matters: Vec<Matter>,
    /// Key epochs that are not shown: they are older.
    pub(super) older: Vec<Epoch>,
    /// Key epochs whose proposal cannot be read, and why.
    pub(super) unreadable: Vec<(Epoch, String)>,
    pub(super) policy: Policy,
    /// Whether secrets of key ceremonies are kept for an audit.
    pub(super) keeps: bool,
}

impl Office {
    /// Lays out what lies in a hospital's folder.
    pub(super) fn of(root: &Path) -> Result<Self, Unreadable> {
        let site = site_file(root)?;
        let mut epochs = noted_epochs(root)?;
        epochs.reverse();
        let older = epochs.split_off(epochs.len().min(EPOCHS_SHOWN_MAX));
        let (mut matters, mut unreadable) = (Vec::new(), Vec::new());
        for epoch in epochs {
            match Matter::of(root, epoch) {
                Ok(matter) => matters.extend(matter),
                Err(error) => unreadable.push((epoch, error.to_string())),
            }
        }
        Ok(Self { matters, older, unreadable, policy: site.policy, keeps: site.audit.keeps() })
    }
}

impl Matter {
    /// What lies in a hospital's folder of a key epoch; `None` where nothing was ever proposed under this number.
    pub(super) fn of(root: &Path, epoch: Epoch) -> Result<Option<Self>, Unreadable> {
        let Some(seen) = noted(root, epoch)? else { return Ok(None) };
        let book = ConsentBook::open(root)?;
        let (members, terms) = (seen.membership, seen.terms.digest());
        let mut approvals = book.approvals()?;
        let (members_text, terms_text) = (members.to_string(), terms.to_string());
        approvals.retain(|it| it.digest == members_text || (it.digest == terms_text && it.epoch == epoch.0));
        let charged = questions::of_epoch(root, epoch)?;
        let numbers = charged.iter().flat_map(|charged| charged.by_asker.keys());
        let askers = numbers.map(|number| (*number, questions::name_of(root, epoch, *number))).collect();
        Ok(Some(Self {
            stand: noted_stands(root)?.remove(&epoch),
            has_members: book.has_membership(members)?,
            data: book.terms(epoch, terms)?,
            has_bundle: bundled_epochs(root)?.contains(&epoch),
            charged,
            askers,
            approvals,
            seen,
        }))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.seen.standing.proposal.epoch
    }

    /// The plan's name.
    pub(super) fn name(&self) -> &str {
        self.seen.plan.name()
    }

    /// Whether it is under way here: another data set would count from the next start of the service on, which no page
    /// says well enough.
    pub(super) fn takes_part(&self) -> bool {
        matches!(self.stand, Some(NotedStand::TakesPart))
    }

    /// Whether it can still be approved.
    pub(super) fn is_open(&self) -> bool {
        let is_over = matches!(self.stand, Some(NotedStand::Over { .. }));
        !is_over && self.seen.standing.stage != protocol::consent::Stage::Over
    }
}

/// Names of the hospital's data sets.
pub(super) fn data_sets(root: &Path) -> Result<Vec<String>, Unreadable> {
    Ok(DataSets::load(root)?.all().iter().map(|set| set.name.clone()).collect())
}
