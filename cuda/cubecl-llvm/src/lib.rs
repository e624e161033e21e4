//! The types that CubeCL's CUDA runtime names of its LLVM code generator, without LLVM.
//!
//! The runtime always contains both ways, and its feature `cpp`, which this build sets, makes CUDA
//! C++ through NVRTC the one it takes. What is here is therefore never reached; if it were, it
//! would refuse.

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_server::compiler::{CompilationError, Compiler};
use cubecl_server::kernel::BufferIOAttr;

/// Targets of the code generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA.
    Nvptx,
}

/// The code generator.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it would generate code for.
    pub target: LlvmTarget,
}

/// Options of the code generator.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An AMD architecture; there is none here.
    pub arch: Option<()>,
    /// The NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// The version of the assembly language.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether launch parameters are passed by value.
    pub grid_constants: bool,
}

/// A generated module.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// Assembly, NUL-terminated.
    pub ptx: Vec<core::ffi::c_char>,
    /// Entry point.
    pub entrypoint: String,
    /// For logs.
    pub ir: String,
    /// Bytes per launch.
    pub shared_memory_size: usize,
    /// How buffers are used.
    pub io: Vec<BufferIOAttr>,
}

/// What the code generator returns.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA.
    NvptxCode(NvptxModule),
    /// For anything else.
    Other,
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NvptxCode(module) => f.write_str(&module.ir),
            Self::Other => f.write_str("nothing"),
        }
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(&mut self, _: KernelDefinition, _: &PlironOptions) -> Result<PlironArtifact, CompilationError> {
        let reason = "this build has no LLVM: kernels are compiled by NVRTC".to_owned();
        Err(CompilationError::Generic { reason, backtrace: BackTrace::capture() })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// NVIDIA's assembly language.
pub mod nvptx {
    /// Its versions.
    pub mod ptx_version {
        use core::fmt;

        /// A version, as 87 for 8.7.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// What a driver loads; nothing is generated here, so no version is named.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What all targets share.
pub mod shared {
    /// Which features of a device the code generator would keep.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// Targets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
        }

        /// Keeps all: the code generator is not used.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}
