//! Peers that meet over the loopback device.

mod cheats;
mod crash;
mod exchange;
mod firewall;
mod interception;
mod newcomers;
mod proxied;
mod renewal;
mod routes;
mod shared_dial;
mod tcp;
mod tcp_bounds;
mod tcp_trust;
mod trust;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const ECHO: u16 = 1;
const WHOAMI: u16 = 2;
const REFUSE: u16 = 3;
const PANIC: u16 = 4;
const OVERSIZE: u16 = 5;
const WAIT: u16 = 6;
const LARGE: u16 = 7;
/// Long enough for a busy machine; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers by kind. A request of kind WAIT is answered after `release`, with at most 3 MiB of it.
#[derive(Default)]
struct Echo {
    waiting: Notify,
    release: Notify,
    finished: AtomicUsize,
    /// Whom it does not let in, and whom it never answers about.
    barred: Mutex<Vec<KeyFingerprint>>,
    doubted: Mutex<Vec<KeyFingerprint>>,
}

impl Handler for Echo {
    fn admits<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, bool> {
        let (is_barred, is_doubted) =
            (self.barred.lock().unwrap().contains(&peer.key), self.doubted.lock().unwrap().contains(&peer.key));
        Box::pin(async move {
            if is_doubted {
                self.waiting.notify_one();
                std::future::pending::<()>().await;
            }
            !is_barred
        })
    }

    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        assert_ne!(request.kind, PANIC, "asked to panic");
        Box::pin(async move {
            match request.kind {
                WHOAMI => {
                    let name = peer.name.as_str().to_owned();
                    Ok(Frame::new(WHOAMI, name, peer.key.bytes().to_vec()))
                }
                REFUSE => Err(Refusal { code: 77 }),
                OVERSIZE => Ok(Frame::new(OVERSIZE, vec![0; (1 << 20) + 1], Bytes::new())),
                LARGE => Ok(Frame::new(LARGE, Bytes::new(), vec![0; Frame::BODY_BYTES_MAX as usize])),
                WAIT => {
                    self.waiting.notify_one();
                    self.release.notified().await;
                    self.finished.fetch_add(1, Ordering::SeqCst);
                    let some = request.body.len().min(3 << 20);
                    Ok(Frame::new(WAIT, Bytes::new(), request.body.slice(..some)))
                }
                _ => Ok(request),
            }
        })
    }
}

fn name(text: &str) -> PeerName {
    PeerName::new(text).unwrap()
}

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

fn issue(authority: &Authority, text: &str, usage: Usage) -> Identity {
    authority.issue(&name(text), &[], usage, SystemTime::now()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// An authority and a server of it that answers with [`Echo`].
struct Federation {
    authority: Authority,
    addr: SocketAddr,
    echo: Arc<Echo>,
    traffic: Arc<Traffic>,
    handle: ServerHandle,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Federation {
    fn start(limits: Limits) -> Self {
        let authority = Authority::create(SystemTime::now()).unwrap();
        let identity = issue(&authority, "coordinator", Usage::Server);
        Self::start_as(authority, &identity, limits)
    }

    fn start_as(authority: Authority, identity: &Identity, limits: Limits) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(any, identity, authority.certificate(), limits).unwrap();
        let (stop, stopped) = oneshot::channel();
        let echo = Arc::new(Echo::default());
        Self {
            authority,
            addr: server.local_addr(),
            echo: Arc::clone(&echo),
            traffic: server.traffic(),
            handle: server.handle(),
            stop,
            running: tokio::spawn(server.run(echo, async {
                let _ = stopped.await;
            })),
        }
    }

    async fn dial(&self, text: &str) -> Connection {
        let identity = issue(&self.authority, text, Usage::Client);
        self.dial_as(&identity).await.unwrap()
    }

    async fn dial_as(&self, identity: &Identity) -> Result<Connection, NetError> {
        dial(self.addr, "coordinator", identity, self.authority.certificate()).await
    }

    /// As [`Federation::dial`], over TCP.
    async fn dial_tcp(&self, text: &str, limits: Limits) -> Connection {
        let identity = issue(&self.authority, text, Usage::Client);
        self.dial_tcp_as(&identity, limits).await.unwrap()
    }

    async fn dial_tcp_as(&self, identity: &Identity, limits: Limits) -> Result<Connection, NetError> {
        let route = Route::from(self.addr).over(Mode::Tcp);
        let (coordinator, traffic) = (name("coordinator"), Arc::new(Traffic::default()));
        soon(Connection::dial_with(route, &coordinator, identity, self.authority.certificate(), limits, traffic)).await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        soon(self.running).await.unwrap();
    }
}

async fn dial(
    addr: SocketAddr,
    server: &str,
    identity: &Identity,
    authority: &AuthorityCertificate,
) -> Result<Connection, NetError> {
    let server = name(server);
    let traffic = Arc::new(Traffic::default());
    soon(Connection::dial_with(addr, &server, identity, authority, Limits::loopback(), traffic)).await
}

/// Makes a call of kind WAIT and returns once the handler has it.
async fn begin_waiting<'a>(
    connection: &'a Connection,
    echo: &Echo,
    body: Bytes,
) -> Pin<Box<dyn Future<Output = Result<Frame, NetError>> + Send + 'a>> {
    let mut call = Box::pin(connection.call(Frame::new(WAIT, Bytes::new(), body)));
    soon(async {
        tokio::select! {
            ended = &mut call => panic!("answered before it was released: {ended:?}"),
            () = echo.waiting.notified() => {}
        }
    })
    .await;
    call
}

async fn assert_echo(connection: &Connection, len: usize) {
    let request = Frame::new(ECHO, pattern(7), pattern(len));
    let reply = soon(connection.call(request.clone())).await.unwrap();
    assert!(reply == request, "a body of {len} bytes came back changed");
}
