//! Opens the GPU. Everything else here is the same for every device.

use he_agg::backend::{BackendError, Outcome};
use he_agg::{Params, Preset};
use he_gpu::{Gpu, OpenError, Probed};

use super::device::{Host, Moved};

/// The machine's best device.
///
/// # Errors
/// [`OpenError`] names what was looked for and found.
pub(crate) fn open() -> Result<OpenGpu, OpenError> {
    // A device shows itself through a backend, of whatever preset. It is opened once per process.
    Ok(OpenGpu { adapter: Gpu::open(Preset::Agg13.params())?.adapter().clone() })
}

/// A GPU that could be opened.
pub(crate) struct OpenGpu {
    adapter: Probed,
}

impl Host for OpenGpu {
    type Backend = Gpu;

    fn device(&self) -> Probed {
        self.adapter.clone()
    }

    fn backend(&self, params: &'static Params) -> Outcome<Gpu> {
        let lost =
            |error: OpenError| BackendError::Lost { device: self.adapter.to_string(), reason: error.to_string() };
        Gpu::open(params).map_err(lost)
    }

    fn moved(&self, backend: &Gpu) -> Moved {
        let traffic = backend.traffic();
        Moved { to: traffic.uploaded, from: traffic.downloaded }
    }
}
