//! The dialled side: accepts peers of one authority and hands their requests to a [`Handler`].

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use quinn::VarInt;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::authority::AuthorityCertificate;
use super::credential_error::CredentialError;
use super::crowd::Crowd;
use super::error::NetError;
use super::frame::Frame;
use super::identity::Identity;
use super::limits::Limits;
use super::newcomer::Newcomers;
use super::peer::{KeyFingerprint, Peer};
use super::ports::Ports;
use super::reason::CloseReason;
use super::registry::Registry;
use super::room::Room;
use super::service::Service;
use super::shown::Shown;
use super::sparing::Sparing;
use super::tls;
use super::traffic::Traffic;

/// A future behind a pointer, as the methods of a `dyn` trait have to return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the application does with requests.
///
/// Requests of one peer run concurrently, up to the limits. The connection's fate does not touch a
/// running call: it goes on to its end even when nobody waits for the reply any more. Only a
/// server that stops drops calls which outlast the drain time. A panic fails the one request.
pub trait Handler: Send + Sync + 'static {
    /// Whether a peer with a certificate may enter at all, asked once for each of its connections. Who may not is
    /// closed out with [`CloseReason::Revoked`], which it takes for final: say so of former members alone.
    fn admits<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, bool> {
        let _ = peer;
        Box::pin(async { true })
    }

    /// Answers one request. `peer` was authenticated by its certificate; whether it may ask is for
    /// the handler to check, each time.
    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>>;
}

/// A handler's answer that is no answer. The peer learns the code and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The application's own code.
    pub code: u16,
}

/// A bound server that does not serve yet.
pub struct Server {
    ports: Ports,
    tls: Arc<rustls::ServerConfig>,
    limits: Limits,
    traffic: Arc<Traffic>,
    newcomers: Option<Arc<dyn Newcomers>>,
    handle: ServerHandle,
}

/// What may be done to a server while it serves.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    shown: Arc<Shown>,
    registry: Arc<Registry>,
}

impl ServerHandle {
    /// Shows this certificate to whoever dials from now on. Connections that stand are not touched: their peers have
    /// checked the earlier one.
    ///
    /// # Errors
    /// [`CredentialError::OtherName`] where it was issued to another name.
    pub fn renew(&self, identity: &Identity) -> Result<(), CredentialError> {
        self.shown.renew(identity)
    }

    /// Closes all connections of a peer with [`CloseReason::Revoked`] and returns their number. Calls under way go on
    /// to their end and nobody hears of it. Whether the peer may dial again and ask is for the [`Handler`] to say.
    pub fn disconnect(&self, key: KeyFingerprint) -> usize {
        self.registry.put_out(key)
    }
}

impl Server {
    /// Binds `addr` for UDP and for TCP; port 0 takes one that is free for both. From here on peers may dial, and wait
    /// for [`Server::run`].
    ///
    /// # Errors
    /// [`NetError`] when the address is taken, the limits are out of range or the identity cannot
    /// be used.
    pub fn bind(
        addr: SocketAddr,
        identity: &Identity,
        authority: &AuthorityCertificate,
        limits: Limits,
    ) -> Result<Self, NetError> {
        Self::bind_with(addr, identity, authority, limits, None)
    }

    /// As [`Server::bind`], and answers sites without a certificate as well, a few at a time and not for long.
    /// `identity` must show the authority's certificate beside its own, since they know its key alone.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn bind_open(
        addr: SocketAddr,
        identity: &Identity,
        authority: &AuthorityCertificate,
        limits: Limits,
        newcomers: Arc<dyn Newcomers>,
    ) -> Result<Self, NetError> {
        Self::bind_with(addr, identity, authority, limits, Some(newcomers))
    }

    fn bind_with(
        addr: SocketAddr,
        identity: &Identity,
        authority: &AuthorityCertificate,
        limits: Limits,
        newcomers: Option<Arc<dyn Newcomers>>,
    ) -> Result<Self, NetError> {
        let needed = Frame::HEADER_BYTES_MAX + Frame::BODY_BYTES_MAX;
        let bytes = limits.bytes_in_flight.min(limits.bytes_per_peer);
        if bytes < needed {
            return Err(NetError::BytesInFlight { bytes, needed });
        }
        let handle = ServerHandle { shown: Shown::new(identity), registry: Registry::new(&limits) };
        let tls = tls::server_tls(&handle.shown, authority, newcomers.is_some())?;
        let ports = Ports::bind(addr, identity, &tls, &limits)?;
        let (tls, traffic) = (Arc::new(tls), Arc::new(Traffic::default()));
        Ok(Self { ports, tls, limits, traffic, newcomers, handle })
    }

    /// The address bound, with its port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.ports.addr
    }

    /// Counters over all peers, live.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Renews its certificate and puts peers out, while it serves.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is ready, then takes no more requests, lets those under way finish
    /// for at most `limits.drain` and closes every connection, which takes at most `limits.closing`.
    pub async fn run(self, handler: Arc<dyn Handler>, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let Ports { endpoint, listener, .. } = self.ports;
        let limits = self.limits;
        let newcomers = || Crowd::new(limits.newcomers, limits.newcomers_per_network);
        let handshakes = || Crowd::new(limits.handshakes, limits.handshakes_per_network);
        let service = Arc::new(Service {
            handler,
            newcomers: self.newcomers.map(|all| (all, newcomers())),
            registry: self.handle.registry,
            connections: Arc::new(Semaphore::new(limits.connections as usize)),
            quic_handshakes: handshakes(),
            tcp_handshakes: handshakes(),
            room: Room::new(limits.bytes_in_flight, limits.reply_timeout),
            tls: self.tls,
            traffic: self.traffic,
            limits,
            strangers_lines: Sparing::default(),
            members_lines: Sparing::default(),
        });
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => service.admit_quic(incoming, &mut connections, &stopping),
                    None => break,
                },
                (stream, addr) = listener.accept() => service.admit_tcp(stream, addr, &mut connections, &stopping),
                Some(ended) = connections.join_next() => log_panic(ended),
            }
        }
        // Refuse newcomers at once; without this they would wait for a server that is leaving.
        endpoint.set_server_config(None);
        drop(listener);
        stop.send_replace(true);
        let all = async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        };
        if timeout(service.limits.drain + service.limits.closing, all).await.is_err() {
            tracing::warn!(left = connections.len(), "connections were dropped that did not end in time");
            connections.abort_all();
        }
        endpoint.close(close_code(CloseReason::ShuttingDown), &[]);
        // Three probe timeouts at most; a peer that is gone must not hold us.
        let _ = timeout(service.limits.drain, endpoint.wait_idle()).await;
    }
}

pub(super) fn close_code(reason: CloseReason) -> VarInt {
    VarInt::from_u64(reason.code()).unwrap_or(VarInt::MAX)
}

pub(super) fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the server failed");
    }
}
