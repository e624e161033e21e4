//! `consilium bench head`: the training of a head as it is done on ciphertexts, in the clear.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use he_train::{HeadLoss, Moments, Recipe, Whitening, exact_least_squares, exact_softmax, shadow};
use ndarray::Array2;
use remedy::Exit;

use super::{
    Measured,
    engine::{Engine, EngineFlags},
    error::BenchError,
    head_task::{HeadData, HeadTask, head_data},
    progress::Progress,
    row::Row,
    table::{Table, time},
    timing::Timing,
};

/// Steps of the exact solution, and its pull: far more than any recipe takes.
const EXACT_STEPS: usize = 300;
const EXACT_DECAY: f64 = 1e-4;

/// Flags of `bench head`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/head.txt"))]
pub struct HeadArgs {
    /// What is learned.
    #[arg(long, value_enum)]
    pub task: HeadTask,
    /// Where MNIST is: a folder of IDX files or an .npz file. For task mnist only.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Steps; those of the task's recipe if absent.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Step length; that of the task's recipe if absent.
    #[arg(long, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// Draws data and splits.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Measures.
///
/// # Errors
/// A file or flag that does not fit, or logits that leave the range.
pub(super) fn run(arguments: &HeadArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let task = arguments.task;
    match (task, &arguments.data) {
        (HeadTask::Mnist, None) => return Err(BenchError::NoData { format: "MNIST's" }),
        (HeadTask::Circulation | HeadTask::Angiography, Some(_)) => {
            return Err(BenchError::DataUnused { what: task.word() });
        }
        _ => {}
    }
    let own = task.recipe();
    let recipe = Recipe {
        steps: arguments.steps.unwrap_or(own.steps),
        learning_rate: arguments.learning_rate.unwrap_or(own.learning_rate),
        late_rate: arguments.learning_rate.map_or(own.late_rate, |rate| rate * own.late_rate / own.learning_rate),
        ..own
    };
    let engine = Engine::start(&arguments.engine)?;
    progress.group(task.word());
    let measured = engine.run(|| measure(arguments, &recipe, &engine, progress));
    progress.finish();
    measured
}

fn measure(
    arguments: &HeadArgs,
    recipe: &Recipe,
    engine: &Engine,
    progress: &mut dyn Progress,
) -> Result<Measured, BenchError> {
    let task = arguments.task;
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64();
    progress.step("features");
    let mut data = head_data(task, arguments.data.as_deref(), arguments.seed)?;
    let features = lap();
    progress.step("whitening");
    if let Some(dimension) = task.dimension() {
        let whitening = Whitening::new(&Moments::of(&data.train.features), dimension);
        data.train.features = whitening.apply(&data.train.features);
        data.test.features = whitening.apply(&data.test.features);
    }
    let whitening = lap();
    progress.step("training");
    let head = shadow(recipe, &data.train.features, &data.train.labels)?;
    let step = lap() / recipe.steps as f64;
    progress.step("the exact solution");
    let exact = match recipe.loss {
        HeadLoss::OneVersusRest { .. } => {
            exact_softmax(&data.train.features, &data.train.labels, EXACT_STEPS, EXACT_DECAY)
        }
        HeadLoss::Squared => {
            exact_least_squares(&data.train.features, &data.train.labels).ok_or(BenchError::Dependent)?
        }
    };

    let row = |op: &str| Row { network: Some(task.word().to_owned()), ..Row::new(op, engine) };
    let timed = |op: &str, seconds: f64| row(op).timed(Timing::of_seconds(&[seconds]));
    let quality = |op: &str, weights: &Array2<f64>| {
        let quality = quality(&data, weights);
        let (accuracy, relative_error) = match data.scale {
            None => (Some(quality), None),
            Some(_) => (None, Some(quality)),
        };
        Row { images: Some(data.test.labels.nrows()), accuracy, relative_error, ..row(op) }
    };
    let rows = vec![
        Row {
            images: Some(data.train.labels.nrows()),
            parameters: Some(data.train.features.ncols()),
            ..timed("head.features", features)
        },
        timed("head.whitening", whitening),
        Row { repetitions: recipe.steps, ..timed("head.step", step) },
        Row { logit_max: Some(head.logit_max), ..quality("head.test", &head.weights) },
        quality("head.exact", &exact),
    ];
    Ok(Measured { text: text(recipe, engine, &rows), rows, exit: Exit::Done })
}

/// Share of right answers, or mean relative error, on the test part.
fn quality(data: &HeadData, weights: &Array2<f64>) -> f64 {
    let answers = data.test.features.dot(weights);
    let labels = &data.test.labels;
    match &data.scale {
        Some(scale) => scale.relative_error(answers.view(), labels.view()),
        None => {
            let largest = |row: ndarray::ArrayView1<'_, f64>| {
                row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(class, _)| class)
            };
            let pairs = answers.outer_iter().zip(labels.outer_iter());
            let right = pairs.filter(|(answer, label)| largest(answer.view()) == largest(label.view())).count();
            right as f64 / answers.nrows().max(1) as f64
        }
    }
}

fn text(recipe: &Recipe, engine: &Engine, rows: &[Row]) -> String {
    let [features, whitening, step, test, exact] = rows else { return String::new() };
    let network = features.network.clone().unwrap_or_default();
    let mut times = Table::new(&["in the clear", "time"]);
    for (name, row) in [("features", features), ("whitening", whitening), ("a step", step)] {
        times.push(vec![name.to_owned(), time(row.median_ns)]);
    }
    let quality = |row: &Row| match (row.accuracy, row.relative_error) {
        (Some(share), _) => format!("{:.2} % right", 100.0 * share),
        (None, error) => format!("mean relative error {:.3} %", 100.0 * error.unwrap_or(f64::NAN)),
    };
    let range = match recipe.loss {
        HeadLoss::OneVersusRest { degree, range } => {
            format!(
                "degree {degree} for the sigmoid; largest logit {:.1} of {range}",
                test.logit_max.unwrap_or(f64::NAN)
            )
        }
        HeadLoss::Squared => "squared loss".to_owned(),
    };
    format!(
        "{network}, {} rows to train on, {} features, {}\n{}\n\ntest: {} rows\n  {} steps     {}   {range}\n  \
         exact        {}",
        features.images.unwrap_or(0),
        features.parameters.unwrap_or(0),
        engine.text(),
        times.text(),
        test.images.unwrap_or(0),
        recipe.steps,
        quality(test),
        quality(exact),
    )
}
