//! What an authority has signed: read back, and checked where it comes from a stranger's hands.

use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::KeyUsage;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::authority::{AuthorityCertificate, Usage, anchor};
use super::credential_error::CredentialError;
use super::peer::{KeyFingerprint, PeerName};

/// When a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub since_s: u64,
    /// Its last.
    pub until_s: u64,
}

impl Validity {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        let read = Certificate::from_der(certificate).map_err(|_| CredentialError::UnreadableCertificate)?;
        let (since, until) =
            (read.tbs_certificate().validity().not_before, read.tbs_certificate().validity().not_after);
        Ok(Self { since_s: since.to_unix_duration().as_secs(), until_s: until.to_unix_duration().as_secs() })
    }

    /// When half of it is over, in seconds since 1970: the time to renew it.
    #[must_use]
    pub fn half_s(&self) -> u64 {
        self.since_s + self.until_s.saturating_sub(self.since_s) / 2
    }
}

/// Whose a certificate is, after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Its only peer name.
    pub name: PeerName,
    /// Its key's fingerprint.
    pub key: KeyFingerprint,
    /// When it is valid.
    pub validity: Validity,
}

impl AuthorityCertificate {
    /// Checks that this authority issued the first certificate in a PEM text for this use, and that it is valid at
    /// `now`.
    ///
    /// # Errors
    /// [`CredentialError::NotIssued`]; [`CredentialError`] where it cannot be read or does not name one peer.
    pub fn verify(&self, pem: &str, usage: Usage, now: SystemTime) -> Result<Issued, CredentialError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CredentialError::UnreadableCertificate)?;
        let parsed = webpki::EndEntityCert::try_from(&der).map_err(|_| CredentialError::UnreadableCertificate)?;
        let usage = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let anchors = [anchor(self.der())?];
        parsed
            .verify_for_usage(algorithms, &anchors, &[], now, usage, None, None)
            .map_err(|_| CredentialError::NotIssued)?;
        let (name, key) = (PeerName::from_certificate(&der)?, KeyFingerprint::of_certificate(&der)?);
        Ok(Issued { name, key, validity: Validity::of(&der)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Authority, CERTIFICATE_LIFETIME, OFFLINE_CERTIFICATE_LIFETIME, TlsKey};

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[test]
    fn a_certificate_is_of_its_authority_for_its_use_and_of_its_time() {
        let now = SystemTime::now();
        let (authority, other) = (Authority::create(now).unwrap(), Authority::create(now).unwrap());
        let (tls, name) = (TlsKey::generate().unwrap().public_key(), PeerName::new("st-anna").unwrap());
        let pem = authority.certify(&tls, &name, &["st-anna.example"], Usage::Client, now).unwrap();
        let issued = authority.certificate().verify(&pem, Usage::Client, now).unwrap();
        assert_eq!((&issued.name, issued.key), (&name, tls.fingerprint()));
        let refused = |found: Result<Issued, CredentialError>| matches!(found, Err(CredentialError::NotIssued));
        assert!(refused(authority.certificate().verify(&pem, Usage::Server, now)), "another use");
        assert!(refused(other.certificate().verify(&pem, Usage::Client, now)), "another authority");
        assert!(refused(authority.certificate().verify(&pem, Usage::Client, now + 31 * DAY)), "over");
        assert!(refused(authority.certificate().verify(&pem, Usage::Client, now - DAY)), "to come");
        assert!(matches!(
            authority.certificate().verify("st-anna", Usage::Client, now),
            Err(CredentialError::UnreadableCertificate)
        ));
    }

    #[test]
    fn certificates_of_an_authority_that_is_kept_offline_last_longer() {
        let now = SystemTime::now();
        let (tls, name) = (TlsKey::generate().unwrap().public_key(), PeerName::new("st-anna").unwrap());
        let lasts = |authority: &Authority| {
            let pem = authority.certify(&tls, &name, &[], Usage::Client, now).unwrap();
            let Validity { since_s, until_s } =
                authority.certificate().verify(&pem, Usage::Client, now).unwrap().validity;
            Duration::from_secs(until_s - since_s) - Duration::from_secs(3_600)
        };
        let authority = Authority::create(now).unwrap();
        assert_eq!(lasts(&authority), CERTIFICATE_LIFETIME);
        let offline = authority.offline();
        assert_eq!(lasts(&offline), OFFLINE_CERTIFICATE_LIFETIME);
    }

    #[test]
    fn the_half_is_between_both_ends() {
        assert_eq!(Validity { since_s: 100, until_s: 200 }.half_s(), 150);
        // Of one that ends before it begins nothing is left.
        assert_eq!(Validity { since_s: 100, until_s: 50 }.half_s(), 100);
    }
}
