//! Connections over QUIC: one stream is one request, several at a time.

use std::sync::Arc;

use quinn::{Incoming, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::{NetError, Stage};
use super::frame::Frame;
use super::peer::Peer;
use super::reason::{CloseReason, Rejection};
use super::remote::Remote;
use super::room::Held;
use super::server::{close_code, log_panic};
use super::service::{Asker, Failure, Seat, Service};
use super::tls;
use super::transport::Transport;

/// Who has dialled.
enum Arrived {
    Member(quinn::Connection, Peer, Seat),
    Newcomer(quinn::Connection),
}

impl Service {
    /// Decides about a newcomer by its first packet alone.
    pub(super) fn admit_quic(
        self: &Arc<Self>,
        incoming: Incoming,
        connections: &mut JoinSet<()>,
        stopping: &watch::Receiver<bool>,
    ) {
        // A newcomer proves its address before it costs us a signature.
        if !incoming.remote_address_validated() {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return;
        }
        let remote = Remote { name: None, addr: incoming.remote_address(), transport: Transport::Quic };
        let Some(handshake) = self.quic_handshakes.enter(remote.addr) else {
            self.refused(&remote, &"too many handshakes");
            incoming.refuse();
            return;
        };
        let (service, stopping) = (Arc::clone(self), stopping.clone());
        connections.spawn(async move {
            let arrived = service.handshake_quic(incoming, &remote).await;
            drop(handshake);
            match arrived {
                Ok(Arrived::Member(connection, peer, seat)) => {
                    service.serve_quic(connection, peer, seat, stopping).await;
                }
                Ok(Arrived::Newcomer(connection)) => service.hear_quic(connection, remote, stopping).await,
                Err(error) => service.refused_for(&remote, &error),
            }
        });
    }

    async fn handshake_quic(&self, incoming: Incoming, remote: &Remote) -> Result<Arrived, NetError> {
        let link = self.link(remote);
        let connecting = incoming.accept().map_err(|error| link.lost(error))?;
        let after = self.limits.dial_timeout;
        let connection = timeout(after, connecting)
            .await
            .map_err(|_| link.timed_out(Stage::Dialling, after))?
            .map_err(|error| link.lost(error))?;
        if tls::is_newcomer(&connection) {
            return Ok(Arrived::Newcomer(connection));
        }
        let chain = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
        match self.member(chain.as_ref().and_then(|chain| chain.first()), remote).await {
            Ok((peer, seat)) => Ok(Arrived::Member(connection, peer, seat)),
            Err((reason, error)) => {
                connection.close(close_code(reason), &[]);
                Err(error)
            }
        }
    }

    /// Answers a site without a certificate, one request after the other, until it leaves or its time is over.
    async fn hear_quic(&self, connection: quinn::Connection, remote: Remote, mut stopping: watch::Receiver<bool>) {
        let Some(place) = self.newcomer(&remote) else {
            connection.close(close_code(CloseReason::Full), &[]);
            return;
        };
        let asker = Asker::Newcomer(remote.addr);
        let answered = timeout(self.limits.newcomer_time, async {
            let mut patience = self.limits.newcomer_patience;
            while let Ok(Ok((mut send, mut receive))) = timeout(patience, connection.accept_bi()).await {
                // Of its stay, only the first request has a time of its own: who says nothing leaves the place.
                match timeout(patience, self.receive_quic(&asker, &remote, &mut receive)).await {
                    Ok(received) => self.exchange_quic(&asker, &remote, received, send, receive).await,
                    Err(_) => {
                        give_up(Rejection::Stalled, &mut send, &mut receive);
                        break;
                    }
                }
                patience = self.limits.newcomer_time;
            }
        });
        // Whoever stays longer, or was asking when the server stopped, may knock again.
        tokio::select! {
            _ = answered => {}
            _ = stopping.wait_for(|&stop| stop) => {}
        }
        drop(place);
        connection.close(close_code(CloseReason::Done), &[]);
    }

    /// Takes requests until either side has had enough, then waits for those under way.
    async fn serve_quic(
        self: &Arc<Self>,
        connection: quinn::Connection,
        peer: Peer,
        mut seat: Seat,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut requests = JoinSet::new();
        let remote = Remote { name: Some(peer.name.clone()), addr: peer.addr, transport: Transport::Quic };
        let (remote, asker) = (Arc::new(remote), Asker::Member(peer, Arc::clone(seat.admitted.bytes())));
        loop {
            tokio::select! {
                _ = stopping.wait_for(|&stop| stop) => break,
                () = seat.admitted.put_out() => {
                    tracing::info!(peer = %remote, "put out");
                    connection.close(close_code(CloseReason::Revoked), &[]);
                    break;
                }
                stream = connection.accept_bi() => match stream {
                    Ok((send, mut receive)) => {
                        let (service, remote, asker) = (Arc::clone(self), Arc::clone(&remote), asker.clone());
                        requests.spawn(async move {
                            let received = service.receive_quic(&asker, &remote, &mut receive).await;
                            service.exchange_quic(&asker, &remote, received, send, receive).await;
                        });
                    }
                    Err(error) => {
                        let error = self.link(&remote).lost(error);
                        tracing::debug!(%error, "connection ended");
                        break;
                    }
                },
                Some(ended) = requests.join_next() => log_panic(ended),
            }
        }
        let finish = async {
            while let Some(ended) = requests.join_next().await {
                log_panic(ended);
            }
        };
        // Calls of a lost connection keep its place in the registry until they end, so that
        // dialling anew does not multiply them.
        tokio::select! {
            () = finish => {}
            () = self.drained(&mut stopping) => tracing::warn!(peer = %remote, "requests under way were dropped"),
        }
        connection.close(close_code(CloseReason::ShuttingDown), &[]);
    }

    /// Reads a request, in the room that it needs.
    async fn receive_quic(
        &self,
        asker: &Asker,
        remote: &Remote,
        receive: &mut RecvStream,
    ) -> Result<(Frame, Option<Held>), Failure> {
        let link = self.link(remote);
        let stall = self.limits.stall;
        let head = timeout(stall, link.read_head(receive)).await.map_err(|_| link.timed_out(Stage::Frame, stall))??;
        let held = self.room(asker, head).await?;
        Ok((link.read_payload(head, receive).await?, held))
    }

    /// Sends the reply to a request, or the code that takes its place.
    async fn exchange_quic(
        &self,
        asker: &Asker,
        remote: &Remote,
        received: Result<(Frame, Option<Held>), Failure>,
        mut send: SendStream,
        mut receive: RecvStream,
    ) {
        let link = self.link(remote);
        let answered = async {
            let (request, held) = received?;
            let reply = self.reply(asker, request, &link).await?;
            drop(held);
            Ok(link.deliver(reply, &mut send).await?)
        };
        if let Err(failure) = answered.await {
            give_up(self.told(asker, failure), &mut send, &mut receive);
        }
    }
}

/// Both are already closed when the peer was faster; then there is nobody to tell.
fn give_up(rejection: Rejection, send: &mut SendStream, receive: &mut RecvStream) {
    let code = stream_code(rejection);
    let _ = receive.stop(code);
    let _ = send.reset(code);
}

fn stream_code(rejection: Rejection) -> VarInt {
    VarInt::from_u64(rejection.code()).unwrap_or(VarInt::MAX)
}
