//! Sites without a certificate, on a server that hears them and on one that does not.

use rustls::quic::{ClientConnection, ServerConnection, Version};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::tcp::raw;
use super::trust::refusal;
use super::*;

pub(super) const BYE: u16 = 9;

/// Says where it was asked; keeps those of kind BYE waiting for ever.
struct Gate;

impl Newcomers for Gate {
    fn handle(&self, _: SocketAddr, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            match request.kind {
                REFUSE => Err(Refusal { code: 5 }),
                BYE => std::future::pending().await,
                kind => Ok(Frame::new(kind, "at the gate", Bytes::new())),
            }
        })
    }
}

pub(super) struct Open {
    pub(super) authority: Authority,
    pub(super) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Open {
    pub(super) fn start(limits: Limits) -> Self {
        let authority = Authority::create(SystemTime::now()).unwrap();
        let key = TlsKey::generate().unwrap();
        let now = SystemTime::now();
        let own = authority.certify(&key.public_key(), &name("coordinator"), &[], Usage::Server, now).unwrap();
        let chain = format!("{own}{}", authority.certificate().to_pem());
        Self::start_as(authority, &Identity::new(&chain, &key).unwrap(), limits)
    }

    pub(super) fn start_as(authority: Authority, identity: &Identity, limits: Limits) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind_open(any, identity, authority.certificate(), limits, Arc::new(Gate)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let addr = server.local_addr();
        let running = tokio::spawn(server.run(Arc::new(Echo::default()), async {
            let _ = stopped.await;
        }));
        Self { authority, addr, stop, running }
    }

    async fn knock(&self) -> Result<Connection, NetError> {
        let key = self.authority.certificate().key_fingerprint();
        soon(Connection::knock(self.addr, &name("coordinator"), key)).await
    }
}

pub(super) fn refused(called: Result<Frame, NetError>) -> Rejection {
    match called {
        Err(NetError::Rejected { rejection, .. }) => rejection,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_heard_at_the_gate_and_a_member_inside() {
    let open = Open::start(Limits::loopback());
    let newcomer = open.knock().await.unwrap();
    let reply = soon(newcomer.call(Frame::new(WHOAMI, "", Bytes::new()))).await.unwrap();
    assert_eq!(reply.header, "at the gate");
    assert_eq!(refused(soon(newcomer.call(Frame::new(REFUSE, "", Bytes::new()))).await), Rejection::Refused(5));
    let identity = issue(&open.authority, "hospital-1", Usage::Client);
    let member = dial(open.addr, "coordinator", &identity, open.authority.certificate()).await.unwrap();
    let reply = soon(member.call(Frame::new(WHOAMI, "", Bytes::new()))).await.unwrap();
    assert_eq!(reply.header, "hospital-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_demands_a_certificate_from_who_speaks_as_a_member() {
    let open = Open::start(Limits::loopback());
    let identity = issue(&open.authority, "hospital-1", Usage::Client);
    let mut tls = tls::client_tls(&identity, open.authority.certificate()).unwrap();
    tls.config.client_auth_cert_resolver = Arc::new(trust::Anonymous);
    let (traffic, coordinator) = (Arc::new(Traffic::default()), name("coordinator"));
    let route = open.addr.into();
    let dialled = Connection::dial_tls(&route, &coordinator, tls, Limits::loopback(), traffic);
    match soon(dialled).await {
        Err(NetError::Closed { reason: CloseReason::Unnamed, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Nor does a certificate of another authority open it.
    let elsewhere = Authority::create(SystemTime::now()).unwrap();
    let stranger = issue(&elsewhere, "hospital-1", Usage::Client);
    let dialled = dial(open.addr, "coordinator", &stranger, open.authority.certificate()).await;
    assert_eq!(refusal(dialled), (RefusedBy::Peer, TrustCause::OtherAuthority));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_accepts_the_pinned_authority_alone() {
    let open = Open::start(Limits::loopback());
    let other = Authority::create(SystemTime::now()).unwrap();
    let coordinator = name("coordinator");
    let pinned = |key| Connection::knock(open.addr, &coordinator, key);
    let dialled = soon(pinned(other.certificate().key_fingerprint())).await;
    assert_eq!(refusal(dialled), (RefusedBy::Us, TrustCause::OtherAuthority));
    // The name counts as well.
    let key = open.authority.certificate().key_fingerprint();
    let dialled = soon(Connection::knock(open.addr, &name("hospital-2"), key)).await;
    assert_eq!(refusal(dialled), (RefusedBy::Us, TrustCause::BadCertificate));
    // An authority's certificate beside one that it did not sign proves nothing.
    let tls = TlsKey::generate().unwrap();
    let now = SystemTime::now();
    let own = other.certify(&tls.public_key(), &coordinator, &[], Usage::Server, now).unwrap();
    let chain = format!("{own}{}", open.authority.certificate().to_pem());
    let false_one = Open::start_as(other, &Identity::new(&chain, &tls).unwrap(), Limits::loopback());
    let dialled = soon(Connection::knock(false_one.addr, &coordinator, key)).await;
    assert_eq!(refusal(dialled).0, RefusedBy::Us);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_open_hears_no_newcomer() {
    let federation = Federation::start(Limits::loopback());
    let key = federation.authority.certificate().key_fingerprint();
    let dialled = soon(Connection::knock(federation.addr, &name("coordinator"), key)).await;
    assert!(dialled.is_err(), "{dialled:?}");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomers_requests_are_short() {
    let open = Open::start(Limits::loopback());
    let newcomer = open.knock().await.unwrap();
    let most = NEWCOMER_FRAME_BYTES_MAX as usize;
    assert!(soon(newcomer.call(Frame::new(ECHO, vec![0; 96], vec![0; most - 96]))).await.is_ok());
    let longer = soon(newcomer.call(Frame::new(ECHO, vec![0; 96], vec![0; most - 95]))).await;
    assert_eq!(refused(longer), Rejection::FrameTooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_are_few_and_leave_room_for_members() {
    let open = Open::start(Limits { newcomers: 2, ..Limits::loopback() });
    let (first, second) = (open.knock().await.unwrap(), open.knock().await.unwrap());
    match open.knock().await {
        Err(NetError::Closed { reason: CloseReason::Full, .. }) => {}
        other => panic!("{other:?}"),
    }
    let identity = issue(&open.authority, "hospital-1", Usage::Client);
    assert!(dial(open.addr, "coordinator", &identity, open.authority.certificate()).await.is_ok());
    first.close().await;
    let again = async {
        while open.knock().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(again).await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_network_does_not_take_all_places() {
    let open = Open::start(Limits { newcomers_per_network: 1, ..Limits::loopback() });
    let _first = open.knock().await.unwrap();
    let second = open.knock().await;
    assert!(matches!(second, Err(NetError::Closed { reason: CloseReason::Full, .. })), "{second:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_says_nothing_leaves_its_place() {
    let patience = Duration::from_millis(100);
    let limits =
        Limits { newcomers: 4, newcomer_patience: patience, newcomer_time: PATIENCE * 100, ..Limits::loopback() };
    let open = Open::start(limits);
    let key = open.authority.certificate().key_fingerprint();
    let mut raw = raw::dial_tls(open.addr, tls::newcomer_tls(key).unwrap()).await;
    assert_eq!(raw.word().await, (3, CloseReason::Done.code()));
    drop(raw);
    // Half a request is none.
    let mut raw = raw::dial_tls(open.addr, tls::newcomer_tls(key).unwrap()).await;
    raw.say(b"\x01CNSL").await;
    assert_eq!(raw.word().await, (3, CloseReason::Done.code()));
    drop(raw);
    // The same over QUIC.
    for said in [b"".as_slice(), b"CNSL"] {
        let config = tls::client_quic(tls::newcomer_tls(key).unwrap().config, &Limits::loopback()).unwrap();
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let dialled = endpoint.connect_with(config, open.addr, &name("coordinator").dns_name()).unwrap();
        let quic = soon(dialled).await.unwrap();
        let (mut send, _receive) = soon(quic.open_bi()).await.unwrap();
        send.write_all(said).await.unwrap();
        let quinn::ConnectionError::ApplicationClosed(close) = soon(quic.closed()).await else { panic!("lost") };
        assert_eq!(close.error_code.into_inner(), CloseReason::Done.code());
    }
    // All four left their places. After its first request one may think for longer.
    let newcomer = soon(async {
        loop {
            match open.knock().await {
                Ok(newcomer) => break newcomer,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let newcomer = newcomer.await;
    tokio::time::sleep(3 * patience).await;
    assert!(soon(newcomer.call(Frame::new(ECHO, "", Bytes::new()))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_stays_is_shown_out() {
    let open = Open::start(Limits { newcomer_time: Duration::from_millis(300), ..Limits::loopback() });
    let newcomer = open.knock().await.unwrap();
    let ended = soon(newcomer.call(Frame::new(BYE, "", Bytes::new()))).await;
    assert!(matches!(ended, Err(NetError::Closed { reason: CloseReason::Done, .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_waits_for_no_newcomer() {
    let open = Open::start(Limits { newcomer_time: PATIENCE * 100, ..Limits::loopback() });
    let newcomer = open.knock().await.unwrap();
    open.stop.send(()).unwrap();
    soon(open.running).await.unwrap();
    assert!(newcomer.is_closed());
}

/// The certificate of a coordinator, shown by somebody without its key.
#[test]
fn a_certificate_without_its_key_proves_nothing() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let (real, other) = (TlsKey::generate().unwrap(), issue(&authority, "coordinator", Usage::Server));
    let now = SystemTime::now();
    let own = authority.certify(&real.public_key(), &name("coordinator"), &[], Usage::Server, now).unwrap();
    let genuine = Identity::new(&format!("{own}{}", authority.certificate().to_pem()), &real).unwrap();
    let signing = |key: Arc<dyn rustls::sign::SigningKey>| {
        let shown = CertifiedKey::new(genuine.certified().cert.clone(), key);
        let mut server = tls::server_tls(&shown::Shown::new(&genuine), authority.certificate(), true).unwrap();
        server.cert_resolver = Arc::new(SingleCertAndKey::from(shown));
        let client = Arc::new(tls::newcomer_tls(authority.certificate().key_fingerprint()).unwrap().config);
        let subject = rustls::pki_types::ServerName::try_from("coordinator.consilium.invalid").unwrap();
        let mut client = ClientConnection::new(client, Version::V1, subject, vec![]).unwrap();
        let mut server = ServerConnection::new(Arc::new(server), Version::V1, vec![]).unwrap();
        for _ in 0..10 {
            let mut flight = Vec::new();
            let _ = client.write_hs(&mut flight);
            server.read_hs(&flight)?;
            let mut flight = Vec::new();
            let _ = server.write_hs(&mut flight);
            client.read_hs(&flight)?;
        }
        Ok::<_, rustls::Error>(())
    };
    assert_eq!(signing(Arc::clone(&genuine.certified().key)), Ok(()));
    let bad = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
    assert_eq!(signing(Arc::clone(&other.certified().key)), Err(bad));
}

/// Whoever hears its last word and does not leave keeps its place until it is given up, over TCP as long as its socket
/// is open: strangers never hold more sockets than there are places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_does_not_leave_keeps_its_place() {
    let limits = Limits { newcomers: 1, newcomer_patience: Duration::from_millis(50), ..Limits::loopback() };
    let open = Open::start(limits);
    let key = open.authority.certificate().key_fingerprint();
    let mut first = raw::dial_tls(open.addr, tls::newcomer_tls(key).unwrap()).await;
    assert_eq!(first.word().await, (3, CloseReason::Done.code()));
    let mut second = raw::dial_tls(open.addr, tls::newcomer_tls(key).unwrap()).await;
    assert_eq!(second.word().await, (3, CloseReason::Full.code()));
    drop(first);
    soon(async { while open.knock().await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_found_no_place_and_does_not_leave_keeps_its_handshake() {
    let limits = Limits { newcomers: 0, handshakes: 1, ..Limits::loopback() };
    let open = Open::start(limits);
    let key = open.authority.certificate().key_fingerprint();
    let mut first = raw::dial_tls(open.addr, tls::newcomer_tls(key).unwrap()).await;
    assert_eq!(first.word().await, (3, CloseReason::Full.code()));
    // Closed without a word: the next one comes to no handshake.
    let config = tls::newcomer_tls(key).unwrap().config;
    let second = tokio::net::TcpStream::connect(open.addr).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(name("coordinator").dns_name()).unwrap();
    let shaken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, second);
    assert!(soon(shaken).await.is_err());
}

/// Counts lines of the log.
struct Lines(Arc<std::sync::atomic::AtomicU32>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, of: &tracing::Metadata<'_>) -> bool {
        *of.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target().contains("net") {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Everything runs on one thread, whose log is counted. Strangers that ask for what is no frame, and strangers that
/// find no place, cause ten lines a second at most.
#[tokio::test]
async fn strangers_do_not_fill_the_log() {
    let lines = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let _log = tracing::subscriber::set_default(Lines(Arc::clone(&lines)));
    for newcomers in [1, 0] {
        let open = Open::start(Limits { newcomers, ..Limits::loopback() });
        let key = open.authority.certificate().key_fingerprint();
        let (started, before) = (std::time::Instant::now(), lines.load(std::sync::atomic::Ordering::Relaxed));
        if newcomers == 0 {
            for _ in 0..60 {
                assert!(open.knock().await.is_err());
            }
        } else {
            let config = tls::client_quic(tls::newcomer_tls(key).unwrap().config, &Limits::loopback()).unwrap();
            let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let dialled = endpoint.connect_with(config, open.addr, &name("coordinator").dns_name()).unwrap();
            let quic = soon(dialled).await.unwrap();
            for _ in 0..60 {
                let (mut send, mut receive) = soon(quic.open_bi()).await.unwrap();
                send.write_all(&[7; 64]).await.unwrap();
                assert!(soon(receive.read_to_end(1)).await.is_err(), "it is no frame");
            }
        }
        let said = lines.load(std::sync::atomic::Ordering::Relaxed) - before;
        let seconds = u32::try_from(started.elapsed().as_secs()).unwrap() + 1;
        assert!((1..=10 * seconds + 10).contains(&said), "{said} lines in {seconds} s");
    }
}
