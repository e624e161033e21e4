//! Data and recipes of heads: the tasks of the literature on encrypted training.

use std::path::Path;

use datasets::circulation::{self, CirculationSpec, Patients, ReadingScale};
use datasets::{AngiographySpec, DataError, Dataset, LoadOptions, Samples, SplitFractions, generate_angiography, load};
use he_train::{CosineFilters, HeadLoss, Legendre, Recipe};
use ndarray::Array2;

/// Rows of one ciphertext: 8,192 slots for 16 classes.
const ROWS_PER_GROUP: usize = 512;
/// The sigmoid of all classes.
const SIGMOID: HeadLoss = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };

/// `--task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HeadTask {
    /// Handwritten digits.
    Mnist,
    /// Ten readings of a circulation from nine properties.
    Circulation,
    /// Six views of coronary angiography.
    Angiography,
}

impl HeadTask {
    /// As in the file of an experiment.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Circulation => "circulation",
            Self::Angiography => "angiography",
        }
    }

    /// Features beside the constant are whitened down to so many; `None` where they need it not.
    pub fn dimension(self) -> Option<usize> {
        match self {
            Self::Mnist | Self::Angiography => Some(256),
            Self::Circulation => None,
        }
    }

    /// How it is trained.
    pub fn recipe(self) -> Recipe {
        let recipe = Recipe {
            loss: SIGMOID,
            steps: 28,
            rows_per_group: ROWS_PER_GROUP,
            groups_per_batch: 8,
            learning_rate: 0.6,
            late_rate: 0.2,
            momentum: 0.9,
            weight_decay: 1e-3,
        };
        match self {
            Self::Mnist | Self::Angiography => recipe,
            Self::Circulation => Recipe {
                loss: HeadLoss::Squared,
                steps: 12,
                groups_per_batch: 16,
                learning_rate: 0.75,
                late_rate: 0.75,
                momentum: 0.45,
                weight_decay: 0.0,
                ..recipe
            },
        }
    }
}

/// Features of one part and what they should lead to, a row a sample.
pub(super) struct Rows {
    /// Samples times features.
    pub features: Array2<f64>,
    /// Samples times classes or readings.
    pub labels: Array2<f64>,
}

/// What a head is trained and measured on.
pub(super) struct HeadData {
    /// To train on.
    pub train: Rows,
    /// To measure on.
    pub test: Rows,
    /// Of readings; `None` for classes.
    pub scale: Option<ReadingScale>,
}

/// Reads or generates a task's data and computes features.
///
/// # Errors
/// Of the files, or of the generator.
pub(super) fn head_data(task: HeadTask, data: Option<&Path>, seed: u64) -> Result<HeadData, DataError> {
    let split = SplitFractions { train: 0.8, validation: 0.0, test: 0.2 };
    match (task, data) {
        (HeadTask::Circulation, _) => {
            let spec = CirculationSpec { seed, split, ..CirculationSpec::default() };
            Ok(readings(&circulation::generate(&spec)?))
        }
        (HeadTask::Mnist, Some(path)) => {
            let split = SplitFractions { train: 1.0, validation: 0.0, test: 0.0 };
            let options = LoadOptions { mean: 0.0, std: 1.0, split, seed, ..LoadOptions::default() };
            Ok(pictures(&load(path, None, &options)?))
        }
        (HeadTask::Mnist | HeadTask::Angiography, _) => {
            let spec = AngiographySpec { patients_per_hospital: 1_200, split, seed, ..AngiographySpec::default() };
            Ok(pictures(&generate_angiography(&spec)?))
        }
    }
}

fn pictures(data: &Dataset) -> HeadData {
    let (_, height, width) = data.train.shape();
    let filters = CosineFilters::fitting(height, width);
    let rows = |samples: &Samples| Rows {
        features: filters.features(samples.images.view()),
        labels: Array2::from_shape_fn((samples.len(), data.classes.len()), |(row, class)| {
            if usize::from(samples.labels[row]) == class { 1.0 } else { 0.0 }
        }),
    };
    HeadData { train: rows(&data.train), test: rows(&data.test), scale: None }
}

fn readings(data: &circulation::Circulation) -> HeadData {
    let legendre = Legendre::new(data.train.inputs.ncols(), 3);
    let scale = ReadingScale::of(&data.train);
    let rows = |patients: &Patients| Rows {
        features: legendre.features(&patients.scaled_inputs()),
        labels: scale.scaled(&patients.outputs),
    };
    let (train, test) = (rows(&data.train), rows(&data.test));
    HeadData { train, test, scale: Some(scale) }
}
