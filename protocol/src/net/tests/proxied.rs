//! Sites whose only way out is an HTTP proxy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Where no name server points: whoever reaches it went through the proxy.
const TARGET: &str = "coordinator.invalid:443";

/// A proxy that knows one server.
struct Gateway {
    at: HostPort,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Opens a tunnel to `server` for whoever asks for [`TARGET`], or answers with `refusal`.
    async fn before(server: SocketAddr, refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                let mut header = Vec::new();
                while !header.ends_with(b"\r\n\r\n") {
                    header.push(outer.read_u8().await.unwrap());
                }
                heard.lock().unwrap().push(String::from_utf8(header).unwrap());
                outer.write_all(refusal.unwrap_or("HTTP/1.1 200 OK\r\n\r\n").as_bytes()).await.unwrap();
                if refusal.is_none() {
                    tokio::spawn(async move {
                        let mut inner = TcpStream::connect(server).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                    });
                }
            }
        });
        Self { at, asked, task }
    }

    fn route(&self) -> Route {
        let proxy: Proxy = format!("http://{}", self.at).parse().unwrap();
        Route::from(TARGET.parse::<HostPort>().unwrap()).through(proxy)
    }

    /// As [`Self::route`], with a user and a password.
    fn route_as(&self, pair: &str) -> Route {
        let path = std::env::temp_dir().join(format!("consilium-gateway-{}-{}", std::process::id(), self.at.port()));
        std::fs::write(&path, pair).unwrap();
        let credentials = Basic::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let proxy: Proxy = format!("http://{}", self.at).parse().unwrap();
        Route::from(TARGET.parse::<HostPort>().unwrap()).through(proxy.with_credentials(credentials))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn dial(federation: &Federation, route: Route, limits: Limits) -> Result<Connection, NetError> {
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let (coordinator, traffic) = (name("coordinator"), Arc::new(Traffic::default()));
    let root = federation.authority.certificate();
    soon(Connection::dial_with(route, &coordinator, &identity, root, limits, traffic)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_asked_for_every_connection_and_finds_the_host_itself() {
    let federation = Federation::start(Limits::loopback());
    let gateway = Gateway::before(federation.addr, None).await;
    let connection = dial(&federation, gateway.route(), Limits::default()).await.unwrap();
    assert_eq!(connection.transport(), Transport::TcpThroughProxy);
    assert_eq!(connection.transport().to_string(), "tcp through proxy");
    assert_eq!(connection.remote().to_string(), format!("coordinator through the proxy at {}", gateway.at));
    let waiting = begin_waiting(&connection, &federation.echo, Bytes::new()).await;
    assert_echo(&connection, 1 << 20).await;
    federation.echo.release.notify_one();
    assert!(soon(waiting).await.is_ok());
    let request = format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    assert_eq!(gateway.asked(), [request.clone(), request]);
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_shown_the_credentials_and_no_error_shows_them() {
    let federation = Federation::start(Limits::loopback());
    let gateway = Gateway::before(federation.addr, None).await;
    let connection = dial(&federation, gateway.route_as("Aladdin\nopen sesame\n"), Limits::default()).await.unwrap();
    assert_echo(&connection, 10).await;
    assert!(gateway.asked()[0].contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert!(!format!("{connection:?}").contains("QWxhZGRpbj"));

    let wary = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let gateway = Gateway::before(federation.addr, Some(wary)).await;
    let refused = dial(&federation, gateway.route_as("Aladdin:open sesame"), Limits::default()).await.unwrap_err();
    assert!(matches!(refused, NetError::Proxy { source: TunnelError::CredentialsRefused, .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("sesame"));
    let missing = dial(&federation, gateway.route(), Limits::default()).await.unwrap_err();
    assert!(matches!(missing, NetError::Proxy { source: TunnelError::CredentialsMissing, .. }), "{missing:?}");
    assert!(!missing.is_transient());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusing_proxy_is_named_with_its_words() {
    let federation = Federation::start(Limits::loopback());
    let gateway = Gateway::before(federation.addr, Some("HTTP/1.1 403 Not on the list\r\n\r\n")).await;
    let error = dial(&federation, gateway.route(), Limits::default()).await.unwrap_err();
    let text = format!(
        "{}, the proxy, opens no way to {TARGET}: it answered 403 \"Not on the list\"; have the coordinator's host and \
         port allowed there",
        gateway.at
    );
    assert_eq!(error.to_string(), text);
    assert!(!error.is_transient());
    let gateway = Gateway::before(federation.addr, Some("HTTP/1.1 502 Bad Gateway\r\n\r\n")).await;
    assert!(dial(&federation, gateway.route(), Limits::default()).await.unwrap_err().is_transient());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_says_nothing_is_given_up() {
    let federation = Federation::start(Limits::loopback());
    let limits = Limits { dial_timeout: Duration::from_millis(300), ..Limits::default() };
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy: Proxy = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let error = dial(&federation, Route::from(federation.addr).through(proxy), limits).await.unwrap_err();
    assert!(matches!(error, NetError::TimedOut { stage: Stage::Dialling, .. }), "{error:?}");
    assert!(error.to_string().contains("TCP through the proxy"), "{error}");
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_through_a_proxy_is_a_contradiction() {
    let federation = Federation::start(Limits::loopback());
    let gateway = Gateway::before(federation.addr, None).await;
    let error = dial(&federation, gateway.route().over(Mode::Quic), Limits::default()).await.unwrap_err();
    assert!(matches!(error, NetError::QuicThroughProxy { .. }), "{error:?}");
    assert_eq!(gateway.asked(), Vec::<String>::new());
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_quic_is_not_tried_again() {
    let federation = Federation::start(Limits::loopback());
    let gateway = Gateway::before(federation.addr, None).await;
    let identity = Arc::new(issue(&federation.authority, "hospital-1", Usage::Client));
    // Without the proxy this route leads straight to the server.
    let proxy: Proxy = format!("http://{}", gateway.at).parse().unwrap();
    let route = Route::from(federation.addr).through(proxy);
    let limits = Limits { quic_again: Duration::ZERO, ..Limits::loopback() };
    let root = federation.authority.certificate().clone();
    let dialer = Dialer::new(route, name("coordinator"), identity, root, limits, Backoff::default());
    for _ in 0..5 {
        assert_eq!(soon(dialer.connection()).await.unwrap().transport(), Transport::TcpThroughProxy);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_behind_a_proxy_is_refused() {
    let (federation, stranger) = (Federation::start(Limits::loopback()), Federation::start(Limits::loopback()));
    let gateway = Gateway::before(stranger.addr, None).await;
    let error = dial(&federation, gateway.route(), Limits::default()).await.unwrap_err();
    assert!(error.is_about_trust(), "{error:?}");
    federation.stop().await;
    stranger.stop().await;
}
