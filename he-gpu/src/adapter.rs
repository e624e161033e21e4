//! What is said about devices, with or without the means to use one.

use std::fmt;

/// What a device is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU behind a virtual machine, or one that does not say what it is.
    Other,
    /// A rasteriser that runs on the processor: exact, and slower than the processor itself.
    Software,
}

/// An adapter that was found, fit for use or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The adapter's name.
    pub name: String,
    /// Its driver, with the driver's version.
    pub driver: String,
    /// The interface it is reached through: vulkan, metal, dx12, gl.
    pub api: String,
    /// What it is.
    pub kind: DeviceKind,
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.api, self.driver)
    }
}

/// What has crossed the border between processor and device so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes to the device: polynomials, constants, tables of operands.
    pub uploaded: u64,
    /// Bytes back.
    pub downloaded: u64,
    /// Kernels launched.
    pub launches: u64,
}

/// Why there is no device to compute on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There are no kernels and no graphics library in this build.
    #[error("this build has no GPU support; rebuild with --features gpu")]
    NotBuilt,
    /// None is there, or none that can be used.
    #[error("no GPU can be used: {reason}; found {}", list(.found))]
    Unusable {
        /// What the graphics library said.
        reason: String,
        /// The adapters that are there all the same.
        found: Vec<Probed>,
    },
}

fn list(found: &[Probed]) -> String {
    if found.is_empty() {
        return "no adapter for Vulkan, Metal, DirectX 12 or OpenGL (is a driver installed?)".to_owned();
    }
    found.iter().map(Probed::to_string).collect::<Vec<_>>().join(", ")
}
