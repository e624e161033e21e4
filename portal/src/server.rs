//! The portal: what it is opened with, and what its handlers share.

use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use imaging::{ImagingError, Limits, Scan};
use pacs::Archive;
use tokio::sync::Semaphore;

use crate::archive::ASKED_MAX;
use crate::book::{Book, FOLDER};
use crate::desk::{Desk, INTERRUPTED};
use crate::doors::{Doors, House};
use crate::drafts::Drafts;
use crate::error::PortalError;
use crate::listening::{Certificate, Listening, one_at_a_time};
use crate::offer::Offers;
use crate::routes;
use crate::scan::Recent;

/// Images that are decoded or drawn at once; a frame takes up to half a gigabyte while it is drawn.
const IMAGES_MAX: usize = 2;
/// Requests with files that are read at once: each may fill [`routes::UPLOAD_BYTES_MAX`] of memory.
const UPLOADS_MAX: usize = 4;

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
    pub(crate) doors: Doors,
    pub(crate) desk: Desk,
    pub(crate) drafts: Drafts,
    pub(crate) recent: Recent,
    pub(crate) offers: Offers,
    pub(crate) decode: Decode,
    pub(crate) archive: Option<Arc<Archive>>,
    pub(crate) keep_images: bool,
    pub(crate) imaging: Arc<Semaphore>,
    pub(crate) archiving: Arc<Semaphore>,
    pub(crate) uploading: Arc<Semaphore>,
    /// One at a time: plans are derived, images read, logs copied.
    pub(crate) office: Arc<Semaphore>,
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
    line: Listening,
    state: Arc<State>,
}

impl Portal {
    /// Opens the book, reads the certificate and takes the address.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn open(settings: Settings) -> Result<Self, PortalError> {
        let line = Listening::prepare(settings.listen, settings.certificate.as_ref()).await?;
        let book = Arc::new(Book::open(&settings.hospital)?);
        let lock = one_at_a_time(&settings.hospital, FOLDER)?;
        let left = book.end_waiting(INTERRUPTED)?;
        if left > 0 {
            tracing::warn!(cases = left, "cases that an earlier process left waiting have no answer");
        }
        let line = line.bind()?;
        let doors = Doors::new(Arc::clone(&book), line.is_tls(), House::Hospital);
        let state = State {
            hospital: settings.hospital,
            doors,
            desk: Desk::new(Arc::clone(&book)),
            drafts: Drafts::default(),
            recent: Recent::default(),
            offers: settings.offers,
            decode: settings.decode,
            archive: settings.archive.map(Arc::new),
            keep_images: settings.keep_images,
            _lock: lock,
            imaging: Arc::new(Semaphore::new(IMAGES_MAX)),
            archiving: Arc::new(Semaphore::new(ASKED_MAX)),
            uploading: Arc::new(Semaphore::new(UPLOADS_MAX)),
            office: Arc::new(Semaphore::new(1)),
            book,
        };
        Ok(Self { line, state: Arc::new(state) })
    }

    /// Where browsers find it.
    ///
    /// # Errors
    /// [`PortalError::Ended`] where the system does not say.
    pub fn url(&self) -> Result<String, PortalError> {
        self.line.url()
    }

    /// Serves until `stop` is there.
    ///
    /// # Errors
    /// [`PortalError::Ended`].
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), PortalError> {
        self.line.serve(routes::router(self.state), stop).await
    }
}
