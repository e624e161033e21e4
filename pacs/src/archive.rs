//! The archive; what can be asked of it stands in the files of searching, retrieving and storing.

use crate::error::ArchiveError;
use crate::line::Line;
use crate::settings::Settings;

/// A picture archive that speaks DICOMweb. It may be asked from several threads at once.
pub struct Archive {
    pub(crate) line: Line,
}

impl Archive {
    /// Makes what the settings say ready; the archive itself is first asked by the first call.
    ///
    /// # Errors
    /// [`ArchiveError`] of the address or the file of authorities.
    pub fn open(settings: &Settings) -> Result<Self, ArchiveError> {
        Ok(Self { line: Line::open(settings)? })
    }
}
