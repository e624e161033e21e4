//! Members that hold what they take, and members that are none any more.

use super::tcp::raw;
use super::*;

const CLOSE: u8 = 3;
/// The head of a request with a body of 1 MiB.
const ONE_MIB: &[u8] = b"CNSL\x01\x00\x01\x00\0\0\0\0\0\0\x10\0";
/// A request of kind LARGE.
const ASK_MUCH: &[u8] = b"CNSL\x01\x00\x07\x00\0\0\0\0\0\0\0\0";

/// Waits until a key has no connection any more.
async fn gone(federation: &Federation, identity: &Identity) {
    soon(async {
        while federation.handle.disconnect(identity.key_fingerprint()) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_enter_hears_so_before_it_has_asked_anything() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    federation.echo.barred.lock().unwrap().push(identity.key_fingerprint());
    for dialled in [federation.dial_as(&identity).await, federation.dial_tcp_as(&identity, Limits::default()).await] {
        let Err(error) = dialled else { panic!("admitted") };
        assert!(matches!(error, NetError::Closed { reason: CloseReason::Revoked, .. }), "{error:?}");
        assert!(!error.is_transient());
    }
    // Over TCP without a request, too.
    let mut raw = raw::dial(&federation, &identity).await;
    assert_eq!(raw.word().await, (CLOSE, CloseReason::Revoked.code()));
    raw.end().await;
    gone(&federation, &identity).await;
    assert_echo(&federation.dial("hospital-2").await, 1).await;
    federation.stop().await;
}

/// Dials as somebody about whom the server cannot make up its mind.
async fn doubted(federation: &Federation, identity: &Arc<Identity>) -> JoinHandle<Result<Connection, NetError>> {
    federation.echo.doubted.lock().unwrap().push(identity.key_fingerprint());
    let (addr, identity) = (federation.addr, Arc::clone(identity));
    let authority = federation.authority.certificate().clone();
    let dialling = tokio::spawn(async move { dial(addr, "coordinator", &identity, &authority).await });
    soon(federation.echo.waiting.notified()).await;
    dialling
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_out_while_it_is_asked_about_does_not_enter() {
    let federation = Federation::start(Limits::loopback());
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let dialling = doubted(&federation, &identity).await;
    assert_eq!(federation.handle.disconnect(identity.key_fingerprint()), 1);
    let error = dialling.await.unwrap().unwrap_err();
    assert!(matches!(error, NetError::Closed { reason: CloseReason::Revoked, .. }), "{error:?}");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_asked_about_in_time_dials_again_later() {
    let federation = Federation::start(Limits { dial_timeout: Duration::from_secs(1), ..Limits::loopback() });
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let error = doubted(&federation, &identity).await.await.unwrap().unwrap_err();
    assert!(matches!(error, NetError::Closed { reason: CloseReason::Full, .. }), "{error:?}");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fills_the_handshakes_over_quic_leaves_tcp_open() {
    for limits in
        [Limits { handshakes: 1, ..Limits::loopback() }, Limits { handshakes_per_network: 1, ..Limits::loopback() }]
    {
        let federation = Federation::start(Limits { drain: Duration::ZERO, closing: Duration::ZERO, ..limits });
        let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
        let dialling = doubted(&federation, &identity).await;
        let other = issue(&federation.authority, "hospital-2", Usage::Client);
        let (coordinator, traffic) = (name("coordinator"), Arc::new(Traffic::default()));
        let route = Route::from(federation.addr).over(Mode::Quic);
        let authority = federation.authority.certificate();
        let over_quic = Connection::dial_with(route, &coordinator, &other, authority, Limits::loopback(), traffic);
        let refused = soon(over_quic).await.unwrap_err();
        assert!(matches!(refused, NetError::ConnectionRefused { .. }), "{refused:?}");
        assert_echo(&federation.dial_tcp_as(&other, Limits::default()).await.unwrap(), 1).await;
        federation.stop().await;
        assert!(dialling.await.unwrap().is_err());
    }
}

/// The slowest line that is served would have hours for what these send and read.
fn patient() -> Limits {
    Limits { stall: PATIENCE * 1000, drain: Duration::from_millis(50), closing: PATIENCE * 1000, ..Limits::loopback() }
}

/// One connection that sends a request slowly, and one that does not read its reply.
async fn slow(federation: &Federation, identity: &Identity) -> (raw::Raw, raw::Raw) {
    let mut sending = raw::dial(federation, identity).await;
    sending.say(&[1]).await;
    sending.say(ONE_MIB).await;
    sending.say(&[0; 1000]).await;
    let mut reading = raw::dial(federation, identity).await;
    reading.say(&[1]).await;
    reading.say(ASK_MUCH).await;
    // Until it has begun to answer.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (sending, reading)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_out_is_neither_read_nor_written_to_any_more() {
    let federation = Federation::start(patient());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let (mut sending, _reading) = slow(&federation, &identity).await;
    assert_eq!(federation.handle.disconnect(identity.key_fingerprint()), 2);
    assert_eq!(sending.word().await, (CLOSE, CloseReason::Revoked.code()));
    gone(&federation, &identity).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_waits_for_nobodys_slowness() {
    let federation = Federation::start(patient());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let _slow = slow(&federation, &identity).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_drops_what_does_not_end() {
    let (soon_over, for_ever) = (Duration::from_millis(50), PATIENCE * 1000);
    let limits = Limits { drain: soon_over, closing: soon_over, dial_timeout: for_ever, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    let dialling = doubted(&federation, &identity).await;
    federation.stop().await;
    assert!(dialling.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_over_quic_that_nobody_reads_is_given_up() {
    let limits = Limits { stall: Duration::from_secs(1), bytes_per_second_min: u32::MAX, ..Limits::loopback() };
    let federation = Federation::start(limits);
    let connection = federation.dial("hospital-1").await;
    let (mut send, mut receive) = soon(connection.quic().open_bi()).await.unwrap();
    send.write_all(ASK_MUCH).await.unwrap();
    send.finish().unwrap();
    let reset = soon(receive.received_reset()).await.unwrap();
    assert_eq!(reset.map(quinn::VarInt::into_inner), Some(Rejection::Stalled.code()));
    assert_echo(&connection, 1).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_does_not_take_the_room_of_all() {
    let largest = Frame::HEADER_BYTES_MAX + Frame::BODY_BYTES_MAX;
    let patience = Duration::from_millis(300);
    let limits = Limits {
        bytes_in_flight: 2 * largest - 1,
        bytes_per_peer: largest,
        reply_timeout: patience,
        ..Limits::loopback()
    };
    let federation = Federation::start(limits);
    let greedy = federation.dial("hospital-1").await;
    let _held = begin_waiting(&greedy, &federation.echo, pattern(30 << 20)).await;
    // It announces more, which waits behind its first alone and in vain.
    let more = soon(greedy.call(Frame::new(ECHO, Bytes::new(), pattern(30 << 20)))).await.unwrap_err();
    assert!(matches!(more, NetError::Rejected { rejection: Rejection::Stalled, .. }), "{more:?}");
    assert!(more.is_transient());
    for other in [federation.dial("hospital-2").await, federation.dial_tcp("hospital-3", Limits::default()).await] {
        assert_echo(&other, 30 << 20).await;
    }
    federation.echo.release.notify_one();
    federation.stop().await;
}
