//! How many threads of this process compute: those of one pool, on which all arithmetic and training runs.
//!
//! Results do not depend on their number. Threads that wait for the network or for files come on top and take no core.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use rayon::ThreadPoolBuilder;
use remedy::{Exit, Explained};

/// Why the pool is not as large as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadsError {
    /// The system gave no threads.
    #[error("cannot start {wanted} threads: {source}")]
    Start {
        /// As many as were asked for.
        wanted: NonZeroUsize,
        /// The system's own reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// The pool of a process starts once.
    #[error("this process computes with {running} threads already and cannot change to {wanted}")]
    Running {
        /// As many as were asked for.
        wanted: NonZeroUsize,
        /// As many as there are.
        running: usize,
    },
}

impl Explained for ThreadsError {
    fn code(&self) -> &'static str {
        "threads"
    }

    fn place(&self) -> Option<String> {
        Some("compute.threads".to_owned())
    }

    fn remedy(&self) -> Cow<'static, str> {
        "lower compute.threads, or set it to \"auto\" for one per core".into()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Start { .. } => Exit::Failed,
            Self::Running { .. } => Exit::BadInput,
        }
    }
}

/// Starts the pool with so many threads; `None` leaves it at one per core. To be called before anything is computed.
///
/// # Errors
/// [`ThreadsError`].
pub fn start(threads: Option<NonZeroUsize>) -> Result<(), ThreadsError> {
    let Some(wanted) = threads else { return Ok(()) };
    let pool = ThreadPoolBuilder::new().num_threads(wanted.get()).thread_name(|number| format!("compute-{number}"));
    let Err(source) = pool.build_global() else { return Ok(()) };
    // A pool that was there before has no reason of the system's.
    if std::error::Error::source(&source).is_some() {
        return Err(ThreadsError::Start { wanted, source });
    }
    match rayon::current_num_threads() {
        running if running == wanted.get() => Ok(()),
        running => Err(ThreadsError::Running { wanted, running }),
    }
}

/// The number for several experiments in one process: the most that any of them wants, and all cores if one says so.
pub fn most(wanted: impl IntoIterator<Item = Option<NonZeroUsize>>) -> Option<NonZeroUsize> {
    wanted.into_iter().reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_wishes_the_largest_counts_and_all_cores_more_than_any() {
        let number = NonZeroUsize::new;
        assert_eq!(most([number(2), number(5), number(3)]), number(5));
        assert_eq!(most([number(2), None]), None);
        assert_eq!(most([]), None);
    }
}
