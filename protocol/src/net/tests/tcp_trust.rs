//! Who is let in over TCP: the same as over QUIC.

use super::newcomers::{BYE, Open, refused};
use super::tcp::raw;
use super::trust::{Anonymous, refusal};
use super::*;

fn over_tcp(addr: SocketAddr) -> Route {
    Route::from(addr).over(Mode::Tcp)
}

async fn dial_tls(federation: &Federation, tls: issuer::ClientTls) -> Result<Connection, NetError> {
    let (route, traffic) = (over_tcp(federation.addr), Arc::new(Traffic::default()));
    soon(Connection::dial_tls(&route, &name("coordinator"), tls, Limits::loopback(), traffic)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_authority_is_refused_and_the_others_are_served() {
    let federation = Federation::start(Limits::loopback());
    let friend = federation.dial_tcp("hospital-1", Limits::default()).await;
    let elsewhere = Authority::create(SystemTime::now()).unwrap();
    let stranger = issue(&elsewhere, "hospital-1", Usage::Client);
    let refused = dial_tls(&federation, tls::client_tls(&stranger, federation.authority.certificate()).unwrap()).await;
    let error = refused.unwrap_err();
    let text = format!(
        "coordinator at {} over TCP did not accept our certificate: it was issued by another authority",
        federation.addr
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(refusal(Err(error)), (RefusedBy::Peer, TrustCause::OtherAuthority));
    assert_echo(&friend, 100).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_name_role_and_date_of_a_certificate_all_count() {
    let federation = Federation::start(Limits::loopback());
    let authority = &federation.authority;
    let identity = issue(authority, "hospital-1", Usage::Client);

    let ours = Authority::create(SystemTime::now()).unwrap();
    let other_authority = dial_tls(&federation, tls::client_tls(&identity, ours.certificate()).unwrap()).await;
    assert_eq!(refusal(other_authority), (RefusedBy::Us, TrustCause::OtherAuthority));

    let (elsewhere, traffic) = (name("hospital-2"), Arc::new(Traffic::default()));
    let tls = tls::client_tls(&identity, authority.certificate()).unwrap();
    let route = over_tcp(federation.addr);
    let other_name = soon(Connection::dial_tls(&route, &elsewhere, tls, Limits::loopback(), traffic)).await;
    assert_eq!(refusal(other_name), (RefusedBy::Us, TrustCause::BadCertificate));

    let other_role = issue(authority, "hospital-1", Usage::Server);
    let other_role = federation.dial_tcp_as(&other_role, Limits::default()).await;
    assert_eq!(refusal(other_role), (RefusedBy::Peer, TrustCause::WrongUsage));

    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    let expired = authority.issue(&name("hospital-1"), &[], Usage::Client, long_ago).unwrap();
    let expired = federation.dial_tcp_as(&expired, Limits::default()).await;
    assert_eq!(refusal(expired), (RefusedBy::Peer, TrustCause::Expired));
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_certificate_key_exchange_or_protocol_is_refused() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let ours = || tls::client_tls(&identity, federation.authority.certificate()).unwrap();

    let mut anonymous = ours();
    anonymous.config.client_auth_cert_resolver = Arc::new(Anonymous);
    assert_eq!(refusal(dial_tls(&federation, anonymous).await), (RefusedBy::Peer, TrustCause::Missing));

    let classical = super::trust::classical(&federation, &ours());
    let dialled = dial_tls(&federation, classical).await;
    assert!(matches!(dialled, Err(NetError::Handshake { alert: 40, .. })), "{dialled:?}");

    let mut other = ours();
    other.config.alpn_protocols = vec![b"h2".to_vec()];
    let dialled = dial_tls(&federation, other).await;
    assert!(matches!(dialled, Err(NetError::Handshake { alert: 120, .. })), "{dialled:?}");

    // TLS by itself lets through who names no protocol.
    let mut nameless = ours();
    nameless.config.alpn_protocols = Vec::new();
    let mut nameless = raw::dial_tls(federation.addr, nameless).await;
    nameless.end().await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newcomers_are_heard_at_the_gate_within_their_bounds() {
    let open = Open::start(Limits { newcomers: 1, ..Limits::loopback() });
    let (key, coordinator) = (open.authority.certificate().key_fingerprint(), name("coordinator"));
    let knock = || soon(Connection::knock(over_tcp(open.addr), &coordinator, key));
    let newcomer = knock().await.unwrap();
    assert_eq!(newcomer.transport(), Transport::Tcp);
    let reply = soon(newcomer.call(Frame::new(WHOAMI, "", Bytes::new()))).await.unwrap();
    assert_eq!(reply.header, "at the gate");
    assert_eq!(refused(soon(newcomer.call(Frame::new(REFUSE, "", Bytes::new()))).await), Rejection::Refused(5));
    let second = knock().await.unwrap_err();
    assert!(matches!(second, NetError::Closed { reason: CloseReason::Full, .. }), "{second:?}");
    // The answer comes while the request is still being sent, and is heard.
    let long = Frame::new(ECHO, Bytes::new(), vec![0; 16 << 20]);
    assert_eq!(refused(soon(newcomer.call(long)).await), Rejection::FrameTooLarge);

    let identity = issue(&open.authority, "hospital-1", Usage::Client);
    let (limits, traffic) = (Limits::loopback(), Arc::new(Traffic::default()));
    let root = open.authority.certificate();
    let member = Connection::dial_with(over_tcp(open.addr), &coordinator, &identity, root, limits, traffic);
    let reply = soon(soon(member).await.unwrap().call(Frame::new(WHOAMI, "", Bytes::new()))).await.unwrap();
    assert_eq!(reply.header, "hospital-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_names_a_members_protocol_has_to_show_a_certificate() {
    let open = Open::start(Limits::loopback());
    let mut tls = tls::newcomer_tls(open.authority.certificate().key_fingerprint()).unwrap();
    tls.config.alpn_protocols = vec![b"consilium/6".to_vec()];
    let (route, traffic) = (over_tcp(open.addr), Arc::new(Traffic::default()));
    let dialled = soon(Connection::dial_tls(&route, &name("coordinator"), tls, Limits::loopback(), traffic)).await;
    assert!(matches!(dialled, Err(NetError::Closed { reason: CloseReason::Unnamed, .. })), "{dialled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_stays_is_shown_out() {
    let open = Open::start(Limits { newcomer_time: Duration::from_millis(300), ..Limits::loopback() });
    let key = open.authority.certificate().key_fingerprint();
    let newcomer = soon(Connection::knock(over_tcp(open.addr), &name("coordinator"), key)).await.unwrap();
    let ended = soon(newcomer.call(Frame::new(BYE, "", Bytes::new()))).await;
    assert!(matches!(ended, Err(NetError::Closed { reason: CloseReason::Done, .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_names_no_protocol_is_refused() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let server = shown::Shown::new(&issue(&authority, "coordinator", Usage::Server));
    let mut tls = tls::server_tls(&server, authority.certificate(), false).unwrap();
    tls.alpn_protocols.clear();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _stream = tokio_rustls::TlsAcceptor::from(Arc::new(tls)).accept(stream).await.unwrap();
        std::future::pending::<()>().await;
    });
    let identity = issue(&authority, "hospital-1", Usage::Client);
    let (limits, traffic) = (Limits::default(), Arc::new(Traffic::default()));
    let (root, coordinator) = (authority.certificate(), name("coordinator"));
    let dialled = Connection::dial_with(over_tcp(addr), &coordinator, &identity, root, limits, traffic);
    let error = soon(dialled).await.unwrap_err();
    assert!(matches!(error, NetError::Handshake { alert: 120, .. }), "{error:?}");
    serving.abort();
}
