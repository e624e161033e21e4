//! Who this hospital's programs are to its archive.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::http::HeaderValue;
use zeroize::Zeroizing;

/// Bytes of a user's name, a password or a token at most: beyond it the archive would refuse the header.
const LENGTH_MAX: usize = 4096;

/// What is sent with every request. It is wiped when it is dropped; the copies that a request needs are the library's,
/// which does not wipe them but prints none.
pub struct Credentials {
    header: Zeroizing<String>,
}

/// What cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The archive would take what follows for the password.
    #[error("a user's name cannot have a colon in it")]
    Colon,
    /// A header has printable ASCII, and the scheme's own letters are not to be in it.
    #[error("a token has printable ASCII characters without spaces, and at least one of them")]
    Token,
    /// Too long.
    #[error("a user's name, a password or a token has {LENGTH_MAX} bytes at most")]
    Long,
    /// Control characters, which no keyboard types on purpose.
    #[error("a user's name and a password have no control characters")]
    Control,
}

impl Credentials {
    /// A user and a password (RFC 7617, in UTF-8).
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn basic(user: &str, password: &str) -> Result<Self, CredentialsError> {
        if user.contains(':') {
            return Err(CredentialsError::Colon);
        }
        if user.len() > LENGTH_MAX || password.len() > LENGTH_MAX {
            return Err(CredentialsError::Long);
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(CredentialsError::Control);
        }
        let both = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
        Ok(Self { header: Zeroizing::new(format!("Basic {}", *encoded)) })
    }

    /// A token (RFC 6750).
    ///
    /// # Errors
    /// [`CredentialsError::Token`], [`CredentialsError::Long`].
    pub fn bearer(token: &str) -> Result<Self, CredentialsError> {
        if token.len() > LENGTH_MAX {
            return Err(CredentialsError::Long);
        }
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CredentialsError::Token);
        }
        Ok(Self { header: Zeroizing::new(format!("Bearer {token}")) })
    }

    /// The header's value, which does not print itself either.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.header).expect("both makers let nothing through that is no header");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_those_of_their_standards() {
        let basic = Credentials::basic("Aladdin", "open sesame").unwrap();
        assert_eq!(basic.header().to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Credentials::bearer("a.b-c").unwrap().header().to_str().unwrap(), "Bearer a.b-c");
    }

    #[test]
    fn they_print_nothing_of_themselves() {
        let basic = Credentials::basic("Aladdin", "open sesame").unwrap();
        assert_eq!(format!("{basic:?}"), "Credentials(..)");
        assert_eq!(format!("{:?}", basic.header()), "Sensitive");
    }

    #[test]
    fn what_would_become_another_header_is_refused() {
        let long = "x".repeat(LENGTH_MAX + 1);
        assert_eq!(Credentials::basic("a:b", "c").err(), Some(CredentialsError::Colon));
        assert_eq!(Credentials::basic("a", "b\r\nX: y").err(), Some(CredentialsError::Control));
        assert_eq!(Credentials::basic("a", &long).err(), Some(CredentialsError::Long));
        assert_eq!(Credentials::basic(&long, "a").err(), Some(CredentialsError::Long));
        for token in ["", "a b", "a\n", "\u{e4}"] {
            assert_eq!(Credentials::bearer(token).err(), Some(CredentialsError::Token), "{token:?}");
        }
        assert_eq!(Credentials::bearer(&long).err(), Some(CredentialsError::Long));
        assert!(Credentials::basic("\u{e4}", "\u{f6} \u{fc}").is_ok());
    }
}
