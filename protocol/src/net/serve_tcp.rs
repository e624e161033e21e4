//! Connections over TCP: one request after the other.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::ReadHalf;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::error::{NetError, Stage};
use super::frame::Frame;
use super::peer::Peer;
use super::reason::CloseReason;
use super::registry::Admitted;
use super::remote::Remote;
use super::service::{Asker, Failure, Service};
use super::tls::{self, Spoken};
use super::tls_error::NO_APPLICATION_PROTOCOL;
use super::transport::Transport;
use super::wire::{self, Wire};

type ReadTls = ReadHalf<TlsStream<TcpStream>>;

/// Who has dialled.
enum Arrived {
    Member(Wire, Peer, Admitted),
    Newcomer(Wire),
}

/// What became of a request.
enum Ended {
    Answered(Result<Frame, Failure>),
    /// Nobody is there to hear the answer, or may hear it.
    Lost,
    /// The server has stopped and waited.
    Drained,
}

impl Service {
    /// Decides about a newcomer by the server's room alone; the system has checked its address.
    pub(super) fn admit_tcp(
        self: &Arc<Self>,
        stream: TcpStream,
        addr: SocketAddr,
        connections: &mut JoinSet<()>,
        stopping: &watch::Receiver<bool>,
    ) {
        // Dropping the stream closes it, which a dialler takes for a refusal.
        let Some((slot, handshake)) = self.places(addr) else { return };
        let (service, stopping) = (Arc::clone(self), stopping.clone());
        connections.spawn(async move {
            let remote = Remote { name: None, addr, transport: Transport::Tcp };
            let arrived = service.handshake_tcp(stream, &remote).await;
            drop(handshake);
            match arrived {
                Ok(Arrived::Member(wire, peer, admitted)) => service.serve_tcp(wire, peer, admitted, stopping).await,
                Ok(Arrived::Newcomer(wire)) => service.hear_tcp(wire, remote, stopping).await,
                Err(error) => tracing::warn!(%error, "connection refused"),
            }
            drop(slot);
        });
    }

    async fn handshake_tcp(&self, stream: TcpStream, remote: &Remote) -> Result<Arrived, NetError> {
        let link = self.link(remote);
        // Frames are written whole; waiting for more to send would only delay their ends.
        stream.set_nodelay(true).map_err(|error| link.severed(error))?;
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls));
        let after = self.limits.dial_timeout;
        let shaken = timeout(after, acceptor.accept(stream).into_fallible()).await;
        let stream = match shaken.map_err(|_| link.timed_out(Stage::Dialling, after))? {
            Ok(stream) => stream,
            Err((error, stream)) => {
                wire::linger_plain(stream).await;
                return Err(link.severed(error));
            }
        };
        let (spoken, own) = {
            let tls = stream.get_ref().1;
            (tls::spoken(tls.alpn_protocol()), tls.peer_certificates().and_then(|chain| chain.first()).cloned())
        };
        let wire = Wire::new(stream);
        match spoken {
            Some(Spoken::Member) => {}
            Some(Spoken::Newcomer) => return Ok(Arrived::Newcomer(wire)),
            // QUIC does not come so far without a protocol's name; TLS by itself does.
            None => {
                wire.linger().await;
                return Err(NetError::Handshake { peer: remote.clone(), alert: NO_APPLICATION_PROTOCOL });
            }
        }
        match self.member(own.as_ref(), remote) {
            Ok((peer, admitted)) => Ok(Arrived::Member(wire, peer, admitted)),
            Err((reason, error)) => {
                wire.close(reason).await;
                Err(error)
            }
        }
    }

    /// Answers a site without a certificate, until it leaves or its time is over.
    async fn hear_tcp(&self, mut wire: Wire, remote: Remote, mut stopping: watch::Receiver<bool>) {
        let Some((_, places)) = &self.newcomers else { return };
        let Ok(place) = places.try_acquire() else {
            tracing::warn!(peer = %remote, "newcomer refused: full");
            return wire.close(CloseReason::TooManyConnections).await;
        };
        let asker = Asker::Newcomer(remote.addr);
        let link = self.link(&remote);
        let answered = timeout(self.limits.newcomer_time, async {
            while let Ok(Some(())) = wire::next_request(&link, &mut wire.read).await {
                let reply = self.answer_tcp(&asker, &remote, &mut wire.read).await;
                if !self.tell(reply, &remote, &mut wire).await {
                    break;
                }
            }
        });
        // Whoever stays longer, or was asking when the server stopped, may knock again.
        tokio::select! {
            _ = answered => {}
            _ = stopping.wait_for(|&stop| stop) => {}
        }
        drop(place);
        wire.close(CloseReason::Done).await;
    }

    /// Takes requests until either side has had enough.
    async fn serve_tcp(&self, mut wire: Wire, peer: Peer, mut admitted: Admitted, mut stopping: watch::Receiver<bool>) {
        let remote = Remote { name: Some(peer.name.clone()), addr: peer.addr, transport: Transport::Tcp };
        let (link, asker) = (self.link(&remote), Asker::Member(peer));
        let reason = loop {
            tokio::select! {
                _ = stopping.wait_for(|&stop| stop) => break CloseReason::ShuttingDown,
                () = admitted.put_out() => break CloseReason::Revoked,
                asked = timeout(self.limits.idle_timeout, wire::next_request(&link, &mut wire.read)) => match asked {
                    Ok(Ok(Some(()))) => {}
                    Ok(Ok(None)) => return,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "connection ended");
                        return;
                    }
                    Err(_) => break CloseReason::Done,
                },
            }
            match self.work(&mut wire, (&asker, &remote), &mut admitted, &mut stopping).await {
                Ended::Answered(reply) => {
                    if !self.tell(reply, &remote, &mut wire).await {
                        return wire.linger().await;
                    }
                }
                Ended::Drained => break CloseReason::ShuttingDown,
                Ended::Lost => return wire.linger().await,
            }
        };
        wire.close(reason).await;
    }

    /// Works on one request, and says so now and then. A call whose connection is lost meanwhile goes on to its end and
    /// keeps its place until then, so that dialling anew does not multiply calls.
    async fn work(
        &self,
        wire: &mut Wire,
        (asker, remote): (&Asker, &Remote),
        admitted: &mut Admitted,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ended {
        let mut answer = pin!(self.answer_tcp(asker, remote, &mut wire.read));
        tokio::select! {
            answer = &mut answer => return Ended::Answered(answer),
            _ = wire::stay_alive(&mut wire.write, self.limits.keep_alive) => {}
            () = admitted.put_out() => {
                tracing::info!(peer = %remote, "put out");
                wire::write_close(&mut wire.write, CloseReason::Revoked).await;
            }
            () = self.drained(stopping) => {
                tracing::warn!(peer = %remote, "a request under way was dropped");
                return Ended::Drained;
            }
        }
        tokio::select! {
            _ = answer => {}
            () = self.drained(stopping) => tracing::warn!(peer = %remote, "a request under way was dropped"),
        }
        Ended::Lost
    }

    /// Sends what takes a request's place at the peer. Whether another request may follow.
    async fn tell(&self, reply: Result<Frame, Failure>, remote: &Remote, wire: &mut Wire) -> bool {
        let link = self.link(remote);
        match reply {
            Ok(reply) => {
                let written = wire::write_reply(&link, &mut wire.write, reply).await;
                if let Err(error) = &written {
                    tracing::debug!(%error, "a reply did not arrive");
                }
                written.is_ok()
            }
            Err(failure) => {
                let rejection = failure.told();
                wire::write_rejection(&mut wire.write, rejection).await && rejection.is_after_the_request()
            }
        }
    }

    /// Reads the rest of a request and makes its reply.
    async fn answer_tcp(&self, asker: &Asker, remote: &Remote, read: &mut ReadTls) -> Result<Frame, Failure> {
        let link = self.link(remote);
        let stall = self.limits.stall;
        let head = timeout(stall, wire::read_head(&link, read)).await;
        let head = head.map_err(|_| link.timed_out(Stage::Frame, stall))??;
        let _held = self.room(asker, head).await?;
        let request = wire::read_payload(&link, head, read).await?;
        self.reply(asker, request, &link).await
    }
}
