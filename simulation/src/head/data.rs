//! What a head is trained and measured on: features of images or of patients, and who has which.

use client::features::{FeaturesError, ImageFeatures};
use client::hospital::SiteRows;
use datasets::circulation::{self, CirculationSpec, OUTPUTS, Patients, ReadingScale};
use datasets::{DataError, Dataset, Part, Samples, load};
use experiment::{HeadData, HeadExperiment, LEGENDRE_DEGREE};
use he_train::{Legendre, Moments, Whitening, row_groups};
use ndarray::Array2;
use std::path::Path;

use super::error::HeadRunError;

/// Features of one part and what they should lead to, a row a sample.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// Samples times features.
    pub(super) features: Array2<f64>,
    /// Samples times classes or readings.
    pub(super) labels: Array2<f64>,
}

impl Rows {
    /// As they lie in ciphertexts: groups of rows of one hospital each, of which some end with rows of nothing, and the
    /// hospital of each group.
    pub(super) fn grouped(&self, rows_per_group: usize, hospitals: &[Vec<usize>]) -> (Rows, Vec<u16>) {
        let counts: Vec<usize> = hospitals.iter().map(Vec::len).collect();
        let groups = row_groups(rows_per_group, &counts);
        let rows = groups.len() * rows_per_group;
        let mut features = Array2::zeros((rows, self.features.ncols()));
        let mut labels = Array2::zeros((rows, self.labels.ncols()));
        for (group, place) in groups.iter().zip((0..).step_by(rows_per_group)) {
            for (offset, row) in hospitals[group.hospital].iter().skip(group.first).take(group.rows).enumerate() {
                features.row_mut(place + offset).assign(&self.features.row(*row));
                labels.row_mut(place + offset).assign(&self.labels.row(*row));
            }
        }
        let owners = groups.iter().map(|group| (1..).nth(group.hospital).unwrap_or(u16::MAX)).collect();
        (Rows { features, labels }, owners)
    }
}

/// What a head is trained and measured on.
#[derive(Debug)]
pub(super) struct DealtRows {
    /// To train on.
    pub(super) train: Rows,
    /// Every hospital's rows of it.
    pub(super) hospitals: Vec<Vec<usize>>,
    /// To measure on.
    pub(super) test: Rows,
    /// Of readings; `None` for classes.
    pub(super) scale: Option<ReadingScale>,
    /// How features were made, for people.
    pub(super) made: String,
    /// Of classes or readings.
    pub(super) names: Vec<String>,
    /// Where they are from.
    pub(super) description: String,
}

impl DealtRows {
    /// Reads or generates the data, computes features, not yet whitened, and deals the training rows.
    ///
    /// # Errors
    /// Of the files, the generator or the shares; nothing to measure on; fewer features than the head is to have.
    pub(super) fn of(experiment: &HeadExperiment, path: Option<&Path>) -> Result<Self, HeadRunError> {
        let rows = match experiment.data() {
            HeadData::Circulation(own) => {
                let (candidates, split) = (own.candidates, own.split);
                let hospitals = usize::from(experiment.hospitals());
                let spec = CirculationSpec { hospitals, candidates, split, seed: experiment.seed() };
                readings(&circulation::generate(&spec)?, hospitals)
            }
            HeadData::Images(_) => {
                let features = ImageFeatures::new(experiment)?;
                pictures(&dataset(experiment, &features, path)?, experiment, &features)?
            }
        };
        let (found, dimension) = (rows.train.features.ncols(), experiment.head().dimension);
        // The constant is one more than there are.
        if experiment.head().whitened && dimension > found + 1 {
            return Err(HeadRunError::FewFeatures { found, dimension });
        }
        // What is measured at the end: known now, and not after minutes of training.
        if rows.test.labels.is_empty() {
            return Err(DataError::EmptyPart { part: Part::Test }.into());
        }
        Ok(rows)
    }

    /// Makes the features uncorrelated, and as many as said, by the moments of all training rows.
    pub(super) fn whiten(&mut self, moments: &Moments, dimension: usize) {
        let whitening = Whitening::new(moments, dimension);
        self.train.features = whitening.apply(&self.train.features);
        self.test.features = whitening.apply(&self.test.features);
    }
}

fn dataset(
    experiment: &HeadExperiment,
    features: &ImageFeatures,
    path: Option<&Path>,
) -> Result<Dataset, HeadRunError> {
    let data = match (experiment.generator(), experiment.load_options(), path.or(experiment.source())) {
        (Some(generator), ..) => generator.draw()?,
        (None, Some(options), Some(path)) => load(path, None, &options)?,
        _ => return Err(HeadRunError::NoData { format: experiment.format() }),
    };
    let data = features.chosen(data);
    data.check()?;
    Ok(data)
}

fn pictures(data: &Dataset, experiment: &HeadExperiment, made: &ImageFeatures) -> Result<DealtRows, HeadRunError> {
    let HeadData::Images(images) = experiment.data() else {
        return Err(FeaturesError::NoImages { format: experiment.format() }.into());
    };
    let rows = |samples: &Samples| {
        made.rows(samples).map(|SiteRows { features, labels }| Rows { features, labels }).map_err(HeadRunError::from)
    };
    let hospitals = images.partition.assign(&data.train, usize::from(experiment.hospitals()), experiment.seed())?;
    let (names, description) = (data.classes.clone(), data.description.clone());
    let (train, test) = (rows(&data.train)?, rows(&data.test)?);
    Ok(DealtRows { train, hospitals, test, scale: None, made: made.text(), names, description })
}

fn readings(data: &circulation::Circulation, hospitals: usize) -> DealtRows {
    let legendre = Legendre::new(data.train.inputs.ncols(), LEGENDRE_DEGREE);
    let scale = ReadingScale::of(&data.train);
    let rows = |patients: &Patients| Rows {
        features: legendre.features(&patients.scaled_inputs()),
        labels: scale.scaled(&patients.outputs),
    };
    let (train, test) = (rows(&data.train), rows(&data.test));
    let hospitals = (0..hospitals).map(|own| (own..train.labels.nrows()).step_by(hospitals).collect()).collect();
    let names = OUTPUTS.iter().map(|quantity| quantity.name.to_owned()).collect();
    let made = format!("products of Legendre polynomials, to degree {LEGENDRE_DEGREE}");
    DealtRows { train, hospitals, test, scale: Some(scale), made, names, description: data.description.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = "[experiment]\nname = \"x\"\n[federation]\nhospitals = 3\n[data]\nformat = \"npz\"\n\
                        classes = [\"b\", \"a\"]\nlabels = [5, 2]\n\
                        image = { height = 16, width = 16, channels = 1 }\n[head]\nfeatures = \"pixels\"\n";

    const PHANTOMS: &str = "[experiment]\nname = \"x\"\n[federation]\nhospitals = 3\n[data]\nformat = \"phantom\"\n\
                            classes = [\"normal\", \"cyst\", \"tumour\"]\nimage = { height = 16, width = 16 }\n\
                            [data.simulate.phantom]\npatients-per-hospital = 6\n[head]\ndimension = 20\n";

    #[test]
    fn data_that_nothing_can_be_learned_or_told_from_are_refused_before_anything_is_computed() {
        let refused = |text: &str, change: &str| {
            let changes = [change.to_owned()];
            let experiment = HeadExperiment::parse("x.toml", text, &changes).unwrap_or_else(|error| panic!("{error}"));
            DealtRows::of(&experiment, None).map(drop)
        };
        assert!(refused(PHANTOMS, "experiment.seed=1").is_ok());
        let untested = refused(PHANTOMS, "data.split={ train = 1.0, validation = 0.0, test = 0.0 }").unwrap_err();
        let is_empty = matches!(&untested, HeadRunError::Data(DataError::EmptyPart { part: Part::Test }));
        assert!(is_empty, "{untested}");
        let nowhere = refused(PAIR, "experiment.seed=1").unwrap_err();
        assert!(matches!(&nowhere, HeadRunError::NoData { format: "npz" }), "{nowhere}");
    }

    #[test]
    fn groups_are_of_one_hospital_each_and_end_with_rows_of_nothing() {
        let value = |(row, column): (usize, usize)| (10 * row + column + 1) as f64;
        let rows = Rows { features: Array2::from_shape_fn((5, 2), value), labels: Array2::ones((5, 1)) };
        let (grouped, owners) = rows.grouped(2, &[vec![4, 0, 2], vec![1], vec![3]]);
        assert_eq!(owners.iter().map(|owner| usize::from(*owner)).sum::<usize>(), 1 + 1 + 2 + 3);
        assert_eq!((grouped.features.nrows(), grouped.labels.sum()), (8, 5.0));
        for (group, owner) in owners.iter().enumerate() {
            let firsts: Vec<f64> = (0..2).map(|row| grouped.features[[2 * group + row, 0]]).collect();
            let own: &[f64] = [&[41.0, 1.0, 21.0, 0.0][..], &[11.0, 0.0], &[31.0, 0.0]][usize::from(*owner) - 1];
            assert!(firsts.iter().all(|first| own.contains(first)), "{firsts:?} of {owner}");
        }
    }
}
