//! Asks the hospital's service, a few questions at a time, and notes what comes of each. A question goes on whether
//! anybody still looks at its page or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::counter::{self, CounterError, Progress};
use ndarray::Array3;
use protocol::local::LocalError;
use tokio::sync::{Semaphore, watch};

use crate::book::{Book, BookError};
use crate::offer::Offer;

/// Questions that wait at the counter at once; it takes 32 callers.
const ASKED_MAX: usize = 4;
/// Images that wait for their turn here.
pub(crate) const WAITING_MAX: usize = 1_024;

/// Why a case has no answer, where the words are the portal's own: pages translate them.
pub(crate) const NOT_SERVED: &str = "portal:not-served";
/// As above: the process ended while the case waited.
pub(crate) const INTERRUPTED: &str = "portal:interrupted";

/// Where cases are asked.
pub(crate) struct Desk {
    book: Arc<Book>,
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Rises whenever a case changes.
    changed: watch::Sender<u64>,
}

impl Desk {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        let places = Arc::new(Semaphore::new(ASKED_MAX));
        Self { book, places, waiting: Arc::default(), changed: watch::Sender::new(0) }
    }

    /// Hears when a case changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Says that a case has changed otherwise.
    pub(crate) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Keeps places for so many images; `None` where too many wait.
    pub(crate) fn reserve(&self, images: usize) -> Option<Reserved> {
        let add = |waiting: usize| waiting.checked_add(images).filter(|all| *all <= WAITING_MAX);
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        Some(Reserved { waiting: Arc::clone(&self.waiting), left: images })
    }

    /// Asks about images of noted cases, as many together as the model takes in one question. Returns at once.
    pub(crate) fn ask(&self, offer: &Offer, mut cases: Vec<(i64, Array3<f32>)>, mut reserved: Reserved) {
        let together = offer.asked.together.max(1);
        while !cases.is_empty() {
            let rest = cases.split_off(together.min(cases.len()));
            let (asked, place) = (std::mem::replace(&mut cases, rest), Arc::clone(&self.places));
            let held = reserved.some(asked.len());
            let (book, folder, changed) = (Arc::clone(&self.book), offer.counter.clone(), self.changed.clone());
            tokio::spawn(async move {
                let Ok(_place) = place.acquire_owned().await else { return };
                let done = tokio::task::spawn_blocking(move || {
                    if let Err(error) = ask(&book, &folder, &asked, &changed) {
                        tracing::error!(%error, "what came of a case cannot be noted");
                    }
                    changed.send_modify(|count| *count += 1);
                    drop(held);
                });
                if let Err(error) = done.await {
                    tracing::error!(%error, "a question's thread has ended");
                }
            });
        }
    }
}

/// Places in the queue; given back when dropped.
pub(crate) struct Reserved {
    waiting: Arc<AtomicUsize>,
    left: usize,
}

impl Reserved {
    /// Some of them, for images that are ready.
    pub(crate) fn some(&mut self, images: usize) -> Self {
        let images = images.min(self.left);
        self.left -= images;
        Self { waiting: Arc::clone(&self.waiting), left: images }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.left, Ordering::AcqRel);
    }
}

fn ask(
    book: &Book,
    folder: &std::path::Path,
    asked: &[(i64, Array3<f32>)],
    changed: &watch::Sender<u64>,
) -> Result<(), BookError> {
    let images: Vec<_> = asked.iter().map(|(_, image)| image.view()).collect();
    let follow = |progress: Progress| {
        for (id, _) in asked {
            if let Err(error) = book.note_progress(*id, &progress) {
                tracing::warn!(%error, "a step of a case cannot be noted");
            }
        }
        changed.send_modify(|count| *count += 1);
    };
    let refuse = |reason: &str| asked.iter().try_for_each(|(id, _)| book.note_refusal(*id, reason));
    match counter::ask_and_follow(folder, &images, follow) {
        Ok(reply) if reply.logits.len() >= asked.len() => {
            asked.iter().zip(&reply.logits).try_for_each(|((id, _), logits)| book.note_answer(*id, &reply, logits))
        }
        Ok(reply) => refuse(&format!("{} answers to {} images", reply.logits.len(), asked.len())),
        Err(CounterError::Socket(LocalError::Closed { .. } | LocalError::Broken { .. })) => refuse(NOT_SERVED),
        Err(error) => refuse(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let hospital = tempfile::tempdir().unwrap();
        let desk = Desk::new(Arc::new(Book::open(hospital.path()).unwrap()));
        let mut all = desk.reserve(WAITING_MAX).unwrap();
        assert!(desk.reserve(1).is_none());
        drop(all.some(1));
        let one = desk.reserve(1).unwrap();
        assert!(desk.reserve(1).is_none());
        drop((all, one));
        assert!(desk.reserve(WAITING_MAX).is_some());
        assert!(desk.reserve(usize::MAX).is_none());
    }
}
