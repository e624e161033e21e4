//! `consilium demo`: the built-in experiment, told as it happens.

use std::path::PathBuf;

use clap::Args;
use experiment::{DEMO, DeviceChoice, Experiment, Site};
use simulation::dropout::DropOut;

use crate::{error::Error, global::Global, output::Done, verbs::run};

/// Flags of `demo`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/demo.txt"))]
pub struct DemoArgs {
    /// Lose a hospital on purpose: hospital-K@ROUND:before-upload, :after-upload or :before-share. Repeatable.
    #[arg(long, value_name = "HOSPITAL@ROUND:MOMENT")]
    pub drop: Vec<DropOut>,
    /// Where the run is written; runs/<utc>-demo-<4 hex> if absent.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Another seed for images, split and training.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the coordinator computes: auto (a GPU if there is one), cpu or gpu.
    #[arg(long, value_name = "auto|cpu|gpu")]
    pub device: Option<DeviceChoice>,
    /// Change one key of the built-in experiment. Repeatable.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
}

/// Runs the demo.
///
/// # Errors
/// As `run`.
pub fn run(arguments: &DemoArgs, global: &Global) -> Result<Done, Error> {
    let mut overrides = arguments.set.clone();
    overrides.extend(arguments.seed.map(|seed| format!("experiment.seed={seed}")));
    overrides.extend(arguments.device.map(|device| format!("compute.backend={device}")));
    let experiment = Experiment::parse("demo.toml", DEMO, &overrides)?;
    let request = run::Request {
        data: None,
        out: arguments.out.clone(),
        drops: arguments.drop.clone(),
        resume: None,
        site: Site::default(),
        command: "demo",
    };
    run::federation(&experiment, request, global)
}
