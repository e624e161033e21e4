//! The HTTP proxy that a site may have to go through, and what it shows there.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::host_port::{HostPort, HostPortError};
use super::pem;

/// Longest file with a user and a password, in bytes.
const FILE_BYTES_MAX: usize = 1 << 10;

/// An HTTP proxy that opens tunnels (`CONNECT`, RFC 9110 section 9.3.6).
#[derive(Debug, Clone)]
pub struct Proxy {
    at: HostPort,
    credentials: Option<Arc<Basic>>,
}

impl Proxy {
    /// The proxy's own address.
    #[must_use]
    pub fn at(&self) -> &HostPort {
        &self.at
    }

    /// The same proxy, which is shown a user and a password.
    #[must_use]
    pub fn with_credentials(self, credentials: Basic) -> Self {
        Self { credentials: Some(Arc::new(credentials)), ..self }
    }

    /// The proxy at an address, which is shown nothing.
    pub(super) fn at_address(at: HostPort) -> Self {
        Self { at, credentials: None }
    }

    /// Whether it is shown a user and a password.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    pub(super) fn credentials(&self) -> Option<&Basic> {
        self.credentials.as_deref()
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    /// Reads `http://host:port`. A user and a password do not belong there: lists of processes show command lines, and
    /// settings are mailed around.
    fn from_str(url: &str) -> Result<Self, ProxyError> {
        // Before any error that shows the text.
        if url.contains('@') {
            return Err(ProxyError::CredentialsInUrl);
        }
        if url.starts_with("https://") {
            return Err(ProxyError::Tls);
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| ProxyError::Url { given: cut(url) })?;
        Ok(Self::at_address(rest.strip_suffix('/').unwrap_or(rest).parse()?))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A user and a password for a proxy (RFC 7617). Neither cloned nor printed; wiped when dropped.
pub struct Basic {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Basic {
    /// Reads a file with one line `user:password`, or with two lines, the user and the password.
    ///
    /// # Errors
    /// [`ProxyError::File`] where it cannot be read, [`ProxyError::Credentials`] where it holds something else.
    pub fn read(path: &Path) -> Result<Self, ProxyError> {
        let unreadable = |source| ProxyError::File { path: path.to_path_buf(), source };
        // Sized up front, so that no reallocation leaves a copy behind.
        let mut bytes = Zeroizing::new(vec![0; FILE_BYTES_MAX + 1]);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut len = 0;
        while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        let text = bytes.get(..len).filter(|text| text.len() <= FILE_BYTES_MAX);
        let parsed = text.and_then(|text| std::str::from_utf8(text).ok()).and_then(Self::parse);
        parsed.ok_or_else(|| ProxyError::Credentials { path: path.to_path_buf() })
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (user, password) = match text.split_once('\n') {
            Some((user, password)) => (user.strip_suffix('\r').unwrap_or(user), password),
            None => text.split_once(':')?,
        };
        Self::of(user, password)
    }

    /// A user and a password; `None` where they could not be shown to a proxy.
    pub(super) fn of(user: &str, password: &str) -> Option<Self> {
        // A colon would end the user's name at the proxy, a control character the line.
        let is_wrong = user.is_empty()
            || user.contains(':')
            || [user, password].iter().any(|part| part.contains(char::is_control));
        let kept = |part: &str| Zeroizing::new(part.to_owned());
        (!is_wrong).then(|| Self { user: kept(user), password: kept(password) })
    }

    /// What stands after `Basic` in a request.
    pub(super) fn encoded(&self) -> Zeroizing<String> {
        let mut pair = Zeroizing::new(Vec::with_capacity(self.user.len() + 1 + self.password.len()));
        pair.extend_from_slice(self.user.as_bytes());
        pair.push(b':');
        pair.extend_from_slice(self.password.as_bytes());
        pem::base64(&pair)
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Basic(..)")
    }
}

/// Why a proxy cannot be used as it was named. No text shows a user or a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL holds a user.
    #[error("a proxy's URL must not hold a user or a password; put them into a file and name the file")]
    CredentialsInUrl,
    /// The URL is of another kind.
    #[error("{given:?} is no proxy's URL; write it like http://proxy.example:3128")]
    Url {
        /// As given, cut after 80 characters.
        given: String,
    },
    /// A proxy that is spoken to in TLS.
    #[error(
        "a proxy is spoken to in plain HTTP here, and https:// is not; write it like http://proxy.example:3128. What \
         goes through it is encrypted between this site and the coordinator"
    )]
    Tls,
    /// A variable with another kind of proxy.
    #[error("it names no proxy that is spoken here; write it like http://proxy.example:3128")]
    Scheme,
    /// A variable whose user or password cannot be shown to a proxy.
    #[error(
        "the user and the password in it must be percent-encoded, the user not empty and without a colon, both without \
         control characters"
    )]
    UserInUrl,
    /// What follows `http://` is no host with a port.
    #[error("a proxy's URL is http://host:port: {0}")]
    HostPort(#[from] HostPortError),
    /// The file with user and password cannot be read.
    #[error("cannot read {}: {source}; make it readable for this program alone", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} must hold one line user:password, or user and password on two lines, at most {FILE_BYTES_MAX} bytes",
        path.display()
    )]
    Credentials {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_http_url_without_a_user() {
        for url in ["http://proxy.example:3128", "http://proxy.example:3128/"] {
            assert_eq!(url.parse::<Proxy>().unwrap().at().as_str(), "proxy.example:3128");
        }
        for wrong in ["ftp://proxy.example:3128", "proxy.example:3128", "socks5://proxy.example:1080", ""] {
            assert!(matches!(wrong.parse::<Proxy>(), Err(ProxyError::Url { .. })), "{wrong:?}");
        }
        assert!(matches!("https://proxy.example:3128".parse::<Proxy>(), Err(ProxyError::Tls)));
        for wrong in ["http://proxy.example", "http://proxy.example:3128/path", "http://:3128"] {
            assert!(matches!(wrong.parse::<Proxy>(), Err(ProxyError::HostPort(_))), "{wrong:?}");
        }
        for secret in ["http://me:hunter2@proxy.example:3128", "ftp://me:hunter2@x"] {
            let error = secret.parse::<Proxy>().unwrap_err();
            assert!(matches!(error, ProxyError::CredentialsInUrl));
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn user_and_password_come_from_one_line_or_two() {
        let encoded = |text: &str| Basic::parse(text).map(|basic| basic.encoded().to_string());
        // RFC 7617 section 2.
        let aladdin = Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        for text in
            ["Aladdin:open sesame", "Aladdin:open sesame\n", "Aladdin\nopen sesame\n", "Aladdin\r\nopen sesame\r\n"]
        {
            assert_eq!(encoded(text), aladdin, "{text:?}");
        }
        assert_eq!(encoded("me:a:b"), encoded("me\na:b"));
        for wrong in ["", "me", ":secret", "a\nb\nc", "a:b\nc", "me:se\0cret", "me\n\nx"] {
            assert_eq!(encoded(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_file_is_read_within_its_bound_and_shown_nowhere() {
        let path = std::env::temp_dir().join(format!("consilium-proxy-{}", std::process::id()));
        std::fs::write(&path, "me:hunter2\n").unwrap();
        let proxy: Proxy = "http://proxy.example:3128".parse().unwrap();
        let proxy = proxy.with_credentials(Basic::read(&path).unwrap());
        assert_eq!(*proxy.credentials().unwrap().encoded(), "bWU6aHVudGVyMg==");
        let shown = format!("{proxy:?} {:?}", super::super::Route::from(proxy.at().clone()).through(proxy.clone()));
        assert!(shown.contains("Basic(..)") && !shown.contains("hunter2") && !shown.contains("bWU6"), "{shown}");
        std::fs::write(&path, format!("me:{}", "x".repeat(FILE_BYTES_MAX - 3))).unwrap();
        assert!(Basic::read(&path).is_ok());
        std::fs::write(&path, format!("me:hunter2{}", "x".repeat(FILE_BYTES_MAX))).unwrap();
        let error = Basic::read(&path).unwrap_err();
        assert!(matches!(error, ProxyError::Credentials { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Basic::read(&path), Err(ProxyError::File { .. })));
    }

    #[test]
    fn an_address_that_is_none_is_shown_by_its_beginning() {
        let address = format!("socks://{}", "x".repeat(200));
        let shown = address.parse::<Proxy>().unwrap_err();
        assert!(matches!(&shown, ProxyError::Url { given } if *given == address[..80]), "{shown:?}");
    }
}
