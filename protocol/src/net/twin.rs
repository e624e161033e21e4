//! An error for each of several callers that waited for one dial.

use std::io;

use super::error::NetError;
use super::tunnel::TunnelError;

impl Clone for NetError {
    fn clone(&self) -> Self {
        match self {
            Self::Bind { addr, source } => Self::Bind { addr: *addr, source: twin(source) },
            Self::Mtu { initial, max } => Self::Mtu { initial: *initial, max: *max },
            Self::IdleTimeout { seconds } => Self::IdleTimeout { seconds: *seconds },
            Self::BytesInFlight { bytes, needed } => Self::BytesInFlight { bytes: *bytes, needed: *needed },
            Self::CipherSuite => Self::CipherSuite,
            Self::Credential(error) => Self::Credential(error.clone()),
            Self::UntrustedPeer { peer, refused_by, cause } => {
                Self::UntrustedPeer { peer: peer.clone(), refused_by: *refused_by, cause: *cause }
            }
            Self::Intercepted { peer, by } => Self::Intercepted { peer: peer.clone(), by: by.clone() },
            Self::Handshake { peer, alert } => Self::Handshake { peer: peer.clone(), alert: *alert },
            Self::ConnectionRefused { peer } => Self::ConnectionRefused { peer: peer.clone() },
            Self::Unreachable { peer } => Self::Unreachable { peer: peer.clone() },
            Self::Unresolved { host, source } => Self::Unresolved { host: host.clone(), source: twin(source) },
            Self::TimedOut { peer, stage, after } => {
                Self::TimedOut { peer: peer.clone(), stage: *stage, after: *after }
            }
            Self::Closed { peer, reason } => Self::Closed { peer: peer.clone(), reason: *reason },
            Self::NotAdmitted { peer, name, reason } => {
                Self::NotAdmitted { peer: peer.clone(), name: name.clone(), reason: *reason }
            }
            Self::Version { peer, ours, older } => Self::Version { peer: peer.clone(), ours: *ours, older: *older },
            Self::Unrecorded { source } => Self::Unrecorded { source: twin(source) },
            Self::ClosedHere { peer } => Self::ClosedHere { peer: peer.clone() },
            Self::Broken { peer, code } => Self::Broken { peer: peer.clone(), code: *code },
            Self::Severed { peer, source } => Self::Severed { peer: peer.clone(), source: twin(source) },
            Self::NoWay { quic, tcp } => Self::NoWay { quic: quic.clone(), tcp: tcp.clone() },
            Self::Proxy { proxy, target, source } => {
                Self::Proxy { proxy: proxy.clone(), target: target.clone(), source: source.clone() }
            }
            Self::QuicThroughProxy { proxy } => Self::QuicThroughProxy { proxy: proxy.clone() },
            Self::Rejected { peer, rejection } => Self::Rejected { peer: peer.clone(), rejection: *rejection },
            Self::Frame { peer, source } => Self::Frame { peer: peer.clone(), source: *source },
        }
    }
}

impl Clone for TunnelError {
    fn clone(&self) -> Self {
        match self {
            Self::CredentialsMissing => Self::CredentialsMissing,
            Self::CredentialsRefused => Self::CredentialsRefused,
            Self::Scheme { offered } => Self::Scheme { offered: offered.clone() },
            Self::Refused { code, reason } => Self::Refused { code: *code, reason: reason.clone() },
            Self::Malformed => Self::Malformed,
            Self::TooLong => Self::TooLong,
            Self::Severed(source) => Self::Severed(twin(source)),
        }
    }
}

/// The same kind with the same words.
fn twin(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
