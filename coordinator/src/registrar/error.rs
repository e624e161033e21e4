//! Why an authority does not sign.

use std::borrow::Cow;

use protocol::net::{CredentialError, PeerName};
use protocol::store::JournalError;
use remedy::{Exit, Explained};

/// Why an authority does not sign; nothing was signed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrarError {
    /// The book cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Requests for somebody else.
    #[error("these requests are for another authority")]
    OtherAuthority,
    /// This authority serves one coordinator.
    #[error("these requests are of another coordinator than the one that this authority has signed for")]
    OtherCoordinator,
    /// A name that has other keys.
    #[error("{name} was signed for with other keys or as another organisation")]
    OtherSite {
        /// The name.
        name: PeerName,
    },
    /// A member of which this book knows nothing.
    #[error("{name} asks for its next certificate, and this authority never signed one for it")]
    NeverSigned {
        /// The name.
        name: PeerName,
    },
    /// The words are another's.
    #[error("the words are not those of {name}")]
    WordsDiffer {
        /// The name.
        name: PeerName,
    },
    /// The certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl Explained for RegistrarError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherAuthority => "other_authority",
            Self::OtherCoordinator => "other_coordinator",
            Self::OtherSite { .. } => "other_keys",
            Self::NeverSigned { .. } => "never_signed",
            Self::WordsDiffer { .. } => "words_differ",
            Self::Journal(_) | Self::Credential(_) => "authority",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::OtherAuthority => "name the folder of the right authority with --folder",
            Self::OtherCoordinator => "make an authority for each coordinator: `consilium coordinator authority`",
            Self::OtherSite { .. } => {
                "ask the site by telephone; if it has lost its keys, invite it under another name: this one stays bound"
            }
            Self::NeverSigned { .. } => {
                "do not sign: the coordinator shows a member whom nobody let in here; restore this authority's folder \
                 from its newest copy if it was lost"
            }
            Self::WordsDiffer { .. } => {
                "have them read again; if they differ once more the requests were changed: do not sign, call for help"
            }
            Self::Journal(error) if error.no_space_left() => "free space on the disk; nothing was lost",
            Self::Journal(_) => "restore the authority's folder from its copy",
            Self::Credential(_) => "set this machine's clock, and check the system's random generator",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::OtherAuthority => Exit::BadInput,
            Self::OtherCoordinator | Self::OtherSite { .. } | Self::NeverSigned { .. } => Exit::Refused,
            Self::WordsDiffer { .. } => Exit::Verification,
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            Self::Journal(_) | Self::Credential(_) => Exit::Failed,
        }
    }
}
