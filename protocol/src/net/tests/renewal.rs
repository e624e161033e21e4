//! Certificates that change while both sides run, and peers that are put out.

use super::trust::refusal;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn dialer(federation: &Federation, identity: &Arc<Identity>) -> Dialer {
    let root = federation.authority.certificate().clone();
    let backoff = Backoff { attempts: 1, ..Backoff::default() };
    Dialer::new(federation.addr, name("coordinator"), Arc::clone(identity), root, Limits::loopback(), backoff)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_shows_its_renewed_certificate_to_whoever_dials_next() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let long_ago = SystemTime::now() - 40 * DAY;
    let expired = authority.issue(&name("coordinator"), &[], Usage::Server, long_ago).unwrap();
    let federation = Federation::start_as(authority, &expired, Limits::loopback());
    let hospital = issue(&federation.authority, "hospital-1", Usage::Client);
    assert_eq!(refusal(federation.dial_as(&hospital).await), (RefusedBy::Us, TrustCause::Expired));

    let renewed = issue(&federation.authority, "coordinator", Usage::Server);
    federation.handle.renew(&renewed).unwrap();
    let connection = federation.dial_as(&hospital).await.unwrap();
    federation.handle.renew(&expired).unwrap();
    assert_echo(&connection, 10).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_shows_its_renewed_certificate_with_the_next_call() {
    let federation = Federation::start(Limits::loopback());
    let key = TlsKey::generate().unwrap();
    let certify = |from: SystemTime| {
        let (public, who) = (key.public_key(), name("hospital-1"));
        let certificate = federation.authority.certify(&public, &who, &[], Usage::Client, from).unwrap();
        Arc::new(Identity::new(&certificate, &key).unwrap())
    };
    let dialer = dialer(&federation, &certify(SystemTime::now()));
    let first = soon(dialer.connection()).await.unwrap();
    let waiting = first.call(Frame::new(WAIT, Bytes::new(), Bytes::new()));
    tokio::pin!(waiting);
    soon(async {
        tokio::select! {
            _ = &mut waiting => panic!("answered before it was released"),
            () = federation.echo.waiting.notified() => {}
        }
    })
    .await;
    dialer.renew(certify(SystemTime::now() - DAY)).unwrap();
    let second = soon(dialer.connection()).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &soon(dialer.connection()).await.unwrap()));
    federation.echo.release.notify_one();
    assert!(soon(waiting).await.is_ok());

    // What is shown is the new one, and a wrong one is noticed.
    dialer.renew(certify(SystemTime::now() - 40 * DAY)).unwrap();
    let refused = soon(dialer.connection()).await.unwrap_err();
    assert!(matches!(refused, NetError::UntrustedPeer { cause: TrustCause::Expired, .. }), "{refused:?}");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_keeps_the_name() {
    let federation = Federation::start(Limits::loopback());
    let other = issue(&federation.authority, "hospital-2", Usage::Server);
    let renewed = federation.handle.renew(&other);
    let (have, given) = (name("coordinator"), name("hospital-2"));
    assert!(matches!(renewed, Err(CredentialError::OtherName { have: h, given: g }) if h == have && g == given));
    let dialer = dialer(&federation, &Arc::new(issue(&federation.authority, "hospital-1", Usage::Client)));
    assert!(matches!(dialer.renew(Arc::new(other)), Err(CredentialError::OtherName { .. })));
    assert!(soon(dialer.connection()).await.is_ok());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_put_out_loses_all_its_connections_and_hears_why() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let (first, second) = (federation.dial_as(&identity).await.unwrap(), federation.dial_as(&identity).await.unwrap());
    let other = federation.dial("hospital-2").await;
    let waiting = first.call(Frame::new(WAIT, Bytes::new(), Bytes::new()));
    let put_out = async {
        federation.echo.waiting.notified().await;
        assert_eq!(federation.handle.disconnect(identity.key_fingerprint()), 2);
    };
    let (ended, ()) = soon(async { tokio::join!(waiting, put_out) }).await;
    let idle = soon(second.call(Frame::new(ECHO, Bytes::new(), Bytes::new()))).await;
    for ended in [ended, idle] {
        let error = ended.unwrap_err();
        assert!(matches!(error, NetError::Closed { reason: CloseReason::Revoked, .. }), "{error:?}");
        assert!(!error.is_transient());
    }
    assert_echo(&other, 10).await;
    // The call that was under way goes on to its end.
    let echo = Arc::clone(&federation.echo);
    echo.release.notify_one();
    federation.stop().await;
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}
