//! Why nothing can be shown.

use std::borrow::Cow;
use std::path::PathBuf;

use ::more::TaskError;
use datasets::DataError;
use remedy::{Exit, Explained};

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResearchError {
    /// Digits are not generated.
    #[error("task mnist reads its digits from files, but --data does not name them")]
    NoData,
    /// The others are.
    #[error("task {task} generates its data; {} would not be read", path.display())]
    DataUnused {
        /// The task.
        task: &'static str,
        /// As given.
        path: PathBuf,
    },
    /// Data that cannot be read, or generated.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data of another kind.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A folder with something else in it.
    #[error("{}: holds {found}, which is not of an earlier result", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Folder or file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Pictures for the page.
    #[error("cannot draw pictures: {0}")]
    Picture(std::io::Error),
}

impl Explained for ResearchError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoData => "no_data",
            Self::DataUnused { .. } => "data_unused",
            Self::Data(_) | Self::Task(_) => "data",
            Self::FolderInUse { .. } => "folder_in_use",
            Self::Io { .. } => "research_files",
            Self::Picture(_) => "picture",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoData | Self::DataUnused { .. } => Some("--data".to_owned()),
            Self::Data(_) | Self::Task(_) | Self::Picture(_) => None,
            Self::FolderInUse { folder: path, .. } | Self::Io { path, .. } => Some(path.display().to_string()),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NoData => "add --data with the folder or file of MNIST".into(),
            Self::DataUnused { .. } => "leave --data out, or choose --task mnist".into(),
            Self::Data(_) | Self::Task(_) => "name MNIST, as IDX files or an .npz file, with --data".into(),
            Self::FolderInUse { .. } => "name another folder with --to; a run's folder holds runs only".into(),
            Self::Io { .. } => "check space and permissions there, or name another folder with --to".into(),
            Self::Picture(_) => "report it with the command line that led to it".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } => Exit::of_io(source),
            Self::Picture(_) => Exit::Failed,
            Self::NoData | Self::DataUnused { .. } | Self::Data(_) | Self::Task(_) | Self::FolderInUse { .. } => {
                Exit::BadInput
            }
        }
    }
}
