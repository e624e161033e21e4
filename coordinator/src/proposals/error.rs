//! Why the book of proposals refuses.

use std::borrow::Cow;

use protocol::codec::DecodeError;
use protocol::consent::{EPOCHS_MAX, PLAN_BYTES_MAX};
use protocol::ids::Epoch;
use protocol::membership::MembershipError;
use protocol::roster::RosterError;
use protocol::store::JournalError;
use remedy::{Exit, Explained};

/// Why the book refuses what an operator asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposalsError {
    /// The book cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry is none.
    #[error("a {space} entry of the book of proposals is damaged: {source}")]
    Damaged {
        /// Which kind.
        space: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// The members do not make a membership.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The approvals do not make a roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The plan.
    #[error("the plan has {bytes} bytes, it may have {PLAN_BYTES_MAX}")]
    PlanTooLong {
        /// Its length.
        bytes: usize,
    },
    /// As many epochs as a consortium has at most.
    #[error("{EPOCHS_MAX} key epochs were proposed, which is the most")]
    Full,
    /// No such epoch.
    #[error("key epoch {epoch} was not proposed")]
    NoEpoch {
        /// Which.
        epoch: Epoch,
    },
}

impl Explained for ProposalsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Membership(_) | Self::Roster(_) => "membership",
            Self::PlanTooLong { .. } => "plan_too_long",
            Self::Full => "epochs_full",
            Self::NoEpoch { .. } => "no_epoch",
            _ => "proposals_book",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Membership(_) => "`consilium coordinator sites` lists the members; invite more, or correct the plan",
            Self::Roster(_) => "two members sent one sealing key; exclude one of them",
            Self::PlanTooLong { .. } => "shorten the experiment file",
            Self::Full => "open a new consortium",
            Self::NoEpoch { .. } => "`consilium coordinator status` lists the key epochs",
            Self::Journal(error) if error.no_space_left() => "free space on the disk; nothing was lost",
            Self::Journal(_) | Self::Damaged { .. } => "restore the coordinator's folder from its backup",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Membership(_) | Self::PlanTooLong { .. } | Self::NoEpoch { .. } => Exit::BadInput,
            Self::Full | Self::Roster(_) => Exit::Refused,
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            _ => Exit::Failed,
        }
    }
}
