//! An officer's approval of terms: what is tried before it is written down.

use std::borrow::Cow;
use std::path::Path;

use protocol::ids::Epoch;
use remedy::{Exit, Explained};

use super::{ConsentBook, ConsentError, Seen};
use crate::data_sets::{DataSets, DataSetsError};
use crate::plan::PlanError;
use crate::policy::{self, PolicyRefusal};
use crate::site_file::{SiteFileError, site_file};

/// Why terms cannot be approved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The digest, or the book.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// Which images.
    #[error(transparent)]
    DataSets(#[from] DataSetsError),
    /// They do not fit the plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The site's own rules do not allow it.
    #[error(transparent)]
    Policy(#[from] PolicyRefusal),
    /// The file with those rules.
    #[error(transparent)]
    SiteFile(#[from] SiteFileError),
}

impl ApprovalError {
    /// The error behind it, where that explains itself.
    fn inner(&self) -> Option<&dyn Explained> {
        match self {
            Self::Consent(error) => Some(error),
            Self::DataSets(error) => Some(error),
            Self::Plan(error) => Some(error),
            Self::SiteFile(error) => Some(error),
            Self::Policy(_) => None,
        }
    }
}

impl Explained for ApprovalError {
    fn code(&self) -> &'static str {
        self.inner().map_or("policy", Explained::code)
    }

    fn place(&self) -> Option<String> {
        self.inner().map_or_else(|| Some("site.toml [policy]".to_owned()), Explained::place)
    }

    fn remedy(&self) -> Cow<'static, str> {
        let own = "ask the operator for another plan; the site's own rules stand in its site.toml";
        self.inner().map_or(Cow::Borrowed(own), Explained::remedy)
    }

    fn exit(&self) -> Exit {
        self.inner().map_or(Exit::Refused, Explained::exit)
    }
}

/// Terms that were approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedTerms {
    /// For this key epoch.
    pub epoch: Epoch,
    /// The data set that is trained on.
    pub data: String,
    /// Its training images.
    pub images: usize,
}

/// Approves the terms of this digest for a data set, the only one if none is named, after trying whether both fit the
/// rules of the site in this folder. Reads the images.
///
/// # Errors
/// [`ApprovalError`], after which nothing has changed.
pub fn approve_terms(
    root: &Path,
    book: &ConsentBook,
    seen: &Seen,
    digest: &str,
    data: Option<&str>,
    by: &str,
) -> Result<ApprovedTerms, ApprovalError> {
    let sets = DataSets::load(root)?;
    let set = sets.find(data)?;
    let images = set.read(&seen.plan)?.train.len();
    policy::check(&site_file(root)?.policy, &seen.plan, images)?;
    book.approve_terms(seen, digest, &set.name, by)?;
    Ok(ApprovedTerms { epoch: seen.standing.proposal.epoch, data: set.name.clone(), images })
}
