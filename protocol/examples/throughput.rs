//! Measures what one connection carries on this machine, client and server in one process.
//!
//! `cargo run --release -p protocol --example throughput -- [MiB per frame] [frames] [default]`

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use protocol::net::{
    Authority, BoxFuture, Connection, Frame, Handler, Limits, Peer, PeerName, Refusal, Server, Traffic, Usage,
};

const UPLOAD: u16 = 1;
const DOWNLOAD: u16 = 2;

/// Swallows uploads and serves one body to all downloads.
struct Store {
    body: Bytes,
}

impl Handler for Store {
    fn handle(&self, _peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        let body = match request.kind {
            DOWNLOAD => self.body.clone(),
            _ => Bytes::new(),
        };
        Box::pin(async move { Ok(Frame::new(request.kind, Bytes::new(), body)) })
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the numbers are this program's output")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| arguments.get(index).map_or(Ok(default), |text| text.parse::<usize>());
    let body_bytes = number(0, 8)? << 20;
    let frames = number(1, 64)?;
    let limits = match arguments.get(2).map(String::as_str) {
        Some("default") => Limits::default(),
        _ => Limits::loopback(),
    };

    let now = SystemTime::now();
    let authority = Authority::create(now)?;
    let name = PeerName::new("coordinator")?;
    let server_id = authority.issue(&name, &[], Usage::Server, now)?;
    let client_id = authority.issue(&PeerName::new("hospital-1")?, &[], Usage::Client, now)?;
    let address = "127.0.0.1:0".parse()?;
    let server = Server::bind(address, &server_id, authority.certificate(), limits.clone())?;
    let address = server.local_addr();
    let body = Bytes::from(vec![0x5a; body_bytes]);
    let handler = Arc::new(Store { body: body.clone() });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(handler, async move {
        let _ = stopped.await;
    }));

    let begun = Instant::now();
    let connection = Connection::dial_with(
        address,
        &name,
        &client_id,
        authority.certificate(),
        limits,
        Arc::new(Traffic::default()),
    )
    .await?;
    println!("dial {:?}", begun.elapsed());
    for (label, kind) in [("up", UPLOAD), ("down", DOWNLOAD), ("up", UPLOAD), ("down", DOWNLOAD)] {
        let begun = Instant::now();
        for _ in 0..frames {
            let body = if kind == UPLOAD { body.clone() } else { Bytes::new() };
            connection.call(Frame::new(kind, Bytes::new(), body)).await?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let megabytes = (frames * body_bytes) as f64 / 1e6;
        println!("{label} {:.0} MB/s", megabytes / seconds);
    }
    connection.close().await;
    let _ = stop.send(());
    serving.await?;
    Ok(())
}
