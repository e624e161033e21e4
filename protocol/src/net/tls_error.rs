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

    /// The name for an error of a connection over TCP that stands. A record that was damaged on the way, noticed here
    /// or there, says nothing of the peer: the connection is lost, and another one may stand.
    pub(super) fn from_established(error: io::Error, peer: Remote) -> Self {
        let is_damage = |tls: &Error| {
            matches!(
                tls,
                Error::DecryptError
                    | Error::PeerSentOversizedRecord
                    | Error::InvalidMessage(_)
                    | Error::AlertReceived(AlertDescription::BadRecordMac | AlertDescription::RecordOverflow)
            )
        };
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls.is_some_and(is_damage) {
            true => Self::Severed { peer, source: error },
            false => Self::from_io(error, peer),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Transport;

    #[test]
    fn a_record_that_was_damaged_on_the_way_costs_the_connection_and_no_trust() {
        let named = |error: Error| {
            let peer = Remote { name: None, addr: ([127, 0, 0, 1], 1).into(), transport: Transport::Tcp };
            NetError::from_established(io::Error::new(io::ErrorKind::InvalidData, error), peer)
        };
        for damaged in [
            Error::DecryptError,
            Error::PeerSentOversizedRecord,
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            Error::AlertReceived(AlertDescription::BadRecordMac),
            Error::AlertReceived(AlertDescription::RecordOverflow),
        ] {
            let error = named(damaged.clone());
            assert!(matches!(error, NetError::Severed { .. }) && error.is_transient(), "{damaged:?}: {error:?}");
        }
        // The server looks at a certificate when the client's handshake is through.
        for refused in [AlertDescription::CertificateRequired, AlertDescription::UnknownCA] {
            assert!(!named(Error::AlertReceived(refused)).is_transient(), "{refused:?}");
        }
    }
}
