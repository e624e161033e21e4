//! Requests and replies over TCP, and the end of a server.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_sizes_come_back() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    assert_eq!((connection.transport(), connection.remote().transport), (Transport::Tcp, Transport::Tcp));
    for len in [0, 1, 10 << 20] {
        assert_echo(&connection, len).await;
    }
    let largest = Frame::new(WHOAMI, Bytes::new(), pattern(Frame::BODY_BYTES_MAX as usize));
    assert_eq!(soon(connection.call(largest)).await.unwrap().header, "hospital-1");
    // A hello, three echoes of 7 bytes of header, and the largest, whose reply has 42 bytes.
    let (echoes, head) = (3 * 7 + 1 + (10 << 20), Frame::HEAD_BYTES as u64);
    let (up, down) = (5 * head + echoes + (32 << 20), 5 * head + echoes + 42);
    assert_eq!((connection.traffic().up(), connection.traffic().down()), (up, down));
    connection.close().await;
    let served = Arc::clone(&federation.traffic);
    federation.stop().await;
    assert_eq!((served.up(), served.down()), (down, up));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hospitals_call_at_once_and_are_told_apart() {
    let federation = Arc::new(Federation::start(Limits::loopback()));
    let mut hospitals = tokio::task::JoinSet::new();
    for index in 1..=5 {
        let federation = Arc::clone(&federation);
        hospitals.spawn(async move {
            let text = format!("hospital-{index}");
            let identity = issue(&federation.authority, &text, Usage::Client);
            let connection = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap();
            // More calls at once than there are connections.
            let call = |i: usize| assert_echo(&connection, (1 << 20) + i);
            tokio::join!(call(0), call(1), call(2), call(3), call(4), call(5));
            let reply = soon(connection.call(Frame::new(WHOAMI, Bytes::new(), Bytes::new()))).await.unwrap();
            assert_eq!(reply.header, text.as_bytes());
            assert_eq!(reply.body, identity.key_fingerprint().bytes().as_slice());
        });
    }
    while let Some(ended) = soon(hospitals.join_next()).await {
        ended.unwrap();
    }
    Arc::into_inner(federation).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_leaves_the_connection_usable() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    for (kind, expected) in
        [(REFUSE, Rejection::Refused(77)), (PANIC, Rejection::HandlerFailed), (OVERSIZE, Rejection::HandlerFailed)]
    {
        match soon(connection.call(Frame::new(kind, Bytes::new(), pattern(100)))).await {
            Err(NetError::Rejected { rejection, .. }) => assert_eq!(rejection, expected),
            other => panic!("kind {kind}: {other:?}"),
        }
        assert_echo(&connection, 10).await;
    }
    assert!(!connection.is_closed());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_finishes_what_it_has_begun() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    let call = begin_waiting(&connection, &federation.echo, pattern(3 << 20)).await;
    let Federation { echo, stop, running, .. } = federation;
    stop.send(()).unwrap();
    echo.release.notify_one();
    assert_eq!(soon(call).await.unwrap().body, pattern(3 << 20));
    soon(running).await.unwrap();
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
    let error = soon(connection.call(Frame::new(ECHO, Bytes::new(), Bytes::new()))).await.unwrap_err();
    assert!(matches!(error, NetError::ConnectionRefused { .. }), "{error:?}");
    assert!(error.is_transient() && connection.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_never_ends_is_dropped_after_the_drain_time() {
    let federation = Federation::start(Limits { drain: Duration::from_millis(50), ..Limits::loopback() });
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    let call = begin_waiting(&connection, &federation.echo, Bytes::new()).await;
    let Federation { echo, stop, running, .. } = federation;
    stop.send(()).unwrap();
    let ended = soon(call).await.unwrap_err();
    assert!(matches!(ended, NetError::Closed { reason: CloseReason::ShuttingDown, .. }), "{ended:?}");
    soon(running).await.unwrap();
    assert_eq!(echo.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_when_the_caller_has_gone() {
    let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::loopback() };
    let federation = Federation::start(limits);
    let connection = federation.dial_tcp("hospital-1", Limits::default()).await;
    drop(begin_waiting(&connection, &federation.echo, Bytes::new()).await);
    connection.close().await;
    // Long enough for the server to notice.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let echo = Arc::clone(&federation.echo);
    echo.release.notify_one();
    federation.stop().await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_put_out_loses_all_its_connections_and_hears_why() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let busy = federation.dial_tcp_as(&identity, Limits::default()).await.unwrap();
    let mut idle = raw::dial(&federation, &identity).await;
    let other = federation.dial_tcp("hospital-2", Limits::default()).await;
    let call = begin_waiting(&busy, &federation.echo, Bytes::new()).await;
    assert_eq!(federation.handle.disconnect(identity.key_fingerprint()), 2);
    let error = soon(call).await.unwrap_err();
    assert!(matches!(error, NetError::Closed { reason: CloseReason::Revoked, .. }), "{error:?}");
    assert!(!error.is_transient() && busy.is_closed());
    assert_eq!(idle.word().await, (3, CloseReason::Revoked.code()));
    assert_echo(&other, 10).await;
    // The call that was under way goes on to its end.
    let echo = Arc::clone(&federation.echo);
    echo.release.notify_one();
    federation.stop().await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_not_taken_for_a_dead_server() {
    let alive = Limits { keep_alive: Duration::from_millis(50), ..Limits::loopback() };
    let federation = Federation::start(alive);
    let impatient = Limits { idle_timeout: Duration::from_secs(1), ..Limits::default() };
    let connection = federation.dial_tcp("hospital-1", impatient).await;
    let mut call = begin_waiting(&connection, &federation.echo, Bytes::new()).await;
    let early = timeout(Duration::from_millis(1500), &mut call).await;
    assert!(early.is_err(), "{early:?}");
    federation.echo.release.notify_one();
    assert!(soon(call).await.is_ok());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_lost() {
    let silent = Limits { keep_alive: Duration::from_secs(3600), ..Limits::loopback() };
    let federation = Federation::start(silent);
    let impatient = Limits { idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let connection = federation.dial_tcp("hospital-1", impatient).await;
    let call = begin_waiting(&connection, &federation.echo, Bytes::new()).await;
    let error = soon(call).await.unwrap_err();
    assert!(matches!(error, NetError::TimedOut { stage: Stage::Idle, .. }), "{error:?}");
    assert!(connection.is_closed());
    federation.echo.release.notify_one();
    federation.stop().await;
}

/// A client that says what no client of ours says.
pub(super) mod raw {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::super::*;

    pub(in super::super) struct Raw(pub(in super::super) TlsStream<TcpStream>);

    pub(in super::super) async fn dial(federation: &Federation, identity: &Identity) -> Raw {
        let tls = tls::client_tls(identity, federation.authority.certificate()).unwrap();
        dial_tls(federation.addr, tls).await
    }

    pub(in super::super) async fn dial_tls(addr: SocketAddr, tls: issuer::ClientTls) -> Raw {
        let stream = TcpStream::connect(addr).await.unwrap();
        let subject = rustls::pki_types::ServerName::try_from("coordinator.consilium.invalid").unwrap();
        Raw(soon(TlsConnector::from(Arc::new(tls.config)).connect(subject, stream)).await.unwrap())
    }

    impl Raw {
        pub(in super::super) async fn say(&mut self, wire: &[u8]) {
            self.0.write_all(wire).await.unwrap();
            self.0.flush().await.unwrap();
        }

        /// A word of the server: its first byte and its number.
        pub(in super::super) async fn word(&mut self) -> (u8, u64) {
            soon(async {
                let tag = self.0.read_u8().await.unwrap();
                (tag, self.0.read_u64_le().await.unwrap())
            })
            .await
        }

        /// Waits for the server's end.
        pub(in super::super) async fn end(&mut self) {
            let mut rest = Vec::new();
            let _ = soon(self.0.read_to_end(&mut rest)).await;
            assert_eq!(rest, b"");
        }
    }
}
