//! The dialling side: one connection to one named server.

use std::sync::Arc;

use tokio::time::timeout;

use super::authority::AuthorityCertificate;
use super::bundle::Bundle;
use super::dial::Dial;
use super::error::{NetError, Stage};
use super::frame::{Frame, FrameError};
use super::identity::Identity;
use super::issuer::ClientTls;
use super::limits::Limits;
use super::peer::{KeyFingerprint, PeerName};
use super::reason::CloseReason;
use super::remote::Remote;
use super::route::Route;
use super::server::close_code;
use super::stream::Link;
use super::tls;
use super::traffic::Traffic;
use super::transport::Transport;

/// An authenticated connection. Calls may run concurrently; beyond the number of streams they wait
/// for each other. Over TCP it is several TLS connections to the same address, opened when needed.
#[derive(Debug)]
pub struct Connection {
    carrier: Carrier,
    remote: Remote,
    limits: Limits,
    traffic: Arc<Traffic>,
}

#[derive(Debug)]
enum Carrier {
    Quic { endpoint: quinn::Endpoint, quic: quinn::Connection },
    Tcp(Box<Bundle>),
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
        tls: ClientTls,
        limits: Limits,
        traffic: Arc<Traffic>,
    ) -> Result<Self, NetError> {
        Dial { server: server.clone(), tls, limits, traffic }.along(route).await
    }

    pub(super) fn over_quic(
        endpoint: quinn::Endpoint,
        quic: quinn::Connection,
        remote: Remote,
        limits: Limits,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { carrier: Carrier::Quic { endpoint, quic }, remote, limits, traffic }
    }

    pub(super) fn over_tcp(bundle: Bundle, remote: Remote, limits: Limits, traffic: Arc<Traffic>) -> Self {
        Self { carrier: Carrier::Tcp(Box::new(bundle)), remote, limits, traffic }
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
        let exchanged = timeout(after, async {
            match &self.carrier {
                Carrier::Quic { quic, .. } => exchange(quic, &link, request).await,
                Carrier::Tcp(bundle) => bundle.exchange(request).await,
            }
        });
        exchanged.await.map_err(|_| link.timed_out(Stage::Reply, after))?
    }

    /// Whether the connection is known to be over. Over TCP that is known once a call has failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.carrier {
            Carrier::Quic { quic, .. } => quic.close_reason().is_some(),
            Carrier::Tcp(bundle) => bundle.is_over(),
        }
    }

    /// The server's name and address.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What carries it.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.remote.transport
    }

    /// Counters of this connection, live.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    #[cfg(test)]
    pub(super) fn quic(&self) -> &quinn::Connection {
        match &self.carrier {
            Carrier::Quic { quic, .. } => quic,
            Carrier::Tcp(_) => panic!("not over QUIC"),
        }
    }

    /// Closes the connection and waits until the server has been told.
    pub async fn close(self) {
        match self.carrier {
            Carrier::Quic { endpoint, quic } => {
                quic.close(close_code(CloseReason::Done), &[]);
                // A server that is gone cannot be told.
                let _ = timeout(self.limits.dial_timeout, endpoint.wait_idle()).await;
            }
            Carrier::Tcp(bundle) => bundle.close().await,
        }
    }
}

pub(super) async fn exchange(quic: &quinn::Connection, link: &Link<'_>, request: Frame) -> Result<Frame, NetError> {
    let (mut send, mut receive) = quic.open_bi().await.map_err(|error| link.lost(error))?;
    link.write(request, &mut send).await?;
    let head = link.read_head(&mut receive).await?;
    link.read_payload(head, &mut receive).await
}
