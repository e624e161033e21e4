//! The dialled side: accepts peers of one authority and hands their requests to a [`Handler`].

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use quinn::{Incoming, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::authority::AuthorityCertificate;
use super::credential_error::CredentialError;
use super::error::{NetError, Stage};
use super::frame::{Frame, FrameError};
use super::identity::Identity;
use super::limits::{Limits, NEWCOMER_FRAME_BYTES_MAX};
use super::newcomer::Newcomers;
use super::peer::{KeyFingerprint, Peer, PeerName};
use super::reason::{CloseReason, Rejection};
use super::registry::{Admitted, Registry};
use super::remote::Remote;
use super::shown::Shown;
use super::stream::Link;
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
    endpoint: quinn::Endpoint,
    addr: SocketAddr,
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
    pub fn disconnect(&self, key: KeyFingerprint) -> u32 {
        self.registry.put_out(key)
    }
}

impl Server {
    /// Binds `addr`; port 0 takes a free one. From here on peers may dial, and wait for
    /// [`Server::run`].
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
        if limits.bytes_in_flight < needed {
            return Err(NetError::BytesInFlight { bytes: limits.bytes_in_flight, needed });
        }
        let handle = ServerHandle { shown: Shown::new(identity), registry: Arc::default() };
        let config = tls::server_quic(tls::server_tls(&handle.shown, authority, newcomers.is_some())?, &limits)?;
        let endpoint = tls::endpoint(addr, Some(config), &limits)?;
        let addr = endpoint.local_addr().map_err(|source| NetError::Bind { addr, source })?;
        Ok(Self { endpoint, addr, limits, traffic: Arc::new(Traffic::default()), newcomers, handle })
    }

    /// The address bound, with its port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
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
    /// for at most `limits.drain` and closes every connection.
    pub async fn run(self, handler: Arc<dyn Handler>, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let service = Arc::new(Service {
            handler,
            newcomers: self.newcomers.map(|all| (all, Arc::new(Semaphore::new(self.limits.newcomers as usize)))),
            registry: self.handle.registry,
            connections: Arc::new(Semaphore::new(self.limits.connections as usize)),
            handshakes: Arc::new(Semaphore::new(self.limits.handshakes as usize)),
            bytes: Semaphore::new(self.limits.bytes_in_flight as usize),
            traffic: self.traffic,
            limits: self.limits,
        });
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => service.admit(incoming, &mut connections, &stopping),
                    None => break,
                },
                Some(ended) = connections.join_next() => log_panic(ended),
            }
        }
        // Refuse newcomers at once; without this they would wait for a server that is leaving.
        self.endpoint.set_server_config(None);
        stop.send_replace(true);
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
        self.endpoint.close(close_code(CloseReason::ShuttingDown), &[]);
        // Three probe timeouts at most; a peer that is gone must not hold us.
        let _ = timeout(service.limits.drain, self.endpoint.wait_idle()).await;
    }
}

/// What all connections share.
struct Service {
    handler: Arc<dyn Handler>,
    /// Who answers sites without a certificate, and how many more there may be.
    newcomers: Option<(Arc<dyn Newcomers>, Arc<Semaphore>)>,
    registry: Arc<Registry>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    bytes: Semaphore,
    traffic: Arc<Traffic>,
    limits: Limits,
}

impl Service {
    /// Decides about a newcomer by its first packet alone.
    fn admit(self: &Arc<Self>, incoming: Incoming, connections: &mut JoinSet<()>, stopping: &watch::Receiver<bool>) {
        // A newcomer proves its address before it costs us a signature.
        if !incoming.remote_address_validated() {
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return;
        }
        let slot = Arc::clone(&self.connections).try_acquire_owned();
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
        let (Ok(slot), Ok(handshake)) = (slot, handshake) else {
            tracing::warn!(peer = %incoming.remote_address(), "connection refused: full");
            incoming.refuse();
            return;
        };
        let (service, stopping) = (Arc::clone(self), stopping.clone());
        connections.spawn(async move {
            let remote = Remote { name: None, addr: incoming.remote_address() };
            match service.handshake(incoming, remote, handshake).await {
                Ok(Arrived::Member(connection, peer, admitted)) => {
                    service.serve(connection, peer, admitted, stopping).await;
                    drop(slot);
                }
                Ok(Arrived::Newcomer(connection)) => {
                    service.hear(connection, stopping).await;
                    drop(slot);
                }
                Err(error) => tracing::warn!(%error, "connection refused"),
            }
        });
    }

    async fn handshake(
        &self,
        incoming: Incoming,
        remote: Remote,
        _pending: OwnedSemaphorePermit,
    ) -> Result<Arrived, NetError> {
        let link = self.link(&remote);
        let connecting = incoming.accept().map_err(|error| link.lost(error))?;
        let after = self.limits.dial_timeout;
        let connection = timeout(after, connecting)
            .await
            .map_err(|_| link.timed_out(Stage::Dialling, after))?
            .map_err(|error| link.lost(error))?;
        if tls::is_newcomer(&connection) {
            return Ok(Arrived::Newcomer(connection));
        }
        let identity = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
        let named = match identity.as_ref().and_then(|chain| chain.first()) {
            Some(own) => PeerName::from_certificate(own)
                .and_then(|name| KeyFingerprint::of_certificate(own).map(|key| (name, key))),
            None => Err(CredentialError::UnreadableCertificate),
        };
        let close = |reason| connection.close(close_code(reason), &[]);
        let (name, key) = named.inspect_err(|_| close(CloseReason::Unnamed))?;
        let most = self.limits.connections_per_peer;
        let Some(admitted) = self.registry.admit(key, most) else {
            close(CloseReason::TooManyConnections);
            return Err(NetError::ClosedHere { peer: remote });
        };
        let peer = Peer { name, key, addr: remote.addr };
        Ok(Arrived::Member(connection, peer, admitted))
    }

    /// Answers a site without a certificate, one request after the other, until it leaves or its time is over.
    async fn hear(&self, connection: quinn::Connection, mut stopping: watch::Receiver<bool>) {
        let addr = connection.remote_address();
        let Some((newcomers, places)) = &self.newcomers else { return };
        let Ok(place) = places.try_acquire() else {
            tracing::warn!(peer = %addr, "newcomer refused: full");
            connection.close(close_code(CloseReason::TooManyConnections), &[]);
            return;
        };
        let remote = Remote { name: None, addr };
        let answered = timeout(self.limits.newcomer_time, async {
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let answer = self.answer_newcomer(&**newcomers, &remote, &mut send, &mut receive).await;
                self.end(answer, &mut send, &mut receive).await;
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

    async fn answer_newcomer(
        &self,
        newcomers: &dyn Newcomers,
        remote: &Remote,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), Failure> {
        let link = self.link(remote);
        let head = link.read_head(receive).await?;
        if head.payload_bytes() > NEWCOMER_FRAME_BYTES_MAX {
            return Err(Failure::Reject(Rejection::FrameTooLarge));
        }
        let request = link.read_payload(head, receive).await?;
        let reply = if request.kind == Frame::HELLO {
            hello(&request).map_err(|error| link.bad(error))?
        } else {
            let refused = |Refusal { code }| Failure::Reject(Rejection::Refused(code));
            newcomers.handle(remote.addr, request).await.map_err(refused)?
        };
        Ok(link.write(reply, send).await?)
    }

    /// Takes requests until either side has had enough, then waits for those under way.
    async fn serve(
        self: &Arc<Self>,
        connection: quinn::Connection,
        peer: Peer,
        mut admitted: Admitted,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut requests = JoinSet::new();
        let remote = Arc::new(Remote { name: Some(peer.name.clone()), addr: peer.addr });
        let stopped = loop {
            tokio::select! {
                _ = stopping.wait_for(|&stop| stop) => break true,
                () = admitted.put_out() => {
                    tracing::info!(peer = %remote, "put out");
                    connection.close(close_code(CloseReason::Revoked), &[]);
                    break false;
                }
                stream = connection.accept_bi() => match stream {
                    Ok((send, receive)) => {
                        let (service, remote) = (Arc::clone(self), Arc::clone(&remote));
                        let peer = peer.clone();
                        requests.spawn(async move {
                            service.exchange(peer, &remote, send, receive).await;
                        });
                    }
                    Err(error) => {
                        let error = self.link(&remote).lost(error);
                        tracing::debug!(%error, "connection ended");
                        break false;
                    }
                },
                Some(ended) = requests.join_next() => log_panic(ended),
            }
        };
        let finish = async {
            while let Some(ended) = requests.join_next().await {
                log_panic(ended);
            }
        };
        // Calls of a lost connection keep its place in the registry until they end, so that
        // dialling anew does not multiply them.
        if stopped {
            if timeout(self.limits.drain, finish).await.is_err() {
                tracing::warn!(peer = %remote, "requests under way were dropped");
            }
        } else {
            tokio::select! {
                () = finish => {}
                _ = async {
                    let _ = stopping.wait_for(|&stop| stop).await;
                    tokio::time::sleep(self.limits.drain).await;
                } => tracing::warn!(peer = %remote, "requests under way were dropped"),
            }
        }
        connection.close(close_code(CloseReason::ShuttingDown), &[]);
    }

    /// One request and its reply, or the code that takes the reply's place.
    async fn exchange(&self, peer: Peer, remote: &Remote, mut send: SendStream, mut receive: RecvStream) {
        let answer = self.answer(peer, remote, &mut send, &mut receive).await;
        self.end(answer, &mut send, &mut receive).await;
    }

    /// Brings a stream to its end.
    async fn end(&self, answer: Result<(), Failure>, send: &mut SendStream, receive: &mut RecvStream) {
        match answer {
            // Until the peer has everything, closing the connection would lose the rest.
            Ok(()) => drop(send.stopped().await),
            Err(Failure::Reject(rejection)) => {
                let code = stream_code(rejection);
                // Both are already closed when the peer was faster; then there is nobody to tell.
                let _ = receive.stop(code);
                let _ = send.reset(code);
            }
            Err(Failure::Net(error)) => {
                let rejection = rejection(&error);
                tracing::warn!(%error, ?rejection, "request failed");
                let code = stream_code(rejection);
                let _ = receive.stop(code);
                let _ = send.reset(code);
            }
        }
    }

    async fn answer(
        &self,
        peer: Peer,
        remote: &Remote,
        send: &mut SendStream,
        receive: &mut RecvStream,
    ) -> Result<(), Failure> {
        let link = self.link(remote);
        let stall = self.limits.stall;
        let head = timeout(stall, link.read_head(receive)).await.map_err(|_| link.timed_out(Stage::Frame, stall))??;
        // All of the frame's bytes are reserved before the first is read: frames that each hold a
        // part of what the others need would never finish.
        let held =
            self.bytes.acquire_many(head.payload_bytes()).await.map_err(|_| Failure::Reject(Rejection::Cancelled))?;
        let request = link.read_payload(head, receive).await?;
        let reply = if request.kind == Frame::HELLO {
            hello(&request).map_err(|error| link.bad(error))?
        } else {
            self.call(peer, request, remote).await?
        };
        drop(held);
        if let Err(error) = reply.check() {
            tracing::error!(peer = %remote, %error, "the handler's reply is no frame");
            return Err(Failure::Reject(Rejection::HandlerFailed));
        }
        Ok(link.write(reply, send).await?)
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

    fn link<'a>(&'a self, remote: &'a Remote) -> Link<'a> {
        Link { remote, limits: &self.limits, traffic: &self.traffic }
    }
}

/// Who has dialled.
enum Arrived {
    Member(quinn::Connection, Peer, Admitted),
    Newcomer(quinn::Connection),
}

/// Why a request has no reply.
enum Failure {
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

fn stream_code(rejection: Rejection) -> VarInt {
    VarInt::from_u64(rejection.code()).unwrap_or(VarInt::MAX)
}

pub(super) fn close_code(reason: CloseReason) -> VarInt {
    VarInt::from_u64(reason.code()).unwrap_or(VarInt::MAX)
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task of the server failed");
    }
}
