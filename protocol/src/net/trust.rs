//! Who did not accept whose certificate, and why.

use std::fmt;

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
    pub(super) fn from_alert(alert: u8) -> Option<Self> {
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
