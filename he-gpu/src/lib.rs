//! The GPU backend of `he_agg`: one set of kernels for every vendor, bit for bit what the processor
//! computes.
//!
//! [`Gpu`] is a [`he_agg::backend::Backend`]: polynomials are uploaded once and stay on the device,
//! and every operation on a batch of them is one launch or a few. Kernels are written in Rust with
//! CubeCL, use 32-bit integers only, and run wherever Vulkan, Metal, DirectX 12 or OpenGL with
//! compute shaders does. Only public values may go to a device; see `he_agg::backend`.

mod arguments;
mod conversion;
mod device;
mod engine;
mod gpu;
mod kernels;
mod memory;
mod plans;
mod poly;
mod space;
mod tables;

pub use device::{DeviceKind, OpenError, Probed, probe};
pub use engine::Traffic;
pub use gpu::Gpu;
pub use poly::GpuPoly;
