//! Where a server is looked for, and that it is found again.

use std::sync::Mutex;

use super::*;

fn dialer(federation: &Federation, route: impl Into<Route>, limits: Limits) -> Dialer {
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(10), attempts: 2 };
    let root = federation.authority.certificate().clone();
    Dialer::new(route, name("coordinator"), identity, root, limits, backoff)
}

/// A port at which packets arrive and nobody answers.
fn silent() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_moved_is_found_where_its_name_points_now() {
    let first = Federation::start(Limits::loopback());
    let authority = Authority::from_pem(&first.authority.certificate().to_pem(), &first.authority.key_pem()).unwrap();
    let identity = issue(&authority, "coordinator", Usage::Server);
    let second = Federation::start_as(authority, &identity, Limits::loopback());
    let listed = Arc::new(Mutex::new(vec![first.addr]));
    let dialer = dialer(&first, Route::listed(&listed), Limits::loopback());
    let before = soon(dialer.connection()).await.unwrap();
    assert_eq!(before.remote().addr, first.addr);
    *listed.lock().unwrap() = vec![second.addr];
    first.stop().await;
    let after = soon(dialer.connection()).await.unwrap();
    assert_eq!(after.remote().addr, second.addr);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_addresses_of_a_host_are_tried() {
    let federation = Federation::start(Limits::loopback());
    let (_socket, nobody) = silent();
    let listed = Arc::new(Mutex::new(vec![nobody, federation.addr]));
    let connection = soon(dialer(&federation, Route::listed(&listed), Limits::loopback()).connection()).await.unwrap();
    assert_eq!(connection.remote().addr, federation.addr);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_dialled_by_its_name() {
    let federation = Federation::start(Limits::loopback());
    let host: HostPort = format!("localhost:{}", federation.addr.port()).parse().unwrap();
    let connection = soon(dialer(&federation, host, Limits::loopback()).connection()).await.unwrap();
    assert_eq!(connection.remote().addr, federation.addr);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_host_is_named_and_may_be_known_later() {
    let federation = Federation::start(Limits::loopback());
    let limits = Limits { dial_timeout: Duration::from_secs(2), ..Limits::loopback() };
    let host: HostPort = "no-such-host.invalid:443".parse().unwrap();
    let error = soon(dialer(&federation, host.clone(), limits).connection()).await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().starts_with("the host of no-such-host.invalid:443 cannot be found: "), "{error}");
    assert!(matches!(error, NetError::Unresolved { host: named, .. } if named == host));
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_at_one_address_is_told_before_silence_at_another() {
    let federation = Federation::start(Limits::loopback());
    let stranger = Federation::start(Limits::loopback());
    let (_socket, nobody) = silent();
    for order in [[nobody, stranger.addr], [stranger.addr, nobody]] {
        let limits = Limits { dial_timeout: Duration::from_secs(1), ..Limits::loopback() };
        let listed = Arc::new(Mutex::new(order.to_vec()));
        let error = soon(dialer(&federation, Route::listed(&listed), limits).connection()).await.unwrap_err();
        assert!(error.is_about_trust(), "{error}");
    }
    federation.stop().await;
    stranger.stop().await;
}
