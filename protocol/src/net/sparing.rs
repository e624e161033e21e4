//! Lines of the log that others cause: a few a second, and how many there would have been.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines a second. More tell nobody anything, and would fill a disk.
const LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Counts lines.
#[derive(Debug, Default)]
pub struct Sparing(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
}

impl Sparing {
    /// Whether a line may be written now, and how many were not since the last one.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line_at(Instant::now())
    }

    fn line_at(&self, now: Instant) -> Option<u32> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match window.as_mut().filter(|window| now.duration_since(window.since) < SECOND) {
            Some(window) => {
                window.lines = window.lines.saturating_add(1);
                (window.lines <= LINES).then_some(0)
            }
            None => {
                let before = window.replace(Window { since: now, lines: 1 });
                Some(before.map_or(0, |before| before.lines.saturating_sub(LINES)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_and_the_number_of_those_left_out() {
        let (sparing, start) = (Sparing::default(), Instant::now());
        for _ in 0..LINES {
            assert_eq!(sparing.line_at(start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(sparing.line_at(start + SECOND / 2), None);
        }
        assert_eq!(sparing.line_at(start + SECOND), Some(7));
        assert_eq!(sparing.line_at(start + 3 * SECOND), Some(0));
    }
}
