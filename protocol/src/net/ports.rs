//! The two sockets of a server, on one port.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};

use super::error::NetError;
use super::identity::Identity;
use super::limits::Limits;
use super::tls;

/// How often a free port is looked for that is free for TCP as well.
const TRIES: usize = 16;
/// Wait after the system could not hand over a connection; it may lack descriptors.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Ports {
    pub(super) addr: SocketAddr,
    pub(super) endpoint: quinn::Endpoint,
    pub(super) listener: Listener,
}

impl Ports {
    /// Binds `addr` for both; port 0 takes one that is free for both.
    pub(super) fn bind(
        addr: SocketAddr,
        identity: &Identity,
        tls: &ServerConfig,
        limits: &Limits,
    ) -> Result<Self, NetError> {
        let mut tries = if addr.port() == 0 { TRIES } else { 1 };
        loop {
            let server = tls::server_quic(tls.clone(), limits)?;
            let endpoint = tls::endpoint(addr, tls::lasting(identity), Some(server), limits)?;
            let bound = endpoint.local_addr().map_err(|source| NetError::Bind { addr, source })?;
            tries -= 1;
            match Listener::bind(bound) {
                Ok(listener) => return Ok(Self { addr: bound, endpoint, listener }),
                Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(NetError::Bind { addr: bound, source }),
            }
        }
    }
}

/// The socket for TCP.
pub(super) struct Listener(TcpListener);

impl Listener {
    fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(addr)?;
        socket.set_nonblocking(true)?;
        Ok(Self(TcpListener::from_std(socket)?))
    }

    /// The next connection. May be cancelled.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection over TCP was not handed over");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
