//! Requests and replies, their limits, and the end of a server.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_sizes_come_back() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial("hospital-1").await;
    for len in [0, 1, 10 << 20] {
        assert_echo(&connection, len).await;
    }
    let empty = Frame::new(ECHO, Bytes::new(), Bytes::new());
    assert_eq!(connection.call(empty.clone()).await.unwrap(), empty);
    // Five requests, the hello among them, each with 16 bytes of head, three with 7 of header.
    let bytes = (5 * 16 + 3 * 7 + 1 + (10 << 20)) as u64;
    let traffic = Arc::clone(connection.traffic());
    assert_eq!((traffic.up(), traffic.down()), (bytes, bytes));
    connection.close().await;
    let served = Arc::clone(&federation.traffic);
    federation.stop().await;
    assert_eq!((served.up(), served.down()), (bytes, bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_limits_carry_a_largest_frame() {
    let federation = Federation::start(Limits::default());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let coordinator = name("coordinator");
    let dialled = Connection::dial(federation.addr, &coordinator, &identity, federation.authority.certificate());
    let connection = soon(dialled).await.unwrap();
    let largest = Frame::new(WHOAMI, Bytes::new(), pattern(Frame::BODY_BYTES_MAX as usize));
    let reply = soon(connection.call(largest)).await.unwrap();
    assert_eq!(reply.header, "hospital-1");
    assert_eq!(connection.traffic().up(), (2 * Frame::HEAD_BYTES + (32 << 20)) as u64);
    assert_echo(&connection, 1 << 20).await;
    federation.stop().await;
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
            let connection = federation.dial_as(&identity).await.unwrap();
            // More calls at once than the connection has streams.
            let call = |i: usize| assert_echo(&connection, (1 << 20) + i);
            tokio::join!(call(0), call(1), call(2), call(3), call(4), call(5));
            let who = Frame::new(WHOAMI, Bytes::new(), Bytes::new());
            let reply = soon(connection.call(who)).await.unwrap();
            assert_eq!(reply.header, text.as_bytes());
            assert_eq!(reply.body, identity.key_fingerprint().bytes().as_slice());
            connection.close().await;
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
    let connection = federation.dial("hospital-1").await;
    for (kind, expected) in
        [(REFUSE, Rejection::Refused(77)), (PANIC, Rejection::HandlerFailed), (OVERSIZE, Rejection::HandlerFailed)]
    {
        match soon(connection.call(Frame::new(kind, Bytes::new(), pattern(100)))).await {
            Err(NetError::Rejected { rejection, .. }) => assert_eq!(rejection, expected),
            other => panic!("kind {kind}: {other:?}"),
        }
        assert_echo(&connection, 10).await;
    }
    match connection.call(Frame::new(Frame::HELLO, Bytes::new(), Bytes::new())).await {
        Err(NetError::Frame { source, .. }) => assert_eq!(source, FrameError::ReservedKind),
        other => panic!("{other:?}"),
    }
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversize_frame_is_refused_on_either_side() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial("hospital-1").await;
    let body = vec![0; Frame::BODY_BYTES_MAX as usize + 1];
    match connection.call(Frame::new(ECHO, Bytes::new(), body)).await {
        Err(NetError::Frame { source, .. }) => assert!(source.is_too_large()),
        other => panic!("{other:?}"),
    }

    // Bytes that no client of ours writes: too large, truncated, no frame, half a head, too long,
    // a hello that says something.
    let oversize = *b"CNSL\x01\x00\x01\x00\0\0\0\0\xff\xff\xff\xff";
    assert_eq!(rejection_of(&connection, &oversize, true).await, Rejection::FrameTooLarge.code());
    let bad = Rejection::BadFrame.code();
    assert_eq!(rejection_of(&connection, b"CNSL\x01\x00\x01\x00\0\0\0\0\0\0\x10\0", false).await, bad);
    assert_eq!(rejection_of(&connection, b"GET / HTTP/1.1\r\n", true).await, bad);
    assert_eq!(rejection_of(&connection, b"CNSL", false).await, bad);
    assert_eq!(rejection_of(&connection, b"CNSL\x01\x00\x01\x00\x01\0\0\0\0\0\0\0xx", false).await, bad);
    assert_eq!(rejection_of(&connection, b"CNSL\x01\x00\0\0\0\0\0\0\x01\0\0\0x", false).await, bad);
    assert_echo(&connection, 10).await;
    federation.stop().await;
}

/// Sends raw bytes as a request, with or without the stream's end, and returns the code of the
/// reset that answers.
async fn rejection_of(connection: &Connection, wire: &[u8], open: bool) -> u64 {
    let (mut send, mut receive) = soon(connection.quic().open_bi()).await.unwrap();
    send.write_all(wire).await.unwrap();
    if !open {
        send.finish().unwrap();
    }
    match soon(receive.read_to_end(100)).await {
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => code.into_inner(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_stalls_is_given_up() {
    let limits = Limits { stall: Duration::from_millis(600), bytes_per_second_min: u32::MAX, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let connection = federation.dial("hospital-1").await;
    let announced = b"CNSL\x01\x00\x01\x00\0\0\0\0\0\0\0\x02";
    let stalled = Rejection::Stalled.code();
    let both =
        async { tokio::join!(rejection_of(&connection, announced, true), rejection_of(&connection, b"C", true)) };
    assert_eq!(soon(both).await, (stalled, stalled));
    assert_echo(&connection, 10).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_beyond_the_bytes_in_flight_wait_and_then_pass() {
    // Room for one largest frame.
    let limits = Limits { bytes_in_flight: Frame::HEADER_BYTES_MAX + Frame::BODY_BYTES_MAX, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let connection = federation.dial("hospital-1").await;
    let first = connection.call(Frame::new(WAIT, Bytes::new(), pattern(30 << 20)));
    tokio::pin!(first);
    soon(async {
        tokio::select! {
            _ = &mut first => panic!("answered before it was released"),
            () = federation.echo.waiting.notified() => {}
        }
    })
    .await;
    // A small frame finds room beside it, a large one has to wait.
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
async fn a_certificate_gets_no_more_connections_than_its_share() {
    let federation = Federation::start(Limits { connections_per_peer: 1, ..Limits::loopback() });
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let first = federation.dial_as(&identity).await.unwrap();
    let second = federation.dial_as(&identity).await.unwrap_err();
    assert!(matches!(second, NetError::Closed { reason: CloseReason::TooManyConnections, .. }), "{second:?}");
    assert!(second.is_transient());
    let other = federation.dial("hospital-2").await;
    assert_echo(&other, 1).await;
    assert_echo(&first, 1).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_says_so() {
    let federation = Federation::start(Limits { connections: 1, ..Limits::loopback() });
    let first = federation.dial("hospital-1").await;
    let identity = issue(&federation.authority, "hospital-2", Usage::Client);
    let second = federation.dial_as(&identity).await.unwrap_err();
    assert!(matches!(second, NetError::Closed { reason: CloseReason::Full, .. }), "{second:?}");
    assert!(second.is_transient());
    assert_echo(&first, 1).await;
    // The place is free again once its holder has left, and who was refused holds none.
    first.close().await;
    let again = async {
        while federation.dial_as(&identity).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(again).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_finishes_what_it_has_begun() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial("hospital-1").await;
    let idle = federation.dial("hospital-2").await;
    let Federation { echo, stop, running, .. } = federation;
    let call = connection.call(Frame::new(WAIT, Bytes::new(), pattern(3 << 20)));
    let stopping = async {
        echo.waiting.notified().await;
        stop.send(()).unwrap();
        // The idle connection is closed at once, the busy one once it is idle.
        let closed = soon(idle.quic().closed()).await;
        assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)));
        echo.release.notify_one();
    };
    let (reply, ()) = soon(async { tokio::join!(call, stopping) }).await;
    assert_eq!(reply.unwrap().body, pattern(3 << 20));
    soon(running).await.unwrap();
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
    match soon(connection.call(Frame::new(ECHO, Bytes::new(), Bytes::new()))).await {
        Err(NetError::Closed { reason, .. }) => assert_eq!(reason, CloseReason::ShuttingDown),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_never_ends_is_dropped_after_the_drain_time() {
    let federation = Federation::start(Limits { drain: Duration::from_millis(50), ..Limits::loopback() });
    let connection = federation.dial("hospital-1").await;
    let Federation { echo, stop, running, .. } = federation;
    let call = connection.call(Frame::new(WAIT, Bytes::new(), Bytes::new()));
    let stopping = async {
        echo.waiting.notified().await;
        stop.send(()).unwrap();
    };
    let (reply, ()) = soon(async { tokio::join!(call, stopping) }).await;
    assert!(reply.is_err());
    soon(running).await.unwrap();
    assert_eq!(echo.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_when_the_caller_has_gone() {
    let federation = Federation::start(Limits::loopback());
    let connection = federation.dial("hospital-1").await;
    {
        let call = connection.call(Frame::new(WAIT, Bytes::new(), Bytes::new()));
        soon(async {
            tokio::select! {
                _ = call => panic!("answered before it was released"),
                () = federation.echo.waiting.notified() => {}
            }
        })
        .await;
    }
    connection.close().await;
    let echo = Arc::clone(&federation.echo);
    echo.release.notify_one();
    federation.stop().await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_a_timeout_that_names_the_server() {
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = silent.local_addr().unwrap();
    let authority = Authority::create(SystemTime::now()).unwrap();
    let identity = Arc::new(issue(&authority, "hospital-1", Usage::Client));
    let limits = Limits { dial_timeout: Duration::from_millis(40), ..Limits::loopback() };
    let backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(10), attempts: 3 };
    let root = authority.certificate().clone();
    let quic = Route::from(addr).over(Mode::Quic);
    let dialer = Dialer::new(quic, name("coordinator"), identity, root, limits, backoff);
    let error = soon(dialer.connection()).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        format!("waited 40 ms for the connection from coordinator at {addr}; check the address and that UDP passes")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_keeps_one_connection_and_replaces_a_lost_one() {
    let federation = Federation::start(Limits::loopback());
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let root = federation.authority.certificate().clone();
    let coordinator = name("coordinator");
    let dialer = Dialer::new(federation.addr, coordinator, identity, root, Limits::loopback(), Backoff::default());
    let request = Frame::new(ECHO, Bytes::new(), pattern(10));
    assert_eq!(soon(dialer.call(request.clone())).await.unwrap(), request);
    let first = soon(dialer.connection()).await.unwrap();
    let second = soon(dialer.connection()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    first.quic().close(quinn::VarInt::from_u32(0), &[]);
    assert_eq!(soon(dialer.call(request.clone())).await.unwrap(), request);
    assert!(!Arc::ptr_eq(&first, &soon(dialer.connection()).await.unwrap()));
    // Two hellos and two requests went through the same counters.
    assert_eq!(dialer.traffic().up(), 4 * 16 + 20);
    federation.stop().await;
}

#[tokio::test]
async fn limits_out_of_range_are_named() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let identity = issue(&authority, "coordinator", Usage::Server);
    let bind = |limits| {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Server::bind(any, &identity, authority.certificate(), limits).err()
    };
    let too_large = bind(Limits { mtu_max: 9000, ..Limits::default() });
    assert!(matches!(too_large, Some(NetError::Mtu { initial: 1200, max: 9000 })));
    for small in [
        Limits { bytes_in_flight: 1 << 20, ..Limits::default() },
        Limits { bytes_per_peer: 1 << 20, ..Limits::default() },
    ] {
        assert!(matches!(bind(small), Some(NetError::BytesInFlight { bytes: 1_048_576, needed: 34_603_008 })));
    }
}
