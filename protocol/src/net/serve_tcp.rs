//! Connections over TCP: one request after the other.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::crowd::Place;
use super::error::{NetError, Stage};
use super::frame::Frame;
use super::peer::Peer;
use super::reason::CloseReason;
use super::registry::Admitted;
use super::remote::Remote;
use super::room::Held;
use super::service::{Asker, Failure, Seat, Service};
use super::tls::{self, Spoken};
use super::tls_error::NO_APPLICATION_PROTOCOL;
use super::transport::Transport;
use super::wire::{self, Wire};

type ReadTls = ReadHalf<TlsStream<TcpStream>>;
type WriteTls = WriteHalf<TlsStream<TcpStream>>;

/// Who has dialled.
enum Arrived {
    Member(Wire, Peer, Seat),
    Newcomer(Wire),
}

/// What follows a request.
enum Next {
    Request,
    /// The connection ends with a word.
    Close(CloseReason),
    /// The word was said, or nobody is there to hear it.
    Linger,
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
        let remote = Remote { name: None, addr, transport: Transport::Tcp };
        let Some(handshake) = self.tcp_handshakes.enter(addr) else {
            // Dropping the stream closes it, which a dialler takes for a refusal.
            return self.refused(&remote, &"too many handshakes");
        };
        let (service, stopping) = (Arc::clone(self), stopping.clone());
        connections.spawn(async move {
            match service.handshake_tcp(stream, &remote).await {
                Ok(Arrived::Member(wire, peer, seat)) => {
                    drop(handshake);
                    service.serve_tcp(wire, peer, seat, stopping).await;
                }
                Ok(Arrived::Newcomer(wire)) => service.hear_tcp(wire, remote, handshake, stopping).await,
                Err(error) => service.refused_for(&remote, &error),
            }
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
        match self.member(own.as_ref(), remote).await {
            Ok((peer, seat)) => Ok(Arrived::Member(wire, peer, seat)),
            Err((reason, error)) => {
                wire.close(reason).await;
                Err(error)
            }
        }
    }

    /// Answers a site without a certificate, until it leaves or its time is over. As long as its socket is open it has
    /// one of both places: also one that hears a last word and does not leave.
    async fn hear_tcp(&self, mut wire: Wire, remote: Remote, handshake: Place, mut stopping: watch::Receiver<bool>) {
        let Some(_place) = self.newcomer(&remote) else { return wire.close(CloseReason::Full).await };
        drop(handshake);
        let asker = Asker::Newcomer(remote.addr);
        let link = self.link(&remote);
        let answered = timeout(self.limits.newcomer_time, async {
            let mut patience = self.limits.newcomer_patience;
            loop {
                let asked = async {
                    wire::next_request(&link, &mut wire.read).await.ok().flatten()?;
                    Some(self.receive_tcp(&asker, &remote, &mut wire.read).await)
                };
                // Of its stay, only the first request has a time of its own: who says nothing leaves the place.
                let Ok(Some(received)) = timeout(patience, asked).await else { return };
                let reply = self.answer_tcp(&asker, &remote, received).await;
                if !self.tell(reply, (&asker, &remote), &mut wire.write).await {
                    return;
                }
                patience = self.limits.newcomer_time;
            }
        });
        // Whoever stays longer, or was asking when the server stopped, may knock again.
        tokio::select! {
            _ = answered => {}
            _ = stopping.wait_for(|&stop| stop) => {}
        }
        wire.close(CloseReason::Done).await;
    }

    /// Takes requests until either side has had enough.
    async fn serve_tcp(&self, mut wire: Wire, peer: Peer, mut seat: Seat, mut stopping: watch::Receiver<bool>) {
        let remote = Remote { name: Some(peer.name.clone()), addr: peer.addr, transport: Transport::Tcp };
        let (link, asker) = (self.link(&remote), Asker::Member(peer, Arc::clone(seat.admitted.bytes())));
        let reason = loop {
            tokio::select! {
                _ = stopping.wait_for(|&stop| stop) => break CloseReason::ShuttingDown,
                () = seat.admitted.put_out() => break CloseReason::Revoked,
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
            match self.work(&mut wire, (&asker, &remote), &mut seat.admitted, &mut stopping).await {
                Next::Request => {}
                Next::Close(reason) => break reason,
                Next::Linger => return wire.linger().await,
            }
        };
        wire.close(reason).await;
    }

    /// Receives one request, works on it and sends what takes its place, while it says now and then that it is there.
    ///
    /// Who is put out is read and written to no more. A call that has begun goes on to its end though nobody hears of
    /// it, here and where the connection is lost, and keeps its place until then, so that dialling anew does not
    /// multiply calls.
    async fn work(
        &self,
        wire: &mut Wire,
        (asker, remote): (&Asker, &Remote),
        admitted: &mut Admitted,
        stopping: &mut watch::Receiver<bool>,
    ) -> Next {
        let alive = self.limits.keep_alive;
        let mut stopped = stopping.clone();
        let mut interrupted = pin!(self.interrupted(remote, admitted, stopping));
        let received = tokio::select! {
            biased;
            next = &mut interrupted => return next,
            received = self.receive_tcp(asker, remote, &mut wire.read) => received,
            _ = wire::stay_alive(&mut wire.write, alive) => return Next::Linger,
        };
        let mut answer = pin!(self.answer_tcp(asker, remote, received));
        let answered = tokio::select! {
            answer = &mut answer => Ok(answer),
            next = &mut interrupted => Err(next),
            _ = wire::stay_alive(&mut wire.write, alive) => Err(Next::Linger),
        };
        match answered {
            Ok(reply) => tokio::select! {
                biased;
                // In the middle of a reply no word could be told from it.
                _ = interrupted => Next::Linger,
                is_open = self.tell(reply, (asker, remote), &mut wire.write) => {
                    if is_open { Next::Request } else { Next::Linger }
                }
            },
            Err(next @ Next::Close(CloseReason::ShuttingDown)) => next,
            Err(next) => {
                if let Next::Close(reason) = next {
                    wire::write_close(&mut wire.write, reason).await;
                }
                tokio::select! {
                    _ = answer => {}
                    () = self.drained(&mut stopped) => dropped(remote),
                }
                Next::Linger
            }
        }
    }

    /// Ready when the peer is put out, or a stopping server has waited long enough.
    async fn interrupted(
        &self,
        remote: &Remote,
        admitted: &mut Admitted,
        stopping: &mut watch::Receiver<bool>,
    ) -> Next {
        tokio::select! {
            () = admitted.put_out() => {
                tracing::info!(peer = %remote, "put out");
                Next::Close(CloseReason::Revoked)
            }
            () = self.drained(stopping) => {
                dropped(remote);
                Next::Close(CloseReason::ShuttingDown)
            }
        }
    }

    /// Sends what takes a request's place at the peer. Whether another request may follow.
    async fn tell(
        &self,
        reply: Result<Frame, Failure>,
        (asker, remote): (&Asker, &Remote),
        write: &mut WriteTls,
    ) -> bool {
        let link = self.link(remote);
        match reply {
            Ok(reply) => {
                let written = wire::write_reply(&link, write, reply).await;
                if let Err(error) = &written {
                    tracing::debug!(%error, "a reply did not arrive");
                }
                written.is_ok()
            }
            Err(failure) => {
                let rejection = self.told(asker, failure);
                wire::write_rejection(write, rejection).await && rejection.is_after_the_request()
            }
        }
    }

    /// Reads the rest of a request, in the room that it needs.
    async fn receive_tcp(
        &self,
        asker: &Asker,
        remote: &Remote,
        read: &mut ReadTls,
    ) -> Result<(Frame, Option<Held>), Failure> {
        let link = self.link(remote);
        let stall = self.limits.stall;
        let head = timeout(stall, wire::read_head(&link, read)).await;
        let head = head.map_err(|_| link.timed_out(Stage::Frame, stall))??;
        let held = self.room(asker, head).await?;
        Ok((wire::read_payload(&link, head, read).await?, held))
    }

    /// Makes the reply to a request, which gives its room back.
    async fn answer_tcp(
        &self,
        asker: &Asker,
        remote: &Remote,
        received: Result<(Frame, Option<Held>), Failure>,
    ) -> Result<Frame, Failure> {
        let (request, _held) = received?;
        self.reply(asker, request, &self.link(remote)).await
    }
}

fn dropped(remote: &Remote) {
    tracing::warn!(peer = %remote, "a request under way was dropped");
}
