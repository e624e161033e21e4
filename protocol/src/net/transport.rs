//! What carries a connection, and which carriers a site may use.

use std::fmt;
use std::str::FromStr;

/// What a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// QUIC over UDP.
    Quic,
    /// TLS over TCP.
    Tcp,
    /// TLS over TCP, in a tunnel that an HTTP proxy has opened.
    TcpThroughProxy,
}

impl Transport {
    /// What has to pass on the way there.
    pub(super) fn packets(self) -> &'static str {
        match self {
            Self::Quic => "UDP",
            Self::Tcp => "TCP",
            Self::TcpThroughProxy => "TCP through the proxy",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::TcpThroughProxy => "tcp through proxy",
        })
    }
}

/// Which transports are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// QUIC, and TCP where it does not get through.
    #[default]
    Auto,
    /// QUIC alone.
    Quic,
    /// TCP alone.
    Tcp,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        })
    }
}

/// A text that names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no transport; choose auto, quic or tcp")]
pub struct ModeError {
    /// As given, cut after 80 characters.
    pub given: String,
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        [Self::Auto, Self::Quic, Self::Tcp]
            .into_iter()
            .find(|mode| mode.to_string() == text)
            .ok_or_else(|| ModeError { given: text.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_they_are_read() {
        for mode in [Mode::Auto, Mode::Quic, Mode::Tcp] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("QUIC".parse::<Mode>(), Err(ModeError { given: "QUIC".to_owned() }));
        assert_eq!(Mode::default(), Mode::Auto);
    }
}
