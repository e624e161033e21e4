//! The other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use super::peer::PeerName;

/// The other end, as far as it is known when something fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name; none until its certificate has been verified.
    pub name: Option<PeerName>,
    /// Its address.
    pub addr: SocketAddr,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} at {}", self.addr),
            None => write!(f, "an unknown peer at {}", self.addr),
        }
    }
}
