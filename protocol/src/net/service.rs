//! What all connections of a server share, whatever carries them: who may enter, and what is answered.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::credential_error::CredentialError;
use super::crowd::{Crowd, Place};
use super::error::NetError;
use super::frame::{Frame, FrameError, FrameHead};
use super::limits::{Limits, NEWCOMER_FRAME_BYTES_MAX};
use super::newcomer::Newcomers;
use super::peer::{KeyFingerprint, Peer, PeerName};
use super::reason::{CloseReason, Rejection};
use super::registry::{Admitted, Registry};
use super::remote::Remote;
use super::room::{Held, Room};
use super::server::{Handler, Refusal};
use super::sparing::Sparing;
use super::stream::Link;
use super::traffic::Traffic;
use super::transport::Transport;

pub(super) struct Service {
    pub(super) handler: Arc<dyn Handler>,
    /// Who answers sites without a certificate, and their places.
    pub(super) newcomers: Option<(Arc<dyn Newcomers>, Arc<Crowd>)>,
    pub(super) registry: Arc<Registry>,
    pub(super) connections: Arc<Semaphore>,
    /// Whose certificate is not known yet, by transport: who floods one leaves the other open.
    pub(super) quic_handshakes: Arc<Crowd>,
    pub(super) tcp_handshakes: Arc<Crowd>,
    pub(super) room: Room,
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) limits: Limits,
    pub(super) strangers_lines: Sparing,
    pub(super) members_lines: Sparing,
}

/// A member's place: among all connections, and among those of its key.
pub(super) struct Seat {
    pub(super) admitted: Admitted,
    _slot: OwnedSemaphorePermit,
}

/// Who asks.
#[derive(Clone)]
pub(super) enum Asker {
    /// With the room for requests that its key has.
    Member(Peer, Arc<Semaphore>),
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

impl Service {
    /// Says that a connection was refused, unless that was said often enough just now.
    pub(super) fn refused(&self, peer: &Remote, why: &dyn fmt::Display) {
        if let Some(unsaid) = self.strangers_lines.line() {
            tracing::warn!(%peer, why = %why, unsaid, "connection refused");
        }
    }

    /// The same, of one whose certificate is the authority's where that is what the error says: no stranger keeps these
    /// lines out of the log.
    pub(super) fn refused_for(&self, peer: &Remote, error: &NetError) {
        match error {
            NetError::NotAdmitted { .. } => {
                if let Some(unsaid) = self.members_lines.line() {
                    tracing::warn!(%peer, why = %error, unsaid, "connection refused");
                }
            }
            _ => self.refused(peer, error),
        }
    }

    /// What the peer hears of a failure; the details stay in the log.
    pub(super) fn told(&self, asker: &Asker, failure: Failure) -> Rejection {
        match failure {
            Failure::Reject(rejection) => rejection,
            Failure::Net(error) => {
                let rejection = rejection(&error);
                if let Some(unsaid) = self.lines_of(asker).line() {
                    tracing::warn!(%error, ?rejection, unsaid, "request failed");
                }
                rejection
            }
        }
    }

    /// Lines of the log that this one causes.
    fn lines_of(&self, asker: &Asker) -> &Sparing {
        match asker {
            Asker::Member(..) => &self.members_lines,
            Asker::Newcomer(_) => &self.strangers_lines,
        }
    }

    /// A place for a site without a certificate.
    pub(super) fn newcomer(&self, remote: &Remote) -> Option<Place> {
        let (_, places) = self.newcomers.as_ref()?;
        let place = places.enter(remote.addr);
        if place.is_none() {
            self.refused(remote, &"too many newcomers");
        }
        place
    }

    /// Who has shown this verified certificate, counted among its connections, if it is still a member.
    ///
    /// # Errors
    /// Why it may not enter.
    pub(super) async fn member(
        &self,
        own: Option<&CertificateDer<'_>>,
        remote: &Remote,
    ) -> Result<(Peer, Seat), (CloseReason, NetError)> {
        let named = match own {
            Some(own) => PeerName::from_certificate(own)
                .and_then(|name| KeyFingerprint::of_certificate(own).map(|key| (name, key))),
            None => Err(CredentialError::UnreadableCertificate),
        };
        let (name, key) = named.map_err(|error| (CloseReason::Unnamed, error.into()))?;
        let refused = |reason| (reason, NetError::NotAdmitted { peer: remote.clone(), name: name.clone(), reason });
        let share = if remote.transport == Transport::Quic { self.limits.streams_per_connection } else { 1 };
        let mut admitted = self.registry.admit(key, share).ok_or_else(|| refused(CloseReason::TooManyConnections))?;
        let slot = Arc::clone(&self.connections).try_acquire_owned();
        let slot = slot.map_err(|_| refused(CloseReason::Full))?;
        let peer = Peer { name: name.clone(), key, addr: remote.addr };
        // Counted first, asked then: who is put out in between hears of it.
        let may_enter = tokio::select! {
            biased;
            () = admitted.put_out() => false,
            asked = timeout(self.limits.dial_timeout, self.handler.admits(&peer)) => {
                asked.map_err(|_| refused(CloseReason::Full))?
            }
        };
        if may_enter { Ok((peer, Seat { admitted, _slot: slot })) } else { Err(refused(CloseReason::Revoked)) }
    }

    /// Room for a frame.
    pub(super) async fn room(&self, asker: &Asker, head: FrameHead) -> Result<Option<Held>, Failure> {
        match asker {
            Asker::Newcomer(_) if head.payload_bytes() > NEWCOMER_FRAME_BYTES_MAX => {
                Err(Failure::Reject(Rejection::FrameTooLarge))
            }
            Asker::Newcomer(_) => Ok(None),
            Asker::Member(_, bytes) => {
                let held = self.room.reserve(bytes, head).await;
                held.map(Some).ok_or(Failure::Reject(Rejection::Stalled))
            }
        }
    }

    /// The reply to one request.
    pub(super) async fn reply(&self, asker: &Asker, request: Frame, link: &Link<'_>) -> Result<Frame, Failure> {
        let reply = if request.kind == Frame::HELLO {
            hello(&request).map_err(|error| link.bad(error))?
        } else {
            match (asker, &self.newcomers) {
                (Asker::Member(peer, _), _) => self.call(peer.clone(), request, link.remote).await?,
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
                if let Some(unsaid) = self.members_lines.line() {
                    tracing::info!(peer = %remote, kind, code, unsaid, "request refused");
                }
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
