//! Files with a password or a token: read at once, wiped when done, never repeated.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pacs::{Credentials, CredentialsError};
use zeroize::Zeroizing;

use super::error::AccessError;

/// Bytes of such a file at most: a user and a password of 4096 each.
const FILE_BYTES_MAX: usize = 8_194;

/// A user and a password: one line `user:password`, or two lines.
pub(super) fn user(path: &Path) -> Result<Credentials, AccessError> {
    let text = read(path)?;
    let content = |source| AccessError::SecretContent { path: path.to_path_buf(), source };
    let pair = match text.split_once('\n') {
        Some((user, password)) => Some((user.trim_end_matches('\r'), password)),
        None => text.split_once(':'),
    };
    let (user, password) = pair.filter(|(user, _)| !user.is_empty()).ok_or_else(|| content(None))?;
    Credentials::basic(user, password).map_err(|source| content(Some(source)))
}

/// A bearer token.
pub(super) fn token(path: &Path) -> Result<Credentials, AccessError> {
    let text = read(path)?;
    let content =
        |source: CredentialsError| AccessError::SecretContent { path: path.to_path_buf(), source: Some(source) };
    Credentials::bearer(&text).map_err(content)
}

/// The text without its last end of line.
fn read(path: &Path) -> Result<Zeroizing<String>, AccessError> {
    let unread = |source| AccessError::Secret { path: path.to_path_buf(), source };
    // Sized up front, so that no reallocation leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; FILE_BYTES_MAX + 1]);
    let (mut file, mut length) = (File::open(path).map_err(unread)?, 0);
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(error)),
        }
    }
    let content = || AccessError::SecretContent { path: path.to_path_buf(), source: None };
    let text = bytes.get(..length).filter(|text| text.len() <= FILE_BYTES_MAX).ok_or_else(content)?;
    let text = std::str::from_utf8(text).map_err(|_| content())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &[u8], read: impl Fn(&Path) -> Result<Credentials, AccessError>) -> Result<(), AccessError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read(file.path()).map(drop)
    }

    #[test]
    fn a_user_and_a_password_are_one_line_or_two_and_nothing_else() {
        for good in [&b"ada:a b"[..], b"ada:a:b\n", b"ada\na:b\r\n", b"ada\r\nx\n"] {
            assert!(of(good, user).is_ok(), "{good:?}");
        }
        let long = [&b"ada:"[..], &vec![b'x'; FILE_BYTES_MAX]].concat();
        for bad in [&b""[..], b"ada", b":x", b"a:d\na\nb", b"ada:\xff", &long] {
            let error = of(bad, user).unwrap_err();
            assert!(matches!(error, AccessError::SecretContent { .. }), "{bad:?}: {error}");
        }
        assert!(matches!(user(Path::new("/nowhere/x")), Err(AccessError::Secret { .. })));
    }

    #[test]
    fn a_token_is_one_word() {
        assert!(of(b"abc.def\n", token).is_ok());
        for bad in [&b""[..], b"a b", b"a\nb"] {
            assert!(matches!(of(bad, token), Err(AccessError::SecretContent { source: Some(_), .. })), "{bad:?}");
        }
    }
}
