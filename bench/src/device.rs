//! Where a measurement computes, and how a figure is taken there.
//!
//! A device works behind the program's back: a call only hands work over. A figure is the time of several calls from
//! the first one to the moment when all their work is done; operands lie there before the clock starts, and results
//! stay.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use clap::Args;
use he_agg::backend::{Backend, BackendError, Cpu};
use he_agg::{DeviceChoice, Params, Preset};
use he_gpu::{DeviceKind, Gpu, Probed, Traffic};

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
#[derive(Debug, Clone, Copy, Args)]
pub struct DeviceFlags {
    /// Where ciphertexts are computed on: auto is the GPU if there is one that is no software, else the processor.
    #[arg(long, value_name = "auto|cpu|gpu", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
}

/// A figure is the processor's unless another device is asked for.
impl Default for DeviceFlags {
    fn default() -> Self {
        Self { device: DeviceChoice::Cpu }
    }
}

/// Nothing copied, nothing started.
pub const NO_TRAFFIC: Traffic = Traffic { uploaded: 0, downloaded: 0, launches: 0 };

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

/// What came between two looks.
#[must_use]
pub fn since(earlier: Traffic, now: Traffic) -> Traffic {
    Traffic {
        uploaded: now.uploaded - earlier.uploaded,
        downloaded: now.downloaded - earlier.downloaded,
        launches: now.launches - earlier.launches,
    }
}

/// Both together.
#[must_use]
pub fn both(one: Traffic, other: Traffic) -> Traffic {
    Traffic {
        uploaded: one.uploaded + other.uploaded,
        downloaded: one.downloaded + other.downloaded,
        launches: one.launches + other.launches,
    }
}

/// A call returns when its work is done, and nothing is copied anywhere.
impl Watched for Cpu {
    fn synchronise(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        NO_TRAFFIC
    }
}

impl Watched for Gpu {
    fn synchronise(&self) -> Result<(), BackendError> {
        Self::synchronise(self)
    }

    fn traffic(&self) -> Traffic {
        Self::traffic(self)
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
    /// This graphics adapter.
    Gpu(Probed),
}

impl Selected {
    /// Finds what was asked for.
    ///
    /// # Errors
    /// [`BenchError::Device`] where there is no GPU and one is asked for.
    pub fn find(flags: DeviceFlags) -> Result<Self, BenchError> {
        if flags.device == DeviceChoice::Cpu {
            return Ok(Self::Cpu);
        }
        // The device is the same for all parameters; these have the fewest constants.
        match Gpu::open(Preset::Agg13.params()) {
            Ok(gpu) if flags.device == DeviceChoice::Gpu || gpu.adapter().kind != DeviceKind::Software => {
                Ok(Self::Gpu(gpu.adapter().clone()))
            }
            Err(source) if flags.device == DeviceChoice::Gpu => Err(BenchError::Device(source)),
            _ => Ok(Self::Cpu),
        }
    }

    /// Whether it is the processor.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu)
    }

    /// Does `job` here, under `params`.
    ///
    /// # Errors
    /// What the job says, or that the device cannot take the parameters.
    pub fn run<J: Job>(&self, params: &'static Params, job: J) -> Result<J::Output, BenchError> {
        match self {
            Self::Cpu => job.on(&Cpu::new(params)),
            Self::Gpu(_) => job.on(&Gpu::open(params)?),
        }
    }

    /// For people: a line of what computes.
    pub fn line(&self) -> String {
        match self {
            Self::Cpu => "device      the processor".to_owned(),
            Self::Gpu(adapter) if adapter.kind == DeviceKind::Software => {
                format!("device      {adapter}: software, slower than the processor itself")
            }
            Self::Gpu(adapter) => format!("device      {adapter}"),
        }
    }

    /// A row of what was computed here, with what it copied and started; on the processor these are not said.
    pub fn tag(&self, row: Row, traffic: Option<Traffic>) -> Row {
        match self {
            Self::Cpu => row,
            Self::Gpu(adapter) => Row {
                backend: "gpu",
                device: Some(adapter.to_string()),
                uploaded: traffic.map(|traffic| traffic.uploaded),
                downloaded: traffic.map(|traffic| traffic.downloaded),
                launches: traffic.map(|traffic| traffic.launches),
                ..row
            },
        }
    }
}

/// What was seen of an operation on a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Times of one call.
    pub timing: Timing,
    /// What one call copied and started while the clock ran; bytes to the device are rounded up.
    pub traffic: Traffic,
}

impl Observed {
    /// Whether the operands lay there: nothing came back, and what went there for each of the call's `parts`
    /// operations, the tables that say where operands lie, is less than `least`, the bytes of the smallest operand.
    pub fn is_resident(&self, parts: usize, least: usize) -> bool {
        self.traffic.downloaded == 0 && self.traffic.uploaded < (parts * least) as u64
    }
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
        Ok::<_, BenchError>((elapsed, since(before, backend.traffic())))
    };
    // The first call also compiles kernels and makes tables.
    figure(1)?;
    let (once, _) = figure(1)?;
    let calls = (FIGURE.as_nanos() / once.as_nanos().max(1)).clamp(1, CALLS_MAX as u128) as usize;
    figure(calls)?;
    let (mut figures, mut traffic) = (Vec::new(), NO_TRAFFIC);
    let begun = Instant::now();
    while !plan.enough(figures.len(), begun.elapsed()) {
        let (elapsed, moved) = figure(calls)?;
        figures.push(elapsed.as_secs_f64() / calls as f64);
        traffic = both(traffic, moved);
    }
    let all = (figures.len() * calls).max(1) as u64;
    let each = Traffic {
        uploaded: traffic.uploaded.div_ceil(all),
        downloaded: traffic.downloaded.div_ceil(all),
        launches: traffic.launches / all,
    };
    Ok(Observed { timing: Timing::of_seconds(&figures), traffic: each })
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
        assert_eq!((seen.timing.repetitions, seen.traffic), (3, NO_TRAFFIC));
        assert!(seen.timing.min_ns >= 1e6, "a call sleeps as long");
        assert_eq!(used, (1..=made).collect::<Vec<_>>());
        assert!(made >= 5, "two calls to warm up, and three figures");
    }

    #[test]
    fn operands_that_are_copied_are_not_resident() {
        let timing = Timing::of_seconds(&[1.0]);
        let observed = |uploaded, downloaded| {
            let traffic = Traffic { uploaded, downloaded, launches: 1 };
            Observed { timing, traffic }.is_resident(2, 100)
        };
        assert!(observed(0, 0) && observed(199, 0));
        assert!(!observed(200, 0) && !observed(0, 1));
    }

    #[test]
    fn a_failing_operation_is_an_error_and_no_figure() {
        let backend = Cpu::new(Preset::Agg13.params());
        let refuse = |()| Err::<(), _>(BenchError::Batch { batch: 0, max: 1 });
        let error = observe(&backend, Repetitions::Count(1), || Ok(()), refuse).expect_err("it failed");
        assert!(matches!(error, BenchError::Batch { .. }));
    }
}
