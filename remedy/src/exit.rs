//! Exit codes.

use serde::Serialize;

/// What the process returns to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// The run failed.
    Failed = 1,
    /// Connection or authentication.
    Connection = 2,
    /// Quorum or deadline missed.
    Quorum = 3,
    /// Bad input: arguments, experiment, data.
    BadInput = 4,
    /// Refused by policy, vault or budget.
    Refused = 5,
    /// Something did not verify.
    Verification = 6,
    /// No space left.
    StorageFull = 7,
    /// Interrupted; the run can be resumed.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word for `status` in JSON output.
    pub fn status(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Connection => "unreachable",
            Self::Quorum => "quorum-missed",
            Self::BadInput => "bad-input",
            Self::Refused => "refused",
            Self::Verification => "not-verified",
            Self::StorageFull => "storage-full",
            Self::Interrupted => "interrupted",
        }
    }

    /// Of what the file system said.
    pub fn of_io(source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::StorageFull,
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::AlreadyExists => Self::BadInput,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_numbers() {
        let codes = [Exit::Done, Exit::Failed, Exit::Connection, Exit::Quorum, Exit::BadInput, Exit::Refused];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 3, 4, 5]);
        assert_eq!([Exit::Verification, Exit::StorageFull, Exit::Interrupted].map(Exit::code), [6, 7, 130]);
    }
}
