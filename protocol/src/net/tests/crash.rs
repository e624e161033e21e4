//! A server that crashed and came back, as its peers see it.

use std::sync::Mutex;

use tokio::net::UdpSocket;

use super::*;

/// Passes packets on, to whichever server stands at the address now.
struct Address {
    addr: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Address {
    async fn of(server: SocketAddr) -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let (outer, inner) = (UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap());
        let addr = outer.local_addr().unwrap();
        let server = Arc::new(Mutex::new(server));
        let now = Arc::clone(&server);
        let task = tokio::spawn(async move {
            let (mut there, mut back, mut client) = ([0; 65_536], [0; 65_536], None);
            loop {
                tokio::select! {
                    got = outer.recv_from(&mut there) => {
                        let (len, from) = got.unwrap();
                        client = Some(from);
                        let to = *now.lock().unwrap();
                        inner.send_to(&there[..len], to).await.unwrap();
                    }
                    got = inner.recv_from(&mut back) => {
                        let (len, from) = got.unwrap();
                        // What a process that died still had to say is not heard.
                        if from == *now.lock().unwrap() && let Some(client) = client {
                            outer.send_to(&back[..len], client).await.unwrap();
                        }
                    }
                }
            }
        });
        Self { addr, server, task }
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashed_and_came_back_ends_the_connections_that_it_has_lost() {
    // Nobody would notice by the time that passes: the timeout is far beyond any test's patience.
    let limits = Limits { idle_timeout: PATIENCE * 6, keep_alive: Duration::from_millis(200), ..Limits::loopback() };
    let authority = Authority::create(SystemTime::now()).unwrap();
    let identity = issue(&authority, "coordinator", Usage::Server);
    let federation = Federation::start_as(authority, &identity, limits.clone());
    let address = Address::of(federation.addr).await;
    let (own, traffic) = (issue(&federation.authority, "hospital-1", Usage::Client), Arc::new(Traffic::default()));
    let route = Route::from(address.addr).over(Mode::Quic);
    let root = federation.authority.certificate();
    let coordinator = name("coordinator");
    let dialled = Connection::dial_with(route, &coordinator, &own, root, limits.clone(), traffic);
    let connection = soon(dialled).await.unwrap();
    let call = begin_waiting(&connection, &federation.echo, Bytes::new()).await;

    // The next process has the same key and knows nothing else.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let next = Server::bind(any, &identity, root, limits).unwrap();
    *address.server.lock().unwrap() = next.local_addr();
    let running = tokio::spawn(next.run(Arc::new(Echo::default()), std::future::pending()));
    assert!(soon(call).await.unwrap_err().is_transient(), "dialled again at once");
    running.abort();
}
