//! What a peer over TCP cannot make the server hold, read or wait for.

use super::tcp::raw;
use super::*;

const REJECT: u8 = 2;
const CLOSE: u8 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_request_are_refused_and_end_the_connection() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let bad = Rejection::BadFrame.code();
    for (wire, code) in [
        (b"\x01CNSL\x01\x00\x01\x00\0\0\0\0\xff\xff\xff\xff".as_slice(), Rejection::FrameTooLarge.code()),
        (b"\x01GET / HTTP/1.1\r\n", bad),
        (b"\x01CNSL\x01\x00\0\0\0\0\0\0\x01\0\0\0x", bad),
    ] {
        let mut raw = raw::dial(&federation, &identity).await;
        raw.say(wire).await;
        assert_eq!(raw.word().await, (REJECT, code));
        raw.end().await;
        // What was still on its way meets no reset, which could overtake the answer.
        for _ in 0..3 {
            raw.say(&[0; 1000]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // What is no record at all has no answer.
    let mut raw = raw::dial(&federation, &identity).await;
    raw.say(b"GET / HTTP/1.1\r\n").await;
    raw.end().await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_stalls_is_given_up() {
    let limits = Limits { stall: Duration::from_millis(300), bytes_per_second_min: u32::MAX, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    for wire in [b"\x01CNSL\x01\x00\x01\x00\0\0\0\0\0\0\0\x02".as_slice(), b"\x01C"] {
        let mut raw = raw::dial(&federation, &identity).await;
        raw.say(wire).await;
        assert_eq!(raw.word().await, (REJECT, Rejection::Stalled.code()));
        raw.end().await;
    }
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_bytes_in_flight_wait_and_then_pass() {
    let limits = Limits { bytes_in_flight: Frame::HEADER_BYTES_MAX + Frame::BODY_BYTES_MAX, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    let first = begin_waiting(&connection, &federation.echo, pattern(30 << 20)).await;
    assert_echo(&connection, 1 << 20).await;
    let large = connection.call(Frame::new(WHOAMI, Bytes::new(), pattern(8 << 20)));
    tokio::pin!(large);
    let early = timeout(Duration::from_millis(100), &mut large).await;
    assert!(early.is_err(), "the large frame was taken without room");
    federation.echo.release.notify_one();
    let (first, large) = soon(async { tokio::join!(first, large) }).await;
    assert_eq!(first.unwrap().body.len(), 3 << 20);
    assert_eq!(large.unwrap().header, "hospital-1");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_has_four_connections_for_each_of_its_share_and_no_more() {
    let federation = Federation::start(Limits { connections_per_peer: 1, ..Limits::loopback() });
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let mut four = Vec::new();
    for _ in 0..4 {
        four.push(federation.dial_tcp_as(&identity, Limits::default()).await.unwrap());
    }
    let fifth = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap_err();
    assert!(matches!(fifth, NetError::Closed { reason: CloseReason::TooManyConnections, .. }), "{fifth:?}");
    let over_quic = federation.dial_as(&identity).await.unwrap_err();
    assert!(matches!(over_quic, NetError::Closed { reason: CloseReason::TooManyConnections, .. }), "{over_quic:?}");
    let other = federation.dial_tcp("hospital-2", Limits::default()).await;
    assert_echo(&other, 1).await;
    for connection in &four {
        assert_echo(connection, 1).await;
    }
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_takes_nobody_over_tcp_either() {
    let federation = Federation::start(Limits { connections: 1, ..Limits::loopback() });
    let over_quic = federation.dial("hospital-1").await;
    let identity = issue(&federation.authority, "hospital-2", Usage::Client);
    let refused = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap_err();
    assert!(matches!(refused, NetError::Closed { reason: CloseReason::Full, .. }), "{refused:?}");
    assert!(refused.is_transient());
    assert_echo(&over_quic, 1).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_tcp_with_handshakes_leaves_quic_open() {
    for limits in [
        Limits { handshakes: 1, dial_timeout: PATIENCE, ..Limits::loopback() },
        Limits { handshakes_per_network: 1, dial_timeout: PATIENCE, ..Limits::loopback() },
    ] {
        let federation = Federation::start(limits);
        // Says nothing, and holds the only place among the handshakes.
        let held = std::net::TcpStream::connect(federation.addr).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let identity = issue(&federation.authority, "hospital-2", Usage::Client);
        let refused = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap_err();
        assert!(matches!(refused, NetError::ConnectionRefused { .. }), "{refused:?}");
        assert!(refused.is_transient());
        assert_echo(&federation.dial_as(&identity).await.unwrap(), 1).await;
        drop(held);
        federation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_is_given_up() {
    let limits = Limits { dial_timeout: Duration::from_millis(200), ..Limits::loopback() };
    let federation = Federation::start(limits);
    let stream = std::net::TcpStream::connect(federation.addr).unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        std::io::Read::read(&mut &stream, &mut [0; 10])
    });
    assert!(matches!(soon(ended).await.unwrap(), Ok(0)));
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_ended_and_replaced() {
    let federation = Federation::start(Limits { idle_timeout: Duration::from_millis(200), ..Limits::loopback() });
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let connection = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap();
    let mut raw = raw::dial(&federation, &identity).await;
    assert_eq!(raw.word().await, (CLOSE, CloseReason::Done.code()));
    raw.end().await;
    // The connection was idle for as long; it is noticed before a request is lost on it.
    assert_echo(&connection, 10).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_tcp_cannot_have_is_named() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let identity = issue(&authority, "coordinator", Usage::Server);
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = taken.local_addr().unwrap();
    match Server::bind(addr, &identity, authority.certificate(), Limits::loopback()).err() {
        Some(NetError::Bind { addr: named, .. }) => assert_eq!(named, addr),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_may_be_about_to_end_is_not_used_again() {
    let federation = Federation::start(Limits::loopback());
    // The client takes a connection for idle too long after 200 ms; the server would wait for longer.
    let short = Limits {
        idle_timeout: Duration::from_millis(300),
        keep_alive: Duration::from_millis(100),
        ..Limits::default()
    };
    let connection = federation.dial_tcp("hospital-1", short).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_echo(&connection, 0).await;
    // Two hellos: the request went over a second connection.
    assert_eq!(connection.traffic().up(), 3 * Frame::HEAD_BYTES as u64 + 7);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_fails_the_handshake_hears_the_alert_and_no_reset() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let federation = Federation::start(Limits::loopback());
    let mut stream = tokio::net::TcpStream::connect(federation.addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    // A record of kind alert, 21.
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    // The first of these would bring a reset, the next one would meet it.
    for _ in 0..3 {
        stream.write_all(&[0; 1000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    federation.stop().await;
}
