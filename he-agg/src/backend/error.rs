//! What can go wrong where residues live.

/// Why a backend did not do its work. The operands are unchanged and nothing of the result exists:
/// the same work can be done again elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The device was lost or refused a launch.
    #[error("the {device} stopped working: {reason}")]
    Lost {
        /// Its name.
        device: String,
        /// What its driver said.
        reason: String,
    },
    /// Not enough memory on the device.
    #[error("the {device} has no room for {bytes} bytes: {reason}")]
    OutOfMemory {
        /// Its name.
        device: String,
        /// Asked for.
        bytes: u64,
        /// What its driver said.
        reason: String,
    },
}
