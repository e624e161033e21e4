//! What can be wrong with an archive, and what to do about it. Nothing here says whom a study belongs to: addresses
//! stand without what was searched for, and answers are never repeated.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use remedy::{Exit, Explained};

use crate::multipart::MultipartFault;

/// A request: its method and its address without the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) method: &'static str,
    pub(crate) url: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.url)
    }
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// Not `https://host/path`.
    #[error("it is no URL with a scheme and a host")]
    NoUrl,
    /// Another scheme.
    #[error("its scheme is neither https nor http")]
    Scheme,
    /// Unencrypted, to another machine.
    #[error("http would send patients' names unencrypted to another machine")]
    PlainHttp,
    /// A user or a password, which would stand in logs.
    #[error("there are credentials in it")]
    Credentials,
    /// A query or a fragment.
    #[error("there is a query or a fragment in it")]
    Query,
}

/// Why an archive did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The address, which is not repeated: there may be a password in it.
    #[error("the archive's address cannot be used: {fault}")]
    Address {
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// The file of authorities cannot be read.
    #[error("the file of authorities cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file of authorities has none that can be used.
    #[error("the file of authorities has no certificate in PEM, one that cannot be read, or more than 1 MB")]
    CaFileContent {
        /// The file.
        path: PathBuf,
    },
    /// https, and nobody to vouch for the archive.
    #[error("no authority is named that vouches for the archive's certificate")]
    NoAuthority,
    /// A value that cannot be searched for as it is.
    #[error("{field} has more than 64 characters or one of * ? \\ and control characters, which would find others too")]
    Find {
        /// The field of [`Find`](crate::Find).
        field: &'static str,
    },
    /// A file that is none, among those that are to be stored; nothing was sent.
    #[error("file {file} of those to be stored is no DICOM file with a preamble")]
    NoFile {
        /// From 1.
        file: usize,
    },
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Nobody answers there, or the name is not known.
    #[error("the archive cannot be reached")]
    Unreachable {
        /// The request.
        place: Place,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// TLS does not come about.
    #[error("the archive's certificate or encryption is not accepted")]
    NotTrusted {
        /// The request.
        place: Place,
        /// What is not.
        #[source]
        source: rustls::Error,
    },
    /// Not in time.
    #[error("the archive was not done within {} s", within.as_secs_f32())]
    TimedOut {
        /// The request.
        place: Place,
        /// The deadline.
        within: Duration,
    },
    /// Status 401.
    #[error("the archive does not know who asks (401)")]
    NotSignedIn {
        /// The request.
        place: Place,
    },
    /// Status 403.
    #[error("the archive does not let this user do that (403)")]
    NotAllowed {
        /// The request.
        place: Place,
    },
    /// Status 404 or 410.
    #[error("the archive has nothing there ({status})")]
    NotFound {
        /// The request.
        place: Place,
        /// The status.
        status: u16,
    },
    /// Another status that says the request is wrong, or one that does not exist.
    #[error("the archive refuses the request ({status})")]
    Refused {
        /// The request.
        place: Place,
        /// The status.
        status: u16,
    },
    /// Status 5xx.
    #[error("the archive failed ({status})")]
    Failing {
        /// The request.
        place: Place,
        /// The status.
        status: u16,
    },
    /// Status 3xx: followed nowhere, since credentials and names of patients would go along.
    #[error("the archive sends to {to} ({status}), which is not followed")]
    Moved {
        /// The request.
        place: Place,
        /// The status.
        status: u16,
        /// Scheme and host that it names.
        to: String,
    },
    /// No HTTP, or more headers than the library takes.
    #[error("what answers does not speak HTTP, or not by its rules")]
    NotHttp {
        /// The request.
        place: Place,
    },
    /// A long head.
    #[error("the head of the answer has more than {bytes_max} bytes")]
    LongHead {
        /// The request.
        place: Place,
        /// As many are taken.
        bytes_max: usize,
    },
    /// Another type.
    #[error("the answer is {found}, not {expected}")]
    Media {
        /// The request.
        place: Place,
        /// What was asked for.
        expected: &'static str,
        /// What the answer says of itself.
        found: String,
    },
    /// A long body.
    #[error("the answer has more than {bytes_max} bytes")]
    TooLong {
        /// The request.
        place: Place,
        /// As many are taken.
        bytes_max: u64,
    },
    /// Many rows.
    #[error("the answer has more than {rows_max} rows")]
    TooManyRows {
        /// The request.
        place: Place,
        /// As many were asked for, or are taken.
        rows_max: usize,
    },
    /// A body that ends early.
    #[error("the answer ends before it is complete")]
    Cut {
        /// The request.
        place: Place,
    },
    /// No JSON.
    #[error("the answer is no JSON, at line {line}, column {column}")]
    NotJson {
        /// The request.
        place: Place,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON that means something else.
    #[error("the answer is JSON, but not that of DICOM, at line {line}, column {column}")]
    OtherJson {
        /// The request.
        place: Place,
        /// From 1; 0 where no place can be named.
        line: usize,
        /// From 1; 0 where no place can be named.
        column: usize,
    },
    /// What the objects are in.
    #[error("the answer's parts cannot be told apart: {fault}")]
    Multipart {
        /// The request.
        place: Place,
        /// What is wrong with them.
        fault: MultipartFault,
    },
    /// A part that is no DICOM file.
    #[error("part {part} of the answer is no DICOM file")]
    NotDicom {
        /// The request.
        place: Place,
        /// From 1.
        part: usize,
    },
    /// Rows or objects of somebody else.
    #[error("the archive answered with studies or objects that were not asked for")]
    NotAsked {
        /// The request.
        place: Place,
    },
}

impl ArchiveError {
    fn request(&self) -> Option<&Place> {
        match self {
            Self::Address { .. } | Self::CaFile { .. } | Self::CaFileContent { .. } => None,
            Self::NoAuthority | Self::Find { .. } | Self::NoFile { .. } | Self::Random => None,
            Self::Unreachable { place, .. }
            | Self::NotTrusted { place, .. }
            | Self::TimedOut { place, .. }
            | Self::NotSignedIn { place }
            | Self::NotAllowed { place }
            | Self::NotFound { place, .. }
            | Self::Refused { place, .. }
            | Self::Failing { place, .. }
            | Self::Moved { place, .. }
            | Self::NotHttp { place }
            | Self::LongHead { place, .. }
            | Self::Media { place, .. }
            | Self::TooLong { place, .. }
            | Self::TooManyRows { place, .. }
            | Self::Cut { place }
            | Self::NotJson { place, .. }
            | Self::OtherJson { place, .. }
            | Self::Multipart { place, .. }
            | Self::NotDicom { place, .. }
            | Self::NotAsked { place } => Some(place),
        }
    }
}

impl Explained for ArchiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "archive_address",
            Self::CaFile { .. } | Self::CaFileContent { .. } | Self::NoAuthority => "archive_authority",
            Self::Find { .. } => "archive_search",
            Self::NoFile { .. } => "archive_file",
            Self::Random => "random",
            Self::Unreachable { .. } => "archive_unreachable",
            Self::NotTrusted { .. } => "archive_not_trusted",
            Self::TimedOut { .. } => "archive_timeout",
            Self::NotSignedIn { .. } | Self::NotAllowed { .. } => "archive_not_allowed",
            Self::NotFound { .. } => "archive_not_found",
            Self::Refused { .. } => "archive_refused",
            Self::Failing { .. } => "archive_failed",
            Self::Moved { .. } => "archive_moved",
            Self::NotHttp { .. } | Self::Media { .. } | Self::NotJson { .. } | Self::OtherJson { .. } => {
                "archive_other"
            }
            Self::LongHead { .. } | Self::TooLong { .. } | Self::TooManyRows { .. } => "archive_too_much",
            Self::Cut { .. } => "archive_cut",
            Self::Multipart { .. } | Self::NotDicom { .. } => "archive_parts",
            Self::NotAsked { .. } => "archive_not_asked",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::CaFile { path, .. } | Self::CaFileContent { path } => Some(path.display().to_string()),
            other => other.request().map(Place::to_string),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Address { fault: AddressFault::PlainHttp } => {
                "use https, or allow plain http if the way to the archive is inside the hospital"
            }
            Self::Address { fault: AddressFault::Credentials } => {
                "take them out and give user and password, or a token"
            }
            Self::Address { .. } => {
                "give the root of its DICOMweb services, such as https://archive.hospital/dicom-web"
            }
            Self::CaFile { .. } | Self::CaFileContent { .. } | Self::NoAuthority => {
                "give the file with the certificate of the hospital's authority, in PEM"
            }
            Self::Find { .. } => "search for one value as the archive writes it",
            Self::NoFile { .. } => "store files as PS3.10 has them: 128 bytes, DICM, the file's own group, the object",
            Self::Random => "try again once the machine has started up",
            Self::Unreachable { .. } => "look for a slip in its name and port, whether it runs, and for a firewall",
            Self::NotTrusted { .. } => {
                "ask whoever runs the archive which authority signed its certificate, and for what name"
            }
            Self::TimedOut { .. } => {
                "try again when the archive is less busy, ask for less at once, or give it more time"
            }
            Self::NotSignedIn { .. } => "give user and password, or a token, that the archive knows",
            Self::NotAllowed { .. } => "ask whoever runs the archive to allow this user to search, retrieve and store",
            Self::NotFound { .. } => {
                "look whether the address is the root of the DICOMweb services, and the study is there"
            }
            Self::Refused { .. } => "ask whoever runs the archive for its log, and which parts of DICOMweb it has",
            Self::Failing { .. } => "try again later; if it stays, ask whoever runs the archive for its log",
            Self::Moved { .. } => "give the address that it sends to, if that is the archive",
            Self::NotHttp { .. } => {
                "look whether the port is that of DICOMweb, not of DIMSE, and whether it wants https"
            }
            Self::Media { .. } | Self::NotJson { .. } | Self::OtherJson { .. } => {
                "look whether the address is the root of the DICOMweb services, and no page for people or to sign in"
            }
            Self::LongHead { .. } => "ask whoever runs the archive what lies before it and adds headers",
            Self::TooLong { .. } | Self::TooManyRows { .. } => "ask for less at once, or raise the bound",
            Self::Cut { .. } => "try again; if it stays, look for a proxy with a time limit before the archive",
            Self::Multipart { fault: MultipartFault::TooMany { .. } | MultipartFault::PartLong { .. }, .. } => {
                "retrieve one series or instance at a time, or raise the bound"
            }
            Self::Multipart { .. } | Self::NotDicom { .. } => {
                "tell whoever runs the archive: its answer breaks the standard"
            }
            Self::NotAsked { .. } => "tell whoever runs the archive: it ignores what it is asked for",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Address { .. } | Self::CaFileContent { .. } | Self::NoAuthority => Exit::BadInput,
            Self::Find { .. } | Self::NoFile { .. } => Exit::BadInput,
            Self::CaFile { source, .. } => Exit::of_io(source),
            Self::NotFound { .. } => Exit::BadInput,
            Self::NotTrusted { .. } | Self::NotAsked { .. } => Exit::Verification,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Cut { .. } => Exit::Connection,
            Self::NotSignedIn { .. } | Self::NotAllowed { .. } | Self::Moved { .. } => Exit::Connection,
            _ => Exit::Failed,
        }
    }
}
