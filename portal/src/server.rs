//! The listening portal.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use imaging::{ImagingError, Limits, Scan};
use pacs::Archive;
use tokio::sync::Semaphore;

use crate::archive::ASKED_MAX;
use crate::book::{Book, FOLDER};
use crate::connections::{HEAD_WAIT, Places};
use crate::desk::{Desk, INTERRUPTED};
use crate::drafts::Drafts;
use crate::error::PortalError;
use crate::offer::Offers;
use crate::routes;
use crate::scan::Recent;
use crate::sessions::Sessions;

/// Passwords that are hashed at once: each takes 19 MiB and some 20 ms of a core.
const HASHED_MAX: usize = 2;
/// Images that are decoded or drawn at once; a frame takes up to half a gigabyte while it is drawn.
const IMAGES_MAX: usize = 2;
/// Held by the portal that serves a folder.
const LOCK: &str = "portal.lock";
/// Requests with files that are read at once: each may fill [`routes::UPLOAD_BYTES_MAX`] of memory.
const UPLOADS_MAX: usize = 4;
/// What is under way when the portal is stopped may take so long to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain, the site's own certificate first.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Reads a file that a browser sent. What is sent is not trusted: the program that is given here is to do it in a
/// process of its own, as [`imaging::Decoder`] does.
pub type Decode = Arc<dyn Fn(&[u8], &Limits) -> Result<Scan, ImagingError> + Send + Sync>;

/// What a portal is opened with.
pub struct Settings {
    /// The hospital's folder: users, cases and what was sent lie in it.
    pub hospital: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// TLS; without it only this machine can be let in.
    pub certificate: Option<Certificate>,
    /// Whether pictures that were asked about stay in the book.
    pub keep_images: bool,
    /// Which models there are.
    pub offers: Offers,
    /// How files are read.
    pub decode: Decode,
    /// The hospital's picture archive, opened with [`archive_bounds`](crate::archive_bounds).
    pub archive: Option<Archive>,
}

/// What the handlers share.
pub(crate) struct State {
    pub(crate) hospital: PathBuf,
    pub(crate) book: Arc<Book>,
    pub(crate) sessions: Sessions,
    pub(crate) desk: Desk,
    pub(crate) drafts: Drafts,
    pub(crate) recent: Recent,
    pub(crate) offers: Offers,
    pub(crate) decode: Decode,
    pub(crate) archive: Option<Arc<Archive>>,
    pub(crate) keep_images: bool,
    pub(crate) is_tls: bool,
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) imaging: Arc<Semaphore>,
    pub(crate) archiving: Arc<Semaphore>,
    pub(crate) uploading: Arc<Semaphore>,
    _lock: File,
}

impl State {
    /// Works on an image, on a thread for it, when its turn comes; `None` where the thread ended.
    pub(crate) async fn on_image<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.imaging).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        match done.await {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::error!(%error, "a thread that worked on an image has ended");
                None
            }
        }
    }
}

/// An open portal.
pub struct Portal {
    listener: std::net::TcpListener,
    tls: Option<RustlsConfig>,
    state: Arc<State>,
}

impl Portal {
    /// Opens the book, reads the certificate and takes the address.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn open(settings: Settings) -> Result<Self, PortalError> {
        let address = settings.listen;
        let tls = match &settings.certificate {
            None if !address.ip().is_loopback() => return Err(PortalError::Plain(address)),
            None => None,
            Some(Certificate { chain, key }) => {
                // Whoever installed one before chose it; both are the same library.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let read = RustlsConfig::from_pem_file(chain, key).await;
                Some(read.map_err(|source| PortalError::Certificate { path: chain.clone(), source })?)
            }
        };
        let book = Arc::new(Book::open(&settings.hospital)?);
        let lock = lock(&settings.hospital)?;
        let left = book.end_waiting(INTERRUPTED)?;
        if left > 0 {
            tracing::warn!(cases = left, "cases that an earlier process left waiting have no answer");
        }
        let failed = |source| PortalError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let state = State {
            hospital: settings.hospital,
            sessions: Sessions::default(),
            desk: Desk::new(Arc::clone(&book)),
            drafts: Drafts::default(),
            recent: Recent::default(),
            offers: settings.offers,
            decode: settings.decode,
            archive: settings.archive.map(Arc::new),
            keep_images: settings.keep_images,
            is_tls: tls.is_some(),
            _lock: lock,
            hashing: Arc::new(Semaphore::new(HASHED_MAX)),
            imaging: Arc::new(Semaphore::new(IMAGES_MAX)),
            archiving: Arc::new(Semaphore::new(ASKED_MAX)),
            uploading: Arc::new(Semaphore::new(UPLOADS_MAX)),
            book,
        };
        Ok(Self { listener, tls, state: Arc::new(state) })
    }

    /// Where browsers find it.
    ///
    /// # Errors
    /// [`PortalError::Ended`] where the system does not say.
    pub fn url(&self) -> Result<String, PortalError> {
        let address = self.listener.local_addr().map_err(PortalError::Ended)?;
        Ok(format!("{}://{address}/", if self.tls.is_some() { "https" } else { "http" }))
    }

    /// Serves until `stop` is there.
    ///
    /// # Errors
    /// [`PortalError::Ended`].
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), PortalError> {
        let handle = Handle::new();
        let stopping = handle.clone();
        let waiting = tokio::spawn(async move {
            stop.await;
            stopping.graceful_shutdown(Some(FAREWELL));
        });
        let service = routes::router(self.state).into_make_service();
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

/// Lets go of connections that are silent, also of those that never say which HTTP they speak: they speak the one.
fn impatient(builder: &mut Builder<TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
}

/// One portal at a time serves a hospital's folder: it takes what waits there for left behind.
fn lock(hospital: &Path) -> Result<File, PortalError> {
    let path = hospital.join(FOLDER).join(LOCK);
    let failed = |source| PortalError::Lock { path: path.clone(), source };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(PortalError::Busy(hospital.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
