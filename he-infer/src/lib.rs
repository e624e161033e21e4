#![doc = include_str!("../README.md")]

mod compile;
mod diagonal;
mod executor;
mod forward;
mod layer;
mod layout;
mod lower;
mod network;
mod plan;
mod program;
mod shadow;
mod summary;

pub use compile::CompileError;
pub use forward::{InputError, PARAMETER_MAX, PIXEL_MAX};
pub use layer::{ImageShape, Layer, LayerSpec, Operation};
pub use network::{
    CHANNELS_MAX, CLASSES, KERNEL_MAX, LAYERS_MAX, Network, NetworkError, NetworkLiteral, PARAMETERS_MAX, SIDE_MAX,
    STRIDE_MAX, TensorSpec,
};
pub use plan::KeyPlan;
pub use program::{LinearStep, Program, QuadraticStep, Step, Term, WeightSlot};
pub use shadow::ShadowExecutor;
pub use summary::Summary;
