//! A client's TLS connections over TCP to one server. Each carries one exchange at a time, so there are several.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::error::{NetError, Stage};
use super::frame::Frame;
use super::issuer::ClientTls;
use super::limits::Limits;
use super::remote::Remote;
use super::stream::Link;
use super::tls_error::NO_APPLICATION_PROTOCOL;
use super::traffic::Traffic;
use super::tunnel::Tunnel;
use super::wire::Wire;

/// How a connection over TCP is opened.
#[derive(Debug, Clone)]
pub(super) struct TcpDial {
    pub(super) remote: Remote,
    pub(super) subject: ServerName<'static>,
    pub(super) tls: ClientTls,
    pub(super) limits: Limits,
    pub(super) traffic: Arc<Traffic>,
    /// What a proxy has to be asked for first.
    pub(super) tunnel: Option<Tunnel>,
}

impl TcpDial {
    /// Opens a connection. When this returns, each side has accepted the other's certificate.
    async fn open(&self) -> Result<Wire, NetError> {
        let after = self.limits.dial_timeout;
        let opened = timeout(after, self.shake_hands()).await;
        opened.unwrap_or_else(|_| Err(self.link().timed_out(Stage::Dialling, after)))
    }

    async fn shake_hands(&self) -> Result<Wire, NetError> {
        let failed = |error| NetError::from_handshake(error, self.remote.clone());
        let mut stream = TcpStream::connect(self.remote.addr).await.map_err(failed)?;
        // Frames are written whole; waiting for more to send would only delay their ends.
        stream.set_nodelay(true).map_err(failed)?;
        if let Some(tunnel) = &self.tunnel {
            tunnel.open(&mut stream, &self.remote).await?;
        }
        let (tls, seen) = self.tls.watched();
        let connected = TlsConnector::from(Arc::new(tls)).connect(self.subject.clone(), stream).await;
        let stream = connected.map_err(|error| seen.name(failed(error)))?;
        let spoken = stream.get_ref().1.alpn_protocol();
        if !self.tls.config.alpn_protocols.iter().any(|asked| Some(asked.as_slice()) == spoken) {
            return Err(NetError::Handshake { peer: self.remote.clone(), alert: NO_APPLICATION_PROTOCOL });
        }
        let mut wire = Wire::new(stream);
        wire.exchange(&self.link(), Frame::default()).await?;
        Ok(wire)
    }

    fn link(&self) -> Link<'_> {
        Link { remote: &self.remote, limits: &self.limits, traffic: &self.traffic }
    }
}

/// The connections, opened when they are needed.
#[derive(Debug)]
pub(super) struct Bundle {
    dial: TcpDial,
    /// Exchanges that may still begin; the others wait.
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    since: Instant,
}

impl Bundle {
    /// Opens the first connection.
    pub(super) async fn open(dial: TcpDial) -> Result<Self, NetError> {
        let wire = dial.open().await?;
        let bundle = Self {
            places: Semaphore::new(dial.limits.streams_per_connection as usize),
            idle: Mutex::default(),
            is_over: AtomicBool::new(false),
            dial,
        };
        bundle.put_back(wire);
        Ok(bundle)
    }

    /// One request and its reply, on a connection that is free or a new one.
    pub(super) async fn exchange(&self, request: Frame) -> Result<Frame, NetError> {
        let closed = |_| NetError::ClosedHere { peer: self.dial.remote.clone() };
        let _place = self.places.acquire().await.map_err(closed)?;
        let mut wire = match self.take() {
            Some(wire) => wire,
            None => self.dial.open().await.inspect_err(|_| self.is_over.store(true, Ordering::Relaxed))?,
        };
        let exchanged = wire.exchange(&self.dial.link(), request).await;
        if wire.is_clean() {
            self.put_back(wire);
        } else if exchanged.as_ref().is_err_and(NetError::is_loss) {
            // What ended this one ends the others: whoever dials anew may find a better way.
            self.is_over.store(true, Ordering::Relaxed);
        }
        exchanged
    }

    /// Whether one of the connections was lost, or none could be opened.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Ends those that are idle.
    pub(super) async fn close(self) {
        for idle in self.idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
            idle.wire.leave().await;
        }
    }

    /// An idle connection that the server has not ended and is not about to.
    fn take(&self) -> Option<Wire> {
        let limits = &self.dial.limits;
        let oldest: Duration = limits.idle_timeout.saturating_sub(limits.keep_alive);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut last) = idle.pop() {
            if last.since.elapsed() < oldest && last.wire.is_quiet() {
                return Some(last.wire);
            }
        }
        None
    }

    fn put_back(&self, wire: Wire) {
        let since = Instant::now();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { wire, since });
    }
}
