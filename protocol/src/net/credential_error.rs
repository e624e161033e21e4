//! Certificates and keys that cannot be used.

use super::peer::{PeerName, PeerNameError};

/// Certificates and keys that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// Not a certificate of this authority.
    #[error("this authority did not issue the certificate for this use, or it is not valid now")]
    NotIssued,
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
