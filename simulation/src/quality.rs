//! Judges the final model as a clinician would: on the common test part, and at each hospital.

use std::collections::BTreeSet;

use client::train::Trainer;
use datasets::{Dataset, Samples};
use experiment::Experiment;
use metrics::{Clinical, Evaluation, Scored, WORK_MAX};
use ndarray::{Array2, ArrayView2};
use report::{ClinicalQuality, SitePart, SiteQuality, SplitKind, SplitNote};

use super::error::FederationError;

/// All figures of `parameters`. `test_logits` are the model's on the test part, `shares` the hospitals' training
/// samples.
///
/// # Errors
/// [`FederationError::Train`] or [`FederationError::Metrics`].
pub(super) fn judge(
    experiment: &Experiment,
    dataset: &Dataset,
    shares: &[Samples],
    trainer: &Trainer,
    parameters: &[f32],
    test_logits: &Array2<f32>,
) -> Result<ClinicalQuality, FederationError> {
    let (test, validation, seed) = (&dataset.test, &dataset.validation, experiment.seed());
    let validation_logits =
        if validation.is_empty() { None } else { Some(trainer.predict(parameters, &validation.images)?) };
    let chosen_by = validation_logits.as_ref().map(|logits| scored(logits.view(), validation));
    let figures = Clinical::new(scored(test_logits.view(), test), chosen_by, seed, WORK_MAX)?;
    let own = own_test_images(test, shares);
    let (part, samples) = match own {
        Some(own) => (SitePart::Test, own),
        None => (SitePart::Training, shares.to_vec()),
    };
    let mut hospitals = Vec::with_capacity(samples.len());
    // All hospitals together may take as long as the test part.
    let work_max = WORK_MAX / samples.len().max(1);
    for (hospital, samples) in (1u16..).zip(&samples) {
        let logits = trainer.predict(parameters, &samples.images)?;
        let plain = Evaluation::new(logits.view(), &samples.labels)?;
        let figures = Clinical::new(scored(logits.view(), samples), None, seed, work_max)?;
        hospitals.push(SiteQuality {
            hospital,
            part,
            images: samples.len(),
            groups: figures.groups,
            accuracy: plain.accuracy,
            auc_macro: figures.macro_auc,
            auc_per_class: plain.auc,
        });
    }
    let kind = split_kind(dataset, experiment.data().format.is_generated());
    Ok(ClinicalQuality::new(SplitNote::new(kind, &dataset.description), figures, hospitals))
}

fn scored<'a>(logits: ArrayView2<'a, f32>, samples: &'a Samples) -> Scored<'a> {
    Scored { logits, labels: &samples.labels, groups: &samples.groups }
}

/// The test images of each hospital's sites; `None` where sites are unknown or shared, or a hospital has none.
fn own_test_images(test: &Samples, shares: &[Samples]) -> Option<Vec<Samples>> {
    let sites: Vec<BTreeSet<u32>> = shares.iter().map(|share| share.sites.iter().copied().collect()).collect();
    let different: BTreeSet<u32> = sites.iter().flatten().copied().collect();
    let alone = sites.iter().map(BTreeSet::len).sum::<usize>() == different.len();
    if !alone || different.contains(&0) {
        return None;
    }
    let own = |sites: &BTreeSet<u32>| {
        let indices: Vec<usize> = (0..test.len()).filter(|index| sites.contains(&test.sites[*index])).collect();
        (!indices.is_empty()).then(|| test.select(&indices))
    };
    sites.iter().map(own).collect()
}

/// What the parts show, whatever the settings say: official splits and image lists come as they are. `patients` says
/// that groups are patients even where each has a single image.
fn split_kind(dataset: &Dataset, patients: bool) -> SplitKind {
    let groups = |samples: &Samples| samples.groups.iter().copied().collect::<BTreeSet<u32>>();
    let (train, validation, test) = (groups(&dataset.train), groups(&dataset.validation), groups(&dataset.test));
    let torn = test.iter().any(|group| train.contains(group) || validation.contains(group));
    let images = dataset.train.len() + dataset.validation.len() + dataset.test.len();
    if torn {
        SplitKind::Slice
    } else if patients || train.len() + validation.len() + test.len() < images {
        SplitKind::Patient
    } else {
        SplitKind::Image
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    fn samples(groups: &[u32], sites: &[u32]) -> Samples {
        let count = groups.len();
        Samples {
            images: Array4::zeros((count, 1, 2, 2)),
            labels: vec![0; count],
            groups: groups.to_vec(),
            sites: sites.to_vec(),
            names: (0..count).map(|k| format!("{k} of {groups:?}")).collect(),
        }
    }

    fn dataset(train: &[u32], validation: &[u32], test: &[u32]) -> Dataset {
        let part = |groups: &[u32]| samples(groups, &vec![0; groups.len()]);
        Dataset {
            classes: vec!["a".to_owned(), "b".to_owned()],
            train: part(train),
            validation: part(validation),
            test: part(test),
            description: "made up".to_owned(),
        }
    }

    #[test]
    fn the_split_is_named_by_what_the_parts_share() {
        assert_eq!(split_kind(&dataset(&[1, 1, 2], &[3], &[4, 4]), false), SplitKind::Patient);
        assert_eq!(split_kind(&dataset(&[1, 1, 2], &[3], &[4, 2]), false), SplitKind::Slice);
        assert_eq!(split_kind(&dataset(&[1, 1], &[3, 4], &[4, 2]), false), SplitKind::Slice);
        assert_eq!(split_kind(&dataset(&[1, 2], &[3], &[4, 5]), false), SplitKind::Image);
        assert_eq!(split_kind(&dataset(&[1, 2], &[3], &[4, 5]), true), SplitKind::Patient);
    }

    #[test]
    fn hospitals_have_test_images_only_where_sites_are_known_and_their_own() {
        let test = samples(&[1, 2, 3, 4], &[1, 2, 1, 3]);
        let share = |sites: &[u32]| samples(&vec![9; sites.len()], sites);
        let own = own_test_images(&test, &[share(&[1, 1]), share(&[3, 2])]).unwrap();
        assert_eq!((own[0].groups.as_slice(), own[1].groups.as_slice()), (&[1, 3][..], &[2, 4][..]));
        // A site at two hospitals, an unknown site, a hospital without test images.
        assert_eq!(own_test_images(&test, &[share(&[1, 2]), share(&[2])]), None);
        assert_eq!(own_test_images(&test, &[share(&[0]), share(&[1])]), None);
        assert_eq!(own_test_images(&test, &[share(&[1]), share(&[4])]), None);
    }
}
