//! One attempt to reach a server, over whatever gets through.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bundle::{Bundle, TcpDial};
use super::client::{Connection, exchange};
use super::error::{NetError, Stage};
use super::frame::Frame;
use super::issuer::ClientTls;
use super::limits::Limits;
use super::peer::PeerName;
use super::race;
use super::remote::Remote;
use super::route::{Route, resolve};
use super::stream::Link;
use super::tls;
use super::tls_error::NO_APPLICATION_PROTOCOL;
use super::traffic::Traffic;
use super::transport::{Mode, Transport};
use super::tunnel::Tunnel;
use super::version::{Older, Unlike};

/// Whom to reach, and as whom.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) server: PeerName,
    pub(super) tls: ClientTls,
    pub(super) limits: Limits,
    pub(super) traffic: Arc<Traffic>,
}

impl Dial {
    /// Dials all addresses of `route`. Where both sides speak our protocol in no common version, the failure says who
    /// is older.
    pub(super) async fn along(&self, route: &Route) -> Result<Connection, NetError> {
        match self.over_all(route).await {
            Err(NetError::Handshake { peer, alert: NO_APPLICATION_PROTOCOL }) => Err(self.unlike(route, peer).await),
            dialled => dialled,
        }
    }

    /// Asks a server, whose alert says no more than that there is no common version, for newer and for older ones. A
    /// connection that comes about is not used.
    async fn unlike(&self, route: &Route, peer: Remote) -> NetError {
        let Some(Unlike { ours, newer, older }) = Unlike::to(&self.tls.config.alpn_protocols) else {
            return NetError::Handshake { peer, alert: NO_APPLICATION_PROTOCOL };
        };
        for (names, older) in [(newer, Older::Us), (older, Older::Peer)] {
            let mut asking = self.clone();
            asking.tls.config.alpn_protocols = names;
            // Whatever else happens, the other side has taken one of the names, but for what breaks before.
            match asking.over_all(route).await {
                Ok(connection) => connection.close().await,
                Err(NetError::Handshake { .. }) => continue,
                // It is gone or silent: asking on would only take longer.
                Err(error) if error.is_transient() => break,
                Err(_) => {}
            }
            return NetError::Version { peer, ours, older };
        }
        NetError::Handshake { peer, alert: NO_APPLICATION_PROTOCOL }
    }

    async fn over_all(&self, route: &Route) -> Result<Connection, NetError> {
        let within = self.limits.dial_timeout;
        if let Some(proxy) = route.proxy() {
            if route.mode() == Mode::Quic {
                return Err(NetError::QuicThroughProxy { proxy: proxy.at().clone() });
            }
            let tunnel = Tunnel { proxy: proxy.clone(), target: route.target() };
            return self.over_tcp(&resolve(proxy.at(), within).await?, Some(tunnel)).await;
        }
        let addresses = route.addresses(within).await?;
        let (quic, tcp) = (self.over_quic(&addresses), self.over_tcp(&addresses, None));
        match route.mode() {
            Mode::Auto => race::quic_then_tcp(quic, tcp, self.limits.tcp_after).await,
            Mode::Quic => quic.await,
            Mode::Tcp => tcp.await,
        }
    }

    /// Dials over QUIC alone.
    pub(super) async fn along_quic(&self, route: &Route) -> Result<Connection, NetError> {
        self.over_quic(&route.addresses(self.limits.dial_timeout).await?).await
    }

    async fn over_quic(&self, addresses: &[SocketAddr]) -> Result<Connection, NetError> {
        let mut attempts = JoinSet::new();
        for &addr in addresses {
            attempts.spawn(self.clone().quic(self.remote(addr, Transport::Quic)));
        }
        race::first(attempts, || self.nobody(addresses, Transport::Quic)).await
    }

    async fn over_tcp(&self, addresses: &[SocketAddr], tunnel: Option<Tunnel>) -> Result<Connection, NetError> {
        let transport = if tunnel.is_some() { Transport::TcpThroughProxy } else { Transport::Tcp };
        let mut attempts = JoinSet::new();
        for &addr in addresses {
            attempts.spawn(self.clone().tcp(self.remote(addr, transport), tunnel.clone()));
        }
        race::first(attempts, || self.nobody(addresses, transport)).await
    }

    async fn quic(self, remote: Remote) -> Result<Connection, NetError> {
        let Self { server, tls, limits, traffic } = self;
        let (tls, seen) = tls.watched();
        let config = tls::client_quic(tls, &limits)?;
        let endpoint = tls::endpoint(tls::unspecified(remote.addr), quinn::EndpointConfig::default(), None, &limits)?;
        let after = limits.dial_timeout;
        let link = Link { remote: &remote, limits: &limits, traffic: &traffic };
        let dialled = timeout(after, async {
            let quic = endpoint
                .connect_with(config, remote.addr, &server.dns_name())
                .map_err(|_| NetError::Unreachable { peer: remote.clone() })?
                .await
                .map_err(|error| link.lost(error))?;
            exchange(&quic, &link, Frame::default()).await?;
            Ok::<_, NetError>(quic)
        })
        .await;
        let quic = match dialled {
            Ok(quic) => quic.map_err(|error| seen.name(error))?,
            Err(_) => return Err(link.timed_out(Stage::Dialling, after)),
        };
        Ok(Connection::over_quic(endpoint, quic, remote, limits, traffic))
    }

    async fn tcp(self, remote: Remote, tunnel: Option<Tunnel>) -> Result<Connection, NetError> {
        let Self { server, tls, limits, traffic } = self;
        let unreachable = |_| NetError::Unreachable { peer: remote.clone() };
        let subject = ServerName::try_from(server.dns_name()).map_err(unreachable)?;
        let (dialled, counted) = (remote.clone(), Arc::clone(&traffic));
        let dial = TcpDial { remote: dialled, subject, tls, limits: limits.clone(), traffic: counted, tunnel };
        Ok(Connection::over_tcp(Bundle::open(dial).await?, remote, limits, traffic))
    }

    fn remote(&self, addr: SocketAddr, transport: Transport) -> Remote {
        Remote { name: Some(self.server.clone()), addr, transport }
    }

    fn nobody(&self, addresses: &[SocketAddr], transport: Transport) -> NetError {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        NetError::Unreachable { peer: self.remote(addresses.first().copied().unwrap_or(unknown), transport) }
    }
}
