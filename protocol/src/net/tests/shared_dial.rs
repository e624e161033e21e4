//! Callers of one dialler that come while it dials.

use tokio::net::UdpSocket;

use super::*;

/// A server that is not there yet: packets arrive, and nobody answers.
struct Absent {
    authority: Authority,
    socket: UdpSocket,
}

impl Absent {
    async fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { authority: Authority::create(SystemTime::now()).unwrap(), socket }
    }

    fn dialer(&self, dial_timeout: Duration, backoff: Backoff) -> Arc<Dialer> {
        let identity = Arc::new(issue(&self.authority, "hospital-1", Usage::Client));
        let route = Route::from(self.socket.local_addr().unwrap()).over(Mode::Quic);
        let limits = Limits { dial_timeout, ..Limits::loopback() };
        let root = self.authority.certificate().clone();
        Arc::new(Dialer::new(route, name("coordinator"), identity, root, limits, backoff))
    }

    /// Returns once somebody dials, and forgets what came.
    async fn is_dialled(&self) -> SocketAddr {
        let (_, from) = soon(self.socket.recv_from(&mut [0; 2_048])).await.unwrap();
        while self.socket.try_recv_from(&mut [0; 2_048]).is_ok() {}
        from
    }
}

fn call(dialer: &Arc<Dialer>) -> JoinHandle<Result<Arc<Connection>, NetError>> {
    let dialer = Arc::clone(dialer);
    tokio::spawn(async move { dialer.connection().await })
}

fn dialer(federation: &Federation, identity: &Identity) -> Arc<Dialer> {
    let root = federation.authority.certificate().clone();
    let identity = Arc::new(Identity::from_pem(&identity.certificate_pem(), &identity.key_pem()).unwrap());
    Arc::new(Dialer::new(federation.addr, name("coordinator"), identity, root, Limits::loopback(), ONCE))
}

const ONCE: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), attempts: 1 };

#[tokio::test]
async fn callers_that_come_while_it_dials_share_its_failure() {
    let absent = Absent::new().await;
    let dialer = absent.dialer(Duration::from_secs(2), ONCE);
    let first = call(&dialer);
    let mut from = std::collections::BTreeSet::from([absent.is_dialled().await]);
    let others: Vec<_> = (0..4).map(|_| call(&dialer)).collect();
    let told = soon(first).await.unwrap().unwrap_err().to_string();
    for other in others {
        assert_eq!(soon(other).await.unwrap().unwrap_err().to_string(), told);
    }
    while let Ok((_, sender)) = absent.socket.try_recv_from(&mut [0; 2_048]) {
        from.insert(sender);
    }
    assert_eq!(from.len(), 1, "every attempt has a port of its own");
}

#[tokio::test]
async fn callers_that_come_while_it_dials_share_its_connection() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let dialer = dialer(&federation, &identity);
    // One thread: all have asked before the dial goes on.
    let all: Vec<_> = (0..5).map(|_| call(&dialer)).collect();
    let mut found = Vec::new();
    for one in all {
        found.push(soon(one).await.unwrap().unwrap());
    }
    assert!(found.iter().all(|one| Arc::ptr_eq(one, &found[0])));
    assert!(Arc::ptr_eq(&soon(dialer.connection()).await.unwrap(), &found[0]), "it is the live one");
    // Nobody else holds it: the server hears the end before this returns.
    let last = found.swap_remove(0);
    drop(found);
    drop(last);
    soon(dialer.close()).await;
    assert_eq!(federation.handle.disconnect(identity.key_fingerprint()), 0);
    federation.stop().await;
}

#[tokio::test]
async fn closing_does_not_wait_for_a_dial_and_takes_it_from_nobody() {
    let absent = Absent::new().await;
    let dialer = absent.dialer(Duration::from_secs(3_600), ONCE);
    let waiting = call(&dialer);
    let from = absent.is_dialled().await;
    soon(dialer.close()).await;
    assert!(!waiting.is_finished());
    // A later call dials itself.
    let later = call(&dialer);
    let again = soon(async { while absent.is_dialled().await == from {} });
    again.await;
    waiting.abort();
    later.abort();
}

#[tokio::test]
async fn a_dial_ends_with_the_last_that_waits_for_it() {
    let absent = Absent::new().await;
    let dialer = absent.dialer(Duration::from_secs(3_600), ONCE);
    let (first, second) = (call(&dialer), call(&dialer));
    absent.is_dialled().await;
    first.abort();
    assert!(soon(first).await.is_err());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(is_dialling(&dialer) && !second.is_finished());
    second.abort();
    assert!(soon(second).await.is_err());
    soon(async {
        while is_dialling(&dialer) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A dial counts its bytes as well.
fn is_dialling(dialer: &Dialer) -> bool {
    Arc::strong_count(dialer.traffic()) > 1
}

/// A call whose dial has begun and not ended: all on one thread.
async fn begun(dialer: &Arc<Dialer>) -> JoinHandle<Result<Arc<Connection>, NetError>> {
    let call = call(dialer);
    tokio::task::yield_now().await;
    assert!(!call.is_finished());
    call
}

#[tokio::test]
async fn a_connection_dialled_for_others_before_the_end_is_theirs_alone() {
    let federation = Federation::start(Limits::loopback());
    let dialer = dialer(&federation, &issue(&federation.authority, "hospital-1", Usage::Client));
    let call = begun(&dialer).await;
    dialer.close().await;
    let theirs = soon(call).await.unwrap().unwrap();
    let ours = soon(dialer.connection()).await.unwrap();
    assert!(!Arc::ptr_eq(&theirs, &ours));
    // Also where the next dial is under way when theirs ends.
    drop(ours);
    dialer.close().await;
    let call = begun(&dialer).await;
    dialer.close().await;
    let next = begun(&dialer).await;
    let (theirs, ours) = (soon(call).await.unwrap().unwrap(), soon(next).await.unwrap().unwrap());
    assert!(!Arc::ptr_eq(&theirs, &ours));
    assert!(Arc::ptr_eq(&ours, &soon(dialer.connection()).await.unwrap()));
    federation.stop().await;
}

#[tokio::test]
async fn whoever_waits_while_the_certificate_is_renewed_shows_the_new_one() {
    let federation = Federation::start(Limits::loopback());
    let month = Duration::from_secs(40 * 24 * 3_600);
    // One that is good, and one with which the dial under way fails.
    for from in [SystemTime::now(), SystemTime::now() - month] {
        let before = federation.authority.issue(&name("hospital-1"), &[], Usage::Client, from).unwrap();
        let renewed = issue(&federation.authority, "hospital-1", Usage::Client);
        let dialer = dialer(&federation, &before);
        let call = begun(&dialer).await;
        let key = renewed.key_fingerprint();
        dialer.renew(Arc::new(renewed)).unwrap();
        let connection = soon(call).await.unwrap().unwrap();
        let shown = soon(connection.call(Frame::new(WHOAMI, Bytes::new(), Bytes::new()))).await.unwrap();
        assert_eq!(shown.body, &key.bytes()[..]);
    }
    federation.stop().await;
}
