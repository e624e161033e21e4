//! What the operations run on: threads and an instruction set, chosen before anything else happens.

use clap::Args;
use he_agg::simd::Isa;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::BenchError;

/// Most threads; beyond any machine here, and far below what would exhaust it.
const THREADS_MAX: usize = 1024;

/// `--threads` and `--isa`.
#[derive(Debug, Clone, Args)]
pub struct EngineFlags {
    /// Threads.
    #[arg(long, value_name = "T", default_value_t = 1)]
    pub threads: usize,
    /// Instruction set of all kernels: auto, scalar, avx2 or avx512.
    #[arg(long, value_name = "ISA", default_value = "auto")]
    pub isa: String,
}

/// Threads with an instruction set.
#[derive(Debug)]
pub struct Engine {
    pool: ThreadPool,
    isa: Isa,
}

impl Engine {
    /// Starts the threads and fixes the instruction set of the process.
    ///
    /// # Errors
    /// [`BenchError::Threads`], [`BenchError::Isa`] or [`BenchError::Pool`].
    pub fn start(flags: &EngineFlags) -> Result<Self, BenchError> {
        let threads = flags.threads;
        if !(1..=THREADS_MAX).contains(&threads) {
            return Err(BenchError::Threads { threads, max: THREADS_MAX });
        }
        if flags.isa != "auto" {
            let wrong = |source| BenchError::Isa { name: flags.isa.clone(), source };
            Isa::limit(flags.isa.parse().map_err(wrong)?).map_err(wrong)?;
        }
        Ok(Self { pool: ThreadPoolBuilder::new().num_threads(threads).build()?, isa: Isa::detect() })
    }

    /// Runs `work` on the threads.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    /// How many threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// `1 thread, avx512`.
    pub fn text(&self) -> String {
        let threads = self.threads();
        format!("{threads} thread{}, {}", if threads == 1 { "" } else { "s" }, self.isa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_instruction_sets_and_no_threads_are_refused() {
        let start = |threads, isa: &str| Engine::start(&EngineFlags { threads, isa: isa.to_owned() });
        assert_eq!(start(0, "auto").expect_err("none").flag(), Some("--threads"));
        let error = start(1, "sse9").expect_err("unknown");
        assert_eq!(error.flag(), Some("--isa"));
        assert!(error.to_string().contains("scalar"), "{error}");
        assert_eq!(start(2, "auto").map(|engine| engine.threads()).ok(), Some(2));
    }
}
