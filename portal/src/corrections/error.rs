//! Why cases do not become training data.

use std::borrow::Cow;
use std::path::PathBuf;

use datasets::DataError;
use protocol::store::FileFault;
use remedy::{Exit, Explained};

/// Why cases do not become training data. What was written before stays and counts when the command is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorrectedError {
    /// Nothing to train on.
    #[error(
        "no case of this model can be trained on: the true class of {labelled} is recorded, {without_picture} of them \
         have no kept image, {left_out} contradict one another or cannot be read"
    )]
    Nothing {
        /// Cases with a recorded class.
        labelled: usize,
        /// Of them, those without a picture.
        without_picture: usize,
        /// Of them, those with a picture that is left out.
        left_out: usize,
    },
    /// Many cases.
    #[error("more than {cases_max} cases of this model have a recorded class")]
    TooMany {
        /// So many are taken.
        cases_max: usize,
    },
    /// The folder is somebody else's.
    #[error("{}: holds files that are not from this command", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process writes into the same folder.
    #[error("{}: another process writes into it", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the folder.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The manifest, or a picture that was just written.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Explained for CorrectedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Nothing { .. } | Self::TooMany { .. } => "corrected_cases",
            Self::Busy { .. } => "corrected_busy",
            Self::Foreign { .. } | Self::File(_) | Self::Data(_) => "corrected_folder",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Nothing { .. } | Self::TooMany { .. } => Some("--corrected".to_owned()),
            Self::Foreign { folder } | Self::Busy { folder } => Some(folder.display().to_string()),
            Self::File(fault) => Some(fault.path.display().to_string()),
            Self::Data(_) => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Nothing { .. } => {
                "set keep-images = true in [portal] of site.toml, ask about images in the portal, and record on each \
                 case's page what it turned out to be"
            }
            Self::TooMany { .. } => "take back what was recorded of old cases",
            Self::Foreign { .. } => "choose another name, or move what is there elsewhere",
            Self::Busy { .. } => "wait until it is done",
            Self::File(_) | Self::Data(_) => {
                "make space or correct the permissions of the folder, then repeat the command: it goes on"
            }
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(fault) => Exit::of_io(&fault.source),
            Self::Data(DataError::Io { source, .. }) => Exit::of_io(source),
            Self::Busy { .. } | Self::Data(_) => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}
