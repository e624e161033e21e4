//! The GPU backend.

mod arguments;
mod conversion;
mod device;
mod engine;
mod fault;
mod kernels;
mod memory;
mod space;
mod tables;

pub use device::{Device, DeviceKind, OpenError, Probed, probe};
