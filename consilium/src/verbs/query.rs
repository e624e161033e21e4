//! `consilium query RUN IMAGE...`: a diagnosis of one's own images from an encrypted model that is being served.

use std::path::PathBuf;

use clap::Args;
use client::counter::CounterError;
use protocol::local::LocalError;
use simulation::FederationError;
use simulation::{FinishedRun, run_folder};

use crate::{error::Error, output::Done, pages::figures};

/// Flags of `query`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/query.txt"))]
pub struct QueryArgs {
    /// The run that is being served.
    pub run: PathBuf,
    /// PNG, JPEG or DICOM files; scaled and normalised as the model's training images were.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// The hospital that asks.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub hospital: u16,
}

/// Asks for all images, as many at a time as the model takes in one query.
///
/// # Errors
/// An image that is none, a run that nobody serves, a refusal with its reason; answers before it are printed with it.
pub fn run(arguments: &QueryArgs) -> Result<Done, Error> {
    let run = FinishedRun::new(&arguments.run, run_folder::described(&arguments.run)?)?;
    let hospitals = run.hospitals();
    if !(1..=hospitals).contains(&arguments.hospital) {
        return Err(Error::NoHospital { hospital: arguments.hospital, hospitals });
    }
    let model = run.plan().asked()?;
    let folder = arguments.run.join(format!("hospital-{}", arguments.hospital));
    let figures = figures(&arguments.run);
    super::diagnosis::ask(&model, figures.as_ref(), &folder, &arguments.images, |error| match error {
        // A run without a model cannot be served, which is the better thing to know.
        CounterError::Socket(LocalError::Closed { .. }) => match run.published() {
            Ok(_) => FederationError::from(error).into(),
            Err(unpublished) => unpublished.into(),
        },
        error => FederationError::from(error).into(),
    })
}
