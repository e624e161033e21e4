//! `consilium plan FILE`: nothing runs but a second of measurement, and of a head its steps in the clear; everything is
//! said.

use std::path::PathBuf;

use bench::{plan::Plan, prediction::Prediction};
use clap::Args;
use experiment::Described;

use super::head;
use crate::{error::Error, exit::Exit, output::Done, threads};

/// Flags of `plan`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/plan.txt"))]
pub struct PlanArgs {
    /// The experiment.
    pub file: PathBuf,
    /// Where the images of a head are: steps in the clear tell whether its logits stay in range.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Change one key of the file. Repeatable.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
}

/// Prints the plan.
///
/// # Errors
/// Every fault of the file, a model that the presets cannot carry among them; a measurement that fails.
pub fn run(arguments: &PlanArgs) -> Result<Done, Error> {
    let experiment = match Described::load(&arguments.file, &arguments.set)? {
        Described::Network(experiment) => experiment,
        Described::Head(experiment) => return head::plan(&experiment, arguments.data.as_deref()),
    };
    if arguments.data.is_some() {
        return Err(Error::PlanReadsNone { name: experiment.name().to_owned() });
    }
    threads::start(experiment.compute().threads)?;
    let mut plan = Plan::of(&experiment);
    plan.prediction = Some(Prediction::now(&experiment)?);
    Ok(Done { text: plan.text(), data: plan.json(), exit: Exit::Done })
}
