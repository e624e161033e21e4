//! What the cryptography costs on this machine, and how far that is from what the machine could do; and what an
//! experiment would cost, in [`plan`] and [`prediction`].
//!
//! Every figure comes with its parameters, instruction set and thread count; inputs come from fixed seeds. [`timing`]
//! says how a figure is taken, [`row`] what is said about it, [`table`] how people see it.

pub mod aggregate;
pub mod agreement;
pub mod balance;
pub mod bandwidth;
pub mod batch;
pub mod ceremony;
pub mod ckks;
pub mod consortium;
pub mod device;
pub mod engine;
pub mod error;
pub mod he;
pub mod head_plan;
pub mod head_step;
pub mod holder;
pub mod infer;
pub mod limit;
mod measured;
pub mod plan;
pub mod plane_cost;
pub mod prediction;
pub mod privacy_cost;
pub mod progress;
mod random_model;
mod resident_model;
pub mod resident_sum;
pub mod ring;
pub mod row;
pub mod table;
pub mod timing;
pub mod train;
pub mod trained;
pub mod trained_report;

use clap::{Args, Subcommand};

use self::{
    aggregate::AggregateArgs, ceremony::CeremonyArgs, he::HeArgs, infer::InferArgs, limit::LimitArgs,
    progress::Progress, train::TrainArgs,
};
pub use self::{error::BenchError, measured::Measured};

/// Flags of `bench`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/bench.txt"))]
pub struct BenchArgs {
    /// What is measured.
    #[command(subcommand)]
    pub what: What,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Ring and CKKS operations, one by one: transforms, products, rotations, keys, bytes.
    He(HeArgs),
    /// A training round's cryptography, end to end: quantise, encrypt, add, share, combine, open, and whether it is
    /// exact.
    Aggregate(AggregateArgs),
    /// One hospital's work while the serving keys are made, among as many others as are named.
    Ceremony(CeremonyArgs),
    /// One encrypted image on an encrypted model, and on the same model in the clear: latency, sizes, precision.
    Infer(InferArgs),
    /// One network on all training images in one place: seconds per epoch, test figures, a model file.
    Train(TrainArgs),
    /// What memory and multipliers would allow, and how much of it transforms and aggregation reach.
    Limit(LimitArgs),
}

impl What {
    /// The word for `command` in JSON output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::He(_) => "bench he",
            Self::Aggregate(_) => "bench aggregate",
            Self::Ceremony(_) => "bench ceremony",
            Self::Infer(_) => "bench infer",
            Self::Train(_) => "bench train",
            Self::Limit(_) => "bench limit",
        }
    }
}

/// Measures, and tells `progress` what is under way.
///
/// # Errors
/// [`BenchError`]: a flag that does not fit, or an operation that failed.
pub fn run(arguments: &BenchArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    match &arguments.what {
        What::He(arguments) => he::run(arguments, progress),
        What::Aggregate(arguments) => aggregate::run(arguments, progress),
        What::Ceremony(arguments) => ceremony::run(arguments, progress),
        What::Infer(arguments) => infer::run(arguments, progress),
        What::Train(arguments) => train::run(arguments, progress),
        What::Limit(arguments) => limit::run(arguments, progress),
    }
}
