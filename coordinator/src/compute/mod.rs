//! Where the coordinator's arithmetic happens: on the processor, or on a GPU for as long as the GPU is right.
//!
//! Whatever a device does can be done here again: its operands never leave this process's memory, and both give the
//! same bits. So a device that fails, or that a spot check finds wrong, is given up for the rest of the process with
//! one warning, and nothing is lost but time. Only ciphertexts and public keys go there.

mod device;
#[cfg(test)]
pub(crate) mod faulty;
mod gpu;
mod spot_check;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use he_agg::DeviceChoice;
use he_agg::simd::Isa;
use he_gpu::OpenError;
pub use he_gpu::{DeviceKind, Probed};
use remedy::{Exit, Explained};

pub use device::Moved;
pub(crate) use device::{Host, Hosted, Resident, Worker};
pub(crate) use spot_check::{chosen, content, is_chosen};

use crate::observer::{Observer, Step};

/// Why there is nothing to compute on as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A GPU was asked for.
    #[error("a GPU was asked for: {probed}; install the driver of the GPU, or compute on the processor (--device cpu)")]
    NoGpu {
        /// What was looked for and found.
        probed: String,
    },
    /// A GPU was asked for, and this program was built to compute on none.
    #[error("a GPU was asked for: {source}, or compute on the processor (--device cpu)")]
    NotBuilt {
        /// Says how to build one that does.
        source: OpenError,
    },
}

impl From<OpenError> for ComputeError {
    fn from(source: OpenError) -> Self {
        match source {
            OpenError::NotBuilt => Self::NotBuilt { source },
            OpenError::Unusable { .. } => Self::NoGpu { probed: source.to_string() },
        }
    }
}

impl Explained for ComputeError {
    fn code(&self) -> &'static str {
        "no_gpu"
    }

    fn place(&self) -> Option<String> {
        Some("--device".to_owned())
    }

    fn remedy(&self) -> Cow<'static, str> {
        "--device auto takes a GPU only where there is one; --device cpu looks for none".into()
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

/// Where arithmetic happens. Copies share the device and its fate.
#[derive(Clone)]
pub struct Compute(Arc<Chosen>);

struct Chosen {
    choice: DeviceChoice,
    reason: String,
    accelerator: Option<Accelerator>,
}

struct Accelerator {
    device: Probed,
    worker: Box<dyn Worker>,
    given_up: OnceLock<String>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compute").field(&self.to_string()).finish()
    }
}

/// One line: where, and why there.
impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device() {
            Some(device) => write!(f, "computing on {device}: {}", self.reason()),
            None => write!(f, "computing on the processor ({}): {}", Isa::detect(), self.reason()),
        }
    }
}

impl Compute {
    /// The processor, without looking for anything else.
    #[must_use]
    pub fn cpu() -> Self {
        Self::processor(DeviceChoice::Cpu, "as chosen".to_owned())
    }

    /// Opens what is asked for. With [`DeviceChoice::Cpu`] no device is looked for.
    ///
    /// # Errors
    /// [`ComputeError`], only with [`DeviceChoice::Gpu`].
    pub fn choose(choice: DeviceChoice) -> Result<Self, ComputeError> {
        Self::choose_from(choice, gpu::open)
    }

    pub(crate) fn choose_from<H: Host>(
        choice: DeviceChoice,
        open: impl FnOnce() -> Result<H, OpenError>,
    ) -> Result<Self, ComputeError> {
        if choice == DeviceChoice::Cpu {
            return Ok(Self::cpu());
        }
        let host = match open() {
            Ok(host) => host,
            Err(error) if choice == DeviceChoice::Gpu => return Err(error.into()),
            Err(error) => return Ok(Self::processor(choice, error.to_string())),
        };
        let device = host.device();
        if choice == DeviceChoice::Auto && device.kind == DeviceKind::Software {
            let reason = format!("{device} is {}, slower than the processor it runs on", words(device.kind));
            return Ok(Self::processor(choice, reason));
        }
        let reason = match choice {
            DeviceChoice::Auto => format!("{} is there", words(device.kind)),
            _ => "as chosen".to_owned(),
        };
        let accelerator = Accelerator { device, worker: Box::new(Hosted::new(host)), given_up: OnceLock::new() };
        Ok(Self(Arc::new(Chosen { choice, reason, accelerator: Some(accelerator) })))
    }

    fn processor(choice: DeviceChoice, reason: String) -> Self {
        Self(Arc::new(Chosen { choice, reason, accelerator: None }))
    }

    /// What was asked for.
    #[must_use]
    pub fn choice(&self) -> DeviceChoice {
        self.0.choice
    }

    /// Why arithmetic happens there.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The device, given up or not; `None` on the processor.
    #[must_use]
    pub fn device(&self) -> Option<&Probed> {
        self.0.accelerator.as_ref().map(|it| &it.device)
    }

    /// What is to be said about the device before it is used.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let device = self.device().filter(|device| device.kind == DeviceKind::Software)?;
        Some(format!("{device} is {}: exact, and slower than the processor it runs on", words(device.kind)))
    }

    /// Why the device is not used any more.
    #[must_use]
    pub fn given_up(&self) -> Option<&str> {
        self.0.accelerator.as_ref()?.given_up.get().map(String::as_str)
    }

    /// The device, unless there is none or it was given up.
    pub(crate) fn worker(&self) -> Option<&dyn Worker> {
        let accelerator = self.0.accelerator.as_ref()?;
        accelerator.given_up.get().is_none().then_some(&*accelerator.worker)
    }

    /// Does work on the device. `None` where there is no device to trust, or none any more: the caller does the same
    /// work on the processor.
    pub(crate) fn attempt<T, E: fmt::Display>(
        &self,
        observer: &dyn Observer,
        work: impl FnOnce(&dyn Worker) -> Result<T, E>,
    ) -> Option<T> {
        match work(self.worker()?) {
            Ok(done) => Some(done),
            Err(error) => {
                self.give_up(observer, &error.to_string());
                None
            }
        }
    }

    /// Uses the device no more, in this whole process, and says so once.
    pub(crate) fn give_up(&self, observer: &dyn Observer, why: &str) {
        let Some(accelerator) = &self.0.accelerator else { return };
        if accelerator.given_up.set(why.to_owned()).is_ok() {
            observer.step(Step::DeviceGivenUp { device: accelerator.device.to_string(), why: why.to_owned() });
        }
    }
}

fn words(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Discrete => "a GPU with memory of its own",
        DeviceKind::Integrated => "a GPU in the processor's memory",
        DeviceKind::Other => "a GPU",
        DeviceKind::Software => "a software rasteriser",
    }
}
