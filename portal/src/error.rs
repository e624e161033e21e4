//! Why a portal, or a dashboard, cannot be opened, or its cases cannot be used.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use client::archive::AccessError;
use remedy::{Exit, Explained};

use crate::book::BookError;
use crate::corrections::CorrectedError;

/// Why a portal cannot be opened, or its cases cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortalError {
    /// Users and cases.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The hospital's picture archive.
    #[error(transparent)]
    Archive(#[from] AccessError),
    /// Cases that were to become training data.
    #[error(transparent)]
    Corrected(#[from] CorrectedError),
    /// The address.
    #[error("{address}: {source}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Other machines would reach it without TLS.
    #[error("{0} is reached from other machines, and these pages have no certificate")]
    Plain(SocketAddr),
    /// Certificate or key.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// Another process serves the same folder.
    #[error("{}: another process serves its pages", .0.display())]
    Busy(PathBuf),
    /// Whether one does cannot be told.
    #[error("{}: {source}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// It ended.
    #[error("the portal ended: {0}")]
    Ended(std::io::Error),
}

impl Explained for PortalError {
    fn code(&self) -> &'static str {
        match self {
            Self::Book(_) => "portal_book",
            Self::Archive(error) => error.code(),
            Self::Corrected(error) => error.code(),
            Self::Listen { .. } | Self::Ended(_) => "portal_listen",
            Self::Busy(_) | Self::Lock { .. } => "portal_busy",
            Self::Plain(_) | Self::Certificate { .. } => "portal_certificate",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Archive(error) => error.place(),
            Self::Corrected(error) => error.place(),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Archive(error) => return error.remedy(),
            Self::Corrected(error) => return error.remedy(),
            Self::Book(BookError::Name(_)) => "use 1 to 64 printable characters without space at either end",
            Self::Book(BookError::Password(_)) => "use 12 to 256 characters",
            Self::Book(BookError::NoUser(_)) => "`consilium hospital user list` shows them",
            Self::Book(BookError::TooNew(_)) => "use the release that wrote it, or a later one",
            Self::Book(BookError::File { .. }) => "correct the permissions of the hospital's folder",
            Self::Book(_) => "look at the disk; restore the hospital's folder from its backup if the file is damaged",
            Self::Listen { .. } | Self::Ended(_) => "choose another address with --listen, or stop what uses this one",
            Self::Busy(_) => {
                "use its pages, or stop it: `hospital serve` opens them itself where site.toml has [portal]"
            }
            Self::Lock { .. } => "correct the permissions of the hospital's folder",
            Self::Plain(_) => {
                "give `certificate` and `key` in [portal] of site.toml, or listen at 127.0.0.1 behind a server with TLS"
            }
            Self::Certificate { .. } => "give a certificate chain and its key as PEM files that this user may read",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Archive(error) => error.exit(),
            Self::Corrected(error) => error.exit(),
            Self::Book(BookError::Name(_) | BookError::Password(_) | BookError::NoUser(_))
            | Self::Plain(_)
            | Self::Certificate { .. } => Exit::BadInput,
            Self::Book(BookError::File { source, .. }) | Self::Lock { source, .. } => Exit::of_io(source),
            _ => Exit::Failed,
        }
    }
}
