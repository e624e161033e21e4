//! `consilium bench train`: one network on all training images in one place, as the baseline of `run` is trained.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use client::{
    model_file::{Heading, ModelFile},
    train::{TrainDevice, Trainer},
};
use datasets::Dataset;
use experiment::{DeviceChoice, Experiment};
use metrics::Evaluation;
use remedy::Exit;
use simulation::{baselines, data};

use super::{
    Measured,
    engine::{Engine, EngineFlags},
    error::BenchError,
    progress::Progress,
    row::Row,
    table::{Table, grouped, three_figures, time},
    timing::Timing,
};

/// Most epochs of one run.
const EPOCHS_MAX: usize = 100_000;

/// Flags of `bench train`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/train.txt"))]
pub struct TrainArgs {
    /// The experiment.
    pub file: PathBuf,
    /// Where the images are: an .npz file or a folder. Wins over data.simulate.source.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Epochs; as many as the federation trains if absent.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Where the trained model is written, in the safetensors format; nowhere if absent.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Change one key of the file. Repeatable.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to train: auto is the GPU if this build can train on one and there is one that is no software.
    #[arg(long, value_name = "auto|cpu|gpu", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Measures.
///
/// # Errors
/// A file, data or flag that does not fit, or training that diverges.
pub fn run(arguments: &TrainArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let experiment = Experiment::load(&arguments.file, &arguments.set).map_err(BenchError::experiment)?;
    let epochs = arguments.epochs.unwrap_or_else(|| baselines::epochs(&experiment));
    if !(1..=EPOCHS_MAX).contains(&epochs) {
        return Err(BenchError::Epochs { epochs, max: EPOCHS_MAX });
    }
    let format = experiment.data().format;
    let path = arguments.data.as_ref().or(experiment.data().source.as_ref());
    if arguments.data.is_some() && format.is_generated() {
        return Err(BenchError::DataUnused { what: format.word() });
    }
    if path.is_none() && !format.is_generated() {
        return Err(BenchError::NoData { format: format.word() });
    }
    let device = TrainDevice::find(arguments.device)?;
    let engine = Engine::start(&arguments.engine)?;
    progress.group(experiment.name());
    progress.step("reading images");
    let dataset = data::load(&experiment, path.map(PathBuf::as_path))?;
    let fitted = engine.run(|| fit((&experiment, &device), &dataset, epochs, progress));
    progress.finish();
    let Fitted { model, seconds, evaluation } = fitted?;
    let mut rows = rows(&experiment, &dataset, &engine, (&model, &seconds, &evaluation));
    if let Some(out) = &arguments.out {
        model.write(out)?;
        let bytes = model.to_bytes()?.len();
        rows.push(Row { file: Some(out.clone()), ..Row::new("train.model", &engine).bytes(bytes) });
    }
    if device.is_gpu() {
        // What a GPU trained is said to be of it, the size of the file apart.
        rows.iter_mut().filter(|row| row.file.is_none()).for_each(|row| {
            (row.backend, row.device) = ("gpu", Some(device.text().to_owned()));
        });
    }
    let mut table = Table::new(&["epoch", "median", "min", "images per second"]);
    let timing = Timing::of_seconds(&seconds);
    let rate = dataset.train.len() as f64 / (timing.median_ns / 1e9);
    let epoch_time = [time(Some(timing.median_ns)), time(Some(timing.min_ns)), three_figures(rate)];
    table.push([vec![format!("{epochs} epochs")], epoch_time.to_vec()].concat());
    let mut text = format!(
        "{}, {} images, batches of {}, {}, trained on {}\n{}\n\ntest: {} images, accuracy {:.4}, AUC {}, largest \
         training logit {}",
        experiment.name(),
        grouped(dataset.train.len()),
        experiment.train().batch_size,
        engine.text(),
        device.text(),
        table.text(),
        grouped(dataset.test.len()),
        evaluation.accuracy,
        evaluation.macro_auc.map_or("–".to_owned(), |auc| format!("{auc:.4}")),
        three_figures(f64::from(model.heading().logit_range)),
    );
    if let Some(out) = &arguments.out {
        text.push_str(&format!("\nmodel: {}", out.display()));
    }
    Ok(Measured { text, rows, exit: Exit::Done })
}

/// A trained model, the seconds of each epoch, and its figures on the test part.
struct Fitted {
    model: ModelFile,
    seconds: Vec<f64>,
    evaluation: Evaluation,
}

fn fit(
    (experiment, device): (&Experiment, &TrainDevice),
    dataset: &Dataset,
    epochs: usize,
    progress: &mut dyn Progress,
) -> Result<Fitted, BenchError> {
    let trainer = Trainer::on(device.clone(), experiment.network(), experiment.train().clone())?;
    let mut seconds = Vec::with_capacity(epochs);
    let mut started = Instant::now();
    progress.step(&format!("epoch 1 of {epochs}"));
    let parameters = baselines::fit(experiment, &trainer, &dataset.train, epochs, &mut |at| {
        if at.batch == at.batches {
            seconds.push(started.elapsed().as_secs_f64());
            progress.step(&format!("epoch {} of {epochs}, loss {:.3}", (seconds.len() + 1).min(epochs), at.loss));
            started = Instant::now();
        }
    })?;
    let largest = |logits: &ndarray::Array2<f32>| logits.iter().fold(0.0f32, |most, logit| most.max(logit.abs()));
    let range = largest(&trainer.predict(&parameters, &dataset.train.images)?);
    let evaluation = Evaluation::new(trainer.predict(&parameters, &dataset.test.images)?.view(), &dataset.test.labels)?;
    let heading = Heading::new(experiment.name(), experiment.network(), experiment.load_options(), range)
        .of(experiment.generator());
    Ok(Fitted { model: ModelFile::new(heading, parameters)?, seconds, evaluation })
}

fn rows(
    experiment: &Experiment,
    dataset: &Dataset,
    engine: &Engine,
    (model, seconds, evaluation): (&ModelFile, &[f64], &Evaluation),
) -> Vec<Row> {
    let timing = Timing::of_seconds(seconds);
    let row = |op| Row { network: Some(experiment.name().to_owned()), ..Row::new(op, engine) };
    let images = dataset.train.len();
    let epoch = Row {
        images: Some(images),
        epochs: Some(seconds.len()),
        batch_size: Some(experiment.train().batch_size),
        parameters: Some(model.parameters().len()),
        images_per_second: Some((images as f64 * 1e10 / timing.median_ns).round() / 10.0),
        ..row("train.epoch").timed(timing)
    };
    let test = Row {
        images: Some(dataset.test.len()),
        accuracy: Some(evaluation.accuracy),
        auc: evaluation.macro_auc,
        logit_max: Some(f64::from(model.heading().logit_range)),
        ..row("train.test")
    };
    vec![epoch, test]
}
