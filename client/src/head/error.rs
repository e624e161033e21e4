//! Why a hospital does not do what it is asked for.

use he_agg::aggregation::PermitError;
use he_agg::multiparty::{CeremonyError, GateHolderError};
use he_train::encrypted::HeadError;
use protocol::Reject;

/// Nothing left the hospital. `E` is what its ledger says where it fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadRefusal<E: std::error::Error + 'static> {
    /// Not what the step at hand leaves. Either whoever asks cheats, or one of the two computers errs; what was trained
    /// is worth nothing to it without a refresh.
    #[error(
        "what is to be refreshed is not what step {step} leaves when this hospital takes it itself: nothing was \
         shared; compare the coordinator's record of this step with another hospital's"
    )]
    OtherStep {
        /// From 1.
        step: usize,
    },
    /// A step that is over, or has not come.
    #[error("a refresh of step {asked} was asked for, and step {at} is at hand: nothing was shared")]
    NotAtHand {
        /// From 1.
        asked: u64,
        /// From 1.
        at: usize,
    },
    /// Zeros are for another attempt than the first.
    #[error("zeros for the first attempt at step {step} were asked for, which takes none: nothing was sent")]
    FirstAttempt {
        /// From 1.
        step: usize,
    },
    /// Sums of other packages than the step leaves.
    #[error("{found} sums of step {step} are to be opened, it leaves {expected} packages: nothing was opened")]
    Sums {
        /// From 1.
        step: usize,
        /// As asked.
        found: usize,
        /// As left.
        expected: usize,
    },
    /// The head or its arithmetic.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// What was asked for before, otherwise; a budget that is spent; the disk.
    #[error(transparent)]
    Permit(#[from] PermitError<E>),
    /// The same of what is encrypted, or something of another key.
    #[error(transparent)]
    Holder(#[from] GateHolderError<E>),
    /// Bytes that are no part of this refresh.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
}

impl<E: std::error::Error + 'static> HeadRefusal<E> {
    /// What others are told of it, where there is something that concerns them: the rest is this hospital's own.
    pub fn reject(&self) -> Option<Reject> {
        match self {
            Self::OtherStep { .. } => Some(Reject::StepDiffers),
            Self::NotAtHand { .. } | Self::FirstAttempt { .. } => Some(Reject::OutOfTurn),
            Self::Sums { .. } | Self::Head(_) => Some(Reject::BadRefresh),
            Self::Permit(permit) | Self::Holder(GateHolderError::Permit(permit)) => match permit {
                PermitError::Conflict { .. } => Some(Reject::AlreadyReleased),
                PermitError::Exhausted(_) => Some(Reject::BudgetSpent),
                _ => None,
            },
            Self::Holder(GateHolderError::Ceremony(CeremonyError::RefreshRange { .. })) => Some(Reject::RefreshRange),
            Self::Ceremony(_) => Some(Reject::BadRefresh),
            Self::Holder(_) => None,
        }
    }
}
