//! The experiment's images, and who gets which.

use std::path::Path;

use client::hospital::{HeldOut, SiteImages};
use client::plan;
use datasets::{DataError, Dataset, Part, Samples};
use experiment::{DataFormat, Experiment};

use super::error::FederationError;

/// Images dealt to hospitals.
pub(super) struct Dealt {
    pub(super) dataset: Dataset,
    /// Training samples of hospital 1, 2, ...
    pub(super) shares: Vec<Samples>,
    /// Public upper bound of any hospital's number of samples.
    pub(super) cap: u64,
}

/// Reads or generates the images and deals the training part out.
///
/// # Errors
/// [`FederationError::Data`] naming file, field, class or hospital, or that no image is left to judge the model by;
/// [`FederationError::Plan`].
pub(super) fn deal(experiment: &Experiment, data: Option<&Path>) -> Result<Dealt, FederationError> {
    let (plan, dataset) = (experiment.data(), load(experiment, data)?);
    // What is asked and reported at the end: known now, and not after hours of training.
    if dataset.test.is_empty() {
        return Err(DataError::EmptyPart { part: Part::Test }.into());
    }
    let hospitals = usize::from(experiment.federation().hospitals);
    let parts = plan.partition.assign(&dataset.train, hospitals, experiment.seed())?;
    let shares: Vec<Samples> = parts.iter().map(|indices| dataset.train.select(indices)).collect();
    let largest = shares.iter().map(Samples::len).max().unwrap_or(0);
    let cap = experiment.federation().sample_cap.map_or(largest.next_power_of_two() as u64, u64::from);
    if let Some(hospital) = shares.iter().position(|share| share.len() as u64 > cap) {
        let samples = shares[hospital].len();
        return Err(FederationError::SampleCap { hospital: hospital + 1, samples, cap });
    }
    Ok(Dealt { dataset, shares, cap })
}

/// What one hospital brings: its share of the training images, and where figures are added up an equal share of those
/// that nobody trains on.
pub(super) fn images_of(experiment: &Experiment, dataset: &Dataset, number: u16, train: Samples) -> SiteImages {
    let hospitals = usize::from(experiment.federation().hospitals);
    let share = |samples: &Samples| {
        let places: Vec<usize> = (usize::from(number) - 1..samples.len()).step_by(hospitals).collect();
        samples.select(&places)
    };
    let held_out = HeldOut { validation: share(&dataset.validation), test: share(&dataset.test) };
    SiteImages { train, held_out: experiment.publish().figures.then_some(held_out) }
}

/// Reads or generates the images.
///
/// # Errors
/// [`FederationError::Plan`] naming file, field or class.
pub fn load(experiment: &Experiment, data: Option<&Path>) -> Result<Dataset, FederationError> {
    if let (Some(path), true) = (data, experiment.data().format != DataFormat::Phantom) {
        return Ok(plan::images(experiment, path)?);
    }
    let dataset = datasets::generate(&experiment.phantom_spec())?;
    dataset.check()?;
    plan::check_classes(experiment, &dataset)?;
    Ok(dataset)
}
