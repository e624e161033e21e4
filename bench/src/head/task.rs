//! Data and recipes of heads: the tasks of the literature on encrypted training.

use std::path::Path;

use datasets::circulation::{self, CirculationSpec, OUTPUTS, Patients, ReadingScale};
use datasets::{AngiographySpec, Dataset, LoadOptions, Partition, Samples, SplitFractions, generate_angiography, load};
use he_train::{CosineFilters, HeadLoss, Legendre, Moments, Recipe, Whitening, row_groups};
use ndarray::{Array2, s};

use crate::error::BenchError;

/// Slots of a ciphertext that training is done on: rows times classes.
const SLOTS: usize = 8_192;
/// Rows of a step.
const BATCH: usize = 4_096;
/// The sigmoid of all classes.
const SIGMOID: HeadLoss = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };
/// Digits of the smallest task.
const THREE: u8 = 3;
const EIGHT: u8 = 8;

/// `--task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HeadTask {
    /// Handwritten digits.
    Mnist,
    /// Threes and eights among them.
    ThreeEight,
    /// Pneumonia in X-ray images of chests.
    Pneumonia,
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
            Self::ThreeEight => "three-eight",
            Self::Pneumonia => "pneumonia",
            Self::Circulation => "circulation",
            Self::Angiography => "angiography",
        }
    }

    /// What is learned, for people.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Mnist => "Handwritten digits.",
            Self::ThreeEight => "Threes and eights among handwritten digits.",
            Self::Pneumonia => "Chest X-rays of children, normal or pneumonia.",
            Self::Circulation => "Ten readings of a circulation from nine properties of a body.",
            Self::Angiography => "Which artery a coronary angiogram shows, and from where.",
        }
    }

    /// How features are made, for people.
    pub(super) fn features(self) -> &'static str {
        match self {
            Self::Mnist | Self::Pneumonia | Self::Angiography => "public cosine filters, rectified and averaged",
            Self::ThreeEight => "means of two by two pixels",
            Self::Circulation => "products of Legendre polynomials, to degree 3",
        }
    }

    /// The data that `--data` has to name; `None` where they are generated.
    pub fn files(self) -> Option<&'static str> {
        match self {
            Self::Mnist | Self::ThreeEight => Some("MNIST's"),
            Self::Pneumonia => Some("PneumoniaMNIST's"),
            Self::Circulation | Self::Angiography => None,
        }
    }

    /// Features with the constant, whitened down to so many; `None` where they need it not.
    pub(super) fn dimension(self) -> Option<usize> {
        match self {
            Self::Mnist | Self::Angiography => Some(256),
            Self::ThreeEight | Self::Pneumonia => Some(128),
            Self::Circulation => None,
        }
    }

    /// How it is trained, where the data have so many classes or readings, or one of two classes.
    pub fn recipe(self, classes: usize) -> Recipe {
        let rows_per_group = SLOTS / classes.next_power_of_two();
        let recipe = Recipe {
            loss: SIGMOID,
            steps: 28,
            rows_per_group,
            groups_per_batch: BATCH.div_ceil(rows_per_group),
            learning_rate: 0.6,
            late_rate: 0.2,
            momentum: 0.9,
            weight_decay: 1e-3,
        };
        match self {
            Self::Mnist | Self::Angiography => recipe,
            Self::ThreeEight => Recipe { steps: 16, groups_per_batch: 2, learning_rate: 0.3, late_rate: 0.1, ..recipe },
            Self::Pneumonia => Recipe { steps: 25, ..recipe },
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

impl Rows {
    /// As they lie in ciphertexts: groups of rows of one hospital each, of which some end with rows of nothing.
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
pub(super) struct HeadData {
    /// To train on.
    pub train: Rows,
    /// Every hospital's rows of it.
    pub hospitals: Vec<Vec<usize>>,
    /// To measure on.
    pub test: Rows,
    /// Of readings; `None` for classes.
    pub scale: Option<ReadingScale>,
    /// Of classes or readings.
    pub names: Vec<String>,
    /// Where they are from.
    pub description: String,
}

impl HeadData {
    /// Makes the features uncorrelated, and as many as said, by the moments of all training rows.
    pub(super) fn whiten(&mut self, moments: &Moments, dimension: usize) {
        let whitening = Whitening::new(moments, dimension);
        self.train.features = whitening.apply(&self.train.features);
        self.test.features = whitening.apply(&self.test.features);
    }
}

/// Who has the training rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// At least 1.
    pub hospitals: usize,
    /// Of a Dirichlet law; `None` for rows in random order.
    pub alpha: Option<f64>,
    /// Draws them, and generated data.
    pub seed: u64,
}

/// Reads or generates a task's data, computes features, not yet whitened, and deals the training rows.
///
/// # Errors
/// Of the files, the generator or the shares.
pub(super) fn head_data(task: HeadTask, data: Option<&Path>, shares: Shares) -> Result<HeadData, BenchError> {
    let seed = shares.seed;
    let split = SplitFractions { train: 0.8, validation: 0.0, test: 0.2 };
    Ok(match (task, data) {
        (HeadTask::Circulation, _) => {
            if shares.alpha.is_some() {
                return Err(BenchError::NoClasses);
            }
            let spec = CirculationSpec { seed, split, ..CirculationSpec::default() };
            readings(&circulation::generate(&spec)?, shares.hospitals)
        }
        (HeadTask::Angiography, _) | (_, None) => {
            let spec = AngiographySpec { patients_per_hospital: 1_200, split, seed, ..AngiographySpec::default() };
            pictures(&generate_angiography(&spec)?, filtered, shares)?
        }
        (HeadTask::Mnist | HeadTask::ThreeEight, Some(path)) => {
            let split = SplitFractions { train: 1.0, validation: 0.0, test: 0.0 };
            let options = LoadOptions { mean: 0.0, std: 1.0, split, seed, ..LoadOptions::default() };
            let digits = load(path, None, &options)?;
            match task {
                HeadTask::ThreeEight => pictures(&threes_and_eights(digits), averaged, shares)?,
                _ => pictures(&digits, filtered, shares)?,
            }
        }
        (HeadTask::Pneumonia, Some(path)) => {
            let options = LoadOptions { mean: 0.0, std: 1.0, seed, ..LoadOptions::default() };
            pictures(&load(path, None, &options)?, filtered, shares)?
        }
    })
}

fn filtered(samples: &Samples) -> Array2<f64> {
    let (_, height, width) = samples.shape();
    CosineFilters::fitting(height, width).features(samples.images.view())
}

/// Means of two by two pixels.
fn averaged(samples: &Samples) -> Array2<f64> {
    let (_, height, width) = samples.shape();
    let across = width / 2;
    Array2::from_shape_fn((samples.len(), height / 2 * across), |(row, feature)| {
        let (y, x) = (2 * (feature / across), 2 * (feature % across));
        let block = samples.images.slice(s![row, 0, y..y + 2, x..x + 2]);
        block.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / 4.0
    })
}

/// Two classes: threes, then eights.
fn threes_and_eights(digits: Dataset) -> Dataset {
    let chosen = |samples: &Samples| {
        let wanted = |row: &usize| matches!(samples.labels[*row], THREE | EIGHT);
        let mut chosen = samples.select(&(0..samples.len()).filter(wanted).collect::<Vec<_>>());
        chosen.labels.iter_mut().for_each(|label| *label = u8::from(*label == EIGHT));
        chosen
    };
    let [train, validation, test] = [&digits.train, &digits.validation, &digits.test].map(chosen);
    Dataset { classes: vec!["three".to_owned(), "eight".to_owned()], train, validation, test, ..digits }
}

fn pictures(
    data: &Dataset,
    features: impl Fn(&Samples) -> Array2<f64>,
    shares: Shares,
) -> Result<HeadData, BenchError> {
    // Of two classes one number says which.
    let (first, columns) = if data.classes.len() == 2 { (1, 1) } else { (0, data.classes.len()) };
    let rows = |samples: &Samples| Rows {
        features: features(samples),
        labels: Array2::from_shape_fn((samples.len(), columns), |(row, column)| {
            if usize::from(samples.labels[row]) == first + column { 1.0 } else { 0.0 }
        }),
    };
    let hospitals = match (shares.hospitals, shares.alpha) {
        // In the order of the files, as in earlier figures.
        (1, None) => vec![(0..data.train.len()).collect()],
        (hospitals, alpha) => {
            let partition = alpha.map_or(Partition::Iid, |alpha| Partition::Dirichlet { alpha });
            partition.assign(&data.train, hospitals, shares.seed)?
        }
    };
    let (names, description) = (data.classes.clone(), data.description.clone());
    Ok(HeadData { train: rows(&data.train), hospitals, test: rows(&data.test), scale: None, names, description })
}

fn readings(data: &circulation::Circulation, hospitals: usize) -> HeadData {
    let legendre = Legendre::new(data.train.inputs.ncols(), 3);
    let scale = ReadingScale::of(&data.train);
    let rows = |patients: &Patients| Rows {
        features: legendre.features(&patients.scaled_inputs()),
        labels: scale.scaled(&patients.outputs),
    };
    let (train, test) = (rows(&data.train), rows(&data.test));
    let hospitals = (0..hospitals).map(|own| (own..train.labels.nrows()).step_by(hospitals).collect()).collect();
    let names = OUTPUTS.iter().map(|quantity| quantity.name.to_owned()).collect();
    HeadData { train, hospitals, test, scale: Some(scale), names, description: data.description.clone() }
}
