//! What can go wrong between two peers, by peer and cause.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::frame::FrameError;
use super::host_port::HostPort;
use super::peer::{PeerName, PeerNameError};

/// Certificates and keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A certificate is no PEM or no X.509.
    #[error("cannot read the certificate; give the PEM file that the authority issued")]
    UnreadableCertificate,
    /// A key is no PEM or not Ed25519 in PKCS #8.
    #[error("cannot read the key; give the PEM file that the authority issued with the certificate")]
    UnreadableKey,
    /// Key and certificate do not belong together.
    #[error("the key is not the certificate's; give the two files that were issued together")]
    KeyMismatch,
    /// An end-entity certificate has no peer name or several.
    #[error("the certificate must carry exactly one name that ends in .consilium.invalid")]
    NotOnePeerName,
    /// The peer name in a certificate is malformed.
    #[error(transparent)]
    PeerName(#[from] PeerNameError),
    /// A renewed certificate is somebody else's.
    #[error("the renewed certificate was issued to {given}, this is {have}; give the one issued to {have}")]
    OtherName {
        /// The name in use.
        have: PeerName,
        /// The name in the new certificate.
        given: PeerName,
    },
    /// No certificate, or a longer chain than anyone needs.
    #[error("a certificate chain has 1 to {max} certificates")]
    ChainLength {
        /// Most certificates in a chain.
        max: usize,
    },
    /// A further subject name is refused.
    #[error(
        "further name {index} is no IP address or DNS name, one too many, or ends in \
         .consilium.invalid, which is kept for the peer's own name"
    )]
    SubjectName {
        /// Position in the list given, from 0.
        index: usize,
    },
    /// The time given lies outside what a certificate can express.
    #[error("the clock is outside the range of certificates; set it")]
    Clock,
    /// Making or signing a certificate failed.
    #[error("cannot make the certificate: {0}")]
    Issue(#[source] rcgen::Error),
    /// The TLS library refused our settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
}

/// The other end, as far as it is known when something fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name; none until its certificate has been verified.
    pub name: Option<PeerName>,
    /// Its address.
    pub addr: SocketAddr,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} at {}", self.addr),
            None => write!(f, "an unknown peer at {}", self.addr),
        }
    }
}

/// Which side ended the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// We did not accept the peer's certificate.
    Us,
    /// The peer did not accept ours.
    Peer,
}

/// Why a certificate was not accepted (the TLS alert, RFC 8446 section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustCause {
    /// Issued by another authority.
    OtherAuthority,
    /// Damaged, or issued to another name.
    BadCertificate,
    /// Issued for the other role, client or server.
    WrongUsage,
    /// No longer or not yet valid.
    Expired,
    /// Revoked by the authority.
    Revoked,
    /// A signature in the handshake or on the certificate is wrong.
    BadSignature,
    /// None was shown.
    Missing,
    /// Refused without a reason.
    Unstated,
}

impl TrustCause {
    fn from_alert(alert: u8) -> Option<Self> {
        Some(match alert {
            42 => Self::BadCertificate,
            43 => Self::WrongUsage,
            44 => Self::Revoked,
            45 => Self::Expired,
            46 | 49 => Self::Unstated,
            48 => Self::OtherAuthority,
            51 => Self::BadSignature,
            116 => Self::Missing,
            _ => return None,
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::OtherAuthority => "it was issued by another authority",
            Self::BadCertificate => "it is damaged or issued to another name",
            Self::WrongUsage => "it was issued for the other role",
            Self::Expired => "it is not valid at this time",
            Self::Revoked => "it was revoked",
            Self::BadSignature => "a signature is wrong",
            Self::Missing => "none was shown",
            Self::Unstated => "no reason was given",
        }
    }
}

impl fmt::Display for TrustCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What we waited for when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection and the server's first answer.
    Dialling,
    /// The reply to a request.
    Reply,
    /// The rest of a frame.
    Frame,
    /// Any packet at all.
    Idle,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dialling => "the connection",
            Self::Reply => "the reply",
            Self::Frame => "the rest of a frame",
            Self::Idle => "a sign of life",
        })
    }
}

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
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u64) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::ShuttingDown,
            2 => Self::TooManyConnections,
            3 => Self::Unnamed,
            4 => Self::Revoked,
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

    fn from_code(code: u64) -> Self {
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

/// A connection or an exchange that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The local address is taken or not ours.
    #[error("cannot bind {addr}: {source}; choose another address or port")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// `mtu_initial` or `mtu_max` of the limits is out of range.
    #[error("mtu_initial {initial}, mtu_max {max}: set 1200 <= mtu_initial <= mtu_max <= 6550")]
    Mtu {
        /// The smaller value given.
        initial: u16,
        /// The larger value given.
        max: u16,
    },
    /// `idle_timeout` of the limits is out of range.
    #[error("an idle timeout of {seconds} s cannot be announced; set less than 2^62 ms")]
    IdleTimeout {
        /// The value given.
        seconds: u64,
    },
    /// `bytes_in_flight` of the limits cannot hold the largest frame.
    #[error("bytes_in_flight is {bytes}, the largest frame needs {needed}")]
    BytesInFlight {
        /// The value given.
        bytes: u32,
        /// The least that works.
        needed: u32,
    },
    /// The TLS settings lack the suite that QUIC starts with. Our bug.
    #[error("the TLS settings lack AES-128-GCM, which QUIC starts with")]
    CipherSuite,
    /// Our own certificate or key, or the authority's certificate.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// One of the two certificates was not accepted.
    #[error("{} {cause}", who_refused(peer, *refused_by))]
    UntrustedPeer {
        /// The other end.
        peer: Remote,
        /// Who did not accept whom.
        refused_by: RefusedBy,
        /// What was wrong with the certificate.
        cause: TrustCause,
    },
    /// The handshake failed for another reason than a certificate, such as no common key exchange.
    #[error("handshake with {peer} failed with TLS alert {alert}; bring both sides to one release")]
    Handshake {
        /// The other end.
        peer: Remote,
        /// Alert of RFC 8446 section 6.2.
        alert: u8,
    },
    /// The server takes no more connections for now.
    #[error("{peer} refused the connection: it is full or stopping; try again later")]
    ConnectionRefused {
        /// The other end.
        peer: Remote,
    },
    /// The address is none that this machine can send to.
    #[error("{peer} is no address to dial; give a unicast address with a port")]
    Unreachable {
        /// The other end.
        peer: Remote,
    },
    /// The name server knows no such host, or cannot be asked.
    #[error("the host of {host} cannot be found: {source}; check the name, and this machine's name server")]
    Unresolved {
        /// As it was given.
        host: HostPort,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing came in time.
    #[error("waited {} ms for {stage} from {peer}; check the address and that UDP passes", after.as_millis())]
    TimedOut {
        /// The other end.
        peer: Remote,
        /// What was awaited.
        stage: Stage,
        /// For how long.
        after: Duration,
    },
    /// The peer closed the connection.
    #[error("{peer} closed the connection: {reason}")]
    Closed {
        /// The other end.
        peer: Remote,
        /// Its reason.
        reason: CloseReason,
    },
    /// We closed the connection.
    #[error("the connection to {peer} was closed on this side")]
    ClosedHere {
        /// The other end.
        peer: Remote,
    },
    /// The connection broke: the peer restarted, or one side broke QUIC's rules.
    #[error("the connection to {peer} broke with QUIC code {code:#x}")]
    Broken {
        /// The other end.
        peer: Remote,
        /// Transport error code of RFC 9000 section 20; 0 for a restarted peer.
        code: u64,
    },
    /// The peer gave up this request; the connection lives on.
    #[error("{peer} rejected the request: {rejection}")]
    Rejected {
        /// The other end.
        peer: Remote,
        /// Its reason.
        rejection: Rejection,
    },
    /// The frame to send or the one received is not acceptable.
    #[error("exchange with {peer}: {source}")]
    Frame {
        /// The other end.
        peer: Remote,
        /// What is wrong with it.
        source: FrameError,
    },
}

impl NetError {
    /// Whether the same attempt may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ConnectionRefused { .. } | Self::Unresolved { .. } | Self::TimedOut { .. } | Self::Broken { .. } => {
                true
            }
            Self::Closed { reason, .. } => !matches!(reason, CloseReason::Unnamed | CloseReason::Revoked),
            Self::Rejected { rejection, .. } => matches!(rejection, Rejection::Stalled),
            _ => false,
        }
    }

    /// Whether one side did not accept the other's certificate. No other way to the same server cures that.
    #[must_use]
    pub fn is_about_trust(&self) -> bool {
        matches!(self, Self::UntrustedPeer { .. })
    }

    /// Of two attempts that failed the one that says more: about trust, then what the server itself said.
    pub(super) fn or(self, later: Self) -> Self {
        if later.telling() > self.telling() { later } else { self }
    }

    fn telling(&self) -> u8 {
        match self {
            _ if self.is_about_trust() => 2,
            Self::ConnectionRefused { .. } | Self::Handshake { .. } | Self::Closed { .. } => 1,
            _ => 0,
        }
    }

    /// The name for a lost connection.
    pub(super) fn from_connection(error: quinn::ConnectionError, peer: Remote, idle: Duration) -> Self {
        use quinn::ConnectionError as Lost;
        match error {
            Lost::TransportError(error) => Self::from_code(error.code, peer, RefusedBy::Us),
            Lost::ConnectionClosed(close) => Self::from_code(close.error_code, peer, RefusedBy::Peer),
            Lost::ApplicationClosed(close) => {
                Self::Closed { peer, reason: CloseReason::from_code(close.error_code.into_inner()) }
            }
            Lost::TimedOut => Self::TimedOut { peer, stage: Stage::Idle, after: idle },
            Lost::LocallyClosed => Self::ClosedHere { peer },
            Lost::VersionMismatch | Lost::CidsExhausted | Lost::Reset => Self::Broken { peer, code: 0 },
        }
    }

    /// Splits QUIC's codes: 0x100 to 0x1ff are TLS alerts (RFC 9001 section 4.8).
    fn from_code(code: quinn::TransportErrorCode, peer: Remote, refused_by: RefusedBy) -> Self {
        if code == quinn::TransportErrorCode::CONNECTION_REFUSED {
            return Self::ConnectionRefused { peer };
        }
        let code = u64::from(code);
        match code.checked_sub(0x100).map(u8::try_from) {
            Some(Ok(alert)) => match TrustCause::from_alert(alert) {
                Some(cause) => Self::UntrustedPeer { peer, refused_by, cause },
                None => Self::Handshake { peer, alert },
            },
            _ => Self::Broken { peer, code },
        }
    }

    /// The name for a stream that the peer reset or stopped.
    pub(super) fn from_stream(code: quinn::VarInt, peer: Remote) -> Self {
        Self::Rejected { peer, rejection: Rejection::from_code(code.into_inner()) }
    }
}

fn who_refused(peer: &Remote, refused_by: RefusedBy) -> String {
    match refused_by {
        RefusedBy::Us => format!("the certificate of {peer} was not accepted here:"),
        RefusedBy::Peer => format!("{peer} did not accept our certificate:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_trust_is_told_first_and_then_what_the_server_said() {
        let peer = || Remote { name: None, addr: ([10, 1, 2, 3], 443).into() };
        let (refused_by, cause) = (RefusedBy::Us, TrustCause::Expired);
        let trust = || NetError::UntrustedPeer { peer: peer(), refused_by, cause };
        let said = || NetError::ConnectionRefused { peer: peer() };
        let silent = || NetError::TimedOut { peer: peer(), stage: Stage::Dialling, after: Duration::ZERO };
        for told in [trust().or(silent()), silent().or(trust()), said().or(trust()), trust().or(said())] {
            assert!(told.is_about_trust(), "{told}");
        }
        for told in [said().or(silent()), silent().or(said())] {
            assert!(matches!(told, NetError::ConnectionRefused { .. }), "{told}");
        }
    }

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
        for code in 0..6 {
            assert_eq!(CloseReason::from_code(code).code(), code);
        }
    }
}
