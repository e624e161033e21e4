//! Where a hospital trains: its processor, or its own GPU.

use burn::tensor::Device;
use he_agg::DeviceChoice;

use super::TrainError;

/// Where to train. Results on a GPU differ from the processor's in the last bits, and from run to run: its sums are
/// taken in another order. What is encrypted afterwards is exact on either.
#[derive(Clone, Debug)]
pub struct TrainDevice {
    device: Device,
    text: String,
    is_gpu: bool,
}

impl Default for TrainDevice {
    /// The processor.
    fn default() -> TrainDevice {
        TrainDevice::cpu()
    }
}

impl TrainDevice {
    /// The processor.
    pub fn cpu() -> TrainDevice {
        TrainDevice { device: Device::flex(), text: "the processor".to_owned(), is_gpu: false }
    }

    /// Finds what a site asks for: with [`DeviceChoice::Auto`] the GPU if this build can train on one and there is one
    /// that is no software, with [`DeviceChoice::Gpu`] a GPU, be it software.
    ///
    /// # Errors
    /// [`TrainError::NoGpu`] where a GPU is asked for and this build cannot use one, or there is none.
    pub fn find(choice: DeviceChoice) -> Result<TrainDevice, TrainError> {
        match choice {
            DeviceChoice::Cpu => Ok(TrainDevice::cpu()),
            DeviceChoice::Gpu => gpu(true),
            DeviceChoice::Auto => Ok(gpu(false).unwrap_or_else(|_| TrainDevice::cpu())),
        }
    }

    /// For people: `the processor`, or the adapter with its driver.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        self.is_gpu
    }

    pub(super) fn tensors(&self) -> &Device {
        &self.device
    }
}

#[cfg(feature = "gpu-training")]
fn gpu(software: bool) -> Result<TrainDevice, TrainError> {
    use std::sync::OnceLock;
    static OPENED: OnceLock<Result<(Device, he_gpu::Probed), String>> = OnceLock::new();
    let opened = OPENED.get_or_init(open).as_ref();
    let (device, adapter) = opened.map_err(|reason| TrainError::NoGpu { reason: reason.clone() })?;
    if adapter.kind == he_gpu::DeviceKind::Software && !software {
        return Err(TrainError::NoGpu { reason: format!("{adapter} is software") });
    }
    Ok(TrainDevice { device: device.clone(), text: adapter.to_string(), is_gpu: true })
}

/// The best adapter, opened. The tensor library panics where it finds no driver, so the device is opened before the
/// library is asked for it, and it finds the device already there.
#[cfg(feature = "gpu-training")]
fn open() -> Result<(Device, he_gpu::Probed), String> {
    use burn::tensor::DeviceKind as Adapter;
    let gpu = he_gpu::Gpu::open(he_agg::Preset::Agg13.params()).map_err(|source| source.to_string())?;
    let adapter = gpu.adapter().clone();
    // A ciphertext backend on CUDA leaves the graphics interface, which the tensor library uses, unopened.
    let device = match adapter.api.as_str() {
        "cuda" => Device::wgpu_options().init().map_err(|source| source.to_string())?,
        _ => Device::wgpu(Adapter::DefaultDevice),
    };
    Ok((device, adapter))
}

#[cfg(not(feature = "gpu-training"))]
fn gpu(_software: bool) -> Result<TrainDevice, TrainError> {
    let reason = "this build cannot train on one; build it with `cargo build --release --features gpu-training`";
    Err(TrainError::NoGpu { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_auto_never_fails() {
        assert!(!TrainDevice::find(DeviceChoice::Cpu).unwrap().is_gpu());
        let found = TrainDevice::find(DeviceChoice::Auto).unwrap();
        assert!(found.is_gpu() == (found.text() != TrainDevice::cpu().text()));
    }

    #[cfg(not(feature = "gpu-training"))]
    #[test]
    fn a_build_without_the_feature_says_how_to_get_it() {
        let error = TrainDevice::find(DeviceChoice::Gpu).unwrap_err();
        assert!(error.to_string().contains("--features gpu-training"), "{error}");
    }
}
