//! Taking an address, with or without TLS, and serving there: the same for every kind of pages.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use crate::connections::{HEAD_WAIT, Places};
use crate::error::PortalError;

/// Held by the process that serves a folder's pages.
const LOCK: &str = "portal.lock";
/// What is under way when the pages are stopped may take so long to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain, the site's own certificate first.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// An address that may be listened at, with the TLS that this needs.
pub(crate) struct Prepared {
    address: SocketAddr,
    tls: Option<RustlsConfig>,
}

/// An address that is listened at.
pub(crate) struct Listening {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
}

impl Listening {
    /// Reads the certificate; without one only this machine is let in.
    pub(crate) async fn prepare(
        address: SocketAddr,
        certificate: Option<&Certificate>,
    ) -> Result<Prepared, PortalError> {
        let tls = match certificate {
            None if !address.ip().is_loopback() => return Err(PortalError::Plain(address)),
            None => None,
            Some(Certificate { chain, key }) => {
                // Whoever installed one before chose it; both are the same library.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let read = RustlsConfig::from_pem_file(chain, key).await;
                Some(read.map_err(|source| PortalError::Certificate { path: chain.clone(), source })?)
            }
        };
        Ok(Prepared { address, tls })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Where browsers find it.
    pub(crate) fn url(&self) -> Result<String, PortalError> {
        let address = self.listener.local_addr().map_err(PortalError::Ended)?;
        Ok(format!("{}://{address}/", if self.is_tls() { "https" } else { "http" }))
    }

    /// Serves until `stop` is there.
    pub(crate) async fn serve(
        self,
        routes: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), PortalError> {
        let handle = Handle::new();
        let stopping = handle.clone();
        let waiting = tokio::spawn(async move {
            stop.await;
            stopping.graceful_shutdown(Some(FAREWELL));
        });
        let service = routes.into_make_service();
        let ended = match self.tls {
            None => {
                let server = axum_server::from_tcp(self.listener).map_err(PortalError::Ended)?;
                let mut server = server.handle(handle).acceptor(Places::default()).http1_only();
                impatient(server.http_builder());
                server.serve(service).await
            }
            Some(tls) => {
                let server = axum_server::from_tcp_rustls(self.listener, tls).map_err(PortalError::Ended)?;
                let mut server = server.handle(handle).map(|tls| tls.acceptor(Places::default())).http1_only();
                impatient(server.http_builder());
                server.serve(service).await
            }
        };
        waiting.abort();
        ended.map_err(PortalError::Ended)
    }
}

impl Prepared {
    /// Takes the address.
    pub(crate) fn bind(self) -> Result<Listening, PortalError> {
        let failed = |source| PortalError::Listen { address: self.address, source };
        let listener = TcpListener::bind(self.address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Listening { listener, tls: self.tls })
    }
}

/// Lets go of connections that are silent, also of those that never say which HTTP they speak: they speak the one.
fn impatient(builder: &mut Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
}

/// One process at a time serves a folder's pages: a portal takes what waits there for left behind.
pub(crate) fn one_at_a_time(of: &Path, folder: &str) -> Result<File, PortalError> {
    let path = of.join(folder).join(LOCK);
    let failed = |source| PortalError::Lock { path: path.clone(), source };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(PortalError::Busy(of.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
