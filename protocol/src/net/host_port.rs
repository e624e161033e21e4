//! An address as people write it: the name of a host and a port.

use std::fmt;
use std::str::FromStr;

/// Host and port of a coordinator or a proxy: `consilium.example:443`, `10.1.2.3:443`, `[2001:db8::1]:443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    text: String,
    colon: usize,
    port: u16,
}

impl HostPort {
    /// Longest text: a DNS name, a colon and a port.
    pub const BYTES_MAX: usize = 253 + 1 + 5;

    /// The host without brackets: a DNS name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text[..self.colon].trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, not 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that is no host with a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no host and port such as consilium.example:443")]
pub struct HostPortError {
    /// As given, cut after 80 characters.
    pub text: String,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let wrong = || HostPortError { text: text.chars().take(80).collect() };
        let colon = text.rfind(':').filter(|_| text.len() <= Self::BYTES_MAX).ok_or_else(wrong)?;
        let port = text[colon + 1..].parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let address = Self { text: text.to_owned(), colon, port };
        let host = address.host();
        let is_bracketed = text.starts_with('[') && text[..colon].ends_with(']');
        let is_v6 = is_bracketed && host.parse::<std::net::Ipv6Addr>().is_ok();
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if is_v6 || (is_name && !text[..colon].contains(['[', ']'])) { Ok(address) } else { Err(wrong()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_ports() {
        let parts = |text: &str| text.parse::<HostPort>().map(|it| (it.host().to_owned(), it.port())).ok();
        assert_eq!(parts("consilium.example:443"), Some(("consilium.example".to_owned(), 443)));
        assert_eq!(parts("10.1.2.3:8443"), Some(("10.1.2.3".to_owned(), 8443)));
        assert_eq!(parts("[2001:db8::1]:443"), Some(("2001:db8::1".to_owned(), 443)));
        for wrong in
            ["", "host", "host:", ":443", "host:0", "host:65536", "ho st:1", "[host]:1", "2001:db8::1:443", "[::1:1"]
        {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
        assert_eq!(parts(&format!("{}:443", "h".repeat(254))), None);
    }
}
