//! Why a bundle cannot be made or checked.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use protocol::ids::{Digest, Epoch};
use protocol::store::{FileFault, JournalError};
use protocol::verifier::VerifyError;
use remedy::{Exit, Explained};

use crate::consent::ConsentError;

/// Why a bundle cannot be made or checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Nothing of this key epoch is here.
    #[error("{}: no proposal of key epoch {epoch} was noted, or no log of it was read", folder.display())]
    NoEpoch {
        /// The site's folder.
        folder: PathBuf,
        /// Which.
        epoch: Epoch,
    },
    /// A file of the site.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The proposal, or the book of approvals.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The site's journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry of it.
    #[error("the journal of key epoch {epoch} is damaged")]
    JournalDamaged {
        /// The epoch.
        epoch: Epoch,
    },
    /// What left the building.
    #[error("{}: {source}", folder.display())]
    Sent {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The bundle cannot be written.
    #[error("the bundle cannot be written: {0}")]
    Write(io::Error),
    /// The bundle cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is none.
    #[error("{}: {found}", path.display())]
    NoBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// A part of it was changed after it was written.
    #[error("{}: its part {part} is not the one that its manifest names", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The part.
        part: &'static str,
    },
    /// A part of it is not what it should be.
    #[error("{}: its part {part}: {found}", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// The part.
        part: &'static str,
        /// What is wrong.
        found: String,
    },
    /// It is of other members than the officer knows.
    #[error("{}: its members are {found}, not {expected}", path.display())]
    OtherMembers {
        /// The file.
        path: PathBuf,
        /// Their digest.
        found: Digest,
        /// As given.
        expected: Digest,
    },
    /// The log is not one that its coordinator signed, or breaks a rule of the protocol.
    #[error("{}: the log is not to be trusted: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The first bad entry.
        source: VerifyError,
    },
}

impl Explained for BundleError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoEpoch { .. } => "bundle_epoch",
            Self::Consent(error) => error.code(),
            Self::Altered { .. } => "bundle_altered",
            Self::OtherMembers { .. } => "bundle_members",
            Self::Log { .. } => "bundle_log",
            Self::NoBundle { .. } | Self::Part { .. } => "bundle_form",
            Self::File(_) | Self::Journal(_) | Self::JournalDamaged { .. } | Self::Sent { .. } => "bundle_source",
            Self::Write(_) | Self::Read { .. } => "bundle_file",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoEpoch { folder, .. } | Self::Sent { folder, .. } => Some(folder.display().to_string()),
            Self::File(fault) => Some(fault.path.display().to_string()),
            Self::Consent(error) => error.place(),
            Self::Read { path, .. } | Self::NoBundle { path, .. } | Self::OtherMembers { path, .. } => {
                Some(path.display().to_string())
            }
            Self::Altered { path, part } | Self::Part { path, part, .. } => Some(format!("{}: {part}", path.display())),
            Self::Log { path, source: VerifyError { index, author, .. } } => {
                Some(format!("{}: entry {index} of the log, {author}", path.display()))
            }
            Self::Journal(_) | Self::JournalDamaged { .. } | Self::Write(_) => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoEpoch { .. } => {
                "name a key epoch that this site took part in with --epoch; `consilium hospital status` lists them"
            }
            Self::Consent(error) => return error.remedy(),
            Self::File(_) | Self::Sent { .. } => "correct the permissions of the site's folder, then try again",
            Self::Journal(_) | Self::JournalDamaged { .. } => "restore this site's folder from its backup",
            Self::Write(_) => "make space, or name another place with --to",
            Self::Read { .. } => "check the file's path and permissions",
            Self::NoBundle { .. } | Self::Part { .. } => {
                "have the site write it again with `consilium hospital bundle`, and use this release or a later one"
            }
            Self::Altered { .. } => "do not rely on it: have the site hand over the bundle anew, by another way",
            Self::OtherMembers { .. } => {
                "ask an officer of the consortium for the digest of its members; if it stays another, do not rely on it"
            }
            Self::Log { .. } => "ask other sites for their bundles, and rely on no result until they agree",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoEpoch { .. } | Self::NoBundle { .. } | Self::Part { .. } => Exit::BadInput,
            Self::Consent(error) => error.exit(),
            Self::Altered { .. } | Self::OtherMembers { .. } | Self::Log { .. } => Exit::Verification,
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Write(source) | Self::Read { source, .. } | Self::Sent { source, .. } => Exit::of_io(source),
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            Self::Journal(_) | Self::JournalDamaged { .. } => Exit::Failed,
        }
    }
}
