//! `consilium plan FILE`: nothing runs but a second of measurement, everything is said.

use std::path::PathBuf;

use bench::{plan::Plan, prediction::Prediction};
use clap::Args;
use experiment::Experiment;

use crate::{error::Error, exit::Exit, output::Done, threads};

/// Flags of `plan`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/plan.txt"))]
pub struct PlanArgs {
    /// The experiment.
    pub file: PathBuf,
    /// Change one key of the file. Repeatable.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
}

/// Prints the plan.
///
/// # Errors
/// Every fault of the file, a model that the presets cannot carry among them; a measurement that fails.
pub fn run(arguments: &PlanArgs) -> Result<Done, Error> {
    let experiment = Experiment::load(&arguments.file, &arguments.set)?;
    threads::start(experiment.compute().threads)?;
    let mut plan = Plan::of(&experiment);
    plan.prediction = Some(Prediction::now(&experiment)?);
    Ok(Done { text: plan.text(), data: plan.json(), exit: Exit::Done })
}
