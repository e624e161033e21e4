//! Requests to one archive and the heads of its answers: deadlines, statuses, types and what goes wrong below them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody, Timeout};

use crate::error::{ArchiveError, Place};
use crate::media_type::MediaType;
use crate::settings::{Address, Bounds, Settings};

/// Bytes of a file of authorities at most.
const CA_FILE_BYTES_MAX: u64 = 1 << 20;

/// How an archive is spoken to.
pub(crate) struct Line {
    agent: Agent,
    base: String,
    authorization: Option<HeaderValue>,
    pub(crate) bounds: Bounds,
}

/// What is asked for.
pub(crate) struct Request<'a> {
    /// Below the archive's address, with a slash first.
    pub(crate) path: &'a str,
    /// Encoded, with its question mark; it stands in no error.
    pub(crate) query: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) within: Duration,
}

/// An answer whose status says that it is one.
pub(crate) struct Answer {
    pub(crate) place: Place,
    pub(crate) status: StatusCode,
    pub(crate) media: MediaType,
    body: Body,
    within: Duration,
    bounds: Bounds,
}

impl Line {
    pub(crate) fn open(settings: &Settings) -> Result<Self, ArchiveError> {
        let address = Address::of(settings)?;
        let bounds = settings.bounds;
        let roots = match (&settings.ca_file, address.has_tls) {
            (Some(path), _) => authorities(path)?,
            (None, true) => return Err(ArchiveError::NoAuthority),
            (None, false) => Vec::new(),
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            // A variable of the environment sends no patient's name elsewhere.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(bounds.connect))
            .max_response_header_size(bounds.head_bytes_max)
            .user_agent("consilium")
            .build()
            .new_agent();
        let authorization = settings.credentials.as_ref().map(crate::Credentials::header);
        Ok(Self { agent, base: address.base, authorization, bounds })
    }

    /// Asks, and takes 2xx for an answer.
    pub(crate) fn get(&self, request: &Request<'_>) -> Result<Answer, ArchiveError> {
        let place = self.place("GET", request);
        let mut asked = self.agent.get(format!("{}{}", place.url, request.query));
        if let Some(authorization) = &self.authorization {
            asked = asked.header(header::AUTHORIZATION, authorization.clone());
        }
        let asked = asked.header(header::ACCEPT, request.accept);
        let response = asked.config().timeout_global(Some(request.within)).build().call();
        self.answer(place, request.within, response, &[])
    }

    /// Sends `length` bytes of `body`, and takes 2xx and the statuses in `also` for an answer.
    pub(crate) fn post(
        &self,
        request: &Request<'_>,
        content_type: &str,
        (body, length): (&mut dyn Read, usize),
        also: &[StatusCode],
    ) -> Result<Answer, ArchiveError> {
        let place = self.place("POST", request);
        let mut asked = self.agent.post(format!("{}{}", place.url, request.query));
        if let Some(authorization) = &self.authorization {
            asked = asked.header(header::AUTHORIZATION, authorization.clone());
        }
        let asked = asked
            .header(header::ACCEPT, request.accept)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONTENT_LENGTH, length.to_string());
        let asked = asked.config().timeout_global(Some(request.within)).build();
        let response = asked.send(SendBody::from_reader(body));
        self.answer(place, request.within, response, also)
    }

    fn place(&self, method: &'static str, request: &Request<'_>) -> Place {
        Place { method, url: format!("{}{}", self.base, request.path) }
    }

    fn answer(
        &self,
        place: Place,
        within: Duration,
        response: Result<Response<Body>, ureq::Error>,
        also: &[StatusCode],
    ) -> Result<Answer, ArchiveError> {
        let bounds = self.bounds;
        let response = response.map_err(|error| of_ureq(&place, within, &bounds, error))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() && !also.contains(&head.status) {
            return Err(of_status(place, head.status, &head.headers));
        }
        let media = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = MediaType::of(media.unwrap_or_default());
        Ok(Answer { place, status: head.status, media, body, within, bounds })
    }
}

impl Answer {
    /// The whole body, of `answer_bytes_max` bytes at most.
    pub(crate) fn bytes(self) -> Result<(Place, Vec<u8>), ArchiveError> {
        let Self { place, mut body, within, bounds, .. } = self;
        let read = body.with_config().limit(bounds.answer_bytes_max as u64).read_to_vec();
        let bytes = read.map_err(|error| of_ureq(&place, within, &bounds, error))?;
        Ok((place, bytes))
    }

    /// The body as it comes, of `bytes_max` bytes at most; the second value says what an error of reading it was.
    pub(crate) fn stream(self, bytes_max: u64) -> (impl Read, impl Fn(io::Error) -> ArchiveError) {
        let Self { place, body, within, bounds, .. } = self;
        let reader = body.into_with_config().limit(bytes_max).reader();
        (reader, move |error| of_ureq(&place, within, &bounds, error.into()))
    }
}

/// The certificates of a file.
fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, ArchiveError> {
    let unread = |source| ArchiveError::CaFile { path: path.to_path_buf(), source };
    let mut pem = Vec::new();
    File::open(path).map_err(unread)?.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(unread)?;
    let content = || ArchiveError::CaFileContent { path: path.to_path_buf() };
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(content());
    }
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| content())? {
            // Those that cannot be read would be left out in silence.
            let der = rustls::pki_types::CertificateDer::from(certificate.der());
            rustls::RootCertStore::empty().add(der).map_err(|_| content())?;
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(content()) } else { Ok(found) }
}

fn of_status(place: Place, status: StatusCode, headers: &HeaderMap) -> ArchiveError {
    let number = status.as_u16();
    match number {
        401 => ArchiveError::NotSignedIn { place },
        403 => ArchiveError::NotAllowed { place },
        404 | 410 => ArchiveError::NotFound { place, status: number },
        300..=399 => ArchiveError::Moved { place, status: number, to: target(headers) },
        500..=599 => ArchiveError::Failing { place, status: number },
        _ => ArchiveError::Refused { place, status: number },
    }
}

/// Scheme and host of a redirection: its path may repeat what was searched for.
fn target(headers: &HeaderMap) -> String {
    let uri = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let Some(uri) = uri else { return "nowhere".to_owned() };
    match (uri.scheme_str(), uri.host()) {
        (Some(scheme), Some(host)) => format!("{scheme}://{}", host.chars().take(100).collect::<String>()),
        _ => "another path of it".to_owned(),
    }
}

fn of_ureq(place: &Place, within: Duration, bounds: &Bounds, error: ureq::Error) -> ArchiveError {
    let place = place.clone();
    match error {
        ureq::Error::Timeout(Timeout::Connect) => ArchiveError::TimedOut { place, within: bounds.connect },
        ureq::Error::Timeout(_) => ArchiveError::TimedOut { place, within },
        ureq::Error::HostNotFound => ArchiveError::Unreachable { place, source: io::ErrorKind::NotFound.into() },
        ureq::Error::BodyExceedsLimit(bytes_max) => ArchiveError::TooLong { place, bytes_max },
        ureq::Error::LargeResponseHeader(..) => ArchiveError::LongHead { place, bytes_max: bounds.head_bytes_max },
        ureq::Error::Rustls(source) => ArchiveError::NotTrusted { place, source },
        ureq::Error::Io(error) => of_io(place, error),
        ureq::Error::BodyStalled => ArchiveError::Cut { place },
        ureq::Error::ConnectionFailed => {
            ArchiveError::Unreachable { place, source: io::ErrorKind::NotConnected.into() }
        }
        _ => ArchiveError::NotHttp { place },
    }
}

fn of_io(place: Place, error: io::Error) -> ArchiveError {
    // TLS hands its errors through the socket's.
    match error.downcast::<rustls::Error>() {
        Ok(source) => ArchiveError::NotTrusted { place, source },
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Cut { place },
        Err(source) => ArchiveError::Unreachable { place, source },
    }
}
