//! What people carry between a coordinator and an authority that is kept on another machine, which nothing connects.
//!
//! ```text
//! coordinator:  SigningRequests ---- a file ----> authority's machine
//! people:       hear six words of each new site by telephone, type them there
//! coordinator:  <---- a file ---- SignedCertificates
//! ```

use std::fmt;

use super::message::{Applicant, CERTIFICATE_BYTES_MAX, Opened, Site, nonce_commitment, words};
use super::words::Words;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_struct};
use crate::ids::Digest;
use crate::net::{KeyFingerprint, TlsPublicKey};
use crate::signature::VerifyingKey;

/// Longest file of either kind, in bytes: hundreds of sites.
pub const SIGNING_FILE_BYTES_MAX: u64 = 1 << 20;

/// What the files begin with.
const REQUESTS: &[u8; 16] = b"consilium-req-1\n";
const CERTIFICATES: &[u8; 16] = b"consilium-crt-1\n";

/// Who the coordinator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoordinatorKeys {
    /// For its certificates.
    pub tls: TlsPublicKey,
    /// Verifies entries of its log.
    pub verifying: VerifyingKey,
}
wire_struct!(CoordinatorKeys { tls: TlsPublicKey, verifying: VerifyingKey });

impl CoordinatorKeys {
    /// What people compare before this authority signs for a coordinator for the first time. Whoever wants other keys
    /// with the same words has one try in 2^66 for each that he makes.
    #[must_use]
    pub fn words(&self, authority: KeyFingerprint) -> Words {
        let mut writer = Writer::default();
        writer.bytes(b"consilium coordinator words v1");
        writer.array(authority.bytes());
        self.encode(&mut writer);
        Words::of(Digest::of_bytes(&writer.into_bytes()))
    }
}

/// A site that waits to be let in, or back in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// SHA-256 of its invitation's token.
    pub token: Digest,
    /// Who asks.
    pub applicant: Applicant,
    /// What the coordinator answered.
    pub opened: Opened,
    /// The site's nonce.
    pub nonce: [u8; 32],
}
wire_struct!(Admission { token: Digest, applicant: Applicant, opened: Opened, nonce: [u8; 32] });

impl Admission {
    /// The words that the site reads aloud; `None` where its nonce is not the one that it committed to.
    #[must_use]
    pub fn words(&self, authority: KeyFingerprint) -> Option<Words> {
        let is_open = nonce_commitment(&self.nonce) == self.applicant.commitment;
        is_open.then(|| words(&self.applicant, authority, &self.opened, &self.nonce))
    }
}

/// What waits for a signature. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequests {
    /// SHA-256 of the authority's key.
    pub authority: Digest,
    /// Who asks; its own certificate is always among what is signed.
    pub coordinator: CoordinatorKeys,
    /// Sites whose words are to be heard.
    pub admissions: Vec<Admission>,
    /// Members whose certificates are half over.
    pub renewals: Vec<Site>,
}
wire_struct!(SigningRequests {
    authority: Digest,
    coordinator: CoordinatorKeys,
    admissions: Vec<Admission>,
    renewals: Vec<Site>,
});

/// A certificate for a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCertificate {
    /// Of the invitation with which it asked; none where it is a member already.
    pub token: Option<Digest>,
    /// PEM.
    pub certificate: String,
}

impl Wire for SiteCertificate {
    const BYTES_MIN: usize = 1 + 4;
    fn encode(&self, writer: &mut Writer) {
        self.token.encode(writer);
        writer.bytes(self.certificate.as_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let token = Option::decode(reader)?;
        Ok(Self { token, certificate: reader.text("certificate", CERTIFICATE_BYTES_MAX)? })
    }
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificates {
    /// The coordinator's own, PEM.
    pub coordinator: String,
    /// The sites'.
    pub sites: Vec<SiteCertificate>,
}

impl Wire for SignedCertificates {
    const BYTES_MIN: usize = 4 + 4;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.coordinator.as_bytes());
        self.sites.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let coordinator = reader.text("certificate", CERTIFICATE_BYTES_MAX)?;
        Ok(Self { coordinator, sites: Vec::decode(reader)? })
    }
}

/// Why a file is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningFileError {
    /// Something else.
    #[error("this is no file of {what}")]
    Other {
        /// What was expected.
        what: SigningFile,
    },
    /// Cut or changed.
    #[error("the file of {what} is damaged: {source}")]
    Damaged {
        /// What was expected.
        what: SigningFile,
        /// What is wrong.
        source: DecodeError,
    },
}

/// Which of both files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningFile {
    /// [`SigningRequests`].
    Requests,
    /// [`SignedCertificates`].
    Certificates,
}

impl fmt::Display for SigningFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests, as `consilium coordinator requests` writes them",
            Self::Certificates => "certificates, as `consilium coordinator sign` writes them",
        })
    }
}

impl SigningRequests {
    /// The file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [REQUESTS.as_slice(), &self.to_bytes()].concat()
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`SigningFileError`].
    pub fn from_file(file: &[u8]) -> Result<Self, SigningFileError> {
        read(file, REQUESTS, SigningFile::Requests)
    }
}

impl SignedCertificates {
    /// The file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [CERTIFICATES.as_slice(), &self.to_bytes()].concat()
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`SigningFileError`].
    pub fn from_file(file: &[u8]) -> Result<Self, SigningFileError> {
        read(file, CERTIFICATES, SigningFile::Certificates)
    }
}

fn read<T: Wire>(file: &[u8], begin: &[u8], what: SigningFile) -> Result<T, SigningFileError> {
    let body = file.strip_prefix(begin).ok_or(SigningFileError::Other { what })?;
    T::from_bytes(body).map_err(|source| SigningFileError::Damaged { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{PeerName, TlsKey};
    use crate::signature::SigningKey;

    fn keys() -> CoordinatorKeys {
        let verifying = SigningKey::generate().unwrap().verifying_key();
        CoordinatorKeys { tls: TlsKey::generate().unwrap().public_key(), verifying }
    }

    fn admission() -> Admission {
        let nonce = [7; 32];
        let site = Site {
            name: PeerName::new("st-anna").unwrap(),
            organisation: "Clinic".to_owned(),
            tls: TlsKey::generate().unwrap().public_key(),
            verifying: SigningKey::generate().unwrap().verifying_key(),
        };
        let opened = Opened { nonce: [9; 32], coordinator: SigningKey::generate().unwrap().verifying_key() };
        let applicant = Applicant { site, commitment: nonce_commitment(&nonce) };
        Admission { token: Digest([1; 32]), applicant, opened, nonce }
    }

    #[test]
    fn each_file_reads_back_as_itself_and_as_nothing_else() {
        let admission = admission();
        let requests = SigningRequests {
            authority: Digest([3; 32]),
            coordinator: keys(),
            renewals: vec![admission.applicant.site.clone()],
            admissions: vec![admission],
        };
        let site = SiteCertificate { token: Some(Digest([1; 32])), certificate: "PEM".to_owned() };
        let signed = SignedCertificates { coordinator: "PEM".to_owned(), sites: vec![site] };
        assert_eq!(SigningRequests::from_file(&requests.to_file()), Ok(requests.clone()));
        assert_eq!(SignedCertificates::from_file(&signed.to_file()), Ok(signed.clone()));
        let what = SigningFile::Certificates;
        assert_eq!(SignedCertificates::from_file(&requests.to_file()), Err(SigningFileError::Other { what }));
        let file = requests.to_file();
        let cut = SigningRequests::from_file(&file[..file.len() - 1]);
        assert!(matches!(cut, Err(SigningFileError::Damaged { what: SigningFile::Requests, .. })), "{cut:?}");
    }

    #[test]
    fn words_of_a_coordinator_are_of_its_keys_and_its_authority() {
        let (one, other) = (keys(), keys());
        let authority = KeyFingerprint::from_bytes([1; 32]);
        let words = one.words(authority);
        assert_ne!(words, one.words(KeyFingerprint::from_bytes([2; 32])));
        assert_ne!(words, CoordinatorKeys { tls: other.tls, ..one }.words(authority));
        assert_ne!(words, CoordinatorKeys { verifying: other.verifying, ..one }.words(authority));
    }

    #[test]
    fn a_nonce_that_was_not_committed_to_has_no_words() {
        let (admission, authority) = (admission(), KeyFingerprint::from_bytes([1; 32]));
        let heard = words(&admission.applicant, authority, &admission.opened, &admission.nonce);
        assert_eq!(admission.words(authority), Some(heard));
        assert_eq!(Admission { nonce: [8; 32], ..admission }.words(authority), None);
    }

    #[test]
    fn each_file_is_named_with_the_command_that_writes_it() {
        let verb = |file: SigningFile| file.to_string().split('`').nth(1).map(str::to_owned);
        assert_eq!(verb(SigningFile::Requests).as_deref(), Some("consilium coordinator requests"));
        assert_eq!(verb(SigningFile::Certificates).as_deref(), Some("consilium coordinator sign"));
    }
}
