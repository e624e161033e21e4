//! What failed below TLS over TCP, or in it, by the same names as over QUIC.

use std::io;

use rustls::{AlertDescription, Error};

use super::error::NetError;
use super::remote::Remote;
use super::trust::RefusedBy;

/// The alerts that stand for what rustls has noticed itself (RFC 8446 section 6.2).
const UNEXPECTED_MESSAGE: u8 = 10;
const HANDSHAKE_FAILURE: u8 = 40;
const CERTIFICATE_REQUIRED: u8 = 116;
pub(super) const NO_APPLICATION_PROTOCOL: u8 = 120;

impl NetError {
    /// The name for an error of a stream over TCP.
    pub(super) fn from_io(error: io::Error, peer: Remote) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::Severed { peer, source: error };
        };
        let (alert, refused_by) = match tls {
            Error::AlertReceived(alert) => (u8::from(*alert), RefusedBy::Peer),
            Error::InvalidCertificate(why) => (AlertDescription::from(why.clone()).into(), RefusedBy::Us),
            Error::NoCertificatesPresented => (CERTIFICATE_REQUIRED, RefusedBy::Us),
            Error::NoApplicationProtocol => (NO_APPLICATION_PROTOCOL, RefusedBy::Us),
            Error::PeerIncompatible(_) => (HANDSHAKE_FAILURE, RefusedBy::Us),
            _ => (UNEXPECTED_MESSAGE, RefusedBy::Us),
        };
        Self::from_alert(alert, peer, refused_by)
    }

    /// The name for an error before a connection over TCP stands. A server that is full or stopping ends it without a
    /// word, since words come after the handshake.
    pub(super) fn from_handshake(error: io::Error, peer: Remote) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused | Kind::ConnectionReset | Kind::UnexpectedEof | Kind::BrokenPipe => {
                Self::ConnectionRefused { peer }
            }
            _ => Self::from_io(error, peer),
        }
    }
}
