//! What all connections of a server share, whatever carries them: who may enter, and what is answered.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};

use super::credential_error::CredentialError;
use super::error::NetError;
use super::frame::{Frame, FrameError, FrameHead};
use super::limits::{Limits, NEWCOMER_FRAME_BYTES_MAX};
use super::newcomer::Newcomers;
use super::peer::{KeyFingerprint, Peer, PeerName};
use super::reason::{CloseReason, Rejection};
use super::registry::{Admitted, Registry};
use super::remote::Remote;
use super::server::{Handler, Refusal};
use super::stream::Link;
use super::traffic::Traffic;
use super::transport::Transport;

pub(super) struct Service {
    pub(super) handler: Arc<dyn Handler>,
    /// Who answers sites without a certificate, and how many more there may be.
    pub(super) newcomers: Option<(Arc<dyn Newcomers>, Semaphore)>,
    pub(super) registry: Arc<Registry>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) handshakes: Arc<Semaphore>,
    pub(super) bytes: Semaphore,
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) limits: Limits,
}

/// A place among the connections, and one among the handshakes.
pub(super) type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Who asks.
#[derive(Clone)]
pub(super) enum Asker {
    Member(Peer),
    Newcomer(SocketAddr),
}

/// Why a request has no reply.
pub(super) enum Failure {
    /// We say so and have already logged it.
    Reject(Rejection),
    /// The exchange itself went wrong.
    Net(NetError),
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl Failure {
    /// What the peer hears; the details stay in the log.
    pub(super) fn told(self) -> Rejection {
        match self {
            Self::Reject(rejection) => rejection,
            Self::Net(error) => {
                let rejection = rejection(&error);
                tracing::warn!(%error, ?rejection, "request failed");
                rejection
            }
        }
    }
}

impl Service {
    /// A place for whoever has dialled; none when the server is full.
    pub(super) fn places(&self, addr: SocketAddr) -> Option<Places> {
        let slot = Arc::clone(&self.connections).try_acquire_owned();
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
        let places = slot.ok().zip(handshake.ok());
        if places.is_none() {
            tracing::warn!(peer = %addr, "connection refused: full");
        }
        places
    }

    /// Who has shown this verified certificate, counted among its connections.
    ///
    /// # Errors
    /// Why it may not enter.
    pub(super) fn member(
        &self,
        own: Option<&CertificateDer<'_>>,
        remote: &Remote,
    ) -> Result<(Peer, Admitted), (CloseReason, NetError)> {
        let named = match own {
            Some(own) => PeerName::from_certificate(own)
                .and_then(|name| KeyFingerprint::of_certificate(own).map(|key| (name, key))),
            None => Err(CredentialError::UnreadableCertificate),
        };
        let (name, key) = named.map_err(|error| (CloseReason::Unnamed, error.into()))?;
        let requests = self.limits.streams_per_connection;
        let share = if remote.transport == Transport::Quic { requests } else { 1 };
        let most = self.limits.connections_per_peer.saturating_mul(requests);
        match self.registry.admit(key, share, most) {
            Some(admitted) => Ok((Peer { name, key, addr: remote.addr }, admitted)),
            None => Err((CloseReason::TooManyConnections, NetError::ClosedHere { peer: remote.clone() })),
        }
    }

    /// Room for a frame. All of its bytes are reserved before the first is read: frames that each hold a part of what
    /// the others need would never finish.
    pub(super) async fn room(&self, asker: &Asker, head: FrameHead) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        match asker {
            Asker::Newcomer(_) if head.payload_bytes() > NEWCOMER_FRAME_BYTES_MAX => {
                Err(Failure::Reject(Rejection::FrameTooLarge))
            }
            Asker::Newcomer(_) => Ok(None),
            Asker::Member(_) => {
                let held = self.bytes.acquire_many(head.payload_bytes()).await;
                held.map(Some).map_err(|_| Failure::Reject(Rejection::Cancelled))
            }
        }
    }

    /// The reply to one request.
    pub(super) async fn reply(&self, asker: &Asker, request: Frame, link: &Link<'_>) -> Result<Frame, Failure> {
        let reply = if request.kind == Frame::HELLO {
            hello(&request).map_err(|error| link.bad(error))?
        } else {
            match (asker, &self.newcomers) {
                (Asker::Member(peer), _) => self.call(peer.clone(), request, link.remote).await?,
                (Asker::Newcomer(addr), Some((newcomers, _))) => {
                    let refused = |Refusal { code }| Failure::Reject(Rejection::Refused(code));
                    newcomers.handle(*addr, request).await.map_err(refused)?
                }
                (Asker::Newcomer(_), None) => return Err(Failure::Reject(Rejection::Cancelled)),
            }
        };
        if let Err(error) = reply.check() {
            tracing::error!(peer = %link.remote, %error, "the handler's reply is no frame");
            return Err(Failure::Reject(Rejection::HandlerFailed));
        }
        Ok(reply)
    }

    async fn call(&self, peer: Peer, request: Frame, remote: &Remote) -> Result<Frame, Failure> {
        let kind = request.kind;
        // The call is made inside the future, so that a panic before its first await counts too.
        let mut call = Box::pin(async { self.handler.handle(peer, request).await });
        let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(reply)) => Poll::Ready(Some(reply)),
            Err(_) => Poll::Ready(None),
        });
        match caught.await {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(Refusal { code })) => {
                tracing::info!(peer = %remote, kind, code, "request refused");
                Err(Failure::Reject(Rejection::Refused(code)))
            }
            None => {
                tracing::error!(peer = %remote, kind, "the handler panicked");
                Err(Failure::Reject(Rejection::HandlerFailed))
            }
        }
    }

    pub(super) fn link<'a>(&'a self, remote: &'a Remote) -> Link<'a> {
        Link { remote, limits: &self.limits, traffic: &self.traffic }
    }

    /// Ready when a stopping server has waited long enough.
    pub(super) async fn drained(&self, stopping: &mut watch::Receiver<bool>) {
        let _ = stopping.wait_for(|&stop| stop).await;
        tokio::time::sleep(self.limits.drain).await;
    }
}

fn rejection(error: &NetError) -> Rejection {
    match error {
        NetError::Frame { source, .. } if source.is_too_large() => Rejection::FrameTooLarge,
        NetError::Frame { .. } => Rejection::BadFrame,
        NetError::TimedOut { .. } => Rejection::Stalled,
        _ => Rejection::Cancelled,
    }
}

/// The first request of a connection says nothing; that it is answered says that both
/// certificates were accepted, which TLS 1.3 does not tell the client by itself.
fn hello(request: &Frame) -> Result<Frame, FrameError> {
    if request.header.is_empty() && request.body.is_empty() {
        Ok(Frame::default())
    } else {
        Err(FrameError::ReservedKind)
    }
}
