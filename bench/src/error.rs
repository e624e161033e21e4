//! Why nothing could be measured.

use std::borrow::Cow;

use client::model_file::ModelFileError;
use client::train::TrainError;
use experiment::Conflict;
use experiment::ExperimentError;
use he_agg::aggregation::{AggregationError, PermitError};
use he_agg::backend::BackendError;
use he_agg::ckks::CkksError;
use he_agg::multiparty::{CeremonyError, PermitRefused, RelinProofError};
use he_agg::simd::{Isa, IsaError};
use he_agg::{FloodingError, Preset};
use he_gpu::OpenError;
use he_infer::{CompileError, ExecuteError, InputError, ModelError, NetworkError};
use he_train::encrypted::HeadError;
use metrics::MetricsError;
use remedy::{Exit, Explained};
use simulation::FederationError;
use simulation::cohort::CohortError;
use simulation::head::HeadRunError;

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
    /// `--data` where everything is generated.
    #[error("{what} generates its data; --data would not be read")]
    DataUnused {
        /// The task, or the format of an experiment.
        what: &'static str,
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
    /// `--epochs`.
    #[error("--epochs {epochs} is not in 1 to {max}")]
    Epochs {
        /// As given.
        epochs: usize,
        /// Most.
        max: usize,
    },
    /// Nobody said where the images are.
    #[error("--data is missing: the experiment reads images of format {format:?}, and nothing names them")]
    NoData {
        /// The format.
        format: &'static str,
    },
    /// The images.
    #[error("--data: {0}")]
    Data(Box<FederationError>),
    /// A model file.
    #[error("model file: {0}")]
    ModelFile(#[from] ModelFileError),
    /// Training.
    #[error("training stopped: {0}")]
    Train(#[from] TrainError),
    /// Metrics.
    #[error("the answers cannot be judged: {0}")]
    Metrics(#[from] MetricsError),
    /// The experiment file.
    #[error(transparent)]
    Experiment(Box<ExperimentError>),
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
    /// `--hospitals` of `infer`, or of the sum alone.
    #[error("--hospitals {hospitals} is not in 1 to {max}")]
    Hospitals {
        /// As given.
        hospitals: u16,
        /// Most.
        max: u16,
    },
    /// Several hospitals cannot release results of this preset.
    #[error("--hospitals {hospitals}: {source}")]
    Release {
        /// As given.
        hospitals: u16,
        /// Why not.
        source: Box<Conflict>,
    },
    /// A flag of a trained model without one.
    #[error("{flag} is for a trained model; {flag} does not go with random weights")]
    OnlyTrained {
        /// The flag.
        flag: &'static str,
    },
    /// A flag of random weights with a trained model.
    #[error("{flag} is for random weights; {flag} does not go with a trained model")]
    OnlyRandom {
        /// The flag.
        flag: &'static str,
    },
    /// No device.
    #[error("--device gpu: {0}")]
    Device(#[from] OpenError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// `--batch`.
    #[error("--batch {batch} is not in 1 to {max}")]
    Batch {
        /// As given.
        batch: usize,
        /// Most.
        max: usize,
    },
    /// `--queries`.
    #[error("--queries {queries} is not in 1 to {max}")]
    Queries {
        /// As given.
        queries: usize,
        /// Most.
        max: usize,
    },
    /// `--megabytes`.
    #[error("--megabytes {megabytes} is not in 1 to {max}")]
    Megabytes {
        /// As given.
        megabytes: usize,
        /// Most.
        max: usize,
    },
    /// A flag of the sum alone.
    #[error("{flag} is for the sum alone")]
    OnlyResident {
        /// The flag.
        flag: &'static str,
    },
    /// A flag of another measurement.
    #[error("{flag} does not go with --device gpu, --queries or --resident: it is for the processor's own figures")]
    OnlyCpu {
        /// The flag.
        flag: &'static str,
    },
    /// Threads that cannot be started.
    #[error("cannot start the threads: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// An aggregation step failed.
    #[error("an aggregation step failed: {0}")]
    Aggregation(#[from] AggregationError),
    /// A ledger refused.
    #[error("the release ledger refused: {0}")]
    Permit(#[from] PermitError<std::convert::Infallible>),
    /// A head's steps.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A head on plain numbers.
    #[error(transparent)]
    Survey(Box<HeadRunError>),
    /// A round's stage.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// A result is not released.
    #[error("an answer was not released: {0}")]
    Unreleased(#[from] PermitRefused<std::convert::Infallible>),
    /// A CKKS operation failed.
    #[error("a CKKS operation failed: {0}")]
    Ckks(#[from] CkksError),
    /// A key could not be made.
    #[error("a key could not be made: {0}")]
    Ceremony(#[from] CeremonyError),
    /// A proof.
    #[error(transparent)]
    Proof(#[from] RelinProofError),
    /// Bytes could not be read back.
    #[error("bytes could not be read back: {0}")]
    Decode(#[from] he_agg::DecodeError),
    /// An instruction set went away.
    #[error(transparent)]
    Kernel(#[from] IsaError),
}

impl From<FederationError> for BenchError {
    fn from(source: FederationError) -> Self {
        Self::Data(Box::new(source))
    }
}

impl From<HeadRunError> for BenchError {
    fn from(source: HeadRunError) -> Self {
        Self::Survey(Box::new(source))
    }
}

impl BenchError {
    /// An experiment that does not parse.
    pub(super) fn experiment(source: ExperimentError) -> Self {
        Self::Experiment(Box::new(source))
    }

    /// The flag to look at.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Preset { .. } | Self::NotForAggregation { .. } => Some("--preset"),
            Self::Limbs { .. } => Some("--limbs"),
            Self::Threads { .. } | Self::Pool(_) => Some("--threads"),
            Self::DataUnused { .. } => Some("--data"),
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
            Self::ModelFile(_) => Some("the model file"),
            Self::Experiment(_) => Some("the experiment file"),
            Self::Train(TrainError::NoGpu { .. }) => Some("--device"),
            Self::Epochs { .. } => Some("--epochs"),
            Self::NoData { .. } | Self::Data(_) => Some("--data"),
            Self::Compile(_) => Some("--preset"),
            Self::Security(_) => Some("--security"),
            Self::Hospitals { .. } | Self::Release { .. } => Some("--hospitals"),
            Self::OnlyTrained { flag }
            | Self::OnlyRandom { flag }
            | Self::OnlyCpu { flag }
            | Self::OnlyResident { flag } => Some(flag),
            Self::Device(_) => Some("--device"),
            Self::Batch { .. } => Some("--batch"),
            Self::Queries { .. } => Some("--queries"),
            Self::Megabytes { .. } => Some("--megabytes"),
            _ => None,
        }
    }
}

impl Explained for BenchError {
    fn code(&self) -> &'static str {
        if let Self::Survey(error) = self {
            return error.code();
        }
        if self.flag().is_some() { "bench_invalid" } else { "bench_failed" }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Survey(error) => error.place(),
            _ => self.flag().map(str::to_owned),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Survey(error) => error.exit(),
            _ if self.flag().is_some() => Exit::BadInput,
            _ => Exit::Failed,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        if let Self::Survey(error) = self {
            return error.remedy();
        }
        Cow::Borrowed(match self {
            Self::Preset { .. } => "for example --preset INF15-90",
            Self::NotForAggregation { .. } => "for example --preset AGG13, or leave --preset out",
            Self::Limbs { .. } => "leave --limbs out for the top level",
            Self::Threads { .. } | Self::Pool(_) => "for example --threads 2",
            Self::DataUnused { .. } => "leave --data out, or choose what reads files",
            Self::Isa { .. } => "leave --isa out for the widest that this processor has",
            Self::Repeat { .. } => "for example --repeat 9",
            Self::Seconds { .. } => "for example --seconds 0.5",
            Self::Parameters { .. } => "for example --parameters 1663370",
            Self::Layout { .. } => "for example --hospitals 10 --threshold 7 --bits 16 --security 40",
            Self::Images { .. } => "for example --images 11",
            Self::Network { .. } => "for example --network lola",
            Self::Model(_) | Self::Experiment(_) => "consilium plan FILE names every fault of the file",
            Self::ModelFile(_) => "make one with `consilium bench train FILE --data PATH --out MODEL.safetensors`",
            Self::Epochs { .. } => "for example --epochs 20, or leave it out for as many as the federation trains",
            Self::NoData { .. } | Self::Data(_) => "add --data PATH: the .npz file or folder that the experiment names",
            Self::Train(TrainError::NoGpu { .. }) => "use --device cpu",
            Self::Train(_) => "lower train.learning-rate, for example --set train.learning-rate=0.001",
            Self::Compile(_) => "for example --preset INF14-30, or a smaller network",
            Self::Security(_) => "for example --security 64",
            Self::Hospitals { .. } => "for example --hospitals 5",
            Self::Release { .. } => "for example --hospitals 1 for a trusted holder, or --preset INF15-90",
            Self::OnlyRandom { .. } => "leave it out, or choose a network with --network",
            Self::OnlyResident { .. } => "add --resident or --device gpu",
            Self::OnlyCpu { .. } => "leave it out, or measure with --device cpu",
            Self::Device(_) => "install the GPU's driver (Vulkan on Linux), or use --device cpu",
            Self::Backend(BackendError::OutOfMemory { .. }) => {
                "lower --batch, --queries, --hospitals or --megabytes, or use --device cpu"
            }
            Self::Backend(_) => "try again, or use --device cpu; see the system's log for the driver's fault",
            Self::Batch { .. } => "for example --batch 16",
            Self::Queries { .. } => "for example --queries 16",
            Self::Megabytes { .. } => "for example --megabytes 40",
            Self::OnlyTrained { .. } => "name a file of `consilium bench train` with --model MODEL.safetensors",
            _ => "this is a fault of the program: please report it with the command",
        })
    }
}

fn names(presets: &[Preset]) -> String {
    presets.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(", ")
}

fn isas() -> String {
    Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}
