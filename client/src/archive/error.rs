//! Why the archive cannot be asked, or images cannot be pulled from it. Nothing here names a patient.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use datasets::DataError;
use pacs::{ArchiveError, CredentialsError};
use protocol::store::FileFault;
use remedy::{Exit, Explained};

use crate::site_file::SiteFileError;

/// Why the site's archive cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Nobody said where it is.
    #[error("no archive is named: site.toml has no [pacs], and no address was given")]
    NoAddress,
    /// Two ways to say who asks.
    #[error("[pacs] names both `credentials` and `token`")]
    Both,
    /// A file with a secret.
    #[error("{}: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands in it, which is not repeated.
    #[error("{}: not `user:password` or a token{}", path.display(), why(source.as_ref()))]
    SecretContent {
        /// The file.
        path: PathBuf,
        /// What is wrong, where that can be said.
        source: Option<CredentialsError>,
    },
    /// The address or the authorities.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The site file.
    #[error(transparent)]
    SiteFile(#[from] SiteFileError),
}

fn why(source: Option<&CredentialsError>) -> String {
    source.map_or_else(String::new, |source| format!(": {source}"))
}

impl Explained for AccessError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAddress => "archive_address",
            Self::Both | Self::Secret { .. } | Self::SecretContent { .. } => "archive_credentials",
            Self::Archive(error) => error.code(),
            Self::SiteFile(error) => error.code(),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoAddress | Self::Both => Some("site.toml [pacs]".to_owned()),
            Self::Secret { path, .. } | Self::SecretContent { path, .. } => Some(path.display().to_string()),
            Self::Archive(error) => error.place(),
            Self::SiteFile(error) => error.place(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoAddress => {
                "add [pacs] with `address = \"https://archive.hospital/dicom-web\"`, or give --dicomweb URL"
            }
            Self::Both => "keep the one that the archive wants",
            Self::Secret { .. } => "name a file that this user may read",
            Self::SecretContent { .. } => {
                "write one line `user:password` for `credentials`, or the token alone for `token`"
            }
            Self::Archive(error) => return error.remedy(),
            Self::SiteFile(error) => return error.remedy(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoAddress | Self::Both | Self::SecretContent { .. } => Exit::BadInput,
            Self::Secret { source, .. } => Exit::of_io(source),
            Self::Archive(error) => error.exit(),
            Self::SiteFile(error) => error.exit(),
        }
    }
}

/// Why a table of labels cannot be used. Cells are not repeated: they may name patients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The table.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Many bytes.
    #[error("{}: more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The table.
        path: PathBuf,
        /// As many are read.
        bytes_max: u64,
    },
    /// Many lines.
    #[error("{}: more than {lines_max} lines", path.display())]
    TooMany {
        /// The table.
        path: PathBuf,
        /// As many are read.
        lines_max: usize,
    },
    /// No CSV.
    #[error("{}: {source}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// What the reader says.
        source: csv::Error,
    },
    /// No lines.
    #[error("{}: no line below the heads of its columns", path.display())]
    Empty {
        /// The table.
        path: PathBuf,
    },
    /// A column is missing.
    #[error("{}: no column {column}", path.display())]
    ColumnMissing {
        /// The table.
        path: PathBuf,
        /// Which.
        column: &'static str,
    },
    /// A column that would be disregarded.
    #[error("{}: a column `split`, which an image folder has no place for", path.display())]
    Split {
        /// The table.
        path: PathBuf,
    },
    /// A cell.
    #[error("{}:{line}: {column} is empty, no UID, longer than 64 characters, or has one of * ? \\", path.display())]
    Cell {
        /// The table.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The column.
        column: &'static str,
    },
}

/// Why images cannot be pulled. What was fetched before stays and counts when it goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The archive cannot be asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The archive does not do what it is asked.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The table.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] DataError),
    /// Another process pulls into the same folder.
    #[error("{}: another process pulls into it", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder's key, under which patients have other names.
    #[error("{}: not the 32 bytes in hexadecimal that it was made with", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// One image, two classes.
    #[error("line {line} of the table gives another label than line {earlier} to an image of both")]
    TwoLabels {
        /// The line.
        line: usize,
        /// The line before.
        earlier: usize,
    },
    /// Nothing to train on.
    #[error(
        "none of the table's {lines} lines has an image: {missing} found no study, {skipped} objects are no images"
    )]
    Nothing {
        /// Lines.
        lines: usize,
        /// Lines without a study.
        missing: usize,
        /// Objects that are left out.
        skipped: usize,
    },
    /// Many objects.
    #[error("the table means more than {objects_max} objects")]
    TooManyObjects {
        /// As many are taken.
        objects_max: usize,
    },
    /// Many bytes.
    #[error("the objects have more than {bytes_max} bytes together")]
    TooManyBytes {
        /// As many are taken.
        bytes_max: u64,
    },
    /// It takes too long.
    #[error("not all objects came within {} s", within.as_secs())]
    TooLong {
        /// The limit.
        within: Duration,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

impl Explained for PullError {
    fn code(&self) -> &'static str {
        match self {
            Self::Access(error) => error.code(),
            Self::Archive(error) => error.code(),
            Self::Labels(_) | Self::TwoLabels { .. } | Self::Nothing { .. } => "archive_labels",
            Self::File(_) | Self::Manifest(_) | Self::Key { .. } => "archive_folder",
            Self::Busy { .. } => "archive_busy",
            Self::TooManyObjects { .. } | Self::TooManyBytes { .. } | Self::TooLong { .. } => "archive_too_much",
            Self::Random => "random",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Access(error) => error.place(),
            Self::Archive(error) => error.place(),
            Self::File(fault) => Some(fault.path.display().to_string()),
            Self::Busy { folder: path } | Self::Key { path } => Some(path.display().to_string()),
            Self::Labels(_) | Self::TwoLabels { .. } | Self::Nothing { .. } => Some("--labels".to_owned()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Access(error) => return error.remedy(),
            Self::Archive(error) => return error.remedy(),
            Self::Labels(LabelsError::Split { .. }) => {
                "take the column out: a plan splits by patient; for parts of your own make one data set of each"
            }
            Self::Labels(LabelsError::TooMany { .. } | LabelsError::TooLarge { .. }) => "make several tables of it",
            Self::Labels(LabelsError::Io { .. }) => "name a CSV file that this user may read",
            Self::Labels(_) => {
                "write a CSV with the columns study (its UID) or accession, and label; perhaps series and patient"
            }
            Self::File(_) | Self::Manifest(_) => {
                "make space or correct the permissions of the folder, then repeat the command: it goes on"
            }
            Self::Busy { .. } => "wait until it is done",
            Self::Key { .. } => "restore the file from a backup, or remove the folder and pull anew",
            Self::TwoLabels { .. } => "give each image one label; name the series where a study has several",
            Self::Nothing { .. } => "compare UIDs or accession numbers of the table with the archive's",
            Self::TooManyObjects { .. } | Self::TooManyBytes { .. } => "make several data sets of it",
            Self::TooLong { .. } => "repeat the command: it goes on where it was",
            Self::Random => "try again once the machine has started up",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Access(error) => error.exit(),
            Self::Archive(error) => error.exit(),
            Self::Labels(LabelsError::Io { source, .. }) => Exit::of_io(source),
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Manifest(DataError::Io { source, .. }) => Exit::of_io(source),
            Self::Busy { .. } | Self::TooLong { .. } | Self::Random => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}
