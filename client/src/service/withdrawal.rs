//! Parts that end because this site's people have left their key epoch. Nobody is asked: a coordinator that does not
//! want the site to leave cannot keep it by answering slowly, or by not naming the epoch any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::ids::Epoch;

use crate::consent::{ConsentBook, ConsentError};
use crate::hospital::Killer;

/// How often the book is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a part may take to tell the others that it leaves.
const FAREWELL: Duration = Duration::from_secs(30);

/// The parts that run. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Withdrawal(Arc<Mutex<BTreeMap<Epoch, Watched>>>);

struct Watched {
    kill: Killer,
    /// Since when it takes its leave.
    since: Option<Instant>,
}

impl Withdrawal {
    /// A part has begun.
    pub(super) fn watch(&self, epoch: Epoch, kill: Killer) {
        self.parts().insert(epoch, Watched { kill, since: None });
    }

    /// It has ended.
    pub(super) fn forget(&self, epoch: Epoch) {
        self.parts().remove(&epoch);
    }

    /// Looks after the parts until aborted.
    pub(super) async fn run(self, book: Arc<ConsentBook>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (this, book) = (self.clone(), Arc::clone(&book));
            let looked = tokio::task::spawn_blocking(move || this.look(&book, Instant::now())).await;
            if let Ok(Err(error)) = looked {
                tracing::error!(%error, "the book of consents cannot be read; trying again");
            }
        }
    }

    /// Has each part whose epoch was left take its leave, and ends it where that takes too long.
    fn look(&self, book: &ConsentBook, now: Instant) -> Result<(), ConsentError> {
        for (epoch, part) in self.parts().iter_mut() {
            if book.ended(*epoch)?.is_none() {
                continue;
            }
            let since = *part.since.get_or_insert(now);
            if now.duration_since(since) >= FAREWELL {
                part.kill.kill();
            } else {
                part.kill.leave();
            }
        }
        Ok(())
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<Epoch, Watched>> {
        // A panic elsewhere leaves a map of handles behind, which is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_left_takes_its_leave_and_is_ended_where_nobody_listens() {
        let folder = tempfile::tempdir().unwrap();
        let book = ConsentBook::open(folder.path()).unwrap();
        let withdrawal = Withdrawal::default();
        let (kill, mut words) = Killer::heard();
        let (other, mut others) = Killer::heard();
        withdrawal.watch(Epoch(1), kill);
        withdrawal.watch(Epoch(2), other);
        let start = Instant::now();
        withdrawal.look(&book, start).unwrap();
        assert_eq!(words(), None);
        book.end(Epoch(1), "this site has left it").unwrap();
        withdrawal.look(&book, start).unwrap();
        assert_eq!(words(), Some("leave"));
        withdrawal.look(&book, start + FAREWELL - Duration::from_millis(1)).unwrap();
        assert_eq!(words(), Some("leave"), "again: it may have had no ear");
        withdrawal.look(&book, start + FAREWELL).unwrap();
        assert_eq!((words(), others()), (Some("kill"), None));
        withdrawal.forget(Epoch(1));
        withdrawal.look(&book, start + 2 * FAREWELL).unwrap();
        assert_eq!((words(), others()), (None, None));
    }
}
