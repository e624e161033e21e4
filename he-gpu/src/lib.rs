//! The GPU backend of `he_agg`: one set of kernels for every vendor, bit for bit what the processor
//! computes.
//!
//! [`Gpu`] is a [`he_agg::backend::Backend`]: polynomials are uploaded once and stay on the device,
//! and every operation on a batch of them is one launch or a few. Kernels are written in Rust with
//! CubeCL, use 32-bit integers only, and run wherever Vulkan, Metal, DirectX 12 or OpenGL with
//! compute shaders does. Only public values may go to a device; see `he_agg::backend`.
//!
//! Without the feature `device` no kernel and no graphics library is built: the names are the same, nothing can be
//! opened, and [`OpenError::NotBuilt`] says how to get a build that can.

#[cfg(not(feature = "device"))]
mod absent;
mod adapter;
#[cfg(feature = "device")]
mod arguments;
#[cfg(feature = "device")]
mod conversion;
#[cfg(feature = "device")]
mod device;
#[cfg(feature = "device")]
mod engine;
#[cfg(feature = "device")]
mod gpu;
#[cfg(feature = "device")]
mod kernels;
#[cfg(feature = "device")]
mod memory;
#[cfg(feature = "device")]
mod plans;
#[cfg(feature = "device")]
mod poly;
#[cfg(feature = "device")]
mod space;
#[cfg(feature = "device")]
mod tables;

#[cfg(not(feature = "device"))]
pub use absent::{Gpu, GpuPoly, probe};
pub use adapter::{DeviceKind, OpenError, Probed, Traffic};
#[cfg(feature = "device")]
pub use {device::probe, gpu::Gpu, poly::GpuPoly};
