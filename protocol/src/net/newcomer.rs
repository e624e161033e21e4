//! Sites that have no certificate yet: the only ones that are heard without one, through a gap of their own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::frame::Frame;
use super::peer::KeyFingerprint;
use super::server::{BoxFuture, Refusal};

/// What the application says to sites without a certificate.
pub trait Newcomers: Send + Sync + 'static {
    /// Answers one request of at most [`NEWCOMER_FRAME_BYTES_MAX`](super::NEWCOMER_FRAME_BYTES_MAX). Nothing is known
    /// of who asks; `addr` says nothing about it either.
    fn handle(&self, addr: SocketAddr, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>>;
}

/// Accepts a server whose certificate comes from the authority with this key, which the server shows beside its own.
pub(super) struct PinnedAuthority {
    pub(super) key: KeyFingerprint,
    pub(super) provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    fn has_key(&self, certificate: &CertificateDer<'_>) -> bool {
        KeyFingerprint::of_certificate(certificate).is_ok_and(|key| key == self.key)
    }
}

impl fmt::Debug for PinnedAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PinnedAuthority").field(&self.key).finish()
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates.iter().find(|one| self.has_key(one)).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned()).map_err(|_| unknown())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|_| unknown())?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Only TLS 1.3 is offered.
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
