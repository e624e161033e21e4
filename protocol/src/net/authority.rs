//! The private certificate authority of one federation.
//!
//! Whoever holds it decides who may connect, so it may be kept on a machine that is not online; the peers need only its
//! [`AuthorityCertificate`].

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::credential_error::CredentialError;
use super::identity::Identity;
use super::peer::{KeyFingerprint, PeerName};
use super::pem;
use super::tls_key::{TlsKey, TlsPublicKey};

/// Lifetime of the authority's own certificate. Verifiers trust the key they were given and do not
/// look at it; the date is for people.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Lifetime of a peer's certificate where its renewal costs nobody anything.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Lifetime of a peer's certificate where people carry it from an authority that is kept offline. Whoever is put out is
/// refused at once whatever its certificate says.
pub const OFFLINE_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(400 * 24 * 3600);
/// Certificates start this long before they are made, since hospitals' clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// What the common name of every authority begins with.
pub(super) const AUTHORITY_NAME: &str = "Consilium authority ";
/// Additional subject names in one certificate.
const NAMES_MAX: usize = 16;

/// What an issued certificate may be used for. A hospital's certificate cannot serve, so a hospital
/// cannot pose as the coordinator even if an operator mistypes a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To dial out (extended key usage `clientAuth`).
    Client,
    /// To be dialled (extended key usage `serverAuth`).
    Server,
}

/// A certificate authority: an Ed25519 key and its self-signed certificate.
pub struct Authority {
    certificate: AuthorityCertificate,
    key: TlsKey,
    lifetime: Duration,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// [`CredentialError::Issue`] when the system yields no key.
    pub fn create(now: SystemTime) -> Result<Self, CredentialError> {
        let key = TlsKey::generate()?;
        let mut params = authority_params(&key);
        params.not_before = before(now)?.into();
        params.not_after = after(now, AUTHORITY_LIFETIME)?.into();
        let certificate = params.self_signed(key.pair()).map_err(CredentialError::Issue)?;
        let certificate = AuthorityCertificate::from_der(certificate.der().clone())?;
        Ok(Self { certificate, key, lifetime: CERTIFICATE_LIFETIME })
    }

    /// Reads an authority back from [`AuthorityCertificate::to_pem`] and [`Self::key_pem`].
    ///
    /// # Errors
    /// [`CredentialError`] when a text is no PEM or the key is not the certificate's.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CredentialError> {
        let certificate = AuthorityCertificate::from_pem(certificate)?;
        let key = TlsKey::from_pem(key)?;
        // A certificate made now from the same key must be the same anchor: same name, same key.
        let rebuilt = authority_params(&key).self_signed(key.pair()).map_err(CredentialError::Issue)?;
        let same = {
            let given = anchor(&certificate.der)?;
            let ours = anchor(rebuilt.der())?;
            given.subject == ours.subject && given.subject_public_key_info == ours.subject_public_key_info
        };
        if !same {
            return Err(CredentialError::KeyMismatch);
        }
        Ok(Self { certificate, key, lifetime: CERTIFICATE_LIFETIME })
    }

    /// The same authority, whose certificates last [`OFFLINE_CERTIFICATE_LIFETIME`].
    #[must_use]
    pub fn offline(self) -> Self {
        Self { lifetime: OFFLINE_CERTIFICATE_LIFETIME, ..self }
    }

    /// The certificate that every peer has to know.
    #[must_use]
    pub fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// The key as PKCS #8 in PEM. Who reads it can admit anybody.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.to_pem()
    }

    /// Makes a key and a certificate for it, as [`Authority::certify`] does: for a peer on the authority's own machine.
    ///
    /// # Errors
    /// As [`Authority::certify`].
    pub fn issue(
        &self,
        name: &PeerName,
        names: &[&str],
        usage: Usage,
        now: SystemTime,
    ) -> Result<Identity, CredentialError> {
        let key = TlsKey::generate()?;
        Identity::new(&self.certify(&key.public_key(), name, names, usage, now)?, &key)
    }

    /// Binds `name` to a key whose private half lies elsewhere, from an hour before `now` for 30 days, or as
    /// [`Authority::offline`] says. Returns the certificate as PEM. `names` are further DNS names or IP addresses for
    /// it, at most 16; peers look at `name` alone.
    ///
    /// That the key is the applicant's is for the caller to have checked.
    ///
    /// # Errors
    /// [`CredentialError::SubjectName`] when one of `names` is malformed or claims to be a peer's
    /// name; [`CredentialError::Issue`] when signing fails.
    pub fn certify(
        &self,
        key: &TlsPublicKey,
        name: &PeerName,
        names: &[&str],
        usage: Usage,
        now: SystemTime,
    ) -> Result<String, CredentialError> {
        let mut params = CertificateParams::default();
        params.not_before = before(now)?.into();
        params.not_after = after(now, self.lifetime)?.into();
        params.subject_alt_names = subject_names(name, names)?;
        params.distinguished_name = common_name(name.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match usage {
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let issuer_params = authority_params(&self.key);
        let issuer = Issuer::from_params(&issuer_params, self.key.pair());
        let certificate = params.signed_by(key, &issuer).map_err(CredentialError::Issue)?;
        Ok(pem::encode("CERTIFICATE", certificate.der()).to_string())
    }
}

/// The public half of an [`Authority`], known to every peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    key: KeyFingerprint,
}

impl AuthorityCertificate {
    /// Reads a certificate from PEM.
    ///
    /// # Errors
    /// [`CredentialError::UnreadableCertificate`].
    pub fn from_pem(text: &str) -> Result<Self, CredentialError> {
        let der =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| CredentialError::UnreadableCertificate)?;
        Self::from_der(der)
    }

    fn from_der(der: CertificateDer<'static>) -> Result<Self, CredentialError> {
        anchor(&der)?;
        let key = KeyFingerprint::of_certificate(&der)?;
        Ok(Self { der, key })
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der).to_string()
    }

    /// SHA-256 of the authority's public key: what an invitation pins.
    #[must_use]
    pub fn key_fingerprint(&self) -> KeyFingerprint {
        self.key
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

/// The authority's parameters follow from its key alone, so that an authority read from PEM signs
/// exactly as the one that was written. The name holds part of the key's digest: certificates of
/// two authorities must differ by their issuer, or a stranger looks like a damaged signature.
fn authority_params(key: &TlsKey) -> CertificateParams {
    let digest = key.public_key().fingerprint().to_string();
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("{AUTHORITY_NAME}{}", &digest[..16]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn subject_names(name: &PeerName, names: &[&str]) -> Result<Vec<SanType>, CredentialError> {
    let refused = |index| CredentialError::SubjectName { index };
    if names.len() > NAMES_MAX {
        return Err(refused(NAMES_MAX));
    }
    let own = Ia5String::try_from(name.dns_name()).map_err(CredentialError::Issue)?;
    let mut subjects = vec![SanType::DnsName(own)];
    for (index, &further) in names.iter().enumerate() {
        if let Ok(ip) = further.parse::<IpAddr>() {
            subjects.push(SanType::IpAddress(ip));
            continue;
        }
        // A second name of ours would let one certificate stand for two peers.
        if PeerName::is_claimed_by(further) || rustls::pki_types::DnsName::try_from(further).is_err() {
            return Err(refused(index));
        }
        let further = Ia5String::try_from(further).map_err(|_| refused(index))?;
        subjects.push(SanType::DnsName(further));
    }
    Ok(subjects)
}

pub(super) fn anchor<'a>(
    certificate: &'a CertificateDer<'a>,
) -> Result<rustls::pki_types::TrustAnchor<'a>, CredentialError> {
    webpki::anchor_from_trusted_cert(certificate).map_err(|_| CredentialError::UnreadableCertificate)
}

fn before(now: SystemTime) -> Result<SystemTime, CredentialError> {
    now.checked_sub(CLOCK_SKEW).ok_or(CredentialError::Clock)
}

fn after(now: SystemTime, lifetime: Duration) -> Result<SystemTime, CredentialError> {
    now.checked_add(lifetime).ok_or(CredentialError::Clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_holds_so_many_further_names_and_no_more() {
        let (own, names) = (PeerName::new("coordinator").unwrap(), vec!["coordinator.example"; NAMES_MAX + 1]);
        assert_eq!(subject_names(&own, &names[1..]).map(|names| names.len()).ok(), Some(NAMES_MAX + 1));
        let refused = subject_names(&own, &names);
        assert!(matches!(refused, Err(CredentialError::SubjectName { index: NAMES_MAX })));
    }
}
