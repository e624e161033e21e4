//! Who issued a certificate that is not accepted. A firewall that opens TLS shows one of its own, and the people who
//! run it know it by its name.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::authority::AUTHORITY_NAME;
use super::error::NetError;
use super::trust::RefusedBy;

/// Longest name that is shown, in characters.
const NAME_MAX: usize = 64;

/// Settings of a dialling side, with what judges the server's certificate.
#[derive(Debug, Clone)]
pub(super) struct ClientTls {
    pub(super) config: rustls::ClientConfig,
    pub(super) verifier: Arc<dyn ServerCertVerifier>,
}

impl ClientTls {
    /// The settings for one connection, and what its failure is asked for.
    pub(super) fn watched(&self) -> (rustls::ClientConfig, Seen) {
        let seen = Seen::default();
        let (mut config, inner) = (self.config.clone(), Arc::clone(&self.verifier));
        config.dangerous().set_certificate_verifier(Arc::new(Witness { inner, seen: seen.clone() }));
        (config, seen)
    }
}

/// The issuer of a certificate that was not accepted, unless it is an authority such as ours.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<String>>>);

impl Seen {
    /// The better name for a refusal of ours, where a stranger's certificate was shown.
    pub(super) fn name(&self, error: NetError) -> NetError {
        let by = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, by) {
            (NetError::UntrustedPeer { peer, refused_by: RefusedBy::Us, .. }, Some(by)) => {
                NetError::Intercepted { peer, by }
            }
            (error, _) => error,
        }
    }
}

/// Judges as `inner` does, and remembers who issued what was not accepted.
#[derive(Debug)]
struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Seen,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.inspect_err(|_| {
            *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = foreign_issuer(end_entity);
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The common name of an issuer that is no consortium's authority, as it may be shown.
fn foreign_issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = Certificate::from_der(certificate).ok();
    let name = parsed.and_then(|parsed| parsed.tbs_certificate().issuer().common_name().ok().flatten());
    let Some(name) = name else { return Some("an authority without a name".to_owned()) };
    let name = name.value();
    (!name.starts_with(AUTHORITY_NAME)).then(|| printable(&name))
}

/// No control characters, nothing that turns the direction of text, and not too much.
fn printable(name: &str) -> String {
    let shown = |one: char| if one == ' ' || one.is_ascii_graphic() || one.is_alphanumeric() { one } else { '?' };
    name.chars().take(NAME_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_on_one_line_and_cut() {
        assert_eq!(printable("Zürich Inspection CA (2026)"), "Zürich Inspection CA (2026)");
        assert_eq!(printable("a\nb\x1b[31m\u{202e}c"), "a?b?[31m?c");
        assert_eq!(printable(&"x".repeat(500)).len(), NAME_MAX);
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        let foreign = foreign_issuer(&CertificateDer::from(vec![0x30, 0x82, 0xff, 0xff]));
        assert_eq!(foreign.as_deref(), Some("an authority without a name"));
    }
}
