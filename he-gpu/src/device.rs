//! The device: which one it is, and the one queue on which all work for it is issued.

use crate::adapter::{DeviceKind, OpenError, Probed};
use cubecl::client::Client;
use cubecl::wgpu::{AutoGraphicsApi, RuntimeOptions, WgpuDevice, try_init_setup, wgpu};
use cubecl_environment::stream::Stream;
use he_agg::backend::{BackendError, Outcome};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// All adapters of this machine, on every interface.
pub fn probe() -> Vec<Probed> {
    // Drivers are code of others: a panic while they are loaded is one adapter less.
    catch_unwind(|| {
        let backends = wgpu::Backends::all();
        let descriptor =
            wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
        let adapters = cubecl::future::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
        adapters.iter().map(|adapter| probed(&adapter.get_info())).collect()
    })
    .unwrap_or_default()
}

fn probed(info: &wgpu::AdapterInfo) -> Probed {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceKind::Integrated,
        wgpu::DeviceType::Cpu => DeviceKind::Software,
        // A software renderer behind OpenGL does not say that it is one.
        _ if info.name.contains("llvmpipe") || info.name.contains("softpipe") => DeviceKind::Software,
        _ => DeviceKind::Other,
    };
    let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_owned();
    Probed { name: info.name.clone(), driver, api: info.backend.to_string(), kind }
}

/// A device with its queue. There is one per process.
pub(crate) struct Device {
    client: Client,
    /// All work is issued on one stream, from whatever thread: regions of a chunk of memory are
    /// reused as soon as they are given back, which is right only in the order of issue.
    stream: Stream,
    adapter: Probed,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.adapter).finish()
    }
}

impl Device {
    /// The best device of this machine, opened on the first call.
    ///
    /// # Errors
    /// [`OpenError`] if there is none or it cannot be opened.
    pub(crate) fn open() -> Result<Arc<Self>, OpenError> {
        static OPENED: OnceLock<Result<Arc<Device>, OpenError>> = OnceLock::new();
        OPENED.get_or_init(Self::start).clone()
    }

    fn start() -> Result<Arc<Self>, OpenError> {
        #[cfg(feature = "cuda")]
        if let Some(device) = Self::start_cuda() {
            return Ok(Arc::new(device));
        }
        let refused = |reason: String| OpenError::Unusable { reason, found: probe() };
        let wanted = WgpuDevice::default();
        let opened = catch_unwind(|| {
            let setup = RuntimeOptions::try_default()
                .and_then(|options| try_init_setup::<AutoGraphicsApi>(&wanted, options))
                .map_err(|error| error.to_string())?;
            let client = cubecl::Device::Wgpu(wanted.clone()).client();
            let adapter = probed(&setup.adapter.get_info());
            Ok(Self { client, stream: Stream::new(), adapter })
        });
        match opened {
            Ok(device) => device.map(Arc::new).map_err(refused),
            Err(panic) => Err(refused(message(panic.as_ref()))),
        }
    }

    /// The first device of CUDA, unless `CONSILIUM_GPU_API` names another interface. Without the
    /// driver, or without NVRTC, which compiles the kernels, there is none.
    #[cfg(feature = "cuda")]
    fn start_cuda() -> Option<Self> {
        if std::env::var_os("CONSILIUM_GPU_API").is_some_and(|api| api != "cuda") {
            return None;
        }
        // The library loads the driver when it is first asked for, and panics where it is broken.
        catch_unwind(|| {
            let client = cubecl::Device::cuda(0).ok()?.client();
            let identity = &client.properties().identity;
            let adapter = Probed {
                name: identity.name.clone(),
                driver: identity.fingerprint.clone(),
                api: "cuda".to_owned(),
                kind: DeviceKind::Discrete,
            };
            Some(Self { client, stream: Stream::new(), adapter })
        })
        .ok()
        .flatten()
    }

    /// The device itself.
    pub(crate) fn adapter(&self) -> &Probed {
        &self.adapter
    }

    /// The error of a device that did not do its work.
    pub(crate) fn lost(&self, reason: &dyn fmt::Display) -> BackendError {
        BackendError::Lost { device: self.adapter.to_string(), reason: reason.to_string() }
    }

    /// The error of a device without room.
    pub(crate) fn full(&self, bytes: u64, reason: &dyn fmt::Display) -> BackendError {
        BackendError::OutOfMemory { device: self.adapter.to_string(), bytes, reason: reason.to_string() }
    }

    /// The longest buffer that a kernel can see, in bytes.
    pub(crate) fn buffer_max(&self) -> u64 {
        self.client.properties().memory.max_page_size
    }

    /// Issues work. The library reports most failures when something is read; those that it does
    /// not report it panics with, in this thread or in its own.
    pub(crate) fn issue<T>(&self, work: impl FnOnce(&Client) -> T) -> Outcome<T> {
        catch_unwind(AssertUnwindSafe(|| self.stream.enter(|| work(&self.client))))
            .map_err(|panic| self.lost(&message(panic.as_ref())))
    }

    /// Waits until all issued work is done.
    pub(crate) fn synchronise(&self) -> Outcome<()> {
        self.issue(|client| cubecl::future::block_on(client.sync()))?.map_err(|error| self.lost(&error))
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the driver failed without a message").to_owned()
}
