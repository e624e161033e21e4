//! Where a measurement computes, and how a figure is taken there.
//!
//! A device works behind the program's back: a call only hands work over. A figure is the time of several calls from the
//! first one to the moment when all their work is done; operands lie there before the clock starts, and results stay.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use he_agg::Params;
use he_agg::backend::{Backend, BackendError, Cpu};

use super::{
    error::BenchError,
    row::Row,
    timing::{Repetitions, Timing},
};

/// Calls of one figure last about as long, so that waiting for the device does not show.
const FIGURE: Duration = Duration::from_millis(5);

/// Most calls of one figure: each has operands of its own where the operation consumes them.
const CALLS_MAX: usize = 16;

/// `--device`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct DeviceFlags {
    /// Where ciphertexts are computed on: auto is the GPU if there is one that is no software, else the processor.
    #[arg(long, value_enum, value_name = "DEVICE", default_value = "cpu")]
    pub device: Choice,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Choice {
    /// The processor.
    #[default]
    Cpu,
    /// The best graphics adapter, be it software.
    Gpu,
    /// A GPU if there is one, else the processor.
    Auto,
}

/// Bytes and launches since a backend was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes copied to the device.
    pub uploaded: u64,
    /// Bytes copied back.
    pub downloaded: u64,
    /// Kernels started.
    pub launches: u64,
}

impl Traffic {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            uploaded: self.uploaded - earlier.uploaded,
            downloaded: self.downloaded - earlier.downloaded,
            launches: self.launches - earlier.launches,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded + other.uploaded,
            downloaded: self.downloaded + other.downloaded,
            launches: self.launches + other.launches,
        }
    }
}

/// A backend whose work can be waited for, and counted.
pub trait Watched: Backend {
    /// Returns when all work that was handed over is done.
    ///
    /// # Errors
    /// [`BackendError`], also of that work.
    fn synchronise(&self) -> Result<(), BackendError>;

    /// What was copied and started until now.
    fn traffic(&self) -> Traffic;
}

/// A call returns when its work is done, and nothing is copied anywhere.
impl Watched for Cpu {
    fn synchronise(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// Work that is the same on every backend.
pub trait Job {
    /// What it hands back.
    type Output;

    /// Does it.
    ///
    /// # Errors
    /// What the backend says, or the operations.
    fn on<B: Watched>(self, backend: &B) -> Result<Self::Output, BenchError>;
}

/// Where to compute.
#[derive(Debug, Clone)]
pub enum Selected {
    /// The processor, on the threads of the engine.
    Cpu,
}

impl Selected {
    /// Finds what was asked for.
    ///
    /// # Errors
    /// [`BenchError::Device`] where there is no GPU and one is asked for.
    pub fn find(flags: DeviceFlags) -> Result<Self, BenchError> {
        match flags.device {
            Choice::Cpu | Choice::Auto => Ok(Self::Cpu),
            Choice::Gpu => Err(BenchError::Device { reason: "this build has no GPU backend".to_owned() }),
        }
    }

    /// Whether it is the processor.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu)
    }

    /// Does `job` here, under `params`.
    ///
    /// # Errors
    /// What the job says, or that the device has no room for the tables of the parameters.
    pub fn run<J: Job>(&self, params: &'static Params, job: J) -> Result<J::Output, BenchError> {
        match self {
            Self::Cpu => job.on(&Cpu::new(params)),
        }
    }

    /// For people: `device  the processor`.
    pub fn line(&self) -> String {
        match self {
            Self::Cpu => "device      the processor".to_owned(),
        }
    }

    /// A row of what was computed here.
    pub fn tag(&self, row: Row) -> Row {
        match self {
            Self::Cpu => row,
        }
    }
}

/// What was seen of an operation on a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Times of one call.
    pub timing: Timing,
    /// Bytes copied while the clock ran, of all calls together.
    pub copied: u64,
    /// Kernels that one call starts.
    pub launches: u64,
}

/// Times `issue` on what `prepare` makes before the clock starts.
///
/// # Errors
/// What the backend or the operation says.
pub fn observe<B: Watched, I, T>(
    backend: &B,
    plan: Repetitions,
    mut prepare: impl FnMut() -> Result<I, BenchError>,
    mut issue: impl FnMut(I) -> Result<T, BenchError>,
) -> Result<Observed, BenchError> {
    let mut figure = |calls: usize| {
        let operands = (0..calls).map(|_| prepare()).collect::<Result<Vec<_>, _>>()?;
        backend.synchronise()?;
        let before = backend.traffic();
        let started = Instant::now();
        let mut last = None;
        for operand in operands {
            last = Some(black_box(issue(operand)?));
        }
        backend.synchronise()?;
        let elapsed = started.elapsed();
        drop(last);
        Ok::<_, BenchError>((elapsed, backend.traffic().since(before)))
    };
    // The first call also compiles kernels and makes tables.
    figure(1)?;
    let (once, _) = figure(1)?;
    let calls = (FIGURE.as_nanos() / once.as_nanos().max(1)).clamp(1, CALLS_MAX as u128) as usize;
    figure(calls)?;
    let (mut figures, mut traffic) = (Vec::new(), Traffic::default());
    let begun = Instant::now();
    while !plan.enough(figures.len(), begun.elapsed()) {
        let (elapsed, moved) = figure(calls)?;
        figures.push(elapsed.as_secs_f64() / calls as f64);
        traffic = traffic.and(moved);
    }
    Ok(Observed {
        timing: Timing::of_seconds(&figures),
        copied: traffic.uploaded + traffic.downloaded,
        launches: traffic.launches / (figures.len() * calls).max(1) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use he_agg::Preset;

    #[test]
    fn every_call_gets_an_operand_of_its_own() {
        let backend = Cpu::new(Preset::Agg13.params());
        let (mut made, mut used) = (0, Vec::new());
        let prepare = || {
            made += 1;
            Ok(made)
        };
        let issue = |operand: usize| {
            used.push(operand);
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        };
        let seen = observe(&backend, Repetitions::Count(3), prepare, issue).expect("nothing fails");
        assert_eq!((seen.timing.repetitions, seen.copied, seen.launches), (3, 0, 0));
        assert!(seen.timing.min_ns >= 1e6, "a call sleeps as long");
        assert_eq!(used, (1..=made).collect::<Vec<_>>());
        assert!(made >= 5, "two calls to warm up, and three figures");
    }

    #[test]
    fn a_failing_operation_is_an_error_and_no_figure() {
        let backend = Cpu::new(Preset::Agg13.params());
        let refuse = |()| Err::<(), _>(BenchError::Device { reason: "gone".to_owned() });
        let error = observe(&backend, Repetitions::Count(1), || Ok(()), refuse).expect_err("it failed");
        assert!(error.to_string().contains("gone"));
    }
}
