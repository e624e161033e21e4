//! Why a peer ends a connection or gives a request up, and the numbers that stand for it on the wire.

use std::fmt;

/// Why the peer closed a whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// It has nothing more to ask or to say.
    Done,
    /// The server is stopping; dial again later.
    ShuttingDown,
    /// The certificate has as many connections as it may have.
    TooManyConnections,
    /// The certificate is genuine but holds no usable peer name.
    Unnamed,
    /// The peer is no member any more.
    Revoked,
    /// The server has as many connections as it takes.
    Full,
    /// A code of another release.
    Other(u64),
}

impl CloseReason {
    pub(super) fn code(self) -> u64 {
        match self {
            Self::Done => 0,
            Self::ShuttingDown => 1,
            Self::TooManyConnections => 2,
            Self::Unnamed => 3,
            Self::Revoked => 4,
            Self::Full => 5,
            Self::Other(code) => code,
        }
    }

    pub(super) fn from_code(code: u64) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::ShuttingDown,
            2 => Self::TooManyConnections,
            3 => Self::Unnamed,
            4 => Self::Revoked,
            5 => Self::Full,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("it has nothing more to say"),
            Self::ShuttingDown => f.write_str("it is stopping; dial again later"),
            Self::TooManyConnections => f.write_str("our certificate has too many connections; close one"),
            Self::Unnamed => f.write_str("our certificate carries no peer name; have it issued again"),
            Self::Revoked => f.write_str("our membership has ended; ask its operator why"),
            Self::Full => f.write_str("it is full; dial again later"),
            Self::Other(code) => write!(f, "code {code} of another release"),
        }
    }
}

/// Why the server gave up one request. The details are in its own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The peer no longer wants the answer.
    Cancelled,
    /// The bytes were no frame, or a frame of another version.
    BadFrame,
    /// The frame was longer than allowed.
    FrameTooLarge,
    /// The frame did not arrive in time.
    Stalled,
    /// The server's own fault: its handler failed or made an impossible reply.
    HandlerFailed,
    /// The handler refused the request, with its own code.
    Refused(u16),
    /// A code of another release.
    Other(u64),
}

impl Rejection {
    /// Codes of handlers stand above those of the transport.
    const REFUSED: u64 = 0x1_0000;

    pub(super) fn code(self) -> u64 {
        match self {
            Self::Cancelled => 0,
            Self::BadFrame => 1,
            Self::FrameTooLarge => 2,
            Self::Stalled => 3,
            Self::HandlerFailed => 4,
            Self::Refused(code) => Self::REFUSED | u64::from(code),
            Self::Other(code) => code,
        }
    }

    /// Whether it is said only after the whole request was read; else nobody knows where the next one would begin.
    pub(super) fn is_after_the_request(self) -> bool {
        matches!(self, Self::HandlerFailed | Self::Refused(_))
    }

    pub(super) fn from_code(code: u64) -> Self {
        match code {
            0 => Self::Cancelled,
            1 => Self::BadFrame,
            2 => Self::FrameTooLarge,
            3 => Self::Stalled,
            4 => Self::HandlerFailed,
            _ => match u16::try_from(code ^ Self::REFUSED) {
                Ok(refusal) => Self::Refused(refusal),
                Err(_) => Self::Other(code),
            },
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::BadFrame => f.write_str("it was no frame of this version"),
            Self::FrameTooLarge => f.write_str("its frame was too large"),
            Self::Stalled => f.write_str("it did not arrive in time"),
            Self::HandlerFailed => f.write_str("the server failed; its log says why"),
            Self::Refused(code) => write!(f, "refused with code {code}"),
            Self::Other(code) => write!(f, "code {code} of another release"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        let rejections = [
            Rejection::Cancelled,
            Rejection::BadFrame,
            Rejection::FrameTooLarge,
            Rejection::Stalled,
            Rejection::HandlerFailed,
            Rejection::Refused(0),
            Rejection::Refused(u16::MAX),
            Rejection::Other(5),
            Rejection::Other(0x2_0000),
        ];
        for rejection in rejections {
            assert_eq!(Rejection::from_code(rejection.code()), rejection);
        }
        for code in 0..7 {
            assert_eq!(CloseReason::from_code(code).code(), code);
        }
    }
}
