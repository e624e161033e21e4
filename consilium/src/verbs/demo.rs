//! `consilium demo`: the built-in experiment, told as it happens.

use std::path::PathBuf;

use clap::Args;
use experiment::{DEMO, DeviceChoice, Experiment, Site};
use simulation::dropout::DropOut;

use crate::{error::Error, exit::Exit, global::Global, output::Done};

use super::coordinator::say;
use super::{run, serve, serve::ServeArgs};

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
    /// Serve the finished demo until stopped, with pages in a browser where its model is asked about scans.
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = serve::PORTAL)]
    pub portal: Option<String>,
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
    let done = run::federation(&experiment, request, global)?;
    let folder = done.data["folder"].as_str().map(PathBuf::from);
    let (Some(address), Some(folder), Exit::Done) = (&arguments.portal, folder, done.exit) else { return Ok(done) };
    // What the demo found is read while its pages are open.
    done.text.lines().for_each(say);
    let serving = ServeArgs { runs: vec![folder], device: arguments.device, portal: Some(address.clone()) };
    serve::run(&serving, global)?;
    Ok(done)
}
