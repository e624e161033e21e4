//! Sites behind something that drops UDP.

use std::sync::Mutex;
use std::task::Poll;

use tokio::net::TcpStream;

use super::*;

/// A port at which TCP reaches a server and packets of UDP are dropped, on the address of a site's firewall.
struct Firewall {
    addr: SocketAddr,
    _udp: std::net::UdpSocket,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Firewall {
    async fn before(server: SocketAddr) -> Self {
        let (udp, tcp) = loop {
            let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(tcp) = tokio::net::TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let (addr, passed) = (udp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&passed);
        let task = tokio::spawn(async move {
            while let Ok((mut outer, _)) = tcp.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut inner = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Self { addr, _udp: udp, passed, task }
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// QUIC has more time than any test waits.
fn patient() -> Limits {
    Limits { dial_timeout: PATIENCE * 3, tcp_after: Duration::from_millis(50), ..Limits::loopback() }
}

fn dialer(federation: &Federation, route: impl Into<Route>, limits: Limits) -> Dialer {
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let backoff = Backoff { attempts: 1, ..Backoff::default() };
    let root = federation.authority.certificate().clone();
    Dialer::new(route, name("coordinator"), identity, root, limits, backoff)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_is_dropped_a_connection_stands_over_tcp() {
    let federation = Federation::start(Limits::loopback());
    let firewall = Firewall::before(federation.addr).await;
    let dialer = dialer(&federation, firewall.addr, patient());
    let connection = soon(dialer.connection()).await.unwrap();
    assert_eq!(connection.transport(), Transport::Tcp);
    assert_echo(&connection, 1 << 20).await;
    assert!(Arc::ptr_eq(&connection, &soon(dialer.connection()).await.unwrap()));
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_passes_nothing_is_sent_over_tcp() {
    let federation = Federation::start(Limits::loopback());
    let limits = Limits { tcp_after: PATIENCE * 3, ..Limits::loopback() };
    let connection = soon(dialer(&federation, federation.addr, limits).connection()).await.unwrap();
    assert_eq!(connection.transport(), Transport::Quic);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_uses_its_transport_alone() {
    let federation = Federation::start(Limits::loopback());
    let firewall = Firewall::before(federation.addr).await;
    let tcp = dialer(&federation, Route::from(federation.addr).over(Mode::Tcp), patient());
    assert_eq!(soon(tcp.connection()).await.unwrap().transport(), Transport::Tcp);
    let limits = Limits { dial_timeout: Duration::from_millis(300), ..patient() };
    let quic = dialer(&federation, Route::from(firewall.addr).over(Mode::Quic), limits);
    let error = soon(quic.connection()).await.unwrap_err();
    assert!(matches!(error, NetError::TimedOut { .. }), "{error:?}");
    assert_eq!(firewall.passed(), 0);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_over_udp_does_not_hide_a_stranger_over_tcp() {
    let (federation, stranger) = (Federation::start(Limits::loopback()), Federation::start(Limits::loopback()));
    let firewall = Firewall::before(stranger.addr).await;
    let limits = Limits { dial_timeout: Duration::from_secs(1), ..patient() };
    let error = soon(dialer(&federation, firewall.addr, limits).connection()).await.unwrap_err();
    assert!(error.is_about_trust(), "{error}");
    assert!(!error.is_transient());
    federation.stop().await;
    stranger.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_share_four_connections_and_more_of_them_wait() {
    let federation = Federation::start(Limits::loopback());
    let firewall = Firewall::before(federation.addr).await;
    let dialer = dialer(&federation, Route::from(firewall.addr).over(Mode::Tcp), patient());
    let connection = soon(dialer.connection()).await.unwrap();
    for _ in 0..3 {
        assert_echo(&connection, 10).await;
    }
    assert_eq!(firewall.passed(), 1, "a connection that is free is used again");
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(begin_waiting(&connection, &federation.echo, Bytes::new()).await);
    }
    let fifth = connection.call(Frame::new(ECHO, Bytes::new(), Bytes::new()));
    tokio::pin!(fifth);
    let early = timeout(Duration::from_millis(100), &mut fifth).await;
    assert!(early.is_err(), "a fifth call went out beside four: {early:?}");
    assert_eq!(firewall.passed(), 4);
    for _ in 0..4 {
        federation.echo.release.notify_one();
        assert!(first_of(&mut waiting).await.is_ok());
    }
    assert!(soon(fifth).await.is_ok());
    assert_eq!(firewall.passed(), 4);
    federation.stop().await;
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<Frame, NetError>> + Send + 'a>>;

/// The first of these calls that ends; the others stay.
async fn first_of(calls: &mut Vec<Call<'_>>) -> Result<Frame, NetError> {
    let ended = std::future::poll_fn(|context| {
        for at in 0..calls.len() {
            if let Poll::Ready(ended) = calls[at].as_mut().poll(context) {
                drop(calls.swap_remove(at));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    });
    soon(ended).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_takes_over_once_it_gets_through() {
    let federation = Federation::start(Limits::loopback());
    let firewall = Firewall::before(federation.addr).await;
    let listed = Arc::new(Mutex::new(vec![firewall.addr]));
    let limits = Limits { quic_again: Duration::ZERO, ..patient() };
    let dialer = dialer(&federation, Route::listed(&listed), limits);
    let first = soon(dialer.connection()).await.unwrap();
    assert_eq!(first.transport(), Transport::Tcp);
    let waiting = begin_waiting(&first, &federation.echo, Bytes::new()).await;
    *listed.lock().unwrap() = vec![federation.addr];
    let taken_over = async {
        while dialer.connection().await.unwrap().transport() != Transport::Quic {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(taken_over).await;
    // What is under way over TCP ends there.
    federation.echo.release.notify_one();
    assert!(soon(waiting).await.is_ok());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_wants_tcp_alone_does_not_try_quic_again() {
    let federation = Federation::start(Limits::loopback());
    let limits = Limits { quic_again: Duration::ZERO, ..patient() };
    let dialer = dialer(&federation, Route::from(federation.addr).over(Mode::Tcp), limits);
    for _ in 0..5 {
        assert_eq!(soon(dialer.connection()).await.unwrap().transport(), Transport::Tcp);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    federation.stop().await;
}
