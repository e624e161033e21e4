//! What can go wrong between two peers, by peer and cause.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::credential_error::CredentialError;
use super::frame::FrameError;
use super::host_port::HostPort;
use super::peer::PeerName;
use super::reason::{CloseReason, Rejection};
use super::remote::Remote;
use super::transport::Transport;
use super::trust::{RefusedBy, TrustCause};
use super::tunnel::TunnelError;
use super::version::Older;

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
    /// What answers is neither the server nor another consortium's: something on the way opens TLS.
    #[error("the connection to {peer} is intercepted by {by}: exempt the coordinator's host from TLS inspection")]
    Intercepted {
        /// The other end.
        peer: Remote,
        /// Common name of whoever issued the certificate that was shown, printable and at most 64 characters.
        by: String,
    },
    /// The handshake failed for another reason than a certificate, such as no common key exchange.
    #[error(
        "handshake with {peer} failed with TLS alert {alert}; bring both sides to one release{}",
        inspection(peer.transport)
    )]
    Handshake {
        /// The other end.
        peer: Remote,
        /// Alert of RFC 8446 section 6.2.
        alert: u8,
    },
    /// The peer speaks our protocol in no version that is spoken here.
    #[error("{}", unlike(peer, *ours, *older))]
    Version {
        /// The other end.
        peer: Remote,
        /// The newest version that this side speaks.
        ours: u16,
        /// Who is older.
        older: Older,
    },
    /// The server takes no more connections for now.
    #[error("{peer} refused the connection: it is full, stopping or not running; try again later")]
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
    #[error(
        "waited {} ms for {stage} from {peer}; check the address and that {} passes",
        after.as_millis(), peer.transport.packets()
    )]
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
    /// Its certificate is genuine, but there is no place for it. Said at the server.
    #[error("{peer} shows the certificate of {name} and was closed out: {}", closed_out(*reason))]
    NotAdmitted {
        /// The other end.
        peer: Remote,
        /// Who it is.
        name: PeerName,
        /// What it hears.
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
    /// The connection over TCP broke, or never came to be.
    #[error("the connection to {peer} broke: {source}")]
    Severed {
        /// The other end.
        peer: Remote,
        /// What the system said.
        source: io::Error,
    },
    /// Neither transport gets through.
    #[error("neither QUIC nor TCP gets through: {quic}; {tcp}")]
    NoWay {
        /// What became of QUIC.
        quic: Box<NetError>,
        /// What became of TCP.
        tcp: Box<NetError>,
    },
    /// A proxy that opens no tunnel.
    #[error("{proxy}, the proxy, opens no way to {target}: {source}")]
    Proxy {
        /// The proxy.
        proxy: HostPort,
        /// Where to.
        target: String,
        /// Why not.
        source: TunnelError,
    },
    /// What is about to be sent cannot be written down first, and so is not sent.
    #[error("nothing is sent that cannot be written down before: {source}")]
    Unrecorded {
        /// What the system said.
        source: io::Error,
    },
    /// Settings that contradict each other.
    #[error("{proxy} is a proxy, and proxies carry TCP alone; choose the transport auto or tcp, or no proxy")]
    QuicThroughProxy {
        /// The proxy.
        proxy: HostPort,
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
            Self::ConnectionRefused { .. }
            | Self::Unresolved { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Severed { .. } => true,
            Self::Proxy { source, .. } => source.is_transient(),
            Self::NoWay { quic, tcp } => quic.is_transient() || tcp.is_transient(),
            Self::Closed { reason, .. } => !matches!(reason, CloseReason::Unnamed | CloseReason::Revoked),
            Self::Rejected { rejection, .. } => matches!(rejection, Rejection::Stalled),
            _ => false,
        }
    }

    /// Whether one side did not accept the other's certificate. No other way to the same server cures that.
    #[must_use]
    pub fn is_about_trust(&self) -> bool {
        matches!(self, Self::UntrustedPeer { .. } | Self::Intercepted { .. })
    }

    /// Whether it comes from the server itself, or is about trust, so that another way there would hear the same.
    pub(super) fn is_final_at_the_server(&self) -> bool {
        self.is_about_trust() || matches!(self, Self::Closed { .. })
    }

    /// Of two attempts that failed the one that says more: about trust, then what the server itself said.
    pub(super) fn or(self, later: Self) -> Self {
        if later.telling() > self.telling() { later } else { self }
    }

    /// Of both transports: what [`Self::or`] prefers, or else both.
    pub(super) fn both(quic: Self, tcp: Self) -> Self {
        if quic.telling().max(tcp.telling()) > PASSING {
            return quic.or(tcp);
        }
        Self::NoWay { quic: Box::new(quic), tcp: Box::new(tcp) }
    }

    fn telling(&self) -> u8 {
        match self {
            _ if self.is_about_trust() => PASSING + 2,
            // Over TCP it may be the system of another machine, or whatever stands between.
            Self::ConnectionRefused { peer } => PASSING + u8::from(peer.transport == Transport::Quic),
            Self::Handshake { .. } | Self::Version { .. } | Self::Closed { .. } | Self::Proxy { .. } => PASSING + 1,
            // A machine that lacks one family of addresses says so at once and for ever, about those alone.
            _ if self.is_transient() => PASSING,
            _ => 0,
        }
    }

    /// Whether the connection that it was about is over.
    pub(super) fn is_loss(&self) -> bool {
        let is_silent = matches!(self, Self::TimedOut { stage: Stage::Idle, .. });
        is_silent || matches!(self, Self::Severed { .. } | Self::Closed { .. } | Self::ConnectionRefused { .. })
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
            Some(Ok(alert)) => Self::from_alert(alert, peer, refused_by),
            _ => Self::Broken { peer, code },
        }
    }

    /// The name for a TLS alert.
    pub(super) fn from_alert(alert: u8, peer: Remote, refused_by: RefusedBy) -> Self {
        match TrustCause::from_alert(alert) {
            Some(cause) => Self::UntrustedPeer { peer, refused_by, cause },
            None => Self::Handshake { peer, alert },
        }
    }

    /// The name for a stream that the peer reset or stopped.
    pub(super) fn from_stream(code: quinn::VarInt, peer: Remote) -> Self {
        Self::Rejected { peer, rejection: Rejection::from_code(code.into_inner()) }
    }
}

/// How much a failure says that may pass and says nothing of the server.
const PASSING: u8 = 1;

/// What inspects TLS rarely knows our key exchange, and then shows no certificate that could be named.
fn inspection(transport: Transport) -> &'static str {
    match transport {
        Transport::Quic => "",
        Transport::Tcp | Transport::TcpThroughProxy => ", and exempt the server's host from TLS inspection",
    }
}

/// What a peer hears of itself, as the server's log says it.
fn closed_out(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Revoked => "it is no member any more",
        CloseReason::TooManyConnections => "its key has as many connections as one may have",
        CloseReason::Full => "the server is full",
        _ => "it has no place here",
    }
}

fn unlike(peer: &Remote, ours: u16, older: Older) -> String {
    match older {
        Older::Us => format!(
            "{peer} speaks a newer protocol than version {ours}, which is the newest of this program: bring this side \
             to the other's release"
        ),
        Older::Peer => format!(
            "{peer} speaks an older protocol than version {ours}, which this program speaks: have the other side \
             brought to this one's release"
        ),
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
        let peer = || Remote { name: None, addr: ([10, 1, 2, 3], 443).into(), transport: Transport::Quic };
        let (refused_by, cause) = (RefusedBy::Us, TrustCause::Expired);
        let trust = || NetError::UntrustedPeer { peer: peer(), refused_by, cause };
        let said = || NetError::ConnectionRefused { peer: peer() };
        let silent = || NetError::TimedOut { peer: peer(), stage: Stage::Dialling, after: Duration::ZERO };
        for told in [trust().or(silent()), silent().or(trust()), said().or(trust()), trust().or(said())] {
            assert!(told.is_about_trust(), "{told}");
        }
        let local = || NetError::Unreachable { peer: peer() };
        for told in [local().or(silent()), silent().or(local())] {
            assert!(told.is_transient(), "{told}");
        }
        for told in [said().or(silent()), silent().or(said())] {
            assert!(matches!(told, NetError::ConnectionRefused { .. }), "{told}");
        }
    }

    #[test]
    fn where_there_is_no_way_a_passing_fault_on_one_of_both_is_reason_to_try_again() {
        let peer = || Remote { name: None, addr: ([10, 1, 2, 3], 443).into(), transport: Transport::Quic };
        let passing = || Box::new(NetError::ConnectionRefused { peer: peer() });
        let lasting = || Box::new(NetError::Unreachable { peer: peer() });
        for (quic, tcp, is_transient) in
            [(passing(), lasting(), true), (lasting(), passing(), true), (lasting(), lasting(), false)]
        {
            assert_eq!(NetError::NoWay { quic, tcp }.is_transient(), is_transient);
        }
    }
}
