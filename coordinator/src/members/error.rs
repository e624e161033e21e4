//! Why the book of members refuses.

use std::borrow::Cow;

use protocol::codec::DecodeError;
use protocol::limits::PARTIES_MAX;
use protocol::net::{CredentialError, PeerName};
use protocol::store::JournalError;
use remedy::{Exit, Explained};

use super::INVITES_OPEN_MAX;

/// Why the book refuses what an operator asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembersError {
    /// The book cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry is none.
    #[error("{space} entry {key} of the members' book is damaged: {source}")]
    Damaged {
        /// Which kind.
        space: &'static str,
        /// Its key, in hexadecimal where it is not a name.
        key: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// A member has this name, or had it.
    #[error("{name} is a member already, or was one")]
    NameTaken {
        /// The name.
        name: PeerName,
    },
    /// As many members as a consortium has at most.
    #[error("{PARTIES_MAX} sites are members, which is the most")]
    Full,
    /// As many invitations as may be open.
    #[error("{INVITES_OPEN_MAX} invitations are open, which is the most")]
    TooManyInvites,
    /// Nobody of this name has asked.
    #[error("no site named {name} has asked to join")]
    NobodyAsked {
        /// The name.
        name: PeerName,
    },
    /// The words are not this site's.
    #[error("the words are not those of {name}")]
    WordsDiffer {
        /// The name.
        name: PeerName,
    },
    /// No such member.
    #[error("{name} is no member")]
    NoMember {
        /// The name.
        name: PeerName,
    },
    /// A certificate that is not for the keys with which the site asked.
    #[error("the certificate of {name} is not for the keys with which it asked")]
    OtherKeys {
        /// The name.
        name: PeerName,
    },
    /// It got a certificate a moment ago.
    #[error("{name} got a certificate within the hour")]
    TooSoon {
        /// The name.
        name: PeerName,
    },
    /// The certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The system yields no randomness.
    #[error("the system yields no randomness")]
    Randomness,
}

impl Explained for MembersError {
    fn code(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => "name_taken",
            Self::Full => "members_full",
            Self::TooManyInvites => "too_many_invites",
            Self::NobodyAsked { .. } => "nobody_asked",
            Self::WordsDiffer { .. } => "words_differ",
            Self::NoMember { .. } => "no_member",
            Self::TooSoon { .. } => "too_soon",
            Self::OtherKeys { .. } => "other_keys",
            Self::Credential(_) => "certificate",
            _ => "members_book",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NameTaken { .. } => {
                "invite the site under another name; add --back for the member itself, if it has lost its certificate"
            }
            Self::Full => "revoke a site that has left, or open a second consortium",
            Self::TooManyInvites => "wait until some have expired, and make the next ones valid for a shorter time",
            Self::NobodyAsked { .. } => {
                "`consilium coordinator sites` lists who has; the site runs `consilium hospital join`"
            }
            Self::WordsDiffer { .. } => {
                "have them read again; if they differ once more somebody is in between: do not approve, call for help"
            }
            Self::NoMember { .. } => "`consilium coordinator sites` lists the members",
            Self::TooSoon { .. } => "wait an hour; the certificate that it has is valid",
            Self::Journal(error) if error.no_space_left() => "free space on the disk; nothing was lost",
            Self::Journal(_) | Self::Damaged { .. } => "restore the coordinator's folder from its backup",
            Self::OtherKeys { .. } => {
                "do not use this file: somebody changed it, or its requests; write new ones and have them signed"
            }
            Self::Credential(CredentialError::NotIssued) => {
                "check the clock; then write new requests and have them signed by this coordinator's authority"
            }
            Self::Credential(_) | Self::Randomness => "set the clock, and check the system's random generator",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NameTaken { .. } | Self::NobodyAsked { .. } | Self::NoMember { .. } => Exit::BadInput,
            Self::Full | Self::TooManyInvites | Self::TooSoon { .. } => Exit::Refused,
            Self::WordsDiffer { .. } | Self::OtherKeys { .. } => Exit::Verification,
            Self::Credential(CredentialError::NotIssued) => Exit::Verification,
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            _ => Exit::Failed,
        }
    }
}
