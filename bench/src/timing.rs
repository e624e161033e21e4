//! How a figure is taken: warm up, repeat, sort; median and minimum.
//!
//! A call shorter than [`BATCH`] is timed in batches that last as long, so that the clock's resolution does not show.
//! The minimum is what the code can do; the median is what it does beside everything else on the machine.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use clap::Args;

use super::error::BenchError;

/// The shortest time that is taken at once.
const BATCH: Duration = Duration::from_micros(100);

/// Fewest figures when only seconds are given.
const FIGURES_MIN: usize = 5;

/// Most figures: enough for any median.
const FIGURES_MAX: usize = 10_000;

/// Most repetitions that can be asked for.
const REPEAT_MAX: u32 = 10_000;

/// Longest time per operation that can be asked for.
const SECONDS_MAX: f64 = 600.0;

/// `--repeat` and `--seconds`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct TimingFlags {
    /// Repetitions of every operation.
    #[arg(long, value_name = "R", conflicts_with = "seconds")]
    pub repeat: Option<u32>,
    /// Time to spend on every operation, at least five repetitions; this is the default, with a time that suits.
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
}

/// When it is enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Repetitions {
    /// After so many.
    Count(usize),
    /// After this time and at least [`FIGURES_MIN`].
    Time(Duration),
}

impl Repetitions {
    /// What the flags ask for, `seconds` if they ask for nothing.
    ///
    /// # Errors
    /// [`BenchError::Repeat`] or [`BenchError::Seconds`].
    pub fn of(flags: TimingFlags, seconds: f64) -> Result<Self, BenchError> {
        if let Some(repeat) = flags.repeat {
            if repeat == 0 || repeat > REPEAT_MAX {
                return Err(BenchError::Repeat { repeat, max: REPEAT_MAX });
            }
            return Ok(Self::Count(repeat as usize));
        }
        let seconds = flags.seconds.unwrap_or(seconds);
        if !(seconds > 0.0 && seconds <= SECONDS_MAX) {
            return Err(BenchError::Seconds { seconds, max: SECONDS_MAX });
        }
        Ok(Self::Time(Duration::from_secs_f64(seconds)))
    }

    /// Whether so many figures, taken in this time, suffice.
    pub fn enough(self, figures: usize, spent: Duration) -> bool {
        match self {
            Self::Count(count) => figures >= count,
            Self::Time(time) => figures >= FIGURES_MAX || (figures >= FIGURES_MIN && spent >= time),
        }
    }
}

/// Times of one call, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The middle one, or the mean of the two middle ones.
    pub median_ns: f64,
    /// The shortest one.
    pub min_ns: f64,
    /// How many figures.
    pub repetitions: usize,
}

impl Timing {
    /// Of figures in nanoseconds, at least one.
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let count = figures.len();
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let median_ns = f64::midpoint(at(count.saturating_sub(1) / 2), at(count / 2));
        Self { median_ns, min_ns: at(0), repetitions: count }
    }

    /// Of times taken elsewhere, in seconds; NaN if there are none.
    pub fn of_seconds(seconds: &[f64]) -> Self {
        Self::of(seconds.iter().map(|seconds| 1e9 * seconds).collect())
    }

    /// The time of one part, where a call did `parts` alike.
    pub fn per(self, parts: usize) -> Self {
        let parts = parts.max(1) as f64;
        Self { median_ns: self.median_ns / parts, min_ns: self.min_ns / parts, ..self }
    }
}

/// The value that a share of the figures does not exceed, the nearest rank; NaN if there are none.
pub fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Times `operation`. What it returns is dropped outside the clock, unless it is so short that it is timed in batches.
///
/// # Errors
/// What `operation` says.
pub fn measure<T, E>(plan: Repetitions, mut operation: impl FnMut() -> Result<T, E>) -> Result<Timing, E> {
    // Twice: the first call also pays for page faults and tables.
    black_box(operation()?);
    let started = Instant::now();
    black_box(operation()?);
    let once = started.elapsed();
    let batch = (BATCH.as_nanos() / once.as_nanos().max(1)).clamp(1, 10_000) as usize;
    for _ in 1..batch {
        black_box(operation()?);
    }
    let mut figures = Vec::new();
    let begun = Instant::now();
    while !plan.enough(figures.len(), begun.elapsed()) {
        let started = Instant::now();
        for _ in 1..batch {
            black_box(operation()?);
        }
        let last = black_box(operation()?);
        let elapsed = started.elapsed();
        drop(last);
        figures.push(elapsed.as_nanos() as f64 / batch as f64);
    }
    Ok(Timing::of(figures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_minima_are_those_of_the_sorted_figures() {
        let timing = Timing::of(vec![5.0, 1.0, 9.0]);
        assert_eq!((timing.median_ns, timing.min_ns, timing.repetitions), (5.0, 1.0, 3));
        assert_eq!(Timing::of(vec![4.0, 2.0, 8.0, 6.0]).median_ns, 5.0);
        assert_eq!(timing.per(5).median_ns, 1.0);
    }

    #[test]
    fn percentiles_are_figures_that_were_taken() {
        let figures: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| percentile(&figures, share)), [1.0, 10.0, 19.0, 20.0]);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn counts_are_kept_and_errors_pass_through() {
        let mut calls = 0;
        let wait = || {
            calls += 1;
            std::thread::sleep(Duration::from_micros(200));
            Ok::<_, ()>(())
        };
        let timing = measure(Repetitions::Count(3), wait).expect("no error");
        assert_eq!((timing.repetitions, calls), (3, 5));
        assert!(timing.min_ns >= 200_000.0 && timing.median_ns >= timing.min_ns);
        assert_eq!(measure(Repetitions::Count(3), || Err::<(), _>(7)), Err(7));
    }

    #[test]
    fn flags_out_of_range_are_named() {
        let flags = |repeat, seconds| TimingFlags { repeat, seconds };
        assert_eq!(Repetitions::of(flags(Some(9), None), 1.0).ok(), Some(Repetitions::Count(9)));
        assert_eq!(Repetitions::of(flags(None, None), 0.5).ok(), Some(Repetitions::Time(Duration::from_millis(500))));
        for (repeat, seconds, flag) in [
            (Some(0), None, "--repeat"),
            (None, Some(0.0), "--seconds"),
            (None, Some(f64::NAN), "--seconds"),
            (None, Some(1e9), "--seconds"),
        ] {
            let error = Repetitions::of(flags(repeat, seconds), 1.0).expect_err("out of range");
            assert_eq!(error.flag(), Some(flag));
        }
    }
}
