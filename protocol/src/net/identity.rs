//! A peer's own certificate and key.

use std::fmt;
use std::sync::Arc;

use ::aws_lc_rs::hmac;
use rustls::crypto::aws_lc_rs::sign;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::credential_error::CredentialError;
use super::issued::Validity;
use super::peer::{KeyFingerprint, PeerName};
use super::pem;
use super::tls_key::{TlsKey, read_key};

/// Certificates in one chain: the peer's own and at most two above it.
const CHAIN_MAX: usize = 3;

/// What a peer shows and proves: its certificate chain and the key of the first certificate.
pub struct Identity {
    name: PeerName,
    key_fingerprint: KeyFingerprint,
    validity: Validity,
    certified: Arc<CertifiedKey>,
    key: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// Reads an identity back from [`Self::certificate_pem`] and [`Self::key_pem`].
    ///
    /// # Errors
    /// [`CredentialError`] when a text is no PEM, the chain is empty or longer than 3, the first
    /// certificate does not hold exactly one peer name, or the key is not its key.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, CredentialError> {
        Self::from_parts(read_chain(certificates)?, read_key(key)?)
    }

    /// A key with the certificate that was issued for it, and those above it, as PEM.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn new(certificates: &str, key: &TlsKey) -> Result<Self, CredentialError> {
        Self::from_parts(read_chain(certificates)?, key.to_der())
    }

    pub(super) fn from_parts(
        chain: Vec<CertificateDer<'static>>,
        key: Zeroizing<Vec<u8>>,
    ) -> Result<Self, CredentialError> {
        let Some(own) = chain.first() else {
            return Err(CredentialError::ChainLength { max: CHAIN_MAX });
        };
        let name = PeerName::from_certificate(own)?;
        let key_fingerprint = KeyFingerprint::of_certificate(own)?;
        let validity = Validity::of(own)?;
        // Borrowed, so that no second copy of the secret is made on the way to the signer.
        let signer = sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.as_slice()))
            .map_err(|_| CredentialError::UnreadableKey)?;
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|_| CredentialError::KeyMismatch)?;
        Ok(Self { name, key_fingerprint, validity, certified: Arc::new(certified), key })
    }

    /// The name that the certificate was issued to.
    #[must_use]
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Fingerprint of its public key, as the other side's [`Peer`](super::Peer) will have it.
    #[must_use]
    pub fn key_fingerprint(&self) -> KeyFingerprint {
        self.key_fingerprint
    }

    /// Since when and until when its certificate is valid, as the authority signed it.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certificate chain as PEM, the peer's own first.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certified.cert.iter().map(|certificate| pem::encode("CERTIFICATE", certificate).to_string()).collect()
    }

    /// The key as PKCS #8 in PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", &self.key)
    }

    /// A secret for one purpose, the same whenever this key serves.
    pub(super) fn derived(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), purpose);
        let mut secret = Zeroizing::new([0; 32]);
        secret.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        secret
    }

    /// # Errors
    /// [`CredentialError::OtherName`] when this was issued to somebody else.
    pub(super) fn must_be(&self, name: &PeerName) -> Result<(), CredentialError> {
        if self.name == *name {
            return Ok(());
        }
        Err(CredentialError::OtherName { have: name.clone(), given: self.name.clone() })
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

fn read_chain(certificates: &str) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(certificates.as_bytes()) {
        if chain.len() == CHAIN_MAX {
            return Err(CredentialError::ChainLength { max: CHAIN_MAX });
        }
        chain.push(certificate.map_err(|_| CredentialError::UnreadableCertificate)?);
    }
    Ok(chain)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("name", &self.name).field("key", &self.key_fingerprint).finish_non_exhaustive()
    }
}
