//! The experiment's images, and who gets which.

use std::path::Path;

use client::hospital::{HeldOut, SiteImages};
use client::plan::{self, PlanError};
use datasets::{DataError, Dataset, Part, Samples};
use experiment::{Experiment, Weighting};
use protocol::weight::WeightClass;

use super::error::FederationError;

/// Images dealt to hospitals.
pub(super) struct Dealt {
    pub(super) dataset: Dataset,
    /// Training samples of hospital 1, 2, ...
    pub(super) shares: Vec<Samples>,
    /// What each hospital's updates count for, where the plan goes by declared weights.
    pub(super) weights: Vec<WeightClass>,
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
    let weights = match experiment.federation().weights {
        Weighting::Equal => vec![WeightClass::ONE; shares.len()],
        Weighting::Declared => classes(&shares.iter().map(Samples::len).collect::<Vec<_>>()),
    };
    Ok(Dealt { dataset, shares, weights })
}

/// Each share of the images as a part of the largest one, rounded to the nearest class in powers of two: what members
/// would declare who know roughly how large they are. Here the images can be counted, since one process plays all.
fn classes(counts: &[usize]) -> Vec<WeightClass> {
    let largest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let class = |count: &usize| {
        let halvings = (largest / (*count).max(1) as f64).log2().round();
        let halvings = halvings.clamp(0.0, f64::from(WeightClass::HALVINGS_MAX)) as u8;
        WeightClass::halved(halvings).unwrap_or_default()
    };
    counts.iter().map(class).collect()
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
    SiteImages { train, held_out: experiment.publish().figures.then_some(held_out), rows: None }
}

/// Reads or generates the images.
///
/// # Errors
/// [`FederationError::Plan`] naming file, field or class.
pub fn load(experiment: &Experiment, data: Option<&Path>) -> Result<Dataset, FederationError> {
    let dataset = match (experiment.generator(), data) {
        (Some(generator), _) => generator.draw()?,
        (None, Some(path)) => return Ok(plan::images(experiment, path)?),
        (None, None) => return Err(PlanError::NoImages { format: experiment.data().format.word() }.into()),
    };
    dataset.check()?;
    plan::check_classes(experiment, &dataset)?;
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angiograms_are_drawn_for_every_hospital_of_the_experiment() {
        let text = include_str!("../../configs/angiography.toml");
        let few = "data.simulate.angiography.patients-per-hospital=60".to_owned();
        let experiment = Experiment::parse("x.toml", text, &[few]).unwrap();
        let dataset = load(&experiment, None).unwrap();
        assert_eq!((dataset.classes.len(), dataset.train.len(), dataset.train.shape()), (6, 210, (1, 64, 64)));
        let sites: std::collections::BTreeSet<u32> = dataset.test.sites.iter().copied().collect();
        assert_eq!(sites.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn images_that_nobody_names_are_not_made_up() {
        let text = experiment::DEMO.replace("source = \"phantom\"\n", "").replace("\"phantom\"", "\"npz\"");
        let (before, rest) = text.split_once("[data.simulate.phantom]").unwrap();
        let after = rest.split_once("\n\n").unwrap().1;
        let experiment = Experiment::parse("x.toml", &format!("{before}\n{after}"), &[]).unwrap();
        let error = load(&experiment, None).unwrap_err();
        assert!(matches!(&error, FederationError::Plan(PlanError::NoImages { format: "npz" })), "{error}");
    }

    #[test]
    fn shares_are_rounded_to_the_nearest_class_of_the_largest() {
        let words = |counts: &[usize]| classes(counts).iter().map(WeightClass::to_string).collect::<Vec<_>>();
        assert_eq!(words(&[100, 100, 99]), ["1", "1", "1"]);
        assert_eq!(words(&[72, 70, 500, 250, 1000]), ["1/16", "1/16", "1/2", "1/4", "1"]);
        // 1/sqrt(2) of the largest is where 1 and 1/2 meet.
        assert_eq!(words(&[1000, 708, 707, 353]), ["1", "1", "1/2", "1/4"]);
        assert_eq!(words(&[1_000_000, 1, 0]), ["1", "1/16", "1/16"]);
    }
}
