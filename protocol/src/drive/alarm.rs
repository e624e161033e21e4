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
        self.left_at(self.now_ms())
    }

    fn left_at(&self, now_ms: u64) -> Duration {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_that_is_due_comes_once_and_the_next_one_is_slept_for() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.left_at(1_000), Duration::MAX, "nobody asked");
        [5_000, 2_000, 9_000].into_iter().for_each(|at_ms| alarm.wake_at(at_ms));
        assert_eq!(alarm.left_at(1_999), Duration::from_millis(1));
        assert_eq!(alarm.left_at(2_000), Duration::ZERO);
        assert_eq!(alarm.left_at(2_000), Duration::from_millis(3_000), "it came");
        assert_eq!(alarm.left_at(9_500), Duration::ZERO, "both in one");
        assert_eq!(alarm.left_at(9_500), Duration::MAX);
    }

    #[test]
    fn it_counts_from_its_start_also_for_whoever_holds_a_copy() {
        let started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let alarm = Alarm { started, ..Alarm::default() };
        assert!(alarm.now_ms() >= 10_000);
        alarm.clone().wake_at(9_000);
        assert_eq!(alarm.left(), Duration::ZERO);
        alarm.clone().wake_at(3_600_000);
        assert!((1..=3_590).contains(&alarm.left().as_secs()), "{:?}", alarm.left());
    }
}
