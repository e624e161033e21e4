//! Why nothing could be measured.

use he_agg::aggregation::{AggregationError, PermitError};
use he_agg::backend::{Isa, IsaError};
use he_agg::ckks::CkksError;
use he_agg::multiparty::CeremonyError;
use he_agg::{FloodingError, Preset};
use he_infer::{CompileError, ExecuteError, InputError, ModelError, NetworkError};

use crate::experiment::ExperimentError;

/// A flag that does not fit, or an operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// `--preset`.
    #[error("--preset {name:?} is not known; use one of {}", names(&Preset::ALL))]
    Preset {
        /// As given.
        name: String,
    },
    /// `--preset` of `aggregate`.
    #[error("--preset {preset} is for serving; `bench aggregate` takes AGG13 (to 16 hospitals) or AGG14 (to 64)")]
    NotForAggregation {
        /// As given.
        preset: Preset,
    },
    /// `--limbs`.
    #[error("--limbs {limbs} is not in {min} to {max}, what {preset} can rescale from")]
    Limbs {
        /// As given.
        limbs: usize,
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
        /// Of the preset.
        preset: Preset,
    },
    /// `--threads`.
    #[error("--threads {threads} is not in 1 to {max}")]
    Threads {
        /// As given.
        threads: usize,
        /// Most.
        max: usize,
    },
    /// `--isa`.
    #[error("--isa {name}: {source}; here: auto, {}", isas())]
    Isa {
        /// As given.
        name: String,
        /// What is wrong with it.
        source: IsaError,
    },
    /// `--repeat`.
    #[error("--repeat {repeat} is not in 1 to {max}")]
    Repeat {
        /// As given.
        repeat: u32,
        /// Most.
        max: u32,
    },
    /// `--seconds`.
    #[error("--seconds {seconds} is not above 0 and at most {max}")]
    Seconds {
        /// As given.
        seconds: f64,
        /// Most.
        max: f64,
    },
    /// `--parameters`.
    #[error("--parameters {parameters} is not in 1 to {max}")]
    Parameters {
        /// As given.
        parameters: usize,
        /// Most.
        max: usize,
    },
    /// `--hospitals`, `--threshold`, `--bits` or `--security` do not go together.
    #[error("{}: {source}", self.flag().unwrap_or_default())]
    Layout {
        /// Of the layout.
        preset: Preset,
        /// What is wrong.
        source: AggregationError,
    },
    /// `--images`.
    #[error("--images {images} is not in 1 to {max}")]
    Images {
        /// As given.
        images: usize,
        /// Most.
        max: usize,
    },
    /// `--network`.
    #[error(
        "--network {name:?} is not known; use tutorial, lola, two-conv-64, two-conv-128, two-conv-256, or --model FILE"
    )]
    Network {
        /// As given.
        name: String,
    },
    /// `--model`.
    #[error("--model: {0}")]
    Model(Box<ExperimentError>),
    /// The network does not fit the preset.
    #[error("--preset: {0}")]
    Compile(CompileError),
    /// Layers that make no network.
    #[error("the layers make no network: {0}")]
    Layers(NetworkError),
    /// A model or query could not be encrypted.
    #[error("a model or query could not be encrypted: {0}")]
    Weights(ModelError),
    /// The program did not run.
    #[error("the program did not run: {0}")]
    Execute(ExecuteError),
    /// The plain forward pass did not run.
    #[error("the plain forward pass did not run: {0}")]
    Input(InputError),
    /// `--security`.
    #[error("--security: {0}")]
    Security(FloodingError),
    /// Threads that cannot be started.
    #[error("cannot start the threads: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// An aggregation step failed.
    #[error("an aggregation step failed: {0}")]
    Aggregation(#[from] AggregationError),
    /// A ledger refused.
    #[error("the release ledger refused: {0}")]
    Permit(#[from] PermitError<std::convert::Infallible>),
    /// A CKKS operation failed.
    #[error("a CKKS operation failed: {0}")]
    Ckks(#[from] CkksError),
    /// A key could not be made.
    #[error("a key could not be made: {0}")]
    Ceremony(#[from] CeremonyError),
    /// Bytes could not be read back.
    #[error("bytes could not be read back: {0}")]
    Decode(#[from] he_agg::DecodeError),
    /// An instruction set went away.
    #[error(transparent)]
    Kernel(#[from] IsaError),
}

impl BenchError {
    /// The flag to look at.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Preset { .. } | Self::NotForAggregation { .. } => Some("--preset"),
            Self::Limbs { .. } => Some("--limbs"),
            Self::Threads { .. } | Self::Pool(_) => Some("--threads"),
            Self::Isa { .. } => Some("--isa"),
            Self::Repeat { .. } => Some("--repeat"),
            Self::Seconds { .. } => Some("--seconds"),
            Self::Parameters { .. } => Some("--parameters"),
            Self::Layout { source, .. } => Some(match source {
                AggregationError::Threshold { .. } => "--threshold",
                AggregationError::LaneBits { .. } => "--bits",
                AggregationError::NoLane { .. } => "--security",
                _ => "--hospitals",
            }),
            Self::Images { .. } => Some("--images"),
            Self::Network { .. } => Some("--network"),
            Self::Model(_) => Some("--model"),
            Self::Compile(_) => Some("--preset"),
            Self::Security(_) => Some("--security"),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Preset { .. } => "for example --preset INF15-90",
            Self::NotForAggregation { .. } => "for example --preset AGG13, or leave --preset out",
            Self::Limbs { .. } => "leave --limbs out for the top level",
            Self::Threads { .. } | Self::Pool(_) => "for example --threads 2",
            Self::Isa { .. } => "leave --isa out for the widest that this processor has",
            Self::Repeat { .. } => "for example --repeat 9",
            Self::Seconds { .. } => "for example --seconds 0.5",
            Self::Parameters { .. } => "for example --parameters 1663370",
            Self::Layout { .. } => "for example --hospitals 10 --threshold 7 --bits 16 --security 40",
            Self::Images { .. } => "for example --images 11",
            Self::Network { .. } => "for example --network lola",
            Self::Model(_) => "consilium plan FILE names every fault of the file",
            Self::Compile(_) => "for example --preset INF14-30, or a smaller network",
            Self::Security(_) => "for example --security 64",
            _ => "this is a fault of the program: please report it with the command",
        }
    }
}

fn names(presets: &[Preset]) -> String {
    presets.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(", ")
}

fn isas() -> String {
    Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}
