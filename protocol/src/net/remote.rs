//! The other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use super::peer::PeerName;
use super::transport::Transport;

/// The other end, as far as it is known when something fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name; none until its certificate has been verified.
    pub name: Option<PeerName>,
    /// Its address; the proxy's, where there is one.
    pub addr: SocketAddr,
    /// What carries the connection, or was to.
    pub transport: Transport,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}")?,
            None => f.write_str("an unknown peer")?,
        }
        match self.transport {
            Transport::Quic => write!(f, " at {}", self.addr),
            Transport::Tcp => write!(f, " at {} over TCP", self.addr),
            Transport::TcpThroughProxy => write!(f, " through the proxy at {}", self.addr),
        }
    }
}
