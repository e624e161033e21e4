//! Data, network and recipe of the three tasks that networks were trained on under MORE.

use datasets::circulation::{Circulation, Patients, ReadingScale};
use datasets::{Dataset, Sampler, Samples};
use ndarray::{Array2, Axis};

use crate::attack::Hint;
use crate::network::{Layer, Network};
use crate::number::Function;
use crate::training::{Loss, Recipe};

/// Most samples to train on: 20,000 pictures of 784 pixels are half a gigabyte of ciphertexts.
const TRAIN_MAX: usize = 20_000;
/// Most samples to test on.
const TEST_MAX: usize = 2_000;
/// Fewest of either: the attack on a table fits a half of them.
const ROWS_MIN: usize = 64;

/// Why data make no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// Pictures of another form.
    #[error(
        "pictures of {channels} channels and {height} x {width} pixels; this task takes grey ones of {side} x {side}"
    )]
    Shape {
        /// As found.
        channels: usize,
        /// As found.
        height: usize,
        /// As found.
        width: usize,
        /// As needed.
        side: usize,
    },
    /// No classes, or no quantities.
    #[error("the data have no labels to learn")]
    NoLabels,
    /// Too few samples.
    #[error("{found} samples in a part; the comparison needs at least {ROWS_MIN} to train and to test")]
    TooFew {
        /// In the smaller part.
        found: usize,
    },
}

/// Samples one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Rows times width of an input.
    pub inputs: Vec<f64>,
    /// Rows times width of a label.
    pub targets: Vec<f64>,
    /// Number of samples.
    pub rows: usize,
}

/// What a label says.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// One number a class: 1 for the sample's own, 0 else.
    Classes,
    /// Readings on this scale.
    Readings(ReadingScale),
}

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// `mnist`, `circulation` or `angiography`.
    pub name: &'static str,
    /// Where the data come from.
    pub description: String,
    /// To train on.
    pub train: Part,
    /// To measure on.
    pub test: Part,
    /// What labels say.
    pub truth: Truth,
    /// What a server would know of such data anyway.
    pub hint: Hint,
    /// What is trained.
    pub network: Network,
    /// How.
    pub recipe: Recipe,
}

impl Task {
    /// Digits, 28 x 28, grey levels 0..=1: 8 filters of 5 x 5, then ten sigmoids.
    ///
    /// # Errors
    /// [`TaskError`] for pictures of another form, or too few.
    pub fn mnist(data: &Dataset, seed: u64) -> Result<Task, TaskError> {
        let first = Layer::Convolution { side: 28, channels: 1, kernel: 5, stride: 3, filters: 8 };
        let layers =
            vec![first, Layer::Activation(Function::Tanh), Layer::Dense { inputs: 512, outputs: data.classes.len() }];
        let recipe = Recipe { loss: Loss::OneVersusRest, epochs: 5, batch: 32, rate: 0.03, momentum: 0.9 };
        pictures("mnist", data, 28, layers, recipe, seed)
    }

    /// Views of coronary angiography, 64 x 64, normalised: filters of 8 x 8 and 3 x 3, then a sigmoid a view.
    ///
    /// # Errors
    /// [`TaskError`] for pictures of another form, or too few.
    pub fn angiography(data: &Dataset, seed: u64) -> Result<Task, TaskError> {
        let layers = vec![
            Layer::Convolution { side: 64, channels: 1, kernel: 8, stride: 4, filters: 8 },
            Layer::Activation(Function::Tanh),
            Layer::Convolution { side: 15, channels: 8, kernel: 3, stride: 2, filters: 16 },
            Layer::Activation(Function::Tanh),
            Layer::Dense { inputs: 784, outputs: data.classes.len() },
        ];
        let recipe = Recipe { loss: Loss::OneVersusRest, epochs: 8, batch: 32, rate: 0.02, momentum: 0.9 };
        pictures("angiography", data, 64, layers, recipe, seed)
    }

    /// Readings of a circulation from properties of heart and vessels: 32 hidden units.
    ///
    /// # Errors
    /// [`TaskError::TooFew`] patients.
    pub fn circulation(data: &Circulation, seed: u64) -> Result<Task, TaskError> {
        let scale = ReadingScale::of(&data.train);
        let part = |patients: &Patients, rows_max: usize| {
            let rows = shuffled(patients.len(), rows_max, seed);
            let pick = |table: &Array2<f64>| rows.iter().flat_map(|&row| table.row(row).to_vec()).collect();
            Part {
                inputs: pick(&patients.scaled_inputs()),
                targets: pick(&scale.scaled(&patients.outputs)),
                rows: rows.len(),
            }
        };
        let layers = vec![
            Layer::Dense { inputs: data.train.inputs.ncols(), outputs: 32 },
            Layer::Activation(Function::Tanh),
            Layer::Dense { inputs: 32, outputs: data.train.outputs.ncols() },
        ];
        let network = Network::new(data.train.inputs.ncols(), layers).ok_or(TaskError::NoLabels)?;
        Task {
            name: "circulation",
            description: data.description.clone(),
            train: part(&data.train, TRAIN_MAX),
            test: part(&data.test, TEST_MAX),
            truth: Truth::Readings(scale.clone()),
            hint: Hint::Table,
            network,
            recipe: Recipe { loss: Loss::Squared, epochs: 200, batch: 32, rate: 0.03, momentum: 0.9 },
        }
        .checked()
    }

    fn checked(self) -> Result<Task, TaskError> {
        let found = self.train.rows.min(self.test.rows);
        if found < ROWS_MIN { Err(TaskError::TooFew { found }) } else { Ok(self) }
    }
}

/// Positions in an order of their own: batches are the next samples, which may lie class by class.
fn shuffled(count: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..count).collect();
    Sampler::new(seed, 1).shuffle(&mut rows);
    rows.truncate(most);
    rows
}

fn pictures(
    name: &'static str,
    data: &Dataset,
    side: usize,
    layers: Vec<Layer>,
    recipe: Recipe,
    seed: u64,
) -> Result<Task, TaskError> {
    let (channels, height, width) = data.train.shape();
    if (channels, height, width) != (1, side, side) {
        return Err(TaskError::Shape { channels, height, width, side });
    }
    let network = Network::new(side * side, layers).ok_or(TaskError::NoLabels)?;
    let part = |samples: &Samples, rows_max: usize| {
        let rows = shuffled(samples.len(), rows_max, seed);
        let picture = |&row: &usize| {
            samples.images.index_axis(Axis(0), row).iter().map(|&level| f64::from(level)).collect::<Vec<f64>>()
        };
        let label = |&row: &usize| {
            let own = usize::from(samples.labels[row]);
            (0..data.classes.len()).map(move |class| if class == own { 1.0 } else { 0.0 })
        };
        Part {
            inputs: rows.iter().flat_map(picture).collect(),
            targets: rows.iter().flat_map(label).collect(),
            rows: rows.len(),
        }
    };
    Task {
        name,
        description: data.description.clone(),
        train: part(&data.train, TRAIN_MAX),
        test: part(&data.test, TEST_MAX),
        truth: Truth::Classes,
        hint: Hint::Pictures { side },
        network,
        recipe,
    }
    .checked()
}
