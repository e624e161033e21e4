//! A tunnel through an HTTP proxy: one request in the clear, one answer, and from then on the server's bytes.
//!
//! What a proxy answers is read up to the end of its header, at most 8 KiB; nothing after it is, unless it is the
//! tunnel. The time for all of it is the dialler's.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::error::NetError;
use super::proxy::Proxy;
use super::remote::Remote;

/// Longest header of an answer, in bytes.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// What is kept of a text that a proxy chose, in characters.
const KEPT: usize = 80;

/// Which proxy to ask, and for what.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    pub(super) proxy: Proxy,
    pub(super) target: String,
}

/// Why a proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// 407 to a request without a user and a password.
    #[error("it wants a user and a password; put them into a file and name the file")]
    CredentialsMissing,
    /// 407 to a request with them.
    #[error("it does not accept the user and the password in the file; check them")]
    CredentialsRefused,
    /// 407, and no way of proving oneself that is spoken here.
    #[error(
        "it wants {offered}, and only Basic is spoken here: NTLM, Negotiate and Kerberos are not; have the \
         coordinator's host exempted from authentication, or Basic allowed for it"
    )]
    Scheme {
        /// The names of what it offers, cut after 80 characters.
        offered: String,
    },
    /// Any other answer than 200.
    #[error("it answered {code} {reason:?}; have the coordinator's host and port allowed there")]
    Refused {
        /// Status code.
        code: u16,
        /// Its words, printable and cut after 80 characters.
        reason: String,
    },
    /// The answer is none of HTTP, or goes on after its header.
    #[error("its answer is none of an HTTP proxy; check its address and port")]
    Malformed,
    /// The answer's header does not end.
    #[error("the header of its answer is longer than {HEADER_BYTES_MAX} bytes; check its address and port")]
    TooLong,
    /// The connection to the proxy ended before its answer did.
    #[error("the connection to it broke: {0}")]
    Severed(#[source] io::Error),
}

impl TunnelError {
    /// Whether the same attempt may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // The proxy's own trouble, or that the server was not there.
            Self::Refused { code, .. } => (500..600).contains(code) || *code == 429,
            Self::Severed(_) => true,
            _ => false,
        }
    }
}

impl Tunnel {
    /// Asks for the tunnel. What is read from `stream` after this comes from the server.
    pub(super) async fn open(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        remote: &Remote,
    ) -> Result<(), NetError> {
        let opened = self.ask(stream).await;
        opened.map_err(|source| {
            tracing::debug!(peer = %remote, %source, "no tunnel");
            NetError::Proxy { proxy: self.proxy.at().clone(), target: self.target.clone(), source }
        })
    }

    async fn ask(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), TunnelError> {
        let written = async {
            stream.write_all(self.request().as_bytes()).await?;
            stream.flush().await
        };
        written.await.map_err(TunnelError::Severed)?;
        let header = read_header(stream).await?;
        let (code, reason) = status(&header).ok_or(TunnelError::Malformed)?;
        match code {
            200 => Ok(()),
            407 => Err(self.unauthorised(&header)),
            _ => Err(TunnelError::Refused { code, reason }),
        }
    }

    fn request(&self) -> Zeroizing<String> {
        let encoded = self.proxy.credentials().map(super::proxy::Basic::encoded);
        let parts = ["CONNECT ", &self.target, " HTTP/1.1\r\nHost: ", &self.target, "\r\n"];
        let shown = match &encoded {
            Some(encoded) => ["Proxy-Authorization: Basic ", encoded, "\r\n"],
            None => ["", "", ""],
        };
        let parts = || parts.iter().chain(&shown).chain(&["\r\n"]);
        // Sized up front, so that no reallocation leaves a copy behind.
        let mut request = Zeroizing::new(String::with_capacity(parts().map(|part| part.len()).sum()));
        parts().for_each(|part| request.push_str(part));
        request
    }

    fn unauthorised(&self, header: &[u8]) -> TunnelError {
        let schemes = schemes(header);
        let is_basic = |scheme: &String| scheme.eq_ignore_ascii_case("basic");
        if !schemes.is_empty() && !schemes.iter().any(is_basic) {
            return TunnelError::Scheme { offered: schemes.join(", ").chars().take(KEPT).collect() };
        }
        match self.proxy.credentials() {
            Some(_) => TunnelError::CredentialsRefused,
            None => TunnelError::CredentialsMissing,
        }
    }
}

/// Everything up to the empty line.
async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, TunnelError> {
    let mut header = vec![0; HEADER_BYTES_MAX];
    let mut len = 0;
    loop {
        let arrived = stream.read(&mut header[len..]).await.map_err(TunnelError::Severed)?;
        if arrived == 0 {
            return Err(TunnelError::Severed(io::ErrorKind::UnexpectedEof.into()));
        }
        len += arrived;
        if let Some(end) = header[..len].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            // A server speaks only after the client, so what follows 200 cannot be its word.
            let is_tunnel = header.starts_with(b"HTTP/1.1 200") || header.starts_with(b"HTTP/1.0 200");
            if is_tunnel && len > end + 4 {
                return Err(TunnelError::Malformed);
            }
            header.truncate(end + 2);
            return Ok(header);
        }
        if len == HEADER_BYTES_MAX {
            return Err(TunnelError::TooLong);
        }
    }
}

/// Code and reason of the first line.
fn status(header: &[u8]) -> Option<(u16, String)> {
    let line = header.split(|&byte| byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.0 ").or_else(|| line.strip_prefix(b"HTTP/1.1 "))?;
    let (code, reason) = rest.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || !(reason.is_empty() || reason.starts_with(b" ")) {
        return None;
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Some((code, printable(reason.trim_ascii())))
}

/// The names of what `Proxy-Authenticate` offers, each once.
fn schemes(header: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in header.split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if !name.trim_ascii().eq_ignore_ascii_case(b"proxy-authenticate") {
            continue;
        }
        // Several may stand on one line, between parameters that hold commas as well: a scheme is a word alone.
        for part in value[1..].split(|&byte| byte == b',') {
            let part = part.trim_ascii();
            let word = part.split(|&byte| byte == b' ').next().unwrap_or_default();
            let is_scheme = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            let scheme = printable(word);
            if is_scheme && !found.contains(&scheme) {
                found.push(scheme);
            }
        }
    }
    found
}

fn printable(bytes: &[u8]) -> String {
    let shown = |&byte: &u8| if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '?' };
    bytes.iter().take(KEPT).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn tunnel() -> Tunnel {
        Tunnel { proxy: "http://proxy.example:3128".parse().unwrap(), target: "coordinator.example:443".to_owned() }
    }

    /// What becomes of this answer, whose connection ends after it.
    async fn answered(answer: &[u8]) -> Result<(), TunnelError> {
        let (mut ours, mut theirs) = duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        tunnel().ask(&mut ours).await
    }

    #[test]
    fn a_request_names_the_target_and_nobody_where_no_file_is_given() {
        let request = "CONNECT coordinator.example:443 HTTP/1.1\r\nHost: coordinator.example:443\r\n\r\n";
        assert_eq!(*tunnel().request(), request);
    }

    #[tokio::test]
    async fn two_hundred_is_a_tunnel_and_all_else_is_named() {
        assert!(answered(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.is_ok());
        assert!(answered(b"HTTP/1.0 200\r\n\r\n").await.is_ok());
        for (answer, code, reason, is_transient) in [
            (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>".as_slice(), 403, "Forbidden", false),
            (b"HTTP/1.1 503 Try \x1b[31mlater\r\n\r\n", 503, "Try ?[31mlater", true),
            (b"HTTP/1.1 204 \r\n\r\n", 204, "", false),
            (b"HTTP/1.1 302 Found\r\nLocation: http://portal\r\n\r\n", 302, "Found", false),
        ] {
            let error = answered(answer).await.unwrap_err();
            assert_eq!(error.is_transient(), is_transient, "{error}");
            assert!(
                matches!(&error, TunnelError::Refused { code: c, reason: r } if *c == code && r == reason),
                "{error:?}"
            );
        }
        let long = [b"HTTP/1.1 500 ".as_slice(), &[b'x'; 4000], b"\r\n\r\n"].concat();
        let error = answered(&long).await.unwrap_err();
        assert!(matches!(&error, TunnelError::Refused { reason, .. } if reason.len() == KEPT), "{error:?}");
    }

    #[tokio::test]
    async fn an_answer_of_something_else_is_refused() {
        for wrong in [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n".as_slice(),
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 2000\r\n\r\n",
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            let error = answered(wrong).await.unwrap_err();
            assert!(matches!(error, TunnelError::Malformed), "{error:?}");
        }
        for cut in [b"".as_slice(), b"HTTP/1.1 200 OK\r\n"] {
            assert!(matches!(answered(cut).await, Err(TunnelError::Severed(_))));
        }
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; HEADER_BYTES_MAX]].concat();
        assert!(matches!(answered(&endless).await, Err(TunnelError::TooLong)));
    }

    #[tokio::test]
    async fn what_a_proxy_wants_to_be_shown_is_told() {
        let asks =
            |offers: &str| format!("HTTP/1.1 407 Proxy Authentication Required\r\n{offers}\r\n\r\n").into_bytes();
        let missing = answered(&asks("Proxy-Authenticate: Basic realm=\"a, b\"")).await.unwrap_err();
        assert!(matches!(missing, TunnelError::CredentialsMissing), "{missing:?}");
        assert!(matches!(answered(&asks("X: y")).await, Err(TunnelError::CredentialsMissing)));
        let both = asks("proxy-authenticate: Negotiate, basic realm=\"x\"");
        assert!(matches!(answered(&both).await, Err(TunnelError::CredentialsMissing)));
        let error = answered(&asks("Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate")).await.unwrap_err();
        assert!(error.to_string().starts_with("it wants NTLM, Negotiate, and only Basic is spoken here"), "{error}");
        assert!(!error.is_transient());
    }
}
