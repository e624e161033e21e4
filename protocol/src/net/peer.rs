//! Who is at the other end: the name in its certificate and the fingerprint of the key that it proved to hold.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, ServerName};

use super::credential_error::CredentialError;

/// Every peer's DNS name ends so. `.invalid` is reserved by RFC 2606: no public authority signs it
/// and no resolver answers for it, so a peer's name can never be confused with a host's.
const SUFFIX: &str = ".consilium.invalid";

/// A peer's name: one DNS label, 1 to 40 characters of `a-z`, `0-9` and `-`, no `-` at either end.
///
/// The certificate of the peer `hospital-2` carries the DNS subject alternative name
/// `hospital-2.consilium.invalid`, and no other name with that ending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(String);

impl PeerName {
    /// Longest name in characters; a DNS label could have 63.
    pub const LEN_MAX: usize = 40;

    /// Parses a name.
    ///
    /// # Errors
    /// [`PeerNameError`] when it is not one lower-case DNS label of at most 40 characters.
    pub fn new(name: &str) -> Result<Self, PeerNameError> {
        let well_formed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| well_formed(byte) || byte == b'-';
        let ends = [name.as_bytes().first(), name.as_bytes().last()];
        if name.len() > Self::LEN_MAX
            || !ends.iter().all(|end| end.is_some_and(|&b| well_formed(b)))
            || !name.bytes().all(inner)
        {
            return Err(PeerNameError { characters: name.chars().count() });
        }
        Ok(Self(name.to_owned()))
    }

    /// The name itself, as in `hospital-2`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in the certificate, as in `hospital-2.consilium.invalid`.
    #[must_use]
    pub fn dns_name(&self) -> String {
        format!("{}{SUFFIX}", self.0)
    }

    /// Whether a DNS name claims to be a peer's, well-formed or not.
    pub(crate) fn is_claimed_by(dns_name: &str) -> bool {
        dns_name.to_ascii_lowercase().trim_end_matches('.').ends_with(SUFFIX)
    }

    /// Reads the one peer name in an end-entity certificate. The certificate's chain must already
    /// have been verified: this only reads.
    pub(crate) fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        let parsed =
            webpki::EndEntityCert::try_from(certificate).map_err(|_| CredentialError::UnreadableCertificate)?;
        let mut claims = parsed.valid_dns_names().filter(|dns_name| Self::is_claimed_by(dns_name));
        let (Some(claim), None) = (claims.next(), claims.next()) else {
            return Err(CredentialError::NotOnePeerName);
        };
        let label = claim.strip_suffix(SUFFIX).unwrap_or(claim);
        let name = Self::new(label)?;
        // The list of names above is only a reading aid; webpki's own comparison decides.
        let subject = ServerName::try_from(name.dns_name()).map_err(|_| CredentialError::UnreadableCertificate)?;
        parsed.verify_is_valid_for_subject_name(&subject).map_err(|_| CredentialError::NotOnePeerName)?;
        Ok(name)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(name: &str) -> Result<Self, PeerNameError> {
        Self::new(name)
    }
}

/// A name that is not a peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a peer's name is 1 to {} of a-z, 0-9 and '-' with no '-' at either end, this one has \
     {characters} characters; write it like hospital-2",
    PeerName::LEN_MAX
)]
pub struct PeerNameError {
    /// Length of the refused name in characters.
    pub characters: usize,
}

/// SHA-256 of a public key (`SubjectPublicKeyInfo`, DER). Of the key and not of a certificate: that is renewed every
/// month, and whoever compared the fingerprint once need not compare it again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    pub(crate) fn of_key(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
        Self(bytes)
    }

    /// Of the key in a certificate, an authority's included.
    pub(crate) fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        let parsed =
            webpki::EndEntityCert::try_from(certificate).map_err(|_| CredentialError::UnreadableCertificate)?;
        Ok(Self::of_key(&parsed.subject_public_key_info()))
    }

    /// A fingerprint as it was written down.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFingerprint({self})")
    }
}

/// An authenticated peer, as a [`Handler`](super::Handler) sees it with every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name its certificate was issued to.
    pub name: PeerName,
    /// Fingerprint of its TLS public key, to compare with a roster.
    pub key: KeyFingerprint,
    /// Where its packets come from. Says nothing about who it is.
    pub addr: SocketAddr,
}
