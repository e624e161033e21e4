//! How an archive is reached, and how much is taken from it.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

use crate::credentials::Credentials;
use crate::error::{AddressFault, ArchiveError};

/// An archive as a hospital's configuration names it. There is no `Debug`: an address may have a password in it until
/// it is refused.
#[derive(Default)]
pub struct Settings {
    /// Where its DICOMweb services are, such as `https://archive.hospital/dicom-web`.
    pub address: String,
    /// Who asks; nobody in particular if absent.
    pub credentials: Option<Credentials>,
    /// Certificates, in PEM, of the authorities that may vouch for the archive. An archive with https needs it: no
    /// public authority is trusted, since a hospital's archive has a certificate of the hospital.
    pub ca_file: Option<PathBuf>,
    /// Whether patients' names may travel unencrypted to another machine.
    pub allow_plain_http: bool,
    /// How much is taken.
    pub bounds: Bounds,
}

/// What an archive may cost whoever asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Until it is connected: an archive is in the same building, or not there.
    pub connect: Duration,
    /// Until a search or a storage is answered to the last byte: a person waits for it.
    pub answer: Duration,
    /// Until a retrieval is over: a study of thousands of slices over a busy network.
    pub retrieval: Duration,
    /// Bytes of an answer's head: a proxy's cookies are far below.
    pub head_bytes_max: usize,
    /// Bytes of an answer that is not a retrieval: `rows_max` rows of 2 KB.
    pub answer_bytes_max: usize,
    /// Bytes of one object, the most that is in memory of a retrieval: an ultrasound film or a mammogram in slices.
    pub part_bytes_max: usize,
    /// Bytes of a whole retrieval.
    pub retrieval_bytes_max: u64,
    /// Rows of one search: more than a person reads, and than a study has instances.
    pub rows_max: usize,
    /// Objects of one retrieval.
    pub parts_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            retrieval: Duration::from_secs(1800),
            head_bytes_max: 32 << 10,
            answer_bytes_max: 32 << 20,
            part_bytes_max: 1 << 30,
            retrieval_bytes_max: 64 << 30,
            rows_max: 16_384,
            parts_max: 16_384,
        }
    }
}

/// A checked address, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) base: String,
    pub(crate) has_tls: bool,
}

impl Address {
    pub(crate) fn of(settings: &Settings) -> Result<Self, ArchiveError> {
        let fault = |fault| ArchiveError::Address { fault };
        let text = settings.address.as_str();
        let uri: Uri = text.parse().map_err(|_| fault(AddressFault::NoUrl))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(fault(AddressFault::NoUrl));
        };
        if authority.as_str().contains('@') {
            return Err(fault(AddressFault::Credentials));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(fault(AddressFault::Query));
        }
        let has_tls = match scheme {
            "https" => true,
            "http" if settings.allow_plain_http || is_loopback(uri.host().unwrap_or_default()) => false,
            "http" => return Err(fault(AddressFault::PlainHttp)),
            _ => return Err(fault(AddressFault::Scheme)),
        };
        Ok(Self { base: format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/')), has_tls })
    }
}

/// Whether a host is this machine, by its name alone: nothing is resolved for it.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, allow_plain_http: bool) -> Result<String, AddressFault> {
        let settings = Settings { address: text.to_owned(), allow_plain_http, ..Settings::default() };
        match Address::of(&settings) {
            Ok(address) => Ok(address.base),
            Err(ArchiveError::Address { fault }) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn names_of_patients_travel_encrypted_unless_it_is_said() {
        assert_eq!(address("http://archive/dicom-web", false), Err(AddressFault::PlainHttp));
        assert_eq!(address("http://localhost.evil/", false), Err(AddressFault::PlainHttp));
        assert_eq!(address("http://10.0.0.7/", false), Err(AddressFault::PlainHttp));
        assert_eq!(address("http://archive/dicom-web/", true).unwrap(), "http://archive/dicom-web");
        for loopback in ["http://localhost:8042/a", "http://127.0.0.1:8042/a", "http://[::1]:8042/a"] {
            assert_eq!(address(loopback, false).unwrap(), loopback);
        }
    }

    #[test]
    fn an_address_is_one_and_nothing_else() {
        assert_eq!(address("https://archive:8443", false).unwrap(), "https://archive:8443");
        assert_eq!(address("ftp://archive/", true), Err(AddressFault::Scheme));
        assert_eq!(address("archive", true), Err(AddressFault::NoUrl));
        assert_eq!(address("/dicom-web", true), Err(AddressFault::NoUrl));
        assert_eq!(address("", true), Err(AddressFault::NoUrl));
        assert_eq!(address("https://a b/", true), Err(AddressFault::NoUrl));
        assert_eq!(address("https://me:secret@archive/", true), Err(AddressFault::Credentials));
        assert_eq!(address("https://archive/?a=b", true), Err(AddressFault::Query));
        assert_eq!(address("https://archive/#a", true), Err(AddressFault::Query));
    }
}
