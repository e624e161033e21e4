//! The clock of a real process. A test has one of its own, in simulated time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::drive::Clock;

/// The process's clock, and the times at which its driver wants to be woken.
#[derive(Clone)]
pub struct Alarm {
    started: Instant,
    at_ms: Arc<Mutex<BTreeSet<u64>>>,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { started: Instant::now(), at_ms: Arc::default() }
    }
}

impl Alarm {
    /// Time until the next wake; those that are due are taken as come.
    #[must_use]
    pub fn left(&self) -> Duration {
        let now_ms = self.now_ms();
        let mut at_ms = self.at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = at_ms.first().is_some_and(|at| *at <= now_ms);
        at_ms.retain(|at| *at > now_ms);
        match at_ms.first() {
            _ if is_due => Duration::ZERO,
            Some(at) => Duration::from_millis(at - now_ms),
            None => Duration::MAX,
        }
    }
}

impl Clock for Alarm {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    fn wake_at(&mut self, at_ms: u64) {
        self.at_ms.lock().unwrap_or_else(PoisonError::into_inner).insert(at_ms);
    }
}
