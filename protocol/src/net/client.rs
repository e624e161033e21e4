//! The dialling side: one connection to one named server.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::authority::AuthorityCertificate;
use super::error::{NetError, Stage};
use super::frame::{Frame, FrameError};
use super::identity::Identity;
use super::limits::Limits;
use super::peer::{KeyFingerprint, PeerName};
use super::race;
use super::reason::CloseReason;
use super::remote::Remote;
use super::route::Route;
use super::server::close_code;
use super::stream::Link;
use super::tls;
use super::traffic::Traffic;

/// An authenticated connection. Calls may run concurrently; beyond the server's number of streams
/// they wait for each other.
#[derive(Debug)]
pub struct Connection {
    endpoint: quinn::Endpoint,
    quic: quinn::Connection,
    remote: Remote,
    limits: Limits,
    traffic: Arc<Traffic>,
}

impl Connection {
    /// Dials with the default [`Limits`] and counters of its own.
    ///
    /// # Errors
    /// As [`Connection::dial_with`].
    pub async fn dial(
        route: impl Into<Route>,
        server: &PeerName,
        identity: &Identity,
        authority: &AuthorityCertificate,
    ) -> Result<Self, NetError> {
        let traffic = Arc::new(Traffic::default());
        Self::dial_with(route, server, identity, authority, Limits::default(), traffic).await
    }

    /// Dials all addresses of `route` and accepts nobody there but `server`. When this returns, each side has accepted
    /// the other's certificate.
    ///
    /// # Errors
    /// [`NetError::Unresolved`] when the host is unknown, [`NetError::UntrustedPeer`] when one side did not accept the
    /// other, [`NetError::TimedOut`] when nobody answers, and others.
    pub async fn dial_with(
        route: impl Into<Route>,
        server: &PeerName,
        identity: &Identity,
        authority: &AuthorityCertificate,
        limits: Limits,
        traffic: Arc<Traffic>,
    ) -> Result<Self, NetError> {
        let tls = tls::client_tls(identity, authority)?;
        Self::dial_tls(&route.into(), server, tls, limits, traffic).await
    }

    /// Dials without a certificate, to ask for one: accepts `server` there if its certificate comes from the authority
    /// whose key has this fingerprint. Requests have at most
    /// [`NEWCOMER_FRAME_BYTES_MAX`](super::NEWCOMER_FRAME_BYTES_MAX).
    ///
    /// # Errors
    /// As [`Connection::dial_with`].
    pub async fn knock(
        route: impl Into<Route>,
        server: &PeerName,
        authority: KeyFingerprint,
    ) -> Result<Self, NetError> {
        let tls = tls::newcomer_tls(authority)?;
        Self::dial_tls(&route.into(), server, tls, Limits::default(), Arc::new(Traffic::default())).await
    }

    pub(super) async fn dial_tls(
        route: &Route,
        server: &PeerName,
        tls: rustls::ClientConfig,
        limits: Limits,
        traffic: Arc<Traffic>,
    ) -> Result<Self, NetError> {
        let config = tls::client_quic(tls, &limits)?;
        let mut attempts = JoinSet::new();
        let addresses = route.addresses(limits.dial_timeout).await?;
        let remote = |addr| Remote { name: Some(server.clone()), addr };
        let nobody = NetError::Unreachable { peer: remote(addresses[0]) };
        for remote in addresses.into_iter().map(remote) {
            let (config, limits, traffic) = (config.clone(), limits.clone(), Arc::clone(&traffic));
            attempts.spawn(Self::dial_quic(remote, server.dns_name(), config, limits, traffic));
        }
        race::first(attempts, nobody).await
    }

    async fn dial_quic(
        remote: Remote,
        subject: String,
        config: quinn::ClientConfig,
        limits: Limits,
        traffic: Arc<Traffic>,
    ) -> Result<Self, NetError> {
        let addr = remote.addr;
        let endpoint = tls::endpoint(tls::unspecified(addr), None, &limits)?;
        let after = limits.dial_timeout;
        let link = Link { remote: &remote, limits: &limits, traffic: &traffic };
        let dialled = timeout(after, async {
            let quic = endpoint
                .connect_with(config, addr, &subject)
                .map_err(|_| NetError::Unreachable { peer: remote.clone() })?
                .await
                .map_err(|error| link.lost(error))?;
            exchange(&quic, &link, Frame::default()).await?;
            Ok::<_, NetError>(quic)
        })
        .await;
        let quic = match dialled {
            Ok(quic) => quic?,
            Err(_) => return Err(link.timed_out(Stage::Dialling, after)),
        };
        Ok(Self { endpoint, quic, remote, limits, traffic })
    }

    /// Sends one request and waits for its reply. Dropping the future cancels the wait, not the
    /// server's work.
    ///
    /// # Errors
    /// [`NetError::Rejected`] when the server gave the request up, after which the connection
    /// still works; others when the connection is lost or the time is over. Whether the server has
    /// acted on the request is then unknown.
    pub async fn call(&self, request: Frame) -> Result<Frame, NetError> {
        let link = Link { remote: &self.remote, limits: &self.limits, traffic: &self.traffic };
        if request.kind == Frame::HELLO {
            return Err(link.bad(FrameError::ReservedKind));
        }
        request.check().map_err(|error| link.bad(error))?;
        let after = self.limits.reply_timeout;
        timeout(after, exchange(&self.quic, &link, request)).await.map_err(|_| link.timed_out(Stage::Reply, after))?
    }

    /// Whether the connection is known to be over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.quic.close_reason().is_some()
    }

    /// The server's name and address.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Counters of this connection, live.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    #[cfg(test)]
    pub(super) fn quic(&self) -> &quinn::Connection {
        &self.quic
    }

    /// Closes the connection and waits until the server has been told.
    pub async fn close(self) {
        self.quic.close(close_code(CloseReason::Done), &[]);
        // A server that is gone cannot be told.
        let _ = timeout(self.limits.dial_timeout, self.endpoint.wait_idle()).await;
    }
}

async fn exchange(quic: &quinn::Connection, link: &Link<'_>, request: Frame) -> Result<Frame, NetError> {
    let (mut send, mut receive) = quic.open_bi().await.map_err(|error| link.lost(error))?;
    link.write(request, &mut send).await?;
    let head = link.read_head(&mut receive).await?;
    link.read_payload(head, &mut receive).await
}
