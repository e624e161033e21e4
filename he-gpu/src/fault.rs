//! What goes wrong on a device that was there.

/// Why the device did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The device was lost or refused a launch.
    #[error("{0}")]
    Lost(String),
    /// No room for so many bytes.
    #[error("no room for {bytes} bytes: {reason}")]
    OutOfMemory {
        /// Asked for.
        bytes: u64,
        /// Why there is none.
        reason: String,
    },
}

pub(crate) type Outcome<T> = Result<T, Fault>;
