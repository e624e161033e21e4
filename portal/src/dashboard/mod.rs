//! A coordinator's dashboard: how the consortium stands, for its operator and for auditors, who look and change
//! nothing.
//!
//! It knows no coordinator: whoever opens it hands over how things stand ([`Look`]), as the command line would say it,
//! and the pages show what is in that. They are a hospital's pages otherwise: the same doors, the same frame.

mod charts;
mod epoch;
mod page;
mod routes;
mod snapshot;
mod words;

use std::error::Error;
use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRef;
use tokio::sync::Semaphore;

use crate::book::{Book, DASHBOARD_FOLDER};
use crate::doors::{Doors, House};
use crate::error::PortalError;
use crate::listening::{Certificate, Listening, one_at_a_time};
use snapshot::Snapshot;

/// Pages that are followed at a time; whoever comes beyond sees the page as it is, and asks for it again.
pub(crate) const FOLLOWERS_MAX: usize = if cfg!(test) { 4 } else { 128 };

/// What was seen is shown for so long to whoever else looks.
const FRESH: Duration = Duration::from_secs(1);

/// Says how the coordinator stands, as `coordinator status --format json` does. What fails is for the log.
pub type Look = Arc<dyn Fn() -> Result<serde_json::Value, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// What a dashboard is opened with.
pub struct Settings {
    /// The coordinator's folder: who may sign in is kept in it.
    pub coordinator: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// TLS; without it only this machine can be let in.
    pub certificate: Option<Certificate>,
    /// How things stand.
    pub look: Look,
}

/// What the handlers share.
struct State {
    doors: Doors,
    look: Look,
    /// What was seen last, and when: whoever comes within `fresh` sees it too, since each look reads the books.
    seen: tokio::sync::Mutex<Option<(Instant, Arc<Snapshot>)>>,
    fresh: Duration,
    following: Arc<Semaphore>,
    _lock: File,
}

impl FromRef<Arc<State>> for Doors {
    fn from_ref(state: &Arc<State>) -> Self {
        state.doors.clone()
    }
}

/// An open dashboard.
pub struct Dashboard {
    line: Listening,
    state: Arc<State>,
}

impl Dashboard {
    /// Opens the book of users, reads the certificate and takes the address.
    ///
    /// # Errors
    /// [`PortalError`].
    pub async fn open(settings: Settings) -> Result<Self, PortalError> {
        let line = Listening::prepare(settings.listen, settings.certificate.as_ref()).await?;
        let book = Arc::new(Book::of_coordinator(&settings.coordinator)?);
        let lock = one_at_a_time(&settings.coordinator, DASHBOARD_FOLDER)?;
        let line = line.bind()?;
        let state = State {
            doors: Doors::new(book, line.is_tls(), House::Coordinator),
            look: settings.look,
            seen: tokio::sync::Mutex::default(),
            fresh: FRESH,
            following: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            _lock: lock,
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

#[cfg(test)]
mod tests;
