//! Who comes in: users, sessions and their cookie, the same for every kind of pages.

use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::Semaphore;

use crate::book::Book;
use crate::server::State;
use crate::sessions::Sessions;

/// Passwords that are hashed at once: each takes 19 MiB and some 20 ms of a core.
const HASHED_MAX: usize = 2;

/// Whose pages these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum House {
    /// A hospital's: clinicians and officers.
    Hospital,
    /// The coordinator's: operators and auditors.
    Coordinator,
}

/// What lets people in. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) book: Arc<Book>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) is_tls: bool,
    pub(crate) house: House,
}

impl Doors {
    /// Nobody is signed in.
    pub(crate) fn new(book: Arc<Book>, is_tls: bool, house: House) -> Self {
        Self { book, sessions: Arc::default(), hashing: Arc::new(Semaphore::new(HASHED_MAX)), is_tls, house }
    }
}

impl FromRef<Arc<State>> for Doors {
    fn from_ref(state: &Arc<State>) -> Self {
        state.doors.clone()
    }
}
