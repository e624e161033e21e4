//! Why a site does not consent.

use std::borrow::Cow;
use std::path::PathBuf;

use protocol::consent::ConsentFault;
use protocol::ids::Epoch;
use protocol::store::JournalError;
use remedy::{Exit, Explained};

use crate::enrolment::EnrolmentError;
use crate::plan::PlanError;

/// Why a site does not consent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// What the coordinator shows is not to be believed.
    #[error("key epoch {epoch}: {fault}")]
    Fault {
        /// Which epoch.
        epoch: Epoch,
        /// What is wrong.
        fault: ConsentFault,
    },
    /// The coordinator showed other promises of the same members before.
    #[error("key epoch {epoch}: the coordinator showed this site other promises of the same members before")]
    OtherPromises {
        /// Which epoch.
        epoch: Epoch,
    },
    /// The coordinator takes this site's promise and shows it to nobody.
    #[error("key epoch {epoch}: the coordinator does not keep this site's promise, so that no words come to be")]
    PromiseNotKept {
        /// Which epoch.
        epoch: Epoch,
    },
    /// The coordinator showed something else before under this number.
    #[error("key epoch {epoch}: the coordinator showed this site another proposal under this number before")]
    OtherProposal {
        /// Which epoch.
        epoch: Epoch,
    },
    /// Keys would be shared among others than the plan says.
    #[error("key epoch {epoch}: its plan wants {planned} decryptors, its members are to approve {proposed}")]
    ThresholdsDiffer {
        /// Which epoch.
        epoch: Epoch,
        /// The plan's threshold.
        planned: u16,
        /// The membership's.
        proposed: u16,
    },
    /// The typed words are others.
    #[error("the words differ: this site was shown other members than the officer who read aloud")]
    WordsDiffer,
    /// The digest is not that of the proposed terms.
    #[error("key epoch {epoch} proposes other terms: {proposed}")]
    TermsDiffer {
        /// Which epoch.
        epoch: Epoch,
        /// Digest of the proposed ones.
        proposed: String,
    },
    /// The plan.
    #[error("key epoch {epoch}: {source}")]
    Plan {
        /// Which epoch.
        epoch: Epoch,
        /// What is wrong with it.
        source: PlanError,
    },
    /// Nothing is proposed.
    #[error("nothing is proposed to this site")]
    NothingProposed,
    /// The connection, or the coordinator's refusal.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The book.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry of it.
    #[error("consent.sqlite: an entry of {space} is damaged")]
    Damaged {
        /// Which kind.
        space: &'static str,
    },
    /// What the service noted of a proposal.
    #[error("{}: {found}", path.display())]
    Noted {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The system yields no randomness.
    #[error("the system yields no randomness")]
    Randomness,
}

impl ConsentError {
    /// Whether trying again may succeed by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Enrolment(EnrolmentError::RefusedMember(reject)) => reject.is_repeatable(),
            Self::Enrolment(error) => error.is_transient(),
            Self::Journal(error) => error.no_space_left(),
            _ => false,
        }
    }
}

impl Explained for ConsentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fault { .. }
            | Self::OtherPromises { .. }
            | Self::PromiseNotKept { .. }
            | Self::OtherProposal { .. }
            | Self::ThresholdsDiffer { .. } => "proposal_false",
            Self::WordsDiffer => "words_differ",
            Self::TermsDiffer { .. } => "terms_differ",
            Self::Plan { source, .. } => source.code(),
            Self::NothingProposed => "nothing_proposed",
            Self::Enrolment(error) => error.code(),
            Self::Journal(_) | Self::Damaged { .. } => "consent_book",
            Self::Noted { .. } => "proposal_note",
            Self::Randomness => "randomness",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Enrolment(error) => error.place(),
            Self::Plan { source, .. } => source.place(),
            Self::Noted { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Fault { .. }
            | Self::OtherPromises { .. }
            | Self::PromiseNotKept { .. }
            | Self::OtherProposal { .. }
            | Self::ThresholdsDiffer { .. } => {
                "do not approve; call the other officers: the coordinator contradicts itself or them".into()
            }
            Self::WordsDiffer => {
                "have them read again; if they differ once more do not approve: call the other officers together".into()
            }
            Self::TermsDiffer { .. } => {
                "read `consilium hospital terms` again, and approve the digest it ends with".into()
            }
            Self::Plan { source, .. } => source.remedy(),
            Self::NothingProposed => "the operator proposes with `consilium coordinator run PLAN`".into(),
            Self::Enrolment(error) => error.remedy(),
            Self::Journal(error) if error.no_space_left() => "free space on the disk; nothing was lost".into(),
            Self::Journal(_) | Self::Damaged { .. } => "restore this site's folder from its backup".into(),
            Self::Noted { .. } => "remove it; the site's service writes it anew when it looks at the proposal".into(),
            Self::Randomness => "check the system's random generator".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fault { .. }
            | Self::OtherPromises { .. }
            | Self::PromiseNotKept { .. }
            | Self::OtherProposal { .. }
            | Self::ThresholdsDiffer { .. }
            | Self::WordsDiffer => Exit::Verification,
            Self::TermsDiffer { .. } | Self::NothingProposed => Exit::BadInput,
            Self::Plan { source, .. } => source.exit(),
            Self::Enrolment(error) => error.exit(),
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            _ => Exit::Failed,
        }
    }
}
