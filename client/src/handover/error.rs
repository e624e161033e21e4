//! Why a model is not handed over.

use std::borrow::Cow;
use std::io;

use protocol::codec::DecodeError;
use protocol::ids::Epoch;
use protocol::sealed::SealError;
use remedy::{Exit, Explained};

use crate::consent::ConsentError;
use crate::models::ModelsError;
use crate::vault::{KeysError, VaultError};

/// Why a model is not handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// Training begins anew.
    #[error("the plan of key epoch {epoch} does not go on from an earlier model")]
    NoBase {
        /// The key epoch.
        epoch: Epoch,
    },
    /// This site has no key of the epoch yet.
    #[error("this site has not begun its part in key epoch {epoch}")]
    NotBegun {
        /// The key epoch.
        epoch: Epoch,
    },
    /// This site's officer did not approve the members.
    #[error("the members of key epoch {epoch} are not approved here")]
    NotApproved {
        /// The key epoch.
        epoch: Epoch,
    },
    /// The file is for another key epoch, or for other members.
    #[error("the file is for key epoch {asked} and its members, not for key epoch {epoch} as it is proposed")]
    OtherProposal {
        /// In the file.
        asked: Epoch,
        /// As proposed.
        epoch: Epoch,
    },
    /// The signature is not that of the site that the file names.
    #[error("the request is not signed by the site that it names")]
    Forged,
    /// Something else.
    #[error("this is no file of a hand-over")]
    OtherFile,
    /// Cut or changed.
    #[error("the file is damaged: {0}")]
    Damaged(DecodeError),
    /// Not the model from which the plan goes on.
    #[error("the model in the file is not the one from which the plan goes on")]
    OtherModel,
    /// The box does not open, or cannot be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The model that this site holds.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// What this site approved.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The vault of the epoch.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key in it.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// What leaves the building could not be written down.
    #[error("the line of what leaves this site could not be written: {0}")]
    Unrecorded(io::Error),
}

impl Explained for HandoverError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoBase { .. } => "no_model_to_go_on_from",
            Self::NotBegun { .. } => "not_begun",
            Self::NotApproved { .. } => "not_approved",
            Self::OtherProposal { .. } => "other_proposal",
            Self::Forged => "forged",
            Self::OtherFile | Self::Damaged(_) => "handover_file",
            Self::OtherModel | Self::Seal(_) => "other_model",
            Self::Models(error) => error.code(),
            Self::Consent(error) => error.code(),
            Self::Vault(_) | Self::Keys(_) => "vault",
            Self::Unrecorded(_) => "not_recorded",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoBase { .. } => "nothing has to be handed over; `consilium hospital terms` shows the plan",
            Self::NotBegun { .. } => {
                "approve members and terms, and let `consilium hospital serve` run until `hospital status` says that \
                 the model is missing"
            }
            Self::NotApproved { .. } => "have this site's officer run `consilium hospital approve membership`",
            Self::OtherProposal { .. } => "name the key epoch with --epoch, or have the file made again",
            Self::Forged => "do not answer it; telephone the site that is said to have asked",
            Self::OtherFile | Self::Damaged(_) => "have the file sent again",
            Self::OtherModel | Self::Seal(_) => "ask the member to give it again, for a new request of this site",
            Self::Models(error) => return error.remedy(),
            Self::Consent(error) => return error.remedy(),
            Self::Vault(error) if error.no_space_left() => "free space on the disk, then try again",
            Self::Vault(_) | Self::Keys(_) => "restore this site's folder from its backup",
            Self::Unrecorded(_) => "free space on the disk of this site's folder, then try again: nothing has left it",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoBase { .. } | Self::NotBegun { .. } | Self::OtherProposal { .. } => Exit::BadInput,
            Self::OtherFile | Self::Damaged(_) => Exit::BadInput,
            Self::NotApproved { .. } => Exit::Refused,
            Self::Forged | Self::OtherModel | Self::Seal(_) => Exit::Verification,
            Self::Models(error) => error.exit(),
            Self::Consent(error) => error.exit(),
            Self::Vault(error) if error.no_space_left() => Exit::StorageFull,
            Self::Vault(_) | Self::Keys(_) => Exit::Failed,
            Self::Unrecorded(source) => Exit::of_io(source),
        }
    }
}
