//! Checks that only a simulation can make, since only it knows every secret and every plaintext.

mod needles;

pub use needles::{Finding, Needles, PRINTED_WINDOW};

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// A folder could not be searched.
    #[error("cannot search {folder} for secrets: {source}")]
    Search {
        /// The folder.
        folder: std::path::PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// The log could not be searched.
    #[error("cannot search the log {} for secrets: {source}", path.display())]
    SearchLog {
        /// The file.
        path: std::path::PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// The plaintext model is not known.
    #[error("the plaintext of the published model is not known, so it cannot be compared with the encrypted one")]
    NoPlaintext,
    /// The shadow executor refused.
    #[error("the plaintext evaluation failed: {0}")]
    Shadow(String),
}
