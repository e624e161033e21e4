#![doc = include_str!("../README.md")]

mod bounds;
mod certify;
mod compile;
mod contribution;
mod convolution;
mod cost;
mod dense;
mod diagonal;
mod encrypted;
mod executor;
mod fingerprint;
mod first;
mod forward;
mod gated;
mod interval;
mod layer;
mod layout;
mod lower;
mod model;
mod network;
mod noise;
mod noise_terms;
mod packing;
mod plain;
mod plan;
mod plane_question;
mod planes;
mod program;
mod query;
mod shadow;
mod step;
mod summary;
mod taps;

pub use certify::{AdmissibleWeights, Certificate, CertifyError, PixelRange, WeightRange};
pub use compile::CompileError;
pub use contribution::WeightSum;
pub use cost::{MachineFigures, Work};
pub use encrypted::{EncryptedExecutor, ExecuteError};
pub use forward::{InputError, PARAMETER_MAX, PIXEL_MAX};
pub use gated::{GatedError, GatedWeightSum};
pub use layer::{ImageShape, Layer, LayerSpec, Operation};
pub use model::{EncryptedModel, ModelError, Place};
pub use network::{
    CHANNELS_MAX, CLASSES, KERNEL_MAX, LAYERS_MAX, Network, NetworkError, NetworkLiteral, PARAMETERS_MAX, SIDE_MAX,
    STRIDE_MAX, TensorSpec,
};
pub use noise::Conditions;
pub use packing::LOGIT_MAX;
pub use plain::PlainModel;
pub use plane_question::{ClosedPlanes, PlaneQuestion};
pub use program::{Program, WeightSlot};
pub use shadow::ShadowExecutor;
pub use step::{LinearOutput, LinearStep, QuadraticStep, Step, Term};
pub use summary::Summary;
